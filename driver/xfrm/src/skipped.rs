// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SAs that are not offloaded, and why.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::identity::protocol_name;
use crate::sa::Sa;

/// An SA that the sink does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Its SPI; 0 for one that an ACQUIRE made.
    pub spi: u32,
    /// "esp", "ah", "comp", or the protocol's number.
    pub proto: Cow<'static, str>,
    /// Its outer source address.
    pub src: IpAddr,
    /// Its outer destination address.
    pub dst: IpAddr,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl Skipped {
    pub(crate) fn new(sa: &Sa, reason: impl Into<Cow<'static, str>>) -> Self {
        let proto = protocol_name(sa.id.proto);
        Self { spi: sa.id.spi, proto, src: sa.src, dst: sa.id.dst, reason: reason.into() }
    }
}
