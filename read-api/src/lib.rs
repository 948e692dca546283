//! The query side. Every answer says what it reflects ([`at_least`]).

pub mod at_least;
pub mod cursor;
pub mod hub;
pub mod routes;
pub mod state;

pub use at_least::{Answer, AtLeast};
pub use state::ReadState;
