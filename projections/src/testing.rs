//! Folds events in memory, for tests of projections and for rebuilding rows to
//! compare them with stored ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ports::rows::{RowKey, RowsError, TableChanges};
use domain::{RecordedEvent, TenantId};

use crate::projection::{ApplyError, Projection, Wanted, settle};
use crate::working_set::{Bounds, Fetch, Row, Rows};

/// Sort key and document of every row under (table, tenant, key).
pub type Tables = BTreeMap<(String, RowKey), (Option<String>, String)>;

/// A projection's rows in memory.
#[derive(Default, Clone)]
pub struct MemoryRows(Arc<Mutex<Tables>>);

impl MemoryRows {
    pub fn all(&self) -> Tables {
        self.lock().clone()
    }

    pub fn get<T: Row>(&self, table: &str, tenant: &TenantId, key: &str) -> Option<T> {
        let row = RowKey { tenant: tenant.clone(), key: key.into() };
        let (_, doc) = self.lock().get(&(table.into(), row)).cloned()?;
        serde_json::from_str(&doc).ok()
    }

    /// Keys and rows of a table in key order.
    pub fn table<T: Row>(&self, table: &str, tenant: &TenantId) -> Vec<(String, T)> {
        self.lock()
            .iter()
            .filter(|((name, row), _)| name == table && row.tenant == *tenant)
            .filter_map(|((_, row), (_, doc))| Some((row.key.to_string(), serde_json::from_str(doc).ok()?)))
            .collect()
    }

    pub fn store(&self, changes: &[TableChanges]) {
        let mut tables = self.lock();
        for table in changes {
            for p in &table.puts {
                tables.insert((table.table.to_string(), p.row.clone()), (p.sort.clone(), p.doc.clone()));
            }
            for row in &table.deletes {
                tables.remove(&(table.table.to_string(), row.clone()));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetch for MemoryRows {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError> {
        let tables = self.lock();
        let doc = |row: &RowKey| tables.get(&(table.into(), row.clone())).map(|(_, doc)| doc.clone());
        Ok(keys.iter().map(doc).collect())
    }
}

/// Folds the events that the projection reads, `batch` at a time, with little
/// kept in memory in between, so that rows are read back too.
pub fn fold(
    projection: &dyn Projection,
    events: &[RecordedEvent],
    batch: usize,
) -> Result<MemoryRows, ApplyError> {
    let store = MemoryRows::default();
    let mut rows = Rows::new(Box::new(store.clone()), Bounds { rows: 100, bytes: 100_000 });
    let read = |e: &&RecordedEvent| projection.event_types().contains(&&*e.event_type);
    let events: Vec<&RecordedEvent> = events.iter().filter(read).collect();
    for batch in events.chunks(batch.max(1)) {
        let mut wanted = Wanted::default();
        for event in batch {
            projection.prefetch(event, &mut wanted);
        }
        rows.prefetch(wanted)?;
        for event in batch {
            projection.apply(&mut rows, event)?;
        }
        settle(projection, &mut rows)?;
        let changes = rows.changes()?;
        store.store(&changes);
        rows.committed();
    }
    Ok(store)
}
