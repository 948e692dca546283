//! Generations are made, filled, finished, held and dropped.

use std::time::Duration;

use domain::ports::rows::*;

use super::bed::*;

#[tokio::test]
async fn a_generation_is_built_beside_the_live_one() {
    for store in stores().await {
        let live = store.lease().await;
        let stored = vec![puts("bands", vec![put("show/b", Some("1"), r#"{"n":1}"#)])];
        store.rows.commit(commit(&live, 0, 5, stored)).await.unwrap();
        let model = ModelId { parameters: serde_json::json!({"k": [1]}), ..ModelId::new("taps", 2) };
        let made = store.rows.create("taps", &model, TABLES).await.unwrap();
        assert_eq!((made.id.number, made.status, made.position), (2, GenerationStatus::Building, 0));
        assert_eq!(made.model, model, "{}", store.name);

        let lease = store.rows.acquire(&made.id, "builder", TTL).await.unwrap();
        let stored = vec![puts("bands", vec![put("show/b", Some("2"), r#"{"n":2}"#)])];
        store.rows.commit(commit(&lease, 0, 9, stored)).await.unwrap();
        let snapshot = store.snapshot(&[Query::get("bands", "show/b")]).await;
        assert_eq!((snapshot.position, snapshot.generation.number), (5, 1), "{}", store.name);
        assert!(snapshot.results[0][0].doc.contains('1'), "{}", store.name);
        let beside = Source::Generation(made.id.clone());
        let read = store.rows.read(&beside, &tenant("acme"), &[Query::get("bands", "show/b")]).await.unwrap();
        assert_eq!((read.position, read.model), (9, model), "{}", store.name);
        assert!(read.results[0][0].doc.contains('2'), "{}", store.name);

        let listed = store.rows.generations().await.unwrap();
        assert_eq!(listed.iter().map(|g| g.position).collect::<Vec<_>>(), [5, 9], "{}", store.name);
        for bad in ["", "Taps", "a\"b", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(store.rows.create(bad, &ModelId::new("taps", 1), TABLES).await.is_err(), "{bad:?}");
        }
        assert_eq!(store.rows.generations().await.unwrap().len(), 2, "{}", store.name);
    }
}

#[tokio::test]
async fn the_longest_names_fit() {
    let long: &'static str = "abcdefghijklmnopqrstuv";
    assert_eq!(long.len(), MAX_NAME_BYTES);
    for store in stores().await {
        let table = |name| TableSpec { name, sorted: true, columns: &[] };
        let tables = [table(long), table("abcdefghijklmnopqrstuw")];
        store.rows.open(long, &ModelId::new("m", 1), &tables).await.unwrap();
        let made = store.rows.create(long, &ModelId::new("m", 2), &tables).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let stored = tables.iter().map(|t| puts(t.name, vec![put("s/b", Some("1"), "{}")])).collect();
        store.rows.commit(commit(&lease, 0, 1, stored)).await.unwrap();
        store.rows.finish(&lease).await.unwrap();
        assert!(store.rows.promote(&made.id, 1, 1).await.unwrap(), "{}", store.name);
        let queries = tables.each_ref().map(|t| Query::top(t.name, "s", None, 5));
        let read = store.rows.read(&Source::live(long), &tenant("acme"), &queries).await.unwrap();
        assert_eq!(read.results.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1], "{}", store.name);
    }
}

#[tokio::test]
async fn rows_of_a_build_come_in_any_order_and_twice() {
    for store in stores().await {
        let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let doc = |n: u64| format!("{{\"n\":{n}}}");
        // In order; past that; unordered; in order over what is there.
        let batches: [&[&str]; 4] = [&["b", "d"], &["e", "f"], &["x", "c"], &["a", "e"]];
        for (i, keys) in (0u64..).zip(batches) {
            let rows = keys.iter().map(|k| put(&format!("s/{k}"), Some(k), &doc(i))).collect();
            store.rows.commit(commit(&lease, i, i + 1, vec![puts("bands", rows)])).await.unwrap();
        }
        store.rows.finish(&lease).await.unwrap();
        let mut snapshot = store.rows.snapshot(&made.id).await.unwrap();
        let rows = snapshot.scan("bands", None, 100).await.unwrap();
        let found: Vec<_> = rows.iter().map(|r| (&r.row.key[2..], number(&r.doc))).collect();
        let expected = [("a", 3), ("b", 0), ("c", 2), ("d", 0), ("e", 3), ("f", 1), ("x", 2)];
        assert_eq!(found, expected, "{}", store.name);
    }
}

/// Whichever way new rows take into a build's tables.
#[tokio::test]
async fn rows_of_a_build_are_kept_as_they_are() {
    for store in stores().await {
        let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let large = format!("{{\"n\":\"{}\"}}", "x".repeat(300_000));
        let texts = ["a\tb\nc\\N", r#"a"b\c'd"#, "größer 🎉", "z"];
        let docs = [r#"{"n": "a\"b\\c\n\u00e9"}"#, &large, r#"{"n": null}"#, &large];
        for (i, table) in (0u64..).zip(["bands", "totals"]) {
            let sorted = |i: usize| (table == "bands" && i != 2).then_some(texts[i]);
            let rows = (0..4).map(|i| put(&format!("s/{}", texts[i]), sorted(i), docs[i])).collect();
            store.rows.commit(commit(&lease, i, i + 1, vec![puts(table, rows)])).await.unwrap();
            let mut snapshot = store.rows.snapshot(&made.id).await.unwrap();
            let found = snapshot.scan(table, None, 100).await.unwrap();
            assert_eq!(found.len(), 4);
            for (i, found) in found.iter().enumerate() {
                assert_eq!(*found.row.key, format!("s/{}", texts[i]), "{}", store.name);
                assert_eq!(found.sort.as_deref(), sorted(i), "{}", store.name);
                let parse = |doc: &str| serde_json::from_str::<serde_json::Value>(doc).unwrap();
                assert_eq!(parse(&found.doc), parse(docs[i]), "{}", store.name);
            }
        }
        // What the database refuses leaves no trace, and the next commit goes on.
        if store.name == "postgres" {
            let broken = vec![put("t/a", None, "{}"), put("t/b", None, "{"), put("t/c", None, &large)];
            let refused = store.rows.commit(commit(&lease, 2, 3, vec![puts("bands", broken)])).await;
            assert!(refused.is_err());
            let good = vec![put("t/b", None, "{}")];
            store.rows.commit(commit(&lease, 2, 3, vec![puts("bands", good)])).await.unwrap();
            let mut snapshot = store.rows.snapshot(&made.id).await.unwrap();
            assert_eq!(snapshot.scan("bands", None, 100).await.unwrap().len(), 5);
        }
    }
}

#[tokio::test]
async fn who_lost_the_lease_cannot_finish() {
    for store in stores().await {
        let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        let old = store.rows.acquire(&made.id, "a", Duration::ZERO).await.unwrap();
        let new = store.rows.acquire(&made.id, "b", TTL).await.unwrap();
        assert_eq!(store.rows.finish(&old).await, Err(RowsError::LeaseLost), "{}", store.name);
        assert_eq!(store.status(&made.id).await, GenerationStatus::Building, "{}", store.name);
        store.rows.finish(&new).await.unwrap();
        assert_eq!(store.status(&made.id).await, GenerationStatus::Ready, "{}", store.name);
        // Again changes nothing, also once it is live.
        store.rows.finish(&new).await.unwrap();
        assert!(store.rows.promote(&made.id, 0, 1).await.unwrap());
        store.rows.finish(&new).await.unwrap();
        assert_eq!(store.status(&made.id).await, GenerationStatus::Live, "{}", store.name);
        assert_eq!(store.rows.finish(&old).await, Err(RowsError::LeaseLost), "{}", store.name);
        let nobody = Lease { generation: generation("nobody", 1), ..new };
        let unknown = Err(RowsError::UnknownGeneration(nobody.generation.clone()));
        assert_eq!(store.rows.finish(&nobody).await, unknown, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finishing_at_the_same_time_is_one_finish() {
    for store in stores().await {
        let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let rows = (0..2_000).map(|i| put(&format!("s/{i:05}"), Some("1"), "{}")).collect();
        store.rows.commit(commit(&lease, 0, 1, vec![puts("bands", rows)])).await.unwrap();
        let finish = |_| {
            let (rows, lease) = (store.rows.clone(), lease.clone());
            tokio::spawn(async move { rows.finish(&lease).await })
        };
        for finished in futures::future::join_all((0..4).map(finish)).await {
            finished.unwrap().unwrap();
        }
        let beside = Source::Generation(made.id.clone());
        let top = [Query::top("bands", "s", None, 3)];
        let read = store.rows.read(&beside, &tenant("acme"), &top).await.unwrap();
        assert_eq!(read.results[0].len(), 3, "{}", store.name);
        assert_eq!(store.status(&made.id).await, GenerationStatus::Ready, "{}", store.name);
    }
}

#[tokio::test]
async fn a_dropped_generation_leaves_nothing_and_its_number_is_not_given_again() {
    for store in stores().await {
        let live = store.lease().await;
        let model = ModelId::new("taps", 2);
        let made = store.rows.create("taps", &model, TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let stored = vec![puts("bands", vec![put("s/b", Some("1"), "{}")])];
        let parked = vec![letter("acme", "acme/s1", 3, Some("broken"))];
        store.rows.commit(Commit { parked, ..commit(&lease, 0, 4, stored) }).await.unwrap();
        store.rows.drop_generation(&made.id).await.unwrap();
        store.rows.drop_generation(&made.id).await.unwrap();
        assert_eq!(store.rows.generations().await.unwrap().len(), 1, "{}", store.name);
        let gone = RowsError::UnknownGeneration(made.id.clone());
        let late = store.rows.commit(commit(&lease, 4, 5, vec![])).await;
        assert_eq!(late, Err(gone.clone()), "{}", store.name);
        let source = Source::Generation(made.id.clone());
        assert_eq!(store.rows.read(&source, &tenant("acme"), &[]).await, Err(gone.clone()));
        assert_eq!(store.rows.snapshot(&made.id).await.err(), Some(gone.clone()), "{}", store.name);
        assert_eq!(store.rows.promote(&made.id, 0, 9).await, Err(gone.clone()), "{}", store.name);
        assert_eq!(store.rows.hold(&made.id, Some(0), TTL).await, Err(gone), "{}", store.name);

        let next = store.rows.create("taps", &model, TABLES).await.unwrap();
        assert_eq!((next.id.number, next.position, next.dead_letters), (3, 0, 0), "{}", store.name);
        let refused = store.rows.drop_generation(&live.generation).await;
        assert_eq!(refused, Err(RowsError::Live(live.generation.clone())), "{}", store.name);
        assert_eq!(store.status(&live.generation).await, GenerationStatus::Live);
    }
}

#[tokio::test]
async fn a_hold_keeps_commits_from_passing_it() {
    for store in stores().await {
        let live = store.lease().await;
        let made = store.rows.create("taps", &ModelId::new("taps", 2), TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let to = |from, to| commit(&lease, from, to, vec![puts("bands", vec![put("s/b", None, "{}")])]);
        store.rows.commit(to(0, 4)).await.unwrap();
        assert_eq!(store.rows.hold(&made.id, Some(6), TTL).await, Ok(4), "{}", store.name);
        assert_eq!(store.held(&made.id).await, Some(6), "{}", store.name);
        assert_eq!(store.rows.commit(to(4, 7)).await, Err(RowsError::Held { position: 6 }), "{}", store.name);
        store.rows.commit(to(4, 6)).await.unwrap();
        // A retry of dead letters moves no checkpoint.
        store.rows.commit(to(6, 6)).await.unwrap();
        assert_eq!(store.rows.commit(to(6, 7)).await, Err(RowsError::Held { position: 6 }), "{}", store.name);

        // One that is behind holds it where it is; another replaces it.
        assert_eq!(store.rows.hold(&made.id, Some(2), TTL).await, Ok(6), "{}", store.name);
        assert_eq!(store.rows.commit(to(6, 7)).await, Err(RowsError::Held { position: 6 }), "{}", store.name);
        assert_eq!(store.rows.hold(&made.id, Some(u64::MAX), TTL).await, Ok(6), "{}", store.name);
        store.rows.commit(to(6, 7)).await.unwrap();

        // It expires, and is let go.
        store.rows.hold(&made.id, Some(7), Duration::ZERO).await.unwrap();
        assert_eq!(store.held(&made.id).await, None, "{}", store.name);
        store.rows.commit(to(7, 8)).await.unwrap();
        store.rows.hold(&made.id, Some(8), TTL).await.unwrap();
        assert_eq!(store.rows.hold(&made.id, None, Duration::ZERO).await, Ok(8), "{}", store.name);
        store.rows.commit(to(8, 9)).await.unwrap();

        let refused = Err(RowsError::Live(live.generation.clone()));
        assert_eq!(store.rows.hold(&live.generation, Some(0), TTL).await, refused, "{}", store.name);
        assert_eq!(store.rows.hold(&live.generation, None, TTL).await, refused, "{}", store.name);
        let long = store.rows.hold(&made.id, Some(9), MAX_HOLD + Duration::from_secs(1)).await;
        assert!(matches!(long, Err(RowsError::Invalid(_))), "{}: {long:?}", store.name);
    }
}

#[tokio::test]
async fn numbers_go_on_in_a_file_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("rows.db")).unwrap();
    file.execute_batch(include_str!("../../../infra/rows/migrations/sqlite/0001_registry.sql")).unwrap();
    file.execute_batch(
        r#"CREATE TABLE rows_taps_1_bands (tenant TEXT NOT NULL, key TEXT NOT NULL, grp TEXT NOT NULL,
             sort TEXT, doc TEXT NOT NULL, PRIMARY KEY (tenant, key));
           CREATE INDEX rows_taps_1_bands_sort ON rows_taps_1_bands (tenant, grp, sort DESC, key);
           INSERT INTO projection_generations VALUES ('taps', 1, '{"name":"taps","version":1}',
             '[{"name":"bands","sorted":true}]', 'live', 7, 1, 'a', 0);
           PRAGMA user_version = 1"#,
    )
    .unwrap();
    drop(file);
    let rows = sqlite(&folder).await;
    let live = rows.open("taps", &ModelId::new("taps", 1), &TABLES[..1]).await.unwrap();
    assert_eq!((live.id.number, live.position, live.held), (1, 7, None));
    let made = rows.create("taps", &ModelId::new("taps", 2), TABLES).await.unwrap();
    assert_eq!(made.id.number, 2);
    let lease = rows.acquire(&live.id, "b", TTL).await.unwrap();
    rows.commit(commit(&lease, 7, 8, vec![puts("bands", vec![put("s/b", Some("1"), "{}")])])).await.unwrap();
}
