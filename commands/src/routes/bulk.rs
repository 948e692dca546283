//! Registering many bands with one request: NDJSON or CSV in, one line of
//! NDJSON out for each row. A row that is so already answers `unchanged`, so
//! an upload that broke off is simply sent again.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use daybook_http::extract::{BodyLimits, check_content_type, read_body, read_json};
use daybook_http::{Kind, Problem};
use domain::StreamId;
use domain::api_key::Role;
use domain::band::{Band, Command, Register};
use domain::decide::{Context, Decide, Decision};
use domain::ports::log::{AppendError, ExpectedVersion, Receipt};
use domain::target_url::UrlPolicy;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{OpenApi, ToSchema};

use crate::caller::{Caller, ProblemBody, problem};
use crate::execute::{Call, Services, build_append, execute, explain_check};
use crate::reply::StoredOutcome;

const MAX_LINE_BYTES: usize = 16 << 10;
/// How long answers wait for a client to take them.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows appended together.
const CHUNK: usize = 500;

/// One row: a band and what it is registered with. In CSV the header row names
/// the columns `band_id`, `event_id` and `tags` (separated by `;`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BandRow {
    #[serde(alias = "bandId")]
    band_id: String,
    #[serde(alias = "eventId")]
    event_id: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RowStatus {
    Registered,
    Unchanged,
    Rejected,
}

/// The answer to one row.
#[derive(Debug, Serialize, ToSchema)]
struct RowAnswer {
    /// 1…; the CSV header counts.
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    band_id: Option<String>,
    status: RowStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<serde_json::Value>,
}

pub fn router() -> Router<Services> {
    Router::new().route("/v1/bands/bulk", post(register_bands)).layer(DefaultBodyLimit::disable())
}

#[derive(OpenApi)]
#[openapi(paths(register_bands), components(schemas(BandRow, RowAnswer)))]
pub struct Doc;

