//! The connection that writes. It lives on the writer's thread, in a runtime
//! of its own, so that busy request handlers can't delay a commit.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres, Row};
use tokio::runtime::Runtime;

use super::ANSWER;
use super::sql::{self, MARK, WRITERS_LOCK, column};
use crate::backend::{Backend, Guesses, KEYS_AT_ONCE, StoreError, Want, WriteError};
use crate::decode::big;
use crate::plan::{Known, Mark, Plan};

pub(super) struct PostgresWriter {
    runtime: Runtime,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    in_transaction: bool,
    partition_positions: u64,
    /// First position that no partition has a place for.
    room: u64,
    grows_tree: bool,
}

impl PostgresWriter {
    pub fn new(
        options: PgConnectOptions,
        partition_positions: u64,
        grows_tree: bool,
    ) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| StoreError::Failed(e.to_string()))?;
        let options = options.application_name("daybook log writer").options([
            // Under the lock the head must be read after the lock was granted.
            ("default_transaction_isolation", "read committed"),
            // A stopped process must not keep the lock.
            ("idle_in_transaction_session_timeout", "10s"),
            ("statement_timeout", "30s"),
            // Planned once, and by index while a new table looks small.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
        ]);
        let connection = None;
        let (in_transaction, room) = (false, 0);
        Ok(Self { runtime, options, connection, in_transaction, partition_positions, room, grows_tree })
    }

    /// Runs `work` on the connection, which is opened if need be.
    fn run<T, E: From<StoreError>>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Answer<E>> {
        let (options, slot) = (&self.options, &mut self.connection);
        self.runtime.block_on(async {
            let whole = tokio::time::timeout(ANSWER, async {
                let connection = match slot {
                    Some(connection) => connection,
                    None => slot.insert(connect(options).await.map_err(|e| Answer::Error(e.into()))?),
                };
                work(connection).await.map_err(Answer::Error)
            });
            whole.await.unwrap_or(Err(Answer::None))
        })
    }

    fn ask<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(work).map_err(|answer| match answer {
            Answer::Error(error) => error,
            Answer::None => StoreError::Failed("PostgreSQL does not answer".to_owned()),
        })
    }

    fn reads_mark(&self) -> fn(&PgRow) -> Result<Mark, StoreError> {
        if self.grows_tree { sql::mark } else { |row| Ok(sql::head(row)?) }
    }

    /// Makes room for the plan, and ahead of it for half a partition.
    fn make_room(&mut self, plan: &Plan<'_>) -> Result<(), StoreError> {
        let last = plan.base.position + plan.events.len() as u64;
        if last < self.room.saturating_sub(self.partition_positions / 2) {
            return Ok(());
        }
        let (needed, size) = (big(last + self.partition_positions / 2), big(self.partition_positions));
        let room: i64 = self.ask(async |connection| {
            let made = sqlx::query_scalar("SELECT events_make_room($1, $2)").bind(needed).bind(size);
            Ok(made.fetch_one(connection).await?)
        })?;
        self.room = room.cast_unsigned();
        Ok(())
    }
}

/// Why there is no result: an error, or silence.
enum Answer<E> {
    Error(E),
    None,
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = options.connect().await?;
    // Answered means durable, whatever the server's default is.
    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') = 'off'";
    sqlx::raw_sql(durable).execute(&mut connection).await?;
    Ok(connection)
}

impl Backend for PostgresWriter {
    const LOCK_IS_FREE: bool = false;

    fn head(&mut self) -> Result<Mark, StoreError> {
        let mark = self.reads_mark();
        self.ask(async |connection| mark(&sqlx::query(MARK).fetch_one(connection).await?))
    }

    fn lock(&mut self) -> Result<Mark, StoreError> {
        let begin = if self.in_transaction { "" } else { "BEGIN;" };
        self.in_transaction = true;
        let mark = self.reads_mark();
        self.ask(async |connection| {
            let all = AssertSqlSafe(format!("{begin} SELECT pg_advisory_xact_lock({WRITERS_LOCK}); {MARK}"));
            let rows = sqlx::raw_sql(all).fetch_all(connection).await?;
            // The lock's row has one column.
            let row = rows.iter().find(|row| row.len() > 1);
            mark(row.ok_or(StoreError::Failed("PostgreSQL: the log has no tree".to_owned()))?)
        })
    }

    fn unlock(&mut self) -> Result<(), StoreError> {
        self.in_transaction = false;
        self.ask(async |connection| {
            sqlx::raw_sql("ROLLBACK").execute(connection).await?;
            Ok(())
        })
    }

