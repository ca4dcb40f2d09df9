// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Debian packages, fetched and unpacked without being installed: by the machine's own apt, with a state
//! of its own below `target`, so that it takes no root and touches nothing else. apt checks signatures
//! with the keyring of Debian's archive, and every package against the signed lists.

use super::mirror;
use crate::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The release that packages come from.
const RELEASE: &str = "trixie";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An apt of our own.
pub(super) struct Apt {
    place: PathBuf,
}

impl Apt {
    /// Fetches the lists.
    pub(super) fn open(home: &Path) -> Result<Self, String> {
        if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
            return Err("that is prepared for x86-64 Linux only".into());
        }
        for tool in ["apt-get", "apt-config", "dpkg-deb", "tar"] {
            if crate::process::version(Command::new(tool)).is_none() {
                return Err(format!("this is no Debian: there is no {tool}"));
            }
        }
        if !Path::new(KEYRING).exists() {
            return Err(format!(
                "there is no {KEYRING}; the package debian-archive-keyring has it"
            ));
        }
        let mirrors = mirror::all();
        if mirrors.is_empty() {
            return Err("apt's sources name no mirror of Debian; ESNIC_DEBIAN_MIRROR can".into());
        }
        let place = absolute(&home.join("apt"))?;
        let mut why = String::new();
        for uri in &mirrors {
            let apt = Self { place: place.clone() };
            apt.configure(uri)?;
            match apt.run("apt-get", &["update"]) {
                Ok(_) => return Ok(apt),
                Err(error) => why = format!("{uri}: {error}"),
            }
        }
        Err(why)
    }

    fn configure(&self, uri: &str) -> Result<(), String> {
        let place = self.place.display();
        let _old = fs::remove_dir_all(&self.place);
        for dir in ["state/lists/partial", "cache/archives/partial", "packages"] {
            let dir = self.place.join(dir);
            fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        let write = |name: &str, text: String| {
            let path = self.place.join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
        };
        // Nothing is installed in the eyes of this apt, so that it fetches what a package depends on.
        write("status", String::new())?;
        let source = format!("deb [arch=amd64 signed-by={KEYRING}] {uri}");
        write(
            "sources.list",
            format!("{source} {RELEASE} main\n{source} {RELEASE}-backports main\n"),
        )?;
        write(
            "preferences",
            format!(
                "Package: qemu-* seabios ipxe-qemu\nPin: release n={RELEASE}-backports\nPin-Priority: 990\n"
            ),
        )?;
        // Of the machine's settings only how it reaches the network, a proxy for example.
        let dump = output(Command::new("apt-config").args(["dump", "Acquire"]))?;
        let network = dump.lines().filter(|line| !line.starts_with("Acquire::IndexTargets"));
        let mut text = network.collect::<Vec<_>>().join("\n");
        text.push_str(&format!(
            r#"
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{place}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "{place}/preferences";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::State "{place}/state";
Dir::State::status "{place}/status";
Dir::Cache "{place}/cache";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
"#
        ));
        write("apt.conf", text)
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("APT_CONFIG", self.place.join("apt.conf"))
            .env("LC_ALL", "C")
            .current_dir(self.place.join("packages"));
        output(&mut command)
    }

    /// What a package depends on.
    pub(super) fn depends(&self, package: &str) -> Result<Vec<String>, String> {
        let text = self.run("apt-cache", &["depends", package])?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }

    /// Fetches a package alone.
    pub(super) fn fetch(&self, package: &str) -> Result<PathBuf, String> {
        self.run("apt-get", &["--quiet", "download", package])?;
        let start = format!("{package}_");
        packages_in(&self.place.join("packages"))
            .into_iter()
            .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&start)))
            .ok_or_else(|| format!("apt left no package {package}"))
    }

    /// Fetches a package with all it depends on.
    pub(super) fn fetch_all(&self, package: &str) -> Result<Vec<PathBuf>, String> {
        let args =
            ["--quiet", "--yes", "--download-only", "--no-install-recommends", "install", package];
        self.run("apt-get", &args)?;
        let found = packages_in(&self.place.join("cache/archives"));
        if found.is_empty() { Err(format!("apt left no package {package}")) } else { Ok(found) }
    }

    /// Takes the lists and packages away again.
    pub(super) fn close(self) {
        let _old = fs::remove_dir_all(&self.place);
    }
}

/// Version of a package file.
pub(super) fn version(package: &Path) -> Result<String, String> {
    output(Command::new("dpkg-deb").arg("--field").arg(package).arg("Version"))
        .map(|text| text.trim().to_owned())
}

/// Unpacks a package, without what nobody reads here.
pub(super) fn unpack(package: &Path, place: &Path) -> Result<(), String> {
    fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    let start =
        |what: &mut Command| what.spawn().map_err(|e| format!("{:?}: {e}", what.get_program()));
    let mut deb =
        start(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()))?;
    let pipe = deb.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let excludes = ["doc", "man", "locale", "lintian", "bug", "info"];
    let tar = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--directory"])
        .arg(place)
        .args(excludes.map(|what| format!("--exclude=./usr/share/{what}")))
        .stdin(pipe)
        .status();
    let unpacked = tar.is_ok_and(|status| status.success());
    let read = deb.wait().is_ok_and(|status| status.success());
    if unpacked && read { Ok(()) } else { Err(format!("{} cannot be unpacked", package.display())) }
}

fn packages_in(place: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(place).into_iter().flatten().flatten().map(|file| file.path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "deb")).collect()
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// What a command prints; on failure its last complaint.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = crate::process::shown(command);
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("`{shown}`: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    Err(format!("`{shown}`: {}", last.unwrap_or("failed without a word")))
}

/// The sentence for somebody whose machine has not what a guest takes.
pub(super) fn refused(what: &str, why: &str, remedy: &str) -> Failure {
    Failure::Work(format!("{what} is missing and could not be fetched ({why}); {remedy}"))
}
