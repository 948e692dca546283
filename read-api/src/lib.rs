//! The query side. Every answer says what it reflects ([`at_least`]).

pub mod at_least;
pub mod cursor;
pub mod hub;
mod lens;
pub mod routes;
pub mod state;

use axum::Router;

pub use at_least::{Answer, AtLeast};
pub use lens::layer as lens_layer;
pub use state::ReadState;

/// Every question's route.
pub fn router(state: ReadState) -> Router {
    let reads = routes::analytics_router().merge(routes::directory_router()).merge(routes::races::router());
    let reads = reads.with_state(state.clone()).merge(routes::style::router(state));
    reads.layer(axum::middleware::from_fn(lens::layer))
}

/// The questions' part of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut doc = routes::analytics_openapi();
    doc.merge(routes::directory_openapi());
    doc.merge(routes::style::openapi());
    doc.merge(routes::races::openapi());
    doc
}
