// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the RTL has fetched and not executed when its pair fails: it is dropped (R26), and its credit
//! comes back.

mod common;

use common::cmd::esp;
use common::{Cmd, Fault, QpState, Rig, Rtl, Shape};

/// A write of completions fails once these are on their way; gives the cookies of what was executed.
fn fail_under_way(rig: &mut Rig<Rtl>, cmds: &[Cmd]) -> Vec<u32> {
    let _before = rig.trace();
    assert!(rig.inject(Fault::FailedWrite));
    cmds.iter().for_each(|cmd| rig.pairs[0].put(cmd));
    rig.pairs[0].ring();
    rig.pairs[0].await_state(QpState::Error);
    rig.settle();
    let executed = rig.trace().expect("the RTL tells");
    executed.iter().map(|took| took.cookie).collect()
}

/// The pair begins again, and takes as much as before.
fn begins_again(rig: &mut Rig<Rtl>) {
    rig.pairs[0].disable();
    rig.pairs.clear();
    rig.open(Shape::default());
    for _ in 0..4 {
        let nops: Vec<Cmd> = (0..64).map(|_| rig.stamp(Cmd::nop())).collect();
        assert_eq!(rig.pairs[0].run_all(&nops).len(), 64);
    }
    rig.assert_quiet();
}

#[test]
fn what_waits_behind_a_fence_goes_with_its_pair() {
    let mut rig = Rig::<Rtl>::new();
    let sa = esp(3, 7);
    rig.add(&sa);
    let before = rig.top(3);
    let cmds = [Cmd::nop(), Cmd::fence(), Cmd::top(&sa, 5, 6), Cmd::nop()];
    let cmds = cmds.map(|cmd| rig.stamp(cmd));
    assert_eq!(fail_under_way(&mut rig, &cmds), [cmds[0].cookie()]);
    assert_eq!(rig.top(3), before);
    begins_again(&mut rig);
}
