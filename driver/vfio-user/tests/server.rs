// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The server by the letter of the protocol, and against clients that break it.

mod toy;

use esnic_vfio_user::wire::*;
use esnic_vfio_user::{Server, version};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};
use toy::{BAR, Raw, Seen, Served, record, socket};
use zerocopy::IntoBytes;

fn bell() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

fn rung(bell: &OwnedFd) -> bool {
    rustix::io::read(bell, &mut [0; 8]).is_ok()
}

fn access(region: u32, offset: u64, count: u32, data: &[u8]) -> Vec<u8> {
    [RegionAccess { offset, region, count }.as_bytes(), data].concat()
}

fn set(flags: u32, index: u32, start: u32, count: u32) -> Vec<u8> {
    IrqSet { argsz: 20, flags, index, start, count }.as_bytes().to_vec()
}

#[test]
fn a_version_comes_first_and_once() {
    let served = Served::new();
    let mut raw = served.raw();
    raw.refused(command::DEVICE_GET_INFO, &[0; 16], &[], Errno::INVAL);
    raw.refused(command::VERSION, &[0; 3], &[], Errno::INVAL);
    raw.refused(command::VERSION, &[1, 0, 0, 0], &[], Errno::INVAL);
    raw.refused(command::VERSION, b"\0\0\0\0{\0", &[], Errno::INVAL);
    raw.refused(command::VERSION, &[0; 5000], &[], Errno::INVAL);
    // A later minor version, and something unheard of in the capabilities.
    let text = br#"{"capabilities":{"write_multiple":true,"twin_socket":{"supported":true}}}"#;
    let body = raw.granted(command::VERSION, &[&[0, 0, 9, 0], &text[..], &[0]].concat(), &[]);
    assert_eq!(body[..4], [0; 4], "0.0 is not more than what was asked for");
    let limits = version::parse(&body[4..]).unwrap();
    assert!(limits.write_multiple && limits.max_msg_fds == MAX_FDS);
    raw.refused(command::VERSION, &[0; 4], &[], Errno::INVAL);
    raw.granted(command::DEVICE_GET_INFO, &[0; 16], &[]);
}

#[test]
fn what_is_there_is_told() {
    let served = Served::new();
    let mut raw = served.agreed();
    let info: DeviceInfo = record(&raw.granted(command::DEVICE_GET_INFO, &[0; 16], &[]));
    let flags = device::PCI | device::RESET;
    assert_eq!(info, DeviceInfo { argsz: 16, flags, regions: 9, irqs: 5 });
    let ask = |index| RegionInfo { argsz: 32, index, ..RegionInfo::default() };
    let body = raw.granted(command::DEVICE_GET_REGION_INFO, ask(0).as_bytes(), &[]);
    let bar: RegionInfo = record(&body);
    assert_eq!((bar.size, bar.flags, bar.cap_offset, bar.argsz), (BAR, 3, 0, 32));
    let body = raw.granted(command::DEVICE_GET_REGION_INFO, ask(6).as_bytes(), &[]);
    assert_eq!(record::<RegionInfo>(&body).size, 0, "no ROM");
    raw.refused(command::DEVICE_GET_REGION_INFO, ask(9).as_bytes(), &[], Errno::INVAL);
    raw.refused(command::DEVICE_GET_REGION_INFO, ask(u32::MAX).as_bytes(), &[], Errno::INVAL);
    let ask = |index| IrqInfo { argsz: 16, flags: 0, index, count: 0 };
    let body = raw.granted(command::DEVICE_GET_IRQ_INFO, ask(pci_irq::MSIX).as_bytes(), &[]);
    let found: IrqInfo = record(&body);
    assert_eq!((found.count, found.flags), (4, irq::EVENTFD), "and no NORESIZE");
    raw.refused(command::DEVICE_GET_IRQ_INFO, ask(5).as_bytes(), &[], Errno::INVAL);
}

