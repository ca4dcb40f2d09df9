// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Submitting and completing allocate nothing: an allocator that counts.

#[macro_use]
mod support;

use esnic_abi::Bar;
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use support::*;

thread_local! {
    /// Allocations of this thread while it counts; `None` while it does not.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

struct Counting;

fn count() {
    // A thread that ends has no counter any more, and nothing to count.
    let _ = COUNT.try_with(|count| count.set(count.get().map(|n| n + 1)));
}

// SAFETY: every call goes to the system's allocator as it came; counting touches one `Cell`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `GlobalAlloc::realloc`.
        unsafe { System.realloc(place, layout, len) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f`; how often it allocated or freed.
fn counted<R>(f: impl FnOnce() -> R) -> (R, u64) {
    COUNT.set(Some(0));
    let result = f();
    (result, COUNT.take().unwrap_or(0))
}

/// The device may allocate as it likes: it is not the driver.
struct Uncounted<T>(T);

fn aside<R>(f: impl FnOnce() -> R) -> R {
    let before = COUNT.take();
    let result = f();
    COUNT.set(before);
    result
}

impl<T: Transport> Transport for Uncounted<T> {
    fn name(&self) -> String {
        self.0.name()
    }
    fn bar_bytes(&self, bar: Bar) -> u64 {
        aside(|| self.0.bar_bytes(bar))
    }
    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        aside(|| self.0.read32(bar, offset))
    }
    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        aside(|| self.0.write32(bar, offset, value));
    }
    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        aside(|| self.0.write64(bar, offset, value));
    }
    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        aside(|| self.0.store(bar, offset, quadwords));
    }
    fn store_fence(&self) {
        aside(|| self.0.store_fence());
    }
    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.0.dma_alloc(len_bytes, access)
    }
    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.0.set_bus_master(on)
    }
    fn reset(&self) -> Result<(), Error> {
        self.0.reset()
    }
    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        self.0.enable_interrupts(count)
    }
    fn disable_interrupts(&self) -> Result<(), Error> {
        self.0.disable_interrupts()
    }
    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        self.0.wait_interrupt(vector, deadline)
    }
    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        self.0.interrupt_fd(vector)
    }
    fn relax(&self) {
        aside(|| self.0.relax());
    }
}

fn uncounted<B: Backend>(config: Config) -> SaManager<Uncounted<B::Link>> {
    SaManager::open(Uncounted(B::plug(small())), config).unwrap()
}

fn the_counter_counts<B: Backend>() {
    let (_, n) = counted(|| drop(std::hint::black_box(Box::new([0; 100]))));
    assert!(n >= 2, "{n}");
    assert_eq!(counted(|| aside(|| drop(std::hint::black_box(Box::new([0; 100]))))).1, 0);
}

struct Quiet;
impl OnSettled for Quiet {
    fn settled(&self, _: u64, _: Settled) {}
}

fn single_requests_allocate_nothing<B: Backend>() {
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        let manager = uncounted::<B>(config());
        manager.set_path_policy(policy);
        let callback = manager.register(Arc::new(Quiet)).unwrap();
        let (one, two, both) = (esp(1), esp(2), ah(2));
        let ((), n) = counted(|| {
            for round in 0..100 {
                let (sa, ticket) = manager.add(&one).unwrap();
                done(&ticket);
                drop(ticket);
                for _ in 0..20 {
                    done(&manager.update(sa, hi(1, round)).unwrap());
                }
                manager.query(sa).unwrap().notify(callback, 1);
                while manager.stats().in_flight > 0 {
                    manager.poll();
                    manager.transport().relax();
                }
                done(&manager.resolve(sa, round, true).unwrap());
                assert!(manager.update(sa, hi(9, 1)).is_err());
                let (bundle, ticket) = manager.add_bundle(&two, &both).unwrap();
                done(&ticket);
                done(&manager.delete(bundle).unwrap());
                done(&manager.delete(sa).unwrap());
            }
        });
        assert_eq!(n, 0, "{policy:?}");
    }
}

fn batches_allocate_nothing<B: Backend>() {
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        // Larger than the ring, so that it is full now and then.
        let manager = uncounted::<B>(Config { sq_log2: 3, cq_log2: 3, ..config() });
        manager.set_path_policy(policy);
        let all: Vec<_> = (0..32)
            .map(|n| {
                manager
                    .add(&esp(n))
                    .map(|(sa, ticket)| {
                        done(&ticket);
                        sa
                    })
                    .unwrap()
            })
            .collect();
        let specs: Vec<_> = (0..32).map(esp).collect();
        let mut batch = manager.batch(64);
        let ((), n) = counted(|| {
            for round in 1..50 {
                for (spec, &sa) in specs.iter().zip(&all) {
                    batch.update(sa, update(spec, Change::hi(round)));
                    batch.update(sa, update(spec, Change::top(Top::new(round, 7))));
                }
                batch.run(Instant::now() + Duration::from_secs(20)).unwrap();
                assert_eq!(batch.ok_count(), 64);
                batch.clear();
            }
        });
        assert_eq!(n, 0, "{policy:?}");
    }
}

on_every_backend!(the_counter_counts, single_requests_allocate_nothing, batches_allocate_nothing,);
