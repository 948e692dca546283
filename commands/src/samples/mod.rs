//! Writing samples: a text with what is known of it, as JSON or as a file. The
//! id is the hash of the normalised text, so that the same text is the same
//! sample however it came.

mod bulk;
mod form;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::header;
use axum::routing::post;
use daybook_http::extract::{BodyLimits, read_body, read_json};
use daybook_http::{Id, JsonBody, Kind, Path, Problem, Query};
use domain::api_key::Role;
use domain::decide::Rejection;
use domain::sample::{Command, Label, Sample, Submit, id_of};
use domain::target_url::UrlPolicy;
use models_stylometry::NORMALISATION;
use models_stylometry::boilerplate::unframed;
use models_stylometry::normalise::normalise;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use utoipa::{OpenApi, ToSchema};

use crate::caller::{Caller, CommandAnswers, CommandHeaders, problem};
use crate::execute::{Call, Refusal, Services, execute};
use crate::reply::Outcome;
use crate::routes::write;
use form::{Described, Form};

/// Largest body of one sample: a file as [`Files`] takes it.
const MAX_BODY_BYTES: usize = 50 << 20;
/// Bodies that are in memory at once.
const MOST_BODIES: usize = 6;

/// Text out of files.
pub trait Files: Send + Sync {
    /// The text of a file of this name, and what it was taken from; or why
    /// there is none.
    fn text(&self, name: &str, bytes: &[u8]) -> Result<(String, &'static str), String>;

    /// The files of a ZIP archive that may hold texts.
    fn archive(&self, bytes: &[u8]) -> Result<Vec<Packed>, String>;
}

/// A file of an archive.
pub struct Packed {
    pub name: String,
    pub bytes: Vec<u8>,
    /// What the archive's own `labels.csv` says of it: title and label, or what
    /// is wrong with them.
    pub label: Option<Result<(Option<String>, Label), String>>,
}

/// What the routes of samples need.
#[derive(Clone)]
pub struct Samples {
    services: Services,
    files: Arc<dyn Files>,
    bodies: Arc<Semaphore>,
}

impl Samples {
    pub fn new(services: Services, files: Arc<dyn Files>) -> Self {
        Self { services, files, bodies: Arc::new(Semaphore::new(MOST_BODIES)) }
    }
}

impl FromRef<Samples> for Services {
    fn from_ref(samples: &Samples) -> Self {
        samples.services.clone()
    }
}

pub fn router(samples: Samples) -> Router {
    Router::new()
        .route("/v1/samples", post(submit))
        .route("/v1/samples/bulk", post(bulk::submit_many))
        .layer(DefaultBodyLimit::disable())
        .route("/v1/samples/{id}/label", post(label))
        .route("/v1/samples/{id}/withdraw", post(withdraw))
        .with_state(samples)
}

#[derive(OpenApi)]
#[openapi(paths(submit, bulk::submit_many, label, withdraw), components(schemas(Form, bulk::Submitted)))]
pub struct Doc;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Withdraw {
    /// Kept with the decision.
    reason: String,
}

/// Submit a text. The id of the stream is the hash of the normalised text: the
/// same text with the same label answers what is there already, with another
/// label 409. As JSON, or as a file with its label in the query.
#[utoipa::path(
    post, path = "/v1/samples", tag = "Samples", params(Described, CommandHeaders),
    request_body(content((Form = "application/json"), (String = "text/plain"), (String = "text/markdown"), (String = "text/html"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"), (Vec<u8> = "application/pdf"))),
    responses(CommandAnswers)
)]
async fn submit(
    State(samples): State<Samples>,
    caller: Caller,
    Query(described): Query<Described>,
    request: Request,
) -> Result<Outcome, Problem> {
    caller.principal.require(Role::Writer)?;
    let (parts, body) = request.into_parts();
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let source = Source::of(media)?;
    let depth = BodyLimits::of(&parts.extensions).depth;
    let permit = samples.bodies.clone().acquire_owned().await.map_err(Problem::internal)?;
    let body = read_body(&parts.headers, body, MAX_BODY_BYTES).await?;
    let mut asked = Sha256::new();
    asked.update(parts.uri.query().unwrap_or_default());
    asked.update([0]);
    asked.update(&body);
    let (hash, in_query) = (asked.finalize().into(), !matches!(source, Source::Json));
    let files = samples.files.clone();
    let read = move || match source {
        Source::Json if described != Described::default() => Err(Problem::new(
            Kind::InvalidParameter,
            "A JSON body says everything itself; leave the query away.",
        )),
        Source::Json => {
            let limits = BodyLimits { bytes: MAX_BODY_BYTES, depth };
            read_json::<Form>(&body, limits).and_then(|form| form.read(&*files))
        }
        Source::File(name) => described.read(&*files, name, &body),
    };
    // The work goes on if the client leaves, and has the permit until it ends.
    let (submit, permit) = blocking(move || Ok((read()?, permit))).await?;
    let call = caller.call(Role::Writer, &id_of(&submit.text), hash, UrlPolicy::default());
    let outcome = execute::<Sample>(&samples.services, &call, Command::Submit(submit)).await;
    drop(permit);
    outcome.map_err(|refusal| refused(refusal, in_query, call.names_version()))
}

/// Say anew what is known of a sample; what is left out is not known.
#[utoipa::path(post, path = "/v1/samples/{id}/label", tag = "Samples", params(("id" = String, Path), CommandHeaders), request_body = Label, responses(CommandAnswers))]
async fn label(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Label>,
) -> Result<Outcome, Problem> {
    let call = caller.call(Role::Writer, &id.0, body.hash, UrlPolicy::default());
    let outcome = execute::<Sample>(&services, &call, Command::Label(body.value)).await;
    outcome.map_err(|refusal| refused(refusal, false, call.names_version()))
}

/// Take a sample out of every fingerprint and analysis. Its text stays until
/// its author is erased.
#[utoipa::path(post, path = "/v1/samples/{id}/withdraw", tag = "Samples", params(("id" = String, Path), CommandHeaders), request_body = Withdraw, responses(CommandAnswers))]
async fn withdraw(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Withdraw>,
) -> Result<Outcome, Problem> {
    let command = Command::Withdraw { reason: body.value.reason };
    write::<Sample>(&services, caller, &id.0, body.hash, UrlPolicy::default(), command).await
}

/// What a body is.
enum Source {
    Json,
    /// A file, by a name that has the ending of its type.
    File(&'static str),
}

impl Source {
    fn of(media_type: &str) -> Result<Self, Problem> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "text/plain" => Ok(Self::File("text.txt")),
            "text/markdown" => Ok(Self::File("text.md")),
            "text/html" | "application/xhtml+xml" => Ok(Self::File("text.html")),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => {
                Ok(Self::File("text.docx"))
            }
            "application/pdf" => Ok(Self::File("text.pdf")),
            _ => {
                let detail = "Send application/json, text/plain, text/markdown, text/html, PDF or a DOCX file; many at \
                              once as application/zip or application/x-ndjson to /v1/samples/bulk.";
                Err(Problem::new(Kind::UnsupportedMediaType, detail))
            }
        }
    }
}

/// The command for a text as it came out of a file.
fn submission(title: Option<String>, label: Label, (text, format): (String, &str)) -> Submit {
    let text = normalise(unframed(&text));
    Submit { title, label, format: format.to_owned(), normalisation: NORMALISATION.to_owned(), text }
}

/// Work that would hold up other requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?
}

/// Names what is wrong where the client said it: members of a flat body, or
/// parameters.
fn refused(refusal: Refusal, in_query: bool, names_version: bool) -> Problem {
    match refusal {
        Refusal::Rejected(Rejection::Field { field, reason }) => {
            let field = field.strip_prefix("/label").unwrap_or(&field);
            match in_query && field != "/text" {
                true => Problem::parameter(field.trim_start_matches('/'), reason),
                false => Problem::field(field, reason),
            }
        }
        refusal => problem(refusal, names_version),
    }
}

/// The call of one of many samples.
fn call_of(call: &Call, id: String) -> Call {
    Call { id, if_match: None, idempotency: None, ..call.clone() }
}
