// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic serve`, and `--device vfio-user:PATH` in place of `--device model`, as their users see them.

mod sync;

#[path = "served/link.rs"]
#[allow(dead_code, unreachable_pub)]
mod link;
#[path = "served/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;

use esnic_driver::transport::{Transport, VfioUser};
use link::socket;
use process::{Process, Server};
use rustix::process::Signal;
use std::os::unix::net::UnixListener;
use sync::{Ran, esnic, file};

const CAPTURES: [&str; 3] = [
    "2-esn-wrap/k6.1/wrap32-hi5-v4-tunnel-gcm256-w256/nl-A.pcap",
    "3-strongswan/k6.1/mobike-v4-to-v4-esn/nl-A.pcap",
    "4-storm/k6.1/storm300/nl-A.pcap",
];

#[track_caller]
fn refused(ran: &Ran, says: &str) {
    assert_eq!((ran.code, ran.text()), (Some(2), ""), "{ran:?}");
    assert!(ran.err.contains(says), "{:?} does not say {says:?}", ran.err);
}

/// The device failed, in one sentence.
#[track_caller]
fn failed(ran: &Ran, says: &str) {
    assert_eq!((ran.code, ran.text()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with("esnic: ") && ran.err.lines().count() == 1, "{:?}", ran.err);
    assert!(ran.err.contains(says), "{:?} does not say {says:?}", ran.err);
}

/// A run that went well, with the name of the device in it replaced.
#[track_caller]
fn said(args: &[&str], device: &str) -> String {
    let ran = esnic([args, &["--device", device]].concat());
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{args:?}");
    let name = format!("\"{device}\"");
    assert!(ran.text().contains(&name), "{}", ran.text());
    ran.text().replace(&name, "\"DEVICE\"")
}

#[test]
fn the_same_is_said_of_a_served_model_as_of_one_in_the_process() {
    let server = Server::start(&[socket()], &[]);
    let device = server.device(0);
    for capture in CAPTURES {
        let file = file(capture);
        let mut args = vec!["sync", "--json", "--capture", &file.path];
        for local in file.locals() {
            args.extend(["--local", local]);
        }
        assert_eq!(said(&args, &device), said(&args, "model"), "{capture}");
    }
    let args = ["caps", "--json"];
    assert_eq!(said(&args, &device), said(&args, "model"));
    let figures = esnic(["bench", "--json", "--seconds", "0.1", "--device", &device]).json();
    assert!(figures["updates"].as_u64().unwrap() > 0, "{figures}");
    assert_eq!(figures["device"], *device);
}

#[test]
fn the_same_is_said_of_served_rtl_if_this_build_has_it() {
    if !cfg!(feature = "rtl") {
        let ran = esnic(["serve", "--device", "rtl", "--socket", "/nowhere"]);
        return refused(&ran, "this build has no `rtl`");
    }
    let server = Server::start(&[socket()], &["--device", "rtl"]);
    let file = file(CAPTURES[0]);
    let args = ["sync", "--json", "--capture", &file.path, "--local", "10.9.0.1"];
    assert_eq!(said(&args, &server.device(0)), said(&args, "rtl"));
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[socket(), socket(), socket()], &["--capacity", "64"]);
        let caps = esnic(["caps", "--json", "--device", &server.device(2)]).json();
        assert_eq!(caps["sa_capacity"], 64);
        server.process.signal(signal);
        let ended = server.process.end();
        assert_eq!((ended.code(), &*server.process.complaints()), (Some(0), ""));
        for path in &server.sockets {
            assert!(!path.exists(), "{}", path.display());
        }
    }
}

#[test]
fn each_socket_has_a_device_of_its_own() {
    let server = Server::start(&[socket(), socket()], &[]);
    let file = file(CAPTURES[0]);
    let bench = |k| {
        let device = server.device(k);
        Process::start(["bench", "--json", "--seconds", "0.5", "--device", &device])
    };
    let mut benches = [bench(0), bench(1)];
    for bench in &mut benches {
        assert_eq!(bench.end().code(), Some(0), "{}", bench.complaints());
    }
    let args = ["sync", "--json", "--capture", &file.path, "--local", "10.9.0.1"];
    assert_eq!(said(&args, &server.device(0)), said(&args, &server.device(1)));
}

#[test]
fn a_socket_of_the_living_is_refused_and_one_of_the_dead_replaced() {
    let path = socket();
    let text = path.to_str().unwrap();
    drop(UnixListener::bind(&path).unwrap());
    let mut server = Server::start(std::slice::from_ref(&path), &[]);
    let second = esnic(["serve", "--socket", text]);
    refused(&second, "a server that lives listens there");
    // One good and one bad: the good one is not left behind.
    let good = socket();
    let both = esnic(["serve", "--socket", good.to_str().unwrap(), "--socket", text]);
    assert_eq!(both.code, Some(2), "{both:?}");
    assert!(!good.exists());
    esnic(["caps", "--device", &server.device(0)]);
    server.process.signal(Signal::KILL);
    server.process.end();
    assert!(path.exists(), "nobody could remove it");
    failed(
        &esnic(["caps", "--device", &server.device(0)]),
        "the server that made this socket is gone",
    );
    drop(Server::start(std::slice::from_ref(&path), &[]));
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, "precious").unwrap();
    refused(&esnic(["serve", "--socket", text]), "something that is no socket");
    std::fs::remove_file(&path).unwrap();
    refused(&esnic(["serve", "--socket", "/no/such/directory/x"]), "No such file");
}

#[test]
fn what_makes_no_sense_is_an_input_error() {
    refused(&esnic(["serve"]), "--socket");
    refused(&esnic(["serve", "--socket", "x", "--capacity", "1000"]), "a power of two");
    refused(&esnic(["serve", "--socket", "x", "--device", "vfio-user:y"]), "offered already");
    refused(&esnic(["serve", "--socket", "x", "--trace", "x.fst"]), "--trace");
    refused(&esnic(["caps", "--device", "vfio-user:"]), "the path of a socket");
    let device = "vfio-user:/no/such/socket";
    refused(&esnic(["caps", "--capacity", "64", "--device", device]), "--capacity");
    refused(&esnic(["caps", "--trace", "x.fst", "--device", device]), "--trace");
    failed(&esnic(["caps", "--device", device]), "start `esnic serve`");
}

#[test]
fn whoever_comes_second_is_told_so() {
    let server = Server::start(&[socket()], &[]);
    let device = server.device(0);
    let first = VfioUser::connect(server.path()).unwrap();
    for _ in 0..3 {
        failed(&esnic(["caps", "--device", &device]), "it serves one client at a time");
    }
    first.reset().unwrap();
    drop(first);
    assert_eq!(esnic(["caps", "--device", &device]).code, Some(0));
}
