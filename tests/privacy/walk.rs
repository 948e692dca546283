//! Held, exported, erased; then looked for everywhere.

use std::time::Duration;

use daybook_tests::cli::Cli;
use daybook_tests::holding;
use daybook_tests::nats::Nats;
use daybook_tests::postgres;
use serde_json::{Value, json};

use super::bed::{MARKS, TAPS, all_holds, exported, get, post, prepared, tap, tap_by_journal, taps};

const ERASE: [&str; 5] = ["privacy", "erase", "band:b1", "--reason", "asked for on paper"];

#[tokio::test]
async fn what_was_erased_is_nowhere_and_everything_still_verifies() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let server = cli.serve();
    prepared(&server).await;
    tap_by_journal(&server, "b1", 2 * TAPS + 1).await;
    server.stop().unwrap();
    cli.json(&["archive", "run"], 0);
    let before = exported(&cli, "b1");
    let visitor = taps(&before)[0]["visitor"].as_str().unwrap().to_owned();
    assert_eq!(taps(&before).len() as u64, TAPS + 1);
    assert!(taps(&before).iter().all(|t| t["user_agent"].as_str().unwrap().contains(MARKS[0].1)));
    assert!(!holding(data.path(), &visitor).is_empty(), "the search finds it");
    assert!(!holding(data.path(), MARKS[0].1).is_empty(), "the search finds it");

    cli.json(&["privacy", "hold", "band:b1", "--reason", "case 7"], 0);
    assert!(cli.refused(&ERASE, 1).contains("case 7"));
    cli.refused(&["privacy", "erase", "band:b1", "--reason", " "], 2);
    cli.refused(&["privacy", "erase", "nobody", "--reason", "x"], 2);
    assert_eq!(taps(&exported(&cli, "b1")), taps(&before), "what is held is there");
    cli.json(&["privacy", "release", "band:b1", "--reason", "closed"], 0);

    let certificate = cli.json(&ERASE, 0);
    assert_eq!(
        (&certificate["facts"], &certificate["clear"]),
        (&json!(TAPS + 1), &json!(0)),
        "{certificate}"
    );
    assert_eq!(certificate["reason"], "asked for on paper");
    assert_eq!(certificate["keys"].as_array().unwrap().len(), 1);
    assert_eq!(certificate["rebuilt"][0]["projection"], "tap_analytics", "{certificate}");
    is_proven(&cli, &certificate);

    let after = exported(&cli, "b1");
    assert_eq!(taps(&after).len() as u64, TAPS + 1, "the facts are there");
    let erased = json!({"erased": true});
    assert!(taps(&after).iter().all(|t| t["user_agent"] == erased && t["visitor"] == erased), "{after:?}");
    let other = exported(&cli, "b2");
    assert!(taps(&other).iter().all(|t| t["user_agent"].as_str().unwrap().contains(MARKS[1].1)));
    for gone in [MARKS[0].1, &visitor] {
        assert_eq!(holding(data.path(), gone), Vec::<String>::new(), "{gone}");
    }
    let sizes = cli.json(&["replay", "status", "tap_analytics"], 0);
    assert_eq!(sizes["generations"].as_array().unwrap().len(), 1, "older rows are gone: {sizes}");
    all_holds(&cli);
    let again = cli.json(&ERASE, 0);
    assert_eq!(again["erased"], certificate["erased"], "once is enough");
    assert!(cli.refused(&["privacy", "erase", "band:b9", "--reason", "x"], 3).contains("nothing sealed"));
}

/// Offline, with nothing but the public key.
fn is_proven(cli: &Cli, certificate: &Value) {
    let proof = cli.data.join("certificate.tlog-proof");
    std::fs::write(&proof, certificate["proof"].as_str().unwrap()).unwrap();
    let key = cli.json(&["audit", "keys", "show", cli.data.join("audit.key").to_str().unwrap()], 0);
    let public = cli.data.join("public");
    std::fs::write(&public, key["key"].as_str().unwrap()).unwrap();
    let checked =
        cli.json(&["audit", "check", proof.to_str().unwrap(), "--key", public.to_str().unwrap()], 0);
    assert_eq!(checked["position"], certificate["erased"]["position"], "{checked}");
    assert!(checked["event"].as_str().unwrap().contains("subject.erased"), "{checked}");
}

