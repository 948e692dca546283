//! The tables of the SQLite file.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::backend::StoreError;

/// Kept in `user_version`, which belongs to the log: nothing else keeps tables
/// in this file. Layouts before this one were never released.
const LAYOUT: i64 = 4;

/// Events name their stream by number, and numbers are given in the order in
/// which streams begin: so the streams that are written to now stand next to
/// each other in the index, and a commit changes few of its pages.
const TABLES: &str = "
    CREATE TABLE streams (
        number INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        kind   TEXT NOT NULL,
        id     TEXT NOT NULL,
        UNIQUE (tenant, kind, id)
    ) STRICT;
    CREATE TRIGGER streams_never_change BEFORE UPDATE ON streams
        BEGIN SELECT RAISE(ABORT, 'streams never change'); END;
    CREATE TRIGGER streams_never_go BEFORE DELETE ON streams
        BEGIN SELECT RAISE(ABORT, 'streams are never deleted'); END;

    CREATE TABLE events (
        position       INTEGER PRIMARY KEY,
        stream_number  INTEGER NOT NULL REFERENCES streams,
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
    CREATE UNIQUE INDEX events_stream ON events (stream_number, version);
    CREATE TRIGGER events_never_change BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'recorded events never change'); END;
    -- Facts up to here may be gone from the log; the archive has them.
    CREATE TABLE trim (upto INTEGER NOT NULL) STRICT;
    INSERT INTO trim VALUES (0);
    CREATE TRIGGER events_never_go BEFORE DELETE ON events
        WHEN OLD.position > (SELECT upto FROM trim)
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

    -- The Merkle tree over the leaves: its size is the newest position, always.
    CREATE TABLE tree (
        one      INTEGER PRIMARY KEY CHECK (one = 1),
        size     INTEGER NOT NULL,
        -- Roots of the complete subtrees, the largest first.
        frontier BLOB NOT NULL
    ) STRICT;
    INSERT INTO tree VALUES (1, 0, x'');
    -- The root of full tile `number` of the level below.
    CREATE TABLE tree_nodes (
        level  INTEGER NOT NULL,
        number INTEGER NOT NULL,
        hash   BLOB NOT NULL,
        PRIMARY KEY (level, number)
    ) STRICT, WITHOUT ROWID;
    -- Leaves of the positions from `first` on, kept where facts were trimmed, so
    -- that the tree is whole.
    CREATE TABLE tree_trimmed (
        first  INTEGER PRIMARY KEY,
        leaves BLOB NOT NULL
    ) STRICT;
    CREATE TABLE checkpoints (
        origin    TEXT NOT NULL,
        size      INTEGER NOT NULL,
        root      BLOB NOT NULL,
        note      TEXT NOT NULL,
        signed_at INTEGER NOT NULL,
        PRIMARY KEY (origin, size)
    ) STRICT, WITHOUT ROWID;

    CREATE VIEW event_log AS SELECT
        position, tenant, kind, streams.id AS stream, version, type, schema,
        strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1e6, 'unixepoch') AS occurred_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', recorded_at / 1e6, 'unixepoch') AS recorded_at,
        actor, lower(hex(event_id)) AS event_id, lower(hex(command_id)) AS command_id,
        correlation_id, lower(hex(causation_id)) AS causation_id, payload, lower(hex(leaf)) AS leaf
    FROM events JOIN streams ON streams.number = events.stream_number;
";

/// Makes the tables in a new file; several processes may try at once. Refuses
/// a file with other tables.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match layout(&transaction)? {
        LAYOUT => return Ok(()),
        0 if is_empty(&transaction)? => {}
        0 => {
            return Err(StoreError::Failed("SQLite: the file holds tables that are not of a log".to_owned()));
        }
        other => {
            let age = if other < LAYOUT { "before its first release" } else { "of a newer release" };
            let reason =
                format!("SQLite: the log has layout {other}, of a Daybook {age}; this one reads {LAYOUT}");
            return Err(StoreError::Failed(reason));
        }
    }
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    Ok(transaction.commit()?)
}

fn layout(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_empty(transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
    transaction.query_row("SELECT NOT EXISTS (SELECT * FROM sqlite_schema)", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_file_of_another_layout() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        prepare(&mut connection).unwrap();
        for (other, age) in [(LAYOUT - 1, "before its first release"), (LAYOUT + 1, "of a newer release")] {
            connection.pragma_update(None, "user_version", other).unwrap();
            let reason = prepare(&mut connection).unwrap_err().reason();
            assert!(reason.contains(age), "{reason}");
        }
    }

    #[test]
    fn refuses_a_file_of_something_else() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE invoices (number INTEGER)").unwrap();
        assert!(prepare(&mut connection).is_err());
    }
}
