//! Projections that are sealed by themselves before the green flag.

use std::time::Duration;

use domain::ports::log::ReadFilter;
use domain::racing::race;
use racing::sealer::{Sealer, Tried};
use serde_json::{Value, json};

use super::bed::{Bed, results};

const HOUR: Duration = Duration::from_secs(3_600);
/// The green flag of [`Bed::race`] is at 20:00.
const EARLY: &str = "2023-11-05T18:59:00Z";
const DUE: &str = "2023-11-05T19:30:00Z";

/// A race that was run, and one that is scheduled.
async fn weekend() -> Bed {
    let bed = Bed::new("2023-11-06T00:00:00Z").await;
    bed.race("cup-2023-35", 35).await;
    bed.post("/v1/races/cup-2023-35/finish", json!({"results": results([0, 1, 2, 3, 4, 5])})).await;
    bed.clock.set(EARLY.parse().unwrap());
    bed.race("cup-2023-36", 36).await;
    bed
}

fn sealer(bed: &Bed) -> Sealer {
    Sealer::new(bed.racing(), HOUR, 1_000)
}

/// Where projections of the race were sealed, and for which site.
async fn seals(bed: &Bed) -> Vec<(u64, String)> {
    let filter = ReadFilter::types([race::PROJECTION_SEALED]);
    let page = bed.services.log.read(0, 100, &filter).await.unwrap();
    let site =
        |payload: &str| serde_json::from_str::<Value>(payload).unwrap()["site"].as_str().unwrap().to_owned();
    // What is read from now on is to show them: a worker's facts answer no request.
    page.events.iter().for_each(|e| bed.seen(e.position));
    page.events.iter().map(|e| (e.position, site(&e.payload))).collect()
}

fn counts(tried: &[Tried]) -> Vec<(&str, usize)> {
    tried.iter().map(|t| (t.race.as_str(), *t.sealed.as_ref().unwrap())).collect()
}

#[tokio::test]
async fn a_race_is_sealed_once_when_it_is_due_and_not_before() {
    let bed = weekend().await;
    let mut first = sealer(&bed);
    assert_eq!(first.round().await.unwrap(), [], "an hour and a minute before");
    bed.clock.set(DUE.parse().unwrap());
    assert_eq!(counts(&first.round().await.unwrap()), [("cup-2023-36", 2)]);
    assert_eq!(first.round().await.unwrap(), []);
    let sealed = seals(&bed).await;
    assert_eq!(sealed.iter().map(|(_, site)| site.as_str()).collect::<Vec<_>>(), ["draftkings", "fanduel"]);

    // Another process knows nothing of it, and more is known by now.
    bed.post("/v1/drivers/d0/name", json!({"name": "Ross Chastain"})).await;
    assert_eq!(counts(&sealer(&bed).round().await.unwrap()), [("cup-2023-36", 0)]);
    assert_eq!(seals(&bed).await, sealed);
    let page = bed.services.log.read(sealed[0].0 - 1, 1, &ReadFilter::default()).await.unwrap();
    assert_eq!(&*page.events[0].metadata.actor, "worker:sealer");
}

#[tokio::test]
async fn two_at_once_seal_once() {
    let bed = weekend().await;
    bed.clock.set(DUE.parse().unwrap());
    let (mut a, mut b) = (sealer(&bed), sealer(&bed));
    let (a, b) = tokio::join!(a.round(), b.round());
    assert!([a.unwrap(), b.unwrap()].iter().flatten().all(|tried| tried.sealed.is_ok()));
    assert_eq!(seals(&bed).await.len(), 2);
}

#[tokio::test]
async fn a_race_that_is_postponed_is_sealed_again_before_its_new_green_flag() {
    let bed = weekend().await;
    bed.clock.set(DUE.parse().unwrap());
    let mut sealer = sealer(&bed);
    sealer.round().await.unwrap();
    let tomorrow = json!({"date": "2023-11-06", "starts_at": "2023-11-06T18:00:00Z"});
    bed.post("/v1/races/cup-2023-36/postpone", tomorrow).await;
    assert_eq!(sealer.round().await.unwrap(), [], "that is a day off");
    bed.clock.set("2023-11-05T21:00:00Z".parse().unwrap());
    assert_eq!(sealer.round().await.unwrap(), [], "the old green flag means nothing");
    bed.clock.set("2023-11-06T17:30:00Z".parse().unwrap());
    assert_eq!(counts(&sealer.round().await.unwrap()), [("cup-2023-36", 2)]);
    let sealed = seals(&bed).await;
    let counted = bed.get("/v1/races/cup-2023-36/projections?site=draftkings").await;
    assert_eq!(
        (sealed.len(), &counted["projections"][0]["position"]),
        (4, &json!(sealed[2].0)),
        "the last counts"
    );
}

#[tokio::test]
async fn nothing_is_sealed_without_or_after_a_green_flag() {
    let bed = weekend().await;
    // Only the day is known; and a race without an entry list.
    let day =
        json!({"series": "cup", "season": 2023, "number": 37, "track": "phoenix", "date": "2023-11-05"});
    bed.post("/v1/races/day-only/schedule", day.clone()).await;
    bed.post("/v1/races/day-only/enter", json!({"entries": super::entries()})).await;
    let mut empty = day;
    (empty["number"], empty["starts_at"]) = (json!(38), json!("2023-11-05T20:00:00Z"));
    bed.post("/v1/races/empty/schedule", empty).await;
    bed.clock.set("2023-11-05T20:00:00Z".parse().unwrap());
    let mut late = sealer(&bed);
    assert_eq!(late.round().await.unwrap(), [], "the green flag is shown");
    bed.clock.set(DUE.parse().unwrap());
    bed.post("/v1/races/cup-2023-36/start", json!({"at": DUE})).await;
    let tried = late.round().await.unwrap();
    let races: Vec<&str> = tried.iter().map(|t| t.race.as_str()).collect();
    assert_eq!(races, ["empty"], "started early, or without a time");
    assert!(tried[0].sealed.as_ref().unwrap_err().contains("entry list"), "{tried:?}");
    assert!(seals(&bed).await.is_empty());
    bed.post("/v1/races/empty/enter", json!({"entries": super::entries()})).await;
    bed.post("/v1/races/empty/cancel", json!({"reason": "rain"})).await;
    assert_eq!(late.round().await.unwrap(), []);
}
