//! Keys in an SQLite file of their own: the log's file has its one writer, and
//! a copy of the log must not bring the keys along by accident.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::keys::{KeyError, KeyId, StoredKey, StoredState};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, TransactionBehavior, params};

use crate::kek::Keks;
use crate::store::WrappedKeys;
use crate::table::{COLUMNS, Columns, Owner, Rewrapped, Table};

const MIGRATION: &str = include_str!("../migrations/sqlite_0001.sql");
const BUSY: Duration = Duration::from_secs(10);

pub struct SqliteTable {
    path: PathBuf,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl WrappedKeys<SqliteTable> {
    /// Opens the file and makes it if there is none.
    pub async fn open(
        path: &Path,
        keks: Keks,
        clock: Arc<dyn domain::ports::clock::Clock>,
    ) -> Result<Self, KeyError> {
        Ok(Self::new(SqliteTable::open(path).await?, keks, clock))
    }
}

/// What work on the file fails with.
struct Fault(KeyError);

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self(KeyError::Unavailable(format!("SQLite: {error}")))
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self(error)
    }
}

/// The pages as they were stand in the write-ahead log until then.
fn empty_log(connection: &Connection) -> Result<(), Fault> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
    if busy == 0 {
        return Ok(());
    }
    Err(KeyError::Unavailable("somebody reads the keys; what is gone is still in their log".into()).into())
}

impl SqliteTable {
    pub async fn open(path: &Path) -> Result<Self, KeyError> {
        let table = Self { path: path.into(), connection: Arc::default() };
        table.with(|_| Ok(())).await?;
        Ok(table)
    }

    async fn with<A: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<A, Fault> + Send + 'static,
    ) -> Result<A, KeyError> {
        let (connection, path) = (self.connection.clone(), self.path.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = match &mut *slot {
                Some(connection) => connection,
                None => slot.insert(connect(&path)?),
            };
            work(connection)
        });
        let done = done.await.map_err(|e| KeyError::Unavailable(e.to_string()))?;
        done.map_err(|Fault(error)| error)
    }
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    let tx = writable(&mut connection)?;
    match tx.query_row("PRAGMA user_version", [], |r| r.get::<_, u32>(0))? {
        0 => {
            tx.execute_batch(MIGRATION)?;
            tx.pragma_update(None, "user_version", 1)?;
        }
        1 => {}
        _ => return Err(KeyError::Unavailable("the file of keys is of a newer version".into()).into()),
    }
    tx.commit()?;
    Ok(connection)
}

/// A transaction that holds the write lock from its beginning.
fn writable(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(0)?,
        tenant: row.get(1)?,
        subject: row.get(2)?,
        wrapped: row.get(3)?,
        kek: row.get(4)?,
        made_at: row.get(5)?,
        destroyed_at: row.get(6)?,
    })
}

fn all(connection: &Connection, tail: &str, values: impl Params) -> Result<Vec<StoredKey>, Fault> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM data_keys {tail}"))?;
    let rows = statement.query_map(values, columns)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(|row| Ok(row.key()?)).collect()
}

fn one(connection: &Connection, tail: &str, values: impl Params) -> Result<Option<StoredKey>, Fault> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM data_keys {tail}"))?;
    Ok(statement.query_row(values, columns).optional()?.map(Columns::key).transpose()?)
}

fn add(tx: &Transaction<'_>, keys: &[StoredKey], live: bool) -> Result<u64, Fault> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO data_keys (id, tenant, subject, wrapped, kek, made_at, live)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?;
    let mut added = 0;
    for key in keys {
        let StoredState::Wrapped { kek, bytes } = &key.state else { continue };
        let made_at = key.made_at.as_microsecond();
        let values = params![key.id.0, key.tenant.as_str(), key.subject.as_str(), bytes, kek, made_at, live];
        added += insert.execute(values)? as u64;
    }
    Ok(added)
}

#[async_trait]
impl Table for SqliteTable {
    async fn live(&self, of: &[Owner]) -> Result<Vec<Option<StoredKey>>, KeyError> {
        let of = of.to_vec();
        self.with(move |c| {
            let tx = c.transaction()?;
            let tail = "WHERE tenant = ?1 AND subject = ?2 AND live = 1";
            of.iter().map(|(tenant, subject)| one(&tx, tail, [tenant.as_str(), subject.as_str()])).collect()
        })
        .await
    }

