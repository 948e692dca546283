//! A log of signals, and a store whose process dies when it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use bytes::Bytes;
use domain::envelope::{Metadata, NewEvent, RecordedEvent};
use domain::ports::clock::Clock;
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::{StreamId, TenantId, registry, signal};
use futures::stream::BoxStream;
use infra_archive::ArchiveStore;
use infra_log::MemoryLog;
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use crate::{Manifest, Settings, Warehouse, WarehouseStore};

pub const START: &str = "2026-07-01T12:00:00Z";

pub struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now += jiff::SignedDuration::from_secs(seconds);
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
    pub inner: Arc<InMemory>,
}

impl Bed {
    pub fn new() -> Self {
        let clock = Arc::new(SetClock(Mutex::new(START.parse().unwrap())));
        Self { log: Arc::new(MemoryLog::new(clock.clone())), clock, inner: Arc::new(InMemory::new()) }
    }

    /// A process that does this many more things to the store, and of the next
    /// one never learns; it is done or not.
    pub fn mortal(&self, life: i64, done: bool, settings: Settings) -> Warehouse {
        let store = Mortal { inner: self.inner.clone(), life: AtomicI64::new(life), done };
        let store = WarehouseStore::new(ArchiveStore::new(Arc::new(store), "test"));
        Warehouse::new(store, self.log.clone(), self.clock.clone(), settings)
    }

    pub fn warehouse(&self, settings: Settings) -> Warehouse {
        self.mortal(i64::MAX, true, settings)
    }

    /// Appends this many facts, two of three signals.
    pub async fn grow(&self, count: u64) {
        let head = self.log.head().await.unwrap().position;
        for n in head + 1..=head + count {
            let tenant = TenantId::new(if n % 5 == 0 { "acme" } else { "default" }).unwrap();
            match n % 3 {
                0 => self.append(&tenant, "band", &format!("b{n}"), "band.retired", "{}".into(), None).await,
                _ => self.signal(&tenant, ["shop", "a:b"][usize::from(n % 7 == 0)], n, at(n)).await,
            }
        }
    }

    pub async fn signal(&self, tenant: &TenantId, app: &str, n: u64, at: Option<Timestamp>) {
        let payload = format!(
            r#"{{"app":"{app}","source":"/s","id":"{n}","type":"t{}","device":"d","context":{{"platform":"ios","screen_width":{n},"is_emulator":false}},"data":{{"n":{n}.50}},"format":"app"}}"#,
            n % 4
        );
        let stream = signal::stream_id(app, "/s", &n.to_string());
        self.append(tenant, signal::KIND, &stream, signal::RECEIVED, payload, at).await;
    }

    async fn append(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        event_type: &str,
        payload: String,
        occurred_at: Option<Timestamp>,
    ) {
        let n = u128::from(self.log.head().await.unwrap().position + 1);
        let event = NewEvent {
            event_id: Uuid::from_u128(n << 32),
            event_type: event_type.into(),
            schema: registry::schema_of(event_type),
            occurred_at,
            payload,
        };
        let append = Append {
            writes: vec![StreamWrite {
                stream: StreamId::new(tenant, kind, id).unwrap(),
                expected: ExpectedVersion::Any,
                events: vec![event],
            }],
            metadata: Metadata {
                actor: "test".into(),
                command_id: Uuid::from_u128(n),
                correlation_id: "c".into(),
                causation_id: None,
            },
            idempotency: None,
        };
        self.log.append(vec![append]).await.remove(0).unwrap();
    }

    pub async fn signals(&self) -> Vec<RecordedEvent> {
        let filter = ReadFilter::types([signal::RECEIVED]);
        self.log.read(0, usize::MAX, &filter).await.unwrap().events
    }

    pub async fn manifest(&self) -> Manifest {
        self.warehouse(Settings::default()).store().manifest().await.unwrap().unwrap()
    }

    /// Parquet files of signals as they lie there, by path.
    pub async fn files(&self) -> BTreeMap<String, Bytes> {
        let store = ArchiveStore::new(self.inner.clone(), "test");
        let mut files = BTreeMap::new();
        for object in store.objects_in("").await.unwrap() {
            if object.path.contains("/events/") {
                files.insert(object.path.clone(), store.object(&object.path).await.unwrap());
            }
        }
        files
    }

    /// Position, path and payload of everything that the manifest names.
    pub async fn rows(&self) -> Vec<(u64, String, String)> {
        let warehouse = self.warehouse(Settings::default());
        let mut rows = Vec::new();
        for file in self.manifest().await.files {
            let bytes = warehouse.store().get(&file).await.unwrap();
            let read = read(bytes);
            assert_eq!(read.len() as u64, file.rows, "{}", file.path);
            assert_eq!((read[0].0, read[read.len() - 1].0), (file.first, file.last), "{}", file.path);
            rows.extend(read.into_iter().map(|(position, payload)| (position, file.path.clone(), payload)));
        }
        rows.sort();
        rows
    }

    /// What every tenant's list says, as paths.
    pub async fn listed(&self) -> Vec<String> {
        let store = ArchiveStore::new(self.inner.clone(), "test");
        let mut paths = Vec::new();
        for object in store.objects_in("").await.unwrap() {
            let Some(tenant) = object.path.strip_suffix("/files/current.parquet") else { continue };
            let bytes = store.object(&object.path).await.unwrap();
            for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                let text = |name: &str, row: usize| {
                    batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
                };
                for row in 0..batch.num_rows() {
                    let hour = ["year", "month", "day", "hour"].map(|n| format!("{n}={}", text(n, row)));
                    let app = text("app_id", row).replace(':', "%3A");
                    paths.push(format!(
                        "{tenant}/events/app_id={app}/{}/{}",
                        hour.join("/"),
                        text("file", row)
                    ));
                }
            }
        }
        paths.sort();
        paths
    }
}

fn at(n: u64) -> Option<Timestamp> {
    let start: Timestamp = START.parse().unwrap();
    let seconds = i64::try_from(n % 11).unwrap() * 1_200;
    (!n.is_multiple_of(4)).then(|| start - jiff::SignedDuration::from_secs(seconds))
}

/// Position and payload of each row.
pub fn read(bytes: Bytes) -> Vec<(u64, String)> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let positions = batch.column_by_name("position").unwrap().as_primitive::<Int64Type>();
        let payloads = batch.column_by_name("payload").unwrap().as_string::<i32>();
        for row in 0..positions.len() {
            rows.push((positions.value(row).cast_unsigned(), payloads.value(row).to_owned()));
        }
    }
    rows
}

#[derive(Debug)]
pub struct Mortal {
    inner: Arc<InMemory>,
    life: AtomicI64,
    done: bool,
}

impl Mortal {
    /// Whether it is to be done, and whether anybody learns of it.
    fn spend(&self) -> (bool, bool) {
        match self.life.fetch_sub(1, Ordering::Relaxed) {
            1.. => (true, true),
            0 => (self.done, false),
            _ => (false, false),
        }
    }

    fn alive(&self) -> Result<()> {
        if self.life.load(Ordering::Relaxed) < 0 { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> Error {
    Error::Generic { store: "mortal", source: "killed".into() }
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mortal")
    }
}

#[async_trait]
impl ObjectStore for Mortal {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (done, told) = self.spend();
        let result = if done { self.inner.put_opts(path, payload, options).await } else { Err(dead()) };
        if told { result } else { Err(dead()) }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.alive()?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (done, told) = self.spend();
        if done && told {
            return self.inner.delete_stream(paths);
        }
        Box::pin(futures::stream::once(async { Err(dead()) }))
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
