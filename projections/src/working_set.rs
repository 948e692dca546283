//! The rows a batch works on: typed values in memory, fetched on first use,
//! serialised once at the end of the batch and kept for the next one within
//! bounds.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use background::Steps;
use domain::TenantId;
use domain::ports::rows::{MAX_KEY_BYTES, RowKey, RowsError, TableChanges};
use hashlink::DefaultHashBuilder;

pub use self::row::Row;
use self::row::{Slot, put};
pub(crate) use self::row::{put_borrowed, put_of};
use crate::projection::{ApplyError, Wanted};

mod row;

/// Where rows come from that are not in memory. Called where a thread may block.
pub trait Fetch: Send + Sync {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError>;
}

/// How much is kept in memory between batches.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub rows: usize,
    /// In memory, about.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: 200_000, bytes: 192 << 20 }
    }
}

enum Value {
    Absent,
    /// Fetched and not used yet.
    Text(String),
    Typed(Box<dyn Slot>),
}

struct Entry {
    key: Arc<str>,
    value: Value,
    dirty: bool,
    /// The batch that used it last.
    used: u64,
    /// The batch that changed it last.
    changed: u64,
    bytes: usize,
    /// What was stored is not exactly the value; it has to be read again.
    stored_differs: bool,
}

/// Looked into some ten times for each event; the standard hasher was a tenth
/// of a fold.
type Map<K, V> = HashMap<K, V, DefaultHashBuilder>;
type Table = Map<TenantId, Map<Arc<str>, Entry>>;

/// Where a changed row is.
struct Place {
    table: &'static str,
    tenant: TenantId,
    key: Arc<str>,
}

/// What the caller of [`Rows::load`] is going to do.
enum Touch {
    Read,
    /// Change the row if there is one.
    Change,
    /// Change the row, or this new one.
    Create(fn() -> Box<dyn Slot>),
}

pub struct Rows {
    tables: Map<&'static str, Table>,
    /// Rows changed by this batch, in the order of their first change.
    dirty: Vec<Place>,
    /// Rows changed since they were weighed.
    changed: Vec<Place>,
    fetch: Box<dyn Fetch>,
    bounds: Bounds,
    count: usize,
    bytes: usize,
    batch: u64,
    /// Rows have been forgotten that the store may hold.
    forgot: bool,
    /// Set once the store failed, whatever the projection made of the error.
    failed: Option<RowsError>,
}

impl Rows {
    pub fn new(fetch: Box<dyn Fetch>, bounds: Bounds) -> Self {
        Self {
            tables: Map::default(),
            dirty: Vec::new(),
            changed: Vec::new(),
            fetch,
            bounds,
            count: 0,
            bytes: 0,
            batch: 1,
            forgot: false,
            failed: None,
        }
    }

    pub fn get<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<&T>, ApplyError> {
        Ok(self.load(table, tenant, key, Touch::Read)?.map(|row: &mut T| &*row))
    }

    /// The row to be changed. It is written at the end of the batch.
    pub fn get_mut<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<&mut T>, ApplyError> {
        self.load(table, tenant, key, Touch::Change)
    }

    pub fn entry_or_default<T: Row + Default>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<&mut T, ApplyError> {
        let create = Touch::Create(|| Box::new(T::default()));
        self.load(table, tenant, key, create)?.ok_or_else(|| other_type(table, key))
    }

