//! Every difference of a comparison as a line of JSON, while it is made.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use daybook_http::Problem;
use futures::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::caller::problem;
use crate::compare::Comparison;
use crate::error::ReplayError;

const NDJSON: &str = "application/x-ndjson";
const CHUNK: usize = 64 << 10;
/// Chunks that wait for the client.
const AHEAD: usize = 4;
/// A client that takes nothing for so long is given up: both generations stay
/// open until it has read them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the client asks for lines.
pub fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|m| m.split(';').next().unwrap_or_default().trim() == NDJSON)
}

/// Where the comparison writes, and what the client is sent of it.
pub fn lines() -> (Lines, Receiver<Bytes>) {
    let (give, take) = channel(AHEAD);
    (Lines { give, chunk: Vec::with_capacity(CHUNK), runtime: Handle::current() }, take)
}

/// Written to on a blocking thread.
pub struct Lines {
    give: Sender<Bytes>,
    chunk: Vec<u8>,
    runtime: Handle,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        let sent = self.runtime.block_on(async { timeout(PATIENCE, self.give.send(chunk.into())).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(ErrorKind::BrokenPipe, "the client left")),
            Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "the client takes nothing")),
        }
    }
}

type Comparing = JoinHandle<Result<Comparison, ReplayError>>;

/// The lines, and at last a line with what came of it: a member `comparison`,
/// or `problem`. What is refused before the first line is an ordinary problem.
pub async fn answer(comparing: Comparing, mut lines: Receiver<Bytes>) -> Result<Response, Problem> {
    let first = match lines.recv().await {
        Some(first) => first,
        None => {
            let outcome = comparing.await.map_err(Problem::internal)?.map_err(problem)?;
            return Ok(response(stream::iter([Ok(last_line(Ok(outcome)))])));
        }
    };
    let rest = stream::unfold(lines, async |mut lines| Some((lines.recv().await?, lines)));
    let last = stream::once(async {
        last_line(match comparing.await {
            Ok(outcome) => outcome.map_err(problem),
            Err(error) => Err(Problem::internal(error)),
        })
    });
    Ok(response(stream::iter([first]).chain(rest).chain(last).map(Ok)))
}

fn last_line(outcome: Result<Comparison, Problem>) -> Bytes {
    let line = match outcome {
        Ok(comparison) => json!({ "comparison": comparison }),
        Err(problem) => json!({ "problem": problem.to_json() }),
    };
    format!("{line}\n").into()
}

fn response(lines: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}
