//! What every HTTP side of Daybook shares: problems, strict extractors,
//! credentials, limits, health and the API document. Nothing here knows a
//! command or a view.

pub mod address;
pub mod auth;
pub mod extract;
pub mod frame;
pub mod headers;
pub mod health;
mod json;
pub mod layers;
pub mod limits;
pub mod openapi;
pub mod problem;
mod problem_kinds;
pub mod problem_pages;
pub mod sse;
pub mod trace;

pub use auth::Principal;
pub use extract::{Id, Json, JsonBody, Path, Query};
pub use headers::{CorrelationId, IdempotencyKey, IfMatch};
pub use problem::{Kind, Problem};
