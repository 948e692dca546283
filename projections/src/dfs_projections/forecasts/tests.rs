use domain::RecordedEvent;
use domain::racing::{driver, race, scoring, track};
use models_fantasy::parameters::Parameters;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::{events, tenant};
use super::super::{CARDS, Card, DfsProjections, NAME, STARTS, StartRow};
use super::*;
use crate::instantiate;
use crate::testing::{MemoryRows, fold};

const CARS: usize = 8;

type Fact = (&'static str, String, &'static str, Value);

/// Lower numbers are better, by far in even races.
fn order(number: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..CARS).collect();
    order.rotate_left(number % 3);
    order.swap(number % CARS, (number * 5 + 1) % CARS);
    order
}

fn results(order: &[usize]) -> Vec<Value> {
    let placed = |(place, driver): (usize, &usize)| {
        let led = if place == 1 { 100 } else { 0 };
        json!({"driver": format!("d{driver}"), "finish": place, "laps": 100, "led": led, "status": "running"})
    };
    (1..).zip(order).map(placed).collect()
}

fn entries(number: usize) -> Vec<Value> {
    let entry = |i: usize| json!({"driver": format!("d{i}"), "team": format!("T{}", i / 2), "start": (i + number) % CARS + 1});
    (0..CARS).map(entry).collect()
}

/// So many races that were run, and one that is to be run.
fn season(races: usize) -> Vec<Fact> {
    let rules = json!({"version": 1, "from": "2015-01-01", "place": [45.0, 42.0, 41.0], "place_gained": 1.0,
        "fastest_lap": 0.45, "lap_led": 0.25, "lap_completed": 0.0, "roster": 6, "salary_cap": 50000});
    let mut facts: Vec<Fact> = vec![
        ("track", "here".into(), track::DEFINED, json!({"name": "Here", "kind": "short"})),
        ("scoring", "draftkings".into(), scoring::DEFINED, rules),
        ("driver", "d0".into(), driver::REGISTERED, json!({"name": "Zero"})),
    ];
    for number in 1..=races + 1 {
        let id = format!("r{number}");
        let details = json!({"series": "cup", "season": 2023, "number": number, "track": "here"});
        facts.push(("race", id.clone(), race::SCHEDULED, details));
        let entered = json!({"official": true, "entries": entries(number)});
        facts.push(("race", id.clone(), race::ENTERED, entered));
        if number <= races {
            let finished = json!({"official": true, "results": results(&order(number))});
            facts.push(("race", id, race::FINISHED, finished));
        }
    }
    facts
}

fn corrected(number: usize) -> Fact {
    let mut order = order(number);
    order.rotate_left(1);
    let results = json!({"official": true, "reason": "weight", "results": results(&order)});
    ("race", format!("r{number}"), race::CORRECTED, results)
}

fn recorded(facts: &[Fact]) -> Vec<RecordedEvent> {
    let facts: Vec<_> = facts.iter().map(|(k, id, t, v)| (*k, id.as_str(), *t, v.clone())).collect();
    events(&facts)
}

fn under(parameters: Value) -> DfsProjections {
    DfsProjections::new(Settings::parse(&parameters).unwrap())
}

fn rows(projection: &DfsProjections, facts: &[Fact], batch: usize) -> MemoryRows {
    fold(projection, &recorded(facts), batch).unwrap()
}

fn quick() -> DfsProjections {
    under(json!({"runs": 100}))
}

fn drivers(rows: &MemoryRows, race: &str) -> Vec<ForecastRow> {
    let all = rows.table::<ForecastRow>(FORECASTS, &tenant());
    all.into_iter().map(|(_, row)| row).filter(|row| row.race == race).collect()
}

fn race_row(rows: &MemoryRows, race: &str) -> Option<ForecastRace> {
    rows.table::<ForecastRace>(FORECAST_RACES, &tenant())
        .into_iter()
        .find(|(_, row)| row.race == race)
        .map(|(_, row)| row)
}

#[test]
fn races_are_forecast_from_earlier_ones_and_judged() {
    let rows = rows(&quick(), &season(24), 1_000);
    assert!(race_row(&rows, "r20").is_none(), "twenty races are learned first");
    let first = race_row(&rows, "r21").unwrap();
    assert_eq!((first.learned, first.drivers.len()), (20, CARS));
    assert_eq!(first.judged.as_ref().unwrap().cars, 8.0);
    let next = race_row(&rows, "r25").unwrap();
    assert_eq!((next.learned, &next.judged), (24, &None));
    let said = drivers(&rows, "r25");
    assert_eq!(said.len(), CARS);
    assert!((said.iter().map(|row| row.win).sum::<f64>() - 1.0).abs() < 1e-6);
    assert!(said.iter().all(|row| row.finish.is_none() && row.points.contains_key("draftkings")));
    assert_eq!(drivers(&rows, "r21").iter().filter(|row| row.finish == Some(1)).count(), 1);
    let all: Accuracy = rows.get(FORECAST_RECORD, &tenant(), ALL).unwrap();
    assert_eq!((all.races, all.cars), (4.0, 32.0));
    let judged: Vec<Accuracy> = (21..=24).filter_map(|n| race_row(&rows, &format!("r{n}"))?.judged).collect();
    let mean = judged.iter().map(|one| one.rho).sum::<f64>() / 4.0;
    assert!((all.rho - mean).abs() < 1e-4, "{all:?}");
    let groups = rows.table::<Accuracy>(FORECAST_GROUPS, &tenant());
    let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["2023", "short", "without superspeedways"]);
}

