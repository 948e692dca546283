//! What every row store has to hold.

use std::sync::Arc;
use std::time::Duration;

use daybook_tests::postgres::{Database, database};
use domain::TenantId;
use domain::ports::rows::*;
use infra_rows::{MemoryRows, PostgresRows, SqliteRows};
use tempfile::TempDir;

const TTL: Duration = Duration::from_secs(600);
const TABLES: &[TableSpec] = &[
    TableSpec {
        name: "bands",
        sorted: true,
        columns: &[
            Column { name: "taps", path: "taps", kind: ColumnKind::Integer },
            Column { name: "first", path: "seen.first", kind: ColumnKind::Time },
            Column { name: "modes", path: "modes", kind: ColumnKind::Json },
        ],
    },
    TableSpec { name: "totals", sorted: false, columns: &[] },
];

enum Place {
    Memory,
    Sqlite(TempDir),
    Postgres(Database),
}

struct Store {
    name: &'static str,
    rows: Arc<dyn RowStore>,
    place: Place,
}

/// One empty store of each kind that can be had here.
async fn stores() -> Vec<Store> {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec![
        Store { name: "memory", rows: Arc::new(MemoryRows::new()), place: Place::Memory },
        Store { name: "sqlite", rows: sqlite(&folder).await, place: Place::Sqlite(folder) },
    ];
    if let Some(database) = database().await {
        let rows = postgres(&database).await;
        all.push(Store { name: "postgres", rows, place: Place::Postgres(database) });
    }
    all
}

async fn sqlite(folder: &TempDir) -> Arc<dyn RowStore> {
    Arc::new(SqliteRows::open(&folder.path().join("rows.db")).await.unwrap())
}

async fn postgres(database: &Database) -> Arc<dyn RowStore> {
    Arc::new(PostgresRows::connect(&database.url, 4).await.unwrap())
}

impl Store {
    async fn lease(&self) -> Lease {
        let generation = self.rows.open("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        self.rows.acquire(&generation.id, "a", TTL).await.unwrap()
    }

    async fn read(&self, query: Query) -> Vec<StoredRow> {
        self.snapshot(&[query]).await.results.remove(0)
    }

    async fn snapshot(&self, queries: &[Query]) -> Snapshot {
        self.rows.read(&Source::live("taps"), &tenant("acme"), queries).await.unwrap()
    }

    async fn keys(&self, query: Query) -> Vec<String> {
        self.read(query).await.into_iter().map(|r| r.key).collect()
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn row(tenant_id: &str, key: &str) -> RowKey {
    RowKey { tenant: tenant(tenant_id), key: key.into() }
}

fn put(key: &str, sort: Option<&str>, doc: &str) -> RowPut {
    RowPut { row: row("acme", key), sort: sort.map(Into::into), doc: doc.into() }
}

fn puts(table: &str, puts: Vec<RowPut>) -> TableChanges {
    TableChanges { table: table.into(), puts, deletes: vec![] }
}

fn commit(lease: &Lease, from: u64, to: u64, changes: Vec<TableChanges>) -> Commit {
    Commit { lease: lease.clone(), from, to, changes, parked: vec![], unparked: vec![] }
}

fn letter(tenant_id: &str, partition: &str, position: u64, error: Option<&str>) -> DeadLetter {
    DeadLetter {
        tenant: tenant(tenant_id),
        partition: partition.into(),
        position,
        event_type: "band.tapped".into(),
        error: error.map(Into::into),
    }
}

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
            assert_eq!(store.rows.commit(commit).await, Err(error), "{}", store.name);
        }
        let twice = puts("totals", vec![put("a", None, "{}"), put("a", None, "{}")]);
        assert!(store.rows.commit(commit(&lease, 5, 6, vec![twice])).await.is_err(), "{}", store.name);
        assert!(store.rows.commit(commit(&lease, 5, 4, vec![good()])).await.is_err(), "{}", store.name);
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

#[tokio::test]
async fn postgres_has_a_view_with_typed_columns() {
    let Some(database) = database().await else { return };
    let rows = postgres(&database).await;
    let lease = Store { name: "postgres", rows: rows.clone(), place: Place::Memory }.lease().await;
    let doc = r#"{"taps":7,"seen":{"first":"2026-07-01T19:00:00Z"},"modes":{"live":7}}"#;
    rows.commit(commit(&lease, 0, 1, vec![puts("bands", vec![put("show/b", None, doc)])])).await.unwrap();
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let select = "SELECT tenant, key, taps, extract(epoch FROM first)::bigint, modes->>'live'
                  FROM daybook_taps_bands";
    let found: (String, String, i64, i64, String) = sqlx::query_as(select).fetch_one(&pool).await.unwrap();
    assert_eq!(found, ("acme".into(), "show/b".into(), 7, 1_782_932_400, "7".into()));
    // Opening again with other columns changes the view and nothing else.
    let fewer = [TableSpec { columns: &TABLES[0].columns[..1], ..TABLES[0].clone() }];
    rows.open("taps", &ModelId::new("taps", 1), &fewer).await.unwrap();
    let only: (i64,) = sqlx::query_as("SELECT taps FROM daybook_taps_bands").fetch_one(&pool).await.unwrap();
    assert_eq!(only.0, 7);
    assert!(sqlx::query("SELECT first FROM daybook_taps_bands").execute(&pool).await.is_err());
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
