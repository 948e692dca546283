//! The tables of the SQLite file, one step per released version.

use rusqlite::Connection;

const STEPS: &[&str] = &["
    CREATE TABLE events (
        position       INTEGER PRIMARY KEY,
        tenant         TEXT NOT NULL,
        kind           TEXT NOT NULL,
        stream         TEXT NOT NULL,
        version        INTEGER NOT NULL,
        event_id       BLOB NOT NULL,
        type           TEXT NOT NULL,
        schema         INTEGER NOT NULL,
        occurred_at    INTEGER,
        recorded_at    INTEGER NOT NULL,
        actor          TEXT NOT NULL,
        command_id     BLOB NOT NULL,
        correlation_id TEXT NOT NULL,
        causation_id   BLOB,
        payload        TEXT NOT NULL,
        leaf           BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_stream ON events (tenant, kind, stream, version);
    CREATE TRIGGER events_never_change BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'recorded events never change'); END;
    CREATE TRIGGER events_never_go BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'recorded events are never deleted'); END;

    CREATE TABLE idempotency (
        tenant         TEXT NOT NULL,
        key            TEXT NOT NULL,
        request_hash   BLOB NOT NULL,
        reply          TEXT NOT NULL,
        first_position INTEGER NOT NULL,
        events         INTEGER NOT NULL,
        recorded_at    INTEGER NOT NULL,
        PRIMARY KEY (tenant, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_age ON idempotency (recorded_at);

    CREATE VIEW event_log AS SELECT
        position, tenant, kind, stream, version, type, schema,
        strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1e6, 'unixepoch') AS occurred_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', recorded_at / 1e6, 'unixepoch') AS recorded_at,
        actor, lower(hex(event_id)) AS event_id, lower(hex(command_id)) AS command_id,
        correlation_id, lower(hex(causation_id)) AS causation_id, payload, lower(hex(leaf)) AS leaf
    FROM events;
"];

/// Brings the file up to the newest schema; several processes may try at once.
/// `user_version` belongs to the log: nothing else keeps tables in this file.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if done > STEPS.len() {
        return Err(rusqlite::Error::InvalidParameterName(
            "the file was written by a newer version of Daybook".to_owned(),
        ));
    }
    for step in &STEPS[done..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", STEPS.len() as i64)?;
    transaction.commit()
}
