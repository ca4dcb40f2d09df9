// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A driver that is killed in the middle of a batch, over and over: the kernel stops the device and takes
//! it back, and the next driver finds it clean.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use esnic_driver::transport;
use esnic_guest::control::ask;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use support::*;

/// Address of the function, for the child.
const CHILD: &str = "ESNIC_TEST_KILLED_CHILD";

const KILLS: u32 = 50;

/// What the child works on: as many SAs, each updated over and over.
const SAS: u32 = 16;

fn settings() -> Config {
    Config { interrupts: true, sq_log2: 6, cq_log2: 6, ..config() }
}

/// The child: says a word once it is in the middle, and goes on until it is killed.
fn work(address: &str) -> ! {
    let link = transport::Vfio::open(address.parse().expect("an address"));
    let manager = SaManager::open(link.unwrap_or_else(|e| panic!("{e}")), settings());
    let manager = manager.unwrap_or_else(|error| panic!("{error}"));
    let add = |n| {
        let (sa, ticket) = manager.add(&esp(n)).unwrap();
        done(&ticket);
        sa
    };
    let all: Vec<SaHandle> = (0..SAS).map(add).collect();
    let mut step = 0;
    loop {
        step += 1;
        let mut batch = manager.batch(all.len());
        for (n, &sa) in (0..).zip(&all) {
            batch.update(sa, hi(n, step));
        }
        let report = batch.run(Instant::now() + Duration::from_secs(20));
        report.unwrap_or_else(|error| panic!("{error}"));
        if step == 2 {
            println!("working");
            std::io::stdout().flush().expect("the parent listens");
        }
    }
}

fn start(address: &str, test: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(CHILD, address)
        .stdout(Stdio::piped())
        .spawn()
        .expect("another process");
    let out = child.stdout.take().expect("it was asked for");
    let told = BufReader::new(out).lines().any(|line| line.expect("text").ends_with("working"));
    assert!(told, "the child ended: {:?}", child.wait());
    child
}

/// What the kernel has to say about the function, its DMA, or worse. Functions of other tests are not ours.
fn complaints(address: &str, since: usize) -> (usize, Vec<String>) {
    let log = rustix::fs::open(
        "/dev/kmsg",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK,
        rustix::fs::Mode::empty(),
    )
    .expect("the kernel's log");
    let mut lines = Vec::new();
    let mut record = [0; 8192];
    while let Ok(len) = rustix::io::read(&log, &mut record) {
        lines.push(String::from_utf8_lossy(&record[..len]).into_owned());
    }
    // The IOMMU's lines leave the domain out.
    let short = address.trim_start_matches("0000:");
    let bad = |line: &&String| {
        let ours = ["fault", "AER", "DMAR"].iter().any(|word| line.contains(word));
        ours && line.contains(short)
            || ["BUG:", "WARNING:", "Oops"].iter().any(|word| line.contains(word))
    };
    (lines.len(), lines.iter().skip(since).filter(bad).cloned().collect())
}

#[test]
fn a_driver_killed_in_mid_batch_leaves_a_clean_device_50_times() {
    const NAME: &str = "a_driver_killed_in_mid_batch_leaves_a_clean_device_50_times";
    if let Ok(address) = std::env::var(CHILD) {
        work(&address);
    }
    let address = transport(&<Vfio as Backend>::plug(small()));
    let (heard, _) = complaints(&address, 0);
    let before = ask(&format!("refused {address}")).expect("every device is counted");
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..KILLS {
        let mut child = start(&address, NAME);
        std::thread::sleep(Duration::from_micros(random.u64(..20_000)));
        child.kill().expect("it runs");
        child.wait().expect("it ended");

        // The group is free at once, and nothing of the work before is left.
        let link = transport::Vfio::open(address.parse().expect("an address"));
        let link = link.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(link.mappings(), 0);
        let id = esnic_driver::regs::global(&link, Global::ID);
        assert_eq!(id, esnic_abi::DEVICE_ID, "round {round}");
        let instance = esnic_driver::regs::global(&link, Global::INSTANCE);
        assert_eq!(instance, 0, "round {round}: the kernel has reset it");
        let manager = SaManager::open(link, settings()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(manager.read_table().unwrap(), [], "round {round}");
        let (sa, ticket) = manager.add(&esp(7)).unwrap();
        done(&ticket);
        done(&manager.update(sa, hi(7, 3)).unwrap());
        assert_eq!(manager.diff().unwrap(), []);
        manager.close().unwrap();
    }
    assert_eq!(ask(&format!("refused {address}")).expect("as before"), before, "no IOMMU fault");
    assert_eq!(complaints(&address, heard).1, [""; 0]);
}

/// Its address; it is closed.
fn transport(link: &transport::Vfio) -> String {
    link.name()
}
