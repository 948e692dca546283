//! How an author's style moves over time.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::Source;
use models_stylometry::MIN_WORDS;
use models_stylometry::drift::{Change, DRIFT, LEAST_SIDE};
use models_stylometry::fingerprint::Fingerprinter;
use projections::style_fingerprints::NAME;
use projections::style_fingerprints::series::{Series, SeriesError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::answer::{Format, cells, maybe, table};
use super::{StyleState, maker, work};
use crate::at_least::Answer;
use crate::routes::{GenerationParameter, ReadHeaders, Reader};
use crate::state::problem;

pub fn router() -> Router<StyleState> {
    Router::new().route("/v1/authors/{id}/drift", get(drift))
}

#[derive(OpenApi)]
#[openapi(paths(drift))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct As {
    /// json or csv; else by `Accept`.
    format: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Placed {
    sample: String,
    title: Option<String>,
    #[schema(value_type = Option<String>)]
    written_at: Option<jiff::civil::Date>,
    words: u64,
    /// From the samples before it, which fade by the model's half-life: root
    /// mean square in standard deviations.
    distance: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MovedFeature {
    name: String,
    before: f64,
    after: f64,
    /// After minus before, in standard deviations.
    deviations: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChangeBody {
    /// The first sample of the new style.
    sample: String,
    #[schema(value_type = Option<String>)]
    written_at: Option<jiff::civil::Date>,
    /// Share of random orders of the same samples with a change as great.
    p_value: f64,
    distance: f64,
    features: Vec<MovedFeature>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DriftBody {
    author_id: String,
    model: &'static str,
    fingerprint: String,
    changes: Vec<ChangeBody>,
    /// In order of their dates: the newest 200 of at least 500 words.
    samples: Vec<Placed>,
    /// Why nothing can be said, if so.
    warnings: Vec<String>,
}

/// Where an author's style changed, and how far each sample lies from those
/// before it.
#[utoipa::path(
    get, path = "/v1/authors/{id}/drift", tag = "Style", params(("id" = String, Path), As, GenerationParameter, ReadHeaders),
    responses((status = 200, content((DriftBody = "application/json"), (String = "text/csv"))))
)]
async fn drift(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    Query(wanted): Query<As>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of_table(wanted.format.as_deref(), &headers)?;
    // Waits for the position that is asked for.
    let read = state.read.read(NAME, &reader.tenant, &reader.at_least, &[]).await?;
    let turn = state.turn().await?;
    let source = Source::Generation(read.generation);
    let series = Series::read(&*state.read.rows, &source, &reader.tenant, &id).await;
    let series = series.map_err(|error| match error {
        SeriesError::Rows(error) => problem(error),
        SeriesError::Row(error) => Problem::internal(error),
    })?;
    let series = series.ok_or_else(Problem::not_found)?;
    let maker = maker(&series.snapshot)?;
    let (series, maker, found) = work(turn, move || {
        let found = series.drift(&maker);
        Ok((series, maker, found))
    })
    .await?;
    let placed = series.samples.iter().zip(&found.distances).map(|(row, distance)| Placed {
        sample: row.id.clone(),
        title: row.title.clone(),
        written_at: row.label.written_at,
        words: row.words,
        distance: *distance,
    });
    let samples: Vec<Placed> = placed.collect();
    if format == Format::Csv {
        let mut out = vec![cells([&"sample", &"written_at", &"words", &"distance", &"change"])];
        out.extend(samples.iter().enumerate().map(|(i, s)| {
            let change = found.changes.iter().any(|c| c.at == i);
            cells([&s.sample, &maybe(s.written_at), &s.words, &maybe(s.distance), &change])
        }));
        return table(&series.snapshot, out);
    }
    let mut warnings = Vec::new();
    if samples.len() < 2 * LEAST_SIDE {
        let least = 2 * LEAST_SIDE;
        warnings.push(format!(
            "{} dated samples of at least {MIN_WORDS} words: under {least} no change can be told",
            samples.len()
        ));
    }
    let body = DriftBody {
        author_id: id,
        model: DRIFT,
        fingerprint: series.snapshot.model.to_string(),
        changes: found.changes.iter().map(|c| change(c, &samples, &maker)).collect(),
        samples,
        warnings,
    };
    Ok(Answer::new(&series.snapshot, body).into_response())
}

fn change(change: &Change, samples: &[Placed], maker: &Fingerprinter) -> ChangeBody {
    let (names, units) = (maker.names(), maker.units());
    let moved = change.moved.iter().map(|m| MovedFeature {
        name: names[m.feature].clone(),
        before: m.before / units[m.feature],
        after: m.after / units[m.feature],
        deviations: m.deviations,
    });
    ChangeBody {
        sample: samples[change.at].sample.clone(),
        written_at: samples[change.at].written_at,
        p_value: change.p_value,
        distance: change.distance,
        features: moved.collect(),
    }
}
