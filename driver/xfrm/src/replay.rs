// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sequence numbers and replay windows.

use netlink_packet_xfrm::XFRM_REPLAY_LEN;

use crate::bytes::Bytes;
use crate::error::Fault;

/// An SA's sequence numbers, 64 bits wide; the upper half is zero without ESN.
///
/// Only one of the two means something, by the SA's direction; the kernel leaves the other 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replay {
    /// The last number that was sent (`oseq`).
    pub out: u64,
    /// The highest number that was received and authenticated (`seq`).
    pub inn: u64,
}

impl Replay {
    /// The numbers of an SA without ESN.
    pub(crate) fn low(self) -> Self {
        Self { out: self.out & 0xffff_ffff, inn: self.inn & 0xffff_ffff }
    }
}

/// What `XFRMA_REPLAY_ESN_VAL` or `XFRMA_REPLAY_VAL` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayState {
    /// The numbers.
    pub replay: Replay,
    /// The size of the window, which only the ESN form carries. It is used by SAs with large
    /// windows too, so it does not prove ESN.
    pub window: Option<u32>,
}

impl ReplayState {
    /// Reads an `xfrm_replay_state_esn`.
    ///
    /// Its bitmap is not needed here and not required: iproute2 announces a bitmap of `bmp_len`
    /// words in its requests and sends none.
    pub(crate) fn parse_esn(value: Bytes<'_>) -> Result<Self, Fault> {
        const WHAT: &str = "xfrm_replay_state_esn";
        let (head, _) = value.split(24, WHAT)?;
        let word = |index: usize| head.split(index * 4, WHAT)?.1.u32(WHAT);
        let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let replay = Replay { out: wide(word(3)?, word(1)?), inn: wide(word(4)?, word(2)?) };
        Ok(Self { replay, window: Some(word(5)?) })
    }

    /// Reads an `xfrm_replay_state`, which knows 32 bits only.
    pub(crate) fn parse_legacy(value: Bytes<'_>) -> Result<Self, Fault> {
        let parse = netlink_packet_xfrm::Replay::parse;
        let (raw, _) = value.fixed(XFRM_REPLAY_LEN, "xfrm_replay_state", parse)?;
        let replay = Replay { out: raw.oseq.into(), inn: raw.seq.into() };
        Ok(Self { replay, window: None })
    }
}
