//! Passages of one sample: whose known texts each stands nearest to, and which
//! are unlike the rest.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use serde::Deserialize;
use styles::Rolled;
use utoipa::{IntoParams, OpenApi};

use super::answer::{Format, cells, json, table};
use super::known::{Question, Text};
use super::{StyleState, unusable, work};
use crate::routes::{GenerationParameter, ReadHeaders, Reader};

const WINDOW: u32 = 1_000;
const STEP: u32 = 250;
const WINDOWS: std::ops::RangeInclusive<u32> = 100..=100_000;
const STEPS: std::ops::RangeInclusive<u32> = 10..=100_000;

pub fn router() -> Router<StyleState> {
    Router::new().route("/v1/samples/{id}/rolling", get(rolling))
}

#[derive(OpenApi)]
#[openapi(paths(rolling))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Passages {
    /// Compare with the known texts of this corpus; of all unless told.
    #[param(value_type = Option<String>)]
    corpus: Option<Id>,
    /// Words of a window, 100 to 100,000; 1,000 unless told.
    window: Option<u32>,
    /// Words from one window's start to the next, 10 to 100,000; 250 unless
    /// told, and more where there would be more than 2,000 windows.
    step: Option<u32>,
    /// json or csv; else by `Accept`.
    format: Option<String>,
}

fn within(
    name: &'static str,
    given: Option<u32>,
    usual: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<usize, Problem> {
    let value = given.unwrap_or(usual);
    match range.contains(&value) {
        true => Ok(value as usize),
        false => Err(Problem::parameter(name, format!("must be {} to {}", range.start(), range.end()))),
    }
}

/// A sample in windows, each attributed among the authors of the other samples
/// for itself: places in bytes of the normalised text, distances, the nearest,
/// and how far a window stands apart from the others (above 3.5: unlike them).
#[utoipa::path(
    get, path = "/v1/samples/{id}/rolling", tag = "Style", params(("id" = String, Path), Passages, GenerationParameter, ReadHeaders),
    responses((status = 200, content((Object = "application/json"), (String = "text/csv"))))
)]
async fn rolling(
    Shared(state): Shared<StyleState>,
    Path(id): Path<Id>,
    Query(asked): Query<Passages>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of_table(asked.format.as_deref(), &headers)?;
    let size = within("window", asked.window, WINDOW, WINDOWS)?;
    let step = within("step", asked.step, STEP, STEPS)?;
    let corpus = asked.corpus.as_ref().map(|Id(id)| id.as_str());
    let texts = vec![("samples", 0, Text::of_sample(id))];
    // The id stands in the path: whatever is wrong with it, there is no such sample.
    let absent = |problem: Problem| match problem.kind() {
        daybook_http::Kind::InvalidField => Problem::not_found(),
        _ => problem,
    };
    let (question, turn) = Question::new(&state, &reader, texts, corpus).await.map_err(absent)?;
    let snapshot = question.snapshot.clone();
    let rolled =
        work(turn, move || question.reference().rolling(&question.asked[0], size, step).map_err(unusable))
            .await?;
    match format {
        Format::Csv => table(&snapshot, rows(&rolled)),
        _ => Ok(json(&snapshot, rolled)),
    }
}

fn rows(rolled: &Rolled) -> Vec<Vec<String>> {
    let mut rows = vec![cells([&"start", &"end", &"words", &"nearest", &"distance", &"apart"])];
    rows.extend(rolled.windows.iter().map(|w| {
        let nearest = rolled.authors.get(w.nearest).map_or("", String::as_str);
        let distance = w.distances.get(w.nearest).copied().unwrap_or(f64::NAN);
        cells([&w.span.start, &w.span.end, &w.words, &nearest, &distance, &w.apart])
    }));
    rows
}
