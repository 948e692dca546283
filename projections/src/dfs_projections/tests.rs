use domain::StreamId;
use domain::envelope::Metadata;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::testing::{MemoryRows, fold};

pub fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// Events at positions 1, 2, 3, …, each stream's versions in order.
pub fn events(facts: &[(&str, &str, &str, Value)]) -> Vec<RecordedEvent> {
    let mut versions = std::collections::HashMap::new();
    let recorded = |(position, (kind, id, event_type, payload)): (u64, &(&str, &str, &str, Value))| {
        let version = versions.entry((kind.to_string(), id.to_string())).or_insert(0);
        *version += 1;
        RecordedEvent {
            position,
            stream: StreamId::new(&tenant(), kind, id).unwrap(),
            version: *version,
            event_id: Uuid::from_u128(u128::from(position)),
            event_type: (*event_type).into(),
            schema: domain::registry::schema_of(event_type),
            occurred_at: None,
            recorded_at: "2023-11-05T12:00:00Z".parse().unwrap(),
            metadata: Metadata {
                actor: "test".into(),
                command_id: Uuid::nil(),
                correlation_id: "test".into(),
                causation_id: None,
            },
            payload: payload.to_string(),
            leaf: [0; 32],
        }
    };
    (1..).zip(facts).map(recorded).collect()
}

fn placed(driver: &str, finish: u32, laps: u32, status: &str) -> Value {
    json!({"driver": driver, "finish": finish, "laps": laps, "led": 0, "status": status})
}

fn said(driver: &str, strength: f64) -> Value {
    let spread = json!({"mean": 2.0, "deviation": 1.0, "quantiles": [1.0, 1.0, 1.0, 2.0, 2.0, 2.5, 3.0]});
    json!({"driver": driver, "start": 1, "strength": strength, "finish": spread, "places": [4, 3, 2, 1], "win": 0.4,
        "top5": 1.0, "top10": 1.0, "dnf": 0.1, "laps_led": 1.0, "fastest_laps": 1.0, "points": spread})
}

fn sealed(sha256: &str) -> Value {
    let rules = json!({"version": 1, "from": "2015-01-01", "place": [45.0, 42.0, 41.0, 40.0], "place_gained": 1.0,
        "fastest_lap": 0.45, "lap_led": 0.25, "lap_completed": 0.0, "roster": 6, "salary_cap": 50000});
    json!({"site": "draftkings", "model": "m@1", "through": 5, "seed": 1, "runs": 10, "learned": 40, "rules": rules,
        "sha256": sha256, "drivers": [said("a", 2.0), said("b", 1.0), said("c", 0.0), said("d", -1.0)]})
}

fn season() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let entry =
        |driver: &str, team: &str, start: u32| json!({"driver": driver, "team": team, "start": start});
    let race =
        json!({"series": "cup", "season": 2023, "number": 36, "track": "phoenix", "date": "2023-11-05"});
    vec![
        ("track", "phoenix", track::DEFINED, json!({"name": "Phoenix Raceway", "kind": "short"})),
        ("driver", "a", driver::REGISTERED, json!({"name": "A. One"})),
        ("driver", "a", driver::ALSO_NAMED, json!({"name": "A One"})),
        ("race", "r1", race::SCHEDULED, race),
        (
            "race",
            "r1",
            race::ENTERED,
            json!({"official": true, "entries": [entry("a", "T1", 1), entry("b", "T1", 2), entry("c", "T2", 3), entry("d", "T2", 4), entry("e", "T3", 5)]}),
        ),
        (
            "race",
            "r1",
            race::ENTERED,
            json!({"official": true, "entries": [entry("a", "T1", 1), entry("b", "T1", 2), entry("c", "T2", 3), entry("d", "T2", 4)]}),
        ),
        ("race", "r1", race::PROJECTION_SEALED, sealed("old")),
        ("race", "r1", race::PROJECTION_SEALED, sealed("new")),
        (
            "race",
            "r1",
            race::FINISHED,
            json!({"official": true, "results": [placed("a", 1, 312, "running"), placed("b", 2, 312, "running"), placed("c", 3, 100, "accident"), placed("d", 4, 99, "crash")]}),
        ),
    ]
}

