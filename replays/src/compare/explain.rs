//! Which events are behind a row: the history is folded once more, and whoever
//! changes the row is written down.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use domain::RecordedEvent;
use domain::TenantId;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::ports::rows::{RowKey, RowsError, TableChanges};
use projections::working_set::{Bounds, Fetch};
use projections::{ApplyError, Projection, Rows};

use super::outcome::{Behind, Comparison};

const PAGE: usize = 5_000;
/// Documents kept while folding.
const MAX_BYTES: usize = 256 << 20;
/// Of a row beside its key and document.
const ENTRY_BYTES: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowName {
    pub table: String,
    pub row: RowKey,
}

#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("folding the rows again takes more than {} MiB of memory", MAX_BYTES >> 20)]
    TooLarge,
    #[error("the fold broke off: {0}")]
    Broken(String),
}

/// Folds the events up to `through` that are related to the rows. Returns, in
/// the order of `rows`, the positions (the first `limit`) of those that changed
/// each. An event that does not fold is behind no row.
pub async fn explain(
    log: &dyn EventLog,
    projection: Arc<dyn Projection>,
    rows: &[RowName],
    through: u64,
    limit: usize,
) -> Result<Vec<Behind>, ExplainError> {
    let filter = ReadFilter::types(projection.event_types().iter().copied());
    let refold = Refold::new(projection, rows, limit);
    let mut found = through_history(log, filter, refold, through).await?.found;
    Ok(rows.iter().map(|row| found.remove(row).unwrap_or_default()).collect())
}

/// One row, and how it came to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traced {
    /// Events that changed it.
    pub count: u64,
    /// Some of them.
    pub events: Vec<RecordedEvent>,
    /// As it is after the last of them.
    pub doc: Option<String>,
}

/// What of the history is told of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The last position that is folded.
    pub through: u64,
    /// Events of the projection that are left out.
    pub left_out: BTreeSet<u64>,
    /// Events are told past this position,
    pub after: u64,
    /// so many of them.
    pub limit: usize,
}

/// Folds a row again from the events that are related to it.
pub async fn trace(
    log: &dyn EventLog,
    projection: Arc<dyn Projection>,
    row: &RowName,
    part: Part,
) -> Result<Traced, ExplainError> {
    // Only rows of the system's tenant are made from events of others.
    let tenant = Some(row.row.tenant.clone()).filter(|tenant| *tenant != TenantId::system());
    let filter = ReadFilter { tenant, ..ReadFilter::types(projection.event_types().iter().copied()) };
    let mut refold = Refold::new(projection, std::slice::from_ref(row), part.limit);
    (refold.left_out, refold.after, refold.kept) = (part.left_out, part.after, Some(Vec::new()));
    let mut refold = through_history(log, filter, refold, part.through).await?;
    let behind = refold.found.remove(row).unwrap_or_default();
    let doc = refold.memory.lock().0.remove(row);
    Ok(Traced { count: behind.count, events: refold.kept.unwrap_or_default(), doc })
}

async fn through_history(
    log: &dyn EventLog,
    filter: ReadFilter,
    mut refold: Refold,
    through: u64,
) -> Result<Refold, ExplainError> {
    let mut position = 0;
    while position < through {
        let page = log.read(position, PAGE, &filter).await?;
        if page.through == position {
            break;
        }
        position = page.through;
        let folding = tokio::task::spawn_blocking(move || {
            let folded = page
                .events
                .iter()
                .take_while(|e| e.position <= through)
                .try_for_each(|event| refold.event(event));
            folded.map(|()| refold)
        });
        refold = folding.await.map_err(|e| ExplainError::Broken(e.to_string()))??;
    }
    let settling = tokio::task::spawn_blocking(move || refold.settle().map(|()| refold));
    settling.await.map_err(|e| ExplainError::Broken(e.to_string()))?
}

impl Comparison {
    /// The rows it tells, to be explained.
    pub fn row_names(&self) -> Result<Vec<RowName>, RowsError> {
        let name = |r: &super::RowDifference| {
            let tenant = TenantId::new(&r.tenant).map_err(|e| RowsError::Invalid(e.to_string()))?;
            Ok(RowName { table: r.table.clone(), row: RowKey { tenant, key: r.key.as_str().into() } })
        };
        self.rows.iter().map(name).collect()
    }

    /// Takes the answer to [`Comparison::row_names`].
    pub fn explained(&mut self, behind: Vec<Behind>) {
        for (row, behind) in self.rows.iter_mut().zip(behind) {
            row.events = Some(behind);
        }
    }
}

