//! The fast reader: record batches of the columns asked for, of several event
//! types side by side in the order of positions, decoded on several cores.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use domain::ports::archive::ArchiveError;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::ArchiveStore;
use crate::file::SegmentFile;
use crate::manifest::{Manifest, Segment};
use crate::stale;

/// Decoded batches that wait for the consumer, for each row group.
const READY_BATCHES: usize = 16;
/// The same where whole events are read.
const READY_WIDE: usize = 4;

#[derive(Debug, Clone)]
pub struct Scan {
    /// None: all of the manifest.
    pub types: Vec<String>,
    /// Columns beside `position`, which always comes first. A column that a
    /// type does not have is left out of its batches.
    pub columns: Vec<String>,
    /// Positions past this one.
    pub after: u64,
    /// Row groups of a type that are fetched and decoded at once.
    pub threads: usize,
    /// Texts that repeat as dictionaries (`Int32` to `Utf8`).
    pub dictionaries: bool,
    /// Decoded on threads that get the time nobody else wants.
    pub background: bool,
}

impl Scan {
    pub fn new(types: &[&str], columns: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            types: owned(types),
            columns: owned(columns),
            after: 0,
            threads,
            dictionaries: false,
            background: false,
        }
    }

    pub fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }

    pub fn dictionaries(self) -> Self {
        Self { dictionaries: true, ..self }
    }

    pub fn in_background(self) -> Self {
        Self { background: true, ..self }
    }
}

/// All rows of the scanned types at the positions `after + 1..=through`.
#[derive(Debug)]
pub struct Chunk {
    pub after: u64,
    pub through: u64,
    pub parts: Vec<Part>,
}

/// Rows of one type, by position.
#[derive(Debug)]
pub struct Part {
    pub event_type: Arc<str>,
    pub batch: RecordBatch,
}

impl Chunk {
    pub fn events(&self) -> usize {
        self.parts.iter().map(|part| part.batch.num_rows()).sum()
    }

    /// Each row as (part, row), in the order of positions.
    pub fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let columns: Vec<&[i64]> = self.parts.iter().map(|part| positions(&part.batch)).collect();
        let mut next = vec![0_usize; columns.len()];
        std::iter::from_fn(move || {
            let heads = columns.iter().zip(&next).enumerate();
            let first = heads.filter_map(|(i, (column, row))| Some((*column.get(*row)?, i))).min()?;
            let row = next[first.1];
            next[first.1] += 1;
            Some((first.1, row))
        })
    }
}

/// The first column, which the reader put there.
pub fn positions(batch: &RecordBatch) -> &[i64] {
    batch.column(0).as_primitive_opt::<Int64Type>().map_or(&[], |column| column.values())
}

type Batches = BoxStream<'static, Result<RecordBatch, ArchiveError>>;

struct Source {
    event_type: Arc<str>,
    batches: Batches,
    waiting: Option<RecordBatch>,
    done: bool,
}

/// Chunks in the order of positions; see [`ArchiveStore::scan`].
pub struct Chunks {
    sources: Vec<Source>,
    after: u64,
    through: u64,
}

impl ArchiveStore {
    /// Reads what a manifest names. A segment that was merged away since may be
    /// [`ArchiveError::Missing`] after the grace; then begin again where this
    /// ended, with the newest manifest.
    pub fn scan(&self, manifest: &Manifest, scan: &Scan) -> Chunks {
        let mut columns = vec!["position".to_owned()];
        columns.extend(scan.columns.iter().filter(|c| *c != "position").cloned());
        let columns: Arc<[String]> = columns.into();
        let types = if scan.types.is_empty() { manifest.types() } else { scan.types.clone() };
        let sources = types.into_iter().map(|event_type| {
            let of_type = manifest.of_types(std::slice::from_ref(&event_type));
            let segments: Vec<Segment> = of_type.filter(|s| s.last > scan.after).cloned().collect();
            let batches = self.clone().batches(segments, columns.clone(), scan);
            Source { event_type: event_type.into(), batches, waiting: None, done: false }
        });
        Chunks { sources: sources.collect(), after: scan.after, through: manifest.through }
    }

