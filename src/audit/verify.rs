//! Recomputes leaves and tree from the events, in position order, and compares
//! them with the log's own tree and with signed checkpoints.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, Result};
use domain::RecordedEvent;
use domain::ports::archive::{Archive, ArchiveError};
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::ports::tree::{TreeLog, frontier_at};
use domain::registry;
use domain::tree::{EMPTY_ROOT, Frontier, Hash, Node, TILE_HEIGHT, TILE_WIDTH};
use proofs::{Checkpoint, Tiles};
use serde::Serialize;

use super::tiles::TileCheck;

/// Events read at a time.
const PAGE: usize = 10_000;
/// Signed checkpoints looked up at a time.
const CHECKPOINTS: usize = 1_000;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// The event is not the one that was recorded, or its leaf was changed.
    Event {
        position: u64,
    },
    Missing {
        position: u64,
    },
    /// What is stored cannot be read as events.
    Damaged {
        reason: String,
    },
    /// The events hold together, but the log's tree says something else.
    Tree {
        first: u64,
        last: u64,
    },
    /// Up to `first - 1` all is as it was signed, and up to `last` it is not.
    Signed {
        first: u64,
        last: u64,
        by: String,
    },
    /// More was signed than there is.
    Cut {
        signed: u64,
        by: String,
        size: u64,
    },
    /// More was signed than is sealed: what follows was cut, or is still to come.
    Behind {
        signed: u64,
        by: String,
        through: u64,
    },
    /// No checkpoint has a signature of the key that was asked for.
    Unsigned,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event { position } => write!(f, "the event at position {position} was changed"),
            Self::Missing { position } => write!(f, "the event at position {position} is missing"),
            Self::Damaged { reason } => f.write_str(reason),
            Self::Tree { first, last } => {
                write!(f, "the log's tree is not that of the events at positions {first} to {last}")
            }
            Self::Signed { first, last, by } => {
                write!(f, "something at positions {first} to {last} is not what was signed ({by})")
            }
            Self::Cut { signed, by, size } => {
                write!(f, "history was cut: {signed} events were signed ({by}), there are {size}")
            }
            Self::Behind { signed, by, through } => write!(
                f,
                "the archive ends at {through}, before the checkpoint of {signed} ({by}): \
                 what follows is not sealed yet, or was cut; up to there it is whole"
            ),
            Self::Unsigned => f.write_str("no checkpoint is signed with this key"),
        }
    }
}

/// What was computed, and whether it is what was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub holds: bool,
    pub finding: Option<Finding>,
    /// Positions before this one were taken from a checkpoint that is trusted.
    pub first: u64,
    pub last: u64,
    /// Of the tree up to `last`, hexadecimal.
    pub root: String,
    /// Checkpoints that the tree was compared with.
    pub checkpoints: usize,
    /// The largest of them.
    pub signed: u64,
}

/// A checkpoint whose signature has been checked, and where it is from.
#[derive(Debug, Clone)]
pub struct Known {
    pub checkpoint: Checkpoint,
    pub by: &'static str,
}

/// Checkpoints that the log keeps, as far as they are to be believed.
pub type Opens = dyn Fn(&str) -> Option<Checkpoint> + Send + Sync;

