use domain::StreamId;
use models::taps::{Parameters, WITH_SESSIONS};
use proptest::prelude::*;

use super::super::TapAnalytics;
use super::super::tests::{any_tap, history_of, recorded, tap, tapped, tenant};
use super::*;
use crate::bulk::{ERASED, Texts};
use crate::testing::{MemoryRows, Tables, fold};

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Texts {
    coded(values.map(|value| value.ok_or(-1)))
}

/// Of a member: a text, nothing, or one that was erased.
fn member(value: &serde_json::Value) -> Result<&str, i32> {
    value.as_str().ok_or(if value["erased"] == true { ERASED } else { -1 })
}

fn coded<'a>(values: impl Iterator<Item = Result<&'a str, i32>>) -> Texts {
    let mut texts = Texts::default();
    let mut known: Vec<String> = Vec::new();
    for value in values {
        let code = value.map_or_else(
            |code| code,
            |value| {
                let code = known.iter().position(|k| k == value).unwrap_or_else(|| {
                    known.push(value.into());
                    texts.add(value);
                    known.len() - 1
                });
                i32::try_from(code).unwrap()
            },
        );
        texts.codes.push(code);
    }
    texts
}

fn columns(events: &[&RecordedEvent], wants: Wants) -> Columns {
    let payloads: Vec<serde_json::Value> =
        events.iter().map(|e| serde_json::from_str(&e.payload).unwrap()).collect();
    Columns {
        event_type: wants.event_type,
        positions: events.iter().map(|e| e.position).collect(),
        at: events.iter().map(|e| e.at().as_microsecond()).collect(),
        tenants: texts(events.iter().map(|e| Some(e.stream.tenant.as_str()))),
        members: wants.members.iter().map(|m| coded(payloads.iter().map(|p| member(&p[m])))).collect(),
    }
}

/// Type by type, as a history in columns is read.
fn bulk(mut bulk: TapBulk, events: &[RecordedEvent], batch: usize) -> (Tables, Vec<u64>) {
    let rows = MemoryRows::default();
    let mut broken = Vec::new();
    for _ in 0..bulk.passes() {
        for wants in bulk.wants() {
            let of_type: Vec<&RecordedEvent> =
                events.iter().filter(|e| &*e.event_type == wants.event_type).collect();
            for batch in of_type.chunks(batch) {
                broken.append(&mut bulk.fold(columns(batch, *wants)).unwrap());
            }
        }
        for event in events.iter().filter(|e| e.event_type.starts_with("live_event.")) {
            bulk.event(event).unwrap();
        }
        let mut keys = std::collections::HashSet::new();
        let mut sink = |changes: TableChanges| {
            assert!(changes.puts.iter().all(|p| keys.insert((changes.table.clone(), p.row.clone()))));
            rows.store(&[changes]);
            Ok(())
        };
        bulk.end_pass(&mut sink).unwrap();
    }
    (rows.all(), broken)
}

fn in_parts(of: u64) -> TapBulk {
    TapBulk::in_parts(&TapAnalytics::default(), of)
}

#[test]
fn split_in_the_middle_it_begins_again() {
    let one = |n: u64| tapped(n, "2026-07-01T19:00:00Z", &tap(&format!("b{}", n % 7), Some("show")));
    let events: Vec<RecordedEvent> = (1..40).map(one).collect();
    let mut begun = in_parts(1);
    let taps: Vec<&RecordedEvent> = events.iter().collect();
    begun.fold(columns(&taps, begun.wants()[0])).unwrap();
    assert!(begun.split(1 << 30));
    let mut counted = in_parts(1);
    counted.fold(columns(&taps, counted.wants()[0])).unwrap();
    assert!(!counted.split(0), "counts are whole in the first pass");
    assert_eq!(begun.passes(), 2);
    assert_eq!(bulk(begun, &events, 8), bulk(in_parts(1), &events, 8));
}

