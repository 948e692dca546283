//! The write side: `POST /v1/<kind>s/{id}/<command>` with the command's fields
//! as JSON, answered with what was recorded.

pub mod caller;
pub mod execute;
pub mod many;

mod reply;
mod routes;
pub mod samples;
pub mod signals;

use std::sync::Arc;

use axum::Router;
use daybook_http::auth::KeyRing;
use utoipa::OpenApi;

pub use execute::{BulkLimits, Services};
pub use reply::{Outcome, StoredOutcome};
pub use routes::keys::record_uses;
pub use routes::privacy::{Subjects, router as subjects};
pub use routes::schemas::{SchemaState, router as schemas};
pub use routes::webhooks::{Webhooks, router as webhooks};
pub use routes::{NoFields, write};

/// Every command's route but those of [`subjects`], [`webhooks`], [`schemas`],
/// [`samples`] and [`signals`].
pub fn router(services: Services, ring: Arc<KeyRing>) -> Router {
    Router::new()
        .merge(routes::live_events::router())
        .merge(routes::bands::router())
        .merge(routes::bulk::router())
        .merge(routes::rules::router())
        .merge(routes::anomalies::router())
        .merge(routes::races::router())
        .merge(routes::tenant::router())
        .with_state(services.clone())
        .merge(routes::keys::router(services, ring))
}

/// The commands' part of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut doc = routes::live_events::Doc::openapi();
    doc.merge(routes::bands::Doc::openapi());
    doc.merge(routes::bulk::Doc::openapi());
    doc.merge(routes::tenant::Doc::openapi());
    doc.merge(routes::rules::Doc::openapi());
    doc.merge(routes::anomalies::Doc::openapi());
    doc.merge(routes::webhooks::Doc::openapi());
    doc.merge(routes::schemas::Doc::openapi());
    doc.merge(routes::races::Doc::openapi());
    doc.merge(routes::keys::Doc::openapi());
    doc.merge(routes::privacy::Doc::openapi());
    doc.merge(samples::Doc::openapi());
    doc.merge(signals::Doc::openapi());
    doc
}
