// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Captures that are damaged by chance, and what may be in a device after one of them.

use super::truth::{Aead, replay_esn, replay_legacy, sa};
use super::wire::{self, all_messages, attributes, records};
use super::{File, Follow, Nic, Sa};
use esnic::sync::Report;
use esnic_abi::{Mode, Protocol};
use esnic_driver::{KeyMaterial, Row};
use std::collections::{HashMap, HashSet};

/// The SA's key and salt as the driver takes them.
pub fn material(sa: &Sa) -> KeyMaterial {
    let (key, salt) = sa.aead.as_ref().unwrap().key.split_last_chunk().unwrap();
    KeyMaterial::new(*salt, key).unwrap()
}

/// A damaged capture and how to follow it; the same for the same seed.
pub fn damaged(seed: u64, pool: &[File]) -> (Vec<u8>, Follow) {
    let mut random = fastrand::Rng::with_seed(seed);
    let file = &pool[random.usize(..pool.len())];
    let mut data = file.data.clone();
    for _ in 0..random.usize(1..=6) {
        if data.is_empty() {
            break;
        }
        let at = random.usize(..data.len());
        let end = data.len().min(at + random.usize(1..=40));
        match random.u8(..10) {
            0 | 1 => data[at] ^= 1 << random.u8(..8),
            2 => data[at] = *random.choice(&[0, 1, 0x7F, 0x80, 0xFF]).unwrap(),
            3 => data[at..end].iter_mut().for_each(|byte| *byte = random.u8(..)),
            4 => data.truncate(at.max(data.len() / 2)),
            5 => drop(data.drain(at..end)),
            6 => {
                let other = &pool[random.usize(..pool.len())].data;
                let begin = random.usize(..other.len());
                let piece = &other[begin..other.len().min(begin + random.usize(1..=600))];
                data.splice(at..at, piece.iter().copied());
            }
            7 => length_field(&mut data, &mut random),
            _ => whole_records(&mut data, pool, &mut random),
        }
    }
    let how = Follow {
        locals: if random.bool() { file.addresses() } else { Vec::new() },
        until: random.bool().then(|| random.u64(1..200)),
        no_dumps: random.bool(),
    };
    (data, how)
}

/// Damages the length of a record, of a message, or of an attribute.
fn length_field(data: &mut [u8], random: &mut fastrand::Rng) {
    let Some(record) = random.choice(records(data)) else {
        return;
    };
    let begin = record.begin;
    let message = begin + 32;
    let fields =
        [begin + 8, begin + 12, message, message + 16 + 224, message + 16 + 24, message + 16 + 48];
    let value = match random.u8(..4) {
        0 => random.u32(..),
        1 => random.u32(..40),
        2 => u32::MAX - random.u32(..40),
        _ => ((record.end - begin) as u32).wrapping_add(random.u32(..64)).wrapping_sub(48),
    };
    let at = *random.choice(&fields).unwrap();
    let width = if random.bool() { 2 } else { 4 };
    if let Some(field) = data.get_mut(at..at + width) {
        field.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Repeats a record, moves it, drops it, or brings in another capture's: all are whole, but the
/// story is not.
fn whole_records(data: &mut Vec<u8>, pool: &[File], random: &mut fastrand::Rng) {
    let places: Vec<_> = records(data).iter().map(|record| (record.begin, record.end)).collect();
    let (Some(from), Some(to)) = (random.choice(&places), random.choice(&places)) else {
        return;
    };
    let piece = data[from.0..from.1].to_vec();
    match random.u8(..4) {
        0 => drop(data.splice(to.0..to.0, piece)),
        1 => drop(data.drain(from.0..from.1)),
        2 => {
            data.splice(to.1..to.1, piece);
            let moved = if to.1 <= from.0 { piece_len(*from) } else { 0 };
            data.drain(from.0 + moved..from.1 + moved);
        }
        _ => {
            let other = &pool[random.usize(..pool.len())].data;
            if let Some(record) = random.choice(records(other)) {
                data.splice(to.0..to.0, other[record.begin..record.end].iter().copied());
            }
        }
    }
}

fn piece_len((begin, end): (usize, usize)) -> usize {
    end - begin
}

/// Everything that a capture says of SAs, true or not: a device may hold nothing else.
#[derive(Default)]
pub struct Said {
    sas: HashMap<u32, Vec<Sa>>,
    tops: HashSet<(u32, u64)>,
    ports: HashSet<(u32, Option<(u16, u16)>)>,
}

impl Said {
    pub fn by(data: &[u8]) -> Self {
        let mut said = Self::default();
        for message in all_messages(data) {
            match message.kind {
                wire::NEWSA | wire::UPDSA => {
                    if let Some(sa) = sa(message.body) {
                        said.number(sa.spi, sa.out, sa.inn);
                        let ports = sa.encap.map(|(_, src, dst)| (src, dst));
                        said.ports.insert((sa.spi, ports));
                        said.sas.entry(sa.spi).or_default().push(sa);
                    }
                }
                wire::NEWAE => said.numbers(message.body),
                _ => {}
            }
        }
        said
    }

    fn number(&mut self, spi: u32, out: u64, inn: u64) {
        for top in [out, inn] {
            self.tops.extend([(spi, top), (spi, top & 0xFFFF_FFFF)]);
        }
    }

    fn numbers(&mut self, body: &[u8]) {
        let (Some(id), Some(extras)) = (body.get(16..20), body.get(48..)) else {
            return;
        };
        let spi = u32::from_be_bytes(id.try_into().unwrap());
        for (kind, value) in attributes(extras) {
            let numbers = match kind {
                10 => replay_legacy(value),
                23 => replay_esn(value).map(|(out, inn, _)| (out, inn)),
                _ => None,
            };
            if let Some((out, inn)) = numbers {
                self.number(spi, out, inn);
            }
        }
    }

    /// Panics if a row of the report is not, in every field and in its key, one SA that a message
    /// spelled out.
    pub fn all_of(&self, nic: &Nic, report: &Report) {
        for row in &report.rows {
            let spi = row.spi.0;
            let is_it =
                |sa: &&Sa| is_row(sa, row) && nic.manager.has_keys(row.handle, &material(sa));
            let whole = self.sas.get(&spi).into_iter().flatten().find(is_it);
            assert!(whole.is_some(), "nothing says this of an SA: {row:?}");
            assert!(self.tops.contains(&(spi, row.top.0)), "nothing says this number: {row:?}");
            let ports = row.udp.map(|(_, src, dst)| (src, dst));
            assert!(self.ports.contains(&(spi, ports)), "nothing says these ports: {row:?}");
        }
    }
}

fn is_row(sa: &Sa, row: &Row) -> bool {
    let name: &[u8] =
        if row.algorithm.is_gmac() { b"rfc4543(gcm(aes))" } else { b"rfc4106(gcm(aes))" };
    let key_len = row.algorithm.key_len_bytes() + 4;
    let fits = |aead: &Aead| {
        aead.name == name
            && aead.key.len() == key_len
            && aead.icv_bits == 8 * u32::from(row.icv_len)
    };
    let proto = match row.protocol {
        Protocol::Esp => 50,
        Protocol::Ah => 51,
    };
    (sa.proto, sa.src, sa.dst, sa.esn, sa.window)
        == (proto, row.src, row.dst, row.esn, row.replay_window.into())
        && sa.mode == u8::from(row.mode == Mode::Tunnel)
        && sa.encap.is_some() == row.udp.is_some()
        && sa.aead.as_ref().is_some_and(fits)
}