#[test]
fn accesses_stay_inside_and_the_stream_stays_in_step() {
    let served = Served::new();
    let mut raw = served.agreed();
    let write = |offset, data: &[u8]| access(0, offset, data.len() as u32, data);
    raw.granted(command::REGION_WRITE, &write(BAR - 4, &[1, 2, 3, 4]), &[]);
    let body = raw.granted(command::REGION_READ, &access(0, BAR - 3, 3, &[]), &[]);
    assert_eq!(body[16..], [2, 3, 4]);
    raw.granted(command::REGION_READ, &access(0, BAR, 0, &[]), &[]);
    let wrong = [
        access(0, BAR - 3, 4, &[]),
        access(0, u64::MAX, 4, &[]),
        access(0, 0, MAX_DATA as u32 + 1, &[]),
        access(0, 0, u32::MAX, &[]),
        access(6, 0, 1, &[]),
        access(9, 0, 1, &[]),
        access(u32::MAX, 0, 1, &[]),
        vec![0; 15],
        vec![],
    ];
    for (k, wrong) in wrong.iter().enumerate() {
        raw.refused(command::REGION_READ, wrong, &[], Errno::INVAL);
        raw.refused(command::REGION_WRITE, wrong, &[], Errno::INVAL);
        let body = raw.granted(command::REGION_READ, &access(0, BAR - 4, 1, &[]), &[]);
        assert_eq!(body[16..], [1], "after {k}");
    }
    // A count that the data does not bear out, and a region that can only be read.
    raw.refused(command::REGION_WRITE, &access(0, 0, 8, &[0; 4]), &[], Errno::INVAL);
    raw.refused(command::REGION_WRITE, &access(1, 0, 4, &[0; 4]), &[], Errno::INVAL);
    let seen = served.seen();
    assert_eq!(seen, [Seen::Write(0, BAR - 4, vec![1, 2, 3, 4])]);
}

#[test]
fn commands_that_there_are_not_are_refused() {
    let served = Served::new();
    let mut raw = served.agreed();
    for number in [0, command::DMA_READ, command::DMA_WRITE, 16, 1027, u16::MAX] {
        raw.refused(number, &[7; 40], &[], Errno::NOSYS);
    }
    for number in [command::DEVICE_GET_REGION_IO_FDS, command::DIRTY_PAGES] {
        raw.refused(number, &[7; 40], &[], Errno::NOTSUP);
    }
    raw.granted(command::DEVICE_RESET, &[], &[]);
    assert_eq!(served.seen(), [Seen::Reset]);
}

#[test]
fn who_wants_no_answer_gets_none() {
    let served = Served::new();
    let mut raw = served.agreed();
    let good = access(0, 8, 4, &[5; 4]);
    let bad = access(0, BAR, 4, &[5; 4]);
    let mut all = Vec::new();
    for (number, body) in [(10, &good), (10, &bad), (1027, &bad), (9, &good), (4, &vec![0; 16])] {
        all.extend(raw.message(number, flag::NO_REPLY, body));
    }
    raw.send(&all, &[]);
    let body = raw.granted(command::REGION_READ, &access(0, 8, 4, &[]), &[]);
    assert_eq!(body[16..], [5; 4]);
}

#[test]
fn many_writes_in_one_message_are_done_in_order_or_not_at_all() {
    let served = Served::new();
    let mut raw = served.agreed();
    let one = |offset, region, count, byte| SmallWrite { offset, region, count, data: [byte; 8] };
    let multi =
        |number: u64, writes: &[SmallWrite]| [number.as_bytes(), writes.as_bytes()].concat();
    let writes = [one(0, 0, 8, 1), one(4, 0, 8, 2), one(4, 7, 2, 3)];
    raw.granted(command::REGION_WRITE_MULTI, &multi(3, &writes), &[]);
    let seen = served.seen();
    let wanted = [(0, 0, vec![1; 8]), (0, 4, vec![2; 8]), (7, 4, vec![3; 2])];
    assert_eq!(seen, wanted.map(|(region, offset, data)| Seen::Write(region, offset, data)));
    let bad = [
        multi(4, &writes),
        multi(u64::MAX, &writes),
        multi(2, &[writes[0], one(BAR - 7, 0, 8, 1)]),
        multi(2, &[writes[0], one(0, 0, 9, 1)]),
        multi(2, &[writes[0], one(0, 1, 4, 1)]),
        vec![0; 7],
    ];
    for bad in bad {
        raw.refused(command::REGION_WRITE_MULTI, &bad, &[], Errno::INVAL);
    }
    assert_eq!(served.seen(), []);
}

