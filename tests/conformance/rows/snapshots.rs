//! Snapshots: all rows of a generation as of one instant.

use std::collections::BTreeMap;

use domain::ports::rows::*;

use super::bed::*;

async fn all(snapshot: &mut dyn RowsSnapshot, table: &str, page: usize) -> Vec<ScannedRow> {
    let mut rows: Vec<ScannedRow> = Vec::new();
    loop {
        let after = rows.last().map(|r| r.row.clone());
        let more = snapshot.scan(table, after.as_ref(), page).await.unwrap();
        if more.is_empty() {
            return rows;
        }
        assert!(more.len() <= page);
        rows.extend(more);
    }
}

#[tokio::test]
async fn a_scan_goes_through_all_tenants_in_order() {
    for store in stores().await {
        let lease = store.lease().await;
        let mut expected = BTreeMap::new();
        let mut rows = Vec::new();
        for tenant_id in ["acme2", "acme", "b", "acme-1"] {
            for key in ["s/é", "s/b", "s/B", "s", "s/b/c", "~"] {
                let doc = format!("{{\"k\":\"{tenant_id} {key}\"}}");
                expected.insert(row(tenant_id, key), doc.clone());
                rows.push(RowPut { row: row(tenant_id, key), sort: None, doc });
            }
        }
        rows[3].sort = Some("007".into());
        store.rows.commit(commit(&lease, 0, 3, vec![puts("bands", rows)])).await.unwrap();
        let mut snapshot = store.rows.snapshot(&lease.generation).await.unwrap();
        assert_eq!(snapshot.tables(), ["bands", "totals"], "{}", store.name);
        for page in [1, 5, 1_000] {
            let found = all(snapshot.as_mut(), "bands", page).await;
            let keys: Vec<_> = found.iter().map(|r| &r.row).collect();
            assert_eq!(keys, expected.keys().collect::<Vec<_>>(), "{} by {page}", store.name);
            for row in &found {
                let doc: serde_json::Value = serde_json::from_str(&row.doc).unwrap();
                assert_eq!(doc["k"], format!("{} {}", row.row.tenant, row.row.key), "{}", store.name);
            }
            let sorted: Vec<_> = found.iter().filter_map(|r| r.sort.as_deref()).collect();
            assert_eq!(sorted, ["007"], "{}", store.name);
        }
        assert!(all(snapshot.as_mut(), "totals", 9).await.is_empty(), "{}", store.name);
        let unknown = snapshot.scan("no", None, 9).await;
        assert_eq!(unknown, Err(RowsError::UnknownTable("no".into())), "{}", store.name);
        assert!(snapshot.scan("bands", None, MAX_ROWS + 1).await.is_err(), "{}", store.name);
        // A refused question is no end of it.
        assert_eq!(snapshot.scan("bands", None, 2).await.unwrap().len(), 2, "{}", store.name);
    }
}

#[tokio::test]
async fn a_snapshot_does_not_see_what_is_committed_after_it() {
    for store in stores().await {
        let lease = store.lease().await;
        let doc = |n: u64| format!("{{\"n\":{n}}}");
        let rows = (0..500).map(|i| put(&format!("k{i:04}"), None, &doc(0))).collect();
        let parked = vec![letter("acme", "acme/s1", 1, Some("broken"))];
        store
            .rows
            .commit(Commit { parked, ..commit(&lease, 0, 1, vec![puts("totals", rows)]) })
            .await
            .unwrap();
        let mut snapshot = store.rows.snapshot(&lease.generation).await.unwrap();
        let first = snapshot.scan("totals", None, 100).await.unwrap();
        for n in 1..=5u64 {
            let replaced = (0..500).map(|i| put(&format!("k{i:04}"), None, &doc(n))).collect();
            let more = vec![put(&format!("late{n}"), Some("1"), "{}")];
            let changes = vec![puts("totals", replaced), puts("bands", more)];
            store.rows.commit(commit(&lease, n, n + 1, changes)).await.unwrap();
        }
        let delete = TableChanges { deletes: vec![row("acme", "k0300")], ..puts("totals", vec![]) };
        store.rows.commit(Commit { unparked: vec![1], ..commit(&lease, 6, 7, vec![delete]) }).await.unwrap();
        let rest = snapshot.scan("totals", Some(&first[99].row), 1_000).await.unwrap();
        assert_eq!((first.len(), rest.len()), (100, 400), "{}", store.name);
        assert!(first.iter().chain(&rest).all(|r| number(&r.doc) == 0), "{}", store.name);
        assert!(snapshot.scan("bands", None, 9).await.unwrap().is_empty(), "{}", store.name);
        assert_eq!((snapshot.position(), snapshot.generation().dead_letters), (1, 1), "{}", store.name);
        assert_eq!(snapshot.model().to_string(), "taps@1");
        let mut after = store.rows.snapshot(&lease.generation).await.unwrap();
        assert_eq!((after.position(), after.generation().dead_letters), (7, 0), "{}", store.name);
        assert_eq!(all(after.as_mut(), "totals", 200).await.len(), 499, "{}", store.name);
    }
}

