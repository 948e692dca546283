//! What a read model has to say about itself.

use domain::ports::rows::{ModelId, RowKey, RowsError, TableSpec};
use domain::registry::DecodeError;
use domain::{RecordedEvent, TenantId};

/// A pure fold of events into rows. It reads no clock and nothing but its own
/// rows and the event; the same events always make the same rows.
pub trait Projection: Send + Sync {
    /// Lower-case letters, digits and `_`: `tap_analytics`.
    fn name(&self) -> &'static str;

    fn model(&self) -> ModelId;

    /// The only events that [`Projection::apply`] gets to see.
    fn event_types(&self) -> &'static [&'static str];

    fn tables(&self) -> &'static [TableSpec];

    /// Names rows that the event surely needs, so that a batch's rows are
    /// fetched together. What is left out is fetched when it is used.
    fn prefetch(&self, _event: &RecordedEvent, _want: &mut Wanted) {}

    /// The sequence that waits as a whole when one of its events fails. Events
    /// that touch the same rows belong to the same partition.
    fn partition(&self, event: &RecordedEvent) -> String {
        event.stream.to_string()
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError>;

    /// Whether some rows follow from many events together: those are made by
    /// [`Projection::settle`].
    fn settles(&self) -> bool {
        false
    }

    /// Makes the rows of a tenant that follow from all its other rows, once
    /// after a batch instead of after each event. They depend on what the rows
    /// are by then and never on where batches end.
    fn settle(&self, _rows: &mut Rows, _tenant: &TenantId) -> Result<(), ApplyError> {
        Ok(())
    }

    /// Whether the event can have to do with the row: folding related events
    /// alone changes the row just as folding all of them does.
    fn related(&self, _event: &RecordedEvent, _table: &str, _row: &RowKey) -> bool {
        true
    }

    /// The picture that the rows make, if they make one.
    fn chart(&self) -> Option<Chart> {
        None
    }

    /// A second way to the same rows, for whole histories of about so many
    /// events.
    fn bulk(&self, _events: u64) -> Option<Box<dyn Bulk>> {
        None
    }
}

use crate::bulk::Bulk;
use crate::chart::Chart;
use crate::working_set::Rows;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// This event can't be folded; its partition is parked.
    #[error("{0}")]
    Event(String),
    /// The store failed; the batch is tried again.
    #[error(transparent)]
    Store(#[from] RowsError),
}

impl From<DecodeError> for ApplyError {
    fn from(e: DecodeError) -> Self {
        Self::Event(e.to_string())
    }
}

/// Settles every tenant whose rows the batch changed.
pub fn settle(projection: &dyn Projection, rows: &mut Rows) -> Result<(), ApplyError> {
    if !projection.settles() {
        return Ok(());
    }
    rows.changed_tenants().iter().try_for_each(|tenant| projection.settle(rows, tenant))
}

/// Rows to be fetched before a batch is folded.
#[derive(Debug, Default)]
pub struct Wanted {
    pub(crate) rows: Vec<(&'static str, RowKey)>,
}

impl Wanted {
    pub fn row(&mut self, table: &'static str, tenant: &TenantId, key: &str) {
        self.rows.push((table, RowKey { tenant: tenant.clone(), key: key.into() }));
    }
}
