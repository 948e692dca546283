//! Each way to change history behind the log's back, and what notices it.

use daybook_tests::postgres::Database;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::bed::Bed;

async fn sql(database: &Database, statements: &str) {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let all = format!("SET session_replication_role = replica; {statements}");
    sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut connection).await.unwrap();
}

/// The log's own tables, put aside.
const KEEP: &str = "CREATE TABLE kept AS TABLE events;
    CREATE TABLE kept_tree AS TABLE log_tree; CREATE TABLE kept_nodes AS TABLE log_tree_nodes;
    CREATE TABLE kept_signed AS TABLE log_checkpoints";
const PUT_BACK: &str = "DELETE FROM events; INSERT INTO events SELECT * FROM kept;
    DELETE FROM log_tree; INSERT INTO log_tree SELECT * FROM kept_tree;
    DELETE FROM log_tree_nodes; INSERT INTO log_tree_nodes SELECT * FROM kept_nodes;
    DELETE FROM log_checkpoints; INSERT INTO log_checkpoints SELECT * FROM kept_signed";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_in_the_database_is_found_where_it_is() {
    let Some(bed) = Bed::postgres().await else { return };
    let database = bed.database.as_ref().unwrap();
    let size = bed.sign("checkpoint")["size"].as_u64().unwrap();
    sql(database, KEEP).await;
    let event = |position: u64| json!({"kind": "event", "position": position});
    let missing = |position: u64| json!({"kind": "missing", "position": position});
    let swap = "UPDATE events a SET event_id = b.event_id, payload = b.payload, leaf = b.leaf FROM kept b
        WHERE (a.position, b.position) IN ((300, 301), (301, 300))";
    let insert = format!(
        "INSERT INTO events SELECT {} AS position, tenant, kind, stream, version + 1, gen_random_uuid(), type,
         schema, occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, payload, leaf
         FROM kept WHERE position = 300",
        size + 1
    );
    let rows: &[(&str, &str, Value)] = &[
        (
            "a byte of a payload",
            "UPDATE events SET payload = regexp_replace(payload, '[a-z]', 'X') WHERE position = 300",
            event(300),
        ),
        ("an actor", "UPDATE events SET actor = 'cli:mallory' WHERE position = 300", event(300)),
        ("a time", "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 300", event(300)),
        ("a leaf", "UPDATE events SET leaf = sha256('x') WHERE position = 300", event(300)),
        ("a row deleted", "DELETE FROM events WHERE position = 300", missing(300)),
        ("two rows swapped", swap, event(300)),
        (
            "the tree's nodes",
            "UPDATE log_tree_nodes SET hash = sha256('x') WHERE level = 1 AND number = 1",
            json!({"kind": "tree", "first": 257, "last": 512}),
        ),
        (
            "the tree's edge",
            "UPDATE log_tree SET frontier = sha256('x') || substr(frontier, 33)",
            json!({"kind": "tree", "first": size - size % 256 + 1, "last": size}),
        ),
        (
            "an older note under the newest size",
            "INSERT INTO log_checkpoints SELECT origin, 100000, root, note, 0 FROM kept_signed",
            Value::Null,
        ),
    ];
    for (what, statement, found) in rows {
        sql(database, statement).await;
        let verdict = bed.verify(&[], if found.is_null() { 0 } else { 4 });
        assert_eq!(verdict["finding"], *found, "{what}: {verdict}");
        let compared = verdict["checkpoints"] == json!(1);
        assert_eq!(compared, found.is_null() || found["kind"] == "tree", "{what}: {verdict}");
        sql(database, PUT_BACK).await;
    }
    // Whoever opens a log whose end and tree disagree is told so.
    for (what, statement) in
        [("a row appended", insert.as_str()), ("the end cut", "DELETE FROM events WHERE position > 400")]
    {
        sql(database, statement).await;
        let verdict = bed.verify(&[], 4);
        assert_eq!(verdict["finding"]["kind"], "damaged", "{what}: {verdict}");
        assert!(verdict["finding"]["reason"].as_str().unwrap().contains("its tree at"), "{what}: {verdict}");
        sql(database, PUT_BACK).await;
    }
    bed.verify(&[], 0);
}

