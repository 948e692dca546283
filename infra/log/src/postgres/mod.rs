//! The log in PostgreSQL. One connection writes, a pool reads. Any number of
//! processes may append: a batch is one statement that takes an advisory lock,
//! checks that the log still ends where the batch was planned for, and inserts.

mod keeping;
mod reader;
mod sql;
mod tree;
mod writer;

use std::str::FromStr;
use std::time::Duration;

use domain::ports::log::LogError;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::LogOptions;
use crate::backend::{Backend, StoreError};
use crate::log::DatabaseLog;
pub use reader::PostgresReader;
use writer::PostgresWriter;

/// Longest wait for an answer. The server gives up earlier on what writes (see
/// [`PostgresWriter::new`]), so this one only strikes where the network
/// swallows packets.
const ANSWER: Duration = Duration::from_secs(40);

pub type PostgresLog = DatabaseLog<PostgresReader>;

impl PostgresLog {
    /// Connects, brings the schema up to date and starts writer and readers.
    pub async fn connect(url: &str, options: LogOptions) -> Result<Self, LogError> {
        let connect = PgConnectOptions::from_str(url).map_err(unavailable)?;
        let readers = PgPoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(options.patience)
            // Plans must know the positions asked for, to leave partitions out.
            .connect_with(connect.clone().options([("plan_cache_mode", "force_custom_plan")]))
            .await
            .map_err(unavailable)?;
        // A table of its own for what has been applied: the rows may live in
        // the same database and count their migrations apart.
        let mut migrations = Migrator::with_migrations(migrations());
        migrations.dangerous_set_table_name("log_migrations");
        migrations.run(&readers).await.map_err(|e| LogError::Unavailable(e.to_string()))?;
        let (partition, grows_tree) = (options.partition_positions.max(1), options.grows_tree());
        // The writer's connection belongs to the runtime of its own thread.
        let started = tokio::task::spawn_blocking(move || {
            let mut writer = PostgresWriter::new(connect, partition, grows_tree)?;
            let head = writer.head()?;
            Ok::<_, StoreError>((writer, head))
        });
        let (writer, head) =
            started.await.map_err(|e| LogError::Unavailable(e.to_string()))?.map_err(LogError::from)?;
        Self::start(PostgresReader::new(readers, partition), writer, head, options)
    }
}

fn migrations() -> Vec<Migration> {
    let step = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    vec![
        step(1, "log", include_str!("../../migrations/0001_log.sql")),
        step(2, "trim", include_str!("../../migrations/0002_trim.sql")),
        step(3, "tree", include_str!("../../migrations/0003_tree.sql")),
    ]
}

fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(format!("PostgreSQL: {error}"))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(format!("PostgreSQL: {error}"))
    }
}
