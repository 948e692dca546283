//! The bus: a copy of the log for other machines, and a bell that tells them
//! that there is something to read. Never the truth, always replaceable.
//!
//! The one rule this port exists for: **an event's place on the bus is its
//! position in the log**. Each publish names the place it must land on, so a
//! publisher that was overtaken, or that repeats itself, changes nothing: two
//! of them can't interleave, leave something out or publish twice.

use async_trait::async_trait;

use crate::envelope::RecordedEvent;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// Somebody else has published past the place that was asked for, or the
    /// end of the stream was lost.
    #[error("the stream does not end where the next event belongs")]
    Moved,
    #[error("there is no stream {0}")]
    NoStream(String),
    /// Only a person can decide which of them is right.
    #[error("the stream {stream} is not as configured: {differences}")]
    Settings { stream: String, differences: String },
    #[error("the bus refused a message: {0}")]
    Refused(String),
}

impl BusError {
    /// A stable word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Moved => "moved",
            Self::NoStream(_) => "no_stream",
            Self::Settings { .. } => "settings",
            Self::Refused(_) => "refused",
        }
    }
}

/// What the bus holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// The oldest position that is kept; `last + 1` if nothing is.
    pub first: u64,
    /// The newest position that was ever published; 0 if nothing was.
    pub last: u64,
    pub entries: u64,
    pub bytes: u64,
}

/// One event as the bus has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub position: u64,
    pub event_type: String,
    /// The leaf of what the message says, computed again from its body. `None`
    /// if the message does not read as an event.
    pub leaf: Option<[u8; 32]>,
}

/// A consumer that outlives its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub name: String,
    pub acknowledged: u64,
    /// In the bus's own words.
    pub config: String,
}

#[async_trait]
pub trait Bus: Send + Sync {
    /// Makes the stream if there is none, and checks its settings.
    async fn open(&self) -> Result<Extent, BusError>;

    async fn extent(&self) -> Result<Extent, BusError>;

    /// Entries past `after` in order of their places, at most `limit` of them.
    /// Places that hold nothing are left out.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Entry>, BusError>;

    /// A publisher whose first event has position `after + 1`.
    async fn publisher(&self, after: u64) -> Result<Box<dyn Publisher>, BusError>;

    /// Makes an empty stream in place of the one there is, and tells which
    /// consumers that remember how far they are went with it.
    async fn replace(&self) -> Result<Vec<Consumer>, BusError>;

    /// Makes a consumer again, to go on after what it had acknowledged. The
    /// stream must be past that.
    async fn restore(&self, consumer: &Consumer) -> Result<(), BusError>;
}

/// After an error nothing past the last acknowledged position is known; another
/// publisher starts where the bus says it ends.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Hands over events that come next to each other after those before.
    /// Waits while too many are not acknowledged. Answers up to which position
    /// all are.
    async fn send(&mut self, events: &[RecordedEvent]) -> Result<u64, BusError>;

    /// Waits until all are acknowledged.
    async fn flush(&mut self) -> Result<u64, BusError>;
}

/// Something has come as far as this position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// [`LOG`], or the name of a projection.
    pub topic: String,
    pub position: u64,
    /// Of the event at the position, for the log's own bell.
    pub leaf: Option<[u8; 32]>,
}

/// The relay's lease and checkpoint in the row store: no projection, and no
/// rows.
pub const RELAY: &str = "relay";

/// The topic of the log's head.
pub const LOG: &str = "log";

/// Rings may be lost and may come late; who listens looks for itself anyway.
#[async_trait]
pub trait Bell: Send + Sync {
    async fn ring(&self, ring: Ring) -> Result<(), BusError>;

    async fn listen(&self) -> Result<Box<dyn Rings>, BusError>;
}

#[async_trait]
pub trait Rings: Send {
    /// `None` once nothing more can come.
    async fn next(&mut self) -> Option<Ring>;
}