    pub fn put<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
        value: T,
    ) -> Result<(), ApplyError> {
        self.set(table, tenant, key, Value::Typed(Box::new(value)))
    }

    pub fn delete(&mut self, table: &'static str, tenant: &TenantId, key: &str) -> Result<(), ApplyError> {
        self.set(table, tenant, key, Value::Absent)
    }

    fn set(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
        value: Value,
    ) -> Result<(), ApplyError> {
        check_key(key)?;
        if !self.knows(table, tenant, key) {
            self.insert(table, RowKey { tenant: tenant.clone(), key: key.into() }, Value::Absent);
        }
        let used = self.batch;
        if let Some(entry) = find(&mut self.tables, table, tenant, key) {
            entry.value = value;
            entry.used = used;
            mark(&mut self.dirty, &mut self.changed, used, entry, table, tenant);
        }
        Ok(())
    }

    fn knows(&self, table: &str, tenant: &TenantId, key: &str) -> bool {
        self.tables.get(table).and_then(|t| t.get(tenant)).is_some_and(|rows| rows.contains_key(key))
    }

    fn insert(&mut self, table: &'static str, row: RowKey, value: Value) {
        let bytes = match &value {
            Value::Text(text) => text.len(),
            Value::Typed(slot) => slot.memory(),
            Value::Absent => 0,
        };
        let key = row.key.clone();
        let used = self.batch;
        let entry = Entry { key, value, dirty: false, used, changed: 0, bytes, stored_differs: false };
        self.count += 1;
        self.bytes += cost(&entry);
        let tenants = self.tables.entry(table).or_default();
        tenants.entry(row.tenant).or_default().insert(row.key, entry);
    }

    /// The row, typed, fetched if it was not in memory.
    fn load<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
        touch: Touch,
    ) -> Result<Option<&mut T>, ApplyError> {
        if !self.knows(table, tenant, key) {
            check_key(key)?;
            self.fetch_into(table, vec![RowKey { tenant: tenant.clone(), key: key.into() }])?;
        }
        let used = self.batch;
        let Some(entry) = find(&mut self.tables, table, tenant, key) else { return Ok(None) };
        entry.used = used;
        if let Value::Text(text) = &entry.value {
            let value: T = serde_json::from_str(text)
                .map_err(|e| ApplyError::Event(format!("row {key} of {table} does not read back: {e}")))?;
            entry.value = Value::Typed(Box::new(value));
        }
        if let (Value::Absent, Touch::Create(new)) = (&entry.value, &touch) {
            entry.value = Value::Typed(new());
        }
        if !matches!(entry.value, Value::Absent) && !matches!(touch, Touch::Read) {
            mark(&mut self.dirty, &mut self.changed, used, entry, table, tenant);
        }
        match &mut entry.value {
            Value::Typed(slot) => {
                let any: &mut dyn Any = slot.as_mut();
                any.downcast_mut().map(Some).ok_or_else(|| other_type(table, key))
            }
            _ => Ok(None),
        }
    }

    fn fetch_into(&mut self, table: &'static str, keys: Vec<RowKey>) -> Result<(), RowsError> {
        let docs = match self.fetch.fetch(table, &keys) {
            Ok(docs) => docs,
            Err(e) => {
                self.failed = Some(e.clone());
                return Err(e);
            }
        };
        let mut steps = Steps::of_nanos(1_000);
        for (row, doc) in keys.into_iter().zip(docs) {
            steps.step();
            self.insert(table, row, doc.map_or(Value::Absent, Value::Text));
        }
        Ok(())
    }

    /// Fetches what is wanted and not in memory, table by table.
    pub fn prefetch(&mut self, wanted: Wanted) -> Result<(), RowsError> {
        let mut missing: HashMap<&'static str, HashSet<RowKey, DefaultHashBuilder>> = HashMap::new();
        let mut steps = Steps::of_nanos(300);
        for (table, row) in wanted.rows {
            steps.step();
            if !self.knows(table, &row.tenant, &row.key) && check_key(&row.key).is_ok() {
                missing.entry(table).or_default().insert(row);
            }
        }
        for (table, keys) in missing {
            self.fetch_into(table, keys.into_iter().collect())?;
        }
        Ok(())
    }

    /// The store's failure during this batch, if there was one.
    pub fn failure(&mut self) -> Option<RowsError> {
        self.failed.take()
    }

    /// Whose rows the batch changed.
    pub fn changed_tenants(&self) -> BTreeSet<TenantId> {
        self.dirty.iter().map(|place| place.tenant.clone()).collect()
    }

    /// What the batch changed, in a fixed order.
    pub fn changes(&mut self) -> Result<Vec<TableChanges>, ApplyError> {
        // Tenants are told apart first, so that sorting compares keys alone.
        let mut changed: BTreeMap<(&'static str, &TenantId), TableChanges> = BTreeMap::new();
        let mut steps = Steps::of_nanos(2_000);
        for Place { table, tenant, key } in &self.dirty {
            steps.step();
            let Some(entry) = find(&mut self.tables, table, tenant, key) else { continue };
            let row = RowKey { tenant: tenant.clone(), key: key.clone() };
            let changes = changed.entry((table, tenant)).or_default();
            self.bytes -= entry.bytes;
            entry.bytes = 0;
            match &entry.value {
                Value::Typed(slot) => {
                    let (put, differs) = put(row, slot.as_ref())?;
                    entry.bytes = slot.memory();
                    entry.stored_differs = differs;
                    changes.puts.push(put);
                }
                _ => changes.deletes.push(row),
            }
            self.bytes += entry.bytes;
        }
        let mut tables: Vec<TableChanges> = Vec::new();
        for ((name, _), mut tenants) in changed {
            tenants.puts.sort_unstable_by(|a, b| a.row.key.cmp(&b.row.key));
            tenants.deletes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            match tables.last_mut() {
                Some(table) if *table.table == *name => {
                    table.puts.append(&mut tenants.puts);
                    table.deletes.append(&mut tenants.deletes);
                }
                _ => tables.push(TableChanges { table: name.into(), ..tenants }),
            }
        }
        Ok(tables)
    }

    /// The changes are stored: they are clean now. Rows that were not used for
    /// longest go if there are too many.
    pub fn committed(&mut self) {
        self.changed.clear();
        let mut steps = Steps::of_nanos(300);
        for place in std::mem::take(&mut self.dirty) {
            steps.step();
            match find(&mut self.tables, place.table, &place.tenant, &place.key) {
                Some(entry) if entry.stored_differs => self.forget(&place),
                Some(entry) => entry.dirty = false,
                None => {}
            }
        }
        self.batch += 1;
        self.shrink();
    }

    fn forget(&mut self, place: &Place) {
        let rows = self.tables.get_mut(place.table).and_then(|t| t.get_mut(&place.tenant));
        if let Some(entry) = rows.and_then(|rows| rows.remove(&place.key)) {
            self.forgot = true;
            self.count -= 1;
            self.bytes -= cost(&entry);
        }
    }

    /// Counts the memory of what was changed since the last time. A batch that
    /// is folded in several steps calls it after each, and ends when
    /// [`Rows::bytes`] has grown too much.
    pub fn weigh(&mut self) {
        let mut steps = Steps::of_nanos(300);
        for place in std::mem::take(&mut self.changed) {
            steps.step();
            if let Some(entry) = find(&mut self.tables, place.table, &place.tenant, &place.key) {
                let bytes = match &entry.value {
                    Value::Typed(slot) => slot.memory(),
                    Value::Text(text) => text.len(),
                    Value::Absent => 0,
                };
                self.bytes = self.bytes - entry.bytes + bytes;
                entry.bytes = bytes;
            }
        }
        self.batch += 1;
    }

    /// Bytes in memory, about, as they were when last counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether rows have been forgotten that the store may hold. Until then a
    /// set that began with an empty store has no need to ask it.
    pub fn forgot(&self) -> bool {
        self.forgot
    }

    /// Forgets what the batch changed; clean rows stay.
    pub fn discard(&mut self) {
        self.changed.clear();
        let mut steps = Steps::of_nanos(300);
        for place in std::mem::take(&mut self.dirty) {
            steps.step();
            self.forget(&place);
        }
        self.failed = None;
    }

    /// Down to three quarters of the bounds, so that this is seldom done.
    fn shrink(&mut self) {
        if self.count <= self.bounds.rows && self.bytes <= self.bounds.bytes {
            return;
        }
        let (rows, room) = (self.bounds.rows / 4 * 3, self.bounds.bytes / 4 * 3);
        self.forgot = true;
        let mut by_batch: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        let mut steps = Steps::of_nanos(50);
        for entry in self.tables.values().flat_map(Map::values).flat_map(Map::values) {
            steps.step();
            let sum = by_batch.entry(entry.used).or_default();
            sum.0 += 1;
            sum.1 += cost(entry);
        }
        let mut oldest = 0;
        for (batch, (count, bytes)) in by_batch {
            if self.count <= rows && self.bytes <= room {
                break;
            }
            self.count -= count;
            self.bytes -= bytes;
            oldest = batch;
        }
        for tenants in self.tables.values_mut() {
            for rows in tenants.values_mut() {
                rows.retain(|_, entry| {
                    steps.step();
                    entry.used > oldest
                });
            }
            tenants.retain(|_, rows| !rows.is_empty());
        }
    }

    /// Rows in memory.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn find<'a>(
    tables: &'a mut Map<&'static str, Table>,
    table: &str,
    tenant: &TenantId,
    key: &str,
) -> Option<&'a mut Entry> {
    tables.get_mut(table)?.get_mut(tenant)?.get_mut(key)
}

fn mark(
    dirty: &mut Vec<Place>,
    changed: &mut Vec<Place>,
    batch: u64,
    entry: &mut Entry,
    table: &'static str,
    tenant: &TenantId,
) {
    let place = || Place { table, tenant: tenant.clone(), key: entry.key.clone() };
    if entry.changed != batch {
        changed.push(place());
    }
    if !entry.dirty {
        dirty.push(place());
    }
    entry.changed = batch;
    entry.dirty = true;
}

/// The value, its key, its slot in a map that is two thirds full, and its
/// places in the lists of changes.
fn cost(entry: &Entry) -> usize {
    entry.bytes + entry.key.len() + 256
}

fn other_type(table: &str, key: &str) -> ApplyError {
    ApplyError::Event(format!("row {key} of {table} was used with another type"))
}

fn check_key(key: &str) -> Result<(), ApplyError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
        return Err(ApplyError::Event(format!("a row key must be 1 to {MAX_KEY_BYTES} bytes without NUL")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
