//! The same answers wherever the events are.

use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use daybook_tests::postgres;
use domain::ports::sql::{Sql, SqlError, SqlFormat, SqlQuery};
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_sql::Sources;
use serde_json::{Value, json};

use super::bed::{Bed, ask, engine, query, rows};

const QUERIES: &[&str] = &[
    "select count(*), min(position), max(position), count(distinct event_id) from events",
    "select type, tenant, count(*), sum(version) from events group by type, tenant order by type, tenant",
    "select * from events order by position",
    "select * from band_tapped order by position",
    "select p_band_id, count(*) n, min(recorded_at) from band_tapped group by 1 order by n desc, 1",
    "select position from events where type in ('band.registered', 'not.known') and position > 150 order by 1",
    "select count(*) from events where recorded_at >= '2026-07-01T12:00:20Z' and recorded_at < '2026-07-01T12:00:40Z'",
    "select date_trunc('minute', recorded_at) m, count(*) from events group by m order by m",
    "select json_text(payload, '$.tags[1]') tag, count(*) from events group by tag order by tag",
    "select count(*) from band_registered r join band_tapped t on r.stream = t.stream and r.tenant = t.tenant",
    "select stream, version, lag(position) over (partition by tenant, kind, stream order by version) from events order by position",
    "select encode(leaf, 'hex') from events where position = 5",
    "select count(*) from api_key_issued",
    "with t as (select stream, count(*) n from events group by stream) select max(n), avg(n) from t",
];

async fn all(sources: Sources) -> Vec<Value> {
    let engine = engine(sources);
    let mut answers = Vec::new();
    for text in QUERIES {
        answers.push(rows(&engine, SqlQuery { limit: Some(100_000), ..query(text) }).await);
    }
    answers
}

/// Counted by hand and by SQL, from the log alone, from archive and log, from
/// the archive with the log, and from the archive alone.
async fn agrees(bed: Bed) {
    bed.grow(300).await;
    let half = bed.sealed().await;
    bed.grow(300).await;
    let full = bed.sealed().await;
    let events = bed.events().await;
    assert_eq!(events.len(), 600);

    let from_log = all(bed.sources(None)).await;
    assert_eq!(from_log[0], json!([[600, 1, 600, 600]]));
    let count = |name: &str| events.iter().filter(|e| *e.event_type == *name).count();
    assert_eq!(from_log[3].as_array().unwrap().len(), count("band.tapped"));
    let leaf = hex::encode(events[4].leaf);
    assert_eq!(from_log[11], json!([[leaf]]));
    let recorded = |e: &&domain::RecordedEvent| {
        let at = e.recorded_at.to_string();
        ("2026-07-01T12:00:20".."2026-07-01T12:00:40").contains(&at.trim_end_matches('Z'))
    };
    assert_eq!(from_log[6], json!([[events.iter().filter(recorded).count()]]));
    for (name, sources) in [
        ("half", bed.sources(Some(&half))),
        ("full", bed.sources(Some(&full))),
        ("alone", Sources { log: None, archive: Some(full.clone()) }),
    ] {
        for (i, answer) in all(sources).await.iter().enumerate() {
            assert_eq!(*answer, from_log[i], "{name}: {}", QUERIES[i]);
        }
    }
}

#[tokio::test]
async fn in_memory() {
    agrees(Bed::memory()).await;
}

#[tokio::test]
async fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at("2026-07-01T12:00:00Z"));
    let log = SqliteLog::open(&folder.path().join("log.db"), LogOptions::new(clock.clone())).await.unwrap();
    let log = Arc::new(log);
    agrees(Bed::on(log.clone(), clock)).await;
    log.close().await;
}

#[tokio::test]
async fn on_postgres() {
    let Some(database) = postgres::database().await else { return };
    let clock = Arc::new(FixedClock::at("2026-07-01T12:00:00Z"));
    let log = PostgresLog::connect(&database.url, LogOptions::new(clock.clone())).await.unwrap();
    let log = Arc::new(log);
    agrees(Bed::on(log.clone(), clock)).await;
    log.close().await;
}

/// Any past position, before, in and after what is sealed.
#[tokio::test]
async fn a_query_sees_the_log_as_of_its_position() {
    let bed = Bed::memory();
    bed.grow(100).await;
    let store = bed.sealed().await;
    bed.grow(100).await;
    for sources in [bed.sources(None), bed.sources(Some(&store))] {
        let engine = engine(sources);
        for at in [0, 1, 50, 100, 101, 150, 200] {
            let text = "select count(*), coalesce(max(position), 0) from events";
            let answer = ask(&engine, SqlQuery { at: Some(at), ..query(text) }).await.unwrap();
            assert_eq!((&answer["rows"], &answer["position"]), (&json!([[at, at]]), &json!(at)));
        }
        let beyond = ask(&engine, SqlQuery { at: Some(201), ..query("select 1") }).await;
        assert_eq!(beyond, Err(SqlError::NotThere { head: 200 }));
    }
}

/// Two scans of a query see the same, though events are appended all the while.
#[tokio::test]
async fn appends_during_a_query_are_not_seen() {
    let bed = Arc::new(Bed::memory());
    bed.grow(500).await;
    let store = bed.sealed().await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::spawn({
        let (bed, stop) = (bed.clone(), stop.clone());
        async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                bed.grow(10).await;
                tokio::task::yield_now().await;
            }
        }
    });
    let engine = engine(bed.sources(Some(&store)));
    let mut seen = Vec::new();
    for _ in 0..10 {
        let text = "select a.n, b.n, a.last, b.first from (select count(*) n, max(position) last from events) a, (select count(*) n, min(position) first from events) b";
        let answer = ask(&engine, query(text)).await.unwrap();
        let at = answer["position"].as_u64().unwrap();
        assert_eq!(answer["rows"], json!([[at, at, at, 1]]));
        seen.push(at);
        // Others go on while this query does, and it must not matter.
        bed.log.changed(at).await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.await.unwrap();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
}

#[tokio::test]
async fn every_format_has_the_same_rows() {
    let bed = Bed::memory();
    bed.grow(20).await;
    let engine = engine(bed.sources(None));
    let text = "select position, stream, recorded_at, position > 3 late, '=1+1' formula, null nothing, 0.5 half from events order by 1";
    let answer = |format| engine.run(SqlQuery { format, limit: Some(2), ..query(text) });
    let json = answer(SqlFormat::Json).await.unwrap();
    assert_eq!((json.rows, json.truncated, json.at), (2, true, 20));
    let value: Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(value["rows"][1], json!([2, "s2", "2026-07-01T12:00:01Z", false, "=1+1", null, 0.5]));
    let kinds: Vec<&str> =
        value["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["integer", "text", "timestamp", "boolean", "text", "Null", "number"]);
    let csv = String::from_utf8(answer(SqlFormat::Csv).await.unwrap().body).unwrap();
    assert_eq!(
        csv,
        "position,stream,recorded_at,late,formula,nothing,half\r\n\
         1,s1,2026-07-01T12:00:01Z,false,'=1+1,,0.5\r\n2,s2,2026-07-01T12:00:01Z,false,'=1+1,,0.5\r\n"
    );
    let arrow = answer(SqlFormat::Arrow).await.unwrap().body;
    let batches = infra_sql::arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).unwrap();
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    let table = String::from_utf8(answer(SqlFormat::Text).await.unwrap().body).unwrap();
    assert!(table.contains("| 2        | s2     | 2026-07-01T12:00:01Z |"), "{table}");
}
