//! The log through keys, over the log in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::envelope::{Metadata, NewEvent};
use domain::personal::PersonalText;
use domain::ports::clock::Clock;
use domain::ports::keys::{DataKey, Found, KeyBytes, KeyError, KeyId, KeyInfo, KeyStore};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, ReadFilter, StreamWrite};
use domain::tap::{TAPPED, Tap};
use domain::{RecordedEvent, StreamId, Subject, TenantId, registry};
use infra_log::MemoryLog;
use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Keyring, NoKeys, OpenedLog};

/// Keys in memory, with a switch and a counter.
#[derive(Default)]
struct Keys {
    state: Mutex<State>,
    epoch: AtomicU64,
    away: AtomicBool,
    asked: AtomicU64,
}

#[derive(Default)]
struct State {
    keys: HashMap<KeyId, Option<KeyBytes>>,
    live: HashMap<(TenantId, Subject), KeyId>,
}

impl Keys {
    fn here(&self) -> Result<(), KeyError> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(KeyError::Unavailable("switched off".into())),
            false => Ok(()),
        }
    }

    fn destroy_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.keys.values_mut().for_each(|key| *key = None);
        state.live.clear();
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl KeyStore for Keys {
    async fn live(&self, of: &[(TenantId, Subject)]) -> Result<Vec<DataKey>, KeyError> {
        self.here()?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap();
        let mut all = Vec::new();
        for owner in of {
            let fresh = KeyId(Uuid::new_v4().as_bytes()[..12].try_into().unwrap());
            let id = *state.live.entry(owner.clone()).or_insert(fresh);
            let made = || Some(KeyBytes::new(Zeroizing::new(rand::random())));
            let bytes = state.keys.entry(id).or_insert_with(made).clone().unwrap();
            all.push(DataKey { id, bytes });
        }
        Ok(all)
    }

    async fn find(&self, ids: &[KeyId]) -> Result<Vec<Found>, KeyError> {
        self.here()?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock().unwrap();
        let found = |id: &KeyId| match state.keys.get(id) {
            None => Found::Unknown,
            Some(None) => Found::Destroyed,
            Some(Some(key)) => Found::Key(key.clone()),
        };
        Ok(ids.iter().map(found).collect())
    }

    async fn of(&self, _: &TenantId, _: &Subject) -> Result<Vec<KeyInfo>, KeyError> {
        unreachable!("the log does not ask")
    }

    async fn destroy(&self, _: &TenantId, _: &Subject, _: &[KeyId], _: Timestamp) -> Result<u64, KeyError> {
        unreachable!("the log does not destroy")
    }

    async fn epoch(&self) -> Result<u64, KeyError> {
        self.here()?;
        Ok(self.epoch.load(Ordering::Relaxed))
    }
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-07-01T12:00:00Z".parse().unwrap()
    }
}

struct Bed {
    raw: Arc<MemoryLog>,
    keys: Arc<Keys>,
    ring: Arc<Keyring>,
    log: OpenedLog,
}

fn bed() -> Bed {
    let (raw, keys) = (Arc::new(MemoryLog::new(Arc::new(Noon))), Arc::new(Keys::default()));
    let ring = Arc::new(Keyring::new(keys.clone()));
    Bed { log: OpenedLog::new(raw.clone(), ring.clone(), true), raw, keys, ring }
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn stream() -> StreamId {
    StreamId::new(&acme(), "taps", "journal-1").unwrap()
}

fn event(event_type: &str, payload: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: event_type.into(),
        schema: registry::schema_of(event_type),
        occurred_at: None,
        payload: payload.into(),
    }
}

fn tapped(band: &str, agent: &str) -> NewEvent {
    let payload = format!(
        r#"{{"band_id":"{band}","mode":"live","user_agent":"{agent}","visitor":"v1","source":"hub"}}"#
    );
    event(TAPPED, &payload)
}