/// Whoever may write to the database may also make leaf and tree fit.
#[tokio::test(flavor = "multi_thread")]
async fn history_rewritten_with_its_tree_is_not_what_was_signed() {
    let (Some(bed), Some(other)) = (Bed::postgres().await, Bed::postgres().await) else { return };
    let database = bed.database.as_ref().unwrap();
    bed.sign("checkpoint");
    // Another log of the same length with a tree of its own, under our name.
    copy(other.database.as_ref().unwrap(), database).await;
    let verdict = bed.verify(&[], 4);
    assert_eq!(verdict["finding"]["kind"], "signed", "{verdict}");
    let said = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(said.contains("is not what was signed"), "{said}");
    bed.import("more", 10);
    let said = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(said.contains("is not what was signed"), "{said}");
    // Without the checkpoints that the database kept.
    sql(database, "DELETE FROM log_checkpoints").await;
    assert_eq!(bed.verify(&[], 4)["finding"]["kind"], "unsigned");
    let verdict = bed.verify(&["--checkpoint", &bed.file("checkpoint")], 4);
    assert_eq!(verdict["finding"]["kind"], "signed", "{verdict}");
    let said = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(said.contains("the signer's file"), "{said}");
}

async fn copy(from: &Database, to: &Database) {
    let mut source = PgConnection::connect(&from.url).await.unwrap();
    let mut target = PgConnection::connect(&to.url).await.unwrap();
    let empty = "SET session_replication_role = replica;
        DELETE FROM events; DELETE FROM log_tree; DELETE FROM log_tree_nodes";
    sqlx::raw_sql(empty).execute(&mut target).await.unwrap();
    for table in ["events", "log_tree", "log_tree_nodes"] {
        let out = format!("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)");
        let chunks = source.copy_out_raw(&out).await.unwrap();
        let chunks: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(chunks).await.unwrap();
        let into = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let mut copy = target.copy_in_raw(&into).await.unwrap();
        for chunk in chunks {
            copy.send(chunk).await.unwrap();
        }
        copy.finish().await.unwrap();
    }
}

/// On SQLite, where yesterday's copy is a copy of the file.
#[test]
fn a_database_that_was_set_back_is_not_signed_and_is_noticed() {
    let Some(bed) = Bed::sqlite() else { return };
    let yesterday = bed.sign("yesterday")["size"].as_u64().unwrap();
    let from = ["--checkpoint", &bed.file("yesterday"), "--from", &yesterday.to_string()];
    assert_eq!(bed.verify(&from, 0)["checkpoints"], json!(1));
    let file = bed.cli.data.join("daybook.db");
    std::fs::copy(&file, bed.own.join("copy.db")).unwrap();
    bed.import("today", 20);
    let signed = bed.sign("today")["size"].as_u64().unwrap();
    bed.verify(&["--checkpoint", &bed.file("yesterday")], 0);
    let short = bed.verify(&["--checkpoint", &bed.file("yesterday"), "--from", &yesterday.to_string()], 0);
    assert_eq!(short["first"], json!(yesterday + 1));
    for side in ["daybook.db-wal", "daybook.db-shm"] {
        let _ = std::fs::remove_file(bed.cli.data.join(side));
    }
    std::fs::copy(bed.own.join("copy.db"), &file).unwrap();

    // It holds together, up to what was signed later.
    bed.verify(&[], 0);
    let verdict = bed.verify(&["--checkpoint", &bed.file("today")], 4);
    let cut = json!({"kind": "cut", "signed": signed, "by": "the checkpoint", "size": yesterday});
    assert_eq!(verdict["finding"], cut);
    let said = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(said.contains(&format!("remembers a checkpoint of size {signed}")), "{said}");
    // Nor once it has grown past it in another way.
    bed.import("another day", 40);
    let said = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(said.contains("is not what was signed"), "{said}");
    let verdict = bed.verify(&["--checkpoint", &bed.file("today")], 4);
    assert_eq!(verdict["finding"]["kind"], "signed", "{verdict}");
}

