//! The generated show day, folded by the projection that serves it.

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook::demo::{Expected, Plan, plan};
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::envelope::Metadata;
use domain::ports::clock::Ids;
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::{RecordedEvent, StreamId, TenantId, tap};
use infra_log::MemoryLog;
use projections::tap_analytics::rows::{Shared, Summary, key};
use projections::tap_analytics::{SHARED, SUMMARY, TapAnalytics};
use projections::testing::{MemoryRows, fold};

/// The taps as the log holds them, in the order of their arrival.
async fn recorded(plan: &Plan, tenant: &TenantId) -> Vec<RecordedEvent> {
    let ids = CountingIds::default();
    let log = MemoryLog::new(Arc::new(FixedClock::at("2026-07-02T12:00:00Z")));
    for taps in plan.taps.chunks(1_000) {
        let write = StreamWrite {
            stream: StreamId::new(tenant, tap::KIND, "demo").unwrap(),
            expected: ExpectedVersion::Any,
            events: taps.iter().map(|t| t.to_event(ids.next()).unwrap()).collect(),
        };
        let command_id = ids.next();
        let metadata = Metadata {
            actor: "cli:demo".into(),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        let append = Append { writes: vec![write], metadata, idempotency: None };
        log.append(vec![append]).await.pop().unwrap().unwrap();
    }
    log.read(0, usize::MAX, &ReadFilter::default()).await.unwrap().events
}

fn agrees(expected: &Expected, rows: &MemoryRows, tenant: &TenantId) {
    let summary: Summary = rows.get(SUMMARY, tenant, &expected.event_id).unwrap();
    let folded = Expected {
        event_id: summary.event_id,
        taps: summary.taps,
        bots: summary.bots,
        previews: summary.previews,
        unique_bands: summary.unique_bands,
        repeat_bands: summary.repeat_bands,
        unique_visitors: summary.unique_visitors,
        first_tap_at: summary.first_tap_at,
        last_tap_at: summary.last_tap_at,
        modes: summary.modes.0,
        windows: summary.windows.0,
        // Hours are made of minutes when they are read.
        hours: expected.hours.clone(),
    };
    assert_eq!(&folded, expected);
}

#[tokio::test]
async fn the_projection_comes_to_the_expected_figures() {
    let plan = plan(1, jiff::civil::date(2026, 7, 1)).unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let events = recorded(&plan, &tenant).await;
    let rows = fold(&TapAnalytics::default(), &events, 500).unwrap();
    for expected in &plan.expected {
        agrees(expected, &rows, &tenant);
    }
    let pair: BTreeSet<&str> = plan.events.iter().map(|e| e.id.as_str()).collect();
    let shared: Shared =
        rows.get(SHARED, &tenant, &key(pair.first().unwrap(), pair.last().unwrap())).unwrap();
    assert_eq!(shared.bands, plan.returning_bands);
}
