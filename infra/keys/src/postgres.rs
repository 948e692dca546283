//! Keys in PostgreSQL: in the log's database, or in one of their own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::keys::{KeyError, KeyId, StoredKey, StoredState};
use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, PgPool, Row, SqlSafeStr};

use crate::kek::Keks;
use crate::store::WrappedKeys;
use crate::table::{COLUMNS, Columns, Owner, Rewrapped, Table};

const CONNECTIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(10);

pub struct PostgresTable {
    pool: PgPool,
}

impl WrappedKeys<PostgresTable> {
    pub async fn connect(
        url: &str,
        keks: Keks,
        clock: Arc<dyn domain::ports::clock::Clock>,
    ) -> Result<Self, KeyError> {
        Ok(Self::new(PostgresTable::connect(url).await?, keks, clock))
    }
}

impl PostgresTable {
    /// Connects and brings the tables up to date.
    pub async fn connect(url: &str) -> Result<Self, KeyError> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = options.connect(url).await.map_err(unavailable)?;
        let sql = include_str!("../migrations/postgres_0001.sql");
        let step = Migration::new(1, "keys".into(), MigrationType::Simple, sql.into_sql_str(), false);
        // Log and rows may live in the same database and count theirs apart.
        let mut migrations = Migrator::with_migrations(vec![step]);
        migrations.dangerous_set_table_name("key_migrations");
        migrations.run(&pool).await.map_err(|e| KeyError::Unavailable(e.to_string()))?;
        Ok(Self { pool })
    }
}

fn unavailable(error: sqlx::Error) -> KeyError {
    KeyError::Unavailable(format!("PostgreSQL: {error}"))
}

fn key(row: &PgRow) -> Result<StoredKey, KeyError> {
    let columns = || {
        Ok(Columns {
            id: row.try_get(0)?,
            tenant: row.try_get(1)?,
            subject: row.try_get(2)?,
            wrapped: row.try_get(3)?,
            kek: row.try_get(4)?,
            made_at: row.try_get(5)?,
            destroyed_at: row.try_get(6)?,
        })
    };
    columns().map_err(unavailable)?.key()
}

fn keys(rows: &[PgRow]) -> Result<Vec<StoredKey>, KeyError> {
    rows.iter().map(key).collect()
}

fn select(tail: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("SELECT {COLUMNS} FROM data_keys {tail}"))
}

const ADD: &str = "INSERT INTO data_keys (id, tenant, subject, wrapped, kek, made_at, live)
    SELECT i, t, s, w, k, m, $7 FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[])
        AS new (i, t, s, w, k, m)
    ON CONFLICT DO NOTHING";

