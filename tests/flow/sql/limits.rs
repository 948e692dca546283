//! What a query may not take, and that the next one is answered all the same.

use std::time::{Duration, Instant};

use domain::ports::sql::{SqlError, SqlFormat, SqlQuery};
use infra_sql::{Limits, SqlEngine};
use serde_json::json;

use super::bed::{Bed, ask, engine, query, rows};

/// Would run for hours.
const ENDLESS: &str = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a.value + b.value = 7";

fn limited(bed: &Bed, limits: Limits) -> SqlEngine {
    SqlEngine::new(bed.sources(None), limits).unwrap()
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_stopped() {
    let time = Duration::from_millis(300);
    let bed = Bed::memory();
    bed.grow(10).await;
    let engine = limited(&bed, Limits { time, queries: 1, ..Limits::default() });
    for text in [
        ENDLESS,
        "select sum(a.value * b.value) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b",
    ] {
        let begun = Instant::now();
        assert_eq!(ask(&engine, query(text)).await, Err(SqlError::Time(time)));
        assert!(begun.elapsed() < Duration::from_secs(5));
        // Its one slot comes back only when it has really ended.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match ask(&engine, query("select 1")).await {
                Err(SqlError::Busy { limit: 1 }) if Instant::now() < deadline => {
                    tokio::task::yield_now().await
                }
                answer => break assert!(answer.is_ok(), "{answer:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_query() {
    let bed = Bed::memory();
    let engine = limited(&bed, Limits { queries: 1, ..Limits::default() });
    let gone = tokio::time::timeout(Duration::from_millis(100), ask(&engine, query(ENDLESS))).await;
    assert!(gone.is_err());
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = ask(&engine, query("select 1")).await {
        assert!(error == SqlError::Busy { limit: 1 } && Instant::now() < deadline, "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_so_many_run_at_once() {
    let bed = Bed::memory();
    let engine = std::sync::Arc::new(limited(&bed, Limits::default()));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                // The others may have both slots for a moment.
                while ask(&engine, query(ENDLESS)).await == Err(SqlError::Busy { limit: 2 }) {
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ask(&engine, query("select 1")).await {
            Err(error) => break assert_eq!(error, SqlError::Busy { limit: 2 }),
            Ok(_) => assert!(Instant::now() < deadline),
        }
        tokio::task::yield_now().await;
    }
    busy.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_stopped() {
    let bed = Bed::memory();
    bed.grow(2_000).await;
    let limit = 200 << 10;
    let engine = limited(&bed, Limits { memory_bytes: limit, ..Limits::default() });
    for text in [
        "select * from events order by payload, event_id",
        "select event_id, max(payload), array_agg(payload) from events group by event_id",
        "select a.position from events a join events b on a.payload = b.payload and a.event_id < b.event_id order by 1 desc, a.event_id",
        "select count(distinct value) from generate_series(1, 3000000)",
    ] {
        let answer = ask(&engine, SqlQuery { limit: Some(100_000), ..query(text) }).await;
        assert_eq!(answer.map(|_| ()), Err(SqlError::Memory { limit }), "{text}");
    }
    assert_eq!(rows(&engine, query("select count(*) from events")).await, json!([[2_000]]));
}

/// No function makes much out of little, which no pool would notice.
#[tokio::test]
async fn texts_do_not_grow_without_bound() {
    let bed = Bed::memory();
    bed.grow(10).await;
    let engine = limited(&bed, Limits { memory_bytes: 64 << 20, ..Limits::default() });
    let mut doubled = "with t0 as (select stream v from events)".to_owned();
    for i in 1..=40 {
        doubled += &format!(", t{i} as (select v || v v from t{} offset 1)", i - 1);
    }
    doubled += " select length(v) from t40";
    for text in [
        "select length(repeat('x', 2000000000))",
        "select length(lpad('x', 2000000000))",
        "select sum(length(rpad(stream, 1000000000, 'y'))) from events",
        "select length(replace(rpad('', 100000, 'x'), 'x', rpad('', 100000, 'y')))",
        "select length(regexp_replace(rpad('', 100000, 'x'), 'x', rpad('', 100000, 'y'), 'g'))",
        &doubled.replace(" offset 1", ""),
    ] {
        let answer = ask(&engine, query(text)).await;
        assert!(matches!(answer, Err(SqlError::Invalid(_) | SqlError::Memory { .. })), "{text}: {answer:?}");
    }
    assert_eq!(
        rows(&engine, query("select repeat('ab', 2), lpad('x', 3, '-'), 'a' || 1")).await,
        json!([["abab", "--x", "a1"]])
    );
}

#[tokio::test]
async fn an_answer_has_only_so_many_rows_and_bytes() {
    let bed = Bed::memory();
    let engine =
        limited(&bed, Limits { answer_bytes: 10_000, rows: 100, max_rows: 5_000, ..Limits::default() });
    let series = "select value from generate_series(1, 100000000)";
    let answer = ask(&engine, query(series)).await.unwrap();
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(100), &json!(true)));
    for format in [SqlFormat::Json, SqlFormat::Csv, SqlFormat::Arrow] {
        use domain::ports::sql::Sql;
        let answer = engine.run(SqlQuery { limit: Some(5_000), format, ..query(series) }).await.unwrap();
        assert!(
            answer.truncated && answer.rows < 5_000 && answer.body.len() < 20_000,
            "{format:?} {}",
            answer.rows
        );
    }
    let exact = ask(&engine, query("select value from generate_series(1, 100)")).await.unwrap();
    assert_eq!((&exact["row_count"], &exact["truncated"]), (&json!(100), &json!(false)));
    for limit in [0, 5_001] {
        let answer = ask(&engine, SqlQuery { limit: Some(limit), ..query(series) }).await;
        assert_eq!(answer, Err(SqlError::TooManyRows { limit: 5_000 }));
    }
}

/// Whatever the text, there is an answer or a reason, and the process lives.
#[tokio::test]
async fn a_text_that_nests_deeply_is_answered_or_refused() {
    let bed = Bed::memory();
    bed.grow(10).await;
    let engine = engine(bed.sources(None));
    let most = Limits::default().text_bytes;
    let fill = |begin: &str, part: &str, end: &str| {
        let room = most - begin.len() - end.len();
        format!("{begin}{}{end}", part.repeat(room / part.len()))
    };
    for text in [
        fill("select 1", "+1", ""),
        fill("select position", "+1", " from events"),
        fill("select ", "not ", "true"),
        fill("select ", "- ", "1"),
        fill("select ", "(", "1"),
        fill("select count(*) from events where position=1", " or 1=position", ""),
        fill("select count(*) from events where position=1", " and position>0", ""),
        fill("select 1", " union all select 1", ""),
        fill("select 'a'", "||'a'", ""),
        fill("select * from events", ",events", ""),
        fill("select ", "abs(", "1"),
        fill("select ", "case when true then ", "1"),
        fill("", "select * from (", "select 1"),
        fill("select * from events where position in (1", ",2", ")"),
        fill("select [", "[", ""),
        fill("select 1", "::int", ""),
        fill("select json_text(payload, '$", ".a", "') from events"),
    ] {
        match ask(&engine, query(&text)).await {
            Ok(_) | Err(SqlError::Invalid(_) | SqlError::Memory { .. } | SqlError::Time(_)) => {}
            other => panic!("{}…: {other:?}", &text[..40]),
        }
    }
    let long = ask(&engine, query(&" ".repeat(most + 1))).await;
    assert_eq!(long, Err(SqlError::TooLong { limit: most }));
    assert_eq!(rows(&engine, query("select count(*) from events")).await, json!([[10]]));
}
