//! Where the events of a correlation, a command, a cause and an actor are: an
//! index of positions, so that appends carry none. Taps and previews are left
//! out: there is no bound to their number, and each journal batch of them has a
//! `journal.drained`.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use domain::ports::rows::{Column, ColumnKind, ModelId, RowKey, TableSpec};
use domain::registry::{EVENT_TYPES, is_trimmable};
use domain::{RecordedEvent, TenantId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

pub const NAME: &str = "history";
/// Groups of [`correlation`].
pub const CORRELATIONS: &str = "correlations";
/// Groups of [`id`]: what an event caused.
pub const CAUSATIONS: &str = "causations";
/// Groups of [`id`].
pub const COMMANDS: &str = "commands";
/// Groups of [`actor_day`].
pub const ACTORS: &str = "actors";

/// Positions in one row. A full page is never written again, except the first,
/// when a group gets another page.
pub const PAGE: usize = 500;

/// A page of a group's positions, in their order. Key: [`page_key`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub positions: Vec<u64>,
    /// In a group's first page: the number of its newest one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub newest: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Row for Page {
    fn memory(&self) -> usize {
        size_of::<Self>() + size_of::<u64>() * self.positions.capacity()
    }
}

/// A name as a part of a key: `/` and `%` stand as `%2F` and `%25`.
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

pub fn correlation(correlation_id: &str) -> String {
    escaped(correlation_id)
}

pub fn id(id: Uuid) -> String {
    id.hyphenated().to_string()
}

/// An actor's events of one day of UTC, by when they were recorded: keys are in
/// the order of positions then.
pub fn actor_day(actor: &str, recorded_at: Timestamp) -> String {
    format!("{}{}", actor_days(actor), recorded_at.to_zoned(TimeZone::UTC).date())
}

/// What the groups of all days of an actor begin with.
pub fn actor_days(actor: &str) -> String {
    format!("{}/", escaped(actor))
}

/// Pages count from 0.
pub fn page_key(group: &str, page: u64) -> String {
    format!("{group}/{page:010}")
}

/// The groups that an event belongs to.
pub fn groups(event: &RecordedEvent) -> impl Iterator<Item = (&'static str, String)> {
    let meta = &event.metadata;
    let caused = meta.causation_id.map(|cause| (CAUSATIONS, id(cause)));
    let others = [
        (CORRELATIONS, correlation(&meta.correlation_id)),
        (COMMANDS, id(meta.command_id)),
        (ACTORS, actor_day(&meta.actor, event.recorded_at)),
    ];
    others.into_iter().chain(caused)
}

/// All that are kept for good.
static INDEXED: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| EVENT_TYPES.iter().map(|t| t.name).filter(|name| !is_trimmable(name)).collect());

/// The types of the events that are indexed.
pub fn indexed() -> &'static [&'static str] {
    &INDEXED
}

const COLUMNS: &[Column] = &[Column { name: "positions", path: "positions", kind: ColumnKind::Json }];

const fn table(name: &'static str) -> TableSpec {
    TableSpec { name, sorted: false, columns: COLUMNS }
}

const TABLES: &[TableSpec] = &[table(CORRELATIONS), table(CAUSATIONS), table(COMMANDS), table(ACTORS)];

pub struct History;

impl Projection for History {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        indexed()
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        for (table, group) in groups(event) {
            want.row(table, &event.stream.tenant, &page_key(&group, 0));
        }
    }

    /// Events of any stream share the rows of an actor.
    fn partition(&self, event: &RecordedEvent) -> String {
        event.stream.tenant.to_string()
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        for (table, group) in groups(event) {
            add(rows, table, &event.stream.tenant, &group, event.position)?;
        }
        Ok(())
    }

    fn related(&self, event: &RecordedEvent, table: &str, row: &RowKey) -> bool {
        let page_of = |group: &str| row.key.rsplit_once('/').is_some_and(|(of, _)| of == group);
        event.stream.tenant == row.tenant && groups(event).any(|(t, group)| t == table && page_of(&group))
    }
}

fn add(
    rows: &mut Rows,
    table: &'static str,
    tenant: &TenantId,
    group: &str,
    position: u64,
) -> Result<(), ApplyError> {
    let first = page_key(group, 0);
    // Read only, so that the first page is not stored again for each event.
    let mut newest = rows.get::<Page>(table, tenant, &first)?.map_or(0, |page| page.newest);
    let mut key = page_key(group, newest);
    if rows.get::<Page>(table, tenant, &key)?.is_some_and(|page| page.positions.len() >= PAGE) {
        newest += 1;
        rows.entry_or_default::<Page>(table, tenant, &first)?.newest = newest;
        key = page_key(group, newest);
    }
    rows.entry_or_default::<Page>(table, tenant, &key)?.positions.push(position);
    Ok(())
}
