//! Where the cases run, and short ways to say what they do.

use std::sync::Arc;
use std::time::Duration;

use daybook_tests::postgres::{Database, database};
use domain::TenantId;
use domain::ports::rows::*;
use infra_rows::{MemoryRows, PostgresRows, SqliteRows};
use tempfile::TempDir;

pub const TTL: Duration = Duration::from_secs(600);
pub const TABLES: &[TableSpec] = &[
    TableSpec {
        name: "bands",
        sorted: true,
        columns: &[
            Column { name: "taps", path: "taps", kind: ColumnKind::Integer },
            Column { name: "first", path: "seen.first", kind: ColumnKind::Time },
            Column { name: "modes", path: "modes", kind: ColumnKind::Json },
        ],
    },
    TableSpec { name: "totals", sorted: false, columns: &[] },
];

pub enum Place {
    Memory,
    Sqlite(TempDir),
    Postgres(Database),
}

pub struct Store {
    pub name: &'static str,
    pub rows: Arc<dyn RowStore>,
    pub place: Place,
}

/// One empty store of each kind that can be had here.
pub async fn stores() -> Vec<Store> {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec![
        Store { name: "memory", rows: Arc::new(MemoryRows::new()), place: Place::Memory },
        Store { name: "sqlite", rows: sqlite(&folder).await, place: Place::Sqlite(folder) },
    ];
    if let Some(database) = database().await {
        let rows = postgres(&database).await;
        all.push(Store { name: "postgres", rows, place: Place::Postgres(database) });
    }
    all
}

pub async fn sqlite(folder: &TempDir) -> Arc<dyn RowStore> {
    Arc::new(SqliteRows::open(&folder.path().join("rows.db")).await.unwrap())
}

pub async fn postgres(database: &Database) -> Arc<dyn RowStore> {
    Arc::new(PostgresRows::connect(&database.url, 4).await.unwrap())
}

impl Store {
    pub async fn lease(&self) -> Lease {
        let generation = self.rows.open("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        self.rows.acquire(&generation.id, "a", TTL).await.unwrap()
    }

    pub async fn read(&self, query: Query) -> Vec<StoredRow> {
        self.snapshot(&[query]).await.results.remove(0)
    }

    pub async fn snapshot(&self, queries: &[Query]) -> Snapshot {
        self.rows.read(&Source::live("taps"), &tenant("acme"), queries).await.unwrap()
    }

    async fn described(&self, id: &GenerationId) -> Generation {
        let all = self.rows.generations().await.unwrap();
        all.into_iter().find(|g| g.id == *id).unwrap()
    }

    pub async fn status(&self, id: &GenerationId) -> GenerationStatus {
        self.described(id).await.status
    }

    pub async fn held(&self, id: &GenerationId) -> Option<u64> {
        self.described(id).await.held
    }

    /// The server notices a little later that a connection is gone.
    pub async fn drop_when_free(&self, id: &GenerationId) {
        loop {
            match self.rows.drop_generation(id).await {
                Err(RowsError::InUse(_)) => {}
                done => return done.unwrap(),
            }
        }
    }

    pub async fn keys(&self, query: Query) -> Vec<String> {
        self.read(query).await.into_iter().map(|r| r.key).collect()
    }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub fn row(tenant_id: &str, key: &str) -> RowKey {
    RowKey { tenant: tenant(tenant_id), key: key.into() }
}

pub fn put(key: &str, sort: Option<&str>, doc: &str) -> RowPut {
    RowPut { row: row("acme", key), sort: sort.map(Into::into), doc: doc.into() }
}

pub fn puts(table: &str, puts: Vec<RowPut>) -> TableChanges {
    TableChanges { table: table.into(), puts, deletes: vec![] }
}

pub fn commit(lease: &Lease, from: u64, to: u64, changes: Vec<TableChanges>) -> Commit {
    Commit { lease: lease.clone(), from, to, changes, parked: vec![], unparked: vec![] }
}

pub fn letter(tenant_id: &str, partition: &str, position: u64, error: Option<&str>) -> DeadLetter {
    DeadLetter {
        tenant: tenant(tenant_id),
        partition: partition.into(),
        position,
        event_type: "band.tapped".into(),
        error: error.map(Into::into),
    }
}

pub fn generation(projection: &str, number: u32) -> GenerationId {
    GenerationId { projection: projection.into(), number }
}

/// The document's member `n`.
pub fn number(doc: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(doc).unwrap()["n"].as_u64().unwrap()
}