/// A pause of a minute ends a visit.
fn with_visits() -> TapAnalytics {
    let mut parameters = Parameters::of(WITH_SESSIONS);
    parameters.session_gap_seconds = Some(60);
    TapAnalytics::new(WITH_SESSIONS, parameters)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn columns_end_in_the_rows_of_the_events(
        taps in prop::collection::vec(any_tap(), 1..300),
        batch in 1usize..50,
        parts in 1u64..4,
    ) {
        let events = history_of(&taps);
        for model in [TapAnalytics::default(), with_visits()] {
            let expected = fold(&model, &events, 7).unwrap().all();
            prop_assert_eq!(bulk(TapBulk::in_parts(&model, parts), &events, batch), (expected, Vec::new()));
        }
    }
}

#[test]
fn bounds_are_kept_in_the_order_of_the_taps() {
    let at = |i: u64| jiff::Timestamp::from_second(1_782_932_400 + i as i64 * 7 % 1_000).unwrap().to_string();
    let one = |i: u64| {
        let mut tap = tap(&format!("b{}", i % 2), Some(&format!("show-{}", i % 250)));
        tap.referrer = Some(format!("https://host-{}.example/", i % 1_100));
        tap.window_id = Some("w1".into());
        tap.language =
            Some(format!("{}{}", (b'a' + (i % 26) as u8) as char, (b'a' + (i / 26 % 26) as u8) as char));
        tapped(
            i + 1,
            &at(i),
            &if i.is_multiple_of(2) { Tap { event_id: Some("show-0".into()), ..tap } } else { tap },
        )
    };
    use domain::tap::Tap;
    let events: Vec<_> = (0..3_000).map(one).collect();
    let expected = fold(&TapAnalytics::default(), &events, 100).unwrap().all();
    assert!(expected.values().any(|(_, doc)| doc.contains("(other)")));
    assert_eq!(bulk(in_parts(2), &events, 128), (expected, Vec::new()));
}

#[test]
fn what_does_not_fold_is_named_and_leaves_no_trace() {
    let good = tapped(1, "2026-07-01T19:00:00Z", &tap("b1", Some("show")));
    let mut events = vec![good.clone()];
    let broken =
        [r#"{"band_id":"a/b","mode":"live"}"#, r#"{"mode":"live"}"#, r#"{"band_id":"b1","mode":"asleep"}"#];
    for (i, payload) in broken.iter().enumerate() {
        events.push(recorded(i as u64 + 2, TAPPED, good.at(), (*payload).into()));
    }
    let expected = fold(&TapAnalytics::default(), &events[..1], 1).unwrap().all();
    assert_eq!(bulk(in_parts(2), &events, 3), (expected, vec![2, 3, 4]));
}

#[test]
fn settings_come_from_events_and_tenants_stay_apart() {
    let details = serde_json::json!({"name": "Show", "time_zone": "Asia/Tehran",
        "starts_at": "2026-07-01T19:00:00Z", "ends_at": "2026-07-01T23:00:00Z"});
    let other = TenantId::new("other").unwrap();
    let mut events = vec![
        recorded(1, domain::live_event::SCHEDULED, jiff::Timestamp::UNIX_EPOCH, details.to_string()),
        tapped(2, "2026-07-01T19:00:00Z", &tap("b1", Some("show"))),
        tapped(3, "2026-07-01T19:00:00Z", &tap("b1", Some("show"))),
        tapped(4, "1969-12-31T23:59:55Z", &tap("b1", Some("show"))),
    ];
    events[0].stream = StreamId::new(&tenant(), domain::live_event::KIND, "show").unwrap();
    events[2].stream = StreamId::new(&other, domain::tap::KIND, "hub-1").unwrap();
    let expected = fold(&TapAnalytics::default(), &events, 1).unwrap().all();
    assert_eq!(bulk(in_parts(1), &events, 10), (expected, Vec::new()));
}
