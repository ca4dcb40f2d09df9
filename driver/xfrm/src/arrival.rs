// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a `recv` on a netlink socket has brought.

use std::io;

use rustix::io::Errno;

/// The largest buffer that one packet is worth.
const LARGEST: usize = 16 << 20;

/// What to do about what came, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A packet of the kernel of this length.
    Packet(usize),
    /// A packet of somebody else, of this length in the buffer: anybody with the right to can
    /// send to a netlink port, and only the kernel has port 0.
    Foreign(usize),
    /// A packet that did not fit and is lost; the next one will fit into this many bytes.
    Cut(usize),
    /// The kernel had to drop messages. What was queued before is still there.
    Overrun,
    /// Nothing yet.
    Nothing,
}

impl Arrival {
    /// Judges a `recv` with MSG_TRUNC, which gives the packet's whole length and the port that it
    /// came from.
    pub(crate) fn judge(
        received: io::Result<(usize, u32)>,
        capacity: usize,
    ) -> Result<Self, io::Error> {
        match received {
            Ok((length, port)) if port != 0 => Ok(Self::Foreign(length.min(capacity))),
            Ok((length, _)) if length > capacity => {
                let fitting = length.checked_next_power_of_two().unwrap_or(LARGEST);
                Ok(Self::Cut(fitting.min(LARGEST).max(capacity)))
            }
            Ok((length, _)) => Ok(Self::Packet(length)),
            Err(error) if is_overrun(&error) => Ok(Self::Overrun),
            Err(error) if is_passing(&error) => Ok(Self::Nothing),
            Err(error) => Err(error),
        }
    }
}

/// Whether it is the error that says that messages were lost, or that there is no room for one.
pub(crate) fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}

/// Whether to just try again.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(received: io::Result<(usize, u32)>) -> Option<Arrival> {
        Arrival::judge(received, 100).ok()
    }

    fn error(errno: Errno) -> io::Result<(usize, u32)> {
        Err(errno.into())
    }

    #[test]
    fn only_the_kernel_counts() {
        assert_eq!(judge(Ok((100, 0))), Some(Arrival::Packet(100)));
        assert_eq!(judge(Ok((100, 4711))), Some(Arrival::Foreign(100)));
        // What stands in the buffer is to be wiped, and is no longer than it.
        assert_eq!(judge(Ok((500, 4711))), Some(Arrival::Foreign(100)));
    }

    #[test]
    fn a_cut_packet_makes_the_next_one_fit() {
        assert_eq!(judge(Ok((101, 0))), Some(Arrival::Cut(128)));
        assert_eq!(judge(Ok((usize::MAX, 0))), Some(Arrival::Cut(LARGEST)));
    }

    #[test]
    fn errors_are_losses_pauses_or_the_end() {
        assert_eq!(judge(error(Errno::NOBUFS)), Some(Arrival::Overrun));
        assert_eq!(judge(error(Errno::AGAIN)), Some(Arrival::Nothing));
        assert_eq!(judge(error(Errno::INTR)), Some(Arrival::Nothing));
        assert_eq!(judge(error(Errno::BADF)), None);
    }
}
