//! Totals of an event's taps, and several events side by side.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use daybook_http::problem::{Kind, Place};
use daybook_http::{Path, Problem, Query};
use domain::ids::check_id;
use domain::ports::rows::{Query as RowQuery, Snapshot};
use jiff::Timestamp;
use projections::tap_analytics::rows::{EventSettings, Peak, Referrers, Sessions, Summary, Tally};
use projections::tap_analytics::{EVENTS, NAME, REFERRERS, SUMMARY};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{EventKey, GenerationParameter, ReadHeaders, Reader, row_at};
use crate::at_least::Answer;
use crate::state::ReadState;

/// Referring hosts that a summary names; the rest are one entry.
const SHOWN_REFERRERS: usize = 50;
const MAX_COMPARED: usize = 10;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/analytics/events/{id}/summary", get(summary))
        .route("/v1/analytics/compare", get(compare))
}

#[derive(OpenApi)]
#[openapi(paths(summary, compare))]
pub struct Doc;

/// Taps under one name of a breakdown.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Count {
    pub name: String,
    pub taps: u64,
}

/// The minute with the most taps.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PeakMinute {
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    pub taps: u64,
}

/// What can be said of an event in one line.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Totals {
    pub event_id: String,
    /// `null` for an event that was never scheduled here.
    pub name: Option<String>,
    pub time_zone: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// GETs by people. Bots and previews are never among them.
    pub taps: u64,
    pub bots: u64,
    pub previews: u64,
    /// Bands with a tap, exactly.
    pub unique_bands: u64,
    /// Bands with more than one.
    pub repeat_bands: u64,
    /// People are told apart for a day at a time, by a hash that cannot be
    /// traced back.
    pub unique_visitors: u64,
    pub taps_per_band: f64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_tap_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_tap_at: Option<Timestamp>,
    pub peak_minute: Option<PeakMinute>,
    /// By what the tap was led to: pre, live, post, custom, fallback,
    /// tenant_fallback or none.
    pub modes: Vec<Count>,
}

/// Totals and breakdowns, each most frequent first. All but `bot_classes` are
/// of taps and add up to them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SummaryBody {
    #[serde(flatten)]
    pub totals: Totals,
    pub windows: Vec<Count>,
    pub devices: Vec<Count>,
    pub os: Vec<Count>,
    pub browsers: Vec<Count>,
    pub countries: Vec<Count>,
    pub languages: Vec<Count>,
    pub referrers: Vec<Count>,
    /// Of bots and previews.
    pub bot_classes: Vec<Count>,
    /// Only where the model tells visits apart: bots@2 and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsBody>,
}

/// Visits: taps of one visitor without a pause longer than the model's gap.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SessionsBody {
    pub count: u64,
    /// Visits of one tap.
    pub single: u64,
    /// From the first tap to the last.
    pub mean_seconds: f64,
    pub longest_seconds: u64,
    pub taps_per_session: f64,
}

