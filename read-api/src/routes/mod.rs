//! One file per read model or small group of its questions.

pub mod analytics;
pub mod anomalies;
pub mod band_taps;
pub mod bands;
pub mod csv;
pub mod export;
mod list;
pub mod live;
pub mod live_events;
pub mod projections;
pub mod races;
pub mod retention;
pub mod rules;
pub mod series;
pub mod signals;
pub mod sql;
pub mod style;
pub mod tlog;
pub mod valuation_runs;
pub mod webhooks;

use ::projections::tap_analytics::NO_EVENT;
use ::projections::tap_analytics::rows::EventSettings;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use daybook_http::auth::Role;
use daybook_http::{Principal, Problem};
use domain::TenantId;
use domain::ids::{InvalidId, check_id};
use domain::ports::rows::{Snapshot, StoredRow};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, OpenApi};

use crate::at_least::AtLeast;
use crate::lens::{At, Lens, needs_a_build};
use crate::state::ReadState;

/// Everything about taps.
pub fn analytics_router() -> Router<ReadState> {
    Router::new()
        .merge(analytics::router())
        .merge(band_taps::router())
        .merge(series::router())
        .merge(retention::router())
        .merge(export::router())
        .merge(live::router())
}

/// Its part of the API document.
pub fn analytics_openapi() -> utoipa::openapi::OpenApi {
    let mut doc = analytics::Doc::openapi();
    doc.merge(band_taps::Doc::openapi());
    doc.merge(series::Doc::openapi());
    doc.merge(retention::Doc::openapi());
    doc.merge(export::Doc::openapi());
    doc.merge(live::Doc::openapi());
    doc
}

/// Directories and projections.
pub fn directory_router() -> Router<ReadState> {
    Router::new()
        .merge(live_events::router())
        .merge(bands::router())
        .merge(signals::router())
        .merge(rules::router())
        .merge(anomalies::router())
        .merge(webhooks::router())
        .merge(valuation_runs::router())
        .merge(projections::router())
}

/// Their part of the API document.
pub fn directory_openapi() -> utoipa::openapi::OpenApi {
    let mut doc = live_events::Doc::openapi();
    doc.merge(bands::Doc::openapi());
    doc.merge(signals::Doc::openapi());
    doc.merge(rules::Doc::openapi());
    doc.merge(anomalies::openapi());
    doc.merge(webhooks::Doc::openapi());
    doc.merge(valuation_runs::Doc::openapi());
    doc.merge(projections::Doc::openapi());
    doc
}

/// Whose rows are read, by a key with the role reader, and how new they must be.
pub struct Reader {
    pub tenant: TenantId,
    pub at_least: AtLeast,
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require(Role::Reader)?;
        let lens: Lens = parts.extensions.get().cloned().unwrap_or_default();
        if lens.at.is_some() {
            return Err(needs_a_build());
        }
        Self::through(principal, &lens, parts)
    }
}

impl Reader {
    fn through(principal: Principal, lens: &Lens, parts: &Parts) -> Result<Self, Problem> {
        let mut at_least = AtLeast::from_headers(&parts.headers)?;
        if lens.generation.is_some() {
            principal.require(Role::Operator)?;
            at_least.generation = lens.generation;
        }
        Ok(Self { tenant: principal.tenant, at_least })
    }
}

/// A reader of a view that can fold the past of one key.
pub struct PastReader {
    pub reader: Reader,
    pub at: Option<At>,
}

impl<S: Send + Sync> FromRequestParts<S> for PastReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require(Role::Reader)?;
        let lens: Lens = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Self { reader: Reader::through(principal, &lens, parts)?, at: lens.at })
    }
}

/// Parameter of reads that can fold the past of one key.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents the parameter")]
pub struct PastParameter {
    /// The state at a position or RFC 3339 time.
    #[param(required = false)]
    at: Option<String>,
}

/// Parameter that every read takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents the parameter")]
pub struct GenerationParameter {
    /// Rows of this generation instead of the live one. Role operator.
    #[param(required = false)]
    generation: Option<u32>,
}

/// Headers that every read takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the headers")]
pub struct ReadHeaders {
    /// The answer reflects at least this position of the log, or is 503.
    #[param(rename = "Daybook-At-Least", required = false)]
    at_least: Option<u64>,
    /// `wait=<seconds>`: how long to wait for that, 10 unless told, 60 at most.
    #[param(rename = "Prefer", required = false)]
    prefer: Option<String>,
}

/// The id of an event, or `-` for taps of bands that belong to none.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct EventKey(pub String);

impl TryFrom<String> for EventKey {
    type Error = InvalidId;

    fn try_from(id: String) -> Result<Self, InvalidId> {
        if id != NO_EVENT {
            check_id(&id)?;
        }
        Ok(Self(id))
    }
}

/// The rows that answer query number `index`.
pub fn rows_at(snapshot: &Snapshot, index: usize) -> &[StoredRow] {
    snapshot.results.get(index).map_or(&[], Vec::as_slice)
}

pub fn parse<T: DeserializeOwned>(row: &StoredRow) -> Result<T, Problem> {
    serde_json::from_str(&row.doc).map_err(Problem::internal)
}

/// The one row that answers query number `index`.
pub fn row_at<T: DeserializeOwned>(snapshot: &Snapshot, index: usize) -> Result<Option<T>, Problem> {
    rows_at(snapshot, index).first().map(parse).transpose()
}

/// The zone that the event's hours and days are those of. UTC for taps without
/// an event.
pub fn zone_of(settings: Option<&EventSettings>) -> TimeZone {
    settings.and_then(|s| domain::time::zone(&s.time_zone).ok()).unwrap_or(TimeZone::UTC)
}

/// `limit` within its bounds.
pub fn limit(given: Option<usize>, default: usize, max: usize) -> Result<usize, Problem> {
    match given.unwrap_or(default) {
        n if (1..=max).contains(&n) => Ok(n),
        _ => Err(Problem::parameter("limit", format!("must be 1 to {max}"))),
    }
}
