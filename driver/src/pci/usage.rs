// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who works with a function: the host itself, by network or storage; or a process, through VFIO.

use super::address::Address;
use super::function::Function;
use super::host::{Host, link_name, names, number, text};
use super::refusal::Refusal;
use std::fmt;
use std::path::{Path, PathBuf};

/// A process that has a group or a function open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.name)
    }
}

/// Interface is up, in its flags.
const IFF_UP: u64 = 1;

impl Function {
    /// Whether taking the function from its driver leaves the host as it is.
    ///
    /// # Errors
    /// What the host uses it for.
    pub fn idle(&self, host: &Host) -> Result<(), Refusal> {
        let used =
            self.interface_up(host).or_else(|| self.disk_in_use(host)).or_else(|| self.console());
        match used {
            None => Ok(()),
            Some(what) => Err(Refusal::InUse { address: self.address, what }),
        }
    }

    /// Members of a class of devices that are this function's, or those of something on it, as an interface
    /// is that belongs to a virtio device. Interfaces in other network namespaces are not seen.
    fn members(&self, class: &Path) -> Vec<String> {
        let Ok(mine) = self.path().canonicalize() else { return Vec::new() };
        let is_mine = |name: &String| {
            class.join(name).canonicalize().is_ok_and(|path| path.starts_with(&mine))
        };
        names(class).into_iter().filter(is_mine).collect()
    }

    fn interface_up(&self, host: &Host) -> Option<String> {
        let net = host.path("sys/class/net");
        let up = |name: &String| {
            number(&net.join(name).join("flags")).is_some_and(|flags| flags & IFF_UP != 0)
        };
        let name = self.members(&net).into_iter().find(up)?;
        Some(format!("interface {name} is up; `ip link set {name} down` if that is meant to end"))
    }

    /// Disks of this function that are mounted, swapped to, or part of something else.
    fn disk_in_use(&self, host: &Host) -> Option<String> {
        let block = host.path("sys/class/block");
        let mounts = text(&host.path("proc/self/mountinfo")).unwrap_or_default();
        let swaps = text(&host.path("proc/swaps")).unwrap_or_default();
        for disk in self.members(&block) {
            let device = format!("/dev/{disk}");
            let number = text(&block.join(&disk).join("dev")).unwrap_or_default();
            // Third word of a line: major:minor; fifth: where it is mounted; second after the dash: what was
            // mounted, since btrfs has numbers of its own.
            let mounted = mounts.lines().find_map(|line| {
                let (line, more) = line.split_once(" - ").unwrap_or((line, ""));
                let words: Vec<&str> = line.split_whitespace().collect();
                let is_it = words.get(2) == Some(&&*number)
                    || more.split_whitespace().nth(1) == Some(&device);
                is_it.then(|| (*words.get(4).unwrap_or(&"?")).to_owned())
            });
            if let Some(place) = mounted {
                return Some(format!(
                    "{disk} is mounted at {place}; `umount {place}` if that is meant to end"
                ));
            }
            if swaps.lines().any(|line| line.split_whitespace().next() == Some(&device)) {
                return Some(format!(
                    "{disk} is swapped to; `swapoff {device}` if that is meant to end"
                ));
            }
            if let Some(holder) = names(&block.join(&disk).join("holders")).first() {
                return Some(format!("{disk} is part of {holder}; take it out of there first"));
            }
        }
        None
    }

    fn console(&self) -> Option<String> {
        let first = number(&self.path().join("boot_vga")) == Some(1);
        first.then(|| "it is the console's display, which somebody may be looking at".to_owned())
    }

    /// Processes that have the function or its group open. Without root only one's own are seen.
    #[must_use]
    pub fn holders(&self, host: &Host) -> Vec<Holder> {
        let mut files: Vec<PathBuf> = Vec::new();
        files.extend(self.group.map(|group| PathBuf::from(format!("/dev/vfio/{group}"))));
        files.extend(self.cdev().map(|name| Path::new("/dev/vfio/devices").join(name)));
        let proc = host.path("proc");
        let holds = |pid: &u32| {
            let fds = proc.join(pid.to_string()).join("fd");
            let to = |fd: String| std::fs::read_link(fds.join(fd)).ok();
            names(&fds).into_iter().filter_map(to).any(|to| files.contains(&to))
        };
        let pids = names(&proc).into_iter().filter_map(|name| name.parse().ok());
        let mut holders: Vec<Holder> = pids
            .filter(holds)
            .map(|pid: u32| Holder {
                pid,
                name: text(&proc.join(pid.to_string()).join("comm")).unwrap_or_default(),
            })
            .collect();
        holders.sort_by_key(|holder| holder.pid);
        holders
    }

    /// Whether nobody has it open.
    ///
    /// # Errors
    /// Who has.
    pub fn free(&self, host: &Host) -> Result<(), Refusal> {
        let holders = self.holders(host);
        if holders.is_empty() {
            return Ok(());
        }
        Err(Refusal::Held { address: self.address, who: list(&holders) })
    }
}

/// Several, as a sentence has them.
pub(crate) fn list(holders: &[Holder]) -> String {
    holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Driver that has the function at `address`, now.
pub(super) fn driver(host: &Host, address: Address) -> Option<String> {
    link_name(&host.function_path(address).join("driver"))
}
