//! Builds that die, rest and are given up.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::rows::*;
use replays::build::{Builder, Options};

use super::*;

const TAPS: u64 = 1_500;

fn builder(engine: &Engine, seed: u64) -> Builder {
    let mut options = Options::new(format!("builder-{seed}"));
    options.page = 40 + seed as usize * 3;
    // A commit after each page, or after some of them.
    options.checkpoint = if seed.is_multiple_of(2) { Duration::ZERO } else { Duration::from_millis(3) };
    // Some seeds have hardly room for a page.
    options.memory = if seed.is_multiple_of(3) { 64 << 10 } else { 64 << 20 };
    Builder {
        log: engine.log.clone(),
        rows: engine.rows.clone(),
        generations: engine.generations.clone(),
        sealed: None,
        board: Arc::new(projections::board::Board::default()),
        options,
    }
}

/// Kills the build whenever it has come some way further, until it is done.
async fn until_done(bed: &Bed, generation: &Generation, head: u64, seed: u64) -> u32 {
    let (mut kills, mut random) = (0, seed + 1);
    loop {
        let builder = builder(&bed.engine, seed);
        let progress = builder.board.generation(&generation.id);
        let projection = instantiate(NAME, &generation.model).unwrap();
        let there = bed.engine.find(NAME, generation.id.number).await.unwrap().position;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Further each time, so that an end is reached however slow commits are.
        let end = there + random % 400 + 20 * u64::from(kills);
        let target = generation.clone();
        let mut work = tokio::spawn(async move {
            builder.run(&target, projection, Some(head), &CancellationToken::new()).await
        });
        let mut moved = progress.watch();
        tokio::select! {
            ended = &mut work => {
                assert!(ended.unwrap().unwrap().is_some());
                return kills;
            }
            _ = moved.wait_for(|p| *p > end) => {
                work.abort();
                let _ = work.await;
                kills += 1;
            }
        }
    }
}

async fn killed_builds(bed: Bed, seeds: std::ops::Range<u64>) {
    let bed = bed.opened().await;
    let head = bed.taps(0..TAPS).await;
    let model = other_model();
    let expected = bed.serial(&model, head).await;
    let mut kills = 0;
    for seed in seeds {
        let projection = instantiate(NAME, &model).unwrap();
        let made =
            bed.engine.generations.create(NAME, &projection.model(), projection.tables()).await.unwrap();
        kills += until_done(&bed, &made, head, seed).await;
        assert_eq!(bed.checksum(made.id.number).await, expected, "{} seed {seed}", bed.what);
        bed.engine.generations.drop_generation(&made.id).await.unwrap();
    }
    assert!(kills > 5, "{}: only {kills} kills", bed.what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_build_ends_as_a_serial_one() {
    for bed in beds().await {
        killed_builds(bed, 0..6).await;
    }
}

#[tokio::test]
async fn a_build_rests_goes_on_and_is_given_up() {
    for bed in beds().await {
        let bed = bed.opened().await;
        bed.taps(0..300).await;
        let (first, second) = (bed.build(&other_model()).await, bed.build(&other_model()).await);
        assert!(bed.engine.pause(NAME, first, &bed.by).await.unwrap().changed);
        assert!(bed.engine.abort(NAME, second, &bed.by).await.unwrap().changed);
        let keeper = bed.keeper();
        let third = bed.built(&other_model()).await.generation;
        // The other two were left alone meanwhile.
        let (paused, aborted) = (bed.generation(first).await, bed.generation(second).await);
        assert_eq!((paused.status.as_str(), paused.position), ("paused", 0), "{}", bed.what);
        assert_eq!((aborted.status.as_str(), aborted.position), ("aborted", 0));
        bed.engine.resume(NAME, first, &bed.by).await.unwrap();
        let ready = bed.until(first, |g| g.status == "ready").await;
        assert_eq!(ready.built.unwrap().checksum, bed.checksum(third).await);
        assert_eq!(bed.engine.prune(NAME, None, &bed.by).await.unwrap(), [second]);
        keeper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_build_rests_within_a_second() {
    let bed = sqlite().await.opened().await;
    for i in 0..20 {
        bed.taps(i * 1_000..(i + 1) * 1_000).await;
    }
    let keeper = bed.keeper();
    let number = bed.build(&other_model()).await;
    let progress = bed.engine.board.generation(&GenerationId { projection: NAME.into(), number });
    let started = async {
        while !progress.activity().leading {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, started).await.unwrap();
    bed.engine.pause(NAME, number, &bed.by).await.unwrap();
    let rests = async {
        while progress.activity().leading {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), rests).await.expect("it rests within a second");
    let there = bed.generation(number).await;
    assert_eq!(there.status, "paused");
    bed.engine.resume(NAME, number, &bed.by).await.unwrap();
    let ready = bed.until(number, |g| g.status == "ready").await;
    let built = ready.built.unwrap();
    assert_eq!(built.checksum, bed.serial(&other_model(), built.position).await);
    keeper.stop().await;
}
