// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the bridge itself promises, whatever the device does: builds, determinism, a device that is
//! gone. What the device does is tested by the contract tests of the root package.

use esnic_abi::regs::Global;
use esnic_abi::{Bar, DEVICE_ID, Device, DmaFault, Host, Params};
use esnic_rtl::{Bus, RtlDevice, RtlError, builds};

/// A host without memory.
struct Nobody;

impl Host for Nobody {
    fn dma_read(&mut self, _iova: u64, _out: &mut [u8]) -> Result<(), DmaFault> {
        Err(DmaFault)
    }

    fn dma_write(&mut self, _iova: u64, _data: &[u8]) -> Result<(), DmaFault> {
        Err(DmaFault)
    }

    fn interrupt(&mut self, _vector: u16) {}
}

fn plug(bus: Bus) -> RtlDevice {
    RtlDevice::new(Params::default(), bus).expect("the default build")
}

fn read32(device: &mut RtlDevice, register: Global) -> u32 {
    let mut bytes = [0; 4];
    device.read(Bar::Registers, register.address(0), &mut bytes);
    u32::from_le_bytes(bytes)
}

#[test]
fn every_build_is_what_it_says() {
    for (name, params) in builds() {
        let mut device = RtlDevice::new(params, Bus::default()).expect("a build of the list");
        let read = Params::from_registers(
            read32(&mut device, Global::FEATURES),
            read32(&mut device, Global::ALGS),
            read32(&mut device, Global::SA_CAPACITY),
            read32(&mut device, Global::LIMITS),
            read32(&mut device, Global::MAX_WINDOW),
        );
        assert_eq!(read, Ok(params), "{name}");
        assert_eq!(device.build(), name);
    }
}

#[test]
fn parameters_that_no_build_has_are_refused_with_the_list() {
    let params = Params { sa_capacity: 512, ..Params::default() };
    let Err(error) = RtlDevice::new(params, Bus::default()) else {
        panic!("there is no such build");
    };
    assert!(matches!(error, RtlError::NoBuild { .. }));
    assert!(error.to_string().contains("default, large, small"), "{error}");
}

#[test]
fn stores_arrive_in_order_on_any_bus_and_a_seed_repeats_its_run() {
    let run = |seed| {
        let mut device = plug(Bus::rough(seed));
        let scratch = Global::SCRATCH.address(0);
        for value in 0..100_u32 {
            device.write(Bar::Registers, scratch, &value.to_le_bytes());
            if value % 7 == 0 {
                device.step(&mut Nobody, value);
                assert_eq!(read32(&mut device, Global::SCRATCH), value, "seed {seed}");
            }
        }
        (device.cycles(), device.traffic())
    };
    for seed in 0..50 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

#[test]
fn a_store_costs_on_the_bus_what_pcie_takes() {
    let mut device = plug(Bus::default());
    device.write(Bar::Registers, Global::SCRATCH.address(0), &[1; 4]);
    read32(&mut device, Global::SCRATCH);
    let traffic = device.traffic();
    assert_eq!((traffic.mmio_writes.count, traffic.mmio_writes.bytes), (1, 28));
    assert_eq!(traffic.bytes_to_device(), 28 + 24);
    assert_eq!(traffic.bytes_to_host(), 20 + 4);
}

#[test]
fn a_device_that_is_gone_reads_all_ones() {
    let mut device = plug(Bus::default());
    assert_eq!(read32(&mut device, Global::ID), DEVICE_ID);
    device.faults_mut().gone = true;
    assert_eq!(read32(&mut device, Global::ID), u32::MAX);
    assert!(!device.step(&mut Nobody, 16));
}

#[test]
fn an_idle_device_says_so_and_its_clock_goes_on() {
    let mut device = plug(Bus::default());
    let mut steps = 0;
    while device.step(&mut Nobody, 16) {
        steps += 1;
        assert!(steps < 1000, "it scrubs 4096 rows, no more");
    }
    let before = device.cycles();
    assert!(!device.step(&mut Nobody, 16));
    assert_eq!(device.cycles(), before + 16);
}
