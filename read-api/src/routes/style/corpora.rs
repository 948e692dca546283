//! Corpora: what is in them, how alike it is, and whose fingerprint each sample
//! is nearest to.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Kind, Path, Problem, Query};
use domain::TenantId;
use domain::ports::rows::{KeyRange, Query as RowQuery, RowStore, Snapshot, Source, StoredRow};
use models_stylometry::MIN_WORDS;
use models_stylometry::fingerprint::{Labelled, nearest};
use projections::style_fingerprints::rows::{Brief, CorpusRow, SampleRow, State};
use projections::style_fingerprints::{BY_CORPUS, CORPORA, NAME, SAMPLES};
use serde::{Deserialize, Serialize};
use styles::{Grouped, grouped, grouped_page};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::answer::{Format, cells, json, maybe, page, table};
use super::known::texts;
use super::{StyleState, maker, work};
use crate::at_least::Answer;
use crate::routes::list::{List, Place};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, limit, parse, rows_at};
use crate::state::problem;

const MAX_LIMIT: usize = 1_000;
/// Texts of a matrix: all pairs are compared.
const MOST_GROUPED: usize = 1_000;
/// Samples that are placed among fingerprints at once.
const MOST_PLACED: usize = 5_000;

pub fn router() -> Router<StyleState> {
    Router::new()
        .route("/v1/corpora", get(list))
        .route("/v1/corpora/{id}/matrix", get(matrix))
        .route("/v1/corpora/{id}/clusters", get(clusters))
        .route("/v1/corpora/{id}/attributions", get(attributions))
}

#[derive(OpenApi)]
#[openapi(paths(list, matrix, clusters, attributions))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Corpus {
    id: String,
    samples: u64,
    words: u64,
    languages: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Corpora {
    /// In the order of their ids; every sample is in `all`.
    corpora: Vec<Corpus>,
    next: Option<String>,
}

/// The tenant's corpora.
#[utoipa::path(get, path = "/v1/corpora", tag = "Style", params(Pages, GenerationParameter, ReadHeaders), responses((status = 200, body = Corpora)))]
async fn list(
    Shared(state): Shared<StyleState>,
    Query(pages): Query<Pages>,
    reader: Reader,
) -> Result<Answer<Corpora>, Problem> {
    let list = List {
        projection: NAME,
        scope: &["corpora", reader.tenant.as_str()],
        limit: limit(pages.limit, 100, MAX_LIMIT)?,
        cursor: pages.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        let after = after.map(|place| place.key);
        RowQuery::range(CORPORA, KeyRange { after, limit, ..KeyRange::default() })
    };
    let keep = |row: &StoredRow| {
        let CorpusRow { id, samples, words, languages, .. } = parse(row)?;
        Ok(Some(Corpus { id, samples, words, languages }))
    };
    let page = list.page(&state.read, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Corpora { corpora: page.items, next: page.next }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Grouping {
    /// How many groups to make; without it, where the distance jumps most.
    groups: Option<usize>,
    /// json, csv or html; else by `Accept`.
    format: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct As {
    /// json, csv or html; else by `Accept`.
    format: Option<String>,
}

async fn compared(
    state: &StyleState,
    reader: &Reader,
    id: &str,
    groups: Option<usize>,
) -> Result<(Snapshot, Grouped), Problem> {
    let (snapshot, asked, turn) = texts(state, reader, id, MOST_GROUPED).await?;
    match asked.len() {
        0 => return Err(Problem::not_found()),
        1 | 2 => {
            let detail = format!("Corpus {id} has {} texts; three are needed.", asked.len());
            return Err(Problem::new(Kind::Conflict, detail));
        }
        _ => {}
    }
    if groups.is_some_and(|n| n == 0 || n > asked.len()) {
        return Err(Problem::parameter("groups", format!("must be 1 to {}", asked.len())));
    }
    let found = work(turn, move || Ok(grouped(&asked, groups))).await?;
    Ok((snapshot, found))
}

/// Cosine Delta between all samples of a corpus over their 500 most frequent
/// words, in the order of a dendrogram. At most 1,000 texts and 64 MiB.
#[utoipa::path(
    get, path = "/v1/corpora/{id}/matrix", tag = "Style", params(("id" = String, Path), As, GenerationParameter, ReadHeaders),
    responses((status = 200, content((Object = "application/json"), (String = "text/csv"), (String = "text/html"))))
)]
async fn matrix(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    Query(wanted): Query<As>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of(wanted.format.as_deref(), &headers)?;
    let (snapshot, found) = compared(&state, &reader, &id, None).await?;
    match format {
        Format::Html => Ok(page(&snapshot, grouped_page(&id, &found))),
        Format::Json => {
            let names: Vec<&str> = found.texts.iter().map(|t| t.text.as_str()).collect();
            let body = serde_json::json!({
                "texts": names, "distances": found.distances, "order": found.order, "warnings": found.warnings,
            });
            Ok(json(&snapshot, body))
        }
        Format::Csv => {
            let mut rows = vec![vec![String::new()]];
            rows[0].extend(found.order.iter().map(|i| found.texts[*i].text.clone()));
            rows.extend(found.order.iter().map(|i| {
                let mut row = vec![found.texts[*i].text.clone()];
                row.extend(found.order.iter().map(|j| found.distances[*i][*j].to_string()));
                row
            }));
            table(&snapshot, rows)
        }
    }
}

/// Groups of a corpus' samples by style (average linkage), and those that stand
/// apart from all others.
#[utoipa::path(
    get, path = "/v1/corpora/{id}/clusters", tag = "Style", params(("id" = String, Path), Grouping, GenerationParameter, ReadHeaders),
    responses((status = 200, content((Object = "application/json"), (String = "text/csv"), (String = "text/html"))))
)]
async fn clusters(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    Query(wanted): Query<Grouping>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of(wanted.format.as_deref(), &headers)?;
    let (snapshot, found) = compared(&state, &reader, &id, wanted.groups).await?;
    match format {
        Format::Html => Ok(page(&snapshot, grouped_page(&id, &found))),
        Format::Json => Ok(json(&snapshot, found)),
        Format::Csv => {
            let mut rows = vec![cells([&"text", &"group", &"words", &"apart"])];
            let each = found.order.iter().map(|at| &found.texts[*at]);
            rows.extend(each.map(|t| cells([&t.text, &t.group, &t.words, &t.apart])));
            table(&snapshot, rows)
        }
    }
}

