// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which command comes next. Numbers crowd where halves meet; a few commands are spoilt.

use super::{Board, Hint};
use crate::common::cmd::{Cmd, esp};
use esnic_abi::{Add, NO_PEER, Opcode, UpdateMode};
use fastrand::Rng;
use std::sync::atomic::Ordering::Relaxed;

/// Handle bytes of a row are a function of slot and generation, so that anybody can name it.
pub fn element(index: u32, generation: u32) -> Add {
    let mut random = Rng::with_seed(u64::from(index) << 32 ^ u64::from(generation) ^ 0x5A5A_5A5A);
    let mut sa = esp(index, generation);
    sa.spi = random.u32(1..).into();
    sa.protocol = random.u8(1..=2);
    sa.direction = random.u8(1..=2);
    sa.mode = random.u8(1..=2);
    sa.algorithm = if sa.protocol == 1 { random.u8(4..=6) } else { random.u8(1..=6) };
    sa.icv_len =
        if sa.algorithm > 3 { 16 } else { random.choice([8, 12, 16]).expect("one of three") };
    sa.family = random.choice([4, 6]).expect("one of two");
    if sa.family == 6 {
        sa.src = random.u128(..).to_le_bytes();
        sa.dst = random.u128(..).to_le_bytes();
    }
    sa.sa_flags = u16::from(random.u8(..8) != 0).into();
    sa.replay_window = random.u16(..=4096).into();
    if sa.protocol == 2 && random.bool() {
        sa.udp_encap = random.u8(1..=2);
        sa.udp_src = random.u16(..).into();
        sa.udp_dst = random.u16(..).into();
    }
    sa.peer = if random.bool() { NO_PEER } else { random.u32(..) }.into();
    let key_len = [16, 24, 32][usize::from((sa.algorithm - 1) % 3)];
    sa.key[key_len..].fill(0);
    sa
}

/// A number near `top`, near half a lap from it, near a multiple of half a lap, at an end, or
/// anywhere.
fn number(random: &mut Rng, top: u64) -> u64 {
    const HALF: u64 = 1 << 31;
    let near = random.u64(..5).wrapping_sub(2);
    let place = match random.u8(..12) {
        0..=3 => top,
        4 | 5 => top.wrapping_add(HALF),
        6 => top.wrapping_sub(HALF),
        7 | 8 => HALF * random.u64(..8),
        9 => 0u64.wrapping_sub(HALF * random.u64(..4)),
        10 => HALF * random.u64(..1 << 33),
        _ => random.u64(..),
    };
    place.wrapping_add(near)
}

fn next_generation(random: &mut Rng, generation: u32) -> u32 {
    match random.u8(..16) {
        0 => generation,
        1 => generation.wrapping_sub(random.u32(1..3)),
        2 => generation.wrapping_add(1 << 31),
        3 => generation.wrapping_add(random.u32(1..1 << 31)),
        4 => 0,
        _ if generation == u32::MAX => 1,
        _ => generation + 1,
    }
}

/// The generation that the slot probably has, now and then another one.
fn aimed(random: &mut Rng, hint: &Hint) -> u32 {
    let generation = hint.generation.load(Relaxed);
    match random.u8(..32) {
        0 => generation.wrapping_add(1),
        1 => generation.wrapping_sub(1),
        2 => random.u32(..),
        _ => generation,
    }
}

fn new_hi(random: &mut Rng, hint: &Hint) -> u32 {
    let top = hint.top.load(Relaxed);
    let hi = (top >> 32) as u32;
    match random.u8(..8) {
        0..=3 => hi.wrapping_add(1),
        4 => hi,
        _ => (number(random, top) >> 32) as u32,
    }
}

