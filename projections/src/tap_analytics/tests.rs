use std::sync::Arc;

use domain::envelope::Metadata;
use domain::personal::PersonalText;
use domain::ports::rows::TableSpec;
use domain::tap::{Mode, PREVIEWED, TAPPED, Tap};
use domain::{StreamId, TenantId};
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::rows::*;
use super::*;
use crate::testing::{MemoryRows, fold};

const IPHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1";

pub(super) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(super) fn recorded(position: u64, event_type: &str, at: Timestamp, payload: String) -> RecordedEvent {
    RecordedEvent {
        position,
        stream: StreamId::new(&tenant(), domain::tap::KIND, "hub-1").unwrap(),
        version: position,
        event_id: Uuid::from_u128(u128::from(position)),
        event_type: event_type.into(),
        schema: 1,
        occurred_at: Some(at),
        recorded_at: at,
        metadata: Metadata {
            actor: "hub".into(),
            command_id: Uuid::nil(),
            correlation_id: "c".into(),
            causation_id: None,
        },
        payload,
        leaf: [0; 32],
    }
}

pub(super) fn tap(band: &str, event: Option<&str>) -> Tap {
    Tap {
        band_id: band.into(),
        event_id: event.map(Into::into),
        window_id: None,
        mode: Mode::Live,
        url: None,
        user_agent: Some(IPHONE.into()),
        referrer: None,
        language: Some("en-US,en".into()),
        country: Some("US".into()),
        visitor: Some(format!("{band:0>32}").into()),
        source: "hub".into(),
    }
}

pub(super) fn tapped(position: u64, at: &str, tap: &Tap) -> RecordedEvent {
    recorded(position, TAPPED, at.parse().unwrap(), serde_json::to_string(tap).unwrap())
}

fn rows_of(events: &[RecordedEvent]) -> MemoryRows {
    fold(&TapAnalytics::default(), events, 3).unwrap()
}

fn summary(rows: &MemoryRows, event: &str) -> Summary {
    rows.get(SUMMARY, &tenant(), event).unwrap()
}

#[test]
fn people_are_counted_and_programs_beside_them() {
    let human = tap("b1", Some("show"));
    let bot = Tap { user_agent: Some("Googlebot/2.1".into()), ..human.clone() };
    let preview = Tap { user_agent: Some("Twitterbot/1.0".into()), ..tap("b2", Some("show")) };
    let mut head = tapped(4, "2026-07-01T19:00:09Z", &human);
    head.event_type = Arc::from(PREVIEWED);
    let fallback = Tap { mode: Mode::Fallback, country: None, ..tap("b3", Some("show")) };
    let rows = rows_of(&[
        tapped(1, "2026-07-01T19:00:01Z", &human),
        tapped(2, "2026-07-01T19:00:02Z", &bot),
        tapped(3, "2026-07-01T19:00:03Z", &preview),
        head,
        tapped(5, "2026-07-01T19:00:10Z", &fallback),
        tapped(6, "2026-07-01T19:01:10Z", &human),
    ]);
    let s = summary(&rows, "show");
    assert_eq!((s.taps, s.bots, s.previews), (3, 1, 2));
    assert_eq!((s.unique_bands, s.repeat_bands, s.unique_visitors), (2, 1, 2));
    assert_eq!(s.modes.0, [("fallback".to_owned(), 1), ("live".into(), 2)].into());
    assert_eq!(s.countries.0, [("(unknown)".to_owned(), 1), ("US".into(), 2)].into());
    assert_eq!(
        s.bot_classes.0,
        [("head".to_owned(), 1), ("search".into(), 1), ("social_preview".into(), 1)].into()
    );
    assert_eq!(s.peak_minute.unwrap().taps, 2);
    let minute: Minute = rows.get(MINUTES, &tenant(), "show/2026-07-01T19:00:00Z").unwrap();
    assert_eq!(minute.tens, [[1, 1, 2], [1, 0, 0], [0; 3], [0; 3], [0; 3], [0; 3]]);
    assert_eq!(minute.new_bands, 2);
    // Only a bot and a preview asked for b2.
    let top: Vec<_> =
        rows.all().into_iter().filter(|((t, _), _)| t == BANDS).map(|(_, (sort, _))| sort).collect();
    assert_eq!(top, [Some("000000000002".into()), None, Some("000000000001".into())]);
}

