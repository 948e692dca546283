//! Personal data on its way into the log and out of it.
//!
//! [`OpenedLog`] stands before the log for everybody who folds or writes
//! facts: what it appends is sealed, what it reads is opened. Who copies facts
//! (archive, bus, SQL, restore) reads the log itself and has only what is
//! sealed; its bytes and leaves are those that were recorded.

mod eraser;
mod facts;
mod keyring;
mod log;
mod members;
mod seal;
#[cfg(test)]
mod tests;

pub use eraser::{Eraser, Following, Recorder, Step, Watch, load, stream_of};
pub use facts::{Counted, Exporter};
pub use keyring::{Keyring, NoKeys};
pub use log::OpenedLog;
pub use members::Members;
pub use seal::{BadPayload, Cut, Place, Sealed, Tampered};
