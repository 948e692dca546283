//! The rows a batch works on: typed values in memory, fetched on first use,
//! serialised once at the end of the batch and kept for the next one within
//! bounds.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use domain::TenantId;
use domain::ports::rows::{MAX_KEY_BYTES, RowKey, RowPut, RowsError, TableChanges};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::{ApplyError, Wanted};

/// A row of a table. All rows of one key have one type.
pub trait Row: Serialize + DeserializeOwned + Send + 'static {
    /// Orders rows of a sorted table, greatest first. Pad numbers with zeros.
    fn sort_key(&self) -> Option<String> {
        None
    }
}

/// Where rows come from that are not in memory. Called on a blocking thread.
pub trait Fetch: Send {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError>;
}

/// How much is kept in memory between batches.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub rows: usize,
    /// Of documents as JSON text.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: 200_000, bytes: 64 << 20 }
    }
}

trait Slot: Any + Send {
    fn to_json(&self) -> Result<String, serde_json::Error>;
    fn sort(&self) -> Option<String>;
}

impl<T: Row> Slot for T {
    fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
    fn sort(&self) -> Option<String> {
        self.sort_key()
    }
}

enum Value {
    Absent,
    /// Fetched and not used yet.
    Text(String),
    Typed(Box<dyn Slot>),
}

struct Entry {
    value: Value,
    dirty: bool,
    /// The batch that used it last.
    used: u64,
    bytes: usize,
}

type Table = HashMap<TenantId, HashMap<Arc<str>, Entry>>;

pub struct Rows {
    tables: HashMap<&'static str, Table>,
    fetch: Box<dyn Fetch>,
    bounds: Bounds,
    batch: u64,
    /// Set once the store failed, whatever the projection made of the error.
    failed: Option<RowsError>,
}

impl Rows {
    pub fn new(fetch: Box<dyn Fetch>, bounds: Bounds) -> Self {
        Self { tables: HashMap::new(), fetch, bounds, batch: 0, failed: None }
    }

    pub fn get<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<&T>, ApplyError> {
        match &self.load::<T>(table, tenant, key)?.value {
            Value::Typed(slot) => {
                let any: &dyn Any = slot.as_ref();
                any.downcast_ref().map(Some).ok_or_else(|| other_type(table, key))
            }
            _ => Ok(None),
        }
    }

    /// The row to be changed. It is written at the end of the batch.
    pub fn get_mut<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<&mut T>, ApplyError> {
        let entry = self.load::<T>(table, tenant, key)?;
        match &mut entry.value {
            Value::Typed(slot) => {
                entry.dirty = true;
                typed(slot, table, key).map(Some)
            }
            _ => Ok(None),
        }
    }

    pub fn entry_or_default<T: Row + Default>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<&mut T, ApplyError> {
        let entry = self.load::<T>(table, tenant, key)?;
        entry.dirty = true;
        if matches!(entry.value, Value::Absent) {
            entry.value = Value::Typed(Box::new(T::default()));
        }
        match &mut entry.value {
            Value::Typed(slot) => typed(slot, table, key),
            _ => Err(other_type(table, key)),
        }
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
        let used = self.batch;
        let rows = self.rows_of(table, tenant);
        match rows.get_mut(key) {
            Some(entry) => {
                entry.value = value;
                entry.dirty = true;
                entry.used = used;
            }
            None => {
                rows.insert(key.into(), Entry { value, dirty: true, used, bytes: 0 });
            }
        }
        Ok(())
    }

