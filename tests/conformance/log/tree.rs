//! The tree over the leaves: moved by every append, never by one that fails.

use std::time::Duration;

use domain::ports::log::{ExpectedVersion::*, LogError};
use domain::ports::tree::{CheckpointError, SignedCheckpoint, frontier_at};
use domain::registry::TRIMMABLE;
use domain::tree::{EMPTY_ROOT, Frontier, TILE_LEVELS, hashes_at};
use futures::future::join_all;
use jiff::Timestamp;
use proofs::{LogTiles, TileError, TilePath, TileSet, Tiles, check_inclusion, parse_entries};
use rand::RngExt;

use super::bed::*;

/// `count` events in as few appends as the limits allow.
async fn grow(log: &Log, id: &str, count: usize) {
    for begin in (0..count).step_by(5_000) {
        let events = (count - begin).min(5_000);
        put(log, append(vec![write(id, Any, events)])).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_log_has_the_empty_tree() {
    on_each(async |bed| {
        let frontier = bed.keep().await.frontier().await.unwrap();
        assert_eq!((frontier.size(), frontier.root()), (0, EMPTY_ROOT));
    })
    .await;
}

#[tokio::test]
async fn batches_of_any_size_grow_the_tree_of_the_leaves() {
    on_each(async |bed| {
        let log = bed.open().await;
        for _ in 0..12 {
            let batch = (0..rand::rng().random_range(1..6)).map(|n| {
                let events = rand::rng().random_range(0..200);
                append(vec![write(&format!("s{n}"), Any, events)])
            });
            log.append(batch.collect()).await.into_iter().for_each(|o| assert!(o.is_ok()));
        }
        bed.check_tree().await;
    })
    .await;
}

/// Past 65,536 events the third level of tiles begins.
#[tokio::test(flavor = "multi_thread")]
async fn every_tile_of_a_large_tree_is_there() {
    on_databases(async |bed| {
        let (log, size) = (bed.open().await, 70_000);
        grow(&log, "a", size as usize).await;
        bed.check_tree().await;
        let kept = bed.keep().await;
        let root = kept.frontier().await.unwrap().root();
        assert!(hashes_at(size, 2) > 0 && hashes_at(size, TILE_LEVELS) == 0);
        let tiles = LogTiles::new(kept.clone());
        let fetched = TileSet::fetch(&tiles, TilePath::of_tree(0, size)).await.unwrap();
        for index in [0, 255, 65_535, 65_536, size - 1] {
            let proof = proofs::prove_inclusion(&fetched, size, &root, index).unwrap();
            let entry = kept.entries(index, 1).await.unwrap()[0];
            check_inclusion(size, &root, index, &entry, &proof.path).unwrap();
        }
        for old in [1, 256, 65_536, 65_537, size] {
            let proof = proofs::consistency(&tiles, old, size, &root).await.unwrap();
            assert_eq!(proof.old_root, frontier_at(&*kept, old).await.unwrap().root());
        }
    })
    .await;
}

#[tokio::test]
async fn tiles_are_made_of_what_the_log_keeps() {
    on_each(async |bed| {
        let log = bed.open().await;
        grow(&log, "a", 600).await;
        let events = read_all(&log, 1_000).await;
        let kept = bed.keep().await;
        let tiles = LogTiles::new(kept.clone());
        for size in [1, 255, 256, 257, 512, 600] {
            let mut then = Frontier::default();
            events[..size].iter().for_each(|e| then.push(&e.leaf, &mut Vec::new()));
            assert_eq!(frontier_at(&*kept, size as u64).await.unwrap(), then);
            for index in [0, size / 2, size - 1] {
                let (size, at) = (size as u64, index as u64);
                let proof = proofs::inclusion(&tiles, size, &then.root(), at).await.unwrap();
                check_inclusion(size, &then.root(), at, &events[index].leaf, &proof.path).unwrap();
            }
        }
        let bundle = tiles.tile(TilePath::entries(2).partial(88)).await.unwrap();
        let leaves: Vec<_> = events[512..].iter().map(|e| e.leaf).collect();
        assert_eq!(parse_entries(&bundle).unwrap(), leaves);
        for past in [
            TilePath::entries(2),
            TilePath::entries(2).partial(89),
            TilePath::hashes(0, 3).partial(1),
            TilePath::hashes(0, (1 << 40) - 1),
            TilePath::hashes(1, 0),
            TilePath::hashes(1, 0).partial(3),
            TilePath::hashes(2, 0).partial(1),
            TilePath::hashes(63, 0).partial(1),
        ] {
            assert_eq!(tiles.tile(past).await, Err(TileError::Missing(past)));
        }
        assert!(matches!(kept.entries(599, 2).await, Err(LogError::Damaged { .. })));
        assert!(matches!(kept.nodes(1, 1, 2).await, Err(LogError::Damaged { .. })));
    })
    .await;
}

/// The writer that comes too late has planned nodes and a key of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_leaves_no_trace() {
    on_databases(async |bed| {
        let (here, there) = (bed.open().await, bed.open().await);
        put(&here, append(vec![write("a", NoStream, 250)])).await.unwrap();
        put(&there, append(vec![write("b", NoStream, 3)])).await.unwrap();
        // Would have filled the first tile; in truth that is full elsewhere.
        let late = with_key(append(vec![write("a", Exact(250), 10), write("b", Exact(0), 1)]), "k", 1);
        put(&here, late).await.unwrap_err();
        bed.check_tree().await;
        let log = bed.keep().await;
        assert_eq!(log.stored_reply(&tenant("acme"), "k").await.unwrap(), None);
        assert!(log.nodes(1, 0, 1).await.is_err());
        let again = with_key(append(vec![write("a", Exact(250), 10), write("b", Exact(3), 1)]), "k", 1);
        put(&here, again).await.unwrap();
        bed.check_tree().await;
        assert_eq!(log.frontier().await.unwrap().size(), 264);

        // Only the log has moved on: nothing that the writer was told is wrong.
        let elsewhere = bed.open().await;
        put(&elsewhere, append(vec![write("c", NoStream, 240)])).await.unwrap();
        put(&there, one("b", Any)).await.unwrap();
        put(&elsewhere, with_key(append(vec![write("c", Exact(240), 20)]), "l", 1)).await.unwrap();
        bed.check_tree().await;
        let reply = log.stored_reply(&tenant("acme"), "l").await.unwrap().unwrap();
        assert_eq!((reply.receipt.events[0].position, reply.receipt.events.len()), (506, 20));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_instances_grow_one_tree() {
    on_databases(async |bed| {
        let logs = [bed.open().await, bed.open().await, bed.open().await];
        let tasks = (0..24).map(|n| {
            let log = logs[n % 3].clone();
            tokio::spawn(async move { grow(&log, &format!("s{n}"), 40 + n).await })
        });
        join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
        bed.check_tree().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_trimmed_stays_in_the_tree() {
    on_each(async |bed| {
        let log = bed.open().await;
        for _ in 0..3 {
            let mut write = write("a", Any, 200);
            write.events.iter_mut().for_each(|event| event.event_type = TRIMMABLE[0].into());
            put(&log, append(vec![write])).await.unwrap();
        }
        let before = bed.keep().await.frontier().await.unwrap();
        let entries = bed.keep().await.entries(0, 600).await.unwrap();
        assert_eq!(bed.keep().await.trim(400).await.unwrap(), 400);
        let log = bed.keep().await;
        assert_eq!(log.frontier().await.unwrap(), before);
        assert_eq!(log.entries(0, 600).await.unwrap(), entries);
        assert_eq!(log.entries(399, 2).await.unwrap(), entries[399..401]);
        assert_eq!(log.nodes(1, 0, 2).await.unwrap().len(), 2);
        assert_eq!(frontier_at(&*log, 512).await.unwrap().size(), 512);
        assert_eq!(frontier_at(&*log, 300).await.unwrap().size(), 300);
        // In parts, and again.
        for upto in [100, 401, 530] {
            bed.keep().await.trim(upto).await.unwrap();
        }
        assert_eq!(log.entries(0, 600).await.unwrap(), entries);
        LogTiles::new(log).tile(TilePath::hashes(0, 0)).await.unwrap();
        // The trimmed log goes on like any other.
        grow(&bed.open().await, "b", 100).await;
        assert_eq!(bed.keep().await.frontier().await.unwrap().size(), 700);
    })
    .await;
}

/// Runs statements behind the log's back, where nothing forbids them.
async fn tamper(bed: &Bed, sqlite: &str, postgres: &str) {
    if let Some(file) = bed.file() {
        rusqlite::Connection::open(file).unwrap().execute_batch(sqlite).unwrap();
    }
    if let Some(url) = bed.url() {
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
        let all = format!("SET session_replication_role = replica; {postgres}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_that_was_cut_is_refused() {
    on_databases(async |bed| {
        let log = bed.open_with(|options| options.patience = Duration::from_millis(50)).await;
        grow(&log, "a", 300).await;
        let cut = "DELETE FROM events WHERE position > 290";
        tamper(bed, &format!("DROP TRIGGER events_never_go; {cut}"), cut).await;
        let reason = "the log ends at 290, its tree at 300";
        // A server that runs, and one that starts.
        let error = put(&log, one("a", Any)).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        let opened = bed.try_open().await.err().map(|error| error.to_string());
        assert!(opened.as_ref().is_some_and(|error| error.contains(reason)), "{opened:?}");
    })
    .await;
}

#[tokio::test]
async fn a_tree_that_was_changed_is_refused() {
    on_databases(async |bed| {
        grow(&bed.open().await, "a", 300).await;
        let changes = [
            ("size = 299", "the log ends at 300, its tree at 299"),
            ("size = 300, frontier = ''", "a tree of size 300 has 4 peaks, not 0"),
        ];
        for (change, reason) in changes {
            let sqlite = format!("UPDATE tree SET {}", change.replace("''", "x''"));
            tamper(bed, &sqlite, &format!("UPDATE log_tree SET {change}")).await;
            let error = bed.try_open().await.err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(reason)), "{error:?}");
        }
    })
    .await;
}

fn checkpoint(size: u64, root: u8, line: &str) -> SignedCheckpoint {
    SignedCheckpoint {
        origin: "log.example".to_owned(),
        size,
        root: [root; 32],
        note: format!("log.example\n{size}\n{root}\n\n{line}\n"),
        signed_at: Timestamp::from_second(size as i64).unwrap(),
    }
}

#[tokio::test]
async fn checkpoints_only_go_on() {
    on_each(async |bed| {
        let log = bed.keep().await;
        assert_eq!(log.checkpoint("log.example", None).await.unwrap(), None);
        for size in [0, 3, 7, 9] {
            let new = checkpoint(size, size as u8, "a");
            assert_eq!(log.keep_checkpoint(&new).await.as_ref(), Ok(&new));
            assert_eq!(bed.keep().await.checkpoint("log.example", None).await.unwrap(), Some(new));
        }
        let smaller = log.keep_checkpoint(&checkpoint(8, 8, "a")).await;
        assert_eq!(smaller, Err(CheckpointError::Smaller { size: 8, newest: 9 }));
        let other = log.keep_checkpoint(&checkpoint(9, 8, "a")).await;
        assert_eq!(other, Err(CheckpointError::Contradicts { size: 9 }));
        let mut malformed = checkpoint(10, 10, "a");
        malformed.note.pop();
        assert_eq!(log.keep_checkpoint(&malformed).await, Err(CheckpointError::Malformed));

        // Whoever is asked to sign may answer when there is a newer one.
        let late = log.keep_checkpoint(&checkpoint(3, 3, "late")).await.unwrap();
        assert_eq!(late, checkpoint(3, 3, "a\nlate"));
        assert_eq!(log.checkpoint("log.example", Some(3)).await.unwrap(), Some(late.clone()));
        let other = log.keep_checkpoint(&checkpoint(3, 4, "late")).await;
        assert_eq!(other, Err(CheckpointError::Contradicts { size: 3 }));

        let merged = log.keep_checkpoint(&checkpoint(9, 9, "b")).await.unwrap();
        assert_eq!(merged, checkpoint(9, 9, "a\nb"));
        assert_eq!(log.checkpoint("log.example", Some(8)).await.unwrap(), Some(checkpoint(7, 7, "a")));
        assert_eq!(log.checkpoint("log.example", Some(9)).await.unwrap(), Some(merged.clone()));
        let listed = log.checkpoints("log.example", 3, 10).await.unwrap();
        assert_eq!(listed, [checkpoint(7, 7, "a"), merged.clone()]);
        assert_eq!(log.checkpoints("log.example", 0, 1).await.unwrap(), [late]);

        // Another origin is another log's.
        let other = SignedCheckpoint { origin: "else".to_owned(), ..checkpoint(1, 1, "a") };
        log.keep_checkpoint(&other).await.unwrap();
        assert_eq!(log.checkpoint("else", None).await.unwrap(), Some(other));
        assert_eq!(log.drop_checkpoints("log.example", &[3, 7, 8, 9]).await.unwrap(), 2);
        assert_eq!(log.checkpoints("log.example", 0, 10).await.unwrap(), [merged]);
        assert_eq!(log.drop_checkpoints("log.example", &[0]).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signers_beside_each_other_lose_no_signature() {
    on_each(async |bed| {
        let logs = [bed.keep().await, bed.keep().await];
        let tasks = (0..8).map(|n| {
            let log = logs[n % 2].clone();
            tokio::spawn(async move { log.keep_checkpoint(&checkpoint(5, 5, &format!("by {n}"))).await })
        });
        join_all(tasks).await.into_iter().for_each(|task| assert!(task.unwrap().is_ok()));
        let kept = logs[0].checkpoint("log.example", None).await.unwrap().unwrap();
        assert!((0..8).all(|n| kept.note.contains(&format!("by {n}\n"))), "{}", kept.note);
    })
    .await;
}
