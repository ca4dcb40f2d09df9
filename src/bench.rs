// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic bench`: acknowledged updates of sequence numbers, how fast and how long each takes, and
//! what one costs on the bus.
//!
//! An update counts once its completion has been taken and its status is OK. Each thread keeps several
//! batches under way, since a device that is a DMA round trip away is kept busy by nothing less.
//! Latency is that of a batch, from its first request to its last outcome, since that is what a caller
//! waits for; `--depth 1` shows it without the batches before it. Wall clock figures are this
//! machine's; bus figures are the device's own counters and carry over.

use crate::Outcome;
use crate::args::{BenchArgs, DeviceArgs, ModeArg, PathArg};
use crate::device::{self, Job};
use crate::failure::Failure;
use crate::output::{self, say};
use anyhow::{anyhow, bail};
use esnic_abi::regs::Counters;
use esnic_abi::{Algorithm, Direction, Mode, Protocol, Spi, Top};
use esnic_driver::transport::Transport;
use esnic_driver::{
    Batch, Change, Config, KeyMaterial, PathPolicy, SaHandle, SaManager, SaSpec, SaUpdate, counter,
};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Most pairs that the benchmark uses; as many as the model has.
const MAX_PAIRS: u32 = 8;

/// SAs to update, if nothing else is asked for.
const USUAL_SAS: u32 = 1024;

/// How long a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Figures {
    device: String,
    path: String,
    mode: String,
    batch: u32,
    depth: u32,
    threads: u32,
    sas: u32,
    updates: u64,
    seconds: f64,
    /// Acknowledged updates a second, all threads together.
    pub(crate) updates_per_second: f64,
    latency_us: Latency,
    per_update: Bus,
}

/// From a batch's first request to its last outcome.
#[derive(Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

/// What the device counted, divided by updates.
#[derive(Serialize)]
struct Bus {
    device_cycles: f64,
    dma_read_tlps: f64,
    dma_read_bytes: f64,
    dma_write_tlps: f64,
    dma_write_bytes: f64,
}

/// Runs the subcommand.
pub(crate) fn run(args: &BenchArgs) -> Outcome {
    let figures = measure(args)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&figures).map_err(Failure::device)?);
    } else {
        figures.print();
    }
    Ok(())
}

/// Measures.
pub(crate) fn measure(args: &BenchArgs) -> Result<Figures, Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Failure::Input(anyhow!("--seconds takes more than 0 and at most 3600")));
    }
    let pairs = args.threads.min(MAX_PAIRS);
    // Room for one batch more than every thread has under way, so that a full ring is not what is
    // measured.
    let sharing = args.threads.div_ceil(pairs);
    let log2 = ((args.depth + 1) * args.batch * sharing).next_power_of_two().ilog2().clamp(6, 12);
    let config = Config { queue_pairs: pairs, sq_log2: log2, cq_log2: log2, ..Config::default() };
    device::with(&args.device, config, Bench { args, pairs })
}

/// What the demonstration measures.
pub(crate) fn sample(device: DeviceArgs, seconds: f64) -> BenchArgs {
    BenchArgs {
        device,
        batch: 32,
        depth: BenchArgs::DEPTH,
        sas: None,
        threads: 1,
        seconds,
        path: PathArg::Auto,
        mode: ModeArg::Top,
        json: false,
    }
}

struct Bench<'a> {
    args: &'a BenchArgs,
    pairs: u32,
}

impl Bench<'_> {
    /// How many SAs to update, on a device of so many rows.
    fn sas(&self, rows: u32) -> Result<u32, Failure> {
        let sas = self.args.sas.unwrap_or_else(|| USUAL_SAS.min(rows));
        if sas > rows {
            return Err(Failure::Input(anyhow!("--sas is {sas}, the device has {rows} rows")));
        }
        if sas < self.pairs {
            let threads = self.args.threads;
            return Err(Failure::Input(anyhow!("--sas is {sas}, too few for {threads} threads")));
        }
        Ok(sas)
    }
}

