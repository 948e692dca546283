//! The reference: rows in maps, one lock. For tests and for rebuilding beside
//! a store.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::TenantId;
use domain::ports::rows::*;

use crate::check;

mod generations;

type TableRows = BTreeMap<RowKey, (Option<String>, String)>;

struct Table {
    name: String,
    sorted: bool,
    /// Shared with snapshots, copied by the first change after one.
    rows: Arc<TableRows>,
}

struct Held {
    model: ModelId,
    status: GenerationStatus,
    position: u64,
    epoch: u64,
    owner: String,
    expires: Option<Instant>,
    /// No commit past this position before then.
    hold: Option<(u64, Instant)>,
    tables: Vec<Table>,
    parked: BTreeMap<u64, ParkedEvent>,
}

impl Held {
    fn held_at(&self) -> Option<u64> {
        self.hold.filter(|(_, until)| *until > Instant::now()).map(|(position, _)| position)
    }
}

/// What outlives a projection's generations.
#[derive(Default)]
struct Head {
    last_number: u32,
    decided_at: u64,
}

#[derive(Default)]
struct State {
    generations: BTreeMap<(Arc<str>, u32), Held>,
    heads: BTreeMap<Arc<str>, Head>,
}

#[derive(Default)]
pub struct MemoryRows {
    state: Mutex<State>,
}

impl MemoryRows {
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RowStore for MemoryRows {
    async fn open(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        check::open(projection, tables)?;
        let mut state = self.lock();
        if let Ok((id, held)) = find(&state, &Source::live(projection)) {
            return Ok(describe(&id, held));
        }
        Ok(generations::make(&mut state, projection, model, tables, GenerationStatus::Live))
    }

    async fn generations(&self) -> Result<Vec<Generation>, RowsError> {
        let state = self.lock();
        let id = |key: &(Arc<str>, u32)| GenerationId { projection: key.0.clone(), number: key.1 };
        Ok(state.generations.iter().map(|(key, held)| describe(&id(key), held)).collect())
    }

    async fn acquire(
        &self,
        generation: &GenerationId,
        owner: &str,
        ttl: Duration,
    ) -> Result<Lease, RowsError> {
        let mut state = self.lock();
        let held = find_mut(&mut state, generation)?;
        let now = Instant::now();
        if let Some(expires) = held.expires.filter(|e| *e > now)
            && held.owner != owner
        {
            return Err(RowsError::LeaseHeld { owner: held.owner.clone(), remaining: expires - now });
        }
        held.epoch += 1;
        held.owner = owner.into();
        held.expires = Some(now + ttl);
        Ok(Lease {
            generation: generation.clone(),
            owner: owner.into(),
            epoch: held.epoch,
            position: held.position,
        })
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), RowsError> {
        let mut state = self.lock();
        let held = owned(&mut state, lease)?;
        held.expires = Some(Instant::now() + ttl);
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), RowsError> {
        let mut state = self.lock();
        if let Ok(held) = owned(&mut state, lease) {
            held.expires = None;
        }
        Ok(())
    }

    async fn fetch_many(
        &self,
        generation: &GenerationId,
        table: &str,
        keys: &[RowKey],
    ) -> Result<Vec<Option<String>>, RowsError> {
        let mut state = self.lock();
        let rows = rows_of(find_mut(&mut state, generation)?, table)?;
        Ok(keys.iter().map(|k| rows.get(k).map(|(_, doc)| doc.clone())).collect())
    }

    async fn commit(&self, commit: Commit) -> Result<(), RowsError> {
        check::commit(&commit)?;
        let mut state = self.lock();
        let held = owned(&mut state, &commit.lease)?;
        if held.position != commit.from {
            return Err(RowsError::CheckpointMoved { actual: held.position });
        }
        if let Some(position) = held.held_at().filter(|hold| commit.to > *hold && commit.to > commit.from) {
            return Err(RowsError::Held { position });
        }
        for changes in &commit.changes {
            rows_of(held, &changes.table)?;
        }
        for changes in commit.changes {
            let rows = rows_of(held, &changes.table)?;
            for put in changes.puts {
                rows.insert(put.row, (put.sort, put.doc));
            }
            for row in changes.deletes {
                rows.remove(&row);
            }
        }
        for letter in commit.parked {
            if letter.error.is_some() {
                let same = |p: &&mut ParkedEvent| p.letter.partition == letter.partition;
                held.parked.values_mut().filter(same).for_each(|p| p.retry_requested = false);
            }
            let attempts = held.parked.get(&letter.position).map_or(0, |p| p.attempts);
            let attempts = attempts + u32::from(letter.error.is_some());
            held.parked.insert(letter.position, ParkedEvent { letter, attempts, retry_requested: false });
        }
        for position in commit.unparked {
            held.parked.remove(&position);
        }
        held.position = commit.to;
        Ok(())
    }

    async fn read(
        &self,
        source: &Source,
        tenant: &TenantId,
        queries: &[Query],
    ) -> Result<Snapshot, RowsError> {
        check::queries(queries)?;
        let state = self.lock();
        let (id, held) = find(&state, source)?;
        let answer = |q: &Query| {
            let unknown = || RowsError::UnknownTable(q.table.to_string());
            let table = held.tables.iter().find(|t| *t.name == *q.table).ok_or_else(unknown)?;
            if matches!(q.select, Select::Top { .. }) && !table.sorted {
                return Err(RowsError::Invalid(format!("table {} has no sort key", q.table)));
            }
            Ok(select(&table.rows, tenant, &q.select))
        };
        let results = queries.iter().map(answer).collect::<Result<_, RowsError>>()?;
        Ok(Snapshot { generation: id, model: held.model.clone(), position: held.position, results })
    }

    async fn dead_letters(
        &self,
        source: &Source,
        tenant: Option<&TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        let state = self.lock();
        let (_, held) = find(&state, source)?;
        let mine = |p: &&ParkedEvent| tenant.is_none_or(|t| *t == p.letter.tenant);
        let past = held.parked.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, p)| p);
        Ok(past.filter(mine).take(limit).cloned().collect())
    }

    async fn request_retry(
        &self,
        source: &Source,
        tenant: &TenantId,
        partition: Option<&str>,
    ) -> Result<u64, RowsError> {
        let mut state = self.lock();
        let (id, _) = find(&state, source)?;
        let held = find_mut(&mut state, &id)?;
        let mut count = 0;
        for parked in held.parked.values_mut() {
            let letter = &parked.letter;
            if letter.tenant == *tenant && partition.is_none_or(|p| p == letter.partition) {
                parked.retry_requested = true;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn parked_partitions(&self, generation: &GenerationId) -> Result<Vec<(String, bool)>, RowsError> {
        let mut state = self.lock();
        let mut out: BTreeMap<String, bool> = BTreeMap::new();
        for parked in find_mut(&mut state, generation)?.parked.values() {
            *out.entry(parked.letter.partition.clone()).or_default() |= parked.retry_requested;
        }
        Ok(out.into_iter().collect())
    }

    async fn parked_sequence(
        &self,
        generation: &GenerationId,
        partition: &str,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        let mut state = self.lock();
        let parked = find_mut(&mut state, generation)?.parked.values();
        Ok(parked.filter(|p| p.letter.partition == partition).take(limit).cloned().collect())
    }
}

fn describe(id: &GenerationId, held: &Held) -> Generation {
    Generation {
        id: id.clone(),
        model: held.model.clone(),
        status: held.status,
        position: held.position,
        dead_letters: held.parked.len() as u64,
        held: held.held_at(),
    }
}

fn find<'a>(state: &'a State, source: &Source) -> Result<(GenerationId, &'a Held), RowsError> {
    let wanted = |(key, held): &(&(Arc<str>, u32), &Held)| match source {
        Source::Live(name) => key.0 == *name && held.status == GenerationStatus::Live,
        Source::Generation(id) => key.0 == id.projection && key.1 == id.number,
    };
    let (key, held) = state.generations.iter().find(wanted).ok_or_else(|| check::unknown(source))?;
    Ok((GenerationId { projection: key.0.clone(), number: key.1 }, held))
}

fn find_mut<'a>(state: &'a mut State, id: &GenerationId) -> Result<&'a mut Held, RowsError> {
    let key = (id.projection.clone(), id.number);
    state.generations.get_mut(&key).ok_or_else(|| RowsError::UnknownGeneration(id.clone()))
}

