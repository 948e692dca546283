//! What would bring a text nearer to an author's fingerprint: no rewriting, and
//! nothing leaves the machine.

use axum::Router;
use axum::extract::State as Shared;
use axum::response::Response;
use axum::routing::post;
use daybook_http::{Id, JsonBody, Problem};
use domain::ports::rows::Query as RowQuery;
use models_stylometry::MIN_WORDS;
use models_stylometry::warnings::quality;
use projections::style_fingerprints::rows::{AuthorRow, CorpusRow};
use projections::style_fingerprints::{ALL, AUTHORS, CORPORA, NAME};
use serde::{Deserialize, Serialize};
use styles::{Difference, differences, distance};
use utoipa::{OpenApi, ToSchema};

use super::answer::json;
use super::known::{Text, text_of};
use super::{StyleState, maker, work};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, row_at};

/// Suggestions of one answer.
const MOST: usize = 15;

pub fn router() -> Router<StyleState> {
    Router::new().route("/v1/suggest", post(suggest))
}

#[derive(OpenApi)]
#[openapi(paths(suggest))]
pub struct Doc;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Suggest {
    text: Text,
    /// Whose fingerprint is the target, by id.
    #[schema(value_type = String)]
    author: Id,
}

#[derive(Debug, Serialize, ToSchema)]
struct Suggestion {
    /// A function word or a figure.
    feature: String,
    /// more or less of it.
    change: &'static str,
    text: f64,
    target: f64,
    /// 95 % interval of the target; absent of one sample.
    low: Option<f64>,
    high: Option<f64>,
    /// Text minus target, in standard deviations of all samples.
    deviations: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Suggestions {
    text: String,
    words: usize,
    author_id: String,
    author: String,
    fingerprint: String,
    /// Cosine Delta over what fingerprints count; null under 500 words.
    distance: Option<f64>,
    /// What lies farthest from the target first; what is within its interval is
    /// left out.
    suggestions: Vec<Suggestion>,
    warnings: Vec<String>,
}

/// What of a text differs most from an author's fingerprint, and in which
/// direction it would have to change.
#[utoipa::path(
    post, path = "/v1/suggest", tag = "Style", params(GenerationParameter, ReadHeaders), request_body = Suggest,
    responses((status = 200, body = Suggestions))
)]
async fn suggest(
    Shared(state): Shared<StyleState>,
    reader: Reader,
    body: JsonBody<Suggest>,
) -> Result<Response, Problem> {
    let Suggest { text, author: Id(id) } = body.value;
    let queries = [RowQuery::get(AUTHORS, &id), RowQuery::get(CORPORA, ALL)];
    let snapshot = state.read.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let author: AuthorRow =
        row_at(&snapshot, 0)?.ok_or_else(|| Problem::field("/author", "is no author with a sample"))?;
    let corpus: CorpusRow = row_at(&snapshot, 1)?.unwrap_or_default();
    let maker = maker(&snapshot)?;
    let turn = state.turn().await?;
    let asked = text_of(&*state.read.log, &reader.tenant, "/text", text).await?;
    let fingerprint = snapshot.model.to_string();
    let answer = work(turn, move || {
        let quality = quality(&asked.text);
        let row = maker.row(&asked.text);
        let distance = distance(&maker, &row, &author.estimate, &corpus.sums);
        let found = differences(&maker, &row, &author.estimate, &corpus.sums, MOST);
        let mut warnings: Vec<String> = quality.warnings.iter().map(|w| w.message.clone()).collect();
        warnings.extend(author.flags.iter().map(|flag| format!("the author's fingerprint: {flag}")));
        Ok(Suggestions {
            text: asked.name,
            words: quality.words,
            suggestions: found.into_iter().map(Suggestion::from).collect(),
            author_id: author.id,
            author: author.name,
            fingerprint,
            distance: (quality.words >= MIN_WORDS).then_some(distance),
            warnings,
        })
    });
    Ok(json(&snapshot, answer.await?))
}

impl From<Difference> for Suggestion {
    fn from(of: Difference) -> Self {
        let Difference { feature, is_word: _, text, target, low, high, deviations } = of;
        let change = if deviations < 0.0 { "more" } else { "less" };
        Self { feature, change, text, target, low, high, deviations }
    }
}