impl Job for Bench<'_> {
    type Out = Figures;

    fn run<T: Transport>(self, manager: &SaManager<T>) -> Result<Figures, Failure> {
        let args = self.args;
        let rows = manager.caps().map_err(Failure::device)?.params.sa_capacity;
        let count = self.sas(rows)?;
        manager.set_path_policy(match args.path {
            PathArg::Auto => PathPolicy::default(),
            PathArg::Ring => PathPolicy::Ring,
            PathArg::Direct => PathPolicy::Direct,
        });
        let sas = fill(manager, count).map_err(Failure::device)?;
        let before = Counted::read(manager.transport());
        let begun = Instant::now();
        let shares = self.share(manager, &sas, begun).map_err(Failure::device)?;
        let seconds = begun.elapsed().as_secs_f64();
        let counted = Counted::read(manager.transport());
        let differences = manager.diff().map_err(Failure::device)?;
        if let Some(first) = differences.first() {
            return Err(Failure::device(anyhow!(
                "after the run the table is not in step: {first}"
            )));
        }
        let mut all = histogram().map_err(Failure::device)?;
        let mut updates = 0;
        for (histogram, count) in shares {
            all.add(histogram).map_err(Failure::device)?;
            updates += count;
        }
        let us = |ns: u64| ns as f64 / 1000.0;
        Ok(Figures {
            device: args.device.device.name().into_owned(),
            path: format!("{:?}", args.path).to_lowercase(),
            mode: format!("{:?}", args.mode).to_lowercase(),
            batch: args.batch,
            depth: args.depth,
            threads: args.threads,
            sas: count,
            updates,
            seconds,
            updates_per_second: updates as f64 / seconds,
            latency_us: Latency {
                p50: us(all.value_at_quantile(0.5)),
                p99: us(all.value_at_quantile(0.99)),
                max: us(all.max()),
            },
            per_update: counted.since(&before, updates),
        })
    }
}

impl Bench<'_> {
    /// Gives each thread the SAs of its queue pair, and lets them all run.
    fn share<T: Transport>(
        &self,
        manager: &SaManager<T>,
        sas: &[(SaHandle, Spi)],
        begun: Instant,
    ) -> anyhow::Result<Vec<(Histogram<u64>, u64)>> {
        let until = begun + Duration::from_secs_f64(self.args.seconds);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.args.threads)
                .map(|thread| {
                    let pair = thread % self.pairs;
                    let own = sas.iter().filter(|(sa, _)| sa.row() % self.pairs == pair);
                    let own: Vec<_> = own.copied().collect();
                    scope.spawn(move || self.update(manager, &own, until))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
                .collect()
        })
    }

    fn update<T: Transport>(
        &self,
        manager: &SaManager<T>,
        sas: &[(SaHandle, Spi)],
        until: Instant,
    ) -> anyhow::Result<(Histogram<u64>, u64)> {
        if sas.is_empty() {
            bail!("--sas is too small for {} threads", self.args.threads);
        }
        let mut histogram = histogram()?;
        let now = Instant::now();
        let mut ring: Vec<_> =
            (0..self.args.depth).map(|_| (manager.batch(self.args.batch as usize), now)).collect();
        let mut sas = sas.iter().cycle();
        let mut number = 0u64;
        let mut updates = 0;
        // The oldest batch comes to its end, then it goes out again.
        let mut oldest = 0;
        loop {
            let depth = ring.len();
            let (batch, begun) = &mut ring[oldest];
            updates += finish(batch, *begun, &mut histogram)?;
            *begun = Instant::now();
            // One batch at the least, however late this thread came to its turn.
            if *begun >= until && number > 0 {
                break;
            }
            batch.clear();
            for (sa, spi) in sas.by_ref().take(self.args.batch as usize) {
                number += 1;
                let change = match self.args.mode {
                    ModeArg::Top => Change::top(Top(number)),
                    ModeArg::Hi => Change::hi((number / 1024) as u32),
                };
                batch.update(*sa, SaUpdate { protocol: Protocol::Esp, spi: *spi, change });
            }
            batch.submit()?;
            oldest = (oldest + 1) % depth;
        }
        let (older, newer) = ring.split_at_mut(oldest);
        for (batch, begun) in newer.iter_mut().skip(1).chain(older) {
            updates += finish(batch, *begun, &mut histogram)?;
        }
        Ok((histogram, updates))
    }
}