fn update(random: &mut Rng, sa: &Add, hint: &Hint) -> Cmd {
    let top = hint.top.load(Relaxed);
    let mode = random.choice([UpdateMode::Hi, UpdateMode::Hi, UpdateMode::Top, UpdateMode::Resync]);
    let mode = mode.expect("one of four");
    let flags = random.choice([0, 0, 1, 2, 3]).expect("one of five");
    let expected = match (flags & 1, random.u8(..4)) {
        (0, _) => 0,
        (_, 0) => random.u32(..),
        _ => (top >> 32) as u32,
    };
    let to = match mode {
        UpdateMode::Top => {
            let to = number(random, top);
            // Without extended numbers only the low half may be told.
            let keep = if sa.sa_flags.get() == 0 { !0 >> 32 } else { !0 };
            (((to & keep) >> 32) as u32, to as u32)
        }
        UpdateMode::Hi | UpdateMode::Resync => (new_hi(random, hint), 0),
    };
    let mut cmd = Cmd::update(sa, mode, flags, to, expected);
    match random.u8(..64) {
        0 => cmd = cmd.byte(20, 3 - sa.protocol),
        1 => cmd = cmd.dword(16, sa.spi.get() ^ 1),
        _ => {}
    }
    cmd
}

/// A command for one of the board's slots.
pub fn command(random: &mut Rng, board: &Board, record: u64) -> Cmd {
    let hint = &board.hints[random.usize(..board.hints.len())];
    let index = hint.index;
    let generation = aimed(random, hint);
    let roll = random.u8(..100);
    match roll {
        _ if !hint.live.load(Relaxed) && random.u8(..4) != 0 => add(random, hint),
        0..=3 => add(random, hint),
        4..=8 => Cmd::delete(index, generation),
        9..=40 => update(random, &element(index, generation), hint),
        41..=52 => {
            let items: Vec<_> = (0..random.usize(1..=4))
                .map(|_| {
                    let hint = &board.hints[random.usize(..board.hints.len())];
                    (hint.index, aimed(random, hint), new_hi(random, hint))
                })
                .collect();
            Cmd::update4(random.bool(), &items)
        }
        53..=60 => Cmd::resolve(index, generation, number(random, hint.top.load(Relaxed)) as u32),
        61..=82 => Cmd::packet(index, generation, number(random, hint.top.load(Relaxed)) as u32),
        83..=87 => Cmd::query(index, generation),
        88..=93 => Cmd::query_any(index, record),
        94..=96 => Cmd::nop(),
        97 | 98 => Cmd::fence(),
        _ => odd_opcode(random, index, generation),
    }
}

fn add(random: &mut Rng, hint: &Hint) -> Cmd {
    let generation = next_generation(random, hint.generation.load(Relaxed));
    let mut sa = element(hint.index, generation);
    let top = number(random, hint.top.load(Relaxed));
    let extended = sa.sa_flags.get() == 1;
    let known = random.u8(..4) != 0;
    sa.second_flags = known.into();
    sa.hi = if extended { (top >> 32) as u32 } else { 0 }.into();
    sa.lo = if known { top as u32 } else { 0 }.into();
    sa.into()
}

/// No opcode, a second half alone, or one of another version.
fn odd_opcode(random: &mut Rng, index: u32, generation: u32) -> Cmd {
    let opcode = random.choice([0x00, 0x03, 0x0F, 0x11, 0x17, 0x18, 0x19, 0x1F]);
    Cmd::delete(index, generation).byte(0, opcode.expect("one of eight"))
}

/// Turns a bit or two over, but not in what ties the answer to the question: opcodes, cookie, whether
/// and where a record is wanted.
pub fn spoil(random: &mut Rng, cmd: Cmd) -> Cmd {
    let mut spoilt = cmd;
    for _ in 0..random.u8(1..=2) {
        let byte = random.usize(..cmd.bytes().len());
        let bit = 8 * byte + random.usize(..8);
        let query = cmd.opcode() == Opcode::Query as u8 && (bit == 8 || (16..24).contains(&byte));
        if !query && !matches!(byte, 0 | 4..=7 | 64) {
            spoilt = spoilt.flip(bit);
        }
    }
    spoilt
}
