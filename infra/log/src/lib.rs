//! The append-only log on PostgreSQL, on SQLite and in memory.
//!
//! Appends to a database are committed in groups: callers queue, one writer
//! thread takes what is waiting, plans it against the newest state and writes
//! it at once ([`writer`]); a task answers them ([`answers`]). The database modules only look things up and write
//! rows ([`backend`]).

mod answers;
mod asked;
mod backend;
mod decode;
mod keeping;
mod log;
mod memory;
mod options;
mod plan;
mod postgres;
mod queue;
mod sqlite;
mod tip;
mod tree;
mod validate;
mod writer;

pub use log::{DatabaseLog, Waker};
pub use memory::MemoryLog;
pub use options::LogOptions;
pub use postgres::PostgresLog;
pub use sqlite::SqliteLog;

use domain::envelope::RecordedEvent;
use domain::ports::log::Written;

/// Events named in a conflict.
const MAX_NEWER: usize = 16;

fn written(event: &RecordedEvent) -> Written {
    Written {
        stream: event.stream.clone(),
        event_id: event.event_id,
        event_type: event.event_type.clone(),
        version: event.version,
        position: event.position,
    }
}