    fn batches(self, segments: Vec<Segment>, columns: Arc<[String]>, scan: &Scan) -> Batches {
        let (after, threads) = (scan.after, scan.threads.max(1));
        let how = How { dictionaries: scan.dictionaries, background: scan.background };
        let store = self.clone();
        let files = futures::stream::iter(segments)
            .map(move |segment| {
                let store = store.clone();
                on_task(async move { Ok(Arc::new(SegmentFile::open(&store, &segment).await?)) })
            })
            .buffered(2);
        let groups = files
            .map_ok(move |file: Arc<SegmentFile>| {
                let groups = (0..file.row_groups()).filter_map(move |group| match file.positions(group) {
                    Ok((_, last)) if last <= after => None,
                    Ok(_) => Some(Ok((file.clone(), group))),
                    Err(error) => Some(Err(error)),
                });
                futures::stream::iter(groups.collect::<Vec<_>>())
            })
            .try_flatten();
        groups
            .map_ok(move |(file, group)| on_task(row_group(self.clone(), file, group, columns.clone(), how)))
            .try_buffered(threads)
            .map_ok(|receiver| {
                futures::stream::unfold(receiver, async |mut receiver| {
                    let batch = receiver.recv().await?;
                    Some((batch, receiver))
                })
            })
            .try_flatten()
            .try_filter_map(move |batch| async move { Ok(past(&batch, after)) })
            .boxed()
    }
}

/// Runs ahead of the consumer, whose thread may be one of low priority: the store
/// may start threads that go on to serve others.
fn on_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, ArchiveError>> + Send + 'static,
) -> impl Future<Output = Result<T, ArchiveError>> {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    async move { task.await.unwrap_or_else(|e| Err(ArchiveError::Unavailable(e.to_string()))) }
}

/// Rows past a position; `None` if there are none.
fn past(batch: &RecordBatch, after: u64) -> Option<RecordBatch> {
    let skip = positions(batch).partition_point(|p| p.cast_unsigned() <= after);
    let rest = batch.num_rows() - skip;
    (rest > 0).then(|| batch.slice(skip, rest))
}

#[derive(Clone, Copy)]
struct How {
    dictionaries: bool,
    background: bool,
}

type Decoded = mpsc::Receiver<Result<RecordBatch, ArchiveError>>;

/// Fetches a row group and starts to decode it on a thread of its own.
async fn row_group(
    store: ArchiveStore,
    file: Arc<SegmentFile>,
    group: usize,
    columns: Arc<[String]>,
    how: How,
) -> Result<Decoded, ArchiveError> {
    let wide = columns.iter().any(|c| c == "payload") || stale::is(&file, &columns);
    let ready = if wide { READY_WIDE } else { READY_BATCHES };
    let fetched = match stale::is(&file, &columns) {
        true => file.fetch(&store, group, &stale::needs(), false).await?,
        false => file.fetch(&store, group, &columns, how.dictionaries).await?,
    };
    let (sender, receiver) = mpsc::channel(ready);
    let decode = move || {
        let batches = match fetched.decode() {
            Ok(batches) => batches,
            Err(error) => {
                // The consumer may have gone.
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        let mut steps = background::Steps::of_nanos(500_000);
        for batch in batches {
            steps.step();
            let batch = match stale::is(&file, &columns) {
                true => batch.and_then(|b| stale::renew(&b, &file.segment, &columns, how.dictionaries)),
                false => batch,
            };
            let failed = batch.is_err();
            if sender.blocking_send(batch).is_err() || failed {
                return;
            }
        }
    };
    if !how.background {
        tokio::task::spawn_blocking(decode);
        return Ok(receiver);
    }
    background::spawn("scan", background::Share::Least, decode)
        .map_err(|e| ArchiveError::Unavailable(format!("no thread to decode on: {e}")))?;
    Ok(receiver)
}

impl Chunks {
    /// The next rows, or `None` at the end of the archive. The last chunk goes
    /// up to the manifest's end, with or without rows.
    pub async fn next(&mut self) -> Result<Option<Chunk>, ArchiveError> {
        if self.after >= self.through {
            return Ok(None);
        }
        let waits = self.sources.iter_mut().filter(|s| s.waiting.is_none() && !s.done);
        futures::future::try_join_all(waits.map(|source| async {
            source.waiting = source.batches.try_next().await?;
            source.done = source.waiting.is_none();
            Ok::<_, ArchiveError>(())
        }))
        .await?;
        let ends = self.sources.iter().filter_map(|s| positions(s.waiting.as_ref()?).last());
        let through = ends.min().map_or(self.through, |p| p.cast_unsigned());
        let mut parts = Vec::new();
        for source in &mut self.sources {
            let Some(batch) = source.waiting.take() else { continue };
            let rows = positions(&batch).partition_point(|p| p.cast_unsigned() <= through);
            if rows < batch.num_rows() {
                source.waiting = Some(batch.slice(rows, batch.num_rows() - rows));
            }
            if rows > 0 {
                parts.push(Part { event_type: source.event_type.clone(), batch: batch.slice(0, rows) });
            }
        }
        let chunk = Chunk { after: self.after, through, parts };
        self.after = through;
        Ok(Some(chunk))
    }

    /// Positions that were asked for end here.
    pub fn through(&self) -> u64 {
        self.through
    }
}