    fn lookup<'a>(&mut self, want: &Want<'a>, known: &mut Known<'a>) -> Result<(), StoreError> {
        let found = self.ask(async |connection| sql::lookup(connection, &want.streams, &want.keys).await)?;
        for (index, version) in found.versions {
            known.versions.insert(want.streams[index], version);
        }
        for (index, reply) in found.replies {
            known.replies.insert(want.keys[index], reply);
        }
        Ok(())
    }

    fn leaf_at(&mut self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.ask(async |connection| {
            let leaf = sqlx::query_scalar("SELECT leaf FROM events WHERE position = $1").bind(big(position));
            Ok(leaf.fetch_optional(connection).await?)
        })
    }

    fn write(&mut self, plan: &Plan<'_>, guesses: &Guesses<'_>) -> Result<(), WriteError> {
        self.make_room(plan)?;
        let locked = std::mem::take(&mut self.in_transaction);
        let grows_tree = self.grows_tree;
        let written = self.run(async |connection| {
            let result = insert(&mut *connection, plan, guesses, grows_tree).await.map_err(write_error)?;
            if result.rows_affected() != plan.events.len() as u64 {
                return Err(WriteError::Lost);
            }
            if locked {
                sqlx::raw_sql("COMMIT").execute(connection).await.map_err(|error| WriteError::Failed {
                    reason: StoreError::from(error).reason(),
                    unknown: true,
                })?;
            }
            Ok(())
        });
        written.map_err(|answer| match answer {
            Answer::Error(error) => error,
            Answer::None => {
                WriteError::Failed { reason: "PostgreSQL does not answer".to_owned(), unknown: true }
            }
        })
    }

    fn forget_keys(&mut self, before: i64) -> Result<u64, StoreError> {
        self.ask(async |connection| {
            let statement = "DELETE FROM idempotency WHERE ctid IN \
                 (SELECT ctid FROM idempotency WHERE recorded_at < $1 LIMIT $2)";
            let delete = sqlx::query(statement).bind(before).bind(big(KEYS_AT_ONCE));
            Ok(delete.execute(connection).await?.rows_affected())
        })
    }

    fn disconnect(&mut self) {
        self.in_transaction = false;
        self.room = 0;
        if let Some(connection) = self.connection.take() {
            // Says goodbye if it can; a transaction is rolled back either way.
            let goodbye = connection.close();
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(Duration::from_millis(200), goodbye).await });
        }
    }
}

async fn insert(
    connection: &mut PgConnection,
    plan: &Plan<'_>,
    guesses: &Guesses<'_>,
    grows_tree: bool,
) -> Result<PgQueryResult, sqlx::Error> {
    let nodes = &plan.nodes;
    let statement = match grows_tree {
        true => batch(sql::WRITE, plan, guesses)
            .bind(big(plan.frontier.size()))
            .bind(plan.frontier.to_bytes())
            .bind(column(nodes, |n| i16::from(n.level)))
            .bind(column(nodes, |n| big(n.index)))
            .bind(column(nodes, |n| n.hash.as_slice())),
        #[cfg(feature = "bench")]
        false => batch(sql::WRITE_WITHOUT_TREE, plan, guesses),
        #[cfg(not(feature = "bench"))]
        false => return Err(sqlx::Error::Protocol("a log without its tree".to_owned())),
    };
    statement.execute(connection).await
}

/// Binds what [`sql::WRITE`] begins with.
fn batch<'q>(
    statement: &'static str,
    plan: &'q Plan<'_>,
    guesses: &'q Guesses<'_>,
) -> Query<'q, Postgres, PgArguments> {
    let (events, keys) = (&plan.events, &plan.keys);
    sqlx::query(statement)
        .bind(WRITERS_LOCK)
        .bind(big(plan.base.position))
        .bind(plan.base.event_id)
        .bind(column(guesses, |(stream, _)| stream.tenant.as_str()))
        .bind(column(guesses, |(stream, _)| stream.kind.as_ref()))
        .bind(column(guesses, |(stream, _)| stream.id.as_ref()))
        .bind(column(guesses, |(_, version)| big(*version)))
        .bind(plan.recorded_at.as_microsecond())
        .bind(column(keys, |k| k.idempotency.tenant.as_str()))
        .bind(column(keys, |k| k.idempotency.key.as_str()))
        .bind(column(keys, |k| k.idempotency.request_hash.as_slice()))
        .bind(column(keys, |k| k.idempotency.reply.as_str()))
        .bind(column(keys, |k| big(k.first_position)))
        .bind(column(keys, |k| big(k.events as u64)))
        .bind(column(events, |e| e.stream.tenant.as_str()))
        .bind(column(events, |e| e.stream.kind.as_ref()))
        .bind(column(events, |e| e.stream.id.as_ref()))
        .bind(column(events, |e| big(e.version)))
        .bind(column(events, |e| e.event_id))
        .bind(column(events, |e| e.event_type.as_ref()))
        .bind(column(events, |e| i32::from(e.schema)))
        .bind(column(events, |e| e.occurred_at.map(|at| at.as_microsecond())))
        .bind(column(events, |e| e.metadata.actor.as_ref()))
        .bind(column(events, |e| e.metadata.command_id))
        .bind(column(events, |e| e.metadata.correlation_id.as_ref()))
        .bind(column(events, |e| e.metadata.causation_id))
        .bind(column(events, |e| e.payload.as_str()))
        .bind(column(events, |e| e.leaf.as_slice()))
}

/// Sorts errors of the writing statement by what they say about its fate.
fn write_error(error: sqlx::Error) -> WriteError {
    let code = error.as_database_error().and_then(|e| e.code());
    match code.as_deref() {
        // A position, version or key is taken.
        Some("23505") => WriteError::Lost,
        // The server refused the statement and rolled it back. The classes 57
        // and 08 tell of sessions that were ended, at whatever point.
        Some(code) if !code.starts_with("57") && !code.starts_with("08") => {
            WriteError::Failed { reason: StoreError::from(error).reason(), unknown: false }
        }
        _ => WriteError::Failed { reason: StoreError::from(error).reason(), unknown: true },
    }
}
