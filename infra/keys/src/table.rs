//! What a database offers: rows of wrapped keys. Nothing here sees a key.

use async_trait::async_trait;
use domain::ports::keys::{KeyError, KeyId, StoredKey};
use domain::{Subject, TenantId};
use jiff::Timestamp;

pub type Owner = (TenantId, Subject);

/// A key wrapped anew.
pub struct Rewrapped {
    pub id: KeyId,
    /// What wrapped it before: if that has changed, nothing is written.
    pub before: String,
    pub kek: String,
    pub bytes: Vec<u8>,
}

#[async_trait]
pub trait Table: Send + Sync + 'static {
    async fn live(&self, of: &[Owner]) -> Result<Vec<Option<StoredKey>>, KeyError>;
    /// Adds the live key of each subject that has none; durable.
    async fn add_live(&self, keys: Vec<StoredKey>) -> Result<(), KeyError>;
    async fn rows(&self, ids: &[KeyId]) -> Result<Vec<Option<StoredKey>>, KeyError>;
    async fn of(&self, owner: &Owner) -> Result<Vec<StoredKey>, KeyError>;
    /// See `KeyStore::destroy`.
    async fn destroy(&self, owner: &Owner, ids: &[KeyId], at: Timestamp) -> Result<u64, KeyError>;
    async fn epoch(&self) -> Result<u64, KeyError>;
    async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<StoredKey>, KeyError>;
    /// Keys that something else than this wraps.
    async fn wrapped_otherwise(&self, kek: &str, limit: usize) -> Result<Vec<StoredKey>, KeyError>;
    async fn rewrap(&self, keys: Vec<Rewrapped>) -> Result<u64, KeyError>;
    async fn wrapped_by(&self) -> Result<Vec<(String, u64)>, KeyError>;
    /// Adds wrapped keys that are not there; none becomes a live one.
    async fn add_old(&self, keys: Vec<StoredKey>) -> Result<u64, KeyError>;
}

/// The columns that every statement selects, in this order.
pub const COLUMNS: &str = "id, tenant, subject, wrapped, kek, made_at, destroyed_at";

pub struct Columns {
    pub id: Vec<u8>,
    pub tenant: String,
    pub subject: String,
    pub wrapped: Option<Vec<u8>>,
    pub kek: Option<String>,
    pub made_at: i64,
    pub destroyed_at: Option<i64>,
}

impl Columns {
    pub fn key(self) -> Result<StoredKey, KeyError> {
        use domain::ports::keys::StoredState::{Destroyed, Wrapped};
        let broken = |what: &str| KeyError::Unavailable(format!("a stored key has no {what}"));
        let instant = |micros| Timestamp::from_microsecond(micros).map_err(|_| broken("time"));
        let state = match (self.wrapped, self.kek, self.destroyed_at) {
            (Some(bytes), Some(kek), None) => Wrapped { kek, bytes },
            (None, None, Some(at)) => Destroyed { at: instant(at)? },
            _ => return Err(broken("state")),
        };
        Ok(StoredKey {
            id: KeyId(self.id.try_into().map_err(|_| broken("id"))?),
            tenant: TenantId::try_from(self.tenant).map_err(|_| broken("tenant"))?,
            subject: Subject::try_from(self.subject).map_err(|_| broken("subject"))?,
            made_at: instant(self.made_at)?,
            state,
        })
    }
}
