// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The address of a PCI function: domain, bus, device, function.

use std::fmt;
use std::str::FromStr;

/// Where a PCI function is: `0000:03:00.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Domain, also called segment.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device, below 32.
    pub device: u8,
    /// Function, below 8.
    pub function: u8,
}

/// What is no address of a PCI function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no PCI address, which looks like 0000:03:00.0")]
pub struct NoAddress(String);

impl FromStr for Address {
    type Err = NoAddress;

    /// Takes `0000:03:00.1`, and `03:00.1` for domain 0, as `lspci` prints it.
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        parse(text).ok_or_else(|| NoAddress(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Address> {
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
    // The kernel prints a domain in four digits, and in more where there are that many.
    let domain = (4..=8).contains(&domain.len()).then(|| hex(domain))??;
    let address = Address {
        domain,
        bus: (bus.len() == 2).then(|| hex(bus))??.try_into().ok()?,
        device: (device.len() == 2).then(|| hex(device))??.try_into().ok()?,
        function: (function.len() == 1).then(|| hex(function))??.try_into().ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

/// Hexadecimal digits and nothing else; no sign, as `from_str_radix` would take.
fn hex(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_printed() {
        for text in ["0000:03:00.0", "ffff:ff:1f.7", "10000:e1:00.0"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("0A:00.1".parse::<Address>().unwrap().to_string(), "0000:0a:00.1");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in [
            "",
            "0",
            "model",
            "0000:03:00",
            "0000:03:00.8",
            "0000:03:20.0",
            "000:03:00.0",
            "0000:3:00.0",
            "0000:03:0.0",
            "0000:03:00.00",
            "+000:03:00.0",
            "0000:03:00.-",
            "0000:03:00.0 ",
            "123456789:03:00.0",
            "0000-03-00.0",
            "vfio-user:/tmp/a:00.0",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
