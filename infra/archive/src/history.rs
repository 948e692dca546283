//! Sealed events one page after the other: the port.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use domain::RecordedEvent;
use domain::ports::archive::{Archive, ArchiveError};
use domain::ports::log::{EventLog, Page, ReadFilter};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::decode::Events;
use crate::manifest::Manifest;
use crate::scan::{Chunk, Chunks, Scan};
use crate::{ArchiveStore, schema};

/// Payload bytes after which a page ends, however many events were asked for.
const PAGE_BYTES: usize = 16 << 20;
/// Readers whose place is remembered, so that the next page goes on there.
const OPEN_SCANS: usize = 4;

/// Whole events of a manifest, each checked against its leaf. They are decoded
/// ahead, on threads of their own.
pub struct EventScan {
    decoded: mpsc::Receiver<Result<Decoded, ArchiveError>>,
    _ahead: AbortOnDropHandle<()>,
    ready: VecDeque<RecordedEvent>,
    /// Every position up to here has been looked at once `ready` is taken.
    through: u64,
    dense: bool,
}

/// The events of one chunk, and how far it reaches.
type Decoded = (VecDeque<RecordedEvent>, u64);

impl EventScan {
    pub fn new(store: &ArchiveStore, manifest: &Manifest, after: u64, types: &[&str]) -> Self {
        let scan = Scan { threads: 2, ..Scan::new(types, &schema::ENVELOPE).after(after) };
        // One waits while another is decoded.
        let (give, decoded) = mpsc::channel(1);
        let ahead = tokio::spawn(decode(store.scan(manifest, &scan), give));
        Self {
            decoded,
            _ahead: AbortOnDropHandle::new(ahead),
            ready: VecDeque::new(),
            through: after,
            dense: types.is_empty(),
        }
    }

    /// The next event. `None` at the manifest's end.
    pub async fn next(&mut self) -> Result<Option<RecordedEvent>, ArchiveError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(decoded) = self.decoded.recv().await else { return Ok(None) };
            let after = self.through;
            (self.ready, self.through) = decoded?;
            if self.dense && self.ready.len() as u64 != self.through - after {
                let object = format!("the range of positions {} to {}", after + 1, self.through);
                return Err(ArchiveError::Missing { object });
            }
        }
    }
}

/// Until the end, an error, or nobody takes any more.
async fn decode(mut chunks: Chunks, give: mpsc::Sender<Result<Decoded, ArchiveError>>) {
    loop {
        let decoded = match chunks.next().await {
            Ok(None) => return,
            Ok(Some(chunk)) => {
                let decoding =
                    tokio::task::spawn_blocking(move || events(&chunk).map(|events| (events, chunk.through)));
                decoding.await.unwrap_or_else(|e| Err(ArchiveError::Unavailable(e.to_string())))
            }
            Err(error) => Err(error),
        };
        let failed = decoded.is_err();
        if give.send(decoded).await.is_err() || failed {
            return;
        }
    }
}

fn events(chunk: &Chunk) -> Result<VecDeque<RecordedEvent>, ArchiveError> {
    let object = |part: usize| format!("{} ({}…)", chunk.parts[part].event_type, chunk.after + 1);
    let parts = chunk.parts.iter().enumerate();
    let readers: Result<Vec<Events>, _> = parts.map(|(i, p)| Events::new(&p.batch, &object(i))).collect();
    let mut readers = readers?;
    chunk.rows().map(|(part, row)| readers[part].event(row, &object(part))).collect()
}

/// The archive as a source of history.
pub struct SealedHistory {
    store: ArchiveStore,
    /// Whose history it has to be.
    log: Option<Arc<dyn EventLog>>,
    open: Mutex<Vec<Open>>,
}

/// Where a reader left off.
struct Open {
    after: u64,
    filter: ReadFilter,
    manifest: u64,
    scan: EventScan,
    through: u64,
}

impl SealedHistory {
    /// Of whatever log it was sealed from.
    pub fn new(store: ArchiveStore) -> Self {
        Self { store, log: None, open: Mutex::default() }
    }

    /// Of this log: reading fails with [`ArchiveError::Foreign`] if it is
    /// another's.
    pub fn of(store: ArchiveStore, log: Arc<dyn EventLog>) -> Self {
        Self { store, log: Some(log), open: Mutex::default() }
    }

    pub fn store(&self) -> &ArchiveStore {
        &self.store
    }

    async fn begin(&self, after: u64, filter: &ReadFilter) -> Result<Option<Open>, ArchiveError> {
        let manifest = match &self.log {
            Some(log) => self.store.manifest_of(&**log).await?,
            None => self.store.manifest().await?,
        };
        let Some(manifest) = manifest else { return Ok(None) };
        let types: Vec<&str> = filter.event_types.iter().map(AsRef::as_ref).collect();
        let scan = EventScan::new(&self.store, &manifest, after, &types);
        let (number, through) = (manifest.number, manifest.through);
        Ok(Some(Open { after, filter: filter.clone(), manifest: number, scan, through }))
    }
}

#[async_trait]
impl Archive for SealedHistory {
    async fn through(&self) -> Result<u64, ArchiveError> {
        Ok(self.store.manifest().await?.map_or(0, |manifest| manifest.through))
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, ArchiveError> {
        if limit == 0 {
            return Ok(Page { events: Vec::new(), through: after });
        }
        let mut open = self.open.lock().await;
        let found = open.iter().position(|o| o.after == after && o.filter == *filter);
        let resumed = found.map(|index| open.remove(index));
        drop(open);
        let mut reader = match resumed {
            Some(reader) => reader,
            None => match self.begin(after, filter).await? {
                Some(reader) => reader,
                None => return Ok(Page { events: Vec::new(), through: after }),
            },
        };
        loop {
            match reader.page(after, limit).await {
                Ok(page) => {
                    if page.through < reader.through {
                        reader.after = page.through;
                        let mut open = self.open.lock().await;
                        open.push(reader);
                        if open.len() > OPEN_SCANS {
                            open.remove(0);
                        }
                    }
                    return Ok(page);
                }
                // Merged into another since this reader began.
                Err(missing @ ArchiveError::Missing { .. }) => match self.begin(after, filter).await? {
                    Some(again) if again.manifest > reader.manifest => reader = again,
                    _ => return Err(missing),
                },
                Err(error) => return Err(error),
            }
        }
    }
}

impl Open {
    async fn page(&mut self, after: u64, limit: usize) -> Result<Page, ArchiveError> {
        let mut page = Page { events: Vec::new(), through: after };
        let mut bytes = 0;
        while page.events.len() < limit && bytes < PAGE_BYTES {
            let Some(event) = self.scan.next().await? else {
                page.through = self.through.max(after);
                return Ok(page);
            };
            page.through = event.position;
            if self.filter.matches(&event) {
                bytes += event.payload.len();
                page.events.push(event);
            }
        }
        Ok(page)
    }
}
