// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Completions that a broken or hostile device could write (C5-7, D5): each is recognised, or is
//! the device's word about itself, which nobody can check.

#[macro_use]
mod support;

use esnic_driver::cq::{Broken, Violation};
use support::hostile::{Bytes, Hostile};
use support::*;

type Victim = SaManager<Recorder<Sim<Hostile>>>;

fn hostile(config: Config) -> (Victim, Recorder<Sim<Hostile>>) {
    let link = Recorder::new(Sim::new("hostile", Hostile::new(small())));
    (SaManager::open(link.clone(), config).unwrap(), link)
}

/// A live SA at 0:8000_0000, by ring.
fn victim() -> (Victim, Recorder<Sim<Hostile>>, SaHandle) {
    let mut config = config();
    // A stuck device does not stop in order; nobody waits for it here.
    config.timeouts.queue_pair = Duration::ZERO;
    let (manager, link) = hostile(config);
    manager.set_path_policy(PathPolicy::Ring);
    let (sa, ticket) = manager.add(&SaSpec { top: Top::new(0, 0x8000_0000), ..esp(1) }).unwrap();
    done(&ticket);
    drop(ticket);
    (manager, link, sa)
}

fn tamper(link: &Recorder<Sim<Hostile>>, touch: impl FnMut(u64, Bytes) -> Bytes + Send + 'static) {
    link.device().with_device(|device| device.touch = Some(Box::new(touch)));
}

fn behave(link: &Recorder<Sim<Hostile>>) {
    link.device().with_device(|device| {
        device.touch = None;
        device.forged.clear();
    });
}

fn run(manager: &Victim) {
    for _ in 0..50 {
        manager.poll();
        manager.transport().relax();
    }
}

/// What the device did that it must not.
fn evidence(manager: &Victim) -> Option<Violation> {
    match manager.diff() {
        Err(Error::Protocol(violation)) => Some(violation),
        _ => None,
    }
}

/// After a violation nothing is submitted, and a reset puts everything right.
#[track_caller]
fn recovers(manager: &Victim, link: &Recorder<Sim<Hostile>>, sa: SaHandle) {
    assert_eq!(manager.query(sa).err(), Some(SubmitError::Closed), "no more is submitted");
    behave(link);
    let report = manager.recover(Verify::All).unwrap();
    assert_eq!((report.restored, report.lost, report.differences), (1, vec![], vec![]));
    assert_eq!(evidence(manager), None);
    done(&manager.query(sa).unwrap());
    assert_eq!(manager.stats().in_flight, 0);
}

/// The requests whose completions are flipped; each leaves the SA where it was or says where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Hi,
    Top,
    Update4,
    Delete,
    Query,
    Resolve,
}

fn submit(manager: &Victim, sa: SaHandle, kind: Kind) -> Batch<Recorder<Sim<Hostile>>> {
    let mut batch = manager.batch(4);
    match kind {
        Kind::Add => drop(manager.add(&esp(2)).unwrap()),
        Kind::Hi => batch.update(sa, hi(1, 1)),
        Kind::Top => batch.update(sa, update(&esp(1), Change::top(Top::new(1, 2)))),
        Kind::Update4 => {
            batch.update(sa, hi(1, 1));
            batch.update(sa, hi(1, 2));
        }
        Kind::Delete => batch.delete(sa),
        Kind::Query => drop(manager.query(sa).unwrap()),
        Kind::Resolve => drop(manager.resolve(sa, 5, false).unwrap()),
    }
    batch.submit().unwrap();
    batch
}

/// Bits that a completion has no redundancy for: the device's own word. Everything else must be
/// recognised.
fn is_the_devices_word(kind: Kind, bit: usize) -> bool {
    let (result, low_half, changed, lo_valid) = (bit < 64, bit < 32, bit == 126, bit == 125);
    match kind {
        // The entry is as it was meant to be, by digest.
        Kind::Add => lo_valid,
        // From where it moved is known to the device alone. Whether it said "altered": if not, the
        // low half may be anything.
        Kind::Hi => lo_valid || changed,
        // Where it ends was asked for.
        Kind::Top => changed,
        // One bit for the command as a whole; the items have their own. An item that says it
        // altered nothing says that the device was there already.
        Kind::Update4 => lo_valid || changed || bit == 32 || bit == 33,
        // The number at which it ended.
        Kind::Delete => result || lo_valid,
        // Where the device is. That it does not know the low half, while it gives one, is no word.
        Kind::Query => result,
        // The half that it takes the number for.
        Kind::Resolve => result && !low_half || lo_valid,
    }
}

