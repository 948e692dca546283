//! Races for fantasy players, computed from what the log holds: projections
//! that are sealed before the green flag, and lineups.
//!
//! | module | what |
//! |---|---|
//! | [`facts`] | the races of a tenant, folded as the log grows |
//! | [`draw`] | one race drawn by a model that learned the races before it |
//! | [`seal`] | what is said of a race, as it is recorded |
//! | [`pick`] | lineups of a slate within limits |
//! | [`sealer`] | the same by itself, once before each green flag |
//! | [`routes`] | over HTTP, within bounds of time and number |

pub mod draw;
pub mod facts;
pub mod pick;
pub mod routes;
pub mod seal;
pub mod sealer;

pub use routes::{Racing, openapi, router};
pub use sealer::Sealer;
