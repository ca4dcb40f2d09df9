// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Linux's XFRM database says, from captures and live netlink.
//!
//! A [`Source`] gives packets, a packet's [`Messages`] are typed, and the [`Follower`] turns them
//! into what a [`Sink`] has to hold to be in step with the kernel:
//!
//! ```text
//! Capture ┐                                          present, advance,
//!         ├─ Packet ─ messages() ─ Message ─ Follower ─ encap, remove ─> Sink
//! Live    ┘
//! ```
//!
//! ```no_run
//! use esnic_xfrm::{Capture, Error, Follower, Options, Sink};
//!
//! fn follow(sink: &mut dyn Sink) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let capture = Capture::open("nlmon.pcap")?;
//!     let mut follower = Follower::new(Options::default());
//!     // Policies come after the SAs whose directions they tell, so they are read first; what is
//!     // damaged is reported by the second pass.
//!     for packet in capture.packets().flatten() {
//!         packet.messages().flatten().for_each(|message| follower.learn_policies(&message));
//!     }
//!     for packet in capture.packets() {
//!         for message in packet?.messages() {
//!             follower.apply(&message?, sink)?;
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Which crates are used, and what they cannot do
//!
//! `netlink-packet-xfrm` 0.5 has the constants and reads the fixed structures, none of which
//! holds a key. Its messages and attributes are not used:
//!
//! * Its GETSA and DELSA parser slices without a check and panics on bodies under 24 bytes. Real
//!   dump requests have no body: what attributes they have follow the header at once. For the
//!   same reason it takes the filter of a dump request for an address.
//! * Keys are `Vec<u8>`s, shown by `Debug` and freed without being wiped; errors of requests
//!   (`NLMSG_ERROR`) keep whole copies of them.
//! * It does not know `XFRMA_SA_DIR` (Linux 6.10).
//! * A key's length field is not checked against the attribute.
//! * Errors do not say where in the message they are.
//!
//! `netlink-packet-core` has the flags and writes the headers of requests. It reads one message,
//! and a dump puts several into a packet.
//!
//! `pcap-parser` 0.17 reads records and blocks from a slice, without copies. It does not tell a
//! file that is cut from one that is damaged, drops binary time resolutions, and has
//! `SimplePacketBlock::truncated` the wrong way round; [`Capture`] does these itself.
//!
//! `netlink-sys` is the socket; waiting with a deadline is `rustix`'s.

#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("netlink is in the machine's byte order, and this crate reads little-endian only");

mod algorithm;
mod arrival;
mod attr;
mod body;
mod bytes;
mod capture;
mod counts;
mod cursor;
mod direction;
mod dump;
mod duplicate;
mod error;
mod extras;
mod follow;
mod identity;
mod live;
mod message;
mod options;
mod packet;
mod pcapng;
mod policy;
mod redump;
mod replay;
mod requests;
mod sa;
mod secret;
mod sink;
mod skipped;
mod source;
mod table;
mod truth;

pub use algorithm::{Aead, Algorithm, Named};
pub use body::{Ae, Body, DelSa, Expire, GetSa, Mapping};
pub use capture::{Capture, Packets};
pub use counts::EventCounts;
pub use error::{Damage, Error, Fault, Flaw};
pub use follow::Follower;
pub use identity::{AH, COMP, Direction, ESP, Mark, Mode, SaId, protocol_matches, protocol_name};
pub use live::{Live, LiveOptions};
pub use message::{Header, Message, Messages};
pub use options::Options;
pub use packet::{NETLINK_XFRM, Packet};
pub use policy::{Policy, PolicyDirection, Prefix, Selector, Template};
pub use replay::{Replay, ReplayState};
pub use sa::{Encap, Offload, Sa};
pub use secret::Secret;
pub use sink::{Removal, Sink, SinkError, Verdict};
pub use skipped::Skipped;
pub use source::Source;
