//! What is written, and by whom.

use std::time::Duration;

use domain::ports::rows::*;

use super::bed::*;

#[tokio::test]
async fn the_first_generation_is_live_and_stays() {
    for store in stores().await {
        let rows = &store.rows;
        let source = Source::live("taps");
        let unknown = rows.read(&source, &tenant("acme"), &[]).await;
        assert_eq!(unknown, Err(RowsError::UnknownProjection("taps".into())), "{}", store.name);
        let model = ModelId { parameters: serde_json::json!({"k": 1}), ..ModelId::new("taps", 3) };
        let first = rows.open("taps", &model, TABLES).await.unwrap();
        assert_eq!((first.id.number, first.status, first.position), (1, GenerationStatus::Live, 0));
        let again = rows.open("taps", &ModelId::new("taps", 4), TABLES).await.unwrap();
        assert_eq!(again, first, "{}", store.name);
        assert_eq!(again.model, model);
        assert_eq!(rows.generations().await.unwrap(), vec![first]);
        for bad in ["", "Taps", "a-b", "a\"b"] {
            assert!(rows.open(bad, &model, TABLES).await.is_err(), "{}: {bad:?}", store.name);
        }
    }
}

#[tokio::test]
async fn opening_at_the_same_time_makes_one_generation() {
    for store in stores().await {
        let open = |_| {
            let rows = store.rows.clone();
            tokio::spawn(async move { rows.open("taps", &ModelId::new("taps", 1), TABLES).await })
        };
        for opened in futures::future::join_all((0..8).map(open)).await {
            assert_eq!(opened.unwrap().unwrap().id.number, 1, "{}", store.name);
        }
        assert_eq!(store.rows.generations().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn rows_and_checkpoint_move_together() {
    for store in stores().await {
        let lease = store.lease().await;
        let changes = vec![
            puts("bands", vec![put("show/b1", Some("3"), r#"{"taps":3}"#)]),
            puts("totals", vec![put("show", None, r#"{"taps":3}"#)]),
        ];
        store.rows.commit(commit(&lease, 0, 7, changes)).await.unwrap();
        let queries =
            [Query::get("bands", "show/b1"), Query::get("totals", "show"), Query::get("totals", "x")];
        let snapshot = store.snapshot(&queries).await;
        assert_eq!(snapshot.position, 7, "{}", store.name);
        assert_eq!(snapshot.model.to_string(), "taps@1");
        assert_eq!(snapshot.results.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
        let doc: serde_json::Value = serde_json::from_str(&snapshot.results[0][0].doc).unwrap();
        assert_eq!(doc, serde_json::json!({"taps": 3}));
        assert_eq!(snapshot.results[0][0].sort.as_deref(), Some("3"));

        let delete = TableChanges { deletes: vec![row("acme", "show")], ..puts("totals", vec![]) };
        let replace = puts("bands", vec![put("show/b1", Some("4"), r#"{"taps":4}"#)]);
        store.rows.commit(commit(&lease, 7, 8, vec![delete, replace])).await.unwrap();
        let snapshot = store.snapshot(&queries).await;
        assert_eq!(snapshot.results.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0], "{}", store.name);
        assert_eq!(snapshot.results[0][0].sort.as_deref(), Some("4"));
        let wanted = [row("acme", "no"), row("acme", "show/b1")];
        let fetched = store.rows.fetch_many(&lease.generation, "bands", &wanted).await.unwrap();
        assert!(fetched[0].is_none() && fetched[1].as_ref().unwrap().contains('4'), "{}", store.name);
    }
}

#[tokio::test]
async fn a_refused_commit_changes_nothing() {
    for store in stores().await {
        let lease = store.lease().await;
        let good = || puts("totals", vec![put("a", None, "{}")]);
        store.rows.commit(commit(&lease, 0, 5, vec![])).await.unwrap();
        let refused = [
            (commit(&lease, 4, 6, vec![good()]), RowsError::CheckpointMoved { actual: 5 }),
            (
                commit(&lease, 5, 6, vec![good(), puts("nothing", vec![put("a", None, "{}")])]),
                RowsError::UnknownTable("nothing".into()),
            ),
        ];
        for (commit, error) in refused {
            assert_eq!(store.rows.commit_built(commit.clone()).await, Err(error.clone()), "{}", store.name);
            assert_eq!(store.rows.commit(commit).await, Err(error), "{}", store.name);
        }
        let twice = puts("totals", vec![put("a", None, "{}"), put("a", None, "{}")]);
        for wrong in [commit(&lease, 5, 6, vec![twice]), commit(&lease, 5, 4, vec![good()])] {
            let built = store.rows.commit_built(wrong.clone()).await;
            assert!(matches!(built, Err(RowsError::Invalid(_))), "{}: {built:?}", store.name);
            assert_eq!(store.rows.commit(wrong).await, built, "{}", store.name);
        }
        let snapshot = store.snapshot(&[Query::get("totals", "a")]).await;
        assert_eq!((snapshot.position, snapshot.results[0].len()), (5, 0), "{}", store.name);
    }
}

#[tokio::test]
async fn one_owner_writes_and_a_newer_epoch_fences_the_older() {
    for store in stores().await {
        let old = store.lease().await;
        let id = &old.generation;
        let held = store.rows.acquire(id, "b", TTL).await;
        let Err(RowsError::LeaseHeld { owner, remaining }) = held else { panic!("{}: {held:?}", store.name) };
        assert!(owner == "a" && remaining > TTL / 2 && remaining <= TTL, "{}", store.name);

        // Expires at once.
        store.rows.renew(&old, Duration::ZERO).await.unwrap();
        let new = store.rows.acquire(id, "b", TTL).await.unwrap();
        assert!(new.epoch > old.epoch, "{}", store.name);
        let late = commit(&old, 0, 9, vec![puts("totals", vec![put("a", None, "{}")])]);
        assert_eq!(store.rows.commit(late).await, Err(RowsError::LeaseLost), "{}", store.name);
        assert_eq!(store.rows.renew(&old, TTL).await, Err(RowsError::LeaseLost), "{}", store.name);
        store.rows.release(&old).await.unwrap();
        assert!(store.rows.acquire(id, "c", TTL).await.is_err(), "{}: released by a stranger", store.name);
        store.rows.commit(commit(&new, 0, 3, vec![])).await.unwrap();

        store.rows.release(&new).await.unwrap();
        let third = store.rows.acquire(id, "c", TTL).await.unwrap();
        assert_eq!(third.position, 3, "{}", store.name);
        let nobody = GenerationId { projection: "nobody".into(), number: 1 };
        let unknown = store.rows.acquire(&nobody, "a", TTL).await;
        assert_eq!(unknown, Err(RowsError::UnknownGeneration(nobody)), "{}", store.name);
    }
}

#[tokio::test]
async fn dead_letters_are_kept_listed_and_retried() {
    for store in stores().await {
        let lease = store.lease().await;
        let rows = &store.rows;
        let parked = vec![
            letter("acme", "acme/s1", 3, Some("broken \0")),
            letter("acme", "acme/s1", 4, None),
            letter("acme2", "acme2/s1", 5, Some("broken too")),
        ];
        rows.commit(Commit { parked, ..commit(&lease, 0, 5, vec![]) }).await.unwrap();
        let source = Source::live("taps");
        let positions = |list: Vec<ParkedEvent>| list.iter().map(|p| p.letter.position).collect::<Vec<_>>();
        assert_eq!(positions(rows.dead_letters(&source, None, 0, 2).await.unwrap()), [3, 4]);
        assert_eq!(positions(rows.dead_letters(&source, None, 4, 9).await.unwrap()), [5]);
        let mine = rows.dead_letters(&source, Some(&tenant("acme")), 0, 9).await.unwrap();
        assert_eq!((mine[0].attempts, mine[1].attempts), (1, 0), "{}", store.name);
        assert_eq!(positions(mine), [3, 4]);
        assert_eq!(rows.generations().await.unwrap()[0].dead_letters, 3);

        assert_eq!(rows.request_retry(&source, &tenant("acme"), Some("acme2/s1")).await.unwrap(), 0);
        assert_eq!(rows.request_retry(&source, &tenant("acme"), Some("acme/s1")).await.unwrap(), 2);
        let partitions = rows.parked_partitions(&lease.generation).await.unwrap();
        assert_eq!(partitions, [("acme/s1".into(), true), ("acme2/s1".into(), false)], "{}", store.name);
        let sequence = rows.parked_sequence(&lease.generation, "acme/s1", 9).await.unwrap();
        assert_eq!(positions(sequence), [3, 4]);

        // It went one further, then failed: the request is done with.
        let again = Commit {
            parked: vec![letter("acme", "acme/s1", 4, Some("broken as well"))],
            unparked: vec![3],
            ..commit(&lease, 5, 5, vec![])
        };
        rows.commit(again).await.unwrap();
        let left = rows.dead_letters(&source, Some(&tenant("acme")), 0, 9).await.unwrap();
        assert_eq!(left.len(), 1, "{}", store.name);
        assert_eq!((left[0].attempts, left[0].retry_requested), (1, false), "{}", store.name);
        assert_eq!(left[0].letter.error.as_deref(), Some("broken as well"));
        assert!(rows.parked_partitions(&lease.generation).await.unwrap().iter().all(|(_, asked)| !asked));
    }
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    for store in stores().await {
        let lease = store.lease().await;
        let parked = vec![letter("acme", "acme/s1", 3, Some("broken"))];
        let changes = vec![puts("bands", vec![put("show/b", Some("1"), r#"{"taps":1}"#)])];
        store.rows.commit(Commit { parked, ..commit(&lease, 0, 4, changes) }).await.unwrap();
        let before = store.snapshot(&[Query::top("bands", "show", None, 5)]).await;
        let again = match &store.place {
            Place::Memory => continue,
            Place::Sqlite(folder) => sqlite(folder).await,
            Place::Postgres(database) => postgres(database).await,
        };
        let generation = again.open("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        assert_eq!((generation.position, generation.dead_letters), (4, 1), "{}", store.name);
        let queries = [Query::top("bands", "show", None, 5)];
        let after = again.read(&Source::live("taps"), &tenant("acme"), &queries).await.unwrap();
        assert_eq!(after, before, "{}", store.name);
        // The lease is part of it.
        assert!(again.acquire(&generation.id, "b", TTL).await.is_err(), "{}", store.name);
        again.commit(commit(&lease, 4, 5, vec![])).await.unwrap();
    }
}

#[tokio::test]
async fn many_rows_go_in_at_once() {
    for store in stores().await {
        let lease = store.lease().await;
        let key = |i: usize| format!("show/{i:06}");
        let rows = (0..12_345).map(|i| put(&key(i), Some(&key(i)), &format!("{{\"n\":{i}}}"))).collect();
        store.rows.commit(commit(&lease, 0, 1, vec![puts("bands", rows)])).await.unwrap();
        let all = store.keys(Query::prefix("bands", "show/", 100_000)).await;
        assert_eq!((all.len(), &all[12_344]), (12_345, &key(12_344)), "{}", store.name);
        let wanted: Vec<RowKey> = (0..12_345).rev().map(|i| row("acme", &key(i))).collect();
        let docs = store.rows.fetch_many(&lease.generation, "bands", &wanted).await.unwrap();
        assert!(
            docs[12_344].as_ref().unwrap().contains(": 0") || docs[12_344].as_ref().unwrap().contains(":0")
        );
        let changes = TableChanges { deletes: wanted, ..puts("bands", vec![]) };
        store.rows.commit(commit(&lease, 1, 2, vec![changes])).await.unwrap();
        assert!(store.keys(Query::prefix("bands", "", 9)).await.is_empty(), "{}", store.name);
    }
}
