// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Histories of concurrent requests: how many to record, and whether one has a legal order.

use super::thin::rounds;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::fmt::Debug;

/// What a thread did: that it asks, or what it was told. What is never told may have happened at any
/// time since, or not at all; its thread asks for nothing else then.
pub type Event<S> = (usize, Result<<S as SequentialSpec>::Op, <S as SequentialSpec>::Ret>);

/// Whether there is an order in which all answers are right.
pub fn is_linearizable<S>(start: &S, events: &[Event<S>]) -> bool
where
    S: Clone + SequentialSpec,
    S::Op: Copy + Debug,
    S::Ret: Copy + Debug + PartialEq,
{
    let mut tester = LinearizabilityTester::new(start.clone());
    for &(thread, event) in events {
        match event {
            Ok(ask) => tester.on_invoke(thread, ask).expect("one at a time"),
            Err(answer) => tester.on_return(thread, answer).expect("it was asked"),
        };
    }
    tester.is_consistent()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many histories of `each` commands to record, and what chooses them: `ESNIC_OPS` says about how many
/// commands, `ESNIC_SEED` which. The seed is printed.
pub fn course(backend: &str, each: usize) -> (u64, fastrand::Rng) {
    let usual = match backend {
        "model" => 10_000,
        _ => 1_000,
    };
    let asked = number("ESNIC_OPS").map(|ops| ops.div_ceil(each as u64));
    let count = asked.unwrap_or_else(|| rounds(usual).into());
    let seed = number("ESNIC_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    eprintln!("ESNIC_SEED={seed}, {count} histories");
    (count, fastrand::Rng::with_seed(seed))
}
