// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Functions and their owners: two at once in two groups, one that another has, one that is given away
//! and taken back, and one that is reset while it works.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use esnic_driver::pci::{Address, Binding, Bound, Host, Unbound};
use esnic_driver::transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use support::*;

/// Address of a function that the child holds until its standard input ends.
const CHILD: &str = "ESNIC_TEST_OWNER_CHILD";

fn settings() -> Config {
    Config { interrupts: true, ..config() }
}

fn address(link: &transport::Vfio) -> Address {
    link.address()
}

fn plugged() -> Address {
    address(&<Vfio as Backend>::plug(small()))
}

#[test]
fn two_functions_in_two_groups_are_driven_at_once() {
    let large = Params { sa_capacity: 4096, ..small() };
    let links = [small(), large].map(<Vfio as Backend>::plug);
    let host = Host::default();
    let group = |link| host.function(address(link)).unwrap().group;
    let groups = [group(&links[0]), group(&links[1])];
    assert!(groups[0].is_some() && groups[1].is_some() && groups[0] != groups[1], "{groups:?}");
    let managers = links.map(|link| SaManager::open(link, settings()).unwrap());
    std::thread::scope(|scope| {
        for (k, manager) in (0..).zip(&managers) {
            scope.spawn(move || {
                // The same row in both, with other content.
                let (sa, ticket) = manager.add(&esp(10 + k)).unwrap();
                done(&ticket);
                for step in 1..=300 {
                    done(&manager.update(sa, hi(10 + k, step + 1000 * k)).unwrap());
                }
            });
        }
    });
    for (k, manager) in (0..).zip(&managers) {
        let table = manager.read_table().unwrap();
        assert_eq!(table.len(), 1);
        assert_eq!((table[0].spi, table[0].top.hi()), (esp(10 + k).spi, 300 + 1000 * k));
        assert_eq!(manager.diff().unwrap(), []);
    }
    // One goes, the other stays.
    let [first, second] = managers;
    first.close().unwrap();
    drop(first);
    let (_, ticket) = second.add(&esp(30)).unwrap();
    done(&ticket);
}

