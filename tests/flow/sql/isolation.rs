//! A tenant's auditor sees that tenant.

use domain::ports::sql::SqlError;
use serde_json::json;

use super::bed::{Bed, TENANTS, ask, engine, of, rows};

/// Over the log, over the archive, over both.
async fn everywhere() -> (Bed, Vec<infra_sql::SqlEngine>) {
    let bed = Bed::memory();
    bed.grow(150).await;
    let half = bed.sealed().await;
    bed.grow(150).await;
    let full = bed.sealed().await;
    let engines =
        [bed.sources(None), bed.sources(Some(&half)), bed.sources(Some(&full))].map(engine).into_iter();
    (bed, engines.collect())
}

#[tokio::test]
async fn only_ones_own_events_are_there() {
    let (bed, engines) = everywhere().await;
    let events = bed.events().await;
    for engine in &engines {
        for tenant in TENANTS {
            let own = events.iter().filter(|e| e.stream.tenant.as_str() == tenant).count();
            assert_eq!(rows(engine, of(tenant, "select count(*) from events")).await, json!([[own]]));
            let text = "select distinct tenant from events union select distinct tenant from band_tapped";
            assert_eq!(rows(engine, of(tenant, text)).await, json!([[tenant]]));
            for text in [
                "select count(*) from events where tenant <> 'X'",
                "select count(*) from events where tenant = 'acme' or tenant = 'other' or 1 = 1",
                "select count(*) from daybook.public.events a right join events b on a.position = b.position",
            ] {
                assert_eq!(rows(engine, of(tenant, text)).await, json!([[own]]), "{text}");
            }
        }
        assert_eq!(rows(engine, of("nobody", "select count(*) from events")).await, json!([[0]]));
        let text = "select min(position), max(version), sum(length(payload)) from events";
        assert_eq!(rows(engine, of("nobody", text)).await, json!([[null, null, null]]));
    }
}

/// An expression that fails on a row tells that there is such a row, and often
/// quotes it.
#[tokio::test]
async fn no_expression_is_tried_on_others_events() {
    let (_, engines) = everywhere().await;
    for engine in &engines {
        for text in [
            "select count(*) from events where cast(payload as bigint) > 0",
            "select position from events where 1 / (position - position) > 0",
            "select count(*) from band_tapped where cast(p_band_id as bigint) > 0 and position > 0",
        ] {
            assert!(ask(engine, of("nobody", text)).await.is_ok(), "{text}");
            let own = ask(engine, of("acme", text)).await;
            assert!(matches!(&own, Err(SqlError::Invalid(_))), "{text}: {own:?}");
        }
    }
}

#[tokio::test]
async fn plans_and_lists_tell_nothing_of_others() {
    let (_, engines) = everywhere().await;
    for engine in &engines {
        for text in [
            "explain select * from events",
            "explain analyze select * from events",
            "explain verbose select * from events where position > 3",
            "describe events",
            "show tables",
        ] {
            let answer = ask(engine, of("nobody", text)).await.unwrap().to_string();
            for secret in ["acme", "other", "parquet", "log/", "b1", "s1"] {
                assert!(!answer.contains(secret), "{text}: {secret} in {answer}");
            }
        }
        for text in
            ["select * from information_schema.tables", "select * from information_schema.df_settings"]
        {
            assert!(matches!(ask(engine, of("acme", text)).await, Err(SqlError::Invalid(_))), "{text}");
        }
    }
}
