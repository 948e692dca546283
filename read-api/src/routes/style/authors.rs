//! Authors and their fingerprints.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::{KeyRange, Query as RowQuery, Snapshot, StoredRow};
use projections::style_fingerprints::rows::AuthorRow;
use projections::style_fingerprints::{AUTHORS, NAME};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::answer::{Format, cells, maybe, table};
use super::{StyleState, maker};
use crate::at_least::Answer;
use crate::routes::list::{List, Place};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at};

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<StyleState> {
    Router::new().route("/v1/authors", get(list)).route("/v1/authors/{id}/fingerprint", get(fingerprint))
}

#[derive(OpenApi)]
#[openapi(paths(list, fingerprint))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// json or csv; else by `Accept`.
    format: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct Author {
    /// The subject that the author's texts belong to.
    id: String,
    name: String,
    samples: u64,
    words: u64,
    /// Samples too short to count.
    passed_over: u64,
    first_year: Option<i16>,
    last_year: Option<i16>,
    /// As many samples of equal weight would say as much.
    effective_samples: f64,
    /// What weakens every figure: too_short, short, one_sample, not_english,
    /// mixed_languages, undated, old_left_out.
    flags: Vec<String>,
}

impl From<&AuthorRow> for Author {
    fn from(row: &AuthorRow) -> Self {
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            samples: row.samples,
            words: row.words,
            passed_over: row.passed_over,
            first_year: row.years.keys().next().copied(),
            last_year: row.years.keys().next_back().copied(),
            effective_samples: row.estimate.effective as f64 / 1e3,
            flags: row.flags.clone(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Authors {
    /// In the order of their ids.
    authors: Vec<Author>,
    next: Option<String>,
}

/// The tenant's authors: who has a sample that is there.
#[utoipa::path(
    get, path = "/v1/authors", tag = "Style", params(Pages, GenerationParameter, ReadHeaders),
    responses((status = 200, content((Authors = "application/json"), (String = "text/csv"))))
)]
async fn list(
    Shared(state): Shared<StyleState>,
    Query(pages): Query<Pages>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of_table(pages.format.as_deref(), &headers)?;
    let list = List {
        projection: NAME,
        scope: &["authors", reader.tenant.as_str()],
        limit: limit(pages.limit, 100, MAX_LIMIT)?,
        cursor: pages.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        let after = after.map(|place| place.key);
        RowQuery::range(AUTHORS, KeyRange { after, limit, ..KeyRange::default() })
    };
    let keep = |row: &StoredRow| parse::<AuthorRow>(row).map(|row| Some(Author::from(&row)));
    let page = list.page(&state.read, &reader, query, keep).await?;
    if format == Format::Csv {
        let mut rows = vec![cells([
            &"id",
            &"name",
            &"samples",
            &"words",
            &"first_year",
            &"last_year",
            &"effective_samples",
            &"flags",
        ])];
        rows.extend(page.items.iter().map(|a| {
            cells([
                &a.id,
                &a.name,
                &a.samples,
                &a.words,
                &maybe(a.first_year),
                &maybe(a.last_year),
                &a.effective_samples,
                &a.flags.join(" "),
            ])
        }));
        return table(&page.snapshot, rows);
    }
    Ok(Answer::new(&page.snapshot, Authors { authors: page.items, next: page.next }).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct As {
    /// json or csv; else by `Accept`.
    format: Option<String>,
}

/// A number of a fingerprint.
#[derive(Debug, Serialize, ToSchema)]
struct Feature {
    /// A function word, a bucket of n-grams or a figure.
    name: String,
    /// Share of all words or n-grams; of a figure, the figure.
    mean: f64,
    /// 95 % interval of the mean, samples taken for independent; absent of one
    /// sample.
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Fingerprint {
    #[serde(flatten)]
    author: Author,
    /// Samples that count, by year; later years count more.
    years: std::collections::BTreeMap<i16, u64>,
    undated: u64,
    languages: std::collections::BTreeMap<String, u64>,
    model: String,
    #[schema(value_type = Object)]
    parameters: serde_json::Value,
    features: Vec<Feature>,
}

/// What an author's samples have in common, newer ones counting more.
#[utoipa::path(
    get, path = "/v1/authors/{id}/fingerprint", tag = "Style", params(("id" = String, Path), As, GenerationParameter, ReadHeaders),
    responses((status = 200, content((Fingerprint = "application/json"), (String = "text/csv"))))
)]
async fn fingerprint(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    Query(wanted): Query<As>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of_table(wanted.format.as_deref(), &headers)?;
    let queries = [RowQuery::get(AUTHORS, &id)];
    let snapshot = state.read.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row: AuthorRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let features = features(&snapshot, &row)?;
    if format == Format::Csv {
        let mut rows = vec![cells([&"feature", &"mean", &"low", &"high"])];
        rows.extend(features.iter().map(|f| cells([&f.name, &f.mean, &maybe(f.low), &maybe(f.high)])));
        return table(&snapshot, rows);
    }
    let body = Fingerprint {
        author: Author::from(&row),
        years: row.years,
        undated: row.undated,
        languages: row.languages,
        model: snapshot.model.to_string(),
        parameters: snapshot.model.parameters.clone(),
        features,
    };
    Ok(Answer::new(&snapshot, body).into_response())
}

fn features(snapshot: &Snapshot, row: &AuthorRow) -> Result<Vec<Feature>, Problem> {
    let maker = maker(snapshot)?;
    let (names, units) = (maker.names(), maker.units());
    let half = row.estimate.half.as_ref();
    let each = names.into_iter().zip(units).zip(&row.estimate.mean).enumerate();
    let of = |(i, ((name, unit), mean)): (usize, ((String, f64), &i64))| {
        let half = half.and_then(|h| h.get(i).copied());
        let at = |sign: i64| half.map(|half| (mean + sign * half) as f64 / unit);
        // There are no negative shares.
        let low = at(-1).map(|low| if i < maker.counted() { low.max(0.0) } else { low });
        Feature { name, mean: *mean as f64 / unit, low, high: at(1) }
    };
    Ok(each.map(of).collect())
}
