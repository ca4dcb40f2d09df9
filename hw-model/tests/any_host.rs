// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A host that keeps no rule: whatever it does, the device does not overwrite completions (R7), does
//! not panic, and comes to rest.

mod common;

use common::*;
use esnic_abi::regs::QueuePair;
use esnic_abi::{Bar, Device, FunctionConfig, Opcode, Params, QpState};
use esnic_model::Trigger;
use zerocopy::IntoBytes;

/// xorshift64: repeatable, and good enough to be unkind.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32 % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u32) as usize]
    }

    fn bytes(&mut self, len: u32) -> Vec<u8> {
        (0..len).map(|_| self.roll(256) as u8).collect()
    }
}

/// One thing a host could do to pair `pair`.
fn act(bench: &mut Bench, dice: &mut Dice, pair: u32) {
    let index = dice.roll(16);
    match dice.roll(12) {
        0..=3 => {
            // A doorbell near the tail, of a length that may be wrong.
            let near = bench.tail(pair).wrapping_add(dice.roll(6)).wrapping_sub(1);
            let mut data = near.to_le_bytes().to_vec();
            data.extend(dice.bytes(4));
            let len = dice.pick(&[4, 8, 8, 4, 3]);
            let at =
                0x4_0000 + 0x1000 * u64::from(pair) + dice.pick(&[0, 4, 8, 0x800, 0x804, 0x808]);
            bench.model.write(Bar::Registers, at, &data[..len]);
        }
        4 => {
            let data = dice.bytes(4);
            let at = u64::from(dice.roll(0x9000) & !3);
            bench.model.write(Bar::Registers, at, &data);
        }
        5 => {
            let len = dice.roll(130);
            let data = dice.bytes(len);
            bench.model.write(Bar::Table, dice.roll(2048).into(), &data);
        }
        6 => {
            bench.fill(pair, add(index, 1 + dice.roll(4)).as_bytes());
            bench.publish(pair);
        }
        7 => {
            let opcode = dice.pick(&[
                Opcode::Nop,
                Opcode::Fence,
                Opcode::Delete,
                Opcode::AddSecond,
                Opcode::Add,
            ]);
            bench.fill(pair, bare(opcode, index * dice.roll(2), dice.roll(3)).as_bytes());
            bench.publish(pair);
        }
        8 => drop(bench.pop_all(pair)),
        9 => {
            let command = update(index, 1, 6);
            bench.stage(index, command.as_bytes());
            bench.ring_direct(pair, index, command.header.cookie.get());
        }
        10 => bench.write_pair(pair, QueuePair::QP_CTRL, dice.roll(2)),
        _ => drop(bench.step(dice.roll(40))),
    }
}

/// One thing that could go wrong.
fn break_something(bench: &mut Bench, dice: &mut Dice) {
    let soon = Trigger::Nth(1 + dice.roll(3));
    let faults = bench.model.faults_mut();
    match dice.roll(5) {
        0 => faults.fail_write = soon,
        1 => faults.fail_read = soon,
        2 => faults.duplicate_completion = soon,
        3 => faults.delay_cycles = dice.roll(20),
        _ => bench.model.configure(FunctionConfig {
            bus_master: dice.roll(2) == 0,
            msix_enable: true,
            msix_mask: false,
        }),
    }
}

fn assert_no_overrun(bench: &mut Bench, pair: u32) {
    let (state, _) = bench.pair_state(pair);
    if state == QpState::Enabled as u32 || state == QpState::Stopping as u32 {
        let told = bench.pair(pair, QueuePair::CQ_HEAD);
        let unconsumed = bench.pair(pair, QueuePair::CQ_TAIL).wrapping_sub(told);
        let size = 1 << (bench.pair(pair, QueuePair::RING_SIZE) >> 8);
        assert!(unconsumed <= size, "R7: {unconsumed} of {size}");
    }
}

#[test]
fn whatever_the_host_does_the_device_stays_whole() {
    let mut dice = Dice(0x1234_5678_9ABC_DEF1);
    for round in 0..500_u16 {
        let mut bench = Bench::running(Params {
            sa_capacity: 16,
            stage_log2: 2,
            direct_log2: (round % 3) as u8,
            queue_pairs: 2,
            ..Params::default()
        });
        for pair in 0..2 {
            bench.enable(Rings {
                pair,
                sq_log2: 1 + dice.roll(4),
                cq_log2: 1 + dice.roll(4),
                start: dice.pick(&[0, 0xFFFF_FF80]),
            });
        }
        for _ in 0..300 {
            let pair = dice.roll(2);
            act(&mut bench, &mut dice, pair);
            if dice.roll(32) == 0 {
                break_something(&mut bench, &mut dice);
            }
            assert_no_overrun(&mut bench, pair);
        }
        bench.model.configure(FunctionConfig {
            bus_master: true,
            msix_enable: true,
            msix_mask: false,
        });
        // The longest timer of COALESCE, and everything that was left.
        bench.step(0x100_0000 + 10_000);
        assert!(!bench.step(100), "round {round} never comes to rest");
    }
}
