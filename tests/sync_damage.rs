// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Captures that are cut or damaged end in an error or in what they say: the device and its shadow
//! agree, every row is an SA that some message spells out as a whole, and nothing is left behind.

mod sync;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use sync::damage::{Said, damaged};
use sync::{File, Follow, Nic, files, seed, wire};

use esnic::sync::Report;
use esnic_driver::{Row, SaHandle};

/// Both cores.
const THREADS: u64 = 2;

/// How long one capture may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the process if a worker stays with one case for too long: a hang is a failure, too.
struct Watch {
    begun: Instant,
    /// What each worker works at, and since when in milliseconds; 0 for nothing.
    work: [(AtomicU64, AtomicU64); THREADS as usize],
}

impl Watch {
    fn new() -> Self {
        Self { begun: Instant::now(), work: Default::default() }
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64 + 1
    }

    fn begin(&self, worker: u64, case: u64) {
        let (at, since) = &self.work[worker as usize];
        at.store(case, Ordering::Relaxed);
        since.store(self.now(), Ordering::Relaxed);
    }

    fn end(&self, worker: u64) {
        self.work[worker as usize].1.store(0, Ordering::Relaxed);
    }

    fn look(&self) {
        for (at, since) in &self.work {
            let since = since.load(Ordering::Relaxed);
            if since != 0 && self.now() - since > PATIENCE.as_millis() as u64 {
                eprintln!("case {} hangs", at.load(Ordering::Relaxed));
                std::process::exit(101);
            }
        }
    }
}

/// Shares cases 0 to `count` among workers, which have a device each.
fn share(count: u64, capacity: u32, one: impl Fn(&Nic, u64) + Sync) {
    let watch = Watch::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let (watch, one) = (&watch, &one);
                scope.spawn(move || {
                    let nic = Nic::new(capacity);
                    for case in (worker..count).step_by(THREADS as usize) {
                        watch.begin(worker, case);
                        one(&nic, case);
                        watch.end(worker);
                    }
                    assert_eq!(nic.manager.transport().iommu_faults(), 0);
                    assert_eq!(nic.manager.stats().resets, 0, "a healthy device was reset");
                })
            })
            .collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            watch.look();
            thread::sleep(Duration::from_millis(20));
        }
    });
}

/// The table without the places that SAs have in it.
fn table(report: &Report) -> Vec<Row> {
    let handle = SaHandle::from_bits(0);
    let rows = report.rows.iter();
    rows.map(|row| Row { handle, ..row.clone() }).collect()
}

#[track_caller]
fn check_step(report: &Report) {
    assert_eq!(report.diff, []);
    assert!(report.device_error.is_none(), "{:?}", report.device_error);
}

/// A capture, cut at every byte or at many: the table is that of the whole packets before the cut,
/// and the error names the packet that is cut and where it begins.
fn cut(files: &[File], every: usize, step: usize, capacity: u32) {
    // What each capture leaves after each number of whole packets.
    let ends: Vec<Vec<usize>> = files
        .iter()
        .map(|file| {
            [24].into_iter().chain(wire::records(&file.data).iter().map(|r| r.end)).collect()
        })
        .collect();
    let mut cases: Vec<(usize, usize)> = Vec::new();
    for (which, ends) in ends.iter().enumerate() {
        assert_eq!(ends.last(), Some(&files[which].data.len()));
        let whole = ends.windows(2).enumerate().step_by(every);
        // By packet, so that one worker meets all cuts of a packet.
        cases.extend(whole.map(|(packet, _)| (which, packet)));
    }
    share(cases.len() as u64, capacity, |nic, case| {
        let (which, whole) = cases[case as usize];
        let (file, ends) = (&files[which], &ends[which]);
        let how = Follow::of(file);
        let (begin, end) = (ends[whole], ends[whole + 1]);
        let report = nic.follow(file.data[..begin].to_vec(), &how).unwrap();
        check_step(&report);
        assert!(report.input_error.is_none());
        let expected = table(&report);
        nic.clear(&report.rows);
        for cut in (begin + 1..end).step_by(step) {
            let report = nic.follow(file.data[..cut].to_vec(), &how).unwrap();
            let place = || format!("{} cut at {cut}", file.name);
            check_step(&report);
            assert_eq!(table(&report), expected, "{}", place());
            let error = format!(
                "{:#}",
                report.input_error.as_ref().unwrap_or_else(|| panic!("{}", place()))
            );
            let start = format!("packet {} at file offset {begin}: ", whole + 1);
            assert!(error.starts_with(&start), "{}: {error}", place());
            nic.clear(&report.rows);
        }
    });
}