async fn until_erased(server: &daybook_tests::server::Server, erasures: usize) -> Value {
    for _ in 0..600 {
        let (status, text) = get(server, "/v1/privacy/subjects/band:b1").await;
        assert_eq!(status, 200, "{text}");
        let status: Value = serde_json::from_str(&text).unwrap();
        if status["erasing"].is_null() && status["certificates"].as_array().unwrap().len() == erasures {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not erased");
}

#[tokio::test]
async fn a_server_erases_beside_its_work() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    walk_on_a_server(&cli, data.path()).await;
}

#[tokio::test]
async fn a_server_on_postgres_erases_beside_its_work() {
    let Some(database) = postgres::database().await else { return };
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[("DATABASE_URL", &database.url)]) else { return };
    walk_on_a_server(&cli, data.path()).await;
}

/// The command asks a server, and opens nothing here.
fn from_elsewhere(cli: &Cli, server: &daybook_tests::server::Server) {
    let ask = |args: &[&str], code| {
        let there = ["--server", &server.url, "--key", daybook_tests::server::KEY];
        cli.json(&[&["privacy"], args, &there].concat(), code)
    };
    assert_eq!(ask(&["hold", "band:b2", "--reason", "case 9"], 0)["changed"], true);
    assert_eq!(ask(&["status", "band:b2"], 0)["held"], "case 9");
    let refused = ask(&["erase", "band:b2", "--reason", "asked"], 1);
    assert!(refused.as_str().unwrap().contains("case 9"), "{refused}");
    assert_eq!(ask(&["release", "band:b2", "--reason", "closed"], 0)["changed"], true);
    let certificate = ask(&["erase", "band:b2", "--reason", "asked"], 0);
    assert_eq!(certificate["facts"], TAPS + 1, "{certificate}");
    ask(&["erase", "band:b9", "--reason", "asked"], 3);
}