pub struct Verifier<'a> {
    pub events: Source<'a>,
    /// The log alone, and up to where it was trimmed: what it still has there
    /// must be what the archive has.
    pub rows: Option<(&'a dyn EventLog, u64)>,
    /// The log's own tree, if there is one to compare with.
    pub tree: Option<&'a dyn TreeLog>,
    /// The tiles that lie beside the events, of a tree of this size.
    pub tiles: Option<(&'a dyn Tiles, u64)>,
    /// Last position.
    pub upto: u64,
    /// What the auditor brings, any order.
    pub known: Vec<Known>,
    /// Also those that the log keeps, of this origin.
    pub kept: Option<(String, &'a Opens)>,
    /// Whether a history without any checkpoint fails.
    pub must_be_signed: bool,
}

/// Where the events are read.
pub enum Source<'a> {
    Log(&'a dyn EventLog),
    Archive(&'a dyn Archive),
}

struct Run<'a> {
    frontier: Frontier,
    tiles: Option<TileCheck<'a>>,
    first: u64,
    /// What the auditor brings that is still to be reached.
    brought: VecDeque<Known>,
    kept: Kept,
    compared: usize,
    signed: u64,
}

/// What the log keeps that is still to be reached.
#[derive(Default)]
struct Kept {
    next: VecDeque<Checkpoint>,
    /// All up to this size have been read.
    read: u64,
    at_end: bool,
}

impl<'a> Verifier<'a> {
    /// From the first event, or behind a checkpoint that is trusted.
    pub async fn run(mut self, from: Option<&Checkpoint>, progress: &mut dyn FnMut(u64)) -> Result<Verdict> {
        self.known.sort_by_key(|known| known.checkpoint.size);
        let mut run = match self.begin(from).await? {
            Ok(run) => run,
            Err((run, finding)) => return Ok(verdict(run, Some(finding))),
        };
        let mut page = self.read(run.frontier.size()).await;
        let finding = loop {
            let events = match page {
                Ok(events) if events.is_empty() => match tiles(&mut run.tiles).await? {
                    None => break self.end(&run).await?,
                    found => break found,
                },
                Ok(events) => events,
                Err(finding) => break Some(finding?),
            };
            let through = events.last().map_or(0, |e| e.position);
            // The next page is read while this one is hashed, and the tiles of
            // the one before are compared.
            let (next, hashed, tiles) = tokio::join!(self.read(through), hash(events), tiles(&mut run.tiles));
            if let Some(finding) = tiles?.or(self.follow(&mut run, hashed?).await?) {
                break Some(finding);
            }
            progress(run.frontier.size());
            page = next;
        };
        Ok(verdict(run, finding))
    }

    async fn begin(&self, from: Option<&Checkpoint>) -> Result<Result<Run<'a>, (Run<'a>, Finding)>> {
        let run = |frontier: Frontier| Run {
            first: frontier.size() + 1,
            brought: self.known.iter().filter(|k| k.checkpoint.size > frontier.size()).cloned().collect(),
            kept: Kept { read: frontier.size(), ..Kept::default() },
            // The one that it begins with.
            compared: usize::from(frontier.size() > 0),
            signed: frontier.size(),
            tiles: self
                .tiles
                .filter(|_| frontier.size() == 0)
                .map(|(tiles, size)| TileCheck::new(tiles, size)),
            frontier,
        };
        let (Some(from), Some(tree)) = (from, self.tree) else { return Ok(Ok(run(Frontier::default()))) };
        if from.size > self.upto {
            let cut = Finding::Cut { signed: from.size, by: "the checkpoint".to_owned(), size: self.upto };
            return Ok(Err((run(Frontier::default()), cut)));
        }
        let frontier = frontier_at(tree, from.size).await.context("reading the log's tree")?;
        if frontier.root() == from.root {
            return Ok(Ok(run(frontier)));
        }
        let finding = Finding::Signed { first: 1, last: from.size, by: "the checkpoint".to_owned() };
        Ok(Err((run(Frontier::default()), finding)))
    }

    /// A page of events; what is wrong with what is stored is a finding.
    async fn read(&self, after: u64) -> Result<Vec<RecordedEvent>, Result<Finding>> {
        let left = usize::try_from(self.upto.saturating_sub(after)).unwrap_or(PAGE);
        if left == 0 {
            return Ok(Vec::new());
        }
        // Pages end at the mark: what follows it is read from the log.
        let trimmed = self.rows.map_or(0, |(_, trimmed)| trimmed.saturating_sub(after));
        let sealed = usize::try_from(trimmed).ok().filter(|sealed| *sealed > 0);
        let (limit, all) = (PAGE.min(left).min(sealed.unwrap_or(PAGE)), ReadFilter::default());
        let page = match self.events {
            Source::Log(log) => log.read(after, limit, &all).await.map_err(in_log),
            Source::Archive(archive) => archive.read(after, limit, &all).await.map_err(in_archive),
        };
        let missing = Finding::Missing { position: after + 1 };
        let events =
            page.and_then(|page| if page.events.is_empty() { Err(Ok(missing)) } else { Ok(page.events) })?;
        match self.rows {
            Some((rows, _)) if sealed.is_some() => match same_rows(rows, after, &events).await {
                Ok(None) => Ok(events),
                Ok(Some(finding)) => Err(Ok(finding)),
                Err(error) => Err(in_log(error)),
            },
            _ => Ok(events),
        }
    }

    async fn follow(&self, run: &mut Run<'_>, events: Vec<Hashed>) -> Result<Option<Finding>> {
        let mut full = Vec::new();
        for event in &events {
            let position = run.frontier.size() + 1;
            if event.position != position {
                return Ok(Some(Finding::Missing { position }));
            }
            if event.computed != event.stored {
                return Ok(Some(Finding::Event { position }));
            }
            let before = full.len();
            run.frontier.push(&event.computed, &mut full);
            if let Some(finding) = self.compare(run).await? {
                return Ok(Some(finding));
            }
            if let Some(tiles) = &mut run.tiles {
                tiles.take(position, event.computed, &full[before..]);
            }
        }
        self.nodes(&full).await
    }

    /// With the checkpoints of this size, if there are any.
    async fn compare(&self, run: &mut Run<'_>) -> Result<Option<Finding>> {
        let size = run.frontier.size();
        self.read_kept(&mut run.kept, size).await?;
        let kept = run.kept.next.pop_front_if(|next| next.size == size);
        let kept = kept.map(|checkpoint| Known { checkpoint, by: "kept by the log" });
        let brought = std::iter::from_fn(|| run.brought.pop_front_if(|known| known.checkpoint.size == size));
        for known in kept.into_iter().chain(brought) {
            if known.checkpoint.root != run.frontier.root() {
                return Ok(Some(Finding::Signed {
                    first: run.signed + 1,
                    last: size,
                    by: known.by.to_owned(),
                }));
            }
            (run.compared, run.signed) = (run.compared + 1, size);
        }
        Ok(None)
    }

    /// So that the next one of this size or later is at hand. A row whose note
    /// is of another size says nothing.
    async fn read_kept(&self, kept: &mut Kept, size: u64) -> Result<()> {
        let (Some(tree), Some((origin, open))) = (self.tree, &self.kept) else { return Ok(()) };
        while kept.next.pop_front_if(|next| next.size < size).is_some() {}
        while kept.next.is_empty() && !kept.at_end {
            let page = tree.checkpoints(origin, kept.read, CHECKPOINTS).await?;
            kept.at_end = page.len() < CHECKPOINTS;
            kept.read = page.last().map_or(kept.read, |c| c.size);
            let opened = page.iter().filter_map(|c| open(&c.note).filter(|opened| opened.size == c.size));
            kept.next.extend(opened.filter(|c| c.size >= size));
        }
        Ok(())
    }

    /// With the roots of full tiles that the log keeps.
    async fn nodes(&self, full: &[Node]) -> Result<Option<Finding>> {
        let Some(tree) = self.tree else { return Ok(None) };
        for level in 1..=full.iter().map(|node| node.level).max().unwrap_or(0) {
            let ours: Vec<&Node> = full.iter().filter(|node| node.level == level).collect();
            let Some(first) = ours.first().map(|node| node.index) else { continue };
            let kept = tree.nodes(level, first, ours.len()).await;
            let wrong = match kept {
                Ok(kept) => {
                    ours.iter().zip(kept).find(|(node, kept)| node.hash != *kept).map(|(n, _)| n.index)
                }
                Err(LogError::Damaged { .. }) => Some(first),
                Err(error) => return Err(error.into()),
            };
            if let Some(index) = wrong {
                let shift = u32::from(level) * u32::from(TILE_HEIGHT);
                let (first, last) = ((index << shift) + 1, (index + 1) << shift);
                return Ok(Some(Finding::Tree { first, last }));
            }
        }
        Ok(None)
    }

    async fn end(&self, run: &Run<'_>) -> Result<Option<Finding>> {
        let size = run.frontier.size();
        if let Some(tree) = self.tree
            && let Some(finding) = self.edge(tree, run).await?
        {
            return Ok(Some(finding));
        }
        if let Some(known) = run.brought.front() {
            let (signed, by) = (known.checkpoint.size, known.by.to_owned());
            return Ok(Some(match self.events {
                Source::Log(_) => Finding::Cut { signed, by, size },
                Source::Archive(_) => Finding::Behind { signed, by, through: size },
            }));
        }
        Ok((self.must_be_signed && run.compared == 0).then_some(Finding::Unsigned))
    }

    /// With the log's own frontier, and with the newest that it keeps.
    async fn edge(&self, tree: &dyn TreeLog, run: &Run<'_>) -> Result<Option<Finding>> {
        let size = run.frontier.size();
        let now = match tree.frontier().await {
            Ok(now) => now,
            Err(LogError::Damaged { reason, .. }) => return Ok(Some(Finding::Damaged { reason })),
            Err(error) => return Err(error.into()),
        };
        // It may have grown since; then what it keeps must lead to its edge.
        if now.size() != size && !leads_to(tree, &now).await? {
            return Ok(Some(Finding::Tree { first: size + 1, last: now.size() }));
        }
        let same =
            if now.size() == size { now == run.frontier } else { leads_to(tree, &run.frontier).await? };
        if !same {
            let first = size - size % TILE_WIDTH + 1;
            return Ok(Some(Finding::Tree { first: first.min(size), last: size }));
        }
        if let Some((origin, open)) = &self.kept
            && let Some(newest) = tree.checkpoint(origin, None).await?
            && let Some(newest) = open(&newest.note)
            && newest.size > tree.frontier().await?.size()
        {
            let by = "kept by the log".to_owned();
            return Ok(Some(Finding::Cut { signed: newest.size, by, size }));
        }
        Ok(None)
    }
}

async fn tiles(check: &mut Option<TileCheck<'_>>) -> Result<Option<Finding>> {
    match check {
        Some(check) => check.compare().await,
        None => Ok(None),
    }
}

async fn leads_to(tree: &dyn TreeLog, frontier: &Frontier) -> Result<bool, LogError> {
    match frontier_at(tree, frontier.size()).await {
        Ok(kept) => Ok(kept == *frontier),
        Err(LogError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Below the mark a log keeps what is not trimmed; commands and projections
/// read that there, not in the archive.
async fn same_rows(
    rows: &dyn EventLog,
    after: u64,
    sealed: &[RecordedEvent],
) -> Result<Option<Finding>, LogError> {
    let types = registry::EVENT_TYPES.iter().map(|t| t.name).filter(|t| !registry::is_trimmable(t));
    let kept = rows.read(after, sealed.len(), &ReadFilter::types(types)).await?.events;
    let through = sealed.last().map_or(after, |e| e.position);
    let mut kept = kept.into_iter().take_while(|e| e.position <= through);
    for event in sealed.iter().filter(|e| !registry::is_trimmable(&e.event_type)) {
        let position = event.position;
        match kept.next() {
            Some(row) if row.position == position && row.compute_leaf() == event.leaf => {}
            Some(row) if row.position <= position => {
                return Ok(Some(Finding::Event { position: row.position }));
            }
            _ => return Ok(Some(Finding::Missing { position })),
        }
    }
    Ok(kept.next().map(|row| Finding::Event { position: row.position }))
}

fn in_log(error: LogError) -> Result<Finding> {
    match error {
        LogError::Damaged { position, reason } if reason == "it is missing" => {
            Ok(Finding::Missing { position })
        }
        LogError::Damaged { position, reason } => {
            Ok(Finding::Damaged { reason: format!("the event at position {position}: {reason}") })
        }
        error => Err(error.into()),
    }
}

fn in_archive(error: ArchiveError) -> Result<Finding> {
    match error {
        ArchiveError::Damaged { .. } | ArchiveError::Missing { .. } => {
            Ok(Finding::Damaged { reason: error.to_string() })
        }
        error => Err(error.into()),
    }
}

struct Hashed {
    position: u64,
    computed: Hash,
    stored: Hash,
}

/// On all cores.
async fn hash(events: Vec<RecordedEvent>) -> Result<Vec<Hashed>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let events = Arc::new(events);
    let part = events.len().div_ceil(threads).max(1);
    let tasks = (0..events.len()).step_by(part).map(|start| {
        let events = events.clone();
        tokio::task::spawn_blocking(move || {
            let part = &events[start..events.len().min(start + part)];
            let hashed = part.iter().map(|event| Hashed {
                position: event.position,
                computed: event.compute_leaf(),
                stored: event.leaf,
            });
            hashed.collect::<Vec<_>>()
        })
    });
    let mut all = Vec::with_capacity(events.len());
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await?);
    }
    Ok(all)
}

fn verdict(run: Run<'_>, finding: Option<Finding>) -> Verdict {
    Verdict {
        holds: finding.is_none(),
        finding,
        first: run.first,
        last: run.frontier.size(),
        root: hex::encode(run.frontier.root()),
        checkpoints: run.compared,
        signed: run.signed,
    }
}

impl Verdict {
    /// Of a log that is not to be opened for what is wrong with it.
    pub fn unreadable(reason: &str) -> Self {
        let finding = Finding::Damaged { reason: reason.to_owned() };
        let root = hex::encode(EMPTY_ROOT);
        Self { holds: false, finding: Some(finding), first: 1, last: 0, root, checkpoints: 0, signed: 0 }
    }
}