/// Who drops is refused, or the reader still sees everything; never half.
#[tokio::test]
async fn dropping_under_a_snapshot_takes_nothing_from_it() {
    for store in stores().await {
        let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        let rows = (0..300).map(|i| put(&format!("k{i:04}"), None, "{}")).collect();
        store.rows.commit(commit(&lease, 0, 1, vec![puts("totals", rows)])).await.unwrap();
        let mut snapshot = store.rows.snapshot(&made.id).await.unwrap();
        let first = snapshot.scan("totals", None, 100).await.unwrap();
        let dropped = store.rows.drop_generation(&made.id).await;
        let in_use = Err(RowsError::InUse(made.id.to_string()));
        assert!(dropped == Ok(()) || dropped == in_use, "{}: {dropped:?}", store.name);
        let rest = snapshot.scan("totals", Some(&first[99].row), 1_000).await.unwrap();
        assert_eq!(rest.len(), 200, "{}", store.name);
        let still = store.rows.generations().await.unwrap().len();
        assert_eq!(still, usize::from(dropped.is_err()), "{}", store.name);
        drop(snapshot);
        store.drop_when_free(&made.id).await;
        assert!(store.rows.generations().await.unwrap().is_empty(), "{}", store.name);
    }
}

/// Readers of a generation that is dropped get all of its rows or hear that it
/// is gone.
#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_dropped_generation_see_all_of_it_or_nothing() {
    for store in stores().await {
        for _ in 0..5 {
            let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
            let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
            let rows = (0..50).map(|i| put(&format!("k{i:04}"), None, "{}")).collect();
            store.rows.commit(commit(&lease, 0, 1, vec![puts("totals", rows)])).await.unwrap();
            let (rows, source) = (store.rows.clone(), Source::Generation(made.id.clone()));
            let (started, wait) = tokio::sync::oneshot::channel();
            let reader = tokio::spawn(async move {
                let mut started = Some(started);
                loop {
                    let queries = [Query::prefix("totals", "k", 100)];
                    match rows.read(&source, &tenant("acme"), &queries).await {
                        Ok(read) => assert_eq!((read.results[0].len(), read.position), (50, 1)),
                        Err(error) => return error,
                    }
                    started.take().map(|s| s.send(()));
                }
            });
            wait.await.unwrap();
            store.drop_when_free(&made.id).await;
            let gone = RowsError::UnknownGeneration(made.id.clone());
            assert_eq!(reader.await.unwrap(), gone, "{}", store.name);
        }
    }
}

#[tokio::test]
async fn there_are_so_many_snapshots_at_once_and_no_more() {
    for store in stores().await {
        let lease = store.lease().await;
        let mut open = Vec::new();
        let refused = loop {
            match store.rows.snapshot(&lease.generation).await {
                Ok(snapshot) => open.push(snapshot),
                Err(error) => break Some(error),
            }
            if open.len() > 50 {
                break None;
            }
        };
        if let Place::Memory = store.place {
            assert_eq!(refused, None);
            continue;
        }
        assert!(matches!(refused, Some(RowsError::InUse(_))), "{}: {refused:?}", store.name);
        assert!(open.len() >= 4, "{}", store.name);
        open.pop();
        store.rows.snapshot(&lease.generation).await.unwrap();
    }
}