#[test]
fn a_late_tap_moves_the_first_one() {
    let t = tap("b1", Some("show"));
    let rows = rows_of(&[tapped(1, "2026-07-01T19:05:00Z", &t), tapped(2, "2026-07-01T19:03:30Z", &t)]);
    let new = |start: &str| rows.get::<Minute>(MINUTES, &tenant(), &key("show", start)).unwrap().new_bands;
    assert_eq!((new("2026-07-01T19:03:00Z"), new("2026-07-01T19:05:00Z")), (1, 0));
    let s = summary(&rows, "show");
    assert_eq!(s.first_tap_at, Some("2026-07-01T19:03:30Z".parse().unwrap()));
    assert_eq!((s.unique_bands, s.repeat_bands), (1, 1));
}

#[test]
fn bands_are_shared_between_events_and_strangers_counted_apart() {
    let rows = rows_of(&[
        tapped(1, "2026-07-01T19:00:00Z", &tap("b1", Some("boston"))),
        tapped(2, "2026-07-08T19:00:00Z", &tap("b1", Some("albany"))),
        tapped(3, "2026-07-08T19:00:01Z", &tap("b1", Some("albany"))),
        tapped(4, "2026-07-08T19:00:02Z", &tap("b2", Some("albany"))),
        tapped(5, "2026-07-08T19:00:02Z", &tap("b1", None)),
    ]);
    assert_eq!(rows.table::<Shared>(SHARED, &tenant()), [("albany/boston".into(), Shared { bands: 1 })]);
    assert_eq!(summary(&rows, NO_EVENT).taps, 1);
    let history: History = rows.get(HISTORY, &tenant(), "b1").unwrap();
    assert_eq!(history.events, [("-".into(), 1), ("albany".into(), 2), ("boston".into(), 1)].into());
    assert_eq!(history.last.iter().map(|t| t.1).collect::<Vec<_>>(), [1, 2, 3, 5]);
}

#[test]
fn a_history_keeps_the_last_taps_by_time() {
    let t = tap("b1", Some("show"));
    let start: Timestamp = "2026-07-01T19:00:00Z".parse().unwrap();
    let at = |i: u64| start + jiff::SignedDuration::from_secs(i64::try_from(i * 7 % 150).unwrap());
    let events: Vec<_> = (0..150).map(|i| tapped(i + 1, &at(i).to_string(), &t)).collect();
    let history: History = rows_of(&events).get(HISTORY, &tenant(), "b1").unwrap();
    let kept: Vec<_> = history.last.iter().map(|t| (t.0 - start.as_microsecond()) / 1_000_000).collect();
    assert_eq!(kept, (50..150).collect::<Vec<_>>());
}

#[test]
fn settings_follow_the_event() {
    let details = |zone: &str| {
        serde_json::json!({"name": "Show", "time_zone": zone,
            "starts_at": "2026-07-01T19:00:00Z", "ends_at": "2026-07-01T23:00:00Z"})
        .to_string()
    };
    let at = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut events = [
        recorded(1, live_event::SCHEDULED, at, details("Asia/Tehran")),
        recorded(2, live_event::DETAILS_CHANGED, at, details("Asia/Kolkata")),
    ];
    for event in &mut events {
        event.stream = StreamId::new(&tenant(), live_event::KIND, "show").unwrap();
    }
    let settings: EventSettings = rows_of(&events).get(EVENTS, &tenant(), "show").unwrap();
    assert_eq!(settings.time_zone, "Asia/Kolkata");
}

#[test]
fn a_broken_tap_fails_alone() {
    let bad = Tap { band_id: "a/b".into(), ..tap("b1", None) };
    let event = tapped(7, "2026-07-01T19:00:00Z", &bad);
    let projection = TapAnalytics::default();
    assert!(matches!(fold(&projection, std::slice::from_ref(&event), 1), Err(ApplyError::Event(_))));
    let next = tapped(8, "2026-07-01T19:00:00Z", &tap("b1", None));
    assert_ne!(projection.partition(&event), projection.partition(&next));
}

#[test]
fn breakdowns_are_bounded() {
    let mut tally = Tally::default();
    for i in 0..50 {
        tally.add(&format!("host-{i}"), 10);
        tally.add("host-3", 10);
    }
    assert_eq!(tally.0.len(), 11);
    assert_eq!((tally.0[OVERFLOW], tally.sum()), (40, 100));
}

#[test]
fn views_have_columns_of_the_documents() {
    let rows = rows_of(&[tapped(1, "2026-07-01T19:00:00Z", &tap("b1", Some("show")))]);
    for ((table, _), (_, doc)) in rows.all() {
        let spec: &TableSpec = tables::TABLES.iter().find(|t| t.name == table).unwrap();
        let doc: serde_json::Value = serde_json::from_str(&doc).unwrap();
        for column in spec.columns {
            assert!(!doc[column.path].is_null(), "{table}.{}", column.name);
        }
    }
}