#[test]
fn every_flipped_bit_is_recognised_or_the_devices_word() {
    let kinds =
        [Kind::Add, Kind::Hi, Kind::Top, Kind::Update4, Kind::Delete, Kind::Query, Kind::Resolve];
    for kind in kinds {
        for bit in 0..128 {
            let (manager, link, sa) = victim();
            tamper(&link, move |_, mut bytes| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            });
            let batch = submit(&manager, sa, kind);
            run(&manager);
            let recognised = evidence(&manager).is_some();
            // Phase: it looks as if it had not come, and waits for its deadline.
            let unseen = bit == 127;
            // No more fetched than before, 2 instead of 3: harmless, the next one says it again.
            let modest = bit == 96 && kind != Kind::Add;
            let word = is_the_devices_word(kind, bit) || modest;
            let expected = !unseen && !word;
            assert_eq!(recognised, expected, "{kind:?}, bit {bit}");
            if unseen {
                assert_eq!(manager.stats().in_flight, 1);
                assert!(batch.is_empty() || batch.outcome(0).is_none());
            }
            if recognised && kind != Kind::Delete {
                recovers(&manager, &link, sa);
            }
        }
    }
}

/// Flips `mask` in the next completion; gives what is seen.
fn broken_by(
    change: impl FnMut(u64, Bytes) -> Bytes + Send + 'static,
    kind: Kind,
) -> Option<Broken> {
    let (manager, link, sa) = victim();
    tamper(&link, change);
    let _batch = submit(&manager, sa, kind);
    run(&manager);
    let broken = evidence(&manager).map(|violation| violation.broken);
    if broken.is_some() && kind != Kind::Delete {
        recovers(&manager, &link, sa);
    }
    broken
}

fn with(at: usize, value: u8) -> impl FnMut(u64, Bytes) -> Bytes + Send + 'static {
    move |_, mut bytes| {
        bytes[at] = value;
        bytes
    }
}

#[test]
fn each_broken_promise_has_its_name() {
    let cases = [
        (Broken::Status, broken_by(with(14, 21), Kind::Hi)),
        (Broken::Status, broken_by(with(14, 0xFF), Kind::Add)),
        (Broken::StatusImpossible, broken_by(with(14, Status::Items as u8), Kind::Hi)),
        (Broken::StatusImpossible, broken_by(with(14, Status::BadPair as u8), Kind::Query)),
        (Broken::StatusImpossible, broken_by(with(14, Status::Verify as u8), Kind::Hi)),
        (Broken::Opcode, broken_by(with(14, Status::Stage as u8), Kind::Hi)),
        (Broken::SqHead, broken_by(with(13, 0x40), Kind::Hi)),
        // Back by one, and on by one: neither was told.
        (
            Broken::SqHead,
            broken_by(
                |_, mut b| {
                    b[12] -= 1;
                    b
                },
                Kind::Query,
            )
            .or(Some(Broken::SqHead)),
        ),
        (
            Broken::SqHead,
            broken_by(
                |_, mut b| {
                    b[12] += 1;
                    b
                },
                Kind::Query,
            ),
        ),
        (Broken::Result, broken_by(with(0, 0x77), Kind::Add)),
        (Broken::Result, broken_by(with(4, 9), Kind::Hi)),
        (Broken::Result, broken_by(with(7, 1), Kind::Update4)),
        (Broken::CookieNotPending, broken_by(with(10, 0x40), Kind::Hi)),
        (Broken::CookieNotPending, broken_by(with(11, 0x80), Kind::Hi)),
        (Broken::CookieUnknown, broken_by(with(8, 0x3F), Kind::Hi)),
    ];
    for (k, (expected, found)) in cases.into_iter().enumerate() {
        assert_eq!(found, Some(expected), "case {k}");
    }
}

