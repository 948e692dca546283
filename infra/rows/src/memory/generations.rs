//! Generations beside each other.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ports::rows::*;

use super::{Held, MemoryRows, State, Table, TableRows, describe, find_mut, owned};
use crate::check;

#[async_trait]
impl Generations for MemoryRows {
    async fn create(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        check::open(projection, tables)?;
        Ok(make(&mut self.lock(), projection, model, tables, GenerationStatus::Building))
    }

    async fn finish(&self, lease: &Lease) -> Result<(), RowsError> {
        let mut state = self.lock();
        let held = owned(&mut state, lease)?;
        if held.status == GenerationStatus::Building {
            held.status = GenerationStatus::Ready;
        }
        Ok(())
    }

    async fn promote(&self, target: &GenerationId, fence: u64, decided_at: u64) -> Result<bool, RowsError> {
        let mut state = self.lock();
        let decided = state.heads.get(&target.projection).map_or(0, |h| h.decided_at);
        if decided_at < decided {
            return Ok(false);
        }
        let held = find_mut(&mut state, target)?;
        check::promote(target, held.status, held.position, fence)?;
        for (key, held) in &mut state.generations {
            if key.0 == target.projection && held.status == GenerationStatus::Live {
                held.status = GenerationStatus::Retired;
            }
        }
        let held = find_mut(&mut state, target)?;
        (held.status, held.hold) = (GenerationStatus::Live, None);
        state.heads.entry(target.projection.clone()).or_default().decided_at = decided_at;
        Ok(true)
    }

    async fn drop_generation(&self, generation: &GenerationId) -> Result<(), RowsError> {
        let mut state = self.lock();
        if let Ok(held) = find_mut(&mut state, generation)
            && held.status == GenerationStatus::Live
        {
            return Err(RowsError::Live(generation.clone()));
        }
        state.generations.remove(&(generation.projection.clone(), generation.number));
        Ok(())
    }

    async fn snapshot(&self, generation: &GenerationId) -> Result<Box<dyn RowsSnapshot>, RowsError> {
        let mut state = self.lock();
        let held = find_mut(&mut state, generation)?;
        Ok(Box::new(MemorySnapshot {
            generation: describe(generation, held),
            names: held.tables.iter().map(|t| t.name.clone()).collect(),
            tables: held.tables.iter().map(|t| (t.name.clone(), t.rows.clone())).collect(),
        }))
    }

    async fn hold(
        &self,
        generation: &GenerationId,
        position: Option<u64>,
        ttl: Duration,
    ) -> Result<u64, RowsError> {
        check::hold(position, ttl)?;
        let mut state = self.lock();
        let held = find_mut(&mut state, generation)?;
        if held.status == GenerationStatus::Live {
            return Err(RowsError::Live(generation.clone()));
        }
        held.hold = position.map(|p| (p.max(held.position), Instant::now() + ttl));
        Ok(held.position)
    }
}

/// A new generation with the next number.
pub fn make(
    state: &mut State,
    projection: &str,
    model: &ModelId,
    tables: &[TableSpec],
    status: GenerationStatus,
) -> Generation {
    let head = state.heads.entry(projection.into()).or_default();
    head.last_number += 1;
    let id = GenerationId { projection: projection.into(), number: head.last_number };
    let table = |t: &TableSpec| Table { name: t.name.into(), sorted: t.sorted, rows: Arc::default() };
    let held = Held {
        model: model.clone(),
        status,
        position: 0,
        epoch: 0,
        owner: String::new(),
        expires: None,
        hold: None,
        tables: tables.iter().map(table).collect(),
        parked: BTreeMap::new(),
    };
    let generation = describe(&id, &held);
    state.generations.insert((id.projection, id.number), held);
    generation
}

struct MemorySnapshot {
    generation: Generation,
    names: Vec<String>,
    tables: BTreeMap<String, Arc<TableRows>>,
}

#[async_trait]
impl RowsSnapshot for MemorySnapshot {
    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn tables(&self) -> &[String] {
        &self.names
    }

    async fn scan(
        &mut self,
        table: &str,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<ScannedRow>, RowsError> {
        check::scan(limit)?;
        let rows = self.tables.get(table).ok_or_else(|| RowsError::UnknownTable(table.into()))?;
        let first = after.map_or(Bound::Unbounded, |row| Bound::Excluded(row.clone()));
        let scanned = |(row, (sort, doc)): (&RowKey, &(Option<String>, String))| ScannedRow {
            row: row.clone(),
            sort: sort.clone(),
            doc: doc.clone(),
        };
        Ok(rows.range((first, Bound::Unbounded)).take(limit).map(scanned).collect())
    }
}