struct Refold {
    projection: Arc<dyn Projection>,
    wanted: HashSet<RowName>,
    limit: usize,
    memory: Memory,
    working: Rows,
    found: HashMap<RowName, Behind>,
    left_out: BTreeSet<u64>,
    /// Positions are told past this one.
    after: u64,
    /// The events of these positions, if they are wanted.
    kept: Option<Vec<RecordedEvent>>,
}

impl Refold {
    fn new(projection: Arc<dyn Projection>, rows: &[RowName], limit: usize) -> Self {
        let memory = Memory::default();
        Self {
            projection,
            wanted: rows.iter().cloned().collect(),
            limit,
            working: Rows::new(Box::new(memory.clone()), Bounds::default()),
            memory,
            found: HashMap::new(),
            left_out: BTreeSet::new(),
            after: 0,
            kept: None,
        }
    }

    fn event(&mut self, event: &RecordedEvent) -> Result<(), ExplainError> {
        if self.left_out.contains(&event.position) {
            return Ok(());
        }
        if !self.wanted.iter().any(|name| self.projection.related(event, &name.table, &name.row)) {
            return Ok(());
        }
        let applied = self.projection.apply(&mut self.working, event);
        let changes = match applied {
            Ok(()) => self.working.changes(),
            Err(error) => Err(error),
        };
        let changes = match changes {
            Ok(changes) => changes,
            Err(ApplyError::Store(error)) => return Err(error.into()),
            Err(ApplyError::Event(_)) => {
                self.working.discard();
                return Ok(());
            }
        };
        for name in self.memory.store(&changes) {
            if self.wanted.contains(&name) {
                let behind = self.found.entry(name).or_default();
                behind.count += 1;
                if event.position > self.after && behind.positions.len() < self.limit {
                    behind.positions.push(event.position);
                    self.kept.iter_mut().for_each(|kept| kept.push(event.clone()));
                }
            }
        }
        self.working.committed();
        if self.memory.bytes() > MAX_BYTES { Err(ExplainError::TooLarge) } else { Ok(()) }
    }

    /// Makes the rows that follow from all events together; no single one is
    /// behind them.
    fn settle(&mut self) -> Result<(), ExplainError> {
        let broken = |error: ApplyError| match error {
            ApplyError::Store(error) => error.into(),
            ApplyError::Event(error) => ExplainError::Broken(error),
        };
        let tenants: BTreeSet<TenantId> = self.wanted.iter().map(|name| name.row.tenant.clone()).collect();
        for tenant in tenants.iter().filter(|_| self.projection.settles()) {
            self.projection.settle(&mut self.working, tenant).map_err(broken)?;
        }
        let changes = self.working.changes().map_err(broken)?;
        self.memory.store(&changes);
        self.working.committed();
        Ok(())
    }
}

/// Documents in memory, with how many bytes they have.
#[derive(Default, Clone)]
struct Memory(Arc<Mutex<(HashMap<RowName, String>, usize)>>);

impl Memory {
    fn lock(&self) -> std::sync::MutexGuard<'_, (HashMap<RowName, String>, usize)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> usize {
        self.lock().1
    }

    /// Names the rows that are not as they were.
    fn store(&self, changes: &[TableChanges]) -> Vec<RowName> {
        let mut guard = self.lock();
        let (docs, bytes) = &mut *guard;
        let mut changed = Vec::new();
        for table in changes {
            let name = |row: &RowKey| RowName { table: table.table.to_string(), row: row.clone() };
            for put in &table.puts {
                let name = name(&put.row);
                let before = docs.insert(name.clone(), put.doc.clone());
                *bytes += put.doc.len();
                match &before {
                    Some(doc) => *bytes -= doc.len(),
                    None => *bytes += ENTRY_BYTES + put.row.key.len(),
                }
                if before.as_ref() != Some(&put.doc) {
                    changed.push(name);
                }
            }
            for row in &table.deletes {
                let name = name(row);
                if let Some(doc) = docs.remove(&name) {
                    *bytes -= doc.len() + ENTRY_BYTES + row.key.len();
                    changed.push(name);
                }
            }
        }
        changed
    }
}

impl Fetch for Memory {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError> {
        let guard = self.lock();
        let doc = |row: &RowKey| guard.0.get(&RowName { table: table.into(), row: row.clone() }).cloned();
        Ok(keys.iter().map(doc).collect())
    }
}
