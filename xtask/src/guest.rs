// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask guest`: the tests once more, in a guest whose stock kernel drives the device as a PCI
//! function by real VFIO, IOMMU and MSI-X included.
//!
//! The device, model or RTL, is served by a program on the host ([the bench](../../../tests/guest/bench)),
//! over vfio-user. QEMU makes functions of a machine of it; the guest is Debian's kernel with one static
//! program as its first process, which runs the tests one by one.

mod apt;
mod build;
mod image;
mod kept;
mod kernel;
mod machine;
mod mirror;
mod qemu;
mod report;
mod run;

use crate::process::root;
use crate::{Failure, Outcome};
use image::Image;
use kernel::Kernel;
use qemu::Qemu;
use run::Run;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The kinds of device.
const DEVICES: &[&str] = &["model", "rtl"];

/// For hangs only: on two cores with nothing else to do, two guests take five minutes, and no test two.
const PATIENCE: Duration = Duration::from_secs(3600);
const TEST_PATIENCE: Duration = Duration::from_secs(1200);

/// Captures that `esnic sync` follows in the guest.
const CAPTURES: &str = "tests/data/xfrm";

/// Scripts of requests that `esnic oid` runs there.
const SCRIPTS: &str = "tests/data/oid";

/// What the command line says.
struct Wanted<'a> {
    device: &'a str,
    shell: bool,
    tests: Vec<&'a str>,
}

impl<'a> Wanted<'a> {
    fn read(args: &'a [String]) -> Result<Self, Failure> {
        let mut wanted = Self { device: DEVICES[0], shell: false, tests: Vec::new() };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match arg {
                "--shell" => wanted.shell = true,
                "--device" => {
                    let named = args.next().unwrap_or_default();
                    let found = DEVICES.iter().find(|device| **device == named);
                    wanted.device = found.ok_or_else(|| {
                        Failure::Usage(format!("--device takes {}", DEVICES.join(" or ")))
                    })?;
                }
                flag if flag.starts_with('-') => {
                    return Err(Failure::Usage(format!("guest takes no `{flag}`")));
                }
                test => wanted.tests.push(test),
            }
        }
        if wanted.shell && !wanted.tests.is_empty() {
            return Err(Failure::Usage("--shell runs no tests".into()));
        }
        Ok(wanted)
    }
}

/// Where everything is that guest runs take and leave. In full, since programs run elsewhere.
fn home() -> Result<PathBuf, Failure> {
    let home = root().join("target/guest");
    fs::create_dir_all(&home)
        .and_then(|()| home.canonicalize())
        .map_err(|e| Failure::Work(format!("{}: {e}", home.display())))
}

/// What a guest takes, whatever its device.
struct Parts {
    qemu: Qemu,
    kernel: Kernel,
    bench: PathBuf,
    programs: build::Programs,
}

impl Parts {
    /// Fetches and compiles what is missing.
    fn ensure(home: &Path) -> Result<Self, Failure> {
        let (qemu, kernel) = (Qemu::ensure(home)?, Kernel::ensure(home)?);
        Ok(Self { qemu, kernel, bench: build::bench()?, programs: build::guest(home)? })
    }
}

/// Runs all tests in two guests at once, one with each kind of device: neither keeps two cores busy, and
/// each spends part of its time waiting for the kernel. What the second one says comes after the first one.
pub(crate) fn all() -> [Outcome; 2] {
    if let Err(failure) = home().and_then(|home| Parts::ensure(&home)) {
        return [Err(failure), Ok(())];
    }
    let said = |device: &str| {
        println!("guest: tests over real VFIO; the device is the {device}");
    };
    let second = std::env::current_exe().and_then(|program| {
        let mut command = Command::new(program);
        command.args(["guest", "--device", "rtl"]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    });
    said("model");
    let first = run(&["--device".to_owned(), "model".to_owned()]);
    said("rtl");
    let second = second.and_then(std::process::Child::wait_with_output).map(|output| {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        output.status
    });
    let second = match second {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Work(format!("`cargo xtask guest --device rtl`: {status}"))),
        Err(error) => Err(Failure::Work(format!("cannot run the second guest: {error}"))),
    };
    [first, second]
}

/// Runs a guest.
pub(crate) fn run(args: &[String]) -> Outcome {
    let wanted = Wanted::read(args)?;
    let home = home()?;
    let Parts { qemu, kernel, bench, programs } = Parts::ensure(&home)?;
    println!("guest: {}, Linux {}", qemu.version, kernel.version);

    // Sockets have short names only, so programs run in the directory where they are.
    let place = home.join(format!("run-{}", wanted.device));
    let explain = |e: std::io::Error| Failure::Work(format!("{}: {e}", place.display()));
    let _old = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).map_err(explain)?;
    let image = place.join("initrd.cpio");
    pack(&image, &wanted, &kernel, &programs)
        .map_err(|e| Failure::Work(format!("{}: {e}", image.display())))?;
    let run = Run {
        device: wanted.device,
        bench: &bench,
        qemu: machine::command(&qemu, &kernel, Path::new("initrd.cpio"), wanted.shell),
        place: &place,
        patience: PATIENCE,
    };
    let outcome = if wanted.shell {
        println!("guest: `exit` in its prompt turns it off, Ctrl-A x ends it at once");
        run.shell()
    } else {
        run.tests()
    };
    let _image = fs::remove_file(&image);
    outcome
}

/// Writes the guest's file system.
fn pack(
    path: &Path,
    wanted: &Wanted<'_>,
    kernel: &Kernel,
    programs: &build::Programs,
) -> std::io::Result<()> {
    let mut image = Image::create(path)?;
    image.copy("init", &programs.init)?;
    image.file("order", order(wanted).as_bytes())?;
    for module in kernel.modules() {
        let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        image.copy(&format!("modules/{name}"), &module)?;
    }
    for (name, program) in &programs.tests {
        image.copy(&format!("tests/{name}"), program)?;
    }
    image.copy("bin/esnic", &programs.esnic)?;
    pack_below(&mut image, "captures", &root().join(CAPTURES))?;
    pack_below(&mut image, "scripts", &root().join(SCRIPTS))?;
    if wanted.shell {
        image.copy("bin/busybox", &kernel.busybox())?;
    }
    image.finish().map(drop)
}

/// Packs every file below a directory, by its name there.
fn pack_below(image: &mut Image<impl Write>, name: &str, from: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            pack_below(image, &name, &entry.path())?;
        } else {
            image.copy(&name, &entry.path())?;
        }
    }
    Ok(())
}

/// What the first process is to do (`tests/guest/src/order.rs`).
fn order(wanted: &Wanted<'_>) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(machine::functions().iter().map(|one| format!("function {}", one.address)));
    lines.extend(wanted.tests.iter().map(|test| format!("test {test}")));
    lines.push(format!("env ESNIC_DEVICE={}", wanted.device));
    lines.push(format!("env ESNIC_DOOMED={}", machine::doomed()));
    // Register accesses take microseconds here instead of nanoseconds.
    let ops = if wanted.device == "rtl" { 1000 } else { 4000 };
    for (name, usual) in [("ESNIC_OPS", ops.to_string()), ("ESNIC_SEED", "1".to_owned())] {
        lines.push(format!("env {name}={}", std::env::var(name).unwrap_or(usual)));
    }
    lines.push(format!("lanes {}", machine::LANES));
    lines.push(format!("patience {}", TEST_PATIENCE.as_secs()));
    if wanted.shell {
        lines.push("shell".into());
    }
    lines.join("\n") + "\n"
}
