//! Many samples with one request: NDJSON or a ZIP archive in, one line of
//! NDJSON out for each. A text that is there already answers `known`, so an
//! upload that broke off is simply sent again.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use daybook_http::extract::{BodyLimits, read_body, read_json};
use daybook_http::{Kind, Problem, Query};
use domain::api_key::Role;
use domain::sample::{Command, Sample, Submit, id_of};
use domain::target_url::UrlPolicy;
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::form::{Described, Form};
use super::{Files, Packed, Samples, blocking, call_of, refused, submission};
use crate::caller::{Caller, ProblemBody};
use crate::execute::{Call, execute};

/// Longest line: a text of 8 MiB with its escapes.
const MAX_LINE_BYTES: usize = 16 << 20;
/// How long answers wait for a client to take them.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Submitted,
    /// The same text with the same label was there already.
    Known,
    Rejected,
}

/// What became of one text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Submitted {
    /// Of NDJSON, 1….
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Of an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Value>,
}

/// Submit up to 64 MiB of texts: NDJSON with one object a line, or a ZIP
/// archive of texts, Markdown, HTML, DOCX and PDF, labelled by its own `labels.csv`
/// or all alike by the query. Answers NDJSON, one line for each; a rejected text
/// does not stop the others.
#[utoipa::path(
    post, path = "/v1/samples/bulk", tag = "Samples", params(Described),
    request_body(content((String = "application/x-ndjson"), (Vec<u8> = "application/zip"))),
    responses(
        (status = 200, description = "One line for each text", content_type = "application/x-ndjson", body = Submitted),
        (status = "4XX", description = "Refused as a whole", content_type = "application/problem+json", body = ProblemBody),
    )
)]
pub async fn submit_many(
    State(samples): State<Samples>,
    caller: Caller,
    Query(described): Query<Described>,
    request: Request,
) -> Result<Response, Problem> {
    caller.principal.require(Role::Writer)?;
    let (parts, body) = request.into_parts();
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let archive = match media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-ndjson" => false,
        "application/zip" => true,
        _ => {
            let detail = "Send application/x-ndjson or application/zip.";
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
    };
    if !archive && described != Described::default() {
        let detail = "Each line says everything itself; leave the query away.";
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let limits = &samples.services.bulk;
    let Ok(permit) = limits.uploads.clone().try_acquire_owned() else {
        let detail = "As many bulk requests as the server takes at once are being worked on.";
        return Err(Problem::new(Kind::Overloaded, detail).retry_after(5));
    };
    let bytes = read_body(&parts.headers, body, limits.body_bytes).await?;
    let texts = match archive {
        false => Texts::lines(bytes, limits.rows, BodyLimits::of(&parts.extensions).depth)?,
        true => {
            let files = samples.files.clone();
            let unpack = move || files.archive(&bytes).map_err(|reason| Problem::field("", reason));
            Texts::Files(blocking(unpack).await?.into_iter(), described)
        }
    };
    let call = caller.call(Role::Writer, "bulk", [0; 32], UrlPolicy::default());
    let (answers, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        submit_each(samples, call, texts, answers).await;
        drop(permit);
    });
    let lines = ReceiverStream::new(lines).map(Ok::<_, std::convert::Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Goes on as long as the client takes the answers.
async fn submit_each(samples: Samples, call: Call, mut texts: Texts, answers: mpsc::Sender<Bytes>) {
    while let Some(one) = texts.next() {
        let files = samples.files.clone();
        let (line, file) = (one.line(), one.file());
        let answer = match blocking(move || one.read(&*files)).await {
            Ok(submit) => self::submit(&samples, &call, submit).await,
            Err(problem) => Answer::rejected(None, &problem),
        };
        let Answer { id, status, position, problem } = answer;
        let answer = Submitted { line, file, id, status, position, problem };
        // A struct of strings and numbers always serialises.
        let mut out = serde_json::to_vec(&answer).unwrap_or_default();
        out.push(b'\n');
        if answers.send_timeout(Bytes::from(out), PATIENCE).await.is_err() {
            return;
        }
    }
}

struct Answer {
    id: Option<String>,
    status: Status,
    position: Option<u64>,
    problem: Option<Value>,
}

impl Answer {
    fn rejected(id: Option<String>, problem: &Problem) -> Self {
        Self { id, status: Status::Rejected, position: None, problem: Some(problem.to_json()) }
    }
}

async fn submit(samples: &Samples, call: &Call, submit: Submit) -> Answer {
    let id = id_of(&submit.text);
    let call = call_of(call, id.clone());
    match execute::<Sample>(&samples.services, &call, Command::Submit(submit)).await {
        Ok(done) => {
            let status = if done.events.is_empty() { Status::Known } else { Status::Submitted };
            Answer { id: Some(id), status, position: Some(done.position), problem: None }
        }
        Err(refusal) => Answer::rejected(Some(id), &refused(refusal, false, false)),
    }
}

/// The texts of a body, read as they are needed.
enum Texts {
    Lines { body: Bytes, at: usize, line: usize, depth: usize },
    Files(std::vec::IntoIter<Packed>, Described),
}

enum One {
    Line { number: usize, bytes: Bytes, depth: usize },
    File(Box<Packed>, Described),
}

impl Texts {
    fn lines(body: Bytes, most: usize, depth: usize) -> Result<Self, Problem> {
        if body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() > most {
            let detail = format!("The body has more than {most} lines; split it.");
            return Err(Problem::new(Kind::BodyTooLarge, detail).with("limit_rows", most));
        }
        Ok(Self::Lines { body, at: 0, line: 0, depth })
    }

    fn next(&mut self) -> Option<One> {
        match self {
            Self::Files(files, described) => {
                files.next().map(|file| One::File(Box::new(file), described.clone()))
            }
            Self::Lines { body, at, line, depth } => loop {
                let rest = body.get(*at..).filter(|rest| !rest.is_empty())?;
                let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                let text = rest[..length].trim_ascii();
                *at += length + 1;
                *line += 1;
                if !text.is_empty() {
                    let bytes = body.slice_ref(text);
                    return Some(One::Line { number: *line, bytes, depth: *depth });
                }
            },
        }
    }
}

impl One {
    fn line(&self) -> Option<usize> {
        match self {
            Self::Line { number, .. } => Some(*number),
            Self::File(..) => None,
        }
    }

    fn file(&self) -> Option<String> {
        match self {
            Self::Line { .. } => None,
            Self::File(file, _) => Some(file.name.clone()),
        }
    }

    fn read(self, files: &dyn Files) -> Result<Submit, Problem> {
        match self {
            Self::Line { bytes, .. } if bytes.len() > MAX_LINE_BYTES => {
                Err(Problem::field("", format!("is longer than {MAX_LINE_BYTES} bytes")))
            }
            Self::Line { bytes, depth, .. } => {
                read_json::<Form>(&bytes, BodyLimits { bytes: MAX_LINE_BYTES, depth })?.read(files)
            }
            Self::File(file, described) => {
                let Packed { name, bytes, label } = *file;
                let wrong = |reason| Problem::field("", reason);
                let (title, label) = match label {
                    Some(label) => label.map_err(wrong)?,
                    None => (None, described.label()),
                };
                let text = files.text(&name, &bytes).map_err(wrong)?;
                Ok(submission(title.or(Some(name)), label, text))
            }
        }
    }
}