#[test]
fn memory_is_mapped_and_unmapped_in_every_odd_way() {
    let served = Served::new();
    let mut raw = served.agreed();
    let file = esnic_vfio_user::memory::sealed("memory", 0x4000).unwrap();
    let map = |address, size, flags| DmaMap { argsz: 32, flags, offset: 0, address, size };
    let fd = [file.as_fd()];
    raw.granted(command::DMA_MAP, map(0x1000, 0x1000, 3).as_bytes(), &fd);
    raw.granted(command::DMA_MAP, map(0x2000, 0x1000, 1).as_bytes(), &[]);
    raw.refused(command::DMA_MAP, map(0x8000, 0x1000, 3).as_bytes(), &[fd[0]; 2], Errno::INVAL);
    for odd in [map(0, 0, 3), map(u64::MAX - 4095, 0x2000, 3), map(0x8000, 0x1000, 7)] {
        raw.refused(command::DMA_MAP, odd.as_bytes(), &fd, Errno::INVAL);
    }
    raw.refused(command::DMA_MAP, &[0; 31], &fd, Errno::INVAL);
    raw.refused(command::DMA_MAP, map(0x1000, 0x2000, 3).as_bytes(), &fd, Errno::EXIST);
    let unmap = |address, size, flags| DmaUnmap { argsz: 24, flags, address, size };
    let mut asked = unmap(0xFEF0_0000, 0xFFFF_FFFF_0110_0000, 0);
    let body = raw.granted(command::DMA_UNMAP, asked.as_bytes(), &[]);
    assert_eq!(record::<DmaUnmap>(&body), asked, "the answer repeats it");
    asked = unmap(0x1000, u64::MAX, 0);
    raw.granted(command::DMA_UNMAP, asked.as_bytes(), &[]);
    raw.granted(command::DMA_UNMAP, unmap(0x1000, 0, 0).as_bytes(), &[]);
    raw.refused(command::DMA_UNMAP, unmap(0x1000, 0x1000, 1).as_bytes(), &[], Errno::NOTSUP);
    for flags in [2, 4] {
        raw.granted(command::DMA_UNMAP, unmap(0, 0, flags).as_bytes(), &[]);
    }
    let seen = served.seen();
    let maps = [
        Seen::Map(0x1000..=0x1FFF, true, true, true),
        Seen::Map(0x2000..=0x2FFF, true, false, false),
        Seen::Map(0x1000..=0x2FFF, true, true, true),
    ];
    assert_eq!(seen[..3], maps);
    let unmaps = [
        Seen::Unmap(0xFEF0_0000..=u64::MAX),
        Seen::Unmap(0x1000..=u64::MAX),
        Seen::Unmap(0..=u64::MAX),
        Seen::Unmap(0..=u64::MAX),
    ];
    assert_eq!(seen[3..], unmaps);
}

