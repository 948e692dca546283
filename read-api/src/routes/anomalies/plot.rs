//! The points around one window, with the band that was expected, as JSON or
//! drawn.
//!
//! Points are not kept: the rule's signals are read again and judged as they
//! were, from where the rule was put in force or, if that is too far back, from
//! so many positions before the window, or from where taps were trimmed.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::problem::Kind;
use daybook_http::{Id, Path, Problem, Query};
use domain::anomaly_window::Expected;
use domain::decide::Decide;
use domain::ports::log::{LogError, ReadFilter};
use domain::ports::rows::Query as RowQuery;
use domain::registry::decode;
use domain::rule::{self, Anomaly, Definition, Rule};
use domain::rule_match::TICKED;
use domain::{RecordedEvent, StreamId, TenantId};
use jiff::Timestamp;
use models_rules::watched::{Place, Watched, body, expected, instant};
use models_rules::{Compiled, Outcome};
use projections::anomalies::{NAME, WINDOWS, WindowRow};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::super::{ReadHeaders, Reader, limit, parse, rows_at};
use super::svg;
use crate::at_least::{Answer, reflect};
use crate::state::ReadState;

const PAGE: usize = 1_000;
/// Positions of the log that are read again before and after a window.
const MAX_POSITIONS: u64 = 200_000;
/// Points within the window.
const MAX_WITHIN: usize = 2_000;
const MAX_TIME: Duration = Duration::from_secs(10);

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/anomalies/{id}/series", get(series))
}

