// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where packets come from.

use crate::{Error, Packet};

/// A capture or a live socket.
pub trait Source {
    /// The next packet.
    ///
    /// `None` means that there is none within the source's deadline: a capture is at its end and
    /// stays there, a live socket was silent and may be asked again ([`Source::ended`] tells).
    /// After an error a capture is at its end; a live socket should be dropped and opened anew.
    fn next(&mut self) -> Result<Option<Packet<'_>>, Error>;

    /// Whether no packet can come any more.
    fn ended(&self) -> bool;
}
