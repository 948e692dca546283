//! The directory of samples, and everything about one.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Kind, Path, Problem, Query};
use domain::ports::rows::{KeyRange, Query as RowQuery, StoredRow};
use domain::sample::Label;
use projections::style_fingerprints::rows::{Brief, SampleRow, State};
use projections::style_fingerprints::{ALL, BY_AUTHOR, BY_CORPUS, NAME, SAMPLES};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use styles::{Asked, Indicated, Reference, Report, indicated, page as report_page};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::answer::{Format, cells, maybe, page, table};
use super::known::{chosen, library};
use super::{StyleState, unusable, work};
use crate::at_least::{Answer, AtLeast};
use crate::routes::list::{List, Place};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at};

const MAX_LIMIT: usize = 1_000;
const MOST_KNOWN: usize = 2_000;

pub fn router() -> Router<StyleState> {
    Router::new()
        .route("/v1/samples", get(list))
        .route("/v1/samples/{id}", get(one))
        .route("/v1/samples/{id}/analysis", get(analysis))
}

#[derive(OpenApi)]
#[openapi(paths(list, one, analysis))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only samples of this author, by id.
    #[param(value_type = Option<String>)]
    author: Option<Id>,
    /// Only samples of this corpus.
    #[param(value_type = Option<String>)]
    corpus: Option<Id>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SampleBrief {
    id: String,
    title: Option<String>,
    author_id: Option<String>,
    author: Option<String>,
    genre: Option<String>,
    #[schema(value_type = Option<String>)]
    written_at: Option<jiff::civil::Date>,
    words: u64,
    /// ISO 639-3, where it was recognised.
    detected_language: Option<String>,
}