/// A sample among the fingerprints of its corpus' authors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attribution {
    pub sample: String,
    pub title: Option<String>,
    pub words: u64,
    /// As it is labelled.
    pub author: Option<String>,
    /// Whose other samples it is nearest to; null under 500 words or where
    /// nobody has another sample.
    pub nearest: Option<String>,
    /// Cosine Delta over what fingerprints count.
    pub distance: Option<f64>,
    pub second: Option<String>,
    /// Distance of the second minus that of the first.
    pub margin: Option<f64>,
    /// What speaks most for the first against the second.
    pub features: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Attributions {
    model: String,
    #[schema(value_type = Object)]
    parameters: serde_json::Value,
    /// Samples with a label whose nearest author is theirs, of those that have
    /// one.
    right: usize,
    labelled: usize,
    attributions: Vec<Attribution>,
}

/// Each sample of a corpus against the fingerprints of its authors, made of
/// their other samples: what this generation's model makes of known texts. Two
/// generations compared tell which attributions flip.
#[utoipa::path(
    get, path = "/v1/corpora/{id}/attributions", tag = "Style", params(("id" = String, Path), As, GenerationParameter, ReadHeaders),
    responses((status = 200, content((Attributions = "application/json"), (String = "text/csv"))))
)]
async fn attributions(
    Shared(state): Shared<StyleState>,
    Path(Id(id)): Path<Id>,
    Query(wanted): Query<As>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = Format::of_table(wanted.format.as_deref(), &headers)?;
    // Waits for the position that is asked for.
    let snapshot = state.read.read(NAME, &reader.tenant, &reader.at_least, &[]).await?;
    let turn = state.turn().await?;
    let source = Source::Generation(snapshot.generation.clone());
    let (snapshot, rows) = rows_of(&*state.read.rows, &source, &reader.tenant, &id).await?;
    if rows.is_empty() {
        return Err(Problem::not_found());
    }
    let counted = maker(&snapshot)?;
    let found = work(turn, move || Ok(placed(&rows, &counted))).await?;
    if format == Format::Csv {
        let mut out =
            vec![cells([&"sample", &"words", &"author", &"nearest", &"distance", &"second", &"margin"])];
        out.extend(found.iter().map(|a| {
            let name = |name: &Option<String>| name.clone().unwrap_or_default();
            cells([
                &a.sample,
                &a.words,
                &name(&a.author),
                &name(&a.nearest),
                &maybe(a.distance),
                &name(&a.second),
                &maybe(a.margin),
            ])
        }));
        return table(&snapshot, out);
    }
    let labelled = found.iter().filter(|a| a.author.is_some() && a.nearest.is_some());
    let body = Attributions {
        model: snapshot.model.to_string(),
        parameters: snapshot.model.parameters.clone(),
        right: labelled.clone().filter(|a| a.author == a.nearest).count(),
        labelled: labelled.count(),
        attributions: found,
    };
    Ok(Answer::new(&snapshot, body).into_response())
}