fn rows(facts: &[(&str, &str, &str, Value)]) -> MemoryRows {
    let events = events(facts);
    let rows = fold(&DfsProjections::default(), &events, 1).unwrap();
    assert_eq!(rows.all(), fold(&DfsProjections::default(), &events, 100).unwrap().all());
    rows
}

#[test]
fn a_race_is_known_by_race_driver_and_track() {
    let rows = rows(&season());
    let card: Card = rows.get(CARDS, &tenant(), "r1").unwrap();
    assert_eq!(
        (card.status.as_str(), card.winner.as_deref(), card.cars, card.sealed),
        ("finished", Some("a"), 4, 2)
    );
    assert_eq!(rows.table::<Card>(BY_TRACK, &tenant())[0].0, "phoenix/r1");
    let starts = rows.table::<StartRow>(STARTS, &tenant());
    let keys: Vec<&str> = starts.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["a/r1", "b/r1", "c/r1", "d/r1"], "who withdrew is gone");
    assert_eq!((&starts[0].1.teammates, &starts[0].1.accident_with), (&vec!["b".to_owned()], &vec![]));
    assert_eq!(starts[3].1.accident_with, ["c"]);
    let driver: DriverRow = rows.get(DRIVERS, &tenant(), "a").unwrap();
    assert_eq!((driver.name.as_str(), driver.version), ("A. One", 2));
}

#[test]
fn what_was_sealed_last_is_judged_and_a_correction_judges_again() {
    let mut facts = season();
    let before: ScoreRow = rows(&facts).get(SCORES, &tenant(), "r1/draftkings/m@1").unwrap();
    assert_eq!((before.sha256.as_str(), before.position), ("new", 8));
    assert_eq!((before.score.rho[0], before.score.pairs.right, before.score.cars), (1.0, 6.0, 4.0));
    // Said 1 for everybody's middle, places 4321 of 10: by hand for place 1 (.6² + .3² + .1²).
    let crps = |place: usize| {
        let below = [0.4, 0.7, 0.9, 1.0];
        (0..4).map(|i| (below[i] - f64::from(u8::from(place <= i + 1))).powi(2)).sum::<f64>()
    };
    assert!((before.score.crps - (1..=4).map(crps).sum::<f64>()).abs() < 1e-9);

    let was: SealedRow = rows(&facts).get(SEALED, &tenant(), "r1/draftkings/m@1").unwrap();
    assert_eq!(was.count, 2);
    let moved = json!([
        placed("b", 1, 312, "running"),
        placed("c", 2, 100, "accident"),
        placed("d", 3, 99, "crash"),
        placed("a", 4, 312, "disqualified")
    ]);
    facts.push((
        "race",
        "r1",
        race::CORRECTED,
        json!({"official": true, "reason": "too low", "results": moved}),
    ));
    let rows = rows(&facts);
    let after: ScoreRow = rows.get(SCORES, &tenant(), "r1/draftkings/m@1").unwrap();
    assert!(after.score.rho[0] < 0.0 && after.sha256 == "new", "{after:?}");
    assert_eq!(rows.get::<SealedRow>(SEALED, &tenant(), "r1/draftkings/m@1").unwrap(), was);
    let race: RaceRow = rows.get(RACES, &tenant(), "r1").unwrap();
    assert_eq!(race.corrections[0].changed.len(), 4);
    assert_eq!(race.race.first_results["a"].finish, 1);
    let start: StartRow = rows.get(STARTS, &tenant(), "a/r1").unwrap();
    assert_eq!((start.first_finish, start.result.unwrap().finish), (Some(1), 4));
    let record = record(&[after]);
    assert_eq!(
        record.groups.iter().map(|g| g.group.as_str()).collect::<Vec<_>>(),
        ["all", "without superspeedways", "short", "2023"]
    );
}
