//! Keys of subjects. Each subject has one key at a time that new data is
//! sealed with; a key that was destroyed is remembered by its id alone, so that
//! what it had sealed reads as erased and not as lost.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::TenantId;
use crate::personal::Subject;

pub const KEY_BYTES: usize = 32;

/// 96 random bits. Its text is 24 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub [u8; 12]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 12];
        // Upper case would be a second text of the same id.
        let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match hex::decode_to_slice(text, &mut id) {
            Ok(()) if lower => Ok(Self(id)),
            _ => Err("a key's id has 24 hex digits"),
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// Overwritten when the last of its owners is gone; never shown.
#[derive(Clone)]
pub struct KeyBytes(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl KeyBytes {
    pub fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(Arc::new(bytes))
    }

    pub fn reveal(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

#[derive(Debug, Clone)]
pub struct DataKey {
    pub id: KeyId,
    pub bytes: KeyBytes,
}

#[derive(Debug, Clone)]
pub enum Found {
    Key(KeyBytes),
    /// On purpose, for ever.
    Destroyed,
    /// This store has never had it, or has lost it.
    Unknown,
}

/// What is kept about a key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    pub id: KeyId,
    pub made_at: Timestamp,
    pub destroyed_at: Option<Timestamp>,
}

/// A key as it is stored: wrapped by a key-encryption key, or a note that it
/// was destroyed. For copies that operators keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    pub id: KeyId,
    pub tenant: TenantId,
    pub subject: Subject,
    pub made_at: Timestamp,
    pub state: StoredState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredState {
    /// `kek` names what it is wrapped by.
    Wrapped {
        kek: String,
        bytes: Vec<u8>,
    },
    Destroyed {
        at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the keys of personal data are unavailable: {0}")]
    Unavailable(String),
    /// Data keys are there, what unwraps them is not.
    #[error("key {id} is wrapped by the key-encryption key {kek}, which is not configured")]
    NoKek { id: KeyId, kek: String },
    #[error("key {id} does not unwrap: {reason}")]
    Damaged { id: KeyId, reason: String },
}

#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The key that each subject's new data is sealed with, in the order asked.
    /// Missing ones are made, and are durable when this returns.
    async fn live(&self, of: &[(TenantId, Subject)]) -> Result<Vec<DataKey>, KeyError>;

    /// In the order asked.
    async fn find(&self, ids: &[KeyId]) -> Result<Vec<Found>, KeyError>;

    /// All keys that a subject has or had, oldest first.
    async fn of(&self, tenant: &TenantId, subject: &Subject) -> Result<Vec<KeyInfo>, KeyError>;

    /// Destroys these keys of a subject; durable when it returns. One that is
    /// not there is noted as destroyed. Returns how many were not destroyed
    /// before. May be repeated.
    async fn destroy(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        ids: &[KeyId],
        at: Timestamp,
    ) -> Result<u64, KeyError>;

    /// Moves with every key that is destroyed: who keeps keys in memory drops
    /// them then.
    async fn epoch(&self) -> Result<u64, KeyError>;
}

/// What operators do to a store of keys as a whole.
#[async_trait]
pub trait KeyKeeping: Send + Sync {
    /// Wraps up to `limit` keys anew that are not wrapped by the newest
    /// key-encryption key. Returns how many it did: 0 means all are.
    async fn rewrap(&self, limit: usize) -> Result<u64, KeyError>;

    /// Live keys by the name of what wraps them.
    async fn wrapped_by(&self) -> Result<Vec<(String, u64)>, KeyError>;

    /// Keys in the order of their ids, past `after`.
    async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<StoredKey>, KeyError>;

    /// Adds keys that are not there. One that was destroyed stays destroyed,
    /// on either side. Returns how many were added or destroyed.
    async fn import(&self, keys: &[StoredKey]) -> Result<u64, KeyError>;
}

/// What wraps data keys: a key in a file, or a service that never gives its
/// key away.
#[async_trait]
pub trait Kek: Send + Sync {
    /// Stands beside what it has wrapped.
    fn id(&self) -> &str;
    async fn wrap(&self, key: &KeyBytes, context: &[u8]) -> Result<Vec<u8>, String>;
    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<KeyBytes, String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text_and_a_key_is_never_shown() {
        let id = KeyId([0xab; 12]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "ab", &"AB".repeat(12), &"ab".repeat(13), &"zz".repeat(12)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
        let key = DataKey { id, bytes: KeyBytes::new(Zeroizing::new([203; KEY_BYTES])) };
        assert!(!format!("{key:?}").contains("203"), "{key:?}");
    }
}
