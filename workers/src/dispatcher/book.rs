//! What is open, as rows: a start reads them and what has come since, and not
//! all that was ever delivered.
//!
//! Rows and the position that they reflect move in one commit, under a lease. They
//! follow from the log: where there are none, they are made from all facts of
//! deliveries, once. A position is in the log before rows move to it, so rows at
//! one that it does not name are of another log, or of what it was before it was
//! restored. They are left alone, and all facts are read at each start.

use std::sync::Arc;

use domain::TenantId;
use domain::ports::rows::{
    Commit, DISPATCHER_OPEN, KeyRange, Lease, ModelId, Query, RowKey, RowPut, RowStore, RowsError, Source,
    TableChanges, TableSpec,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ledger::{EndpointKey, Ledger, Open};
use super::{DispatchError, LEASE};

/// Changes when what the rows hold does.
const VERSION: u32 = 1;
const OPEN: &str = "open";
/// Endpoints by when they began to fail.
const FAILING: &str = "failing";
const PAGE: usize = 1_000;

/// What is kept of an open delivery.
#[derive(Serialize, Deserialize)]
struct OpenRow {
    tenant: TenantId,
    endpoint: Arc<str>,
    id: Arc<str>,
    open: Open,
}

#[derive(Serialize, Deserialize)]
struct FailingRow {
    tenant: TenantId,
    endpoint: Arc<str>,
    since: Timestamp,
}

pub struct Book {
    rows: Arc<dyn RowStore>,
    pub lease: Lease,
    /// The rows reflect the log up to here; 0 if they hold nothing.
    pub position: u64,
    /// Endpoints that have a row in [`FAILING`].
    failing: Vec<(EndpointKey, Timestamp)>,
    /// Rows that cannot be used are left alone.
    usable: bool,
}

impl Book {
    pub async fn open(rows: Arc<dyn RowStore>, owner: &str) -> Result<Self, RowsError> {
        let table = |name| TableSpec { name, sorted: false, columns: &[] };
        let model = ModelId::new(DISPATCHER_OPEN, VERSION);
        let generation = rows.open(DISPATCHER_OPEN, &model, &[table(OPEN), table(FAILING)]).await?;
        let lease = rows.acquire(&generation.id, owner, LEASE).await?;
        let usable = generation.model.version == VERSION;
        Ok(Self { rows, position: lease.position, lease, failing: Vec::new(), usable })
    }

    /// Whether the rows can be gone on with, in a log that is this long and names
    /// their position or not.
    pub fn is_of(&mut self, head: u64, known: bool) -> bool {
        if self.position == 0 {
            return false;
        }
        if self.usable && (self.position > head || !known) {
            tracing::error!(
                rows = self.position,
                head,
                alert = true,
                "dispatcher: its rows are not of this log, one of them is an old copy; they are not used"
            );
            self.usable = false;
        }
        self.usable
    }

    /// Puts what was open into the ledger, which knows the endpoints. False if
    /// the rows do not read; the ledger is as it was then.
    pub async fn load(&mut self, ledger: &mut Ledger) -> Result<bool, DispatchError> {
        let (open, failing) = match (self.read::<OpenRow>(OPEN).await, self.read(FAILING).await) {
            (Ok(open), Ok(failing)) => (open, failing),
            (Err(DispatchError::Rows(RowsError::Invalid(reason))), _)
            | (_, Err(DispatchError::Rows(RowsError::Invalid(reason)))) => {
                tracing::error!(reason, "dispatcher: its rows do not read and are not used");
                self.usable = false;
                return Ok(false);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        for row in open {
            ledger.reopen((row.tenant, row.endpoint), row.id, row.open);
        }
        let failing: Vec<FailingRow> = failing;
        for row in failing {
            let key = (row.tenant, row.endpoint);
            if let Some(endpoint) = ledger.get_mut(&key) {
                endpoint.failing_since = Some(row.since);
            }
            self.failing.push((key, row.since));
        }
        Ok(true)
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, table: &str) -> Result<Vec<T>, DispatchError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let range = KeyRange { after: after.take(), limit: PAGE, ..KeyRange::default() };
            let source = Source::Generation(self.lease.generation.clone());
            let queries = [Query::range(table, range)];
            let mut snapshot = self.rows.read(&source, &TenantId::system(), &queries).await?;
            let found = snapshot.results.pop().unwrap_or_default();
            for row in &found {
                let read = serde_json::from_str(&row.doc);
                all.push(read.map_err(|e| RowsError::Invalid(format!("{table} {}: {e}", row.key)))?);
            }
            match found.last() {
                Some(last) if found.len() == PAGE => after = Some(last.key.clone()),
                _ => return Ok(all),
            }
        }
    }

    /// Moves the rows to a position, with what has changed in the ledger since.
    pub async fn save(&mut self, ledger: &mut Ledger, to: u64) -> Result<(), DispatchError> {
        if !self.usable {
            // Nobody else asks for it.
            ledger.touched();
            return Ok(());
        }
        if to <= self.position {
            return Ok(());
        }
        let mut open = TableChanges { table: OPEN.into(), ..TableChanges::default() };
        for ((tenant, endpoint), id, now) in ledger.touched() {
            let row = key(&tenant, &id);
            match now {
                Some(now) => {
                    let kept = OpenRow { tenant, endpoint, id, open: now };
                    open.puts.push(put(row, &kept)?);
                }
                // Nothing has a row yet that had ended before there were any.
                None if self.position == 0 => {}
                None => open.deletes.push(row),
            }
        }
        let failing: Vec<(EndpointKey, Timestamp)> =
            ledger.all().filter_map(|(key, e)| Some((key, e.failing_since?))).collect();
        let mut changes = TableChanges { table: FAILING.into(), ..TableChanges::default() };
        for (endpoint, _) in &self.failing {
            if !failing.iter().any(|(now, _)| now == endpoint) {
                changes.deletes.push(key(&endpoint.0, &endpoint.1));
            }
        }
        for entry in failing.iter().filter(|entry| !self.failing.contains(entry)) {
            let ((tenant, endpoint), since) = entry.clone();
            let row = key(&tenant, &endpoint);
            changes.puts.push(put(row, &FailingRow { tenant, endpoint, since })?);
        }
        let commit = Commit {
            lease: self.lease.clone(),
            from: self.position,
            to,
            changes: vec![open, changes],
            parked: Vec::new(),
            unparked: Vec::new(),
        };
        self.rows.commit(commit).await?;
        (self.position, self.failing) = (to, failing);
        Ok(())
    }
}

/// All are the installation's own: whose they are stands in the key.
fn key(tenant: &TenantId, id: &str) -> RowKey {
    RowKey { tenant: TenantId::system(), key: format!("{tenant}/{id}").into() }
}

fn put(row: RowKey, doc: &impl Serialize) -> Result<RowPut, DispatchError> {
    let doc = serde_json::to_string(doc).map_err(|e| RowsError::Invalid(e.to_string()))?;
    Ok(RowPut { row, sort: None, doc })
}
