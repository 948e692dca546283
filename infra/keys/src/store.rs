//! Wrapping, over any table.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::clock::Clock;
use domain::ports::keys::{
    DataKey, Found, KEY_BYTES, KeyBytes, KeyError, KeyId, KeyInfo, KeyKeeping, KeyStore, StoredKey,
    StoredState,
};
use domain::{Subject, TenantId};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::kek::Keks;
use crate::table::{Owner, Rewrapped, Table};

/// Keys that are unwrapped before others on the thread have their turn.
const TOGETHER: usize = 256;

pub struct WrappedKeys<T> {
    pub(crate) table: T,
    keks: Keks,
    clock: Arc<dyn Clock>,
}

/// What a wrapped key is bound to: in another row it does not unwrap.
fn context(id: KeyId, tenant: &TenantId, subject: &Subject) -> Vec<u8> {
    format!("daybook-key/1\n{id}\n{tenant}\n{subject}").into_bytes()
}

impl<T: Table> WrappedKeys<T> {
    pub fn new(table: T, keks: Keks, clock: Arc<dyn Clock>) -> Self {
        Self { table, keks, clock }
    }

    async fn unwrap(&self, key: &StoredKey) -> Result<Option<KeyBytes>, KeyError> {
        let StoredState::Wrapped { kek, bytes } = &key.state else { return Ok(None) };
        let id = key.id;
        let kek = self.keks.get(kek).ok_or_else(|| KeyError::NoKek { id, kek: kek.clone() })?;
        let unwrapped = kek.unwrap(bytes, &context(id, &key.tenant, &key.subject)).await;
        unwrapped.map(Some).map_err(|reason| KeyError::Damaged { id, reason })
    }

    async fn wrap(&self, key: &KeyBytes, context: &[u8]) -> Result<(String, Vec<u8>), KeyError> {
        let kek = self.keks.newest();
        let wrapped = kek.wrap(key, context).await;
        Ok((kek.id().to_owned(), wrapped.map_err(KeyError::Unavailable)?))
    }

    async fn made(&self, (tenant, subject): &Owner) -> Result<StoredKey, KeyError> {
        let id = KeyId(rand::random());
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
        let (kek, bytes) = self.wrap(&KeyBytes::new(key), &context(id, tenant, subject)).await?;
        Ok(StoredKey {
            id,
            tenant: tenant.clone(),
            subject: subject.clone(),
            made_at: self.clock.now(),
            state: StoredState::Wrapped { kek, bytes },
        })
    }

    /// Makes keys for those that have none. Another process may be faster;
    /// then theirs counts.
    async fn make(&self, missing: &[Owner]) -> Result<Vec<StoredKey>, KeyError> {
        let mut keys = Vec::with_capacity(missing.len());
        for owner in missing {
            keys.push(self.made(owner).await?);
        }
        self.table.add_live(keys).await?;
        let gone = || KeyError::Unavailable("a key was destroyed as it was made".into());
        let made = self.table.live(missing).await?;
        made.into_iter().map(|key| key.ok_or_else(gone)).collect()
    }
}

#[async_trait]
impl<T: Table> KeyStore for WrappedKeys<T> {
    async fn live(&self, of: &[Owner]) -> Result<Vec<DataKey>, KeyError> {
        let found = self.table.live(of).await?;
        let mut missing: Vec<Owner> =
            of.iter().zip(&found).filter(|(_, key)| key.is_none()).map(|(owner, _)| owner.clone()).collect();
        // In one order everywhere, so that two who make keys wait for each other.
        missing.sort_unstable();
        missing.dedup();
        let made = match missing.is_empty() {
            true => Vec::new(),
            false => self.make(&missing).await?,
        };
        let made: HashMap<&Owner, StoredKey> = missing.iter().zip(made).collect();
        let mut keys = Vec::with_capacity(of.len());
        for (owner, found) in of.iter().zip(found) {
            let stored = found.or_else(|| made.get(owner).cloned());
            let stored = stored.ok_or_else(|| KeyError::Unavailable("a key was not made".into()))?;
            let bytes = self.unwrap(&stored).await?;
            let bytes = bytes.ok_or_else(|| KeyError::Unavailable("a live key is destroyed".into()))?;
            keys.push(DataKey { id: stored.id, bytes });
        }
        Ok(keys)
    }

    async fn find(&self, ids: &[KeyId]) -> Result<Vec<Found>, KeyError> {
        let mut all = Vec::with_capacity(ids.len());
        for (number, row) in self.table.rows(ids).await?.into_iter().enumerate() {
            // Unwrapping waits for nothing with a key of our own.
            if number % TOGETHER == TOGETHER - 1 {
                tokio::task::yield_now().await;
            }
            all.push(match row {
                None => Found::Unknown,
                Some(row) => self.unwrap(&row).await?.map_or(Found::Destroyed, Found::Key),
            });
        }
        Ok(all)
    }

    async fn of(&self, tenant: &TenantId, subject: &Subject) -> Result<Vec<KeyInfo>, KeyError> {
        let rows = self.table.of(&(tenant.clone(), subject.clone())).await?;
        let info = |key: StoredKey| KeyInfo {
            id: key.id,
            made_at: key.made_at,
            destroyed_at: match key.state {
                StoredState::Wrapped { .. } => None,
                StoredState::Destroyed { at } => Some(at),
            },
        };
        Ok(rows.into_iter().map(info).collect())
    }

    async fn destroy(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        ids: &[KeyId],
        at: Timestamp,
    ) -> Result<u64, KeyError> {
        self.table.destroy(&(tenant.clone(), subject.clone()), ids, at).await
    }

    async fn epoch(&self) -> Result<u64, KeyError> {
        self.table.epoch().await
    }
}

#[async_trait]
impl<T: Table> KeyKeeping for WrappedKeys<T> {
    async fn rewrap(&self, limit: usize) -> Result<u64, KeyError> {
        let newest = self.keks.newest().id();
        let mut keys = Vec::new();
        for stored in self.table.wrapped_otherwise(newest, limit).await? {
            let Some(key) = self.unwrap(&stored).await? else { continue };
            let StoredState::Wrapped { kek: before, .. } = stored.state else { continue };
            let (kek, bytes) = self.wrap(&key, &context(stored.id, &stored.tenant, &stored.subject)).await?;
            keys.push(Rewrapped { id: stored.id, before, kek, bytes });
        }
        if keys.is_empty() {
            return Ok(0);
        }
        // Some may have been destroyed or wrapped by somebody else meanwhile.
        let done = keys.len() as u64;
        self.table.rewrap(keys).await?;
        Ok(done)
    }

    async fn wrapped_by(&self) -> Result<Vec<(String, u64)>, KeyError> {
        self.table.wrapped_by().await
    }

    async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<StoredKey>, KeyError> {
        self.table.page(after, limit).await
    }

    async fn import(&self, keys: &[StoredKey]) -> Result<u64, KeyError> {
        let (mut wrapped, mut changed) = (Vec::new(), 0);
        for key in keys {
            match key.state {
                StoredState::Wrapped { .. } => {
                    // It must be one that can be used here.
                    self.unwrap(key).await?;
                    wrapped.push(key.clone());
                }
                StoredState::Destroyed { at } => {
                    changed += self.destroy(&key.tenant, &key.subject, &[key.id], at).await?;
                }
            }
        }
        Ok(changed + self.table.add_old(wrapped).await?)
    }
}