    fn rows_of(&mut self, table: &'static str, tenant: &TenantId) -> &mut HashMap<Arc<str>, Entry> {
        let tenants = self.tables.entry(table).or_default();
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), HashMap::new());
        }
        tenants.entry(tenant.clone()).or_default()
    }

    /// The entry, typed if there is a row, fetched if it was not in memory.
    fn load<T: Row>(
        &mut self,
        table: &'static str,
        tenant: &TenantId,
        key: &str,
    ) -> Result<&mut Entry, ApplyError> {
        let used = self.batch;
        let known = self.tables.get(table).and_then(|t| t.get(tenant)).is_some_and(|r| r.contains_key(key));
        if !known {
            check_key(key)?;
            let row = RowKey { tenant: tenant.clone(), key: key.into() };
            self.fetch_into(table, vec![row])?;
        }
        let Some(entry) = self.rows_of(table, tenant).get_mut(key) else {
            return Err(RowsError::Unavailable("the row was not answered".into()).into());
        };
        entry.used = used;
        if let Value::Text(text) = &entry.value {
            let value: T = serde_json::from_str(text)
                .map_err(|e| ApplyError::Event(format!("row {key} of {table} does not read back: {e}")))?;
            entry.value = Value::Typed(Box::new(value));
        }
        Ok(entry)
    }

    fn fetch_into(&mut self, table: &'static str, keys: Vec<RowKey>) -> Result<(), RowsError> {
        let docs = match self.fetch.fetch(table, &keys) {
            Ok(docs) => docs,
            Err(e) => {
                self.failed = Some(e.clone());
                return Err(e);
            }
        };
        let used = self.batch;
        for (row, doc) in keys.into_iter().zip(docs) {
            let bytes = doc.as_ref().map_or(0, String::len);
            let value = doc.map_or(Value::Absent, Value::Text);
            let entry = Entry { value, dirty: false, used, bytes };
            self.rows_of(table, &row.tenant).insert(row.key, entry);
        }
        Ok(())
    }

    /// Fetches what is wanted and not in memory, table by table.
    pub fn prefetch(&mut self, mut wanted: Wanted) -> Result<(), RowsError> {
        wanted.rows.sort_unstable();
        wanted.rows.dedup();
        let mut missing: HashMap<&'static str, Vec<RowKey>> = HashMap::new();
        for (table, row) in wanted.rows {
            let rows = self.rows_of(table, &row.tenant);
            if !rows.contains_key(&row.key) && check_key(&row.key).is_ok() {
                missing.entry(table).or_default().push(row);
            }
        }
        for (table, keys) in missing {
            self.fetch_into(table, keys)?;
        }
        Ok(())
    }

    /// The store's failure during this batch, if there was one.
    pub fn failure(&mut self) -> Option<RowsError> {
        self.failed.take()
    }

    /// What the batch changed, in a fixed order.
    pub fn changes(&self) -> Result<Vec<TableChanges>, ApplyError> {
        let mut out = Vec::new();
        let mut names: Vec<_> = self.tables.keys().copied().collect();
        names.sort_unstable();
        for name in names {
            let mut changes = TableChanges { table: name.into(), ..TableChanges::default() };
            for (tenant, rows) in &self.tables[name] {
                for (key, entry) in rows.iter().filter(|(_, e)| e.dirty) {
                    let row = RowKey { tenant: tenant.clone(), key: key.clone() };
                    match &entry.value {
                        Value::Typed(slot) => changes.puts.push(put(row, slot.as_ref())?),
                        _ => changes.deletes.push(row),
                    }
                }
            }
            changes.puts.sort_unstable_by(|a, b| a.row.cmp(&b.row));
            changes.deletes.sort_unstable();
            if !changes.puts.is_empty() || !changes.deletes.is_empty() {
                out.push(changes);
            }
        }
        Ok(out)
    }

    /// The changes are stored: they are clean now. Rows that were not used for
    /// longest go if there are too many.
    pub fn committed(&mut self, changes: &[TableChanges]) {
        for table in changes {
            for p in &table.puts {
                self.settle(&table.table, &p.row, p.doc.len());
                if p.doc.contains('\u{fffd}') {
                    // It may read back differently; see `put`.
                    self.forget(&table.table, &p.row);
                }
            }
            for row in &table.deletes {
                self.settle(&table.table, row, 0);
            }
        }
        self.batch += 1;
        self.shrink();
    }

    fn settle(&mut self, table: &str, row: &RowKey, bytes: usize) {
        let entry = self
            .tables
            .get_mut(table)
            .and_then(|t| t.get_mut(&row.tenant))
            .and_then(|rows| rows.get_mut(&row.key));
        if let Some(entry) = entry {
            entry.dirty = false;
            entry.bytes = bytes;
        }
    }

    fn forget(&mut self, table: &str, row: &RowKey) {
        if let Some(rows) = self.tables.get_mut(table).and_then(|t| t.get_mut(&row.tenant)) {
            rows.remove(&row.key);
        }
    }

    /// Forgets what the batch changed; clean rows stay.
    pub fn discard(&mut self) {
        self.retain(|e| !e.dirty);
        self.failed = None;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tables.clear();
        self.failed = None;
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        for tenants in self.tables.values_mut() {
            for rows in tenants.values_mut() {
                rows.retain(|_, entry| keep(entry));
            }
            tenants.retain(|_, rows| !rows.is_empty());
        }
    }

    fn shrink(&mut self) {
        let entries = || self.tables.values().flat_map(HashMap::values).flat_map(HashMap::values);
        let (mut count, mut bytes) = (0, 0);
        for entry in entries() {
            count += 1;
            bytes += cost(entry);
        }
        if count <= self.bounds.rows && bytes <= self.bounds.bytes {
            return;
        }
        // Down to three quarters, so that this is not done for every batch.
        let (rows, room) = (self.bounds.rows / 4 * 3, self.bounds.bytes / 4 * 3);
        let mut by_batch: std::collections::BTreeMap<u64, (usize, usize)> = Default::default();
        for entry in entries() {
            let sum = by_batch.entry(entry.used).or_default();
            sum.0 += 1;
            sum.1 += cost(entry);
        }
        let mut oldest = u64::MAX;
        for (batch, (n, size)) in by_batch {
            if count <= rows && bytes <= room {
                break;
            }
            count -= n;
            bytes -= size;
            oldest = batch;
        }
        if oldest != u64::MAX {
            self.retain(|e| e.used > oldest);
        }
    }

    /// Rows in memory.
    pub fn len(&self) -> usize {
        self.tables.values().flat_map(HashMap::values).map(HashMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A typed value takes about as much as its text, its entry the rest.
fn cost(entry: &Entry) -> usize {
    entry.bytes + 128
}

fn typed<'a, T: Row>(slot: &'a mut Box<dyn Slot>, table: &str, key: &str) -> Result<&'a mut T, ApplyError> {
    let any: &mut dyn Any = slot.as_mut();
    any.downcast_mut().ok_or_else(|| other_type(table, key))
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

/// PostgreSQL keeps no NUL in text; it becomes U+FFFD on every store alike.
fn put(row: RowKey, slot: &dyn Slot) -> Result<RowPut, ApplyError> {
    let fail = |e: serde_json::Error| ApplyError::Event(format!("row {} is no JSON: {e}", row.key));
    let mut doc = slot.to_json().map_err(fail)?;
    if doc.contains("\\u0000") {
        doc = without_nul(&doc);
    }
    let sort = slot.sort().map(|s| if s.contains('\0') { s.replace('\0', "\u{fffd}") } else { s });
    Ok(RowPut { row, sort, doc })
}

/// Replaces the escape `\u0000` where the backslash is not itself escaped.
fn without_nul(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (escape, after) = match rest[at..].strip_prefix("\\u0000") {
            Some(after) => ("\u{fffd}", after),
            // An escape is at least two bytes, both ASCII.
            None => rest[at..].split_at(2),
        };
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
