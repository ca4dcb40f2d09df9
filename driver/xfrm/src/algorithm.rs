// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an SA computes with.

use std::fmt;

use crate::bytes::Bytes;
use crate::error::{Fault, Flaw};
use crate::secret::Secret;

/// The kernel's name fields are this long, padded with zeros.
const NAME: usize = 64;

/// The algorithms of an SA.
///
/// Only AEAD keys are kept: esnic offloads nothing else, and a key that nobody needs is best not
/// copied at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// No algorithm at all: the SA is larval, a place-holder for an SPI or for a negotiation.
    #[default]
    None,
    /// Combined encryption and authentication.
    Aead(Aead),
    /// Anything else, by name.
    Named(Named),
}

/// An AEAD algorithm with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aead {
    /// The kernel's name, such as `rfc4106(gcm(aes))`.
    pub name: String,
    /// The key as the kernel has it: for AES-GCM the AES key, then the salt of four bytes.
    pub key: Secret,
    /// The length of the integrity check value in bits.
    pub icv_bits: u32,
}

/// The names of separate algorithms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Encryption.
    pub crypt: Option<String>,
    /// Authentication, from `XFRMA_ALG_AUTH` or `XFRMA_ALG_AUTH_TRUNC`.
    pub auth: Option<String>,
    /// Compression.
    pub comp: Option<String>,
}

impl Algorithm {
    /// Forgets the key and keeps the rest.
    pub(crate) fn without_key(&self) -> Self {
        match self {
            Self::Aead(Aead { name, icv_bits, key: _ }) => {
                Self::Aead(Aead { name: name.clone(), key: Secret::default(), icv_bits: *icv_bits })
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Aead(aead) => write!(f, "{}/{}", aead.name, aead.icv_bits / 8),
            Self::Named(Named { crypt, auth, comp }) => {
                let names = [crypt, auth, comp].into_iter().flatten();
                for (position, name) in names.enumerate() {
                    if position > 0 {
                        f.write_str("+")?;
                    }
                    f.write_str(name)?;
                }
                Ok(())
            }
        }
    }
}

impl Aead {
    /// Reads an `xfrm_algo_aead`: name, key length in bits, ICV length in bits, key and salt.
    pub(crate) fn parse(value: Bytes<'_>) -> Result<Self, Fault> {
        const WHAT: &str = "xfrm_algo_aead";
        let (name, rest) = name(value, WHAT)?;
        let (length, rest) = rest.split(4, WHAT)?;
        let (icv, rest) = rest.split(4, WHAT)?;
        let bits = length.u32(WHAT)?;
        let bytes = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
        // The kernel writes exactly its key, and has no AEAD without one. Anything else is damage,
        // and part of a key must not pass for the whole.
        if bits == 0 || bytes != rest.len() {
            let left = rest.len();
            return Err(Flaw::Key { bits, left }.at(length.offset));
        }
        Ok(Self { name, key: Secret::new(rest.data), icv_bits: icv.u32(WHAT)? })
    }
}

/// Reads the name at the front of any `xfrm_algo*`.
pub(crate) fn name<'a>(value: Bytes<'a>, what: &'static str) -> Result<(String, Bytes<'a>), Fault> {
    let (field, rest) = value.split(NAME, what)?;
    let end = field.data.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    match str::from_utf8(&field.data[..end]) {
        Ok(text) if !text.chars().any(char::is_control) => Ok((text.to_owned(), rest)),
        // Kept out of messages and terminals: nobody knows what it is.
        _ => Err(Flaw::AlgorithmName.at(field.offset)),
    }
}
