//! The same facts have the same checksum, whichever store keeps their rows, and
//! comparing two stores finds nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use domain::envelope::Metadata;
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::ports::rows::*;
use domain::tap::{KIND, Mode, TAPPED, Tap};
use domain::{NewEvent, RecordedEvent, StreamId};
use infra_log::MemoryLog;
use projections::tap_analytics::TapAnalytics;
use projections::{ApplyError, Projection, Rows, testing};
use replays::checksum::Checksum;
use replays::compare::{Options, RowName, compare, explain};
use uuid::Uuid;

use super::bed::*;

/// A log of taps of a few bands at two shows, one of them by a bot.
async fn taps() -> MemoryLog {
    let log = MemoryLog::new(Arc::new(FixedClock::at("2026-07-01T19:00:00Z")));
    let names = ["b1", "B2", "b-3", "b_4"];
    let new = |i: usize| {
        let tap = Tap {
            band_id: names[i % 4].into(),
            event_id: (!i.is_multiple_of(7)).then(|| format!("show-{}", i % 2)),
            window_id: i.is_multiple_of(3).then(|| "w".into()),
            mode: Mode::Live,
            url: None,
            user_agent: Some(
                if i.is_multiple_of(5) { "curl/8" } else { "Mozilla/5.0 (iPhone) Safari" }.into(),
            ),
            referrer: Some(format!("https://example.com/{i}")),
            language: Some("de".into()),
            country: Some("DE".into()),
            visitor: Some(format!("{:032}", i % 6).into()),
            source: "hub".into(),
        };
        NewEvent {
            event_id: Uuid::from_u128(i as u128 + 1),
            event_type: TAPPED.into(),
            schema: 1,
            occurred_at: Some(format!("2026-07-01T19:{:02}:{:02}Z", i % 13, i % 60).parse().unwrap()),
            payload: serde_json::to_string(&tap).unwrap(),
        }
    };
    let stream = StreamId::new(&tenant("acme"), KIND, "hub-1").unwrap();
    let writes =
        vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: (0..60).map(new).collect() }];
    let metadata = Metadata {
        actor: "hub".into(),
        command_id: Uuid::nil(),
        correlation_id: "c".into(),
        causation_id: None,
    };
    log.append(vec![Append { writes, metadata, idempotency: None }]).await.remove(0).unwrap();
    log
}

async fn events(log: &MemoryLog) -> Vec<RecordedEvent> {
    log.read(0, 1_000, &Default::default()).await.unwrap().events
}

fn folded(events: &[RecordedEvent]) -> testing::Tables {
    testing::fold(&TapAnalytics::default(), events, 7).unwrap().all()
}

async fn filled(store: &Store, tables: &testing::Tables) -> GenerationId {
    let projection = TapAnalytics::default();
    let made = store.rows.create(projection.name(), &projection.model(), projection.tables()).await.unwrap();
    let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
    let mut changes: BTreeMap<&str, TableChanges> = BTreeMap::new();
    for ((table, row), (sort, doc)) in tables {
        let of = changes.entry(table).or_insert_with(|| puts(table, vec![]));
        of.puts.push(RowPut { row: row.clone(), sort: sort.clone(), doc: doc.clone() });
    }
    store.rows.commit(commit(&lease, 0, 60, changes.into_values().collect())).await.unwrap();
    store.rows.finish(&lease).await.unwrap();
    made.id
}

#[tokio::test]
async fn every_store_has_the_same_checksum() {
    let log = taps().await;
    let tables = folded(&events(&log).await);
    let mut first: Option<Checksum> = None;
    let stores = stores().await;
    for store in &stores {
        let id = filled(store, &tables).await;
        let checksum = Checksum::of(store.rows.snapshot(&id).await.unwrap().as_mut()).await.unwrap();
        assert_eq!(checksum.total(), tables.len() as u64, "{}", store.name);
        assert_eq!(first.get_or_insert(checksum.clone()), &checksum, "{}", store.name);

        let mut reference = stores[0].rows.snapshot(&generation("tap_analytics", 1)).await.unwrap();
        let mut snapshot = store.rows.snapshot(&id).await.unwrap();
        let found = compare(reference.as_mut(), snapshot.as_mut(), Options::default(), None).await.unwrap();
        assert!(found.same, "{}: {found:?}", store.name);
        assert_eq!((found.new.checksum, found.old.checksum), (checksum.hex(), checksum.hex()));

        // One event less shows, also in the first rows that differ.
        let less = filled(store, &folded(&events(&log).await[..59])).await;
        let mut snapshot = store.rows.snapshot(&less).await.unwrap();
        let found = compare(reference.as_mut(), snapshot.as_mut(), Options::default(), None).await.unwrap();
        assert!(!found.same && found.changed >= 4, "{}: {found:?}", store.name);
        let taps = found.tables.iter().find(|t| t.table == "minutes").unwrap();
        assert_eq!(taps.changed + taps.removed, 1, "{}", store.name);
    }
}

/// As if every event could have to do with every row.
struct All(TapAnalytics);

impl Projection for All {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn model(&self) -> ModelId {
        self.0.model()
    }
    fn event_types(&self) -> &'static [&'static str] {
        self.0.event_types()
    }
    fn tables(&self) -> &'static [TableSpec] {
        self.0.tables()
    }
    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        self.0.apply(rows, event)
    }
}

#[tokio::test]
async fn the_events_behind_a_row_are_found() {
    let log = taps().await;
    let tables = folded(&events(&log).await);
    let names: Vec<RowName> =
        tables.keys().map(|(table, row)| RowName { table: table.clone(), row: row.clone() }).collect();
    let all = explain(&log, Arc::new(All(TapAnalytics::default())), &names, 60, 100).await.unwrap();
    for (name, behind) in names.iter().zip(&all) {
        // Alone, only events that are related to it are folded.
        let alone = std::slice::from_ref(name);
        let related = explain(&log, Arc::new(TapAnalytics::default()), alone, 60, 100).await.unwrap();
        assert_eq!(&related[0], behind, "{name:?}");
        assert!(behind.count > 0 && behind.positions.len() as u64 == behind.count, "{name:?}");
    }
    let summary = RowName { table: "summary".into(), row: row("acme", "show-1") };
    let expected: Vec<u64> = (1..=60).filter(|p| (p - 1) % 7 > 0 && (p - 1) % 2 == 1).collect();
    let wanted = [summary, RowName { table: "summary".into(), row: row("acme", "nobody") }];
    let found = explain(&log, Arc::new(TapAnalytics::default()), &wanted, 60, 5).await.unwrap();
    assert_eq!((&found[0].positions[..], found[0].count), (&expected[..5], expected.len() as u64));
    assert_eq!(found[1].count, 0);
    let earlier = explain(&log, Arc::new(TapAnalytics::default()), &wanted, 20, 100).await.unwrap();
    assert_eq!(earlier[0].positions, expected.iter().copied().filter(|p| *p <= 20).collect::<Vec<_>>());
}
