// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The machine that QEMU makes: which functions it has, where they are, and its command line.

use super::kernel::Kernel;
use super::qemu::Qemu;
use std::path::Path;
use std::process::Command;

/// Tests that run at once: one gets on while another waits for an answer of its device. More functions
/// would make each change of the machine's address spaces take longer.
pub(super) const LANES: usize = 3;

/// SA capacities of the functions. A function's length of BAR 2 is fixed when the machine starts, and
/// it tells the capacity; so there is one function for each that the tests ask for, in each lane.
const CAPACITIES: &[u32] = &[2, 32, 64, 4096];

/// The capacity of the function that all lanes share, since few tests need it.
const LARGEST: u32 = 1 << 20;

/// The capacity of the function that a test pulls out: the last one, and no lane's.
const DOOMED: u32 = 64;

/// MSI-X vectors of each function: as many as the largest device has that is plugged in there.
const VECTORS: u16 = 65;

/// One function of the guest.
pub(super) struct Function {
    /// SA slots.
    pub(super) capacity: u32,
    /// PCI address in the guest.
    pub(super) address: String,
    /// Socket, below the directory of the run.
    pub(super) socket: String,
}

impl Function {
    /// As the bench's command line names it.
    pub(super) fn for_bench(&self) -> String {
        format!("{}={}:{VECTORS}:{}", self.address, self.capacity, self.socket)
    }
}

/// Each function behind a root port of its own, so that it is alone in its IOMMU group.
pub(super) fn functions() -> Vec<Function> {
    let of_lanes = (0..LANES).flat_map(|_| CAPACITIES.iter().copied());
    let function = |(n, capacity): (usize, u32)| Function {
        capacity,
        // Firmware numbers buses in the order of the ports.
        address: format!("0000:{:02x}:00.0", n + 1),
        socket: format!("f{n}.sock"),
    };
    of_lanes.chain([LARGEST, DOOMED]).enumerate().map(function).collect()
}

/// The address of the function that a test pulls out.
pub(super) fn doomed() -> String {
    functions().pop().expect("it is the last of them").address
}

/// QEMU's command line, to be run in the directory of the run.
pub(super) fn command(qemu: &Qemu, kernel: &Kernel, image: &Path, shell: bool) -> Command {
    let mut command = qemu.command();
    // Both files belong to QEMU's directory, but the kernel is elsewhere.
    command.args(["-nodefaults", "-display", "none", "-no-reboot", "-no-user-config"]);
    command.args([
        "-machine",
        "q35,memory-backend=mem",
        "-accel",
        "tcg",
        "-cpu",
        "qemu64",
        "-smp",
        "1",
    ]);
    // Shared, since devices in another process read and write it. Not shared, they would read zeros.
    command.args(["-m", MEMORY, "-object"]);
    command.arg(format!("memory-backend-memfd,id=mem,size={MEMORY},share=on"));
    command.args(["-device", "intel-iommu,intremap=on,caching-mode=on"]);
    for (n, function) in functions().iter().enumerate() {
        command.arg("-device");
        command.arg(format!(
            "pcie-root-port,id=port{n},bus=pcie.0,addr={:x},chassis={n},slot={n}",
            n + 2
        ));
        command.arg("-device");
        // A register read waits for the device, whose host may be busy, or stand still for a while as virtual
        // ones do. After the timeout, QEMU's connection is of no more use.
        command.arg(format!(
            r#"{{"driver":"vfio-user-pci","bus":"port{n}","x-msg-timeout":600000,"socket":{{"type":"unix","path":"{}"}}}}"#,
            function.socket
        ));
    }
    let console =
        if shell { "stdio,id=console,mux=on,signal=off" } else { "stdio,id=console,signal=off" };
    command.args(["-chardev", console, "-serial", "chardev:console"]);
    if shell {
        command.args(["-mon", "chardev=console"]);
    }
    command.args(["-chardev", "socket,id=control,path=control.sock", "-serial", "chardev:control"]);
    if qemu.has("exit-with-parent") {
        command.args(["-run-with", "exit-with-parent=on"]);
    }
    command.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(image);
    // The first process passes the kernel's log on, in lines of its own.
    let words = "console=ttyS0 intel_iommu=on nosoftlockup panic=-1 loglevel=1 rdinit=/init";
    command.args(["-append", words]);
    command
}

/// Of the guest: its file system, programs among them, and what tests take.
const MEMORY: &str = "1G";
