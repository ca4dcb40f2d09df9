// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The guest's kernel with the modules that VFIO takes, and a shell: Debian's own, as they come.

use super::apt::{self, Apt};
use super::kept;
use crate::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RECIPE: &str = "linux-image-cloud-amd64 and busybox-static of trixie, 1";
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";

/// In the order in which they are loaded. A kernel that has one built in, or not any more, goes without.
const MODULES: &[&str] = &[
    "irqbypass",
    "iommufd",
    "vfio",
    "vfio_virqfd",
    "vfio_iommu_type1",
    "vfio-pci-core",
    "vfio-pci",
];

/// Those without which there is no VFIO, built in or not.
const NEEDED: &[&str] = &["vfio", "vfio_iommu_type1", "vfio-pci"];

/// What was fetched.
pub(super) struct Kernel {
    /// For people.
    pub(super) version: String,
    place: PathBuf,
}

impl Kernel {
    /// Finds what was fetched, or fetches it.
    pub(super) fn ensure(home: &Path) -> Result<Self, Failure> {
        let place = home.join("kernel");
        if let Some(version) = kept::version(&place, RECIPE) {
            return Ok(Self { version, place });
        }
        println!("the guest's kernel is missing: unpacking Debian's {KERNEL}");
        let version = kept::keep(&place, RECIPE, |new| fetch(home, new)).map_err(|why| {
            apt::refused(
                "the guest's kernel",
                &why,
                "guest runs take a Debian, or a machine with apt and debian-archive-keyring, and its mirror",
            )
        })?;
        Ok(Self { version, place })
    }

    /// The kernel itself.
    pub(super) fn image(&self) -> PathBuf {
        self.place.join("vmlinuz")
    }

    /// Modules, in the order of their names.
    pub(super) fn modules(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.place.join("modules")).into_iter().flatten().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).collect();
        files.sort();
        files
    }

    /// A shell and its tools in one static program.
    pub(super) fn busybox(&self) -> PathBuf {
        self.place.join("busybox")
    }
}

fn fetch(home: &Path, new: &Path) -> Result<String, String> {
    let apt = Apt::open(home)?;
    let depends = apt.depends(KERNEL)?;
    let image = depends.iter().find(|name| name.starts_with("linux-image-"));
    let image = image.ok_or_else(|| format!("{KERNEL} depends on no kernel"))?;
    let (kernel, busybox) = (apt.fetch(image)?, apt.fetch(BUSYBOX)?);
    let version = format!("{} ({image})", apt::version(&kernel)?);
    let unpacked = new.join("unpacked");
    apt::unpack(&kernel, &unpacked)?;
    apt::unpack(&busybox, &unpacked)?;
    apt.close();

    let mut files = Vec::new();
    walk(&unpacked, &mut files);
    let keep = |from: &Path, to: &str| {
        fs::copy(from, new.join(to)).map_err(|e| format!("{}: {e}", from.display()))
    };
    let named = |start: &str| {
        files
            .iter()
            .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(start)))
    };
    keep(named("vmlinuz").ok_or("the package has no kernel")?, "vmlinuz")?;
    keep(&unpacked.join("usr/bin/busybox"), "busybox")
        .or_else(|_| keep(&unpacked.join("bin/busybox"), "busybox"))?;
    let built_in = files.iter().find(|path| path.ends_with("modules.builtin"));
    let built_in = built_in.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    fs::create_dir_all(new.join("modules")).map_err(|e| format!("{}: {e}", new.display()))?;
    for (n, module) in MODULES.iter().enumerate() {
        match named(&format!("{module}.ko")) {
            Some(path) => expand(path, &new.join(format!("modules/{n}-{module}.ko")))?,
            None if built_in.contains(&format!("/{module}.ko")) => {}
            None if NEEDED.contains(module) => {
                return Err(format!("the kernel has no module {module}"));
            }
            None => {}
        }
    }
    fs::remove_dir_all(&unpacked).map_err(|e| format!("{}: {e}", unpacked.display()))?;
    Ok(version)
}

/// Copies a module; expands it if it is compressed, since the guest has no program for that.
fn expand(from: &Path, to: &Path) -> Result<(), String> {
    let python = "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)";
    let ways: &[(&str, &[&str])] = match from.extension().and_then(|ext| ext.to_str()) {
        Some("xz") => &[("xz", &["-dc"]), ("python3", &["-c", python])],
        Some("zst") => &[("zstd", &["-dc"])],
        _ => return fs::copy(from, to).map(drop).map_err(|e| format!("{}: {e}", from.display())),
    };
    for (program, args) in ways {
        let file = |path: &Path, made: bool| {
            let file = if made { fs::File::create(path) } else { fs::File::open(path) };
            file.map_err(|e| format!("{}: {e}", path.display()))
        };
        let status = Command::new(program)
            .args(*args)
            .stdin(file(from, false)?)
            .stdout(file(to, true)?)
            .stderr(Stdio::null())
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    let names: Vec<_> = ways.iter().map(|(program, _)| *program).collect();
    Err(format!("{} is compressed, and {} cannot expand it", from.display(), names.join(" or ")))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}
