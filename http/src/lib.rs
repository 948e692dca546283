//! What every HTTP side of Daybook shares: problems, strict extractors,
//! credentials, limits, health and the API document. Nothing here knows a
//! command or a view.

pub mod auth;
pub mod extract;
pub mod headers;
mod json;
pub mod problem;
mod problem_kinds;

pub use auth::Principal;
pub use extract::{Id, Json, JsonBody, Path, Query};
pub use headers::{CorrelationId, IdempotencyKey, IfMatch};
pub use problem::{Kind, Problem};
