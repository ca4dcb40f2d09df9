// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files that the kernel signals for interrupts.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Instant;

/// A counter that the kernel adds to; it is readable while it is not 0.
pub(super) struct Eventfd(OwnedFd);

impl Eventfd {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// Takes in what was signalled; false if nothing was.
    pub(super) fn take(&self) -> bool {
        let mut count = [0; 8];
        loop {
            match rustix::io::read(&self.0, &mut count) {
                Err(Errno::INTR) => {}
                result => return result.is_ok(),
            }
        }
    }

    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Eventfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `files` is readable; false if the deadline passed first.
pub(super) fn wait(files: &[&Eventfd], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec::try_from(left).ok();
        let mut fds: Vec<_> = files.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
        match poll(&mut fds, limit.as_ref()) {
            Err(Errno::INTR) => {}
            result => return Ok(result? > 0),
        }
    }
}

/// What to do where the kernel gives no file, or does not take it.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "raise the limit of open files (ulimit -n, LimitNOFILE=)",
        Some(libc::ENFILE) => "raise the system's limit of open files (fs.file-max)",
        _ => "see the kernel log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_signalled_is_taken_in_once() {
        let fd = Eventfd::new().unwrap();
        let soon = || Instant::now() + Duration::from_millis(20);
        assert!(!fd.take());
        let begun = Instant::now();
        assert!(!wait(&[&fd], soon()).unwrap());
        assert!(begun.elapsed() >= Duration::from_millis(20), "no earlier than the deadline");
        rustix::io::write(&fd, &3u64.to_ne_bytes()).unwrap();
        assert!(wait(&[&Eventfd::new().unwrap(), &fd], soon()).unwrap());
        assert!(fd.take() && !fd.take());
        assert!(!wait(&[&fd], Instant::now()).unwrap());
    }

    #[test]
    fn a_limit_of_open_files_is_told_with_how_to_raise_it() {
        // As the system itself says it: nothing lets this test run out of files alone.
        let says = |errno| remedy(&io::Error::from_raw_os_error(errno));
        assert!(says(libc::EMFILE).contains("ulimit -n"));
        assert!(says(libc::ENFILE).contains("fs.file-max"));
        assert_eq!(says(libc::EINVAL), "see the kernel log");
    }
}
