//! The same over HTTP and on the command line, on a server of its own.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use daybook_tests::server::{KEK, KEY, Server, binary};
use daybook_tests::{postgres, skip};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1";

struct Cli<'a> {
    data: &'a Path,
    database: Option<&'a str>,
}

impl Cli<'_> {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary().unwrap());
        command.args(args).arg("--data-dir").arg(self.data).current_dir(self.data).env("LOG_LEVEL", "error");
        if let Some(url) = self.database {
            command.env("DATABASE_URL", url).env("DAYBOOK_PRIVACY_KEK", KEK);
        }
        command.output().unwrap()
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
    }
}

async fn taps(server: &Server) -> u64 {
    let show = json!({"name": "Night", "time_zone": "Europe/Berlin", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{band_id}"});
    server.post("/v1/events/show-1/schedule", &show).await.unwrap();
    let band = server.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut position = band["position"].as_u64().unwrap();
    for agent in [IPHONE, IPHONE, "curl/8"] {
        let answer = client
            .get(format!("{}/e?bandId=b1", server.url))
            .header("Daybook-At-Least", position)
            .header("Daybook-Ack", "log")
            .header("User-Agent", agent)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        position = answer.headers()["daybook-position"].to_str().unwrap().parse().unwrap();
    }
    position
}

async fn until_ready(server: &Server, number: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let status = server.get("/v1/replays/tap_analytics", 0).await.unwrap();
        let generations = status["generations"].as_array().unwrap();
        if generations.iter().any(|g| g["generation"] == number && g["status"] == "ready") {
            return;
        }
        assert!(Instant::now() < end, "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn refused(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let request = Client::new().post(format!("{}{path}", server.url)).header("X-API-Key", KEY).json(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn over_http(server: &Server, head: u64) {
    let wrong = json!({"model": "bots@2", "parameters": {"patterns": [{"contains": "", "class": "other"}]}});
    let (status, problem) = refused(server, "/v1/models/tap_analytics", &wrong).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/parameters/patterns/0/contains")));
    let parameters = json!({"patterns": [{"contains": "iPhone", "class": "monitor"}]});
    let model = json!({"model": "bots@2", "parameters": parameters});
    server.post("/v1/models/tap_analytics", &model).await.unwrap();
    let shown = server.get("/v1/models/tap_analytics", 0).await.unwrap();
    assert_eq!(
        (&shown["model"], &shown["parameters"]["session_gap_seconds"]),
        (&json!("bots@2"), &json!(1800))
    );

    let decided = server.post("/v1/replays/tap_analytics/build", &json!({})).await.unwrap();
    let number = decided["generation"].as_u64().unwrap();
    until_ready(server, number).await;
    let path = "/v1/analytics/events/show-1/summary";
    let live = server.get(path, head).await.unwrap();
    assert_eq!((&live["taps"], &live["bots"], live.get("sessions")), (&json!(2), &json!(1), None));
    let beside = server.get(&format!("{path}?generation={number}"), head).await.unwrap();
    assert_eq!((&beside["taps"], &beside["bots"]), (&json!(0), &json!(2 + 1)));

    server.post("/v1/replays/tap_analytics/promote", &json!({"generation": number})).await.unwrap();
    assert_eq!(server.get(path, head).await.unwrap()["bots"], 3);
    let verified = server.post("/v1/replays/tap_analytics/verify", &json!({})).await.unwrap();
    assert_eq!(verified["same"], true);
    server.post("/v1/replays/tap_analytics/rollback", &json!({})).await.unwrap();
    assert_eq!(server.get(path, head).await.unwrap()["taps"], 2);
    let pruned = server.post("/v1/replays/tap_analytics/prune", &json!({})).await.unwrap();
    assert_eq!(pruned["generations"], json!([number]));
    let (status, _) = refused(server, "/v1/replays/eaters/build", &json!({})).await;
    assert_eq!(status, 404);
    let (status, _) = refused(server, "/v1/replays/tap_analytics/rollback", &json!({})).await;
    assert_eq!(status, 409);
}

async fn the_past(server: &Server) {
    let changed = json!({"name": "Late Night", "time_zone": "Europe/Berlin", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{band_id}"});
    let now = server.post("/v1/events/show-1/change", &changed).await.unwrap();
    let now = now["position"].as_u64().unwrap();
    let name = async |path: &str| server.get(path, now).await.unwrap()["name"].clone();
    assert_eq!(name("/v1/events/show-1").await, "Late Night");
    assert_eq!(name(&format!("/v1/events/show-1?at={}", now - 1)).await, "Night");
    assert_eq!(name("/v1/events/show-1?at=2100-01-01T00:00:00Z").await, "Late Night");
    let band = server.get(&format!("/v1/bands/b1?at={now}"), 0).await.unwrap();
    assert_eq!(band["event_id"].as_str().or(band["event_ids"][0].as_str()), Some("show-1"), "{band}");
    for (path, status) in [
        ("/v1/events/show-1?at=0", 404),
        ("/v1/events/show-1?at=soon", 400),
        ("/v1/events/show-1?at=999999", 400),
        ("/v1/analytics/events/show-1/summary?at=1", 422),
        ("/v1/analytics/events/show-1/summary?generation=99", 404),
    ] {
        let request = Client::new().get(format!("{}{path}", server.url)).header("X-API-Key", KEY);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{path}");
    }
}

/// On the database, beside the running server and without it.
fn on_the_command_line(cli: &Cli<'_>, server: &Server) {
    std::fs::write(cli.data.join("p.json"), r#"{"session_gap_seconds": 60}"#).unwrap();
    std::fs::write(cli.data.join("bad.json"), r#"{"session_gap": 60}"#).unwrap();
    cli.json(&["model", "set", "tap_analytics", "bots@2", "--params", "bad.json"], 2);
    cli.json(&["model", "set", "tap_analytics", "bots@9"], 2);
    std::fs::write(cli.data.join("torn.json"), r#"{"session_gap_seconds": "#).unwrap();
    cli.json(&["model", "set", "tap_analytics", "bots@2", "--params", "torn.json"], 2);
    cli.json(&["replay", "build", "eaters"], 3);
    cli.json(&["replay", "rollback", "tap_analytics", "--server", &server.url, "--key", KEY], 1);
    let set = cli.json(&["model", "set", "tap_analytics", "bots@2", "--params", "p.json"], 0);
    assert_eq!(set["changed"], true);
    let built = cli.json(&["replay", "build", "tap_analytics"], 0);
    assert_eq!(built["generation"]["status"], "ready", "{built}");
    let number = built["generation"]["generation"].to_string();
    let promoted = cli.json(&["replay", "promote", "tap_analytics", &number], 0);
    assert_eq!(promoted["changed"], true);
    let over = ["replay", "status", "tap_analytics", "--server", &server.url, "--key", KEY];
    assert_eq!(cli.json(&over, 0)["live"].to_string(), number);
}

async fn from_parameters_to_figures(database: Option<&str>) {
    if binary().is_err() {
        return skip("the daybook binary is not built");
    }
    let data = tempfile::tempdir().unwrap();
    let settings: Vec<_> = database.map(|url| ("DATABASE_URL", url)).into_iter().collect();
    let server = Server::start(&binary().unwrap(), data.path(), &settings).unwrap();
    let head = taps(&server).await;
    over_http(&server, head).await;
    the_past(&server).await;
    let cli = Cli { data: data.path(), database };
    on_the_command_line(&cli, &server);
    let summary = server.get("/v1/analytics/events/show-1/summary", 0).await.unwrap();
    assert_eq!((&summary["taps"], &summary["sessions"]["count"]), (&json!(2), &json!(1)));
    server.stop().unwrap();
    // Nobody else is there: the command follows the log itself.
    assert_eq!(cli.json(&["replay", "verify", "tap_analytics"], 0)["same"], true);
    assert_eq!(cli.json(&["replay", "rollback", "tap_analytics"], 0)["generation"], 1);
    let text = cli.run(&["replay", "status", "tap_analytics"]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("retired"), "the other one is kept");
}

#[tokio::test]
async fn from_parameters_to_figures_on_sqlite() {
    from_parameters_to_figures(None).await;
}

#[tokio::test]
async fn from_parameters_to_figures_on_postgres() {
    let Some(database) = postgres::database().await else { return };
    from_parameters_to_figures(Some(&database.url)).await;
}