impl PostgresTable {
    async fn add(&self, new: Vec<StoredKey>, live: bool) -> Result<u64, KeyError> {
        let (mut ids, mut tenants, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
        let (mut wrapped, mut keks, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for key in new {
            let StoredState::Wrapped { kek, bytes } = key.state else { continue };
            ids.push(key.id.0.to_vec());
            tenants.push(key.tenant.as_str().to_owned());
            subjects.push(key.subject.as_str().to_owned());
            wrapped.push(bytes);
            keks.push(kek);
            made.push(key.made_at.as_microsecond());
        }
        let insert = sqlx::query(ADD).bind(ids).bind(tenants).bind(subjects).bind(wrapped).bind(keks);
        let done = insert.bind(made).bind(live).execute(&self.pool).await;
        Ok(done.map_err(unavailable)?.rows_affected())
    }
}

#[async_trait]
impl Table for PostgresTable {
    async fn live(&self, of: &[Owner]) -> Result<Vec<Option<StoredKey>>, KeyError> {
        let tenants: Vec<&str> = of.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let subjects: Vec<&str> = of.iter().map(|(_, subject)| subject.as_str()).collect();
        let sql = select(
            "JOIN (SELECT DISTINCT t, s FROM unnest($1::text[], $2::text[]) AS asked (t, s)) AS asked
             ON tenant = t AND subject = s WHERE live",
        );
        let rows = sqlx::query(sql).bind(tenants).bind(subjects).fetch_all(&self.pool).await;
        let mut found = std::collections::HashMap::new();
        for key in keys(&rows.map_err(unavailable)?)? {
            found.insert((key.tenant.clone(), key.subject.clone()), key);
        }
        Ok(of.iter().map(|owner| found.get(owner).cloned()).collect())
    }

    async fn add_live(&self, keys: Vec<StoredKey>) -> Result<(), KeyError> {
        self.add(keys, true).await.map(|_| ())
    }

    async fn rows(&self, ids: &[KeyId]) -> Result<Vec<Option<StoredKey>>, KeyError> {
        let asked: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        let rows = sqlx::query(select("WHERE id = ANY($1)")).bind(asked).fetch_all(&self.pool).await;
        let found = keys(&rows.map_err(unavailable)?)?;
        let found: std::collections::HashMap<KeyId, StoredKey> =
            found.into_iter().map(|key| (key.id, key)).collect();
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn of(&self, (tenant, subject): &Owner) -> Result<Vec<StoredKey>, KeyError> {
        let sql = select("WHERE tenant = $1 AND subject = $2 ORDER BY made_at, id");
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(subject.as_str()).fetch_all(&self.pool).await;
        keys(&rows.map_err(unavailable)?)
    }

    async fn destroy(
        &self,
        (tenant, subject): &Owner,
        ids: &[KeyId],
        at: Timestamp,
    ) -> Result<u64, KeyError> {
        let mut ids: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        ids.sort_unstable();
        ids.dedup();
        let sql = "WITH gone AS (
                INSERT INTO data_keys AS k (id, tenant, subject, made_at, destroyed_at, live)
                SELECT i, $2, $3, $4, $4, false FROM unnest($1::bytea[]) AS new (i)
                ON CONFLICT (id) DO UPDATE SET wrapped = NULL, kek = NULL, destroyed_at = $4, live = false
                WHERE k.wrapped IS NOT NULL AND k.tenant = $2 AND k.subject = $3 RETURNING 1),
            counted AS (SELECT count(*) AS n FROM gone),
            moved AS (UPDATE key_epoch SET n = key_epoch.n + 1 FROM counted WHERE counted.n > 0 RETURNING 1)
            SELECT n FROM counted";
        let query = sqlx::query_scalar::<_, i64>(sql).bind(ids).bind(tenant.as_str()).bind(subject.as_str());
        let gone = query.bind(at.as_microsecond()).fetch_one(&self.pool).await.map_err(unavailable)?;
        // The row as it was stays in the table's file until it is vacuumed.
        if let Err(error) = sqlx::query("VACUUM data_keys").execute(&self.pool).await {
            tracing::warn!(%error, "the table of keys was not vacuumed");
        }
        Ok(gone.cast_unsigned())
    }

    async fn epoch(&self) -> Result<u64, KeyError> {
        let epoch = sqlx::query_scalar::<_, i64>("SELECT n FROM key_epoch").fetch_one(&self.pool).await;
        Ok(epoch.map_err(unavailable)?.cast_unsigned())
    }

    async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<StoredKey>, KeyError> {
        let after = after.map_or(Vec::new(), |id| id.0.to_vec());
        let sql = select("WHERE id > $1 ORDER BY id LIMIT $2");
        let rows = sqlx::query(sql).bind(after).bind(limit as i64).fetch_all(&self.pool).await;
        keys(&rows.map_err(unavailable)?)
    }

    async fn wrapped_otherwise(&self, kek: &str, limit: usize) -> Result<Vec<StoredKey>, KeyError> {
        let sql = select("WHERE kek IS NOT NULL AND kek <> $1 LIMIT $2");
        let rows = sqlx::query(sql).bind(kek).bind(limit as i64).fetch_all(&self.pool).await;
        keys(&rows.map_err(unavailable)?)
    }

    async fn rewrap(&self, new: Vec<Rewrapped>) -> Result<u64, KeyError> {
        let ids: Vec<&[u8]> = new.iter().map(|key| &key.id.0[..]).collect();
        let before: Vec<&str> = new.iter().map(|key| key.before.as_str()).collect();
        let wrapped: Vec<&[u8]> = new.iter().map(|key| &key.bytes[..]).collect();
        let keks: Vec<&str> = new.iter().map(|key| key.kek.as_str()).collect();
        let sql = "UPDATE data_keys SET wrapped = w, kek = k
            FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::text[]) AS new (i, b, w, k)
            WHERE id = i AND kek = b";
        let query = sqlx::query(sql).bind(ids).bind(before).bind(wrapped).bind(keks);
        Ok(query.execute(&self.pool).await.map_err(unavailable)?.rows_affected())
    }

    async fn wrapped_by(&self) -> Result<Vec<(String, u64)>, KeyError> {
        let sql = "SELECT kek, count(*) FROM data_keys WHERE kek IS NOT NULL GROUP BY kek ORDER BY kek";
        let rows = sqlx::query_as::<_, (String, i64)>(sql).fetch_all(&self.pool).await;
        let rows = rows.map_err(unavailable)?;
        Ok(rows.into_iter().map(|(kek, keys)| (kek, keys.cast_unsigned())).collect())
    }

    async fn add_old(&self, keys: Vec<StoredKey>) -> Result<u64, KeyError> {
        self.add(keys, false).await
    }
}
