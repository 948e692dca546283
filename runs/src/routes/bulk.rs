//! Many positions with one request: NDJSON or CSV in, a line of NDJSON out for
//! each row. A row that is so already answers `unchanged`, so a file that broke
//! off is simply sent again.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use commands::caller::{Caller, ProblemBody, problem};
use commands::execute::Call;
use commands::many::{Taken, execute_many};
use daybook_http::extract::{BodyLimits, check_content_type, read_body, read_json, read_query};
use daybook_http::{Kind, Problem};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use domain::valuation::position::{Command, Position};
use futures::StreamExt;
use models_pricing::position::Position as Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::rows;
use crate::Desk;
use crate::inputs::{holding, open};

const MAX_LINE_BYTES: usize = 300 << 10;
/// How long answers wait for a client to take them.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows appended together, at most, and their bytes.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 4 << 20;

pub fn router() -> Router<Desk> {
    Router::new().route("/v1/positions/bulk", post(positions)).layer(DefaultBodyLimit::disable())
}

#[derive(OpenApi)]
#[openapi(paths(positions), components(schemas(RowAnswer)))]
pub struct Doc;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Options {
    /// `open` (unless told) or `amend`.
    mode: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RowStatus {
    Recorded,
    Unchanged,
    Rejected,
}

/// The answer to one row.
#[derive(Debug, Serialize, ToSchema)]
struct RowAnswer {
    /// 1…; the CSV header counts.
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_id: Option<String>,
    status: RowStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Value>,
}

/// Open or amend up to 200,000 positions (64 MiB), unless configured otherwise.
/// Answers NDJSON, one line for each row, in order; a rejected row does not stop
/// the others.
#[utoipa::path(
    post, path = "/v1/positions/bulk", tag = "Positions", params(Options),
    request_body(content((String = "application/x-ndjson"), (String = "text/csv"))),
    responses(
        (status = 200, description = "One line for each row", content_type = "application/x-ndjson", body = RowAnswer),
        (status = "4XX", description = "Refused as a whole", content_type = "application/problem+json", body = ProblemBody),
    )
)]
async fn positions(State(desk): State<Desk>, caller: Caller, request: Request) -> Result<Response, Problem> {
    caller.principal.require(Role::Writer)?;
    let (parts, body) = request.into_parts();
    let options: Options = read_query(parts.uri.query().unwrap_or_default())?;
    let amend = match options.mode.as_deref() {
        None | Some("open") => false,
        Some("amend") => true,
        Some(_) => return Err(Problem::parameter("mode", "must be open or amend")),
    };
    let csv = is_csv(&parts.headers)?;
    let limits = &desk.services.bulk;
    let Ok(permit) = limits.uploads.clone().try_acquire_owned() else {
        let detail = "As many bulk requests as the server takes at once are being worked on.";
        return Err(Problem::new(Kind::Overloaded, detail).retry_after(5));
    };
    let bytes = read_body(&parts.headers, body, limits.body_bytes).await?;
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    if lines > limits.rows.saturating_add(usize::from(csv)) {
        let detail = format!("The body has more than {} rows; split it.", limits.rows);
        return Err(Problem::new(Kind::BodyTooLarge, detail).with("limit_rows", limits.rows));
    }
    let rows = if csv { Rows::csv(bytes)? } else { Rows::Ndjson { body: bytes, at: 0, line: 0 } };
    let call = Call { idempotency: None, ..caller.call(Role::Writer, "bulk", [0; 32], UrlPolicy::default()) };
    let (answers, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        record(&desk, &call, rows, amend, answers).await;
        drop(permit);
    });
    let lines = ReceiverStream::new(lines).map(Ok::<_, std::convert::Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn is_csv(headers: &HeaderMap) -> Result<bool, Problem> {
    if check_content_type(headers, "text/csv").is_ok() {
        return Ok(true);
    }
    check_content_type(headers, "application/x-ndjson")
        .map(|()| false)
        .map_err(|_| Problem::new(Kind::UnsupportedMediaType, "Send application/x-ndjson or text/csv."))
}

/// Goes on as long as the client takes the answers.
async fn record(desk: &Desk, call: &Call, mut rows: Rows, amend: bool, answers: mpsc::Sender<Bytes>) {
    loop {
        let chunk = rows.next_chunk();
        if chunk.is_empty() {
            return;
        }
        let mut out = Vec::new();
        for answer in chunk_answers(desk, call, chunk, amend).await {
            // A struct of strings and numbers always serialises.
            serde_json::to_writer(&mut out, &answer).ok();
            out.push(b'\n');
        }
        if answers.send_timeout(Bytes::from(out), PATIENCE).await.is_err() {
            return;
        }
    }
}

async fn chunk_answers(desk: &Desk, call: &Call, chunk: Vec<Numbered>, amend: bool) -> Vec<RowAnswer> {
    let mut commands = Vec::new();
    let mut planned = Vec::with_capacity(chunk.len());
    for (line, row) in chunk {
        planned.push(match row {
            Ok(row) => {
                let id = row.position_id.clone();
                let command = if amend { Command::Amend(holding(row)) } else { open(row) };
                commands.push((id.clone(), command));
                (line, Ok(id))
            }
            Err(problem) => (line, Err(problem)),
        });
    }
    let mut taken = execute_many::<Position>(&desk.services, call, commands).await.into_iter();
    let mut done = Vec::with_capacity(planned.len());
    for (line, row) in planned {
        let (position_id, outcome) = match row {
            Ok(id) => {
                let outcome = taken.next().map(|taken| taken.map_err(|e| problem(e, false)));
                (Some(id), outcome.unwrap_or_else(|| Err(Problem::internal("too few answers"))))
            }
            Err(problem) => (None, Err(problem)),
        };
        let (status, position, problem) = match outcome {
            Ok(Taken::Recorded(position)) => (RowStatus::Recorded, Some(position), None),
            Ok(Taken::Unchanged(position)) => (RowStatus::Unchanged, Some(position), None),
            Err(problem) => (RowStatus::Rejected, None, Some(problem.to_json())),
        };
        done.push(RowAnswer { line, position_id, status, position, problem });
    }
    done
}

type Numbered = (u64, Result<Row, Problem>);

/// The rows of a body, read as they are needed.
enum Rows {
    Ndjson { body: Bytes, at: usize, line: u64 },
    Csv { reader: Box<csv::Reader<std::io::Cursor<Bytes>>>, headers: csv::StringRecord },
}

impl Rows {
    fn csv(body: Bytes) -> Result<Self, Problem> {
        let mut reader = csv::ReaderBuilder::new().from_reader(std::io::Cursor::new(body));
        let headers = reader.headers().map_err(|_| Problem::field("", "is not valid UTF-8 CSV"))?.clone();
        if !headers.iter().any(|name| name == "position_id") {
            return Err(Problem::field("", "must have a first row that names a column position_id"));
        }
        Ok(Self::Csv { reader: Box::new(reader), headers })
    }

    fn next_chunk(&mut self) -> Vec<Numbered> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some((length, row)) = self.next_row() else { break };
            bytes += length;
            chunk.push(row);
        }
        chunk
    }

    fn next_row(&mut self) -> Option<(usize, Numbered)> {
        match self {
            Self::Ndjson { body, at, line } => loop {
                let rest = body.get(*at..).filter(|rest| !rest.is_empty())?;
                let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                *at += length + 1;
                *line += 1;
                let text = rest[..length].trim_ascii();
                if !text.is_empty() {
                    return Some((length, (*line, ndjson_row(text))));
                }
            },
            Self::Csv { reader, headers } => {
                let mut record = csv::StringRecord::new();
                let read = reader.read_record(&mut record);
                let line = record.position().map_or_else(|| reader.position().line(), csv::Position::line);
                match read {
                    Ok(false) => None,
                    Ok(true) => {
                        let row = rows::csv_row(headers, &record);
                        Some((record.as_slice().len(), (line, row.map_err(|e| Problem::field("", e)))))
                    }
                    Err(error) if error.is_io_error() => None,
                    Err(error) => Some((0, (line, Err(not_a_row(&error))))),
                }
            }
        }
    }
}

fn ndjson_row(text: &[u8]) -> Result<Row, Problem> {
    if text.len() > MAX_LINE_BYTES {
        return Err(Problem::field("", format!("is longer than {MAX_LINE_BYTES} bytes")));
    }
    let row: Value = read_json(text, BodyLimits::default())?;
    rows::read(&row, None).map_err(|reason| Problem::field("", reason))
}

fn not_a_row(error: &csv::Error) -> Problem {
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("must have {expected_len} cells as the heading has, not {len}")
        }
        csv::ErrorKind::Utf8 { .. } => "must be valid UTF-8".into(),
        _ => "must be a row of CSV".into(),
    };
    Problem::field("", reason)
}
