// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys: where they are while an SA lives, and that they are nowhere afterwards (R33, D6). The whole
//! memory of this process is searched, so this file is a process of its own and its tests take turns.

#[macro_use]
mod support;

use std::sync::{Mutex, PoisonError};
use support::needle::Needle;
use support::*;

static TURN: Mutex<()> = Mutex::new(());

/// Lets the driver do what it owes, after which it holds so many keys.
#[track_caller]
fn calm<T: Transport>(manager: &SaManager<T>, keys: usize) {
    let is_done = || manager.in_flight() == 0 && manager.stats().keys == keys;
    work_until(manager, "the driver holds the keys that it needs", is_done);
}

#[inline(never)]
fn add<T: Transport>(manager: &SaManager<T>, needle: &Needle, n: u32) -> SaHandle {
    let spec = needle.spec(n);
    let (sa, ticket) = manager.add(&spec).unwrap();
    let _refused = settled(&ticket);
    sa
}

fn a_key_is_kept_in_the_vault_alone_and_goes_with_its_sa<B: Backend>() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (seed, policy) in [(1, PathPolicy::Ring), (2, PathPolicy::Direct)] {
        let needle = Needle::new(seed);
        let (manager, link) = open::<B>(small(), config());
        let inside = B::inside(link.device());
        manager.set_path_policy(policy);
        assert_eq!(needle.places(&inside), [""; 0]);
        let sa = add(&manager, &needle, 1);
        calm(&manager, 1);
        // The positive control: vault and, where the device keeps a key in its row alone, that.
        let live = needle.places(&inside);
        let row = usize::from(inside.is_empty());
        assert_eq!(live.len(), 1 + row, "{policy:?}: {live:#?}");
        done(&manager.delete(sa).unwrap());
        calm(&manager, 0);
        assert_eq!(needle.places(&inside), [""; 0], "{policy:?}: after DELETE");
    }
}

fn no_key_survives_close_or_drop<B: Backend>() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (seed, close) in [(3, true), (4, false)] {
        let needle = Needle::new(seed);
        let (manager, link) = open::<B>(small(), config());
        let inside = B::inside(link.device());
        manager.set_path_policy(PathPolicy::Ring);
        add(&manager, &needle, 1);
        // One more that the device never fetches: its key is in the ring.
        misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
        let (_, ticket) = { manager.add(&needle.spec(2)).unwrap() };
        let row = usize::from(inside.is_empty());
        assert!(needle.places(&inside).len() >= 3 + row, "vault twice, row, ring");
        if close {
            let error = manager.close().unwrap_err();
            assert!(matches!(error, Error::QueuePairTimeout { .. }), "it is stuck: {error}");
            assert_eq!(needle.places(&inside), [""; 0], "after close");
        }
        drop((ticket, manager));
        assert_eq!(needle.places(&inside), [""; 0], "after drop");
    }
}

fn a_failed_add_leaves_no_key<B: Backend>() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let needle = Needle::new(5);
    let (manager, link) = open::<B>(small(), config());
    let inside = B::inside(link.device());
    misbehave!(B, link, |faults| faults.verify_add = Trigger::next());
    add(&manager, &needle, 1);
    calm(&manager, 0);
    assert_eq!(needle.places(&inside), [""; 0], "after VERIFY");
    // Refused at the restore: kept as long as the owner may hope, gone with his DELETE.
    let sa = add(&manager, &needle, 2);
    B::misbehave(link.device(), |faults| faults.verify_add = Trigger::next());
    assert_eq!(manager.recover(Verify::All).unwrap().lost, [sa]);
    assert!(!needle.places(&inside).is_empty());
    done(&manager.delete(sa).unwrap());
    calm(&manager, 0);
    assert_eq!(needle.places(&inside), [""; 0], "after DELETE of a lost SA");
}

fn keys_are_locked_and_not_dumped<B: Backend>() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = hidden_kib();
    let (manager, _) = open::<B>(small(), Config { key_memory: KeyMemory::Locked, ..config() });
    assert!(manager.keys_are_locked());
    // A page each: the vault of 64 SAs, the submission ring, the completion ring.
    assert_eq!(hidden_kib(), before + 3 * 4);
    drop(manager);
    assert_eq!(hidden_kib(), before);
}

/// Memory of this process that is locked, not dumped, and wiped or not there in a forked child.
fn hidden_kib() -> u64 {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut size = 0;
    let mut hidden = 0;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Size:") => size = words.next().unwrap().parse().unwrap(),
            Some("VmFlags:") => {
                let flags: Vec<_> = words.collect();
                let child = flags.contains(&"wf") || flags.contains(&"dc");
                if child && flags.contains(&"lo") && flags.contains(&"dd") {
                    hidden += size;
                }
            }
            _ => {}
        }
    }
    hidden
}

fn nothing_that_is_printed_holds_a_key<B: Backend>() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (manager, _) = open::<B>(small(), config());
    let spec = SaSpec { keys: KeyMaterial::new([0xA5; 4], &[0xA5; 32]).unwrap(), ..esp(1) };
    let (sa, ticket) = manager.add(&spec).unwrap();
    let printed = [
        format!("{spec:?} {:?} {sa:?}", spec.keys),
        format!("{:?} {}", settled(&ticket), settled(&ticket)),
        format!("{:?} {:?}", manager.read_table(), manager.stats()),
        format!("{:?}", manager.diff()),
    ];
    for text in printed {
        for key in ["a5a5", "A5A5", "165, 165"] {
            assert!(!text.contains(key), "{text}");
        }
    }
}

on_every_backend!(
    a_key_is_kept_in_the_vault_alone_and_goes_with_its_sa,
    no_key_survives_close_or_drop,
    a_failed_add_leaves_no_key,
    keys_are_locked_and_not_dumped,
    nothing_that_is_printed_holds_a_key,
);
