//! The sockets that technology plugs into. Each is small and object-safe and
//! has one conformance suite that runs against every implementation.

pub mod archive;
pub mod bus;
pub mod clock;
pub mod erasure;
pub mod journal;
pub mod keys;
pub mod language;
pub mod log;
pub mod results;
pub mod rows;
pub mod sql;
pub mod tree;
pub mod webhooks;