#[derive(OpenApi)]
#[openapi(paths(series))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Span {
    /// Points before and after the window, 1 to 1,000; 200 unless told.
    points: Option<usize>,
    /// `json` or `svg`; else as `Accept` says.
    format: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Point {
    #[schema(value_type = String)]
    pub at: Timestamp,
    pub value: f64,
    /// 0 ordinary to 1.
    pub score: f64,
    pub unusual: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Plot {
    #[schema(value_type = Object)]
    pub window: WindowRow,
    /// By event time; with steps, a point is one step.
    pub points: Vec<Point>,
    /// Signals past this position were judged.
    from: u64,
    /// Whether that is where the rule began, so that every score and band is
    /// what it was.
    exact: bool,
    /// False if time ran out, or there are more than 2,000 points in the window.
    complete: bool,
}

/// The points around one window and what was expected of them, as JSON or SVG.
#[utoipa::path(get, path = "/v1/anomalies/{id}/series", tag = "Anomalies", params(("id" = String, Path), Span, ReadHeaders), responses((status = 200, content((Plot = "application/json"), (String = "image/svg+xml")))))]
async fn series(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(span): Query<Span>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let drawn = wants_svg(span.format.as_deref(), &headers)?;
    let around = limit(span.points, 200, 1_000)?;
    let queries = [RowQuery::get(WINDOWS, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row = rows_at(&snapshot, 0).first().ok_or_else(Problem::not_found)?;
    let plot = plot(&state, &reader.tenant, parse(row)?, around).await?;
    if !drawn {
        return Ok(Answer::new(&snapshot, plot).into_response());
    }
    let mut headers = HeaderMap::new();
    reflect(&mut headers, &snapshot);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    // A picture runs nothing and fetches nothing, whatever a key is called.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    Ok((headers, svg::draw(&plot)).into_response())
}

fn wants_svg(format: Option<&str>, headers: &HeaderMap) -> Result<bool, Problem> {
    match format {
        Some("svg") => return Ok(true),
        Some("json") => return Ok(false),
        Some(_) => return Err(Problem::parameter("format", "must be json or svg")),
        None => {}
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    for media in accept.split(',').map(|m| m.split(';').next().unwrap_or_default().trim()) {
        match media {
            "image/svg+xml" | "image/*" => return Ok(true),
            "*/*" | "application/*" | "application/json" | "" => return Ok(false),
            _ => {}
        }
    }
    Err(Problem::new(Kind::NotAcceptable, "There is application/json and image/svg+xml here."))
}

async fn plot(
    state: &ReadState,
    tenant: &TenantId,
    window: WindowRow,
    around: usize,
) -> Result<Plot, Problem> {
    let (since, definition) = rule(state, tenant, &window).await?;
    let mut from = since.max(window.opened_by.saturating_sub(MAX_POSITIONS));
    let upto = window.position.saturating_add(MAX_POSITIONS);
    let mut collected = Collected::new(&window, &definition, around)?;
    let deadline = Instant::now() + MAX_TIME;
    let types = definition.anomaly.as_ref().map(Anomaly::event_types).unwrap_or_default();
    let filter = ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types(types) };
    let mut through = from;
    let mut complete = true;
    while through < upto && !collected.is_full() {
        let page = match state.log.read(through, PAGE, &filter).await {
            // What was before the window is not there any more.
            Err(LogError::Trimmed { upto }) if through < upto && upto < window.opened_by => {
                (from, through) = (upto, upto);
                continue;
            }
            page => page?,
        };
        page.events.iter().try_for_each(|event| collected.fact(&definition, event))?;
        if page.through <= through {
            break;
        }
        through = page.through;
        if Instant::now() >= deadline {
            complete = false;
            break;
        }
    }
    complete &= collected.within <= MAX_WITHIN;
    Ok(Plot { points: collected.points(), window, from, exact: from == since, complete })
}

/// What the rule said when the window was opened, and since which position.
async fn rule(
    state: &ReadState,
    tenant: &TenantId,
    window: &WindowRow,
) -> Result<(u64, Definition), Problem> {
    let stream = StreamId::new(tenant, rule::KIND, &window.rule).map_err(Problem::internal)?;
    // A rule may have changed before the opening was recorded; the id tells
    // which signal it was.
    let opened = window.id.split('.').next().and_then(|position| position.parse().ok());
    let opened: u64 = opened.ok_or_else(|| Problem::internal("a window without a position"))?;
    let (mut said, mut since) = (Rule::default(), 0);
    let mut version = 1;
    loop {
        let events = state.log.read_stream(&stream, version, PAGE).await?;
        for event in events.iter().filter(|event| event.position < opened) {
            said.evolve(decode(event).map_err(Problem::internal)?);
            since = event.position;
        }
        if events.len() < PAGE {
            break;
        }
        version += events.len() as u64;
    }
    let definition = said.definition.filter(|definition| definition.anomaly.is_some());
    Ok((since, definition.ok_or_else(Problem::not_found)?))
}

/// The last points before the window, those within, and the first after it.
struct Collected {
    rule: Compiled,
    watched: Watched,
    key: String,
    start: Timestamp,
    end: Timestamp,
    around: usize,
    before: VecDeque<Point>,
    rest: Vec<Point>,
    within: usize,
    after: usize,
}

impl Collected {
    fn new(window: &WindowRow, definition: &Definition, around: usize) -> Result<Self, Problem> {
        let rule = Compiled::new(definition).map_err(Problem::internal)?;
        let anomaly = definition.anomaly.as_ref().ok_or_else(Problem::not_found)?;
        let mut watched = Watched::new(anomaly).map_err(Problem::internal)?;
        let key = window.key.clone().unwrap_or_default();
        watched.keep_points(&key);
        Ok(Self {
            rule,
            watched,
            key,
            start: window.start,
            end: window.end,
            around,
            before: VecDeque::new(),
            rest: Vec::new(),
            within: 0,
            after: 0,
        })
    }

    fn fact(&mut self, definition: &Definition, event: &RecordedEvent) -> Result<(), Problem> {
        if self.is_full() {
            return Ok(());
        }
        if *event.event_type == *TICKED {
            self.watched.tick(Place::of(event));
            self.judged();
            return Ok(());
        }
        let body = body(event).map_err(Problem::internal)?;
        let asks = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| body[name].as_str() == Some(wanted))
        };
        let concerned = asks(&definition.app, "app")
            && asks(&definition.category, "category")
            && asks(&definition.event_type, "type")
            && self.rule.judge(&body) == Outcome::Matches
            && self.rule.key(&body).is_some_and(|key| key == self.key);
        if concerned {
            // What is too late or no number was no point then either.
            let _ = self.watched.observe(&self.rule, &body, Place::of(event));
            self.judged();
        }
        Ok(())
    }

    fn judged(&mut self) {
        for judged in self.watched.take_points(&self.key) {
            let expected = judged.band.map(expected);
            let (at, value) = (instant(judged.at), judged.value);
            self.keep(Point { at, value, score: judged.score, unusual: judged.unusual, expected });
        }
    }

    fn keep(&mut self, point: Point) {
        if point.at < self.start {
            self.before.push_back(point);
            if self.before.len() > self.around {
                self.before.pop_front();
            }
        } else if point.at <= self.end {
            self.within += 1;
            if self.within <= MAX_WITHIN {
                self.rest.push(point);
            }
        } else if self.after < self.around {
            self.after += 1;
            self.rest.push(point);
        }
    }

    fn is_full(&self) -> bool {
        self.after >= self.around
    }

    fn points(self) -> Vec<Point> {
        let mut points: Vec<Point> = self.before.into_iter().chain(self.rest).collect();
        points.sort_by_key(|point| point.at);
        points
    }
}
