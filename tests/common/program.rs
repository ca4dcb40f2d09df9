// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random programs: commands that mostly make sense, on both paths, from one to eight threads, and
//! their comparison with the oracle.

pub mod imagine;
pub mod verdict;
mod worker;

use super::backend::Backend;
use super::oracle::Oracle;
use super::pair::{Done, Path, Shape};
use super::rig::Rig;
use super::{Cmd, Params};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use verdict::Judge;
use worker::Worker;

/// Commands of one worker between two comparisons.
const ROUND: usize = 4096;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Tells the programs of different tests apart.
    pub name: &'static str,
    /// Commands in all.
    pub ops: usize,
    pub params: Params,
    pub shape: Shape,
    /// SA slots that the program uses, spread over the table.
    pub handles: u32,
    pub threads: u32,
    /// Generation from which the slots start.
    pub generation: u32,
}

/// A command that ran, and what came back.
#[derive(Clone, Copy)]
pub struct Ran {
    cmd: Cmd,
    path: Path,
    /// Doorbell, slot and written dwords agreed; true on the ring.
    staged: bool,
    done: Done,
    record: Option<[u8; 128]>,
}

/// What the workers believe of a slot: enough to hit it, never used to judge.
pub struct Hint {
    pub index: u32,
    pub generation: AtomicU32,
    pub live: AtomicBool,
    pub top: AtomicU64,
}

/// What the workers share.
pub struct Board {
    pub hints: Vec<Hint>,
    /// One per stage buffer (R19).
    claims: Arc<Vec<AtomicBool>>,
    /// Commands to one SA may be on both paths at once: the device's trace tells the order.
    mixed: bool,
    /// Other workers have other slots, which a spoilt index must not hit: nobody knows that order.
    own_only: bool,
}

impl Board {
    pub fn new(
        indices: &[u32],
        generation: u32,
        claims: Arc<Vec<AtomicBool>>,
        mixed: bool,
    ) -> Self {
        let hint = |&index| Hint {
            index,
            generation: generation.into(),
            live: false.into(),
            top: 0.into(),
        };
        Self { hints: indices.iter().map(hint).collect(), claims, mixed, own_only: false }
    }

    fn has(&self, index: u32) -> bool {
        self.hints.iter().any(|hint| hint.index == index)
    }

    pub fn claim(&self, index: u32) -> bool {
        let claim = &self.claims[index as usize & (self.claims.len() - 1)];
        !claim.swap(true, Ordering::AcqRel)
    }

    pub fn release(&self, index: u32) {
        self.claims[index as usize & (self.claims.len() - 1)].store(false, Ordering::Release);
    }
}

/// A number from the environment, or what is usual.
pub fn setting(name: &str, usual: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(usual, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number"))
    })
}

/// Runs a plan. `ESNIC_SEED` chooses other programs, `ESNIC_OPS` another number of commands.
pub fn run<B: Backend>(plan: Plan) {
    let seed = setting("ESNIC_SEED", 1);
    let ops = setting("ESNIC_OPS", plan.ops as u64) as usize;
    let told = format!("{}, on {}, ESNIC_SEED={seed}", plan.name, B::NAME);
    let mut random = fastrand::Rng::with_seed(
        plan.name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())),
    );

    let shapes = vec![plan.shape; plan.threads as usize];
    let mut rig = Rig::<B>::with(plan.params, &shapes);
    let traced = rig.trace().is_some();
    let indices = choose_slots(&mut random, plan.params.sa_capacity, plan.handles);
    let buffers = 1 << plan.params.stage_log2;
    let claims = Arc::new((0..buffers).map(|_| AtomicBool::new(false)).collect());
    let shared = traced && plan.threads > 1;
    let boards: Vec<Arc<Board>> = if shared {
        let board = Arc::new(Board::new(&indices, plan.generation, claims, true));
        vec![board; plan.threads as usize]
    } else {
        let share = indices.len().div_ceil(plan.threads as usize);
        let board = |own: &[u32]| Board {
            own_only: plan.threads > 1,
            ..Board::new(own, plan.generation, claims.clone(), false)
        };
        indices.chunks(share).map(|own| Arc::new(board(own))).collect()
    };
    let pairs = std::mem::take(&mut rig.pairs);
    let mut workers: Vec<_> = boards
        .into_iter()
        .zip(pairs)
        .map(|(board, pair)| Worker::new(&rig.link, pair, board, plan.params, random.fork()))
        .collect();

    let mut judge = Judge::new(Oracle::new(plan.params, rig.epoch), told);
    let mut left = ops.div_ceil(workers.len());
    // Where threads that share slots get to is the scheduler's choice: a rare end may take longer.
    let mut more = if plan.threads > 1 { 8 * left } else { 0 };
    while left > 0 || (more > 0 && judge.missing().is_some()) {
        let round = if left > 0 { left.min(ROUND) } else { more.min(ROUND) };
        more -= if left > 0 { 0 } else { round };
        left = left.saturating_sub(round);
        let logs: Vec<Vec<Ran>> = std::thread::scope(|scope| {
            let run = |worker| scope.spawn(move || Worker::run(worker, round));
            let running: Vec<_> = workers.iter_mut().map(run).collect();
            let join = |one: std::thread::ScopedJoinHandle<'_, _>| {
                one.join().unwrap_or_else(|why| std::panic::resume_unwind(why))
            };
            running.into_iter().map(join).collect()
        });
        let trace = rig.trace();
        match trace {
            Some(trace) if shared => judge.replay(&logs, &trace),
            _ => logs.iter().for_each(|log| judge.in_order(log)),
        }
    }
    judge.assert_rich(ops);
    judge.compare_table(&rig, &indices);
}

/// Different slots, the first and the last among them.
pub fn choose_slots(random: &mut fastrand::Rng, capacity: u32, count: u32) -> Vec<u32> {
    let mut slots = vec![0];
    if count > 1 {
        slots.push(capacity - 1);
    }
    while slots.len() < count as usize {
        let slot = random.u32(..capacity);
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    slots
}