#[test]
fn small_captures_cut_at_every_byte() {
    let small: Vec<_> = files().into_iter().filter(File::is_small).collect();
    assert!(small.len() > 60);
    cut(&small, 1, 1, 16);
}

#[test]
fn large_captures_cut_in_many_places() {
    let large: Vec<_> = files().into_iter().filter(|file| !file.is_small()).collect();
    assert!(large.len() > 8);
    // A cut or a few in each packet of an IKE daemon's, of the storm in each 19th.
    let (storm, ike): (Vec<_>, Vec<_>) =
        large.into_iter().partition(|file| file.name.contains("storm"));
    cut(&ike, 1, 307, 64);
    cut(&storm, 19, 97, 1024);
}

/// Cut inside the file's own header, there is no capture to follow, and the error says so.
#[test]
fn a_cut_file_header_is_an_error_at_once() {
    let nic = Nic::new(64);
    let file = &files()[0];
    for cut in 0..24 {
        let error = nic.follow(file.data[..cut].to_vec(), &Follow::of(file));
        let error = format!("{:#}", error.err().unwrap());
        let place = format!("packet 1 at file offset {cut}: ");
        assert!(error.starts_with(&place), "{error}");
    }
    let report = nic.follow(file.data[..24].to_vec(), &Follow::of(file)).unwrap();
    assert!(report.input_error.is_none() && report.rows.is_empty());
}

/// How damaged captures ended; damage that all ends alike would prove little.
#[derive(Debug, Default)]
struct Ends {
    followed: AtomicU64,
    stopped: AtomicU64,
    refused: AtomicU64,
    rows: AtomicU64,
}

fn one_damaged_capture(nic: &Nic, seed: u64, pool: &[File], ends: &Ends) {
    let (data, how) = damaged(seed, pool);
    let said = Said::by(&data);
    let report = match nic.follow(data, &how) {
        Ok(report) => report,
        Err(error) => {
            assert!(!format!("{error:#}").contains('\n'));
            ends.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    check_step(&report);
    said.all_of(nic, &report);
    let count = match &report.input_error {
        None => &ends.followed,
        Some(error) => {
            let text = format!("{error:#}");
            assert!(text.starts_with("packet ") && !text.contains('\n'), "{text}");
            &ends.stopped
        }
    };
    count.fetch_add(1, Ordering::Relaxed);
    ends.rows.fetch_add(report.rows.len() as u64, Ordering::Relaxed);
    assert!(report.json().is_ok());
    nic.clear(&report.rows);
}

/// `ESNIC_SEED` repeats a run, or shows a single case first; `ESNIC_CASES` makes it longer.
#[test]
fn a_hundred_thousand_damaged_captures() {
    let seed = seed();
    let count = sync::cases(100_000);
    let pool: Vec<_> = files().into_iter().filter(File::is_small).collect();
    let ends = Ends::default();
    share(count, 16, |nic, case| {
        let seed = seed.wrapping_add(case);
        let work = AssertUnwindSafe(|| one_damaged_capture(nic, seed, &pool, &ends));
        assert!(catch_unwind(work).is_ok(), "see it again with ESNIC_SEED={seed}");
    });
    println!("{ends:?}");
    let Ends { followed, stopped, refused, rows } = ends;
    let [followed, stopped, refused, rows] =
        [followed, stopped, refused, rows].map(AtomicU64::into_inner);
    assert_eq!(followed + stopped + refused, count);
    assert!(followed > count / 10 && stopped > count / 10 && refused > 0);
    assert!(rows > count / 4, "{rows}: hardly any SA outlives the damage");
}