/// Register up to 200,000 bands (64 MiB), unless configured otherwise. Answers
/// NDJSON, one line for each row, in order; a rejected row does not stop the
/// others.
#[utoipa::path(
    post, path = "/v1/bands/bulk", tag = "Bands",
    request_body(content((String = "application/x-ndjson"), (String = "text/csv"))),
    responses(
        (status = 200, description = "One line for each row", content_type = "application/x-ndjson", body = RowAnswer),
        (status = "4XX", description = "Refused as a whole", content_type = "application/problem+json", body = ProblemBody),
    )
)]
async fn register_bands(
    State(services): State<Services>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    caller.principal.require(Role::Writer)?;
    let (parts, body) = request.into_parts();
    let format = Format::of(&parts.headers)?;
    let Ok(permit) = services.bulk.uploads.clone().try_acquire_owned() else {
        let detail = "As many bulk requests as the server takes at once are being worked on.";
        return Err(Problem::new(Kind::Overloaded, detail).retry_after(5));
    };
    let bytes = read_body(&parts.headers, body, services.bulk.body_bytes).await?;
    let rows = Rows::new(format, bytes, services.bulk.rows)?;
    let call = Call { idempotency: None, ..caller.call(Role::Writer, "bulk", [0; 32], UrlPolicy::default()) };
    let (answers, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        register_rows(services, call, rows, answers).await;
        drop(permit);
    });
    let lines = ReceiverStream::new(lines).map(Ok::<_, std::convert::Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Goes on as long as the client takes the answers.
async fn register_rows(services: Services, call: Call, mut rows: Rows, answers: mpsc::Sender<Bytes>) {
    loop {
        let chunk = rows.next_chunk();
        if chunk.is_empty() {
            return;
        }
        let mut out = Vec::new();
        for answer in register_chunk(&services, &call, chunk).await {
            // A struct of strings and numbers always serialises.
            serde_json::to_writer(&mut out, &answer).ok();
            out.push(b'\n');
        }
        if answers.send_timeout(Bytes::from(out), PATIENCE).await.is_err() {
            return;
        }
    }
}

type NumberedRow = (usize, Result<BandRow, Problem>);

/// Appends what needs no look at the past together; only rows whose band
/// exists already are decided on its history, one by one.
async fn register_chunk(services: &Services, call: &Call, chunk: Vec<NumberedRow>) -> Vec<RowAnswer> {
    let mut answers: VecDeque<Result<RowAnswer, Planned>> = VecDeque::with_capacity(chunk.len());
    let mut appends = Vec::new();
    for (line, row) in chunk {
        let planned = row.and_then(|row| plan(services, call, line, row));
        match planned {
            Err(problem) => answers.push_back(Ok(rejected(line, None, problem))),
            Ok((planned, append)) => {
                appends.push(append);
                answers.push_back(Err(planned));
            }
        }
    }
    let mut results = services.log.append(appends).await.into_iter();
    let mut done = Vec::with_capacity(answers.len());
    for answer in answers {
        done.push(match answer {
            Ok(answer) => answer,
            Err(planned) => match results.next() {
                Some(result) => settle(services, call, planned, result).await,
                None => rejected(planned.line, None, Problem::internal("the log gave too few answers")),
            },
        });
    }
    done
}

struct Planned {
    line: usize,
    band_id: String,
    stream: StreamId,
    register: Register,
    decision: Decision<domain::band::Event>,
}

fn plan(
    services: &Services,
    call: &Call,
    line: usize,
    row: BandRow,
) -> Result<(Planned, domain::ports::log::Append), Problem> {
    let stream = StreamId::new(&call.principal.tenant, domain::band::KIND, &row.band_id)
        .map_err(|e| Problem::field("/band_id", e))?;
    let register = Register { event_id: row.event_id, tags: row.tags };
    let context = Context { now: services.clock.now(), urls: UrlPolicy::default() };
    let decision = Band::default().decide(Command::Register(register.clone()), &context)?;
    let stored = StoredOutcome { version: 1, unchanged_at: None, warnings: vec![] };
    let append = build_append(services, call, &stream, ExpectedVersion::NoStream, &decision, &stored)
        .map_err(|e| problem(e, false))?;
    Ok((Planned { line, band_id: row.band_id, stream, register, decision }, append))
}

async fn settle(
    services: &Services,
    call: &Call,
    planned: Planned,
    result: Result<Receipt, AppendError>,
) -> RowAnswer {
    let Planned { line, band_id, stream, register, decision } = planned;
    let done = |status, position| RowAnswer {
        line,
        band_id: Some(band_id.clone()),
        status,
        position: Some(position),
        problem: None,
    };
    let refusal = match result {
        Ok(receipt) => return done(RowStatus::Registered, receipt.position()),
        Err(AppendError::Conflict { stream: other, .. }) if other == stream => {
            let call = Call { id: band_id.clone(), ..call.clone() };
            match execute::<Band>(services, &call, Command::Register(register)).await {
                Ok(outcome) if outcome.events.is_empty() => {
                    return done(RowStatus::Unchanged, outcome.position);
                }
                Ok(outcome) => return done(RowStatus::Registered, outcome.position),
                Err(refusal) => refusal,
            }
        }
        Err(e) => explain_check(e, &stream, &decision),
    };
    rejected(line, Some(band_id), problem(refusal, false))
}

fn rejected(line: usize, band_id: Option<String>, problem: Problem) -> RowAnswer {
    RowAnswer { line, band_id, status: RowStatus::Rejected, position: None, problem: Some(problem.to_json()) }
}

#[derive(Clone, Copy)]
enum Format {
    Ndjson,
    Csv,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        if check_content_type(headers, "text/csv").is_ok() {
            return Ok(Self::Csv);
        }
        check_content_type(headers, "application/x-ndjson")
            .map(|()| Self::Ndjson)
            .map_err(|_| Problem::new(Kind::UnsupportedMediaType, "Send application/x-ndjson or text/csv."))
    }
}

/// The rows of a body, read as they are needed.
enum Rows {
    Ndjson { body: Bytes, at: usize, line: usize },
    Csv { reader: Box<csv::Reader<std::io::Cursor<Bytes>>>, columns: Vec<Column> },
}