impl From<Brief> for SampleBrief {
    fn from(row: Brief) -> Self {
        let Brief { id, title, author_id, author, genre, written_at, words, bytes: _, detected } = row;
        Self { id, title, author_id, author, genre, written_at, words, detected_language: detected }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Samples {
    /// In the order of their ids. Withdrawn and erased ones are left out.
    samples: Vec<SampleBrief>,
    next: Option<String>,
}

/// The tenant's samples, of an author or a corpus if told.
#[utoipa::path(get, path = "/v1/samples", tag = "Samples", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Samples)))]
async fn list(
    Shared(state): Shared<StyleState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Samples>, Problem> {
    let (of, prefix) = match (&filter.author, &filter.corpus) {
        (Some(Id(author)), _) => (BY_AUTHOR, format!("{author}/")),
        (None, corpus) => (BY_CORPUS, format!("{}/", corpus.as_ref().map_or(ALL, |Id(id)| id))),
    };
    let wanted = filter.corpus.as_ref().map_or("", |Id(id)| id);
    if filter.author.is_some() && !wanted.is_empty() {
        return Err(Problem::parameter("corpus", "does not go with author"));
    }
    let list = List {
        projection: NAME,
        scope: &["samples", reader.tenant.as_str(), of, &prefix],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        let after = after.map(|place| place.key);
        RowQuery::range(of, KeyRange { prefix: prefix.clone(), after, limit, ..KeyRange::default() })
    };
    let keep = |row: &StoredRow| parse::<Brief>(row).map(|brief| Some(brief.into()));
    let found = list.page(&state.read, &reader, query, keep).await?;
    Ok(Answer::new(&found.snapshot, Samples { samples: found.items, next: found.next }))
}

#[derive(Debug, Serialize, ToSchema)]
struct SampleBody {
    id: String,
    /// For `If-Match` of its commands.
    version: u64,
    /// pending, recorded, withdrawn or erased. Of an erased one nothing else
    /// is known.
    state: String,
    /// Whose personal data the text is: erase `author:<subject>`.
    subject: Option<String>,
    title: Option<String>,
    label: Label,
    format: String,
    bytes: u64,
    words: u64,
    detected_language: Option<String>,
    /// What weakens every figure: no_words, too_short, short, language_unsure,
    /// not_english.
    flags: Vec<String>,
}

impl From<SampleRow> for SampleBody {
    fn from(row: SampleRow) -> Self {
        let state = match row.state {
            State::Pending => "pending",
            State::Recorded => "recorded",
            State::Withdrawn => "withdrawn",
            State::Erased => "erased",
        };
        Self {
            id: row.id,
            version: row.version,
            state: state.to_owned(),
            subject: row.subject,
            title: row.title,
            label: row.label,
            format: row.format,
            bytes: row.bytes,
            words: row.words,
            detected_language: row.detected,
            flags: row.flags,
        }
    }
}

/// One sample without its text. The ETag is its version.
#[utoipa::path(get, path = "/v1/samples/{id}", tag = "Samples", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = SampleBody), (status = 304)))]
async fn one(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let queries = [RowQuery::get(SAMPLES, &id)];
    let snapshot = state.read.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row: SampleRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let version = row.version;
    Ok(Answer::new(&snapshot, SampleBody::from(row)).version(version).unless_known(&headers))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Against {
    /// Compare with the known texts of this corpus; of all unless told.
    #[param(value_type = Option<String>)]
    corpus: Option<Id>,
    /// json, csv or html; else by `Accept`.
    format: Option<String>,
}

/// Everything about one sample: figures, indicators of machine writing (never
/// proof), and among the authors of the other samples the nearest and whether it
/// may be theirs, with what speaks for it by feature and by sentence. Under 500
/// words no verdict is given. As a page it has pictures; as CSV the candidates.
#[utoipa::path(
    get, path = "/v1/samples/{id}/analysis", tag = "Style", params(("id" = String, Path), Against, GenerationParameter, ReadHeaders),
    responses((status = 200, description = "`report` is null where fewer than two authors are known", content((Object = "application/json"), (String = "text/csv"), (String = "text/html"))))
)]
async fn analysis(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    Query(against): Query<Against>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of(against.format.as_deref(), &headers)?;
    let corpus = against.corpus.as_ref().map(|Id(id)| id.as_str());
    let known = chosen(&state, &reader, corpus, MOST_KNOWN).await?;
    let after = AtLeast::after(&known.snapshot);
    let read = state.read.read(NAME, &reader.tenant, &after, &[RowQuery::get(SAMPLES, &id)]).await?;
    let row: SampleRow = row_at(&read, 0)?.ok_or_else(Problem::not_found)?;
    if row.state != State::Recorded {
        let sample = SampleBody::from(row);
        return Err(Problem::new(Kind::Conflict, format!("The sample is {} and has no text.", sample.state)));
    }
    let turn = state.turn().await?;
    let mut ids: Vec<&str> = known.ids().filter(|known| *known != id).collect();
    ids.push(&id);
    let library = library(&*state.read.log, &reader.tenant, ids.into_iter()).await?;
    let entry =
        library.get(&reader.tenant, &id).filter(|e| e.is_readable()).ok_or_else(Problem::not_found)?;
    let asked = Asked { name: row.title.clone().unwrap_or_else(|| id.clone()), text: entry.text.clone() };
    let tenant = reader.tenant.clone();
    let (report, indicators) = work(turn, move || {
        let reference = Reference::of(&library, &tenant, &[id]);
        let report = match reference.authors().len() {
            0 | 1 => None,
            _ => Some(reference.report(&asked).map_err(unusable)?),
        };
        Ok((report, indicated(&asked)))
    })
    .await?;
    let snapshot = &known.snapshot;
    match (format, report) {
        (Format::Json, report) => Ok(Answer::new(snapshot, body(row, report, &indicators)).into_response()),
        (_, None) => {
            let detail = "There are no known texts of two authors to compare with; ask for JSON.";
            Err(Problem::new(Kind::Conflict, detail))
        }
        (Format::Html, Some(report)) => Ok(page(snapshot, report_page(&report))),
        (Format::Csv, Some(report)) => table(snapshot, candidates(&report)),
    }
}

fn body(row: SampleRow, report: Option<Report>, indicators: &Indicated) -> Value {
    json!({ "sample": SampleBody::from(row), "indicators": indicators, "report": report })
}

fn candidates(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![cells([
        &"author",
        &"distance",
        &"probability",
        &"burrows",
        &"cosine",
        &"eder",
        &"argamon",
        &"min_max",
        &"score",
        &"same_probability",
        &"verdict",
    ])];
    for c in &report.attribution.candidates {
        let verified = report.verification.candidates.iter().find(|v| v.author == c.author);
        let verdict = verified.and_then(|v| v.figures.verdict).and_then(|v| serde_json::to_value(v).ok());
        let d = &c.deltas;
        rows.push(cells([
            &c.author,
            &c.distance,
            &c.probability,
            &d.burrows,
            &d.cosine,
            &d.eder,
            &d.argamon,
            &d.min_max,
            &maybe(verified.map(|v| v.figures.score)),
            &maybe(verified.and_then(|v| v.figures.probability)),
            &verdict.as_ref().and_then(Value::as_str).unwrap_or_default(),
        ]));
    }
    rows
}
