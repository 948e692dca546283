//! SQL views of the live rows, on PostgreSQL.

use daybook_tests::postgres::database;
use domain::ports::rows::*;

use super::bed::*;

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
    let fewer = [TableSpec { columns: &TABLES[0].columns[..1], ..TABLES[0] }];
    rows.open("taps", &ModelId::new("taps", 1), &fewer).await.unwrap();
    let only: (i64,) = sqlx::query_as("SELECT taps FROM daybook_taps_bands").fetch_one(&pool).await.unwrap();
    assert_eq!(only.0, 7);
    assert!(sqlx::query("SELECT first FROM daybook_taps_bands").execute(&pool).await.is_err());
}

#[tokio::test]
async fn the_views_follow_the_live_generation() {
    let Some(database) = database().await else { return };
    let rows = postgres(&database).await;
    let store = Store { name: "postgres", rows: rows.clone(), place: Place::Memory };
    let first = store.lease().await;
    let doc = |taps: u32| vec![puts("bands", vec![put("s/b", None, &format!("{{\"taps\":{taps}}}"))])];
    rows.commit(commit(&first, 0, 1, doc(1))).await.unwrap();
    // Another column, and another table instead of `totals`.
    let columns = &[
        Column { name: "taps", path: "taps", kind: ColumnKind::Integer },
        Column { name: "visits", path: "visits", kind: ColumnKind::Integer },
    ];
    let others = [
        TableSpec { name: "bands", sorted: true, columns },
        TableSpec { name: "visits", sorted: false, columns: &[] },
    ];
    let made = rows.create("taps", &ModelId::new("taps", 2), &others).await.unwrap();
    let second = rows.acquire(&made.id, "a", TTL).await.unwrap();
    rows.commit(commit(&second, 0, 1, doc(2))).await.unwrap();
    rows.finish(&second).await.unwrap();

    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let taps = || async {
        let (taps,): (i64,) =
            sqlx::query_as("SELECT taps FROM daybook_taps_bands").fetch_one(&pool).await.unwrap();
        taps
    };
    let ask = |sql: &'static str| sqlx::query(sql).execute(&pool);
    assert_eq!(taps().await, 1);
    assert!(ask("SELECT visits FROM daybook_taps_bands").await.is_err());

    assert!(rows.promote(&made.id, 1, 1).await.unwrap());
    assert_eq!(taps().await, 2);
    ask("SELECT visits FROM daybook_taps_bands").await.unwrap();
    ask("SELECT key FROM daybook_taps_visits").await.unwrap();
    assert!(ask("SELECT key FROM daybook_taps_totals").await.is_err());

    // Somebody's own view goes with the columns; one that would be lost keeps
    // the pointer where it is.
    ask("CREATE VIEW mine AS SELECT sum(visits) FROM daybook_taps_bands").await.unwrap();
    let refused = rows.promote(&first.generation, 1, 2).await;
    assert_eq!(refused, Err(RowsError::InUse("a SQL view of taps".into())));
    assert_eq!((taps().await, store.snapshot(&[]).await.generation.number), (2, 2));
    ask("DROP VIEW mine").await.unwrap();
    assert!(rows.promote(&first.generation, 1, 2).await.unwrap());
    assert_eq!(taps().await, 1);
    ask("SELECT key FROM daybook_taps_totals").await.unwrap();
    assert!(ask("SELECT key FROM daybook_taps_visits").await.is_err());
    rows.drop_generation(&made.id).await.unwrap();
    assert_eq!(taps().await, 1);
}

#[tokio::test]
async fn grants_and_views_over_a_view_outlive_a_promotion_with_the_same_columns() {
    let Some(database) = database().await else { return };
    let rows = postgres(&database).await;
    let store = Store { name: "postgres", rows: rows.clone(), place: Place::Memory };
    let first = store.lease().await;
    let made = rows.create("taps", &ModelId::new("taps", 2), TABLES).await.unwrap();
    let second = rows.acquire(&made.id, "a", TTL).await.unwrap();
    for (lease, taps) in [(&first, 1), (&second, 2)] {
        let doc = format!("{{\"taps\":{taps}}}");
        rows.commit(commit(lease, 0, 1, vec![puts("bands", vec![put("s/b", None, &doc)])])).await.unwrap();
    }
    rows.finish(&second).await.unwrap();
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let setup = "GRANT SELECT ON daybook_taps_bands TO PUBLIC;
                 CREATE VIEW mine AS SELECT sum(taps)::bigint AS taps FROM daybook_taps_bands";
    sqlx::raw_sql(setup).execute(&pool).await.unwrap();
    assert!(rows.promote(&made.id, 1, 1).await.unwrap());
    let found: (i64, bool) = sqlx::query_as(
        "SELECT taps, has_table_privilege('pg_monitor', 'daybook_taps_bands', 'SELECT') FROM mine",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(found, (2, true));
}