#[test]
fn interrupts_are_set_in_every_shape() {
    use irq_set::*;
    let served = Served::new();
    let mut raw = served.agreed();
    let bells = [bell(), bell(), bell()];
    let fds = bells.each_ref().map(AsFd::as_fd);
    let (msix, go) = (pci_irq::MSIX, command::DEVICE_SET_IRQS);
    raw.granted(go, &set(DATA_EVENTFD | TRIGGER, msix, 1, 3), &fds);
    raw.granted(go, &set(DATA_NONE | TRIGGER, msix, 1, 2), &[]);
    assert_eq!(bells.each_ref().map(rung), [true, true, false]);
    let bools = [&set(DATA_BOOL | TRIGGER, msix, 1, 3)[..], &[0, 1, 9]].concat();
    raw.granted(go, &bools, &[]);
    assert_eq!(bells.each_ref().map(rung), [false, true, true]);
    // No descriptor: cleared. None of none: all of them.
    raw.granted(go, &set(DATA_EVENTFD | TRIGGER, msix, 2, 1), &[]);
    raw.granted(go, &set(DATA_NONE | TRIGGER, msix, 0, 4), &[]);
    assert_eq!(bells.each_ref().map(rung), [true, false, true]);
    raw.granted(go, &set(DATA_NONE | TRIGGER, msix, 0, 0), &[]);
    raw.granted(go, &set(DATA_NONE | TRIGGER, msix, 0, 4), &[]);
    assert_eq!(bells.each_ref().map(rung), [false; 3]);
    raw.granted(go, &set(DATA_EVENTFD | TRIGGER, pci_irq::ERR, 0, 1), &fds[..1]);
    served.seen();
    let wrong = [
        (set(DATA_EVENTFD | TRIGGER, msix, 2, 3), &fds[..], Errno::INVAL),
        (set(DATA_EVENTFD | TRIGGER, msix, 0, 2), &fds[..], Errno::INVAL),
        (set(DATA_EVENTFD | TRIGGER, msix, u32::MAX, 2), &fds[..2], Errno::INVAL),
        (set(DATA_EVENTFD | TRIGGER, pci_irq::INTX, 0, 1), &fds[..1], Errno::INVAL),
        (set(DATA_EVENTFD | TRIGGER, 5, 0, 1), &fds[..1], Errno::INVAL),
        (set(DATA_BOOL | TRIGGER, msix, 0, 2), &[], Errno::INVAL),
        (set(DATA_BOOL | DATA_NONE | TRIGGER, msix, 0, 1), &[], Errno::INVAL),
        (set(TRIGGER, msix, 0, 1), &[], Errno::INVAL),
        (set(DATA_NONE, msix, 0, 1), &[], Errno::INVAL),
        (set(DATA_NONE | TRIGGER | 64, msix, 0, 1), &[], Errno::INVAL),
        (set(DATA_NONE | MASK, msix, 0, 1), &[], Errno::NOTTY),
        (set(DATA_NONE | UNMASK, msix, 0, 1), &[], Errno::NOTTY),
        (vec![0; 19], &[], Errno::INVAL),
    ];
    for (body, fds, errno) in wrong {
        raw.refused(go, &body, fds, errno);
    }
    assert_eq!(served.seen(), [], "none of it reached the function");
}

#[test]
fn descriptors_belong_to_the_message_that_they_came_with() {
    let served = Served::new();
    let mut raw = served.agreed();
    let flags = irq_set::DATA_EVENTFD | irq_set::TRIGGER;
    let one = bell();
    // Writes before it in the same reading, and a message in pieces.
    let mut all = Vec::new();
    for _ in 0..50 {
        all.extend(raw.message(10, flag::NO_REPLY, &access(0, 0, 4, &[1; 4])));
    }
    let connect = raw.message(command::DEVICE_SET_IRQS, 0, &set(flags, pci_irq::MSIX, 0, 1));
    raw.send(&all, &[]);
    raw.send(&connect, &[one.as_fd()]);
    assert_eq!(raw.answer().0.flags, 1);
    let connect = raw.message(command::DEVICE_SET_IRQS, 0, &set(flags, pci_irq::MSIX, 3, 1));
    raw.send(&connect[..10], &[one.as_fd()]);
    std::thread::sleep(Duration::from_millis(20));
    raw.send(&connect[10..], &[]);
    assert_eq!(raw.answer().0.flags, 1);
    let seen = served.seen();
    assert_eq!(seen.len(), 52);
    assert_eq!(seen[50..], [Seen::Connect(2, 0, 1), Seen::Connect(2, 3, 1)]);
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    let served = Served::new();
    let header = |size, flags| Header { id: 1, command: 9, size, flags, error: 0 };
    let nonsense = [
        header(15, 0),
        header(0, 0),
        header(MAX_MESSAGE as u32 + 1, 0),
        header(u32::MAX, 0),
        header(16, 1),
        header(16, 0xF),
    ];
    for wrong in nonsense {
        let mut raw = served.agreed();
        raw.send(wrong.as_bytes(), &[]);
        assert!(raw.is_closed(), "{wrong:?}");
    }
    // More descriptors than anybody may send.
    let mut raw = served.agreed();
    let bells: Vec<OwnedFd> = (0..17).map(|_| bell()).collect();
    let fds: Vec<_> = bells.iter().map(AsFd::as_fd).collect();
    let message = raw.message(command::DEVICE_SET_IRQS, 0, &set(36, 2, 0, 4));
    raw.send(&message, &fds);
    assert!(raw.is_closed());
    // And the next one is served.
    served.agreed().granted(command::DEVICE_GET_INFO, &[0; 16], &[]);
    assert_eq!(served.remote.broken(), 7);
    assert_eq!(served.remote.clients(), 8);
}