fn append(events: Vec<NewEvent>) -> Append {
    let writes = vec![StreamWrite { stream: stream(), expected: ExpectedVersion::Any, events }];
    let metadata = Metadata {
        actor: "hub".into(),
        command_id: Uuid::now_v7(),
        correlation_id: "c".into(),
        causation_id: None,
    };
    Append { writes, metadata, idempotency: None }
}

async fn all(log: &dyn EventLog) -> Result<Vec<RecordedEvent>, LogError> {
    Ok(log.read(0, 1_000, &ReadFilter::default()).await?.events)
}

fn agent(event: &RecordedEvent) -> Option<PersonalText> {
    registry::decode_payload::<Tap>(event).unwrap().user_agent
}

#[tokio::test]
async fn the_log_holds_it_sealed_and_readers_see_it() {
    let bed = bed();
    bed.log.append(vec![append(vec![tapped("b1", "Agent/1"), tapped("b2", "Agent/2")])]).await[0]
        .as_ref()
        .unwrap();
    for event in all(&*bed.raw).await.unwrap() {
        assert!(!event.payload.contains("Agent"), "{}", event.payload);
        assert_eq!(event.compute_leaf(), event.leaf, "the leaf is over what is recorded");
        assert!(registry::decode_payload::<Tap>(&event).is_err(), "sealed is not the same as absent");
    }
    let seen = [
        all(&bed.log).await.unwrap(),
        bed.log.read_stream(&stream(), 1, 10).await.unwrap(),
        vec![all(&bed.log).await.unwrap()[0].clone(), bed.log.last(&stream()).await.unwrap().unwrap()],
    ];
    for events in seen {
        assert_eq!(agent(&events[0]), Some("Agent/1".into()));
        assert_eq!(agent(&events[1]), Some("Agent/2".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_page_is_opened_in_its_order() {
    let bed = bed();
    let taps = (0..3_000).map(|n| match n % 7 {
        0 => event("tenant.configured", r#"{"urls":{}}"#),
        _ => tapped(&format!("b{}", n % 50), &format!("Agent/{n}")),
    });
    bed.log.append(vec![append(taps.collect())]).await[0].as_ref().unwrap();
    let page = bed.log.read(0, 10_000, &ReadFilter::default()).await.unwrap();
    assert_eq!((page.events.len(), page.through), (3_000, 3_000));
    for (n, event) in page.events.iter().enumerate() {
        assert_eq!(event.position, n as u64 + 1);
        assert!(n % 7 == 0 || agent(event) == Some(format!("Agent/{n}").into()), "{}", event.payload);
    }
}

#[tokio::test]
async fn a_destroyed_key_reads_as_erased_at_once_and_changes_no_byte() {
    let bed = bed();
    bed.log.append(vec![append(vec![tapped("b1", "Agent/1")])]).await[0].as_ref().unwrap();
    assert_eq!(agent(&all(&bed.log).await.unwrap()[0]), Some("Agent/1".into()));
    let before = all(&*bed.raw).await.unwrap();
    bed.keys.destroy_all();
    assert_eq!(agent(&all(&bed.log).await.unwrap()[0]), Some(PersonalText::Erased));
    assert_eq!(all(&*bed.raw).await.unwrap(), before);
}

#[tokio::test]
async fn a_key_that_is_away_is_not_an_erased_one() {
    let bed = bed();
    bed.log.append(vec![append(vec![tapped("b1", "Agent/1")])]).await[0].as_ref().unwrap();
    bed.keys.away.store(true, Ordering::Relaxed);
    assert!(matches!(all(&bed.log).await, Err(LogError::Unavailable(_))));
    let nowhere = OpenedLog::new(bed.raw.clone(), Arc::new(Keyring::new(Arc::new(NoKeys))), false);
    assert!(matches!(all(&nowhere).await, Err(LogError::Unavailable(_))));
    let lost = OpenedLog::new(bed.raw.clone(), Arc::new(Keyring::new(Arc::new(Keys::default()))), true);
    assert!(matches!(all(&lost).await, Err(LogError::Unavailable(_))), "an unknown key is a lost one");
}

#[tokio::test]
async fn without_keys_nothing_personal_is_appended_and_everything_else_is() {
    let bed = bed();
    bed.keys.away.store(true, Ordering::Relaxed);
    let plain = event("band.retired", "{}");
    let outcomes = bed.log.append(vec![append(vec![tapped("b1", "A")]), append(vec![plain])]).await;
    assert!(matches!(outcomes[0], Err(AppendError::Unavailable { unknown: false, .. })), "{outcomes:?}");
    assert_eq!(outcomes[1].as_ref().unwrap().position(), 1);
    all(&bed.log).await.unwrap();
}

#[tokio::test]
async fn one_that_cannot_be_sealed_fails_alone() {
    let bed = bed();
    let nobody = event(TAPPED, r#"{"user_agent":"A","mode":"live","source":"hub"}"#);
    let batch = vec![append(vec![tapped("b1", "A")]), append(vec![nobody]), append(vec![tapped("b1", "B")])];
    let outcomes = bed.log.append(batch).await;
    assert_eq!(outcomes[0].as_ref().unwrap().position(), 1);
    assert!(matches!(outcomes[1], Err(AppendError::Invalid(_))), "{outcomes:?}");
    assert_eq!(outcomes[2].as_ref().unwrap().position(), 2);
}

#[tokio::test]
async fn a_moved_blob_is_damage() {
    let bed = bed();
    bed.log.append(vec![append(vec![tapped("b1", "Agent/1")])]).await[0].as_ref().unwrap();
    let stolen = all(&*bed.raw).await.unwrap()[0].payload.clone();
    bed.raw.append(vec![append(vec![event(TAPPED, &stolen)])]).await[0].as_ref().unwrap();
    assert!(matches!(all(&bed.log).await, Err(LogError::Damaged { position: 2, .. })));
}

#[tokio::test]
async fn what_is_in_clear_is_read_beside_it() {
    let bed = bed();
    let clear = OpenedLog::new(bed.raw.clone(), bed.ring.clone(), false);
    clear.append(vec![append(vec![tapped("b1", "Clear/1")])]).await[0].as_ref().unwrap();
    let first = NewEvent { schema: 1, ..tapped("b1", "First/1") };
    bed.raw.append(vec![append(vec![first])]).await[0].as_ref().unwrap();
    bed.log.append(vec![append(vec![tapped("b1", "Sealed/1")])]).await[0].as_ref().unwrap();
    let agents: Vec<_> = all(&bed.log).await.unwrap().iter().map(|e| agent(e).unwrap()).collect();
    assert_eq!(agents, ["Clear/1", "First/1", "Sealed/1"].map(PersonalText::from));
}

#[tokio::test]
async fn keys_are_kept_for_their_time_and_no_longer() {
    let bed = bed();
    bed.log.append(vec![append(vec![tapped("b1", "A"), tapped("b2", "B")])]).await[0].as_ref().unwrap();
    all(&bed.log).await.unwrap();
    all(&bed.log).await.unwrap();
    let asked = || bed.keys.asked.load(Ordering::Relaxed);
    assert_eq!(asked(), 2, "once for both subjects, once for both keys");
    assert_eq!(bed.ring.len(), 4);

    let short = Arc::new(Keyring::keeping(bed.keys.clone(), Duration::from_nanos(2)));
    let log = OpenedLog::new(bed.raw.clone(), short.clone(), true);
    all(&log).await.unwrap();
    all(&log).await.unwrap();
    assert_eq!(asked(), 4, "each time anew");
    let expiring = tokio::spawn(short.clone().expire());
    while !short.is_empty() {
        tokio::task::yield_now().await;
    }
    expiring.abort();
}
