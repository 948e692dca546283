//! The world's time and identity, handed in from outside.

use jiff::Timestamp;
use uuid::Uuid;

pub trait Clock: Send + Sync {
    /// Now, to the microsecond.
    fn now(&self) -> Timestamp;
}

pub trait Ids: Send + Sync {
    /// A new UUIDv7.
    fn next(&self) -> Uuid;
}