#[test]
fn one_client_at_a_time() {
    let served = Served::new();
    let mut first = served.agreed();
    for _ in 0..3 {
        let mut second = served.raw();
        let _ = second.stream.write_all(&[0; 16]);
        assert!(!matches!(second.stream.read(&mut [0]), Ok(1..)), "hung up on");
    }
    first.granted(command::DEVICE_GET_INFO, &[0; 16], &[]);
    assert_eq!(served.remote.refused(), 3);
    assert_eq!(served.seen(), []);
    // Whoever comes right after it left is let in, every time.
    for _ in 0..200 {
        drop(first);
        first = served.agreed();
    }
    assert_eq!(served.remote.refused(), 3);
    assert_eq!(served.seen(), vec![Seen::Release; 200]);
}

#[test]
fn a_client_that_dies_in_the_middle_of_a_message_is_forgotten() {
    let served = Served::new();
    let mut raw = served.agreed();
    let message = raw.message(10, 0, &access(0, 0, 64, &[1; 64]));
    raw.send(&message[..40], &[bell().as_fd()]);
    drop(raw);
    served.await_seen(&Seen::Release);
    assert_eq!(served.seen(), [Seen::Release]);
}

#[test]
fn messages_that_came_in_all_at_once_are_all_taken() {
    let served = Served::new();
    let mut raw = served.agreed();
    // A turn takes 256. What is left is not in the socket any more, so nothing tells of it.
    for posted in [254, 255, 256, 300, 400, 1000] {
        let write = access(0, 0, 8, &[1; 8]);
        let mut all = Vec::new();
        for _ in 0..posted {
            all.extend(raw.message(command::REGION_WRITE, flag::NO_REPLY, &write));
        }
        all.extend(raw.message(command::REGION_READ, 0, &access(0, 0, 4, &[])));
        raw.send(&all, &[]);
        assert_eq!(raw.answer().1.len(), RegionAccess::LEN + 4, "behind {posted}");
    }
}

#[test]
fn a_client_that_reads_no_answers_is_cut_off() {
    let served = Served::new();
    let mut raw = served.agreed();
    let message = raw.message(9, 0, &access(0, 0, 4096, &[]));
    let begun = Instant::now();
    raw.stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let error = loop {
        if let Err(error) = raw.stream.write_all(&message) {
            break error;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    };
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    served.agreed();
}

#[test]
fn a_server_stops_whatever_its_client_does() {
    // Nobody there, somebody silent, somebody in the middle of a message.
    Served::new().stop();
    let mut served = Served::new();
    let _silent = served.raw();
    served.stop();
    let mut served = Served::new();
    let mut raw = served.agreed();
    let message = raw.message(10, 0, &access(0, 0, 64, &[1; 64]));
    raw.send(&message[..40], &[]);
    served.stop();
    assert!(raw.is_closed());
    assert_eq!(served.seen().last(), Some(&Seen::Release), "the function is left in order");
}

#[test]
fn a_socket_is_taken_over_from_the_dead_only() {
    let path = socket();
    // One that a dead server left.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = Server::bind(&path).unwrap();
    // One of a server that lives.
    assert_eq!(Server::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    UnixStream::connect(&path).unwrap();
    drop(server);
    assert!(!path.exists());
    // Something else.
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(Server::bind(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    // A socket that somebody else has put there since stays.
    let server = Server::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
    drop(other);
    std::fs::remove_file(&path).unwrap();
    let nowhere = path.join("in/no/directory");
    assert_eq!(Server::bind(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_idle_server_sleeps() {
    let served = Served::new();
    let _client: Raw = served.agreed();
    // Threads of other tests of this file run in processes of their own. The best of three: what was to be
    // done may come late on a busy machine.
    let spent = [(); 3].map(|()| {
        std::thread::sleep(Duration::from_millis(50));
        let before = busy();
        std::thread::sleep(Duration::from_millis(500));
        busy() - before
    });
    let some = spent.iter().any(|&spent| spent <= Duration::from_millis(20));
    assert!(some, "{spent:?} of work in half seconds");
}

/// Processor time of this process.
fn busy() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