#[allow(clippy::cast_precision_loss, reason = "averages for people")]
fn sessions(figures: Sessions) -> SessionsBody {
    let mean = |sum: u64| if figures.count == 0 { 0.0 } else { sum as f64 / figures.count as f64 };
    SessionsBody {
        count: figures.count,
        single: figures.single,
        mean_seconds: mean(figures.seconds),
        longest_seconds: figures.longest_seconds,
        taps_per_session: mean(figures.taps),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Compare {
    /// 2 to 10 ids of events, separated by commas.
    events: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Comparison {
    /// In the order asked for.
    events: Vec<Totals>,
}

/// Totals and breakdowns of an event's taps; id `-` for bands without an event.
#[utoipa::path(get, path = "/v1/analytics/events/{id}/summary", tag = "Analytics", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = SummaryBody)))]
async fn summary(
    State(state): State<ReadState>,
    Path(EventKey(id)): Path<EventKey>,
    reader: Reader,
) -> Result<Answer<SummaryBody>, Problem> {
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &summary_queries(&id)).await?;
    let body = summary_body(&id, &snapshot)?.ok_or_else(Problem::not_found)?;
    Ok(Answer::new(&snapshot, body))
}

/// What [`summary_body`] is made of.
pub(super) fn summary_queries(id: &str) -> [RowQuery; 3] {
    [RowQuery::get(SUMMARY, id), RowQuery::get(EVENTS, id), RowQuery::get(REFERRERS, id)]
}

/// `None` if there is neither such an event nor a tap of it.
pub(super) fn summary_body(id: &str, snapshot: &Snapshot) -> Result<Option<SummaryBody>, Problem> {
    let row: Option<Summary> = row_at(snapshot, 0)?;
    let settings: Option<EventSettings> = row_at(snapshot, 1)?;
    if row.is_none() && settings.is_none() {
        return Ok(None);
    }
    let row = row.unwrap_or_default();
    let referrers: Referrers = row_at(snapshot, 2)?.unwrap_or_default();
    Ok(Some(SummaryBody {
        windows: counts(&row.windows),
        devices: counts(&row.devices),
        os: counts(&row.os),
        browsers: counts(&row.browsers),
        countries: counts(&row.countries),
        languages: counts(&row.languages),
        referrers: most_frequent(counts(&referrers.hosts), SHOWN_REFERRERS),
        bot_classes: counts(&row.bot_classes),
        sessions: row.sessions.map(sessions),
        totals: totals(id, row, settings),
    }))
}

fn totals(id: &str, row: Summary, settings: Option<EventSettings>) -> Totals {
    let peak = |p: Peak| PeakMinute { start: p.start, taps: p.taps };
    #[allow(clippy::cast_precision_loss, reason = "an average for people")]
    let taps_per_band = if row.unique_bands == 0 { 0.0 } else { row.taps as f64 / row.unique_bands as f64 };
    Totals {
        event_id: id.into(),
        time_zone: settings.as_ref().map(|s| s.time_zone.clone()),
        starts_at: settings.as_ref().map(|s| s.starts_at),
        ends_at: settings.as_ref().map(|s| s.ends_at),
        name: settings.map(|s| s.name),
        taps: row.taps,
        bots: row.bots,
        previews: row.previews,
        unique_bands: row.unique_bands,
        repeat_bands: row.repeat_bands,
        unique_visitors: row.unique_visitors,
        taps_per_band,
        first_tap_at: row.first_tap_at,
        last_tap_at: row.last_tap_at,
        peak_minute: row.peak_minute.map(peak),
        modes: counts(&row.modes),
    }
}

pub(super) fn counts(tally: &Tally) -> Vec<Count> {
    let mut all: Vec<Count> =
        tally.0.iter().map(|(name, taps)| Count { name: name.clone(), taps: *taps }).collect();
    // Stable, so equal counts stay in name order.
    all.sort_by_key(|c| std::cmp::Reverse(c.taps));
    all
}

/// The first `n`, and the sum of the others as one.
fn most_frequent(mut counts: Vec<Count>, n: usize) -> Vec<Count> {
    use projections::tap_analytics::rows::OVERFLOW;
    if counts.len() <= n {
        return counts;
    }
    let rest = counts.split_off(n);
    let mut others: u64 = rest.iter().map(|c| c.taps).sum();
    counts.retain(|c| {
        let keep = c.name != OVERFLOW;
        others += if keep { 0 } else { c.taps };
        keep
    });
    counts.push(Count { name: OVERFLOW.into(), taps: others });
    counts
}

/// 2 to 10 events side by side.
#[utoipa::path(get, path = "/v1/analytics/compare", tag = "Analytics", params(Compare, GenerationParameter, ReadHeaders), responses((status = 200, body = Comparison)))]
async fn compare(
    State(state): State<ReadState>,
    Query(query): Query<Compare>,
    reader: Reader,
) -> Result<Answer<Comparison>, Problem> {
    let ids = event_ids(&query.events, 2, MAX_COMPARED)?;
    let queries: Vec<RowQuery> =
        ids.iter().flat_map(|id| [RowQuery::get(SUMMARY, id), RowQuery::get(EVENTS, id)]).collect();
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let mut events = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        let row: Option<Summary> = row_at(&snapshot, 2 * i)?;
        let settings = row_at(&snapshot, 2 * i + 1)?;
        if row.is_none() && settings.is_none() {
            return Err(no_such_event(id));
        }
        events.push(totals(id, row.unwrap_or_default(), settings));
    }
    Ok(Answer::new(&snapshot, Comparison { events }))
}

/// The ids of the parameter `events`, which must differ.
pub(super) fn event_ids(text: &str, min: usize, max: usize) -> Result<Vec<String>, Problem> {
    let wrong = |reason: String| Problem::parameter("events", reason);
    let mut ids: Vec<String> = Vec::new();
    for id in text.split(',') {
        check_id(id).map_err(|e| wrong(format!("has an id that {e}")))?;
        if ids.iter().any(|known| known == id) {
            return Err(wrong(format!("names {id} twice")));
        }
        ids.push(id.to_owned());
        if ids.len() > max {
            return Err(wrong(format!("must name at most {max} events")));
        }
    }
    if ids.len() < min {
        return Err(wrong(format!("must name at least {min} events")));
    }
    Ok(ids)
}

pub(super) fn no_such_event(id: &str) -> Problem {
    Problem::at(
        Kind::NotFound,
        Place::Parameter("events".into()),
        format!("names {id}, which does not exist"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_frequent_are_one_entry() {
        let tally =
            Tally([("a", 5), ("b", 7), ("(other)", 6), ("c", 1)].map(|(n, c)| (n.to_owned(), c)).into());
        let names = |counts: Vec<Count>| counts.into_iter().map(|c| (c.name, c.taps)).collect::<Vec<_>>();
        assert_eq!(names(most_frequent(counts(&tally), 2)), [("b".into(), 7), ("(other)".into(), 12)]);
        assert_eq!(most_frequent(counts(&tally), 4).len(), 4);
    }

    #[test]
    fn ids_are_checked_one_by_one() {
        assert_eq!(event_ids("a,b", 2, 3).unwrap(), ["a", "b"]);
        for bad in ["", "a", "a,", "a,a", "a,b,c,d", "a,b/c", "-,a"] {
            assert!(event_ids(bad, 2, 3).is_err(), "{bad}");
        }
    }
}
