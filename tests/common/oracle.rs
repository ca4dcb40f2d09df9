// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a device must answer, said a second time: from the words of the contract, over whole
//! numbers. A sequence number is one integer here and a half is a quotient or a remainder of it, so
//! that a mistake in gluing halves together cannot be made twice.

mod entry;
mod fields;

use super::cmd::{Cmd, digest_of};
use super::pair::Path;
use entry::{Entry, LAP};
use esnic_abi::regs::global::{ALGS, FEATURES};
use esnic_abi::{Add, LiveView, Opcode, Params, SlotState, Status, Update, UpdateMode};
use fields::{all_zero, well_formed};
use zerocopy::{FromBytes, IntoBytes};

pub use entry::nearest;

/// A row of the table.
#[derive(Clone, Copy, Default)]
struct Row {
    generation: u32,
    entry: Option<Entry>,
}

/// What the completion must say, and the record if one is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub status: Status,
    pub result: u64,
    pub opcode: u8,
    pub lo_valid: bool,
    pub changed: bool,
    pub record: Option<[u8; 128]>,
}

/// An answer without the opcode.
#[derive(Clone, Copy, Default)]
struct Answer {
    result: u64,
    lo_valid: bool,
    changed: bool,
}

type Verdict = Result<Answer, (Status, Answer)>;

/// A status with result 0.
fn plain(status: Status) -> (Status, Answer) {
    (status, Answer::default())
}

/// A status that tells which generation the slot remembers.
fn held(status: Status, generation: u32) -> (Status, Answer) {
    let result = generation.into();
    (status, Answer { result, ..Answer::default() })
}

