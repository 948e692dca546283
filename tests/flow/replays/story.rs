//! From a changed model to other figures, and back.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::rows::*;
use domain::replay;
use projections::tap_analytics::SUMMARY;
use projections::tap_analytics::rows::Summary;
use replays::ReplayError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;

/// Reads the live figures all the while. Returns the versions of the model
/// that it saw, one after the other.
async fn watching(engine: Engine, live: watch::Sender<u32>, stop: CancellationToken) -> Vec<u32> {
    let mut seen: Vec<u32> = Vec::new();
    while !stop.is_cancelled() {
        let queries: Vec<Query> = (0..3).map(|i| Query::get(SUMMARY, &format!("show-{i}"))).collect();
        let snapshot = engine.rows.read(&Source::live(NAME), &tenant(), &queries).await.unwrap();
        let version = snapshot.model.version;
        for row in snapshot.results.iter().flatten() {
            let summary: Summary = serde_json::from_str(&row.doc).unwrap();
            // Only the second version's rows have visits.
            assert_eq!(summary.sessions.is_some(), version == 2, "a mixture");
        }
        if seen.last() != Some(&version) {
            seen.push(version);
            live.send_replace(version);
        }
        tokio::task::yield_now().await;
    }
    seen
}

async fn story(bed: Bed) {
    let bed = bed.opened().await;
    let keeper = bed.keeper();
    let head = bed.taps(0..500).await;
    bed.until(1, |g| g.position >= head).await;
    let stop = CancellationToken::new();
    let (live, mut sees) = watch::channel(0);
    let reader = tokio::spawn(watching(bed.engine.clone(), live, stop.clone()));
    sees.wait_for(|version| *version == 1).await.unwrap();

    let model = other_model();
    let defined = bed.engine.define(NAME, &model, &bed.by).await.unwrap();
    assert!(defined.changed);
    assert!(!bed.engine.define(NAME, &model, &bed.by).await.unwrap().changed);
    let decided = bed.engine.build(NAME, None, None, &bed.by).await.unwrap();
    let number = decided.generation.unwrap();
    let ready = bed.until(number, |g| g.status == "ready").await;
    let built = ready.built.unwrap();
    assert_eq!(built.checksum, bed.serial(&model, built.position).await, "{}", bed.what);
    assert_eq!(built.events, 500);
    assert_ne!(built.checksum, bed.serial(&ModelId::new("bots", 1), built.position).await);

    // It follows the log beside the live one, and so does what was live.
    let head = bed.taps(500..600).await;
    let promoted = bed.engine.promote(NAME, None, PATIENCE, &bed.by).await.unwrap();
    assert_eq!((promoted.generation, promoted.changed), (Some(number), true));
    assert_eq!(bed.status().await.live, Some(number));
    sees.wait_for(|version| *version == 2).await.unwrap();
    assert!(!bed.engine.promote(NAME, Some(number), PATIENCE, &bed.by).await.unwrap().changed);
    for generation in [1, number] {
        bed.until(generation, |g| g.position >= head).await;
    }
    assert_eq!(bed.checksum(number).await, bed.serial(&model, head).await);
    assert_eq!(bed.checksum(1).await, bed.serial(&ModelId::new("bots", 1), head).await);

    let back = bed.engine.roll_back(NAME, &bed.by).await.unwrap();
    assert_eq!(back.generation, Some(1));
    assert_eq!(bed.status().await.live, Some(1));
    sees.wait_for(|version| *version == 1).await.unwrap();
    stop.cancel();
    assert_eq!(reader.await.unwrap(), [1, 2, 1], "{}", bed.what);

    for generation in [None, Some(number)] {
        let verified = bed.engine.verify(NAME, generation, &bed.by).await.unwrap();
        assert!(verified.same, "{}: {verified:?}", bed.what);
    }
    assert_eq!(bed.engine.prune(NAME, None, &bed.by).await.unwrap(), [number]);
    assert_eq!(bed.status().await.generations.len(), 1);
    let refused = bed.engine.promote(NAME, Some(number), PATIENCE, &bed.by).await.unwrap_err();
    assert!(matches!(refused, ReplayError::Rejected(_)), "{refused}");
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_change_with_the_model_and_back() {
    for bed in beds().await {
        story(bed).await;
    }
}

#[tokio::test]
async fn every_step_is_a_fact_with_its_actor() {
    let bed = memory().opened().await;
    let keeper = bed.keeper();
    bed.taps(0..10).await;
    let number = bed.built(&other_model()).await.generation;
    bed.engine.promote(NAME, Some(number), PATIENCE, &bed.by).await.unwrap();
    bed.engine.roll_back(NAME, &bed.by).await.unwrap();
    bed.engine.verify(NAME, None, &bed.by).await.unwrap();
    bed.engine.prune(NAME, Some(number), &bed.by).await.unwrap();
    keeper.stop().await;
    let stream = StreamId::new(&TenantId::system(), replay::KIND, NAME).unwrap();
    let facts = bed.engine.log.read_stream(&stream, 1, 100).await.unwrap();
    let told: Vec<_> = facts.iter().map(|e| (&*e.event_type, &*e.metadata.actor)).collect();
    assert_eq!(
        told,
        [
            (replay::REQUESTED, "test"),
            (replay::BUILT, "worker:replays"),
            (replay::PROMOTED, "test"),
            (replay::ROLLED_BACK, "test"),
            (replay::VERIFIED, "test"),
            (replay::PRUNED, "test"),
        ]
    );
}

#[tokio::test]
async fn a_pointer_that_was_not_moved_follows_the_decision() {
    let bed = memory().opened().await;
    let keeper = bed.keeper();
    let head = bed.taps(0..50).await;
    let number = bed.built(&other_model()).await.generation;
    bed.until(number, |g| g.position >= head).await;
    // Decided by a process that died before it told the rows.
    let facts = bed.engine.facts(NAME).await.unwrap();
    let event = replay::Event::Promoted { generation: number, previous: 1, fence: head };
    let write = StreamWrite {
        stream: facts.stream.clone(),
        expected: ExpectedVersion::Exact(facts.version),
        events: vec![domain::registry::new_event(&event, Uuid::now_v7()).unwrap()],
    };
    let metadata = Metadata {
        actor: "test".into(),
        command_id: Uuid::now_v7(),
        correlation_id: "test".into(),
        causation_id: None,
    };
    let append = Append { writes: vec![write], metadata, idempotency: None };
    bed.engine.log.append(vec![append]).await.pop().unwrap().unwrap();
    bed.until(number, |g| g.status == "live").await;
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_operators_at_once_one_decides() {
    for bed in beds().await {
        let bed = bed.opened().await;
        let keeper = bed.keeper();
        bed.taps(0..50).await;
        let (a, b) = (bed.built(&other_model()).await, bed.built(&ModelId::new("bots", 2)).await);
        keeper.stop().await;
        // Nobody follows this, so both have decided what to do and wait.
        bed.taps(50..60).await;
        let ask = |number: u32| {
            let (engine, by) = (bed.engine.clone(), bed.by.clone());
            tokio::spawn(async move { engine.promote(NAME, Some(number), PATIENCE, &by).await })
        };
        let (first, second) = (ask(a.generation), ask(b.generation));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let keeper = bed.keeper();
        let ended = [first.await.unwrap(), second.await.unwrap()];
        let overtaken = ended.iter().filter(|e| matches!(e, Err(ReplayError::Overtaken(_)))).count();
        assert_eq!(overtaken, 1, "{}: {ended:?}", bed.what);
        let won = ended.iter().find_map(|e| e.as_ref().ok()).unwrap().generation;
        assert_eq!(bed.status().await.live, won);
        keeper.stop().await;
    }
}

#[tokio::test]
async fn the_past_is_built_and_stays_the_past() {
    for bed in beds().await {
        let bed = bed.opened().await;
        let keeper = bed.keeper();
        let past = bed.taps(0..100).await - 30;
        let at = Some(replays::engine::At::Position(past));
        let model = other_model();
        let decided = bed.engine.build(NAME, Some(model.clone()), at, &bed.by).await.unwrap();
        let number = decided.generation.unwrap();
        let ready = bed.until(number, |g| g.status == "ready").await;
        assert_eq!((ready.position, ready.at, ready.lag), (past, Some(past), 0));
        assert_eq!(ready.built.unwrap().checksum, bed.serial(&model, past).await, "{}", bed.what);
        let head = bed.taps(100..120).await;
        bed.until(1, |g| g.position >= head).await;
        assert_eq!(bed.generation(number).await.position, past);
        let refused = bed.engine.promote(NAME, Some(number), PATIENCE, &bed.by).await.unwrap_err();
        assert!(refused.to_string().contains("the past"), "{refused}");
        keeper.stop().await;
    }
}

#[tokio::test]
async fn a_time_is_the_last_position_before_it() {
    let clock = clock();
    let bed = bed("memory", Arc::new(MemoryLog::new(clock.clone())), Arc::new(MemoryRows::new()));
    for (minute, taps) in [(1, 0..3), (2, 3..5), (9, 5..9)] {
        clock.set(format!("2026-05-01T00:{minute:02}:00Z").parse().unwrap());
        bed.taps(taps).await;
    }
    let at = async |time: &str| bed.engine.position_at(time.parse().unwrap()).await.unwrap();
    assert_eq!(at("2026-05-01T00:00:30Z").await, 0);
    assert_eq!(at("2026-05-01T00:01:00Z").await, 3);
    assert_eq!(at("2026-05-01T02:05:00+02:00").await, 5);
    assert_eq!(at("2027-01-01T00:00:00Z").await, 9);
    assert_eq!(at("4").await, 4);
    assert!(bed.engine.position_at("10".parse().unwrap()).await.is_err());
}