impl Rows {
    fn new(format: Format, body: Bytes, max_rows: usize) -> Result<Self, Problem> {
        let heading = usize::from(matches!(format, Format::Csv));
        if count_lines(&body) > max_rows.saturating_add(heading) {
            let detail = format!("The body has more than {max_rows} rows; split it.");
            return Err(Problem::new(Kind::BodyTooLarge, detail).with("limit_rows", max_rows));
        }
        match format {
            Format::Ndjson => Ok(Self::Ndjson { body, at: 0, line: 0 }),
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new().from_reader(std::io::Cursor::new(body));
                let headers = reader.headers().map_err(|_| bad_header("is not valid UTF-8 CSV"))?;
                let columns = columns(headers)?;
                Ok(Self::Csv { reader: Box::new(reader), columns })
            }
        }
    }

    fn next_chunk(&mut self) -> Vec<NumberedRow> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            let Some(row) = self.next_row() else { break };
            chunk.push(row);
        }
        chunk
    }

    fn next_row(&mut self) -> Option<NumberedRow> {
        match self {
            Self::Ndjson { body, at, line } => loop {
                let rest = body.get(*at..).filter(|rest| !rest.is_empty())?;
                let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                *at += length + 1;
                *line += 1;
                let text = rest[..length].trim_ascii();
                if !text.is_empty() {
                    return Some((*line, ndjson_row(text)));
                }
            },
            Self::Csv { reader, columns } => {
                let mut record = csv::StringRecord::new();
                let line = next_line(reader);
                match reader.read_record(&mut record) {
                    Ok(false) => None,
                    Ok(true) => Some((line, Ok(csv_row(columns, &record)))),
                    Err(e) if e.is_io_error() => None,
                    Err(e) => Some((line, Err(not_a_row(&e)))),
                }
            }
        }
    }
}

/// Lines with something in them.
fn count_lines(body: &[u8]) -> usize {
    body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
}

/// The line on which the next record begins. The reader stands before the line
/// feed of CRLF, and before empty lines.
fn next_line(reader: &csv::Reader<std::io::Cursor<Bytes>>) -> usize {
    let at = reader.position();
    let start = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let rest = reader.get_ref().get_ref().get(start..).unwrap_or_default();
    let breaks = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n');
    usize::try_from(at.line()).unwrap_or(usize::MAX).saturating_add(breaks.count())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    BandId,
    EventId,
    Tags,
}

fn columns(headers: &csv::StringRecord) -> Result<Vec<Column>, Problem> {
    let mut columns = Vec::new();
    for name in headers {
        let column = match name {
            "band_id" | "bandId" => Column::BandId,
            "event_id" | "eventId" => Column::EventId,
            "tags" => Column::Tags,
            _ => return Err(bad_header("has a column of another name")),
        };
        if columns.contains(&column) {
            return Err(bad_header("has a column twice"));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::BandId) {
        return Err(bad_header("must have a column band_id"));
    }
    Ok(columns)
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

fn bad_header(reason: &str) -> Problem {
    Problem::field("", format!("{reason}: the first row names the columns band_id, event_id and tags"))
}

fn ndjson_row(text: &[u8]) -> Result<BandRow, Problem> {
    if text.len() > MAX_LINE_BYTES {
        return Err(Problem::field("", format!("is longer than {MAX_LINE_BYTES} bytes")));
    }
    read_json(text, BodyLimits::default())
}

fn csv_row(columns: &[Column], record: &csv::StringRecord) -> BandRow {
    let mut row = BandRow { band_id: String::new(), event_id: None, tags: vec![] };
    for (column, value) in columns.iter().zip(record) {
        match column {
            Column::BandId => row.band_id = value.to_owned(),
            Column::EventId => row.event_id = (!value.is_empty()).then(|| value.to_owned()),
            Column::Tags => {
                row.tags = value.split(';').map(str::trim).filter(|t| !t.is_empty()).map(Into::into).collect()
            }
        }
    }
    row
}
