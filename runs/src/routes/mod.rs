//! `/v1/instruments`, `/v1/positions`, `/v1/marketdata/snapshots`,
//! `/v1/position-snapshots`, `/v1/runs`, `/v1/results`, `/v1/repricings`. The replaced service had
//! them under `/api`, where they are, too.

mod bulk;
mod instruments;
mod marketdata;
mod pins;
mod positions;
mod repricings;
mod results;
mod rows;
mod runs;
mod slices;
mod tables;

use axum::Router;
use utoipa::OpenApi;

use crate::Desk;

pub use rows::csv_row;

/// What a role's process serves.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    pub commands: bool,
    pub reads: bool,
}

pub fn router(desk: Desk, served: Served) -> Router {
    let mut routes = Router::new();
    if served.commands {
        routes = routes
            .merge(instruments::router())
            .merge(positions::router())
            .merge(bulk::router())
            .merge(marketdata::router())
            .merge(pins::router())
            .merge(runs::router())
            .merge(repricings::router());
    }
    if served.reads {
        routes = routes
            .merge(instruments::reads())
            .merge(positions::reads())
            .merge(marketdata::reads())
            .merge(pins::reads())
            .merge(runs::reads())
            .merge(results::router());
    }
    Router::new().nest("/api", routes.clone()).merge(routes).with_state(desk)
}

pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut doc = instruments::Doc::openapi();
    doc.merge(positions::Doc::openapi());
    doc.merge(bulk::Doc::openapi());
    doc.merge(marketdata::Doc::openapi());
    doc.merge(pins::Doc::openapi());
    doc.merge(runs::Doc::openapi());
    doc.merge(results::Doc::openapi());
    doc.merge(repricings::Doc::openapi());
    doc
}