    async fn add_live(&self, keys: Vec<StoredKey>) -> Result<(), KeyError> {
        self.with(move |c| {
            let tx = writable(c)?;
            add(&tx, &keys, true)?;
            Ok(tx.commit()?)
        })
        .await
    }

    async fn rows(&self, ids: &[KeyId]) -> Result<Vec<Option<StoredKey>>, KeyError> {
        let ids = ids.to_vec();
        self.with(move |c| {
            let tx = c.transaction()?;
            ids.iter().map(|id| one(&tx, "WHERE id = ?1", [id.0])).collect()
        })
        .await
    }

    async fn of(&self, (tenant, subject): &Owner) -> Result<Vec<StoredKey>, KeyError> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        let tail = "WHERE tenant = ?1 AND subject = ?2 ORDER BY made_at, id";
        self.with(move |c| all(c, tail, [tenant.as_str(), subject.as_str()])).await
    }

    async fn destroy(
        &self,
        (tenant, subject): &Owner,
        ids: &[KeyId],
        at: Timestamp,
    ) -> Result<u64, KeyError> {
        let (tenant, subject, ids) = (tenant.clone(), subject.clone(), ids.to_vec());
        self.with(move |c| {
            let tx = writable(c)?;
            let mut destroyed = 0;
            for id in ids {
                destroyed += tx.execute(
                    "INSERT INTO data_keys (id, tenant, subject, made_at, destroyed_at, live)
                     VALUES (?1, ?2, ?3, ?4, ?4, 0)
                     ON CONFLICT (id) DO UPDATE SET wrapped = NULL, kek = NULL, destroyed_at = ?4, live = 0
                     WHERE wrapped IS NOT NULL AND tenant = ?2 AND subject = ?3",
                    params![id.0, tenant.as_str(), subject.as_str(), at.as_microsecond()],
                )? as u64;
            }
            if destroyed > 0 {
                tx.execute("UPDATE key_epoch SET n = n + 1", [])?;
            }
            tx.commit()?;
            empty_log(c)?;
            Ok(destroyed)
        })
        .await
    }

    async fn epoch(&self) -> Result<u64, KeyError> {
        let epoch = |c: &mut Connection| {
            let n: i64 = c.prepare_cached("SELECT n FROM key_epoch")?.query_row([], |r| r.get(0))?;
            Ok(n.cast_unsigned())
        };
        self.with(epoch).await
    }

    async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<StoredKey>, KeyError> {
        let after = after.map_or(Vec::new(), |id| id.0.to_vec());
        self.with(move |c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![after, limit as i64])).await
    }

    async fn wrapped_otherwise(&self, kek: &str, limit: usize) -> Result<Vec<StoredKey>, KeyError> {
        let kek = kek.to_owned();
        let tail = "WHERE kek IS NOT NULL AND kek <> ?1 LIMIT ?2";
        self.with(move |c| all(c, tail, params![kek, limit as i64])).await
    }

    async fn rewrap(&self, keys: Vec<Rewrapped>) -> Result<u64, KeyError> {
        self.with(move |c| {
            let tx = writable(c)?;
            let mut done = 0;
            for key in keys {
                done += tx.execute(
                    "UPDATE data_keys SET wrapped = ?3, kek = ?4 WHERE id = ?1 AND kek = ?2",
                    params![key.id.0, key.before, key.bytes, key.kek],
                )? as u64;
            }
            tx.commit()?;
            empty_log(c)?;
            Ok(done)
        })
        .await
    }

    async fn wrapped_by(&self) -> Result<Vec<(String, u64)>, KeyError> {
        self.with(|c| {
            let sql = "SELECT kek, count(*) FROM data_keys WHERE kek IS NOT NULL GROUP BY kek ORDER BY kek";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get::<_, i64>(1)?.cast_unsigned())))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn add_old(&self, keys: Vec<StoredKey>) -> Result<u64, KeyError> {
        self.with(move |c| {
            let tx = writable(c)?;
            let added = add(&tx, &keys, false)?;
            tx.commit()?;
            Ok(added)
        })
        .await
    }
}