#[test]
fn what_is_changed_in_the_archive_is_found_without_the_log() {
    let Some(bed) = Bed::sqlite() else { return };
    let size = bed.sign("checkpoint")["size"].as_u64().unwrap();
    bed.cli.json(&["archive", "run"], 0);
    let archive = bed.cli.data.join("archive");
    let url = archive.to_str().unwrap().to_owned();
    let checkpoint = bed.file("checkpoint");
    let alone = ["--archive", &url];
    let verdict = bed.verify(&alone, 0);
    assert_eq!((&verdict["last"], &verdict["signed"]), (&json!(size), &json!(size)));

    let segments = daybook_tests::files(&archive.join("log"));
    let largest = segments.iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let whole = std::fs::read(largest).unwrap();
    let changed = super::bed::flip(largest, whole.len() / 2);
    for bytes in [&changed[..], &whole[..whole.len() - 1], &[]] {
        std::fs::write(largest, bytes).unwrap();
        let verdict = bed.verify(&alone, 4);
        assert_eq!(verdict["finding"]["kind"], "damaged", "{verdict}");
    }
    std::fs::remove_file(largest).unwrap();
    assert_eq!(bed.verify(&alone, 4)["finding"]["kind"], "damaged");
    std::fs::write(largest, &whole).unwrap();
    bed.verify(&alone, 0);

    // The archive of another log, whole in itself.
    let Some(other) = Bed::sqlite() else { return };
    other.cli.json(&["archive", "run"], 0);
    let foreign = other.cli.data.join("archive");
    let foreign = ["--archive", foreign.to_str().unwrap(), "--checkpoint", &checkpoint];
    assert_eq!(bed.verify(&foreign, 4)["finding"]["kind"], "signed");
}

/// Nothing that is true rests on them, but other programs go by them.
#[test]
fn tiles_beside_the_archive_are_those_of_its_events() {
    let Some(bed) = Bed::sqlite() else { return };
    let size = bed.sign("checkpoint")["size"].as_u64().unwrap();
    bed.cli.json(&["archive", "run"], 0);
    let archive = bed.cli.data.join("archive");
    let alone = ["--archive", archive.to_str().unwrap()];
    bed.verify(&alone, 0);
    let (full, rest) = (size / 256, size % 256);
    let edge = (full * 256 + 1, size);
    let tiles = [
        ("0/001".to_owned(), (257, 512)),
        ("entries/000".to_owned(), (1, 256)),
        (format!("0/{full:03}.p/{rest}"), edge),
        (format!("entries/{full:03}.p/{rest}"), edge),
        (format!("1/000.p/{full}"), (1, full * 256)),
    ];
    for (tile, (first, last)) in tiles {
        let file = archive.join("tlog/tile").join(&tile);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, super::bed::flip(&file, whole.len() - 1)).unwrap();
        let tree = json!({"kind": "tree", "first": first, "last": last});
        assert_eq!(bed.verify(&alone, 4)["finding"], tree, "{tile}");
        std::fs::remove_file(&file).unwrap();
        let missing = bed.verify(&alone, 4);
        assert!(missing["finding"]["reason"].as_str().unwrap().contains(&tile), "{missing}");
        std::fs::write(&file, whole).unwrap();
    }
    // The note that other programs read, and an auditor keeps for next time.
    let shown = archive.join("tlog/checkpoint");
    let note = std::fs::read_to_string(&shown).unwrap();
    std::fs::write(&shown, note.replacen(&size.to_string(), "5", 1)).unwrap();
    assert_eq!(bed.verify(&alone, 4)["finding"]["kind"], "damaged");
    std::fs::write(&shown, note).unwrap();
    bed.verify(&alone, 0);
}