async fn walk_on_a_server(cli: &Cli, data: &std::path::Path) {
    let server = cli.serve();
    prepared(&server).await;
    tap_by_journal(&server, "b2", 2 * TAPS + 1).await;
    assert!(!holding(&data.join("journal"), MARKS[1].1).is_empty(), "the search finds it");
    let issue = json!({"name": "w", "roles": ["writer"]});
    let writer = post(&server, daybook_tests::server::KEY, "/v1/keys", &issue).await.1["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let (base, reason) = ("/v1/privacy/subjects/band:b1", json!({"reason": "asked"}));
    for verb in ["hold", "release", "erase"] {
        assert_eq!(post(&server, &writer, &format!("{base}/{verb}"), &reason).await.0, 403, "{verb}");
    }
    assert_eq!(post(&server, &writer, &format!("{base}/export"), &json!({})).await.0, 403);
    let admin = daybook_tests::server::KEY;
    let (status, before) = post(&server, admin, &format!("{base}/export"), &json!({})).await;
    assert!(status == 200 && before.to_string().contains(MARKS[0].1), "{before}");
    let nobody = post(&server, admin, "/v1/privacy/subjects/nobody/erase", &reason).await;
    assert_eq!(nobody.0, 400, "{}", nobody.1);
    let silent = post(&server, admin, &format!("{base}/erase"), &json!({"reason": ""})).await;
    assert_eq!(silent.0, 422, "{}", silent.1);
    assert_eq!(post(&server, admin, "/v1/privacy/subjects/band:b9/erase", &reason).await.0, 404);
    post(&server, admin, &format!("{base}/hold"), &reason).await;
    let (status, held) = post(&server, admin, &format!("{base}/erase"), &reason).await;
    assert!(status == 409 && held["detail"].as_str().unwrap().contains("asked"), "{held}");
    post(&server, admin, &format!("{base}/release"), &reason).await;
    // Two at once are one erasure.
    let path = format!("{base}/erase");
    let (first, second) =
        tokio::join!(post(&server, admin, &path, &reason), post(&server, admin, &path, &reason));
    assert_eq!((first.0, second.0), (200, 200), "{first:?} {second:?}");
    let status = until_erased(&server, 1).await;
    let position = status["certificates"][0]["erased"]["position"].as_u64().unwrap();
    let (_, after) = post(&server, admin, &format!("{base}/export"), &json!({})).await;
    assert!(after.to_string().contains("erased") && !after.to_string().contains(MARKS[0].1), "{after}");
    assert_eq!(holding(&data.join("journal"), MARKS[1].1), Vec::<String>::new(), "emptied for anybody");

    let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    assert_eq!(
        (&summary["taps"], &summary["unique_visitors"]),
        (&json!(2 * TAPS + 1), &json!(1)),
        "{summary}"
    );
    // What comes later is sealed with another key.
    let position = tap(&server, "b1", position).await;
    let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    assert_eq!(
        (&summary["taps"], &summary["unique_visitors"]),
        (&json!(2 * TAPS + 2), &json!(2)),
        "{summary}"
    );
    assert_eq!(post(&server, admin, &path, &reason).await.0, 200);
    let status = until_erased(&server, 2).await;
    assert_eq!(status["certificates"][1]["facts"], 1, "{status}");
    from_elsewhere(cli, &server);
    // Compares the rows with a rebuild, too.
    server.stop().unwrap();
    all_holds(cli);
}

#[tokio::test]
async fn a_server_that_is_killed_in_between_goes_on_at_its_next_start() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let server = cli.serve();
    prepared(&server).await;
    let path = "/v1/privacy/subjects/band:b1/erase";
    let asked = post(&server, daybook_tests::server::KEY, path, &json!({"reason": "asked"})).await;
    assert_eq!(asked.0, 200, "{}", asked.1);
    // Wherever it is at by now.
    server.kill().unwrap();
    let server = cli.serve();
    let status = until_erased(&server, 1).await;
    assert_eq!(status["certificates"][0]["facts"], TAPS, "{status}");
    server.stop().unwrap();
    assert!(taps(&exported(&cli, "b1")).iter().all(|t| t["visitor"] == json!({"erased": true})));
    all_holds(&cli);
}

#[tokio::test]
async fn the_bus_the_proofs_and_sql_have_never_had_it_in_clear() {
    let Some(nats) = Nats::start() else { return };
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[("NATS_URL", &nats.url())]) else { return };
    let server = cli.serve();
    prepared(&server).await;
    let head = tap(&server, "b1", 0).await;
    let proof = get(&server, &format!("/v1/audit/proofs/{head}")).await;
    assert_eq!(proof.0, 200, "{}", proof.1);
    let query = json!({"query": "SELECT payload FROM events WHERE type = 'band.tapped'"});
    let (_, rows) = post(&server, daybook_tests::server::KEY, "/v1/sql", &query).await;
    assert!(rows.to_string().contains("sealed") && !rows.to_string().contains(MARKS[0].1), "{rows}");
    server.stop().unwrap();
    let file = data.path().join("tap.tlog-proof");
    std::fs::write(&file, proof.1).unwrap();
    let key = cli.json(&["audit", "keys", "show", data.path().join("audit.key").to_str().unwrap()], 0);
    std::fs::write(data.path().join("public"), key["key"].as_str().unwrap()).unwrap();
    let public = data.path().join("public").display().to_string();
    let checked = cli.json(&["audit", "check", file.to_str().unwrap(), "--key", &public], 0);
    let event = checked["event"].as_str().unwrap();
    assert!(event.contains("sealed") && !event.contains(MARKS[0].1), "{event}");
    let store = nats.store();
    assert!(holding(&store, MARKS[0].1).is_empty() && !holding(&store, "sealed").is_empty(), "{store:?}");
    cli.json(&["bus", "verify"], 0);
    cli.json(&ERASE, 0);
    let server = cli.serve();
    server.stop().unwrap();
    cli.json(&["bus", "verify"], 0);
    all_holds(&cli);
}
