//! Questions about given samples and texts: whose, theirs or not, how alike.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use daybook_http::{Id, JsonBody, Problem};
use domain::ports::rows::Query as RowQuery;
use models_stylometry::verify::Verdict;
use projections::style_fingerprints::rows::AuthorRow;
use projections::style_fingerprints::{AUTHORS, NAME};
use serde::{Deserialize, Serialize};
use styles::{Compared, Judged, Verified};
use utoipa::{OpenApi, ToSchema};

use super::answer::{Format, cells, json, maybe, table};
use super::known::{Question, Text};
use super::{StyleState, unusable, work};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, row_at};

/// Texts of one question.
const MOST_ASKED: usize = 50;
/// Pairs of one comparison: each is judged against all imposters.
const MOST_PAIRS: usize = 100;

pub fn router() -> Router<StyleState> {
    Router::new()
        .route("/v1/attribute", post(attribute))
        .route("/v1/verify", post(verify))
        .route("/v1/compare", post(compare))
}

#[derive(OpenApi)]
#[openapi(paths(attribute, verify, compare), components(schemas(Text)))]
pub struct Doc;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Attribute {
    /// 1 to 50. Texts that are asked about are left out of the known ones.
    texts: Vec<Text>,
    /// The corpus of the known texts; all unless told.
    #[schema(value_type = Option<String>)]
    corpus: Option<Id>,
    /// Name the features that speak for the first against the second.
    #[serde(default)]
    explain: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Verify {
    /// 1 to 50. Texts that are asked about are left out of the known ones.
    texts: Vec<Text>,
    /// The corpus of the known texts; all unless told.
    #[schema(value_type = Option<String>)]
    corpus: Option<Id>,
    /// Only this author, by id.
    #[schema(value_type = Option<String>)]
    author: Option<Id>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Compare {
    /// 1 to 50: each with each other, if nothing else is told.
    texts: Vec<Text>,
    /// Each of `texts` with each of these.
    #[serde(default)]
    against: Vec<Text>,
    /// Each of `texts` with each of these authors, by id.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    authors: Vec<Id>,
    /// The corpus of the known texts, which say what is usual and are the
    /// imposters; all unless told.
    #[schema(value_type = Option<String>)]
    corpus: Option<Id>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Results<T> {
    /// One for each text, in order.
    #[schema(value_type = Vec<Object>)]
    results: Vec<T>,
}

/// A text and an author.
#[derive(Debug, Serialize, ToSchema)]
struct WithAuthor {
    text: String,
    author_id: String,
    author: String,
    words: usize,
    /// Of the attribution among all known authors.
    distance: Option<f64>,
    #[schema(value_type = Object)]
    deltas: serde_json::Value,
    /// Whether it may be theirs; `verdict` is null where the text is too short.
    #[schema(value_type = Object)]
    verification: serde_json::Value,
    #[schema(value_type = Vec<Object>)]
    warnings: serde_json::Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct Comparison {
    #[schema(value_type = Vec<Object>)]
    pairs: Vec<Compared>,
    authors: Vec<WithAuthor>,
}

fn listed(list: &'static str, texts: Vec<Text>) -> Result<Vec<(&'static str, usize, Text)>, Problem> {
    if texts.len() > MOST_ASKED {
        return Err(Problem::field(format!("/{list}"), format!("must be at most {MOST_ASKED} texts")));
    }
    Ok(texts.into_iter().enumerate().map(|(at, text)| (list, at, text)).collect())
}

fn some(list: &'static str, texts: Vec<Text>) -> Result<Vec<(&'static str, usize, Text)>, Problem> {
    match texts.is_empty() {
        true => Err(Problem::field(format!("/{list}"), "must name a text")),
        false => listed(list, texts),
    }
}

async fn author(state: &StyleState, reader: &Reader, pointer: &str, id: &Id) -> Result<AuthorRow, Problem> {
    let queries = [RowQuery::get(AUTHORS, &id.0)];
    let snapshot = state.read.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    row_at(&snapshot, 0)?.ok_or_else(|| Problem::field(pointer, "is no author with a sample"))
}

/// Whose style each text has, among the authors of the known texts: all of them
/// with distance and probability, the nearest first. The probability is that if
/// it is one of them; `verification` says whether it is. Under 500 words no
/// verdict is given.
#[utoipa::path(
    post, path = "/v1/attribute", tag = "Style", params(GenerationParameter, ReadHeaders), request_body = Attribute,
    responses((status = 200, content((Object = "application/json"), (String = "text/csv"))))
)]
async fn attribute(
    Shared(state): Shared<StyleState>,
    reader: Reader,
    headers: HeaderMap,
    body: JsonBody<Attribute>,
) -> Result<Response, Problem> {
    let format = Format::of_table(None, &headers)?;
    let Attribute { texts, corpus, explain } = body.value;
    let corpus = corpus.as_ref().map(|Id(id)| id.as_str());
    let (question, turn) = Question::new(&state, &reader, some("texts", texts)?, corpus).await?;
    let snapshot = question.snapshot.clone();
    let results =
        work(turn, move || question.reference().attribute(&question.asked, explain).map_err(unusable))
            .await?;
    match format {
        Format::Csv => table(&snapshot, attributed(&results)),
        _ => Ok(json(&snapshot, Results { results })),
    }
}

fn attributed(results: &[Judged]) -> Vec<Vec<String>> {
    let mut rows = vec![cells([
        &"text",
        &"words",
        &"verdict",
        &"author",
        &"distance",
        &"probability",
        &"burrows",
        &"cosine",
        &"eder",
        &"argamon",
        &"min_max",
    ])];
    for found in results {
        rows.extend(found.candidates.iter().map(|c| {
            let d = &c.deltas;
            cells([
                &found.text,
                &found.words,
                &found.verdict,
                &c.author,
                &c.distance,
                &c.probability,
                &d.burrows,
                &d.cosine,
                &d.eder,
                &d.argamon,
                &d.min_max,
            ])
        }));
    }
    rows
}

/// Whether each text may be by each author, or by one: same, different, can't
/// say, each with its score against imposters. `verdict` is null under 500
/// words.
#[utoipa::path(
    post, path = "/v1/verify", tag = "Style", params(GenerationParameter, ReadHeaders), request_body = Verify,
    responses((status = 200, content((Object = "application/json"), (String = "text/csv"))))
)]
async fn verify(
    Shared(state): Shared<StyleState>,
    reader: Reader,
    headers: HeaderMap,
    body: JsonBody<Verify>,
) -> Result<Response, Problem> {
    let format = Format::of_table(None, &headers)?;
    let Verify { texts, corpus, author: id } = body.value;
    let only = match &id {
        Some(id) => Some(author(&state, &reader, "/author", id).await?.name),
        None => None,
    };
    let corpus = corpus.as_ref().map(|Id(id)| id.as_str());
    let (question, turn) = Question::new(&state, &reader, some("texts", texts)?, corpus).await?;
    let snapshot = question.snapshot.clone();
    let results =
        work(turn, move || question.reference().verify(&question.asked, only.as_deref()).map_err(unusable))
            .await?;
    match format {
        Format::Csv => table(&snapshot, verified(&results)),
        _ => Ok(json(&snapshot, Results { results })),
    }
}

