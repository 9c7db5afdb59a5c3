//! Checks that the fields of many messages share.

use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::address::of_a_node;
use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits::{ADDRESS_BYTES_MAX, NAME_BYTES_MAX};
use dataverse_core::secret::{Nonce, Proof};

use crate::limits;
use crate::transport::Refusal;

/// A field of a message that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad message: {field}: {reason}")]
pub struct Malformed {
    field: &'static str,
    reason: String,
}

impl Malformed {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { field, reason }
    }
}

impl From<Malformed> for Refusal {
    fn from(wrong: Malformed) -> Self {
        Self::Invalid(wrong.to_string())
    }
}

/// The field, which must be present.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed::new(field, "it is missing"))
}

/// Exactly `N` bytes.
pub(crate) fn bytes<const N: usize>(
    field: &'static str,
    value: &Bytes,
) -> Result<[u8; N], Malformed> {
    value
        .as_ref()
        .try_into()
        .map_err(|_| Malformed::new(field, format!("it has {} bytes, expected {N}", value.len())))
}

pub(super) fn at_most<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    max: T,
) -> Result<T, Malformed> {
    if value > max {
        return Err(Malformed::new(field, format!("{value} is more than {max}")));
    }
    Ok(value)
}

/// Converts a list of at most `max` entries, each with `each`.
pub(super) fn list<T, U>(
    field: &'static str,
    values: Vec<T>,
    max: usize,
    each: impl FnMut(T) -> Result<U, Malformed>,
) -> Result<Vec<U>, Malformed> {
    at_most(field, values.len(), max)?;
    values.into_iter().map(each).collect()
}

/// Text of at most `max` bytes that can be shown to people.
pub(super) fn text(field: &'static str, value: &str, max: usize) -> Result<Arc<str>, Malformed> {
    at_most(field, value.len(), max)?;
    if let Some(control) = value.chars().find(|char| char.is_control()) {
        let code = u32::from(control);
        return Err(Malformed::new(
            field,
            format!("U+{code:04X} is a control character"),
        ));
    }
    Ok(value.into())
}

/// A node's name.
pub(super) fn name(field: &'static str, value: &str) -> Result<Arc<str>, Malformed> {
    if value.is_empty() {
        return Err(Malformed::new(field, "it is empty"));
    }
    text(field, value, NAME_BYTES_MAX)
}

/// `host:port`, where the host is a name, an IPv4 address or an IPv6 address in brackets.
pub(crate) fn address(field: &'static str, value: &str) -> Result<Arc<str>, Malformed> {
    at_most(field, value.len(), ADDRESS_BYTES_MAX)?;
    let checked = of_a_node(value);
    checked.map_err(|_| Malformed::new(field, "it is not `host:port`"))?;
    Ok(value.into())
}

pub(super) fn key(value: &str) -> Result<Key, Malformed> {
    Key::parse(value).map_err(|error| Malformed::new("key", error.to_string()))
}

pub(super) fn node_id(field: &'static str, value: &Bytes) -> Result<NodeId, Malformed> {
    bytes(field, value).map(NodeId::from_bytes)
}

pub(super) fn digest(field: &'static str, value: &Bytes) -> Result<Digest, Malformed> {
    bytes(field, value).map(Digest)
}

/// The number of a preparation.
pub(super) fn preparation(value: &Bytes) -> Result<u128, Malformed> {
    bytes("preparation", value).map(u128::from_be_bytes)
}

/// The nonce of a request for proof, if there is one.
pub(super) fn nonce(value: &Bytes) -> Result<Option<Nonce>, Malformed> {
    if value.is_empty() {
        return Ok(None);
    }
    let nonce = Nonce::from_bytes(value).ok_or_else(|| {
        let (len, min, max) = (value.len(), Nonce::BYTES_MIN, Nonce::BYTES_MAX);
        Malformed::new(
            "nonce",
            format!("it has {len} bytes, expected {min} to {max}"),
        )
    })?;
    Ok(Some(nonce))
}

/// The proof that answers a nonce, if there is one.
pub(super) fn proof(value: &Bytes) -> Result<Option<Proof>, Malformed> {
    if value.is_empty() {
        return Ok(None);
    }
    bytes("proof", value).map(|bytes| Some(Proof::from_bytes(bytes)))
}

/// A list of fixed-length entries, packed one after another.
pub(super) fn packed<const N: usize, T>(
    field: &'static str,
    value: &Bytes,
    max: usize,
    each: impl FnMut(&[u8; N]) -> T,
) -> Result<Vec<T>, Malformed> {
    let (entries, rest) = value.as_chunks::<N>();
    if !rest.is_empty() {
        let reason = format!("its {} bytes are not a multiple of {N}", value.len());
        return Err(Malformed::new(field, reason));
    }
    at_most(field, entries.len(), max)?;
    Ok(entries.iter().map(each).collect())
}

pub(super) fn wire_bytes<const N: usize>(value: &[u8; N]) -> Bytes {
    Bytes::copy_from_slice(value)
}

/// The bytes of one message of a stream of content or of a group tree.
pub(crate) fn chunk(value: Bytes) -> Result<Bytes, Malformed> {
    if value.is_empty() {
        return Err(Malformed::new("chunk", "it is empty"));
    }
    at_most("chunk", value.len(), limits::CHUNK_BYTES_MAX)?;
    Ok(value)
}
