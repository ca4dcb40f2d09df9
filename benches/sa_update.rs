// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an acknowledged update costs, by path and batch, side by side.
//!
//! The contestants run in turn, round after round, in one process; what is reported is the median of
//! the rounds and the ratio to the first contestant in the same run. Absolute figures are this
//! machine's, ratios carry over. With `--test`, one short round shows that everything runs.

use esnic_abi::{Algorithm, Direction, Mode, Params, Protocol, Spi, Top};
use esnic_driver::transport::Sim;
use esnic_driver::{
    Change, Config, KeyMaterial, KeyMemory, PathPolicy, SaHandle, SaManager, SaSpec, SaUpdate,
};
use esnic_model::Model;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const SAS: u32 = 1024;
const ROUNDS: usize = 15;
const UPDATES_A_ROUND: usize = 64 * 1024;

type Manager = SaManager<Sim<Model>>;

/// One way to update.
struct Contestant {
    name: &'static str,
    policy: PathPolicy,
    batch: usize,
    change: fn(u64) -> Change,
}

const CONTESTANTS: &[Contestant] = &[
    Contestant {
        name: "UPDATE, ring, batches of 32",
        policy: PathPolicy::Ring,
        batch: 32,
        change: both_halves,
    },
    Contestant {
        name: "UPDATE4, ring, batches of 32",
        policy: PathPolicy::Ring,
        batch: 32,
        change: high_half,
    },
    Contestant {
        name: "UPDATE, ring, batches of 4",
        policy: PathPolicy::Ring,
        batch: 4,
        change: both_halves,
    },
    Contestant {
        name: "UPDATE, ring, alone",
        policy: PathPolicy::Ring,
        batch: 1,
        change: both_halves,
    },
    Contestant {
        name: "UPDATE, direct, alone",
        policy: PathPolicy::Direct,
        batch: 1,
        change: both_halves,
    },
];

fn both_halves(number: u64) -> Change {
    Change::top(Top(number))
}

fn high_half(number: u64) -> Change {
    Change::hi(number as u32)
}

fn main() {
    let smoke = std::env::args().any(|arg| arg == "--test");
    let (rounds, updates) = if smoke { (1, 256) } else { (ROUNDS, UPDATES_A_ROUND) };
    let manager = open();
    let sas = fill(&manager);
    let mut times = vec![Vec::with_capacity(rounds); CONTESTANTS.len()];
    let mut number = 0;
    for _ in 0..rounds {
        for (contestant, times) in CONTESTANTS.iter().zip(&mut times) {
            times.push(round(&manager, &sas, contestant, updates, &mut number));
        }
    }
    assert_eq!(manager.diff().expect("the device is there"), [], "the table is in step");
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("{:32} {:>10} {:>8}", "", "ns/update", "ratio");
    for (contestant, time) in CONTESTANTS.iter().zip(&medians) {
        println!("{:32} {time:>10.1} {:>8.2}", contestant.name, time / medians[0]);
    }
}

/// Nanoseconds an update.
fn round(
    manager: &Manager,
    sas: &[(SaHandle, Spi)],
    contestant: &Contestant,
    updates: usize,
    number: &mut u64,
) -> f64 {
    manager.set_path_policy(contestant.policy);
    let mut batch = manager.batch(contestant.batch);
    let mut sas = sas.iter().cycle();
    let begun = Instant::now();
    for _ in 0..updates / contestant.batch {
        batch.clear();
        for &(sa, spi) in sas.by_ref().take(contestant.batch) {
            *number += 1;
            let change = (contestant.change)(*number);
            batch.update(sa, SaUpdate { protocol: Protocol::Esp, spi, change });
        }
        batch.run(Instant::now() + Duration::from_secs(1)).expect("the device completes");
        assert_eq!(batch.ok_count(), batch.len());
    }
    begun.elapsed().as_nanos() as f64 / updates as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn open() -> Manager {
    let model = Model::new(Params::default()).expect("a build that can be");
    let config = Config { key_memory: KeyMemory::BestEffort, ..Config::default() };
    SaManager::open(Sim::new("model", model), config).expect("the model comes up")
}

fn fill(manager: &Manager) -> Vec<(SaHandle, Spi)> {
    let add = |k: u32| {
        let spec = SaSpec {
            spi: Spi(k),
            protocol: Protocol::Esp,
            direction: Direction::In,
            mode: Mode::Tunnel,
            algorithm: Algorithm::AesGcm128,
            icv_len: 16,
            src: IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + k)),
            dst: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            udp: None,
            esn: true,
            replay_window: 64,
            top: Top(0),
            lo_valid: true,
            keys: KeyMaterial::new([1; 4], &[2; 16]).expect("a key of 128 bits"),
        };
        let (sa, ticket) = manager.add(&spec).expect("there is room");
        assert!(ticket.wait_default().expect("the device completes").is_ok());
        (sa, Spi(k))
    };
    (1..=SAS).map(add).collect()
}
