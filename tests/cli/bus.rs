//! `daybook bus` against a real server, on a log in SQLite.

use std::path::Path;
use std::process::{Command, Output};

use async_nats::jetstream;
use daybook_tests::cli::Cli;
use daybook_tests::nats::Nats;
use daybook_tests::server::{Server, binary};
use daybook_tests::skip;
use serde_json::{Value, json};

struct Site<'a> {
    data: &'a Path,
    nats: String,
}

impl Site<'_> {
    fn bus(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary().unwrap());
        command.arg("--data").arg(self.data).args(["bus", "--json"]).args(arguments);
        command.env("NATS_URL", &self.nats).env("LOG_LEVEL", "error").output().unwrap()
    }

    /// Exit code and the last line that was printed.
    fn answer(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let done = self.bus(arguments);
        let text = String::from_utf8(done.stdout).unwrap();
        let last = text.lines().last().unwrap_or("null");
        (done.status.code(), serde_json::from_str(last).unwrap())
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_refilled() {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return;
    };
    let Some(nats) = Nats::start() else { return };
    let data = tempfile::tempdir().unwrap();
    let site = Site { data: data.path(), nats: nats.url() };
    let server = Server::start(&binary, data.path(), &[("NATS_URL", &site.nats)]).unwrap();
    for band in ["b1", "b2", "b3"] {
        let show = json!({"name": band, "time_zone": "UTC", "starts_at": "2026-01-01T18:00",
            "ends_at": "2026-01-02T18:00"});
        server.post(&format!("/v1/events/{band}/schedule"), &show).await.unwrap();
    }
    server.stop().unwrap();
    // Also what was published by nobody before the server stopped.
    assert_eq!(site.answer(&["refill"]).0, Some(0));
    let (code, status) = site.answer(&["status"]);
    assert_eq!((code, &status["lag"], &status["first"]), (Some(0), &json!(0), &json!(1)));
    assert_eq!(site.answer(&["verify"]).0, Some(0));

    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    context.get_stream("DAYBOOK_EVENTS").await.unwrap().delete_message(2).await.unwrap();
    let (code, verdict) = site.answer(&["verify"]);
    assert_eq!(code, Some(4));
    assert_eq!(verdict["ranges"], json!([{"kind": "missing", "first": 2, "last": 2}]));
    let (code, verdict) = site.answer(&["refill"]);
    assert_eq!((code, &verdict["wrong"], &verdict["compared"]), (Some(0), &json!(0), &status["head"]));
    assert_eq!(site.answer(&["verify"]).0, Some(0));

    // Somebody else publishes where the next event belongs.
    let stranger = context.publish("events.acme.taps.band.tapped", "{}".into()).await.unwrap().await.unwrap();
    let (code, status) = site.answer(&["status"]);
    let first = stranger.sequence;
    assert_eq!((code, &status["wrong"]["first"]), (Some(4), &json!(first)), "{status}");
    let said = String::from_utf8(site.bus(&["status"]).stderr).unwrap();
    assert!(said.contains("until `daybook bus refill`"), "{said}");
    assert_eq!(site.answer(&["refill"]).0, Some(0));
    assert_eq!(site.answer(&["status"]).0, Some(0));

    // A trimmed log is filled up from the archive.
    let cli = Cli::new(data.path(), &[]).unwrap();
    let projections = cli.output(&["projections"]).stdout;
    assert!(!String::from_utf8(projections).unwrap().contains("relay"), "it is no projection");
    taps(&cli, 30).await;
    cli.json(&["archive", "run"], 0);
    assert!(cli.json(&["archive", "trim"], 0)["dropped"].as_u64().unwrap() >= 29);
    let (code, verdict) = site.answer(&["refill", "--force"]);
    assert_eq!((code, &verdict["wrong"], &verdict["first"]), (Some(0), &json!(0), &json!(1)), "{verdict}");
    assert_eq!(site.answer(&["verify"]).0, Some(0));
}

async fn taps(cli: &Cli, count: usize) {
    let server = cli.serve();
    let band = server.post("/v1/bands/x1/register", &json!({"event_id": "b1"})).await.unwrap();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for _ in 0..count {
        let tap = client.get(format!("{}/e?bandId=x1", server.url)).header("Daybook-Ack", "log");
        tap.header("Daybook-At-Least", band["position"].as_u64().unwrap()).send().await.unwrap();
    }
    server.stop().unwrap();
}

#[test]
fn without_a_bus_it_says_which_setting_is_missing() {
    if binary().is_err() {
        return skip("the daybook binary is not built");
    }
    let data = tempfile::tempdir().unwrap();
    let done = Site { data: data.path(), nats: String::new() }.bus(&["status"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("names no bus"), "{said}");
}