fn ensure(good: bool, status: Status) -> Result<(), (Status, Answer)> {
    if good { Ok(()) } else { Err(plain(status)) }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The table of one device while it runs.
pub struct Oracle {
    params: Params,
    epoch: u16,
    rows: Vec<Row>,
}

impl Oracle {
    pub fn new(params: Params, epoch: u16) -> Self {
        let rows = vec![Row::default(); params.sa_capacity as usize];
        Self { params, epoch, rows }
    }

    /// What slot `index` shows.
    pub fn view(&self, index: u32) -> LiveView {
        let row = &self.rows[index as usize];
        let free = LiveView { state: SlotState::Free as u8, ..LiveView::default() };
        LiveView {
            index: index.into(),
            generation: row.generation.into(),
            ..row.entry.map_or(free, |entry| entry.view())
        }
    }

    fn offers(&self, field: esnic_abi::layout::Field) -> bool {
        field.is_set(self.params.features)
    }

    /// Executes a command. `staged`: on the direct path, whether slot, doorbell and written dwords
    /// agree (R17).
    pub fn execute(&mut self, path: Path, cmd: &Cmd, staged: bool) -> Expected {
        let verdict = if path == Path::Direct && !staged {
            Err(plain(Status::Stage))
        } else {
            self.judge(path, cmd)
        };
        let (status, answer) = match verdict {
            Ok(answer) => (Status::Ok, answer),
            Err(bad) => bad,
        };
        let asks_record = cmd.opcode() == Opcode::Query as u8 && cmd.bytes()[1] & 1 == 1;
        Expected {
            status,
            result: answer.result,
            opcode: match status {
                Status::Stage => 0,
                _ => cmd.opcode() & 0x1F,
            },
            lo_valid: answer.lo_valid,
            changed: answer.changed,
            record: (status == Status::Ok && asks_record).then(|| self.record(cmd.index())),
        }
    }

    fn record(&self, index: u32) -> [u8; 128] {
        let mut record = [0; 128];
        record[..88].copy_from_slice(&self.view(index).as_bytes()[..88]);
        record
    }

    /// §4.7, from top to bottom.
    fn judge(&mut self, path: Path, cmd: &Cmd) -> Verdict {
        let bytes = cmd.bytes();
        let opcode = Opcode::from_code(bytes[0]).filter(|o| self.takes(path, *o));
        let opcode = opcode.ok_or(plain(Status::BadOpcode))?;
        ensure(cmd.header().epoch.get() == self.epoch, Status::BadEpoch)?;
        if opcode == Opcode::Add {
            let second = &bytes[64..72];
            let fits = second[0] == 0x11 && second[2..8] == bytes[2..8];
            ensure(fits, Status::BadPair)?;
        }
        ensure(bytes[7] & 0x80 == 0, Status::BadField)?;
        match opcode {
            Opcode::Nop | Opcode::Fence => {
                let good = bytes[1] == 0 && all_zero(&bytes[8..]);
                ensure(good, Status::BadField).map(|()| Answer::default())
            }
            Opcode::Add => self.add(cmd.as_record()),
            Opcode::Update => self.update(cmd.as_record()),
            Opcode::Update4 => self.update4(cmd),
            Opcode::Delete => self.delete(cmd),
            Opcode::Query => self.query(cmd),
            Opcode::Resolve => self.resolve(cmd),
            Opcode::AddSecond => Err(plain(Status::BadOpcode)),
        }
    }

    fn takes(&self, path: Path, opcode: Opcode) -> bool {
        let ring_only = matches!(opcode, Opcode::Nop | Opcode::Fence | Opcode::Update4);
        let offered = match opcode {
            Opcode::Update4 => self.offers(FEATURES::UPDATE4),
            Opcode::Resolve => self.offers(FEATURES::PROBE),
            Opcode::AddSecond => false,
            _ => true,
        };
        offered && !(ring_only && path == Path::Direct)
    }

    /// The live entry that a handle names.
    fn find(&mut self, index: u32, generation: u32) -> Result<&mut Entry, (Status, Answer)> {
        let row = self.rows.get_mut(index as usize);
        let row = row.ok_or(plain(Status::BadIndex))?;
        let remembered = row.generation;
        let entry = row.entry.as_mut().ok_or(held(Status::Empty, remembered))?;
        if generation == remembered { Ok(entry) } else { Err(held(Status::Stale, remembered)) }
    }

    fn add(&mut self, add: Add) -> Verdict {
        ensure(well_formed(&add), Status::BadField)?;
        let index = add.header.index.get();
        ensure(index < self.params.sa_capacity, Status::BadIndex)?;
        ensure(self.supports(&add), Status::Unsupported)?;
        let row = &mut self.rows[index as usize];
        if row.entry.is_some() {
            return Err(held(Status::Occupied, row.generation));
        }
        let generation = add.header.generation.get();
        let ahead = (u64::from(generation) + LAP - u64::from(row.generation)) % LAP;
        if row.generation != 0 && !(1..LAP / 2).contains(&ahead) {
            return Err(held(Status::OldGeneration, row.generation));
        }
        let entry = Entry {
            add,
            top: u64::from(add.hi.get()) * LAP + u64::from(add.lo.get()),
            known: add.second_flags == 1,
        };
        row.generation = generation;
        row.entry = Some(entry);
        Ok(Answer { result: digest_of(&entry.view()), lo_valid: entry.known, changed: true })
    }

    fn supports(&self, add: &Add) -> bool {
        let pick = |code: u8, first, second| if code == 1 { first } else { second };
        let icv = match add.icv_len {
            8 => ALGS::ICV_8,
            12 => ALGS::ICV_12,
            _ => ALGS::ICV_16,
        };
        let udp = match add.udp_encap {
            0 => true,
            1 => self.offers(FEATURES::UDP_TRANSPORT),
            2 => self.offers(FEATURES::UDP_TUNNEL),
            _ => false,
        };
        let protocol = pick(add.protocol, FEATURES::AH, FEATURES::ESP);
        let mode = pick(add.mode, FEATURES::TRANSPORT, FEATURES::TUNNEL);
        let family = pick(add.family - 3, FEATURES::IPV4, FEATURES::IPV6);
        let extended = add.sa_flags.get() == 0 || self.offers(FEATURES::ESN);
        let algorithm =
            (self.params.algs >> add.algorithm) & 1 == 1 && icv.is_set(self.params.algs);
        let window = add.replay_window.get() <= self.params.max_window;
        let features = self.offers(protocol) && self.offers(mode) && self.offers(family);
        features && udp && extended && algorithm && window
    }

    fn update(&mut self, update: Update) -> Verdict {
        let flags = update.header.flags;
        let (cas, monotone) = (flags & 1 == 1, flags & 2 == 2);
        let mode = UpdateMode::from_code(update.mode).ok_or(plain(Status::BadField))?;
        let (hi, lo) = (update.hi.get(), update.lo.get());
        let well_formed = flags & !3 == 0
            && update.header.generation.get() != 0
            && matches!(update.protocol, 1 | 2)
            && update.rsvd0.get() == 0
            && (lo == 0 || mode == UpdateMode::Top)
            && (update.expected_hi.get() == 0 || cas)
            && all_zero(&update.rsvd1);
        ensure(well_formed, Status::BadField)?;
        let header = update.header;
        let entry = self.find(header.index.get(), header.generation.get())?;
        ensure(entry.add.protocol == update.protocol, Status::WrongProto)?;
        ensure(entry.add.spi == update.spi, Status::WrongSpi)?;
        let before = entry.stands(false);
        let plain_top = mode == UpdateMode::Top && hi == 0 && !cas;
        if !entry.extended() && !plain_top {
            return Err((Status::NotEsn, before));
        }
        if cas && entry.top / LAP != u64::from(update.expected_hi.get()) {
            return Err((Status::Conflict, before));
        }
        let backward = match mode {
            UpdateMode::Top => u64::from(hi) * LAP + u64::from(lo) < entry.top,
            UpdateMode::Hi | UpdateMode::Resync => u64::from(hi) < entry.top / LAP,
        };
        if monotone && backward {
            return Err((Status::Backward, before));
        }
        entry.move_to(mode, hi, lo);
        let after = entry.stands(false);
        let changed = (after.result, after.lo_valid) != (before.result, before.lo_valid);
        Ok(Answer { changed, ..after })
    }

    fn update4(&mut self, cmd: &Cmd) -> Verdict {
        let bytes = cmd.bytes();
        let (count, step) = (usize::from(bytes[1] & 7), bytes[1] & 8 == 8);
        let well_formed = bytes[1] & 0xF0 == 0
            && (1..=4).contains(&count)
            && all_zero(&bytes[8..16])
            && all_zero(&bytes[16 + 12 * count..]);
        ensure(well_formed, Status::BadField)?;
        let mut result = [0; 8];
        for k in 0..count {
            let at = 16 + 12 * k;
            let item = [0, 4, 8].map(|byte| word(bytes, at + byte));
            match self.item(item, step) {
                Ok(changed) => result[4] |= u8::from(changed) << k,
                Err(status) => result[k] = status as u8,
            }
        }
        let answer =
            Answer { result: u64::from_le_bytes(result), lo_valid: false, changed: result[4] != 0 };
        if all_zero(&result[..4]) { Ok(answer) } else { Err((Status::Items, answer)) }
    }

    fn item(&mut self, [index, generation, hi]: [u32; 3], step: bool) -> Result<bool, Status> {
        if generation == 0 {
            return Err(Status::BadField);
        }
        let entry = self.find(index, generation).map_err(|(status, _)| status)?;
        if !entry.extended() {
            return Err(Status::NotEsn);
        }
        if step && entry.top / LAP + 1 != u64::from(hi) {
            return Err(Status::Conflict);
        }
        let before = (entry.top, entry.known);
        entry.move_to(UpdateMode::Hi, hi, 0);
        Ok(before != (entry.top, entry.known))
    }

    fn delete(&mut self, cmd: &Cmd) -> Verdict {
        let (bytes, header) = (cmd.bytes(), cmd.header());
        let (index, generation) = (header.index.get(), header.generation.get());
        let good = bytes[1] == 0 && generation != 0 && all_zero(&bytes[16..]);
        ensure(good, Status::BadField)?;
        let result = self.find(index, generation)?.top;
        self.rows[index as usize].entry = None;
        Ok(Answer { result, lo_valid: false, changed: true })
    }

    fn query(&mut self, cmd: &Cmd) -> Verdict {
        let (bytes, header) = (cmd.bytes(), cmd.header());
        let (index, generation) = (header.index.get(), header.generation.get());
        let (record, any) = (bytes[1] & 1 == 1, bytes[1] & 2 == 2);
        let address = u64::read_from_bytes(&bytes[16..24]).expect("eight bytes");
        let good = bytes[1] & !3 == 0
            && (generation == 0) == any
            && address.is_multiple_of(128)
            && (record || address == 0)
            && all_zero(&bytes[24..]);
        ensure(good, Status::BadField)?;
        ensure(index < self.params.sa_capacity, Status::BadIndex)?;
        let offered = !record || self.offers(FEATURES::RECORD);
        ensure(offered, Status::Unsupported)?;
        if any {
            let entry = self.rows[index as usize].entry;
            return Ok(entry.map_or(Answer::default(), |entry| entry.stands(false)));
        }
        self.find(index, generation).map(|entry| entry.stands(false))
    }

    fn resolve(&mut self, cmd: &Cmd) -> Verdict {
        let (bytes, header) = (cmd.bytes(), cmd.header());
        let (index, generation) = (header.index.get(), header.generation.get());
        let commit = bytes[1] & 1 == 1;
        let good = bytes[1] & !1 == 0 && generation != 0 && all_zero(&bytes[20..]);
        ensure(good, Status::BadField)?;
        ensure(index < self.params.sa_capacity, Status::BadIndex)?;
        let offered = !commit || self.offers(FEATURES::PROBE_COMMIT);
        ensure(offered, Status::Unsupported)?;
        let entry = self.find(index, generation)?;
        let before = (entry.top, entry.known);
        let number = entry.resolve(word(bytes, 16));
        if commit {
            entry.authenticated(number);
        }
        Ok(Answer {
            result: number,
            lo_valid: entry.known,
            changed: before != (entry.top, entry.known),
        })
    }
}