fn said(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Same) => "same",
        Some(Verdict::Different) => "different",
        Some(Verdict::CantSay) => "cant_say",
        None => "",
    }
}

fn verified(results: &[Verified]) -> Vec<Vec<String>> {
    let mut rows =
        vec![cells([&"text", &"words", &"author", &"verdict", &"distance", &"probability", &"advantage"])];
    for found in results {
        rows.extend(found.candidates.iter().map(|c| {
            let f = &c.figures;
            let verdict = said(f.verdict);
            cells([
                &found.text,
                &found.words,
                &c.author,
                &verdict,
                &c.distance,
                &maybe(f.probability),
                &f.advantage,
            ])
        }));
    }
    rows
}

/// How alike texts are: two of them, many with many, texts with authors.
#[utoipa::path(
    post, path = "/v1/compare", tag = "Style", params(GenerationParameter, ReadHeaders), request_body = Compare,
    responses((status = 200, content((Comparison = "application/json"), (String = "text/csv"))))
)]
async fn compare(
    Shared(state): Shared<StyleState>,
    reader: Reader,
    headers: HeaderMap,
    body: JsonBody<Compare>,
) -> Result<Response, Problem> {
    let format = Format::of_table(None, &headers)?;
    let Compare { texts, against, authors: ids, corpus } = body.value;
    if ids.len() > MOST_ASKED {
        return Err(Problem::field("/authors", format!("must be at most {MOST_ASKED} authors")));
    }
    let mut authors = Vec::with_capacity(ids.len());
    for (at, id) in ids.iter().enumerate() {
        authors.push(author(&state, &reader, &format!("/authors/{at}"), id).await?);
    }
    let (first, second) = (some("texts", texts)?, listed("against", against)?);
    let pairs = pairs(first.len(), second.len(), !authors.is_empty())?;
    let asked = first.len();
    let all = first.into_iter().chain(second).collect();
    let corpus = corpus.as_ref().map(|Id(id)| id.as_str());
    let (question, turn) = Question::new(&state, &reader, all, corpus).await?;
    let snapshot = question.snapshot.clone();
    let done = work(turn, move || compared(&question, asked, &pairs, &authors)).await?;
    match format {
        Format::Csv => table(&snapshot, rows(&done)),
        _ => Ok(json(&snapshot, done)),
    }
}

