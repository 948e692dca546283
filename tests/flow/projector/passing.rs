//! Events that say nothing to a projection: it passes them, and its checkpoint
//! follows.

use std::time::Instant;

use super::*;

const OTHER: &str = "band.registered";

async fn append_others(log: &MemoryLog, count: usize) {
    for _ in 0..count {
        append_of(log, OTHER, "s", "{}").await;
    }
}

async fn position(rows: &dyn RowStore, id: &GenerationId) -> u64 {
    rows.read(&Source::Generation(id.clone()), &tenant(), &[]).await.unwrap().position
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_alone_are_stored_now_and_then() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    append(&log, "s", "{}").await;
    let faulty = Arc::new(Faulty::never(Arc::new(MemoryRows::new())));
    let rows: Arc<dyn RowStore> = faulty.clone();
    let running = run(&log, &rows, &projection, "a");
    reached(&*rows, 1).await;
    let start = Instant::now();
    for _ in 0..200 {
        append_others(&log, 1).await;
        tokio::time::sleep(POLL).await;
    }
    // Nothing else comes, and it gets there.
    reached(&*rows, 201).await;
    let commits = faulty.written.lock().unwrap().len() as u128;
    let most = 2 + start.elapsed().as_millis() / 50;
    assert!(commits <= most, "{commits} commits, {most} expected at most");
    // One that says something is stored at once, with what was passed.
    append_others(&log, 1).await;
    append(&log, "s", "{}").await;
    reached(&*rows, 203).await;
    running.stop().await;
    assert_eq!(stored(&*rows).await, rebuilt(&log, &projection, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_passed_is_stored_before_a_stop() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let mut head = 0;
    for _ in 0..100 {
        let running = run(&log, &rows, &projection, "a");
        append(&log, "s", "{}").await;
        reached(&*rows, head + 1).await;
        let start = Instant::now();
        append_others(&log, 5).await;
        tokio::time::sleep(POLL).await;
        running.stop().await;
        head += 6;
        let position = rows.read(&Source::live("counting"), &tenant(), &[]).await.unwrap().position;
        // Sooner than by itself.
        if position == head && start.elapsed() < Duration::from_millis(50) {
            return;
        }
    }
    panic!("no stop stored what had been passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_held_where_nothing_changes_it() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    append(&log, "s", "{}").await;
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    rows.open("counting", &projection.model(), TABLES).await.unwrap();
    // The live one is never held.
    let id = rows.create("counting", &projection.model(), TABLES).await.unwrap().id;
    let lease = rows.acquire(&id, "builder", Duration::from_secs(60)).await.unwrap();
    rows.finish(&lease).await.unwrap();
    rows.release(&lease).await.unwrap();
    rows.hold(&id, Some(4), Duration::from_secs(60)).await.unwrap();
    let mut options = Options::new("a");
    options.linger = Duration::ZERO;
    let projector = Projector { log: log.clone(), rows: rows.clone(), board: Arc::default(), options };
    let (cancel, folding, kept) = (CancellationToken::new(), projection.clone(), id.clone());
    let stop = cancel.clone();
    let task = tokio::spawn(async move { projector.keep(kept, folding, stop).await });
    generation_reached(&*rows, &id, 1).await;
    // It has to read past the hold to know that nothing happened up to there.
    append_others(&log, 5).await;
    append(&log, "s", "{}").await;
    generation_reached(&*rows, &id, 4).await;
    // The store lets nothing past, however often it is tried.
    for _ in 0..20 {
        append(&log, "t", "{}").await;
        tokio::time::sleep(POLL).await;
        assert_eq!(position(&*rows, &id).await, 4);
    }
    rows.hold(&id, None, Duration::ZERO).await.unwrap();
    generation_reached(&*rows, &id, 27).await;
    cancel.cancel();
    task.await.unwrap();
    assert!(rows.promote(&id, 27, 1).await.unwrap());
    assert_eq!(stored(&*rows).await, rebuilt(&log, &projection, &[]).await);
}

async fn generation_reached(rows: &dyn RowStore, id: &GenerationId, wanted: u64) {
    let wait = async {
        while position(rows, id).await < wanted {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the position is reached");
}
