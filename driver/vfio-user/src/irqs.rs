// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the interrupts of a function go: eventfds that a client gave.

use crate::function::Change;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// Interrupts of one kind.
#[derive(Debug, Default)]
pub struct Irqs {
    to: Vec<Option<OwnedFd>>,
}

impl Irqs {
    /// So many, which fire nowhere.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self { to: (0..count).map(|_| None).collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.to.len()).unwrap_or(u32::MAX)
    }

    /// Whether interrupt `number` goes anywhere.
    #[must_use]
    pub fn is_connected(&self, number: u32) -> bool {
        self.to.get(number as usize).is_some_and(Option::is_some)
    }

    /// Does what a client asks for.
    ///
    /// # Errors
    /// If a descriptor is no eventfd, or a number is beyond the last one.
    pub fn change(&mut self, first: u32, change: Change) -> Result<(), Errno> {
        let count = match &change {
            Change::Connect(fds) => fds.len(),
            Change::Disconnect(count) => *count as usize,
            Change::Fire(which) => which.len(),
        };
        let first = first as usize;
        let end = first.checked_add(count).filter(|end| *end <= self.to.len());
        let range = first..end.ok_or(Errno::INVAL)?;
        match change {
            Change::Connect(fds) => {
                if !fds.iter().all(is_eventfd) {
                    return Err(Errno::INVAL);
                }
                for (to, fd) in self.to[range].iter_mut().zip(fds) {
                    *to = Some(fd);
                }
            }
            Change::Disconnect(_) => self.to[range].fill_with(|| None),
            Change::Fire(which) => {
                for (number, _) in range.zip(which).filter(|(_, fire)| *fire) {
                    self.fire(number as u32);
                }
            }
        }
        Ok(())
    }

    /// Disconnects all.
    pub fn clear(&mut self) {
        self.to.fill_with(|| None);
    }

    /// Fires one. Nobody hears it if it goes nowhere.
    pub fn fire(&self, number: u32) {
        let Some(Some(fd)) = self.to.get(number as usize) else { return };
        // A write would wait if the count were at its end, where an honest client never lets it
        // come. What is lost then is one of 2^64 wake-ups that nobody took.
        let mut look = [PollFd::new(fd, PollFlags::OUT)];
        if poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
            && look[0].revents().contains(PollFlags::OUT)
        {
            let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
        }
    }
}

/// Whether writing to it does what writing to an eventfd does: a pipe or a file of the client's could
/// make the writer wait, or worse.
fn is_eventfd(fd: &OwnedFd) -> bool {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()));
    std::fs::read_link(path).is_ok_and(|to| to.as_os_str() == "anon_inode:[eventfd]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::{Errno, read};

    fn bell() -> OwnedFd {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
    }

    fn rung(bell: &OwnedFd) -> u64 {
        let mut count = [0; 8];
        match read(bell, &mut count) {
            Ok(_) => u64::from_ne_bytes(count),
            Err(Errno::AGAIN) => 0,
            Err(errno) => panic!("{errno}"),
        }
    }

    #[test]
    fn interrupts_go_where_they_are_connected_to() {
        let bells = [bell(), bell()];
        let mut irqs = Irqs::new(4);
        let copies = bells.iter().map(|bell| bell.try_clone().unwrap()).collect();
        irqs.change(1, Change::Connect(copies)).unwrap();
        for number in 0..9 {
            irqs.fire(number);
        }
        assert_eq!(bells.each_ref().map(rung), [1, 1]);
        irqs.change(0, Change::Fire(vec![true, false, true, true])).unwrap();
        assert_eq!(bells.each_ref().map(rung), [0, 1]);
        irqs.change(2, Change::Disconnect(1)).unwrap();
        irqs.fire(2);
        assert_eq!((irqs.is_connected(1), irqs.is_connected(2)), (true, false));
        assert_eq!(rung(&bells[1]), 0);
    }

    #[test]
    fn numbers_beyond_the_last_one_are_refused() {
        let mut irqs = Irqs::new(2);
        assert_eq!(irqs.change(1, Change::Disconnect(2)), Err(Errno::INVAL));
        assert_eq!(irqs.change(u32::MAX, Change::Fire(vec![true; 2])), Err(Errno::INVAL));
        assert_eq!(irqs.change(2, Change::Connect(vec![bell()])), Err(Errno::INVAL));
        irqs.change(2, Change::Disconnect(0)).unwrap();
    }

    #[test]
    fn only_eventfds_are_taken() {
        let mut irqs = Irqs::new(2);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        for fd in [reader, writer, std::fs::File::open("/dev/zero").unwrap().into()] {
            assert_eq!(irqs.change(0, Change::Connect(vec![bell(), fd])), Err(Errno::INVAL));
        }
        assert!(!irqs.is_connected(0), "all of them, or none");
    }

    #[test]
    fn an_eventfd_at_its_end_holds_nobody_up() {
        let bell = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        let mut irqs = Irqs::new(1);
        irqs.change(0, Change::Connect(vec![bell])).unwrap();
        irqs.fire(0);
    }
}
