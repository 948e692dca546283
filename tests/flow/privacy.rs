//! Personal data of a tap through a whole server: who sees it, where it lies,
//! and what happens without its keys.

use std::fs;
use std::path::Path;

use daybook_tests::cli::Cli;
use daybook_tests::server::{KEK, Server};
use daybook_tests::{holding, postgres};
use reqwest::{Client, StatusCode, redirect};
use serde_json::{Value, json};

/// Of no tap but these.
const MARK: &str = "Unmistakable77";
const AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1 Unmistakable77";
const TAPS: u64 = 3;

async fn tapped(server: &Server) {
    let show = json!({"name": "Night", "time_zone": "Europe/Berlin", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{band_id}"});
    server.post("/v1/events/show-1/schedule", &show).await.unwrap();
    let band = server.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let mut position = band["position"].as_u64().unwrap();
    for _ in 0..TAPS {
        let tap = client
            .get(format!("{}/e?bandId=b1", server.url))
            .header("Daybook-At-Least", position)
            .header("Daybook-Ack", "log")
            .header("User-Agent", AGENT);
        let answer = tap.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        position = answer.headers()["daybook-position"].to_str().unwrap().parse().unwrap();
    }
    let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    // Folded by what only the opened agent tells.
    assert_eq!((&summary["taps"], &summary["unique_visitors"]), (&json!(TAPS), &json!(1)), "{summary}");
    assert!(summary.to_string().contains("iphone") || summary.to_string().contains("iOS"), "{summary}");
}

fn printed(cli: &Cli, args: &[&str]) -> String {
    let output = cli.output(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn who_copies_facts_has_them_sealed_and_who_folds_them_sees_them() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let server = cli.serve();
    tapped(&server).await;
    let sql = r#"{"query": "SELECT payload FROM events WHERE type = 'band.tapped'"}"#;
    let said = server.post("/v1/sql", &serde_json::from_str::<Value>(sql).unwrap()).await.unwrap();
    assert!(said.to_string().contains("sealed") && !said.to_string().contains(MARK), "{said}");
    // Also folds it again in this process and compares.
    server.stop().unwrap();
    cli.json(&["archive", "run"], 0);
    cli.json(&["archive", "verify"], 0);
    cli.json(&["replay", "verify", "tap_analytics"], 0);
    cli.json(&["replay", "verify", "tap_analytics", "--from-archive"], 0);
    for args in [&["events", "tail", "-n", "100"][..], &["archive", "cat", "--type", "band.tapped"]] {
        let text = printed(&cli, args);
        assert!(text.contains("sealed") && !text.contains(MARK), "{args:?}: {text}");
    }
    let columns = "SELECT count(p_user_agent) + count(p_visitor) AS clear, count(p_personal) AS sealed FROM band_tapped";
    assert_eq!(cli.json(&["sql", columns], 0)["rows"], json!([[0, TAPS]]));
    let lies: Vec<String> = holding(data.path(), MARK);
    assert!(lies.iter().all(|path| path.contains("/journal/")), "{lies:?}");
}

#[tokio::test]
async fn switched_off_it_is_recorded_in_clear_and_read_beside_what_is_sealed() {
    let data = tempfile::tempdir().unwrap();
    let Some(clear) = Cli::new(data.path(), &[("DAYBOOK_PRIVACY_ENCRYPT", "false")]) else { return };
    let server = clear.serve();
    tapped(&server).await;
    server.stop().unwrap();
    assert!(!data.path().join("privacy.key").exists(), "nothing needs it");
    assert!(holding(data.path(), MARK).iter().any(|path| path.contains("daybook.db")), "the search finds it");

    let sealing = Cli::new(data.path(), &[]).unwrap();
    let server = sealing.serve();
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let tap = client.get(format!("{}/e?bandId=b1", server.url)).header("Daybook-Ack", "log");
    let answer = tap.header("User-Agent", AGENT).send().await.unwrap();
    let position = answer.headers()["daybook-position"].to_str().unwrap().parse().unwrap();
    let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    assert_eq!(summary["taps"], TAPS + 1);
    server.stop().unwrap();
    assert_eq!(sealing.json(&["privacy", "keys", "status"], 0)["destroyed"], 0);
}

#[tokio::test]
async fn without_the_key_encryption_key_nothing_starts_and_nothing_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let server = cli.serve();
    tapped(&server).await;
    server.stop().unwrap();
    let (own, away) = (data.path().join("privacy.key"), data.path().join("away"));
    fs::rename(&own, &away).unwrap();
    let said = cli.refused(&["replay", "verify", "tap_analytics"], 2);
    assert!(said.contains("privacy.key is missing"), "{said}");
    assert!(!own.exists(), "no other one is made");
    fs::write(&own, "00").unwrap();
    restrict(&own);
    let said = cli.refused(&["serve"], 2);
    assert!(said.contains("privacy.key") && said.contains("64 hex digits"), "{said}");
    fs::write(&own, "0".repeat(64)).unwrap();
    let said = cli.refused(&["serve"], 2);
    assert!(said.contains("which is not configured"), "{said}");
    // Who only looks at what is recorded needs no key.
    printed(&cli, &["events", "tail", "-n", "10"]);
    fs::rename(&away, &own).unwrap();
    cli.json(&["replay", "verify", "tap_analytics"], 0);
}

#[cfg(unix)]
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn the_key_encryption_key_is_exchanged_step_by_step() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let server = cli.serve();
    tapped(&server).await;
    server.stop().unwrap();
    let (old, new) = (data.path().join("privacy.key"), data.path().join("kek.2"));
    let made = cli.json(&["privacy", "keys", "generate", new.to_str().unwrap()], 0);
    cli.refused(&["privacy", "keys", "generate", new.to_str().unwrap()], 1);
    let newest = ("DAYBOOK_PRIVACY_KEK_FILE", new.to_str().unwrap());
    let early = Cli::new(data.path(), &[newest]).unwrap();
    assert!(early.refused(&["privacy", "keys", "rotate"], 2).contains("not configured"));
    let both = [newest, ("DAYBOOK_PRIVACY_OLD_KEK_FILES", old.to_str().unwrap())];
    let both = Cli::new(data.path(), &both).unwrap();
    both.json(&["replay", "verify", "tap_analytics"], 0);
    assert_eq!(both.json(&["privacy", "keys", "rotate"], 0)["rotated"], 1);
    assert_eq!(both.json(&["privacy", "keys", "rotate"], 0)["rotated"], 0);
    fs::remove_file(&old).unwrap();
    early.json(&["replay", "verify", "tap_analytics"], 0);
    let status = early.json(&["privacy", "keys", "status"], 0);
    assert_eq!(status["wrapped"], json!({made["kek"].as_str().unwrap(): 1}));
}

#[tokio::test]
async fn on_postgres_a_key_encryption_key_must_be_named() {
    let Some(database) = postgres::database().await else { return };
    let data = tempfile::tempdir().unwrap();
    let url = ("DATABASE_URL", database.url.as_str());
    let Some(none) = Cli::new(data.path(), &[url, ("DAYBOOK_PRIVACY_KEK", "")]) else { return };
    let said = none.refused(&["serve"], 2);
    assert!(said.contains("privacy.kek_file") && said.contains("privacy.encrypt = false"), "{said}");
    let cli = Cli::new(data.path(), &[url]).unwrap();
    let server = cli.serve();
    tapped(&server).await;
    server.stop().unwrap();
    let other = KEK.replace('0', "e");
    let wrong = Cli::new(data.path(), &[url, ("DAYBOOK_PRIVACY_KEK", &other)]).unwrap();
    assert!(wrong.refused(&["serve"], 2).contains("not configured"));
    // Who seals history needs none.
    none.json(&["archive", "run"], 0);
}
