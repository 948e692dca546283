//! The tree over HTTP: for everybody, and for auditors.

use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::server::KEY;
use serde_json::Value;

use super::bed::{Bed, ELSEWHERE};

/// For a checkpoint that is signed within a second.
const PATIENCE: Duration = Duration::from_secs(60);

async fn get(url: &str) -> reqwest::Response {
    reqwest::Client::new().get(url).header("X-API-Key", KEY).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_is_served_and_watched() {
    let Some(bed) = Bed::sqlite() else { return };
    let server = bed.cli.serve();
    let signed = reqwest::Client::new().post(format!("{}/v1/audit/checkpoints", server.url));
    let signed: Value = signed.header("X-API-Key", KEY).send().await.unwrap().json().await.unwrap();
    let size = signed["size"].as_u64().unwrap();

    let public = reqwest::get(format!("{}/log/checkpoint", server.url)).await.unwrap();
    assert_eq!(public.headers()["cache-control"], "public, no-cache");
    assert!(public.text().await.unwrap().starts_with(super::bed::ORIGIN));
    let tile = reqwest::get(format!("{}/log/tile/0/001", server.url)).await.unwrap();
    assert_eq!(tile.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(tile.bytes().await.unwrap().len(), 8192);
    let partial = format!("{}/log/tile/entries/{:03}.p/{}", server.url, size / 256, size % 256);
    assert_eq!(reqwest::get(partial).await.unwrap().bytes().await.unwrap().len() as u64, size % 256 * 34);
    for (bad, status) in [
        ("0/009", 404),
        ("0/-01", 404),
        ("0/001.p/256", 404),
        ("64/000", 404),
        ("0/..%2f..%2fcheckpoint", 404),
        ("0/x001", 404),
        ("entries/999", 404),
        ("0/x999/x999/x999/x999/x999/999", 404),
        ("%00", 404),
    ] {
        let answer = reqwest::get(format!("{}/log/tile/{bad}", server.url)).await.unwrap();
        assert_eq!(answer.status(), status, "{bad}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{bad}");
    }

    let proof = get(&format!("{}/v1/audit/proofs/300", server.url)).await;
    assert_eq!(proof.status(), 200);
    std::fs::write(bed.file("proof"), proof.text().await.unwrap()).unwrap();
    bed.cli.json(&["audit", "check", &bed.file("proof"), "--key", &bed.file("key")], 0);
    for (position, status) in [("0", 404), ("99999999", 404), ("-1", 400), ("x", 400)] {
        let answer = get(&format!("{}/v1/audit/proofs/{position}", server.url)).await;
        assert_eq!(answer.status(), status, "{position}");
    }
    let keyless = reqwest::get(format!("{}/v1/audit/proofs/300", server.url)).await.unwrap();
    assert_eq!(keyless.status(), 401);

    let (key, state) = (bed.file("key"), bed.file("state"));
    let url = format!("{}/log", server.url);
    let watch = ["audit", "watch", &url, "--key", &key, "--state", &state, "--once"];
    assert_eq!(bed.cli.json(&watch, 0)["size"].as_u64(), Some(size));
    server.stop().unwrap();
    let before = std::fs::read_to_string(&state).unwrap();
    bed.import("more", 300);
    let server = bed.cli.serve();
    let url = format!("{}/log", server.url);
    let watch = ["audit", "watch", &url, "--key", &key, "--state", &state, "--once"];
    // Signed within a second of the start; the watcher sees it continue.
    let started = Instant::now();
    let grown = loop {
        let seen = bed.cli.json(&watch, 0);
        if seen["size"].as_u64() > Some(size) {
            break seen;
        }
        assert!(started.elapsed() < PATIENCE, "no checkpoint past {size} was signed: {seen}");
    };
    assert!(grown["size"].as_u64() > Some(size + 299));
    // Somebody was shown another history of that size.
    let lines: Vec<&str> = before.lines().collect();
    let foreign = before.replacen(lines[2], &format!("{}=", "A".repeat(43)), 1);
    std::fs::write(&state, foreign).unwrap();
    bed.cli.json(&watch, 4);
    let ahead = before.replacen(lines[1], "1000000", 1);
    std::fs::write(&state, ahead).unwrap();
    assert!(bed.cli.json(&watch, 4)["reason"].as_str().unwrap().contains("set back"));
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_proved_to_auditors_of_its_tenant() {
    let Some(bed) = Bed::sqlite() else { return };
    let server = bed.cli.serve();
    let proof = async |key: &str| {
        let request = reqwest::Client::new().get(format!("{}/v1/audit/proofs/300", server.url));
        request.header("X-API-Key", key).send().await.unwrap()
    };
    let foreign = proof(ELSEWHERE).await;
    assert_eq!(foreign.status(), 404);
    assert!(!foreign.text().await.unwrap().contains("daybook-event"));
    assert_eq!(proof(KEY).await.status(), 200);
    server.stop().unwrap();
}

/// From its first start, when it makes a key of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_archives_its_tree() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[("ARCHIVE_SEAL_SECONDS", "1")]) else { return };
    let server = cli.serve();
    let (checkpoint, started) = (data.path().join("archive/tlog/checkpoint"), Instant::now());
    let mut band = 0;
    while !checkpoint.exists() {
        assert!(started.elapsed() < PATIENCE, "{} was not archived", checkpoint.display());
        band += 1;
        server.post(&format!("/v1/bands/b{band}/register"), &serde_json::json!({})).await.unwrap();
    }
    server.stop().unwrap();
}
