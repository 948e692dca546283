//! Rewrites over HTTP: asked for with one request, read with another. What comes
//! of one may take minutes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use commands::caller::{Caller, CommandAnswers, CommandHeaders, problem};
use commands::execute::{Services, execute, load};
use commands::{Outcome, execute::Loaded};
use daybook_http::{Id, Json, JsonBody, Kind, Path, Principal, Problem, Query};
use domain::api_key::Role;
use domain::ports::language::LanguageModel;
use domain::ports::rows::RowStore;
use domain::rewrite::{
    self, Candidate, Command, Completed, Controls, Figures, Formality, KIND, MAX_TEXT_BYTES, Requested,
    Rewrite, Vocabulary,
};
use domain::sample::Entry;
use domain::target_url::UrlPolicy;
use domain::{StreamId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::measure::{Change, changes};
use crate::sending::Sender;
use crate::texts::{ReadError, sample, target};
use crate::vectors;

const CANDIDATES: u32 = 3;
/// Some 30 MiB each.
const READING: usize = 6;
const SENDING: usize = 16;
/// Longest wait for an outcome.
const MAX_WAIT: u32 = 25;

/// What these routes share.
#[derive(Clone)]
pub struct Rewriting {
    pub(crate) services: Services,
    rows: Arc<dyn RowStore>,
    sender: Option<Sender>,
    /// Texts that are read at once, and that are sent at once.
    reading: Arc<Semaphore>,
    pub(crate) sending: Arc<Semaphore>,
}

impl Rewriting {
    /// Without a sender nothing leaves, and what is kept can be read.
    pub fn new(services: Services, rows: Arc<dyn RowStore>, sender: Option<Sender>) -> Self {
        let (reading, sending) = (Arc::new(Semaphore::new(READING)), Arc::new(Semaphore::new(SENDING)));
        Self { services, rows, sender, reading, sending }
    }

    /// The sender, if its provider has such a model.
    pub(crate) fn sender(
        &self,
        has: impl FnOnce(&dyn LanguageModel) -> bool,
        what: &str,
    ) -> Result<&Sender, Problem> {
        self.sender.as_ref().filter(|sender| has(sender.model())).ok_or_else(|| {
            let detail = format!(
                "No language model {what} is configured (section language of the configuration). \
                 POST /v1/suggest says without one what to change."
            );
            Problem::new(Kind::Unavailable, detail)
        })
    }
}

/// What sends texts, by the role writer.
pub fn router(rewriting: Rewriting) -> Router {
    Router::new()
        .route("/v1/samples/{id}/rewrite", post(request))
        .route("/v1/samples/{id}/embed", post(vectors::embed))
        .with_state(rewriting)
}

/// What came of it, to the role reader. Nothing is sent.
pub fn reads(rewriting: Rewriting) -> Router {
    Router::new()
        .route("/v1/rewrites/{id}", get(one))
        .route("/v1/samples/{id}/embeddings", get(vectors::embeddings))
        .route("/v1/similarity", post(vectors::similarity))
        .with_state(rewriting)
}

/// The part of [`router`] of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

/// That of [`reads`].
pub fn reads_openapi() -> utoipa::openapi::OpenApi {
    Reads::openapi()
}

#[derive(OpenApi)]
#[openapi(paths(request, vectors::embed), components(schemas(Formality, Vocabulary)))]
struct Doc;

#[derive(OpenApi)]
#[openapi(paths(one, vectors::embeddings, vectors::similarity), components(schemas(Formality, Vocabulary)))]
struct Reads;

pub(crate) fn unread(error: ReadError) -> Problem {
    match error {
        ReadError::Log(error) => error.into(),
        error => Problem::internal(error),
    }
}

/// A sample whose text may be used, and is not longer than this.
pub(crate) async fn readable(
    state: &Rewriting,
    tenant: &TenantId,
    id: &str,
    most: usize,
) -> Result<Entry, Problem> {
    let busy = |_| Problem::new(Kind::Overloaded, "Too many texts are being read.").retry_after(2);
    let _turn = state.reading.try_acquire().map_err(busy)?;
    let found = sample(&state.services, tenant, id).await.map_err(unread)?;
    let entry = found.ok_or_else(Problem::not_found)?;
    if !entry.is_readable() {
        return Err(Problem::new(Kind::Conflict, "The sample is withdrawn or erased and has no text."));
    }
    match entry.text.len() > most {
        false => Ok(entry),
        true => {
            let detail = format!("The text is {} bytes long, of at most {most} here.", entry.text.len());
            Err(Problem::new(Kind::Conflict, detail).with("limit_bytes", most))
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Whose fingerprint is the target, by id.
    #[schema(value_type = String)]
    author: Id,
    /// Texts to choose among, 1 to 5; 3 unless told.
    candidates: Option<u32>,
    /// Another number, other candidates.
    #[serde(default)]
    seed: u64,
    formality: Option<Formality>,
    /// Mean words of a sentence, 3 to 80; the target's unless told.
    sentence_words: Option<u32>,
    vocabulary: Option<Vocabulary>,
    /// Words to use, at most 20.
    #[serde(default)]
    prefer: Vec<String>,
    /// Words to avoid, at most 20.
    #[serde(default)]
    avoid: Vec<String>,
}

/// Have a language model write a sample's text (at most 24 KiB) anew in the
/// direction of an author's fingerprint. The text is sent to the provider that
/// is configured, each time after a `language.text_sent` was recorded; numbers
/// of the fingerprint go with it, none of the target's texts. The id of the
/// answer's stream is the rewrite's: `GET /v1/rewrites/{id}` has its outcome.
/// Asking the same again is the same rewrite, unless it failed. 503 where no
/// model is configured.
#[utoipa::path(
    post, path = "/v1/samples/{id}/rewrite", tag = "Language models", params(("id" = String, Path), CommandHeaders),
    request_body = Form, responses(CommandAnswers)
)]
async fn request(
    State(state): State<Rewriting>,
    Path(Id(id)): Path<Id>,
    caller: Caller,
    body: JsonBody<Form>,
) -> Result<Outcome, Problem> {
    caller.principal.require(Role::Writer)?;
    state.sender(|model| model.writer().is_some(), "that writes")?;
    let Form { author: Id(author), candidates, seed, formality, sentence_words, vocabulary, prefer, avoid } =
        body.value;
    let tenant = caller.principal.tenant.clone();
    readable(&state, &tenant, &id, MAX_TEXT_BYTES).await?;
    let known = target(&*state.rows, &tenant, &author).await.map_err(unread)?;
    if known.is_none() {
        return Err(Problem::field("/author", "is no author with a fingerprint"));
    }
    let controls = Controls { formality, sentence_words, vocabulary, prefer, avoid };
    let candidates = candidates.unwrap_or(CANDIDATES);
    let rewrite = rewrite::id_of(&id, &author, &controls, candidates, seed);
    let asked_by = caller.principal.actor().to_string();
    let command =
        Command::Request(Requested { sample: id, author_id: author, controls, candidates, seed, asked_by });
    let call = caller.call(Role::Writer, &rewrite, body.hash, UrlPolicy::default());
    let done = execute::<Rewrite>(&state.services, &call, command).await;
    done.map_err(|refusal| problem(refusal, call.names_version()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Seconds to wait for the outcome, 0 to 25.
    wait: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Told {
    id: String,
    sample: String,
    author_id: String,
    /// requested, started, completed, failed or erased.
    state: &'static str,
    controls: Controls,
    candidates: u32,
    seed: u64,
    /// Why it failed.
    failure: Option<Failure>,
    result: Option<Rewritten>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Failure {
    code: String,
    reason: String,
}

/// The best candidate beside the sample.
#[derive(Debug, Serialize, ToSchema)]
struct Rewritten {
    text: String,
    before: Figures,
    after: Option<Figures>,
    /// To the sample in meaning, 0 to 1.
    similarity: Option<f64>,
    /// What `similarity` is: embedding_cosine@1, or content_words@1 where no
    /// model makes vectors.
    meaning: String,
    /// Words taken out and put in by all words of both.
    edits: Option<f64>,
    /// By words, from the sample to the text; null once the sample has no text.
    diff: Option<Vec<Change>>,
    chosen: u32,
    candidates: Vec<Candidate>,
    provider: String,
    model: String,
    digest: Option<String>,
    rules: String,
    fingerprint: String,
    warnings: Vec<String>,
}

/// A rewrite and its outcome, as it was recorded: no model is asked.
#[utoipa::path(get, path = "/v1/rewrites/{id}", tag = "Language models", params(("id" = String, Path), Wait), responses((status = 200, body = Told)))]
async fn one(
    State(state): State<Rewriting>,
    principal: Principal,
    Path(Id(id)): Path<Id>,
    Query(wait): Query<Wait>,
) -> Result<Json<Told>, Problem> {
    principal.require(Role::Reader)?;
    let wait = wait.wait.unwrap_or(0);
    if wait > MAX_WAIT {
        return Err(Problem::parameter("wait", format!("must be at most {MAX_WAIT}")));
    }
    let stream = StreamId::new(&principal.tenant, KIND, &id).map_err(|e| unread(e.into()))?;
    let until = Instant::now() + Duration::from_secs(wait.into());
    loop {
        let head = state.services.log.head().await?.position;
        let Loaded { state: rewrite, .. } =
            load::<Rewrite>(&state.services, &stream).await.map_err(|refusal| problem(refusal, false))?;
        if rewrite.requested.is_none() {
            return Err(Problem::not_found());
        }
        if rewrite.outcome != rewrite::Outcome::Open || Instant::now() >= until {
            return told(&state, &principal.tenant, id, rewrite).await.map(Json);
        }
        let changed = tokio::time::timeout_at(until, state.services.log.changed(head)).await;
        if let Ok(changed) = changed {
            changed?;
        }
    }
}

async fn told(state: &Rewriting, tenant: &TenantId, id: String, of: Rewrite) -> Result<Told, Problem> {
    let Some(asked) = of.requested else { return Err(Problem::not_found()) };
    let (mut failure, mut result) = (None, None);
    let state_now = match of.outcome {
        rewrite::Outcome::Open if of.started.is_some() => "started",
        rewrite::Outcome::Open => "requested",
        rewrite::Outcome::Failed(failed) => {
            failure = Some(Failure { code: failed.code, reason: failed.reason });
            "failed"
        }
        rewrite::Outcome::Completed(completed) => {
            let original = sample(&state.services, tenant, &asked.sample).await.map_err(unread)?;
            let original = original.filter(Entry::is_readable).map(|entry| entry.text);
            result = compared(*completed, original).await?;
            if result.is_some() { "completed" } else { "erased" }
        }
    };
    let Requested { sample, author_id, controls, candidates, seed, asked_by: _ } = asked;
    Ok(Told { id, sample, author_id, state: state_now, controls, candidates, seed, failure, result })
}

/// `None` where the text is erased.
async fn compared(completed: Completed, original: Option<String>) -> Result<Option<Rewritten>, Problem> {
    let Some(text) = completed.text.clear().map(str::to_owned) else { return Ok(None) };
    let new = text.clone();
    let diff = tokio::task::spawn_blocking(move || original.map(|original| changes(&original, &new)));
    let diff = diff.await.map_err(Problem::internal)?;
    let chosen = completed.candidates.get(completed.chosen as usize).cloned();
    let (after, similarity, edits) =
        chosen.map_or((None, None, None), |chosen| (chosen.figures, chosen.similarity, chosen.edits));
    Ok(Some(Rewritten {
        text,
        before: completed.before,
        after,
        similarity,
        meaning: completed.meaning,
        edits,
        diff,
        chosen: completed.chosen,
        candidates: completed.candidates,
        provider: completed.provider,
        model: completed.model,
        digest: completed.digest,
        rules: completed.rules,
        fingerprint: completed.fingerprint,
        warnings: completed.warnings,
    }))
}
