//! What readers see.

use domain::ports::rows::*;

use super::bed::*;

#[tokio::test]
async fn keys_are_ordered_bytewise_and_scanned_in_pages() {
    for store in stores().await {
        let lease = store.lease().await;
        let keys = ["show-1/a", "show-1/B", "show-1/é", "show-1/~", "show-10/a", "show/a", "show-1/a/b"];
        let rows = keys.iter().map(|k| put(k, None, "{}")).collect();
        store.rows.commit(commit(&lease, 0, 1, vec![puts("totals", rows)])).await.unwrap();
        let mut expected: Vec<_> = keys.iter().filter(|k| k.starts_with("show-1/")).copied().collect();
        expected.sort_unstable();
        assert_eq!(store.keys(Query::prefix("totals", "show-1/", 100)).await, expected, "{}", store.name);
        assert_eq!(store.keys(Query::prefix("totals", "", 100)).await.len(), keys.len());
        for descending in [false, true] {
            let mut seen = Vec::new();
            let mut range =
                KeyRange { prefix: "show-1/".into(), limit: 2, descending, ..KeyRange::default() };
            loop {
                let page = store.keys(Query::range("totals", range.clone())).await;
                let Some(last) = page.last() else { break };
                range.after = Some(last.clone());
                seen.extend(page);
            }
            if descending {
                seen.reverse();
            }
            assert_eq!(seen, expected, "{} descending: {descending}", store.name);
        }
        let part = KeyRange {
            from: Some("show-1/a".into()),
            until: Some("show-1/~".into()),
            limit: 9,
            ..KeyRange::default()
        };
        assert_eq!(store.keys(Query::range("totals", part)).await, ["show-1/a", "show-1/a/b"]);
    }
}

#[tokio::test]
async fn a_group_is_scanned_greatest_first_with_ties_by_key() {
    for store in stores().await {
        let lease = store.lease().await;
        let rows = vec![
            put("show/a", Some("05"), "{}"),
            put("show/c", Some("07"), "{}"),
            put("show/b", Some("07"), "{}"),
            put("show/d", None, "{}"),
            put("show/B", Some("07"), "{}"),
            put("show/x/e", Some("99"), "{}"),
            put("other/f", Some("98"), "{}"),
        ];
        store.rows.commit(commit(&lease, 0, 1, vec![puts("bands", rows)])).await.unwrap();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.read(Query::top("bands", "show", after.clone(), 2)).await;
            let Some(last) = page.last() else { break };
            after = Some(SortAfter { sort: last.sort.clone().unwrap(), key: last.key.clone() });
            seen.extend(page.into_iter().map(|r| r.key));
        }
        assert_eq!(seen, ["show/B", "show/b", "show/c", "show/a"], "{}", store.name);
        let unsorted = [Query::top("totals", "show", None, 2)];
        let refused = store.rows.read(&Source::live("taps"), &tenant("acme"), &unsorted).await;
        assert!(matches!(refused, Err(RowsError::Invalid(_))), "{}: {refused:?}", store.name);
        let unknown = store.rows.read(&Source::live("taps"), &tenant("acme"), &[Query::get("no", "a")]).await;
        assert_eq!(unknown, Err(RowsError::UnknownTable("no".into())), "{}", store.name);
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_only() {
    for store in stores().await {
        let lease = store.lease().await;
        let mut theirs = put("show/b", Some("1"), r#"{"whose":"theirs"}"#);
        theirs.row.tenant = tenant("acme2");
        let mine = put("show/b", Some("1"), r#"{"whose":"mine"}"#);
        store.rows.commit(commit(&lease, 0, 1, vec![puts("bands", vec![mine, theirs])])).await.unwrap();
        let all = [
            Query::get("bands", "show/b"),
            Query::prefix("bands", "", 9),
            Query::top("bands", "show", None, 9),
        ];
        for rows in store.snapshot(&all).await.results {
            assert_eq!(rows.len(), 1, "{}", store.name);
            assert!(rows[0].doc.contains("mine"), "{}", store.name);
        }
        let other = store.rows.read(&Source::live("taps"), &tenant("acm"), &all).await.unwrap();
        assert!(other.results.iter().all(Vec::is_empty), "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_never_mixes_two_commits() {
    for store in stores().await {
        let lease = store.lease().await;
        let writer = {
            let (rows, lease) = (store.rows.clone(), lease.clone());
            tokio::spawn(async move {
                for i in 1..=200u64 {
                    let doc = format!("{{\"n\":{i}}}");
                    let changes = vec![
                        puts("bands", vec![put("show/b", Some("1"), &doc)]),
                        puts("totals", vec![put("show", None, &doc)]),
                    ];
                    rows.commit(commit(&lease, i - 1, i, changes)).await.unwrap();
                }
            })
        };
        let queries = [
            Query::get("bands", "show/b"),
            Query::top("bands", "show", None, 1),
            Query::get("totals", "show"),
        ];
        loop {
            let snapshot = store.snapshot(&queries).await;
            for rows in &snapshot.results {
                let found = rows.first().map_or(0, |r| {
                    serde_json::from_str::<serde_json::Value>(&r.doc).unwrap()["n"].as_u64().unwrap()
                });
                assert_eq!(found, snapshot.position, "{}", store.name);
            }
            if snapshot.position == 200 {
                break;
            }
        }
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_question_with_a_nul_finds_nothing() {
    for store in stores().await {
        let lease = store.lease().await;
        let stored = vec![puts("bands", vec![put("s/b", Some("1"), "{}")])];
        let parked = vec![letter("acme", "acme/s1", 1, Some("broken"))];
        store.rows.commit(Commit { parked, ..commit(&lease, 0, 1, stored) }).await.unwrap();
        let queries = [
            Query::get("bands", "s/b\0"),
            Query::prefix("bands", "s\0/", 9),
            Query::top("bands", "s\0", None, 9),
        ];
        let found = store.snapshot(&queries).await.results;
        assert!(found.iter().all(Vec::is_empty), "{}", store.name);
        let retried =
            store.rows.request_retry(&Source::live("taps"), &tenant("acme"), Some("acme/s1\0")).await;
        assert_eq!(retried, Ok(0), "{}", store.name);
        let unknown = store.rows.read(&Source::live("ta\0ps"), &tenant("acme"), &[]).await;
        assert!(matches!(unknown, Err(RowsError::UnknownProjection(_))), "{}", store.name);
    }
}
