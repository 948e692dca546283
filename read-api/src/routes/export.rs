//! CSV files of an event.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Path, Problem, Query};
use domain::TenantId;
use domain::ports::rows::{KeyRange, Query as RowQuery, Snapshot};
use domain::tap::Mode;
use futures::stream;
use projections::tap_analytics::rows::{BandTaps, Minute, key};
use projections::tap_analytics::{BANDS, EVENTS, MINUTES, NAME, SUMMARY};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::series::MODES;
use super::{EventKey, GenerationParameter, ReadHeaders, Reader, csv, parse, rows_at};
use crate::at_least::{AtLeast, reflect};
use crate::state::ReadState;

/// Rows that are in memory at once.
const PAGE: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/analytics/events/{id}/export.csv", get(export))
}

#[derive(OpenApi)]
#[openapi(paths(export))]
pub struct Doc;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Bands,
    Minutes,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct What {
    /// `bands` (unless told): a line a band. `minutes`: a line a minute of UTC
    /// with taps.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    rows: Kind,
}

/// All bands or minutes of an event as a CSV file of any length. The answer's
/// position is that of its first lines; later ones may reflect newer taps.
#[utoipa::path(get, path = "/v1/analytics/events/{id}/export.csv", tag = "Analytics", params(("id" = String, Path), What, GenerationParameter, ReadHeaders), responses((status = 200, body = String, content_type = "text/csv")))]
async fn export(
    State(state): State<ReadState>,
    Path(EventKey(id)): Path<EventKey>,
    Query(What { rows: kind }): Query<What>,
    reader: Reader,
) -> Result<Response, Problem> {
    let queries = [page(kind, &id, None), RowQuery::get(SUMMARY, &id), RowQuery::get(EVENTS, &id)];
    let first = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    if rows_at(&first, 1).is_empty() && rows_at(&first, 2).is_empty() {
        return Err(Problem::not_found());
    }
    let mut headers = HeaderMap::new();
    reflect(&mut headers, &first);
    headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
    let name = if kind == Kind::Bands { "bands" } else { "minutes" };
    // Ids have no quotes and are ASCII.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{id}-{name}.csv\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let (mut text, next) = lines(kind, &first)?;
    let mut start = heading(kind)?;
    start.append(&mut text);
    let at_least = AtLeast::after(&first);
    let export = Export { state, tenant: reader.tenant, at_least, event_id: id, kind };
    let rest = stream::try_unfold(next.map(|after| (export, after)), |left| async move {
        let Some((export, after)) = left else { return Ok(None) };
        let (text, next) = export.read(after).await.map_err(|_| Broken)?;
        Ok::<_, Broken>(Some((Bytes::from(text), next.map(|after| (export, after)))))
    });
    let start = stream::once(async { Ok(Bytes::from(start)) });
    Ok((headers, Body::from_stream(stream::StreamExt::chain(start, rest))).into_response())
}

/// Ends an answer in the middle, so that the client does not take it for all.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the rows could not be read any further")
    }
}

impl std::error::Error for Broken {}

struct Export {
    state: ReadState,
    tenant: TenantId,
    at_least: AtLeast,
    event_id: String,
    kind: Kind,
}

impl Export {
    /// The lines after a key, and the key to go on after.
    async fn read(&self, after: String) -> Result<(Vec<u8>, Option<String>), Problem> {
        let queries = [page(self.kind, &self.event_id, Some(after))];
        let snapshot = self.state.read(NAME, &self.tenant, &self.at_least, &queries).await?;
        lines(self.kind, &snapshot)
    }
}

fn page(kind: Kind, event_id: &str, after: Option<String>) -> RowQuery {
    let table = if kind == Kind::Bands { BANDS } else { MINUTES };
    let range = KeyRange { prefix: key(event_id, ""), after, limit: PAGE, ..KeyRange::default() };
    RowQuery::range(table, range)
}

fn heading(kind: Kind) -> Result<Vec<u8>, Problem> {
    let counts = ["taps", "bots", "previews"];
    match kind {
        Kind::Bands => {
            csv::rows([
                ["band_id", counts[0], counts[1], counts[2], "first_tap_at", "last_tap_at"].map(String::from)
            ])
        }
        Kind::Minutes => {
            let fixed = ["start", counts[0], counts[1], counts[2], "new_bands"];
            let names: Vec<&str> = fixed.into_iter().chain(MODES.map(Mode::as_str)).collect();
            let names: [String; 12] = std::array::from_fn(|i| names[i].to_owned());
            csv::rows([names])
        }
    }
}

fn lines(kind: Kind, snapshot: &Snapshot) -> Result<(Vec<u8>, Option<String>), Problem> {
    let rows = rows_at(snapshot, 0);
    let next = rows.get(PAGE - 1).map(|last| last.key.clone());
    let text = match kind {
        Kind::Bands => csv::rows(rows.iter().map(|r| parse(r).map(band)).collect::<Result<Vec<_>, _>>()?)?,
        Kind::Minutes => {
            csv::rows(rows.iter().map(|r| parse(r).map(minute)).collect::<Result<Vec<_>, _>>()?)?
        }
    };
    Ok((text, next))
}

fn band(row: BandTaps) -> [String; 6] {
    let time = |at: Option<jiff::Timestamp>| at.map_or(String::new(), |at| at.to_string());
    [
        row.band_id,
        row.taps.to_string(),
        row.bots.to_string(),
        row.previews.to_string(),
        time(row.first_tap_at),
        time(row.last_tap_at),
    ]
}

fn minute(row: Minute) -> [String; 12] {
    let mode = |i: usize| row.modes.0.get(MODES[i].as_str()).copied().unwrap_or(0).to_string();
    std::array::from_fn(|i| match i {
        0 => row.start.to_string(),
        1 => row.taps.to_string(),
        2 => row.bots.to_string(),
        3 => row.previews.to_string(),
        4 => row.new_bands.to_string(),
        _ => mode(i - 5),
    })
}
