use std::collections::BTreeMap;

use domain::envelope::Metadata;
use domain::{StreamId, tap};
use proptest::prelude::*;

use super::*;
use crate::testing::{MemoryRows, fold};

const DAY: i64 = 86_400;

fn event(position: u64, tenant: &str, actor: &str, correlation: &str, cause: Option<u128>) -> RecordedEvent {
    let tenant = TenantId::new(tenant).unwrap();
    RecordedEvent {
        position,
        stream: StreamId::new(&tenant, "band", "b1").unwrap(),
        version: position,
        event_id: Uuid::from_u128(u128::from(position)),
        event_type: if position.is_multiple_of(7) { tap::TAPPED } else { domain::band::RETIRED }.into(),
        schema: 1,
        occurred_at: None,
        // Ten events a day.
        recorded_at: Timestamp::from_second(position as i64 * DAY / 10).unwrap(),
        metadata: Metadata {
            actor: actor.into(),
            command_id: Uuid::from_u128(u128::from(position / 3)),
            correlation_id: correlation.into(),
            causation_id: cause.map(Uuid::from_u128),
        },
        payload: "{}".into(),
        leaf: [0; 32],
    }
}

/// Positions of each table's groups, as the pages have them.
fn indexed_positions(rows: &MemoryRows) -> BTreeMap<(String, String, String), Vec<u64>> {
    let mut found: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for ((table, row), (_, doc)) in rows.all() {
        let page: Page = serde_json::from_str(&doc).unwrap();
        assert!((1..=PAGE).contains(&page.positions.len()), "{table} {}", row.key);
        let (group, number) = row.key.rsplit_once('/').unwrap();
        let key = (table, row.tenant.to_string(), group.to_owned());
        let before = found.entry(key).or_default();
        // In the order of the keys, and every page but the newest is full.
        assert_eq!(before.len(), number.parse::<usize>().unwrap() * PAGE, "{}", row.key);
        before.extend(page.positions);
    }
    found
}

/// The same by looking at each event.
fn filtered(events: &[RecordedEvent]) -> BTreeMap<(String, String, String), Vec<u64>> {
    let mut found: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for event in events.iter().filter(|e| &*e.event_type != tap::TAPPED) {
        let tenant = event.stream.tenant.to_string();
        let meta = &event.metadata;
        let correlation = meta.correlation_id.replace('%', "%25").replace('/', "%2F");
        let date = event.recorded_at.to_string()[..10].to_owned();
        let mut groups = vec![
            ("correlations", correlation),
            ("commands", meta.command_id.to_string()),
            ("actors", format!("{}/{date}", meta.actor)),
        ];
        groups.extend(meta.causation_id.map(|cause| ("causations", cause.to_string())));
        for (table, group) in groups {
            let key = (table.to_owned(), tenant.clone(), group);
            found.entry(key).or_default().push(event.position);
        }
    }
    found
}

proptest! {
    #[test]
    fn the_index_is_a_filter_of_the_facts(
        facts in prop::collection::vec((0_usize..2, 0_usize..3, 0_usize..4, prop::option::of(0_u128..20)), 0..200),
        batch in 1_usize..40,
    ) {
        let of = |(n, (tenant, actor, correlation, cause)): (usize, &(usize, usize, usize, Option<u128>))| {
            let correlation = ["a", "a/0000000000", "a%2F0", "b"][*correlation];
            event(n as u64 + 1, ["acme", "other"][*tenant], ["key:a", "key:b", "hub"][*actor], correlation, *cause)
        };
        let events: Vec<RecordedEvent> = facts.iter().enumerate().map(of).collect();
        let rows = fold(&History, &events, batch).unwrap();
        prop_assert_eq!(indexed_positions(&rows), filtered(&events));
    }
}

#[test]
fn a_large_group_has_pages_of_a_bounded_size() {
    let mut events: Vec<RecordedEvent> =
        (1..=3_000).map(|position| event(position, "acme", "hub", "import", None)).collect();
    for event in &mut events {
        event.recorded_at = Timestamp::UNIX_EPOCH;
    }
    let rows = fold(&History, &events, 90).unwrap();
    assert_eq!(indexed_positions(&rows), filtered(&events));
    let tenant = TenantId::new("acme").unwrap();
    let first: Page = rows.get(CORRELATIONS, &tenant, &page_key("import", 0)).unwrap();
    // 3,000 without each seventh, 500 to a page.
    assert_eq!((first.positions.len(), first.newest), (PAGE, 5));
    assert_eq!(rows.table::<Page>(ACTORS, &tenant).len(), 6);
    // However the batches are cut.
    assert_eq!(rows.all(), fold(&History, &events, 1).unwrap().all());
}

#[test]
fn a_row_comes_from_its_related_events_alone() {
    let cause = |n: u64| n.is_multiple_of(4).then_some(u128::from(n % 3));
    let actor = |n: u64| if n.is_multiple_of(2) { "hub" } else { "key:a" };
    let events: Vec<RecordedEvent> =
        (1..=60).map(|n| event(n, ["acme", "other"][n as usize % 2], actor(n), "c", cause(n))).collect();
    for ((table, row), stored) in fold(&History, &events, 7).unwrap().all() {
        let related: Vec<RecordedEvent> =
            events.iter().filter(|e| History.related(e, &table, &row)).cloned().collect();
        assert!(related.len() < events.len());
        let again = fold(&History, &related, 7).unwrap().all();
        assert_eq!(again.get(&(table, row)), Some(&stored));
    }
}

#[test]
fn every_type_that_is_kept_for_good_is_indexed() {
    assert_eq!(indexed().len() + domain::registry::TRIMMABLE.len(), EVENT_TYPES.len());
    assert!(!indexed().contains(&tap::PREVIEWED));
}
