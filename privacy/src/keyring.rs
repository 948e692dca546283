//! Keys in memory: never longer than a set time, and no longer than until
//! somebody destroys one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::keys::{DataKey, Found, KeyBytes, KeyError, KeyId, KeyInfo, KeyStore};
use domain::{Subject, TenantId};
use tokio::time::Instant;

/// Keys kept at most, about 200 bytes each.
const CAPACITY: usize = 200_000;
const KEPT: Duration = Duration::from_secs(60);
/// A writer asks this often whether keys were destroyed. What it seals with a
/// key that just was reads as erased: too much is gone then, never too little.
const WRITERS_ASK: Duration = Duration::from_millis(100);

type Owner = (TenantId, Subject);

pub struct Keyring {
    store: Arc<dyn KeyStore>,
    kept: Duration,
    held: Mutex<Held>,
    /// Held by whoever asks the store, so that many who want to know at once
    /// ask once.
    asking: tokio::sync::Mutex<()>,
}

/// Two halves: what comes in goes to the young one. After half of the time
/// the old one is thrown away and the young one is the old.
#[derive(Default)]
struct Held {
    epoch: u64,
    asked: Option<Instant>,
    turned: Option<Instant>,
    young: Half,
    old: Half,
}

#[derive(Default)]
struct Half {
    found: HashMap<KeyId, Option<KeyBytes>>,
    live: HashMap<Owner, DataKey>,
}

impl Half {
    fn len(&self) -> usize {
        self.found.len() + self.live.len()
    }
}

impl Held {
    fn turn(&mut self, kept: Duration) {
        let now = Instant::now();
        let turned = *self.turned.get_or_insert(now);
        let halves = now.duration_since(turned).as_nanos() / (kept.as_nanos() / 2).max(1);
        if halves == 0 && self.young.len() < CAPACITY / 2 {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if halves > 1 {
            self.old = Half::default();
        }
        self.turned = Some(now);
    }

    fn forget(&mut self) {
        (self.young, self.old) = (Half::default(), Half::default());
    }
}

impl Keyring {
    pub fn new(store: Arc<dyn KeyStore>) -> Self {
        Self::keeping(store, KEPT)
    }

    /// Keeps keys for another time.
    pub fn keeping(store: Arc<dyn KeyStore>, kept: Duration) -> Self {
        Self { store, kept, held: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Drops what is too old even if nobody asks for keys. Runs for ever.
    pub async fn expire(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.kept / 2).await;
            self.held().turn(self.kept);
        }
    }

    /// Keys in memory.
    pub fn len(&self) -> usize {
        let held = self.held();
        held.young.len() + held.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys that new data of these subjects is sealed with.
    pub async fn live(&self, mut of: Vec<Owner>) -> Result<HashMap<Owner, DataKey>, KeyError> {
        self.look(WRITERS_ASK).await?;
        of.sort_unstable();
        of.dedup();
        let take = |half: &Half, owner: &Owner| half.live.get(owner).cloned();
        let (mut keys, missing) = self.take(of, take);
        if missing.is_empty() {
            return Ok(keys);
        }
        let epoch = self.held().epoch;
        let made = self.store.live(&missing).await?;
        let made: Vec<(Owner, DataKey)> = missing.into_iter().zip(made).collect();
        self.keep(epoch, |half| half.live.extend(made.iter().cloned()));
        keys.extend(made);
        Ok(keys)
    }

    /// Keys by id; `None` is a destroyed one. One that the store does not know
    /// fails them all: it is missing, not erased.
    pub async fn find(&self, mut ids: Vec<KeyId>) -> Result<HashMap<KeyId, Option<KeyBytes>>, KeyError> {
        self.look(Duration::ZERO).await?;
        ids.sort_unstable();
        ids.dedup();
        let take = |half: &Half, id: &KeyId| half.found.get(id).cloned();
        let (mut keys, missing) = self.take(ids, take);
        if missing.is_empty() {
            return Ok(keys);
        }
        let epoch = self.held().epoch;
        let found = self.store.find(&missing).await?;
        let known = |(id, found): (KeyId, Found)| match found {
            Found::Key(key) => Ok((id, Some(key))),
            Found::Destroyed => Ok((id, None)),
            Found::Unknown => Err(KeyError::Unavailable(format!("there is no key {id}"))),
        };
        let found: Vec<_> = missing.into_iter().zip(found).map(known).collect::<Result<_, _>>()?;
        self.keep(epoch, |half| half.found.extend(found.iter().cloned()));
        keys.extend(found);
        Ok(keys)
    }

    /// Keeps keys that were asked for in this epoch. If one was destroyed
    /// meanwhile it may be among them, and whoever noticed has forgotten it.
    fn keep(&self, epoch: u64, keep: impl FnOnce(&mut Half)) {
        let mut held = self.held();
        if held.epoch == epoch {
            keep(&mut held.young);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic elsewhere can't leave it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in memory, and what has to be asked for.
    fn take<K: Eq + Hash, V>(
        &self,
        wanted: Vec<K>,
        of: impl Fn(&Half, &K) -> Option<V>,
    ) -> (HashMap<K, V>, Vec<K>) {
        let mut held = self.held();
        held.turn(self.kept);
        let (mut keys, mut missing) = (HashMap::with_capacity(wanted.len()), Vec::new());
        for wanted in wanted {
            match of(&held.young, &wanted).or_else(|| of(&held.old, &wanted)) {
                Some(key) => drop(keys.insert(wanted, key)),
                None => missing.push(wanted),
            }
        }
        (keys, missing)
    }

    /// Forgets all keys if one was destroyed since it was last asked.
    async fn look(&self, every: Duration) -> Result<(), KeyError> {
        let called = Instant::now();
        let fresh = |asked: Instant| asked + every > called;
        if self.held().asked.is_some_and(fresh) {
            return Ok(());
        }
        let _asking = self.asking.lock().await;
        // Somebody else may have asked since this was called.
        if self.held().asked.is_some_and(fresh) {
            return Ok(());
        }
        let asked = Instant::now();
        let epoch = self.store.epoch().await?;
        let mut held = self.held();
        if epoch != held.epoch {
            held.forget();
            held.epoch = epoch;
        }
        held.asked = held.asked.max(Some(asked));
        Ok(())
    }
}

/// Stands where no keys are configured: what is sealed stays closed.
pub struct NoKeys;

fn none<T>() -> Result<T, KeyError> {
    Err(KeyError::Unavailable("no key-encryption key is configured".into()))
}

#[async_trait]
impl KeyStore for NoKeys {
    async fn live(&self, _: &[Owner]) -> Result<Vec<DataKey>, KeyError> {
        none()
    }

    async fn find(&self, _: &[KeyId]) -> Result<Vec<Found>, KeyError> {
        none()
    }

    async fn of(&self, _: &TenantId, _: &Subject) -> Result<Vec<KeyInfo>, KeyError> {
        none()
    }

    async fn destroy(
        &self,
        _: &TenantId,
        _: &Subject,
        _: &[KeyId],
        _: jiff::Timestamp,
    ) -> Result<u64, KeyError> {
        none()
    }

    async fn epoch(&self) -> Result<u64, KeyError> {
        none()
    }
}
