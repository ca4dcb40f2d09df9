// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that is pulled out while it works: from then on every read is all ones, that of configuration
//! space too. The driver says so within its deadlines, and nothing of a key is left.
//!
//! Its server answers as the bus does for an empty slot, rather than being killed: QEMU 11.1 aborts on the
//! next access to a device whose server is dead. `tests/serve_gone.rs` kills servers, without QEMU.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use esnic_driver::transport;
use esnic_guest::control::ask;
use esnic_guest::wire;
use support::needle::Needle;
use support::*;

/// The variable with its address.
const DOOMED: &str = "ESNIC_DOOMED";

/// For what fails at once: more than a busy machine takes to notice.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn a_device_that_is_pulled_out_while_busy_is_gone_and_leaves_no_key() {
    let address = std::env::var(DOOMED).expect("the guest has a function to lose");
    ask(&format!("plug {address} {}", wire::params_text(&small()))).expect("it takes a device");
    let link = transport::Vfio::open(address.parse().expect("an address"));
    let link = link.unwrap_or_else(|error| panic!("{error}"));
    let timeouts = Timeouts { command: Duration::from_secs(2), ..config().timeouts };
    let settings = Config { interrupts: true, timeouts, ..config() };
    let manager = SaManager::open(link, settings).unwrap();
    let needle = Needle::new(11);
    let add = |n| {
        let (sa, ticket) = manager.add(&needle.spec(n)).unwrap();
        done(&ticket);
        sa
    };
    let sas: Vec<SaHandle> = (0..8).map(add).collect();
    let settled = Arc::new(AtomicU64::new(0));
    let seen = settled.clone();
    let puller = std::thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.load(Ordering::Relaxed) < 20 {
            assert!(Instant::now() < deadline, "nothing moves");
            std::thread::sleep(Duration::from_millis(1));
        }
        ask(&format!("pull {address}")).expect("it can be pulled out");
        (address, Instant::now())
    });
    let error = (1u32..).find_map(|step| {
        let n = step % 8;
        let ticket = match manager.update(sas[n as usize], hi(n, step)) {
            Ok(ticket) => ticket,
            Err(SubmitError::Full | SubmitError::Busy) => return None,
            Err(other) => panic!("{other}"),
        };
        let failed = ticket.wait_default().err();
        settled.fetch_add(1, Ordering::Relaxed);
        failed
    });
    let (address, at) = puller.join().unwrap();
    assert_eq!(error, Some(WaitError::Device(Error::Gone)));
    assert!(at.elapsed() < AT_ONCE, "{:?}", at.elapsed());

    // Whatever is tried from now on, it fails with the same word.
    assert_eq!(manager.check(), Err(Error::Gone));
    assert_eq!(manager.recover(Verify::All).unwrap_err(), Error::Gone);
    assert!(manager.update(sas[0], hi(0, 1)).is_err());
    assert_eq!(manager.read_table().unwrap_err(), Error::Gone);
    assert_eq!(manager.transport().read32(Bar::Table, 0), u32::MAX);
    // The keys wait for a device to come back, until somebody gives up.
    assert!(!needle.places(&[]).is_empty(), "the search finds what is there");
    assert_eq!(manager.close().unwrap_err(), Error::Gone);
    assert_eq!(needle.places(&[]), [""; 0], "after close");
    assert!(at.elapsed() < 2 * AT_ONCE, "{:?}", at.elapsed());
    drop(manager);
    // The kernel has it back, and tells whoever tries again.
    let again = transport::Vfio::open(address.parse().expect("an address"));
    assert_eq!(again.map(drop), Err(Error::Gone));
    assert!(at.elapsed() < 3 * AT_ONCE, "{:?}", at.elapsed());
}