fn owned<'a>(state: &'a mut State, lease: &Lease) -> Result<&'a mut Held, RowsError> {
    let held = find_mut(state, &lease.generation)?;
    if held.epoch == lease.epoch { Ok(held) } else { Err(RowsError::LeaseLost) }
}

fn rows_of<'a>(held: &'a mut Held, table: &str) -> Result<&'a mut TableRows, RowsError> {
    let found = held.tables.iter_mut().find(|t| t.name == table);
    let found = found.ok_or_else(|| RowsError::UnknownTable(table.into()))?;
    Ok(Arc::make_mut(&mut found.rows))
}

fn select(rows: &TableRows, tenant: &TenantId, select: &Select) -> Vec<StoredRow> {
    let first = RowKey { tenant: tenant.clone(), key: "".into() };
    let mine = rows.range(first..).take_while(|(row, _)| row.tenant == *tenant);
    let stored = |(row, (sort, doc)): (&RowKey, &(Option<String>, String))| StoredRow {
        key: row.key.to_string(),
        sort: sort.clone(),
        doc: doc.clone(),
    };
    match select {
        Select::Key(key) => mine.filter(|(row, _)| row.key == *key).map(stored).collect(),
        Select::Range(range) => {
            let mut found: Vec<_> = mine.filter(|(row, _)| in_range(&row.key, range)).map(stored).collect();
            if range.descending {
                found.reverse();
            }
            found.truncate(range.limit);
            found
        }
        Select::Top { group, after, limit } => {
            let mut found: Vec<_> = mine
                .filter(|(row, (sort, _))| sort.is_some() && group_of(&row.key) == &**group)
                .map(stored)
                .collect();
            found.sort_by(|a, b| b.sort.cmp(&a.sort).then_with(|| a.key.cmp(&b.key)));
            if let Some(after) = after {
                let sort = Some(&after.sort);
                found.retain(|r| r.sort.as_ref() < sort || (r.sort.as_ref() == sort && r.key > after.key));
            }
            found.truncate(*limit);
            found
        }
    }
}

fn in_range(key: &str, range: &KeyRange) -> bool {
    let past = |after: &String| if range.descending { key < after.as_str() } else { key > after.as_str() };
    key.starts_with(&range.prefix)
        && range.from.as_ref().is_none_or(|from| key >= from.as_str())
        && range.until.as_ref().is_none_or(|until| key < until.as_str())
        && range.after.as_ref().is_none_or(past)
}