#[test]
fn a_forecast_knows_nothing_of_later_races() {
    let whole = rows(&quick(), &season(26), 1_000);
    let short = rows(&quick(), &season(23), 1_000);
    for number in 21..=23 {
        let race = format!("r{number}");
        assert_eq!(drivers(&whole, &race), drivers(&short, &race));
    }
    let without = |rows: &MemoryRows| -> Vec<ForecastRow> {
        drivers(rows, "r24").into_iter().map(|row| ForecastRow { finish: None, ..row }).collect()
    };
    assert_eq!(without(&whole), without(&short), "before it was run");
}

#[test]
fn a_correction_changes_what_follows_and_nothing_before() {
    let mut facts = season(26);
    let before = rows(&quick(), &facts, 1_000);
    facts.push(corrected(23));
    let after = rows(&quick(), &facts, 1_000);
    let said = |rows: &MemoryRows, n: usize| -> Vec<f64> {
        drivers(rows, &format!("r{n}")).iter().map(|row| row.strength).collect()
    };
    assert_eq!(said(&before, 22), said(&after, 22));
    assert_eq!(said(&before, 23), said(&after, 23), "only its result changed");
    assert_ne!(said(&before, 24), said(&after, 24));
    assert_ne!(
        race_row(&before, "r23").unwrap().judged.unwrap().rho,
        race_row(&after, "r23").unwrap().judged.unwrap().rho
    );
}

#[test]
fn a_race_that_is_cancelled_or_has_another_field_is_forgotten() {
    let mut facts = season(22);
    let fewer = json!({"official": true, "entries": entries(23)[..5].to_vec()});
    facts.push(("race", "r23".into(), race::ENTERED, fewer));
    assert_eq!(drivers(&rows(&quick(), &facts, 1), "r23").len(), 5);
    facts.push(("race", "r23".into(), race::CANCELLED, json!({"reason": "rain"})));
    for batch in [1, 1_000] {
        let rows = rows(&quick(), &facts, batch);
        assert!(drivers(&rows, "r23").is_empty() && race_row(&rows, "r23").is_none());
        assert!(race_row(&rows, "r22").is_some());
    }
}

#[test]
fn other_parameters_say_otherwise_and_nothing_else_changes() {
    let facts = season(24);
    let (usual, other) = (quick(), under(json!({"runs": 100, "recent_half_life": 2, "driver_half_life": 5})));
    let (old, new) = (rows(&usual, &facts, 50), rows(&other, &facts, 50));
    assert_ne!(drivers(&old, "r25"), drivers(&new, "r25"));
    let starts = |rows: &MemoryRows| rows.table::<StartRow>(STARTS, &tenant());
    assert_eq!(starts(&old), starts(&new));
    let again = instantiate(NAME, &crate::Projection::model(&other)).unwrap();
    assert_eq!(fold(&*again, &recorded(&facts), 50).unwrap().all(), new.all());
    assert_eq!(other.forecaster.as_ref().unwrap().settings().parameters.recent_half_life, 2.0);
    assert_eq!(Settings::default().parameters, Parameters::default());
}

#[test]
fn rows_without_forecasts_have_none() {
    let rows = rows(&DfsProjections::plain(), &season(24), 1_000);
    assert!(rows.table::<ForecastRow>(FORECASTS, &tenant()).is_empty());
    assert_eq!(rows.table::<Card>(CARDS, &tenant()).len(), 25);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Wherever batches end, in whatever order races become known.
    #[test]
    fn rows_depend_on_the_facts_alone(batch in 1usize..40, from in 1usize..25, corrections in prop::collection::vec(1usize..=24, 0..3)) {
        let mut facts = season(24);
        // Results of the races from here on are read before the others.
        let (mut late, mut early): (Vec<Fact>, Vec<Fact>) = (Vec::new(), Vec::new());
        for fact in facts.drain(3..) {
            let number: usize = fact.1[1..].parse().unwrap();
            if number < from { late.push(fact) } else { early.push(fact) }
        }
        facts.extend(early);
        facts.extend(late);
        facts.extend(corrections.into_iter().map(corrected));
        let whole = rows(&quick(), &facts, 10_000);
        prop_assert_eq!(rows(&quick(), &facts, batch).all(), whole.all());
    }
}
