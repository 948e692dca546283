//! Identifiers that come from outside, each checked once where it enters.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest entity id accepted, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Longest tenant id accepted, in bytes.
pub const MAX_TENANT_BYTES: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {max} bytes long")]
    TooLong { max: usize },
    #[error("must not contain {0:?}")]
    Character(char),
    #[error("must not be \".\", \"..\" or \"-\"")]
    Reserved,
}

/// A customer of the installation. Lower-case letters, digits, `-` and `_`, so
/// that it can stand in a host name, a subject and a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

impl TenantId {
    pub fn new(id: &str) -> Result<Self, InvalidId> {
        if id.is_empty() {
            return Err(InvalidId::Empty);
        }
        if id.len() > MAX_TENANT_BYTES {
            return Err(InvalidId::TooLong { max: MAX_TENANT_BYTES });
        }
        match id.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
            Some(c) => Err(InvalidId::Character(c)),
            None => Ok(Self(id.into())),
        }
    }

    /// The owner of what belongs to the installation and not to a customer.
    pub fn system() -> Self {
        Self("_system".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidId;
    fn try_from(id: String) -> Result<Self, InvalidId> {
        Self::new(&id)
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0.as_ref().into()
    }
}

/// Checks an entity id (band, live event, window, …): 1 to 128 bytes of
/// letters, digits and `-._~:@!$*+=,;()`. No `/`, no space and no control
/// character, so that ids can be joined with `/` in row keys and paths. `-`
/// alone stands for no id in keys and paths.
pub fn check_id(id: &str) -> Result<(), InvalidId> {
    if id.is_empty() {
        return Err(InvalidId::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(InvalidId::TooLong { max: MAX_ID_BYTES });
    }
    if matches!(id, "." | ".." | "-") {
        return Err(InvalidId::Reserved);
    }
    match id.bytes().position(|b| !IN_IDS[usize::from(b)]) {
        // Everything before it is ASCII, so a character begins there.
        Some(at) => Err(InvalidId::Character(id[at..].chars().next().unwrap_or_default())),
        None => Ok(()),
    }
}

/// Bytes that an id may have. Looked up for every id of every fact of a replay.
static IN_IDS: [bool; 256] = {
    let mut allowed = [false; 256];
    let marks = b"-._~:@!$*+=,;()";
    let mut i = 0;
    while i < marks.len() {
        allowed[marks[i] as usize] = true;
        i += 1;
    }
    let mut b = 0;
    while b < 128_u8 {
        allowed[b as usize] |= b.is_ascii_alphanumeric();
        b += 1;
    }
    allowed
};

/// One stream of the log: the history of one aggregate or of one source of
/// facts. `kind` is a stable word from code (`event`, `band`, `taps`, …).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId {
    pub tenant: TenantId,
    pub kind: Arc<str>,
    pub id: Arc<str>,
}

impl StreamId {
    pub fn new(tenant: &TenantId, kind: &str, id: &str) -> Result<Self, InvalidId> {
        check_id(id)?;
        check_id(kind)?;
        Ok(Self { tenant: tenant.clone(), kind: kind.into(), id: id.into() })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.kind, self.id)
    }
}