pub(super) fn any_tap() -> impl Strategy<Value = (Tap, bool, i64)> {
    let agents = vec![
        Some(IPHONE),
        Some("Googlebot/2.1"),
        Some("WhatsApp/2.23"),
        Some("curl/8"),
        Some("erased"),
        None,
    ];
    let modes = vec![Mode::Pre, Mode::Live, Mode::Post, Mode::Fallback, Mode::None];
    (
        0..6u8,
        prop::sample::select(vec![None, Some("albany"), Some("boston"), Some("chicago")]),
        prop::sample::select(agents),
        prop::sample::select(modes),
        prop::option::of(0..4u8),
        0..10u8,
        0i64..400,
    )
        .prop_map(|(band, event, agent, mode, visitor, head, second)| {
            let tap = Tap {
                user_agent: match agent {
                    Some("erased") => Some(PersonalText::Erased),
                    agent => agent.map(Into::into),
                },
                mode,
                visitor: visitor.map(|v| match v {
                    0 => PersonalText::Erased,
                    v => format!("v{v}").into(),
                }),
                referrer: (second % 3 == 0).then(|| "https://t.co/x".into()),
                ..tap(&format!("b{band}"), event)
            };
            (tap, head == 0, second)
        })
}

pub(super) fn history_of(taps: &[(Tap, bool, i64)]) -> Vec<RecordedEvent> {
    let start: Timestamp = "2026-07-01T19:00:00Z".parse().unwrap();
    let one = |(i, (tap, head, second)): (usize, &(Tap, bool, i64))| {
        let kind = if *head { PREVIEWED } else { TAPPED };
        let at = start + jiff::SignedDuration::from_secs(*second);
        recorded(i as u64 + 1, kind, at, serde_json::to_string(tap).unwrap())
    };
    taps.iter().enumerate().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn order_and_batches_change_nothing(
        taps in prop::collection::vec(any_tap(), 1..60),
        batch in 1usize..20,
        seed in any::<u64>(),
    ) {
        let events = history_of(&taps);
        let expected = rows_of(&events).all();
        prop_assert_eq!(&fold(&TapAnalytics::default(), &events, batch).unwrap().all(), &expected);
        let mut shuffled = events;
        shuffled.sort_by_key(|e| (e.position + 1).wrapping_mul(seed | 1).rotate_left(17));
        prop_assert_eq!(&fold(&TapAnalytics::default(), &shuffled, batch).unwrap().all(), &expected);
    }

    #[test]
    fn totals_are_the_sums_of_their_parts(taps in prop::collection::vec(any_tap(), 1..80)) {
        let rows = rows_of(&history_of(&taps));
        for (event, s) in rows.table::<Summary>(SUMMARY, &tenant()) {
            let own = |id: &str| id == event;
            let minutes: Vec<Minute> =
                rows.table(MINUTES, &tenant()).into_iter().map(|r| r.1).filter(|m: &Minute| own(&m.event_id)).collect();
            let bands: Vec<BandTaps> =
                rows.table(BANDS, &tenant()).into_iter().map(|r| r.1).filter(|b: &BandTaps| own(&b.event_id)).collect();
            let totals = (s.taps, s.bots, s.previews);
            let sum = |f: fn(&Minute) -> u64| minutes.iter().map(f).sum::<u64>();
            prop_assert_eq!(totals, (sum(|m| m.taps), sum(|m| m.bots), sum(|m| m.previews)));
            let tens = |class: usize| minutes.iter().flat_map(|m| m.tens).map(|t| t[class]).sum::<u64>();
            prop_assert_eq!(totals, (tens(0), tens(1), tens(2)));
            let by_band = |f: fn(&BandTaps) -> u64| bands.iter().map(f).sum::<u64>();
            prop_assert_eq!(totals, (by_band(|b| b.taps), by_band(|b| b.bots), by_band(|b| b.previews)));
            prop_assert_eq!(s.unique_bands, bands.iter().filter(|b| b.taps > 0).count() as u64);
            prop_assert_eq!(s.repeat_bands, bands.iter().filter(|b| b.taps > 1).count() as u64);
            prop_assert_eq!(s.unique_bands, sum(|m| m.new_bands));
            prop_assert_eq!(s.peak_minute.map_or(0, |p| p.taps), minutes.iter().map(|m| m.taps).max().unwrap_or(0));
            for tally in [&s.modes, &s.windows, &s.devices, &s.os, &s.browsers, &s.countries, &s.languages] {
                prop_assert_eq!(tally.sum(), s.taps);
            }
            prop_assert_eq!(s.bot_classes.sum(), s.bots + s.previews);
            let hosts = rows.get::<Referrers>(REFERRERS, &tenant(), &event).unwrap_or_default();
            prop_assert_eq!(hosts.hosts.sum(), s.taps);
        }
    }
}
