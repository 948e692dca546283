//! Folding whole histories from columns.
//!
//! [`Projection::apply`](crate::Projection::apply) takes one event at a time
//! and works on stored rows. A projection that is rebuilt over millions of
//! facts may offer a second way to the same rows: it takes the members it needs
//! as columns, keeps numbers in memory and makes rows only at the end. Both
//! ways must end in the same rows; a property test compares them.

use std::sync::Arc;

use async_trait::async_trait;
use domain::RecordedEvent;
use domain::ports::archive::ArchiveError;
use domain::ports::log::EventLog;
use domain::ports::rows::TableChanges;

use crate::projection::ApplyError;

/// The code of a text that is not there.
pub const MISSING: i32 = -1;
/// The code of a text whose key was destroyed.
pub const ERASED: i32 = -2;

/// Texts by dictionary: row `i` says `value(codes[i])`; a negative code is no
/// text: [`MISSING`] or [`ERASED`].
#[derive(Debug, Clone, Default)]
pub struct Texts {
    pub codes: Vec<i32>,
    bytes: String,
    /// Where each value ends in `bytes`.
    ends: Vec<usize>,
}

impl Texts {
    fn with_room(rows: usize, values: usize, bytes: usize) -> Self {
        Self {
            codes: Vec::with_capacity(rows),
            bytes: String::with_capacity(bytes),
            ends: Vec::with_capacity(values),
        }
    }

    /// Adds a value to the dictionary; its code is the number of those before.
    pub fn add(&mut self, value: &str) {
        self.bytes.push_str(value);
        self.ends.push(self.bytes.len());
    }

    /// Adds values that stand one after the other, each up to one of `ends`.
    pub fn extend(&mut self, bytes: &str, ends: impl Iterator<Item = usize>) {
        let base = self.bytes.len();
        self.bytes.push_str(bytes);
        self.ends.extend(ends.map(|end| base + end));
    }

    /// Values in the dictionary. One may stand there twice.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn values(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    fn memory(&self) -> usize {
        self.bytes.len() + 8 * self.ends.len() + 4 * self.codes.len()
    }

    /// Keeps the rows for which `keep` is true.
    fn retain(&mut self, keep: &[bool]) {
        let mut row = keep.iter();
        self.codes.retain(|_| row.next().copied().unwrap_or(false));
    }
}

/// Facts of one type in position order.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    pub event_type: &'static str,
    pub positions: Vec<u64>,
    /// [`RecordedEvent::at`] in microseconds since 1970.
    pub at: Vec<i64>,
    pub tenants: Texts,
    /// The payload's members in the order of [`Wants::members`]. A member that
    /// is no text, or not there, is missing.
    pub members: Vec<Texts>,
}

/// How much a batch takes.
#[derive(Debug, Clone, Default)]
pub struct Room {
    rows: usize,
    /// Of each member: values of the dictionary, and their bytes.
    members: Vec<(usize, usize)>,
}

impl Columns {
    /// Empty, with room for a little more than the batch before took: growing
    /// into it would touch new memory again and again.
    pub fn with_room(wants: Wants, room: &Room) -> Self {
        let more = |size: usize| size + size / 8;
        let rows = more(room.rows);
        let sizes = room.members.iter().copied().chain(std::iter::repeat((0, 0)));
        let texts = |(values, bytes)| Texts::with_room(rows, more(values), more(bytes));
        Self {
            event_type: wants.event_type,
            positions: Vec::with_capacity(rows),
            at: Vec::with_capacity(rows),
            tenants: Texts::with_room(rows, 0, 0),
            members: sizes.map(texts).take(wants.members.len()).collect(),
        }
    }

    pub fn room(&self) -> Room {
        let texts = |texts: &Texts| (texts.ends.len(), texts.bytes.len());
        Room { rows: self.len(), members: self.members.iter().map(texts).collect() }
    }

    pub fn len(&self) -> usize {
        self.positions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Bytes, about.
    pub fn memory(&self) -> usize {
        let texts = std::iter::once(&self.tenants).chain(&self.members);
        16 * self.len() + texts.map(Texts::memory).sum::<usize>()
    }

    /// Keeps the rows for which `keep` is true.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut row = keep.iter();
        self.positions.retain(|_| row.next().copied().unwrap_or(false));
        let mut row = keep.iter();
        self.at.retain(|_| row.next().copied().unwrap_or(false));
        self.tenants.retain(keep);
        for member in &mut self.members {
            member.retain(keep);
        }
    }
}

/// A type that is folded from columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    pub event_type: &'static str,
    /// Members of the payload, all of them texts.
    pub members: &'static [&'static str],
}

/// What takes the rows; called with chunks of one table at a time. Tables may
/// come again; no row does.
pub type Sink<'a> = dyn FnMut(TableChanges) -> Result<(), ApplyError> + 'a;

/// A fold over a whole history.
///
/// It may go through the history several times, so that memory stays bounded:
/// for each pass the caller folds everything again, then ends the pass.
pub trait Bulk: Send {
    fn wants(&self) -> &'static [Wants];

    /// Times that the history has to be folded.
    fn passes(&self) -> usize;

    /// Begins again, with about twice as many passes that take half the
    /// memory each. False if that does not bring it below so many bytes.
    fn split(&mut self, memory: usize) -> bool;

    /// Batches of a type in position order. Returns positions that did not
    /// fold, in the first pass only: they left no trace.
    fn fold(&mut self, batch: Columns) -> Result<Vec<u64>, ApplyError>;

    /// One event of a type that is not wanted as columns.
    fn event(&mut self, event: &RecordedEvent) -> Result<(), ApplyError>;

    /// Bytes in memory, about.
    fn memory(&self) -> usize;

    /// Ends a pass and gives away what it made.
    fn end_pass(&mut self, rows: &mut Sink<'_>) -> Result<(), ApplyError>;
}

/// Sealed history in columns.
#[async_trait]
pub trait Sealed: Send + Sync {
    /// Up to which position history is sealed, and about how many of its
    /// events have these types.
    async fn extent(&self, types: &[&str]) -> Result<Extent, ArchiveError>;

    /// The facts of a type at the positions up to `through`, which is sealed.
    async fn read(&self, wants: Wants, through: u64) -> Result<Box<dyn Batches>, ArchiveError>;

    /// The same history event by event. It has those of one type together, so
    /// a few among millions are found without reading all.
    fn events(&self) -> Arc<dyn EventLog>;
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    pub through: u64,
    pub events: u64,
}

#[async_trait]
pub trait Batches: Send {
    async fn next(&mut self) -> Result<Option<Columns>, ArchiveError>;
}
