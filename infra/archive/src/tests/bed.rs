//! A log with all kinds of facts, an archive, and a store that fails on demand.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::envelope::{Metadata, NewEvent, RecordedEvent};
use domain::ports::archive::Archive;
use domain::ports::clock::Clock;
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::{StreamId, TenantId, band, tap};
use futures::stream::BoxStream;
use infra_log::MemoryLog;
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use uuid::Uuid;

use crate::{ArchiveStore, Archiver, SealedHistory, Settings};

pub struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub fn set(&self, at: &str) {
        *self.0.lock().unwrap() = at.parse().unwrap();
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub struct Bed {
    pub clock: Arc<SetClock>,
    pub log: Arc<MemoryLog>,
    pub objects: Arc<Faulty>,
    pub settings: Settings,
}

impl Bed {
    pub fn new() -> Self {
        let clock = Arc::new(SetClock(Mutex::new("2026-07-01T12:00:00Z".parse().unwrap())));
        let log = Arc::new(MemoryLog::new(clock.clone()));
        let objects = Arc::new(Faulty { inner: Arc::new(InMemory::new()), next: Mutex::default() });
        Self { clock, log, objects, settings: Settings::default() }
    }

    pub fn store(&self) -> ArchiveStore {
        ArchiveStore::new(self.objects.clone(), "test")
    }

    pub fn archiver(&self) -> Archiver {
        Archiver::new(self.store(), self.log.clone(), self.clock.clone(), self.settings.clone())
    }

    pub fn history(&self) -> SealedHistory {
        SealedHistory::new(self.store())
    }

    /// Appends this many facts, most of them taps of two kinds.
    pub async fn grow(&self, count: u64) {
        let head = self.log.head().await.unwrap().position;
        for n in head + 1..=head + count {
            let (kind, id, event) = fact(n);
            let tenant = TenantId::new(if n % 5 == 0 { "acme" } else { "default" }).unwrap();
            let append = Append {
                writes: vec![StreamWrite {
                    stream: StreamId::new(&tenant, kind, &id).unwrap(),
                    expected: ExpectedVersion::Any,
                    events: vec![event],
                }],
                metadata: Metadata {
                    actor: "test".into(),
                    command_id: Uuid::from_u128(n.into()),
                    correlation_id: format!("c{n}").into(),
                    causation_id: n.is_multiple_of(3).then(|| Uuid::from_u128(7)),
                },
                idempotency: None,
            };
            self.log.append(vec![append]).await.remove(0).unwrap();
        }
    }

    /// Everything that the log has.
    pub async fn all(&self) -> Vec<RecordedEvent> {
        self.log.read(0, usize::MAX, &ReadFilter::default()).await.unwrap().events
    }

    /// Everything that the archive has, in pages of odd sizes.
    pub async fn sealed(&self, filter: &ReadFilter) -> Vec<RecordedEvent> {
        let history = self.history();
        let (mut events, mut after) = (Vec::new(), 0);
        let through = history.through().await.unwrap();
        while after < through {
            let page = history.read(after, 37, filter).await.unwrap();
            assert!(page.through > after);
            (events, after) = ([events, page.events].concat(), page.through);
        }
        events
    }

    /// Seals this many facts in this many steps.
    pub async fn seal_in_steps(&self, steps: u64, facts: u64) {
        let archiver = self.archiver();
        for _ in 0..steps {
            self.grow(facts).await;
            assert!(archiver.seal(true).await.unwrap().is_some());
        }
    }
}

fn fact(n: u64) -> (&'static str, String, NewEvent) {
    let event = |event_type: &str, payload: String| NewEvent {
        event_id: Uuid::from_u128(u128::from(n) << 32),
        event_type: event_type.into(),
        schema: 1,
        occurred_at: n.is_multiple_of(2).then(|| Timestamp::from_second(n as i64).unwrap()),
        payload,
    };
    let tap = format!(
        r#"{{"band_id":"b{}","event_id":"show","mode":"live", "user_agent":"agent \"{}\"","source":"hub"}}"#,
        n % 7,
        n % 4
    );
    match n % 10 {
        0 => ("band", format!("b{n}"), event(band::REGISTERED, r#"{"tags":["vip", "crew"]}"#.into())),
        1 => ("band", format!("b{n}"), event(band::RETIRED, "{}".into())),
        2 => (tap::KIND, "hub".into(), event(tap::PREVIEWED, tap)),
        3 => ("other", "later".into(), event("thing.unheard_of", r#"{"x": 1.50}"#.into())),
        4 => (tap::KIND, "hub".into(), event(tap::TAPPED, r#"{"band_id":17}"#.into())),
        _ => (tap::KIND, "hub".into(), event(tap::TAPPED, tap)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The request fails and does nothing.
    Refused,
    /// It does what it should, and the answer is lost.
    Unanswered,
    /// Half of the bytes are put, and the answer is lost.
    Torn,
    Full,
}

/// The next faults, each for the next request on a path with this text in it.
type Faults = Vec<(&'static str, Fault)>;

/// A store that fails when it is told to.
#[derive(Debug)]
pub struct Faulty {
    pub inner: Arc<InMemory>,
    next: Mutex<Faults>,
}

impl Faulty {
    pub fn fail(&self, path: &'static str, fault: Fault) {
        self.next.lock().unwrap().push((path, fault));
    }

    pub fn pending(&self) -> usize {
        self.next.lock().unwrap().len()
    }

    fn due(&self, location: &Path) -> Option<Fault> {
        let mut next = self.next.lock().unwrap();
        let index = next.iter().position(|(path, _)| location.as_ref().contains(path))?;
        Some(next.remove(index).1)
    }
}

fn error(fault: Fault) -> object_store::Error {
    let source: Box<dyn std::error::Error + Send + Sync> = match fault {
        Fault::Full => Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull)),
        _ => "503 SlowDown".into(),
    };
    object_store::Error::Generic { store: "faulty", source }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.due(path) {
            None => self.inner.put_opts(path, payload, options).await,
            Some(Fault::Unanswered) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(error(Fault::Unanswered))
            }
            Some(Fault::Torn) => {
                let bytes = Bytes::from(payload);
                let half = bytes.slice(..bytes.len() / 2);
                self.inner.put_opts(path, half.into(), options).await?;
                Err(error(Fault::Torn))
            }
            Some(fault) => Err(error(fault)),
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        match self.due(path) {
            Some(fault) => Err(error(fault)),
            None => self.inner.get_opts(path, options).await,
        }
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.due(path) {
            Some(fault) => Err(error(fault)),
            None => self.inner.get_ranges(path, ranges).await,
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

pub const HOUR: Duration = Duration::from_secs(3600);
