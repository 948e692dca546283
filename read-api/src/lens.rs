//! `?generation=` and `?at=`: other rows than the live ones of now. Both may be
//! part of every read, so they are taken out of the query before the routes
//! look at it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use daybook_http::Problem;
use daybook_http::problem::{Kind, Place};
use domain::ports::log::EventLog;
use domain::ports::rows::{GenerationId, ModelId, Snapshot};
use jiff::Timestamp;
use projections::as_of::position_at;

/// What the client wants to look through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lens {
    pub generation: Option<u32>,
    pub at: Option<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Position(u64),
    Time(Timestamp),
}

/// Takes the lens out of the query.
pub async fn layer(mut request: Request, next: Next) -> Response {
    match take(&mut request) {
        Ok(lens) => {
            request.extensions_mut().insert(lens);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn take(request: &mut Request) -> Result<Lens, Problem> {
    let Some(query) = request.uri().query() else { return Ok(Lens::default()) };
    let (mut lens, mut rest) = (Lens::default(), Vec::new());
    for pair in query.split('&') {
        let Some((name, value)) = url::form_urlencoded::parse(pair.as_bytes()).next() else { continue };
        match &*name {
            "generation" if lens.generation.is_none() => {
                let number = value.parse().ok().filter(|n| *n > 0);
                let wrong = || Problem::parameter("generation", "must be the number of a generation");
                lens.generation = Some(number.ok_or_else(wrong)?);
            }
            "at" if lens.at.is_none() => lens.at = Some(at(&value)?),
            "generation" | "at" => return Err(Problem::parameter(name, "is given twice")),
            _ => rest.push(pair),
        }
    }
    if lens == Lens::default() {
        return Ok(lens);
    }
    let path = request.uri().path();
    let address = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    *request.uri_mut() = address.parse().map_err(Problem::internal)?;
    Ok(lens)
}

fn at(text: &str) -> Result<At, Problem> {
    if let Ok(position) = text.parse() {
        return Ok(At::Position(position));
    }
    let time = text.parse().map(At::Time);
    time.map_err(|_| Problem::parameter("at", "must be a position or an RFC 3339 time with an offset"))
}

impl At {
    /// The position meant, which the log has reached.
    pub async fn position(self, log: &dyn EventLog) -> Result<u64, Problem> {
        match self {
            Self::Time(time) => Ok(position_at(log, time).await?),
            Self::Position(position) => {
                let head = log.head().await?.position;
                if position > head {
                    let reason = format!("is past the end of the log at {head}");
                    return Err(Problem::parameter("at", reason));
                }
                Ok(position)
            }
        }
    }
}

/// For views that would have to fold all of history.
pub fn needs_a_build() -> Problem {
    let reason = "is not for this view, which would have to fold all of history; have an operator build the past \
                  with daybook replay build --at, and read it with generation=";
    Problem::at(Kind::InvalidField, Place::Parameter("at".into()), reason)
}

/// What an answer from the past of one key says that it reflects.
pub fn past(projection: &str, model: ModelId, position: u64) -> Snapshot {
    let generation = GenerationId { projection: projection.into(), number: 0 };
    Snapshot { generation, model, position, results: Vec::new() }
}