/// Which texts are compared with which, by their numbers.
fn pairs(first: usize, second: usize, authors: bool) -> Result<Vec<(usize, usize)>, Problem> {
    let pairs: Vec<(usize, usize)> = match (second, authors) {
        (0, true) => Vec::new(),
        (0, false) if first < 2 => {
            return Err(Problem::field("/texts", "must name two texts, if nothing else is told"));
        }
        (0, false) => (0..first).flat_map(|i| (i + 1..first).map(move |j| (i, j))).collect(),
        _ => (0..first).flat_map(|i| (first..first + second).map(move |j| (i, j))).collect(),
    };
    match pairs.len() > MOST_PAIRS {
        true => Err(Problem::field("/texts", format!("make {} pairs, of at most {MOST_PAIRS}", pairs.len()))),
        false => Ok(pairs),
    }
}

fn compared(
    question: &Question,
    asked: usize,
    pairs: &[(usize, usize)],
    authors: &[AuthorRow],
) -> Result<Comparison, Problem> {
    let reference = question.reference();
    let mut done = Comparison { pairs: reference.pairs(&question.asked, pairs), authors: Vec::new() };
    if authors.is_empty() {
        return Ok(done);
    }
    let texts = &question.asked[..asked];
    let (attributed, verified) = (
        reference.attribute(texts, false).map_err(unusable)?,
        reference.verify(texts, None).map_err(unusable)?,
    );
    for (judged, verified) in attributed.iter().zip(&verified) {
        for author in authors {
            let candidate = judged.candidates.iter().find(|c| c.author == author.name);
            let verification = verified.candidates.iter().find(|c| c.author == author.name);
            done.authors.push(WithAuthor {
                text: judged.text.clone(),
                author_id: author.id.clone(),
                author: author.name.clone(),
                words: judged.words,
                distance: candidate.map(|c| c.distance),
                deltas: serde_json::to_value(candidate.map(|c| c.deltas)).map_err(Problem::internal)?,
                verification: serde_json::to_value(verification).map_err(Problem::internal)?,
                warnings: serde_json::to_value(&verified.warnings).map_err(Problem::internal)?,
            });
        }
    }
    Ok(done)
}

fn rows(done: &Comparison) -> Vec<Vec<String>> {
    let mut rows =
        vec![cells([&"first", &"second", &"burrows", &"cosine", &"min_max", &"jensen_shannon", &"verdict"])];
    rows.extend(done.pairs.iter().map(|p| {
        let verdict = said(p.same_author.as_ref().and_then(|s| s.figures.verdict));
        let (burrows, cosine) = (p.deltas.map(|d| d.burrows), p.deltas.map(|d| d.cosine));
        cells([&p.first, &p.second, &maybe(burrows), &maybe(cosine), &p.min_max, &p.jensen_shannon, &verdict])
    }));
    rows.extend(done.authors.iter().map(|a| {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let of = |name: &str| text(&a.deltas[name]);
        let verdict = text(&a.verification["verdict"]);
        cells([&a.text, &a.author, &of("burrows"), &of("cosine"), &of("min_max"), &"", &verdict])
    }));
    rows
}
