//! Positions are dense and in commit order, whoever appends and reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use domain::ports::log::{AppendError, ExpectedVersion::*, ReadFilter};
use futures::future::join_all;

use super::bed::*;

/// Follows the log without any waiting and fails if it ever skips.
async fn poll_until(log: Log, stop: Arc<AtomicBool>) -> u64 {
    let mut seen = 0;
    loop {
        let last_round = stop.load(SeqCst);
        let page = log.read(seen, 64, &ReadFilter::default()).await.unwrap();
        for event in &page.events {
            assert_eq!(event.position, seen + 1, "a reader skipped");
            seen = event.position;
        }
        assert_eq!(page.through, seen);
        if last_round && page.events.is_empty() {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

/// `writers` tasks on these logs, each appending until it has `each` receipts.
async fn hammer(logs: &[Log], writers: usize, each: usize) -> Vec<(uuid::Uuid, u64)> {
    let tasks = (0..writers).map(|writer| {
        let log = logs[writer % logs.len()].clone();
        tokio::spawn(async move {
            let mut receipts = Vec::new();
            for n in 0..each {
                // A stream of one's own and one that all fight over.
                let own = write(&format!("w{writer}"), Exact(n as u64), 1);
                let shared = write("shared", Any, n % 2);
                let receipt = put(&log, append(vec![own, shared])).await.unwrap();
                receipts.extend(receipt.events.iter().map(|e| (e.event_id, e.position)));
            }
            receipts
        })
    });
    join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect()
}

async fn race(bed: &Bed, logs: &[Log], writers: usize, each: usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for log in logs.iter().chain([&bed.open().await]) {
        readers.push(tokio::spawn(poll_until(log.clone(), stop.clone())));
    }
    let receipts = hammer(logs, writers, each).await;
    stop.store(true, SeqCst);
    let count = (writers * each + writers * (each / 2)) as u64;
    for reader in readers {
        assert_eq!(reader.await.unwrap(), count);
    }
    let all = read_all(&bed.open().await, 500).await;
    check_log(&all);
    bed.check_tree().await;
    assert_eq!(all.len() as u64, count);
    assert_eq!(receipts.len() as u64, count);
    for (event_id, position) in receipts {
        assert_eq!(all[position as usize - 1].event_id, event_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_dense_under_concurrent_writers() {
    on_each(async |bed| {
        let log = bed.open().await;
        race(bed, &[log], 16, 30).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_on_one_database_may_race() {
    on_databases(async |bed| {
        let logs = [bed.open().await, bed.open().await, bed.open().await];
        race(bed, &logs, 12, 20).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_instances_one_wins_each_version() {
    on_databases(async |bed| {
        let logs = [bed.open().await, bed.open().await];
        for version in 0..40 {
            let tries = (0..8).map(|n| {
                let log = logs[n % 2].clone();
                tokio::spawn(async move { put(&log, one("a", Exact(version))).await })
            });
            let outcomes: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
            assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
            for error in outcomes.into_iter().filter_map(Result::err) {
                let AppendError::Conflict { actual, newer, .. } = error else { panic!("{error}") };
                assert_eq!((actual, newer.len(), newer[0].version), (version + 1, 1, version + 1));
            }
        }
        check_log(&read_all(&logs[0], 7).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_instance_wrote_is_never_overlooked() {
    on_databases(async |bed| {
        let (here, there) = (bed.open().await, bed.open().await);
        put(&here, one("a", NoStream)).await.unwrap();
        put(&there, one("a", Exact(1))).await.unwrap();
        // `here` remembers version 1; nothing but a conflict or a check would
        // be written.
        let AppendError::Conflict { actual, .. } = put(&here, one("a", Exact(1))).await.unwrap_err() else {
            panic!()
        };
        assert_eq!(actual, 2);
        put(&there, one("a", Exact(2))).await.unwrap();
        put(&here, append(vec![write("a", Exact(3), 0)])).await.unwrap();
        put(&there, one("b", NoStream)).await.unwrap();
        assert!(put(&here, append(vec![write("b", NoStream, 0)])).await.is_err());
        assert_eq!(read_all(&here, 10).await.len(), 4);
        let request = with_key(one("c", NoStream), "k", 1);
        put(&there, request.clone()).await.unwrap();
        assert!(put(&here, request).await.unwrap().replayed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_wakes_for_appends_here_and_elsewhere() {
    on_each(async |bed| {
        let (here, there) = (bed.open().await, bed.open().await);
        for log in [&here, &there] {
            let before = log.head().await.unwrap().position;
            let waiting = tokio::spawn({
                let here = here.clone();
                async move { here.changed(before).await.unwrap() }
            });
            put(log, one("a", Any)).await.unwrap();
            let woken = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
            assert_eq!(woken, before + 1);
            let page = here.read(before, 10, &ReadFilter::default()).await.unwrap();
            assert_eq!((page.events.len(), page.through), (1, woken));
        }
        assert_eq!(here.changed(0).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn filtered_pages_say_how_far_they_looked() {
    on_each(async |bed| {
        let log = bed.open().await;
        for n in 0..20 {
            let mut one = one("a", Any);
            if n % 5 == 0 {
                one.writes[0].events[0].event_type = "thing.rare".into();
            }
            if n == 7 {
                one.writes[0].stream.tenant = tenant("other");
                one.writes[0].stream.kind = "else".into();
            }
            put(&log, one).await.unwrap();
        }
        let rare = ReadFilter::types(["thing.rare", "thing.never"]);
        let other = ReadFilter { tenant: Some(tenant("other")), ..ReadFilter::default() };
        let kind = ReadFilter { kind: Some("else".into()), ..rare.clone() };
        // Out of memory, and out of the database.
        for log in [&log, &bed.open().await] {
            let positions = async |after, limit, filter| {
                let page = log.read(after, limit, filter).await.unwrap();
                (page.events.iter().map(|e| e.position).collect::<Vec<_>>(), page.through)
            };
            assert_eq!(positions(0, 3, &rare).await, (vec![1, 6, 11], 11));
            assert_eq!(positions(11, 3, &rare).await, (vec![16], 20));
            assert_eq!(positions(0, 100, &other).await, (vec![8], 20));
            assert_eq!(positions(0, 100, &kind).await, (vec![], 20));
            assert_eq!(positions(20, 100, &rare).await, (vec![], 20));
            assert_eq!(positions(99, 100, &rare).await, (vec![], 99));
            assert_eq!(positions(3, 0, &rare).await, (vec![], 3));
            assert_eq!(positions(17, 2, &ReadFilter::default()).await, (vec![18, 19], 19));
        }
    })
    .await;
}

#[tokio::test]
async fn pages_and_partitions_end_anywhere() {
    on_each(async |bed| {
        let log = bed
            .open_with(|options| {
                options.partition_positions = 7;
                options.tail_events = 5;
                options.cached_streams = 3;
            })
            .await;
        for n in 0..10 {
            put(&log, append(vec![write(&format!("s{}", n % 4), Any, n)])).await.unwrap();
        }
        for limit in [1, 2, 7, 44, 45, 46] {
            let all = read_all(&log, limit).await;
            check_log(&all);
            assert_eq!(all.len(), 45);
        }
        assert_eq!(log.last(&stream("s3")).await.unwrap().unwrap().position, 28);
        put(&log, append(vec![write("s3", Exact(10), 2)])).await.unwrap();
        let versions = log.read_stream(&stream("s3"), 1, 99).await.unwrap();
        assert!(versions.iter().map(|e| e.version).eq(1..=12));
    })
    .await;
}
