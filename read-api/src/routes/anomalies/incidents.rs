//! Windows of different series that overlap, told as one.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use daybook_http::{Id, Problem, Query};
use domain::anomaly_window::Severity;
use jiff::{SignedDuration, Timestamp};
use projections::anomalies::{NAME, WindowRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::super::{GenerationParameter, ReadHeaders, Reader, limit, parse, rows_at};
use super::began;
use crate::at_least::Answer;
use crate::state::ReadState;

/// Windows that are looked at for one answer.
const MAX_WINDOWS: usize = 10_000;
/// Series and windows that are named of one incident.
const MAX_NAMED: usize = 100;
const MAX_LIMIT: usize = 1_000;
const MAX_GAP: u32 = 86_400;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/incidents", get(incidents))
}

#[derive(OpenApi)]
#[openapi(paths(incidents))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    #[param(value_type = Option<String>)]
    app: Option<Id>,
    /// Windows of at least this severity: `low`, `medium` or `high`.
    #[param(value_type = Option<String>)]
    severity: Option<Severity>,
    /// Windows that began at or after this RFC 3339 time.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Windows that began before this RFC 3339 time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Windows so many seconds apart are one incident, too; 0 unless told, at
    /// most 86,400.
    #[serde(default)]
    gap_seconds: u32,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
struct SeriesName {
    app: String,
    rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Incident {
    #[schema(value_type = String)]
    start: Timestamp,
    #[schema(value_type = String)]
    end: Timestamp,
    /// Whether any of its windows is.
    open: bool,
    /// The highest of its windows.
    severity: Severity,
    score: f64,
    /// How many windows it has.
    count: usize,
    /// Of how many series.
    series_count: usize,
    /// The first 100 of these.
    series: Vec<SeriesName>,
    /// Ids of the first 100 windows, oldest first.
    windows: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Incidents {
    /// Newest first.
    incidents: Vec<Incident>,
    /// False if there are more windows than the 10,000 that were looked at, or
    /// more incidents than asked for: ask again with `to` as the start of the
    /// last one that is told, which may then have begun earlier.
    complete: bool,
}

/// Windows that overlap in time, across series, put together.
#[utoipa::path(get, path = "/v1/incidents", tag = "Anomalies", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Incidents)))]
async fn incidents(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Incidents>, Problem> {
    let most = limit(filter.limit, 100, MAX_LIMIT)?;
    if filter.gap_seconds > MAX_GAP {
        return Err(Problem::parameter("gap_seconds", format!("must be at most {MAX_GAP}")));
    }
    let queries = [began(filter.from, filter.to, None, MAX_WINDOWS + 1)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let rows = rows_at(&snapshot, 0);
    let mut complete = rows.len() <= MAX_WINDOWS;
    let mut windows = Vec::with_capacity(rows.len());
    for row in rows.iter().take(MAX_WINDOWS) {
        let window: WindowRow = parse(row)?;
        let wanted = filter.app.as_deref().is_none_or(|app| window.app == app)
            && filter.severity.is_none_or(|least| window.severity >= least);
        if wanted {
            windows.push(window);
        }
    }
    windows.reverse();
    let mut incidents = merged(&windows, SignedDuration::from_secs(filter.gap_seconds.into()));
    incidents.reverse();
    complete &= incidents.len() <= most;
    incidents.truncate(most);
    Ok(Answer::new(&snapshot, Incidents { incidents, complete }))
}

/// Goes through windows in the order of their starts.
fn merged(windows: &[WindowRow], gap: SignedDuration) -> Vec<Incident> {
    let mut incidents = Vec::new();
    let mut rest = windows;
    while let Some(first) = rest.first() {
        let mut end = first.end;
        let near = |end: Timestamp| end.checked_add(gap).unwrap_or(Timestamp::MAX);
        let count = rest
            .iter()
            .take_while(|window| {
                let belongs = window.start <= near(end);
                if belongs {
                    end = end.max(window.end);
                }
                belongs
            })
            .count();
        let (these, others) = rest.split_at(count);
        incidents.push(incident(first, these, end));
        rest = others;
    }
    incidents
}

fn incident(first: &WindowRow, windows: &[WindowRow], end: Timestamp) -> Incident {
    let worst = windows.iter().fold(first, |worst, w| {
        if (w.severity, w.score) > (worst.severity, worst.score) { w } else { worst }
    });
    let series: BTreeSet<SeriesName> = windows
        .iter()
        .map(|w| SeriesName { app: w.app.clone(), rule: w.rule.clone(), key: w.key.clone() })
        .collect();
    Incident {
        start: first.start,
        end,
        open: windows.iter().any(|w| w.open),
        severity: worst.severity,
        score: worst.score,
        count: windows.len(),
        series_count: series.len(),
        series: series.into_iter().take(MAX_NAMED).collect(),
        windows: windows.iter().take(MAX_NAMED).map(|w| w.id.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn window(key: &str, start: i64, end: i64, severity: &str) -> WindowRow {
        let at = |second| Timestamp::from_second(second).unwrap().to_string();
        let peak = json!({"at": at(start), "value": 1.0, "signal": 1});
        serde_json::from_value(json!({"id": format!("{start}.{key}"), "version": 1, "review_version": 0,
            "open": false, "rule": "cpu", "rule_version": 1, "key": key, "app": "ops", "start": at(start),
            "end": at(end), "peak": peak, "score": 0.5, "severity": severity, "points": 1, "acts": true,
            "muted": false, "opened_by": 1, "opened_at": at(0), "position": 1, "notes": 0}))
        .unwrap()
    }

    #[test]
    fn windows_that_overlap_are_one_incident() {
        let windows = [
            window("a", 0, 100, "low"),
            window("b", 10, 20, "high"),
            // Not after the second ends, but before the first does.
            window("a", 50, 150, "low"),
            window("c", 150, 160, "medium"),
            window("a", 170, 180, "low"),
        ];
        let told = |gap| -> Vec<(i64, i64, usize, usize)> {
            merged(&windows, SignedDuration::from_secs(gap))
                .iter()
                .map(|i| (i.start.as_second(), i.end.as_second(), i.count, i.series_count))
                .collect()
        };
        assert_eq!(told(0), [(0, 160, 4, 3), (170, 180, 1, 1)]);
        assert_eq!(told(9), [(0, 160, 4, 3), (170, 180, 1, 1)]);
        assert_eq!(told(10), [(0, 180, 5, 3)]);
        assert_eq!(merged(&windows, SignedDuration::ZERO)[0].severity, Severity::High);
        assert!(merged(&[], SignedDuration::ZERO).is_empty());
    }
}