/// Waits for the end of a batch; returns how many updates it was.
fn finish<T: Transport>(
    batch: &mut Batch<T>,
    begun: Instant,
    histogram: &mut Histogram<u64>,
) -> anyhow::Result<u64> {
    if batch.is_empty() {
        return Ok(0);
    }
    batch.run(Instant::now() + PATIENCE)?;
    if batch.ok_count() != batch.len() {
        bail!("an update was not acknowledged with OK");
    }
    histogram.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
    Ok(batch.len() as u64)
}

/// Nanoseconds up to ten seconds, three digits.
fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3)
}

/// Adds SAs with throw-away keys.
fn fill<T: Transport>(manager: &SaManager<T>, count: u32) -> anyhow::Result<Vec<(SaHandle, Spi)>> {
    let mut sas = Vec::with_capacity(count as usize);
    for k in 1..=count {
        let [a, b, c, d] = k.to_be_bytes();
        let mut key = [0x5A; 32];
        key[..4].copy_from_slice(&[a, b, c, d]);
        let keys = KeyMaterial::new([a, b, c, d], &key).map_err(|len| anyhow!("{len} bytes"))?;
        let spec = SaSpec {
            spi: Spi(k),
            protocol: Protocol::Esp,
            direction: Direction::In,
            mode: Mode::Tunnel,
            algorithm: Algorithm::AesGcm256,
            icv_len: 16,
            src: IpAddr::V4(Ipv4Addr::new(10, b, c, d)),
            dst: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            udp: None,
            esn: true,
            replay_window: 64,
            top: Top(0),
            lo_valid: true,
            keys,
        };
        let (sa, ticket) = manager.add(&spec)?;
        let settled = ticket.wait_default()?;
        if !settled.is_ok() {
            bail!("SA {k} was not added: {settled}");
        }
        sas.push((sa, Spi(k)));
    }
    Ok(sas)
}

/// The device's own counters.
struct Counted([u64; 5]);

impl Counted {
    fn read<T: Transport>(t: &T) -> Self {
        use Counters::{CYCLES, DMA_RD_BYTES, DMA_RD_TLP, DMA_WR_BYTES, DMA_WR_TLP};
        Self(
            [CYCLES, DMA_RD_TLP, DMA_RD_BYTES, DMA_WR_TLP, DMA_WR_BYTES]
                .map(|register| counter(t, register)),
        )
    }

    fn since(&self, before: &Self, updates: u64) -> Bus {
        let each = |k: usize| (self.0[k] - before.0[k]) as f64 / updates.max(1) as f64;
        Bus {
            device_cycles: each(0),
            dma_read_tlps: each(1),
            dma_read_bytes: each(2),
            dma_write_tlps: each(3),
            dma_write_bytes: each(4),
        }
    }
}

impl Figures {
    /// The figures as a table.
    pub(crate) fn print(&self) {
        let mut table = output::table(&["what", "value"]);
        let mut row = |what: &str, value: String| {
            table.add_row([what.to_owned(), value]);
        };
        let rate = self.updates_per_second / 1e6;
        row(
            "acknowledged updates",
            format!("{rate:.2} M/s ({} in {:.1} s)", self.updates, self.seconds),
        );
        row(
            "how",
            format!(
                "batches of {}, {} under way, over {} SAs, {} thread(s), path {}, mode {}",
                self.batch, self.depth, self.sas, self.threads, self.path, self.mode
            ),
        );
        let Latency { p50, p99, max } = self.latency_us;
        row("batch latency", format!("p50 {p50:.2} µs, p99 {p99:.2} µs, max {max:.1} µs"));
        let bus = &self.per_update;
        row("device cycles an update", format!("{:.2}, polling included", bus.device_cycles));
        row(
            "DMA reads an update",
            format!("{:.3} TLPs, {:.1} bytes", bus.dma_read_tlps, bus.dma_read_bytes),
        );
        row(
            "DMA writes an update",
            format!("{:.3} TLPs, {:.1} bytes", bus.dma_write_tlps, bus.dma_write_bytes),
        );
        say!("{table}");
    }
}