#[test]
fn a_function_that_another_has_is_refused_with_its_name() {
    if let Ok(address) = std::env::var(CHILD) {
        let _held = transport::Vfio::open(address.parse().unwrap()).unwrap();
        println!("held");
        let _until_the_parent_ends = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    }
    let address = plugged();
    let open = || transport::Vfio::open(address);
    // By this process itself.
    let held = open().unwrap();
    let text = open().err().expect("it is held").to_string();
    assert!(text.contains("is held by this process itself (EBUSY)"), "{text}");
    drop(held);
    // By another.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_function_that_another_has_is_refused_with_its_name", "--nocapture"])
        .env(CHILD, address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    assert!(out.lines().any(|line| line.unwrap().ends_with("held")));
    let text = open().err().expect("it is held").to_string();
    assert!(text.contains(&format!("is held by process {} (", child.id())), "{text}");
    assert!(text.contains("EBUSY") && text.contains("end that one first"), "{text}");
    // Nor is it taken away from the other one.
    let host = Host::default();
    let function = host.function(address).unwrap();
    let text = function.unbind(&host).err().expect("it is held").to_string();
    assert!(text.contains(&format!("is held by process {} (", child.id())), "{text}");
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(bar0_id(&open().unwrap()), esnic_abi::DEVICE_ID);
}

fn bar0_id(link: &transport::Vfio) -> u32 {
    esnic_driver::regs::global(link, Global::ID)
}

#[test]
fn a_function_goes_back_to_its_driver_and_to_user_space_again() {
    let address = plugged();
    let host = Host::default();
    let driver = || host.function(address).unwrap().driver;
    assert_eq!(driver().as_deref(), Some("vfio-pci"));
    for _ in 0..3 {
        let unbound = host.function(address).unwrap().unbind(&host);
        assert_eq!(unbound, Ok(Unbound::To(None)));
        assert_eq!(driver(), None);
        let text = transport::Vfio::open(address).err().expect("nobody lends it").to_string();
        assert!(text.contains(&format!("`esnic bind {address}`")), "{text}");
        assert_eq!(host.function(address).unwrap().unbind(&host), Ok(Unbound::Already(None)));
        assert_eq!(Binding::default().bind(&host, address), Ok(Bound::From(None)));
        assert_eq!(Binding::default().bind(&host, address), Ok(Bound::Already));
        assert_eq!(bar0_id(&transport::Vfio::open(address).unwrap()), esnic_abi::DEVICE_ID);
    }
    // What is not ours is left alone.
    let others = host.functions().unwrap();
    let other = others.iter().find(|one| !one.is_esnic()).expect("the machine has a bridge");
    let text = Binding::default().bind(&host, other.address).unwrap_err().to_string();
    assert!(text.contains("not an esnic device (1234:e51c)"), "{text}");
    let esnics = others.iter().filter(|one| one.is_esnic());
    let capacities: Vec<u64> = esnics.filter_map(|one| one.capacity()).collect();
    assert!(capacities.contains(&64) && capacities.contains(&4096), "{capacities:?}");
}

#[test]
fn a_function_that_the_host_wants_back_is_asked_for_and_given() {
    let link = <Vfio as Backend>::plug(small());
    let (address, host) = (link.address(), Host::default());
    let manager = SaManager::open(link, settings()).unwrap();
    let asked = || {
        let fd = manager.transport().removal_fd().expect("the kernel can ask");
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })).unwrap() > 0
    };
    assert!(!asked());
    // The kernel waits for whoever has it.
    let away = std::thread::spawn(move || {
        std::fs::write("/sys/bus/pci/drivers/vfio-pci/unbind", address.to_string())
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while !asked() {
        assert!(Instant::now() < deadline, "nobody asks");
    }
    // Until then it works, so that there is time for an orderly end.
    done(&manager.add(&esp(1)).unwrap().1);
    assert!(!away.is_finished());
    manager.close().unwrap();
    drop(manager);
    away.join().unwrap().unwrap();
    assert_eq!(host.function(address).unwrap().driver, None);
    assert_eq!(Binding::default().bind(&host, address), Ok(Bound::From(None)));
}

#[test]
fn a_function_that_is_taken_out_of_the_machine_is_closed_without_a_panic_and_comes_back() {
    for round in 0..3 {
        let link = <Vfio as Backend>::plug(small());
        let (address, host) = (link.address(), Host::default());
        let manager = SaManager::open(link, settings()).unwrap();
        let request = manager.transport().removal_fd().expect("the kernel can ask");
        let request = request.try_clone_to_owned().unwrap();
        let away = std::thread::spawn(move || {
            std::fs::write(format!("/sys/bus/pci/devices/{address}/remove"), "1")
        });
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let asked = poll(&mut [PollFd::new(&request, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(asked, 1, "round {round}: nobody asks");
        done(&manager.add(&esp(1)).unwrap().1);
        assert!(!away.is_finished());
        // The kernel goes first whenever it can: as soon as the function is closed, it is not there.
        let closer = std::thread::spawn(move || {
            rustix::process::nice(19).unwrap();
            let closed = manager.close();
            drop(manager);
            closed
        });
        closer.join().expect("no panic").unwrap();
        away.join().unwrap().unwrap();
        assert!(host.function(address).is_err(), "round {round}: it is still there");
        let text = transport::Vfio::open(address).err().expect("it is away").to_string();
        assert!(text.contains(&format!("there is no PCI function {address}")), "{text}");
        // It is alone on its bus.
        let bus = format!("/sys/class/pci_bus/{}/rescan", &address.to_string()[..7]);
        std::fs::write(bus, "1").unwrap();
        assert_eq!(Binding::default().bind(&host, address), Ok(Bound::From(None)));
        assert_eq!(bar0_id(&transport::Vfio::open(address).unwrap()), esnic_abi::DEVICE_ID);
    }
    // It works as before.
    let manager = SaManager::open(<Vfio as Backend>::plug(small()), settings()).unwrap();
    done(&manager.add(&esp(1)).unwrap().1);
}

#[test]
fn a_reset_while_it_works_loses_nothing_and_hangs_nobody() {
    let (manager, link) = open::<Vfio>(small(), settings());
    let all: Vec<SaHandle> = (0..8)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect();
    let over = AtomicBool::new(false);
    let (settled, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (manager, all, over) = (&manager, &all, &over);
            let (settled, failed) = (&settled, &failed);
            scope.spawn(move || {
                let mut next = 0;
                while !over.load(Ordering::Relaxed) {
                    let k = (next * 2 + thread) % 8;
                    next += 1;
                    match manager.update(all[k], hi(k as u32, next as u32)) {
                        Ok(ticket) => match ticket.wait_default() {
                            Ok(_) => {
                                settled.fetch_add(1, Ordering::Relaxed);
                            }
                            // The device has forgotten it: said long before the deadline.
                            Err(WaitError::Device(Error::ForeignReset { .. })) => {
                                failed.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(other) => panic!("{other}"),
                        },
                        Err(SubmitError::Closed | SubmitError::Full | SubmitError::Busy) => {
                            std::thread::yield_now();
                        }
                        Err(SubmitError::Lost) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        let over = Over(&over);
        for round in 0..10 {
            let until = settled.load(Ordering::Relaxed) + 20;
            let deadline = Instant::now() + Duration::from_secs(20);
            while settled.load(Ordering::Relaxed) < until {
                assert!(Instant::now() < deadline, "round {round}: nothing moves");
                std::thread::sleep(Duration::from_millis(1));
            }
            // Behind the manager's back.
            link.reset().unwrap();
            let report = manager.recover(Verify::All).unwrap();
            assert_eq!((report.restored, report.lost), (8, vec![]), "round {round}");
            assert_eq!(report.differences, []);
        }
        drop(over);
    });
    assert_eq!(manager.diff().unwrap(), []);
    eprintln!("{} settled, {} not", settled.into_inner(), failed.into_inner());
}

/// Tells the others also when this thread panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