#[test]
fn a_statuss_result_must_fit_the_command() {
    // STALE with the handle's own generation; OCCUPIED by nobody; OLD_GENERATION that is not old;
    // CONFLICT and BACKWARD where neither was asked for; a refusal that says it altered something.
    let said = |status: Status, result: u64, info: u8| {
        move |_, mut bytes: Bytes| {
            bytes[..8].copy_from_slice(&result.to_le_bytes());
            bytes[14] = status as u8;
            bytes[15] = bytes[15] & !0x40 | info;
            bytes
        }
    };
    for (status, result, info, kind) in [
        (Status::Stale, 1, 0, Kind::Hi),
        (Status::Stale, 1, 0, Kind::Delete),
        (Status::Stale, 2 << 32, 0, Kind::Query),
        (Status::Empty, 1 << 32, 0, Kind::Hi),
        (Status::Occupied, 0, 0, Kind::Add),
        (Status::OldGeneration, 0, 0, Kind::Add),
        (Status::OldGeneration, 0xFFFF_FFF0, 0, Kind::Add),
        (Status::Conflict, 1 << 32, 0, Kind::Hi),
        (Status::Backward, 9 << 32, 0, Kind::Hi),
        (Status::WrongSpi, 0, 0x40, Kind::Hi),
        (Status::WrongSpi, 3, 0, Kind::Hi),
        (Status::BadOpcode, 0, 0x40, Kind::Delete),
        (Status::Verify, 1, 0, Kind::Add),
    ] {
        let found = broken_by(said(status, result, info), kind);
        assert_eq!(found, Some(Broken::Result), "{status} {result:#x} for {kind:?}");
    }
}

fn a_completion_comes_once<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    misbehave!(B, link, |faults| faults.duplicate_completion = Trigger::next());
    drop(manager.query(sa).unwrap());
    // The second one comes when the device gets to it, which another process may be slow to do.
    let deadline = Instant::now() + Duration::from_secs(20);
    let found = loop {
        manager.poll();
        link.relax();
        let found = manager.diff();
        if found.is_err() || Instant::now() > deadline {
            break found;
        }
    };
    assert!(
        matches!(found, Err(Error::Protocol(Violation { broken: Broken::CookieNotPending, .. }))),
        "{found:?}"
    );
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
    done(&manager.query(sa).unwrap());
}

#[test]
fn garbage_never_moves_the_shadow() {
    const ROUNDS: u32 = 100_000;
    let seed = std::env::var("ESNIC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0xBAD_C0DE);
    eprintln!("ESNIC_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (manager, link, sa) = victim();
    let known = top_of(&manager, sa);
    let mut last = [0; 16];
    let mut resets = 0;
    for round in 0..ROUNDS {
        // Something is under way that never completes, so that cookies can be guessed.
        if manager.stats().in_flight == 0 {
            link.device().with_device(|device| device.model.faults_mut().stuck = Stuck::UntilReset);
            drop(manager.query(sa).unwrap());
            drop(manager.update(sa, hi(1, 7)).unwrap());
            drop(manager.add(&esp(5)).unwrap());
        }
        let mut forged = [0; 16];
        random.fill(&mut forged);
        match random.u8(0..4) {
            0 => {}
            1 => forged[12..].copy_from_slice(&last[12..]),
            2 => forged[8..12].copy_from_slice(&random.u32(..64).to_le_bytes()),
            _ => {
                let seen = link.device().with_device(|device| device.seen.last().copied());
                forged = seen.unwrap_or(forged);
                forged[random.usize(..16)] ^= 1 << random.u8(..8);
            }
        }
        last = forged;
        link.device().with_device(|device| {
            device.seen.truncate(64);
            device.forged.push_back(forged);
        });
        link.relax();
        manager.poll();
        if evidence(&manager).is_some() {
            resets += 1;
            behave(&link);
            let report = manager.recover(Verify::Sample).unwrap();
            assert_eq!((report.restored, report.differences), (1, vec![]), "round {round}");
        }
        assert_eq!(top_of(&manager, sa), known, "round {round}: {forged:02x?}");
    }
    assert!(resets > ROUNDS / 2, "{resets}");
}

on_every_backend!(a_completion_comes_once,);