/// The same for whoever has the rows at hand.
pub async fn attributions_of(
    rows: &dyn RowStore,
    source: &Source,
    tenant: &TenantId,
    corpus: &str,
) -> Result<(Snapshot, Vec<Attribution>), Problem> {
    let (snapshot, rows) = rows_of(rows, source, tenant, corpus).await?;
    let maker = maker(&snapshot)?;
    Ok((snapshot, placed(&rows, &maker)))
}

/// Samples of a corpus that count.
async fn rows_of(
    rows: &dyn RowStore,
    source: &Source,
    tenant: &TenantId,
    corpus: &str,
) -> Result<(Snapshot, Vec<SampleRow>), Problem> {
    let queries = [RowQuery::prefix(BY_CORPUS, &format!("{corpus}/"), MOST_PLACED + 1)];
    let snapshot = rows.read(source, tenant, &queries).await.map_err(problem)?;
    let briefs = rows_at(&snapshot, 0).iter().map(parse).collect::<Result<Vec<Brief>, _>>()?;
    if briefs.len() > MOST_PLACED {
        let detail = format!("Corpus {corpus} has more than {MOST_PLACED} samples; name a smaller one.");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let queries: Vec<RowQuery> = briefs.iter().map(|b| RowQuery::get(SAMPLES, &b.id)).collect();
    let generation = Source::Generation(snapshot.generation.clone());
    let read = rows.read(&generation, tenant, &queries).await.map_err(problem)?;
    let found = read.results.iter().flatten().map(parse).collect::<Result<Vec<SampleRow>, _>>()?;
    Ok((snapshot, found.into_iter().filter(|row| row.state == State::Recorded).collect()))
}

fn placed(rows: &[SampleRow], maker: &models_stylometry::fingerprint::Fingerprinter) -> Vec<Attribution> {
    let mut names: Vec<&str> = rows.iter().filter_map(|r| r.label.author.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    let number = |name: &str| names.binary_search(&name).ok();
    let texts: Vec<Labelled<'_>> = rows
        .iter()
        .map(|row| Labelled {
            author: row.label.author.as_deref().and_then(number),
            words: usize::try_from(row.words).unwrap_or(usize::MAX),
            row: &row.vector,
        })
        .collect();
    let features = maker.names();
    let found = nearest(&texts, names.len(), maker.counted());
    let one = |(row, found): (&SampleRow, Option<models_stylometry::fingerprint::Nearest>)| {
        let found = found.filter(|_| row.words >= MIN_WORDS as u64);
        let name = |at: usize| names[at].to_owned();
        Attribution {
            sample: row.id.clone(),
            title: row.title.clone(),
            words: row.words,
            author: row.label.author.clone(),
            nearest: found.as_ref().map(|f| name(f.author)),
            distance: found.as_ref().map(|f| f.distance),
            second: found.as_ref().and_then(|f| f.second).map(|(at, _)| name(at)),
            margin: found.as_ref().and_then(|f| f.second.map(|(_, d)| d - f.distance)),
            features: found.map_or(Vec::new(), |f| f.features.iter().map(|i| features[*i].clone()).collect()),
        }
    };
    rows.iter().zip(found).map(one).collect()
}
