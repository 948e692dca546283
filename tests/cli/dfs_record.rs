//! `daybook dfs compare`, and `report` of what was sealed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::server::Server;
use domain::ports::clock::Clock;
use infra_runtime::SystemClock;
use jiff::{SignedDuration, Unit};
use serde_json::{Value, json};

use super::dfs::Bed;

#[test]
fn a_model_is_compared_with_itself_under_other_parameters() {
    let Some(bed) = Bed::new() else { return };
    let params = format!("{}/params.json", bed.path());
    let args =
        ["dfs", "compare", "--data", bed.path(), "--runs", "300", "--from", "2019", "--params", &params];
    fs::write(&params, r#"{"driver_half_life": 30}"#).unwrap();
    let same = bed.lines(&args);
    let all = &same[0]["summary"]["groups"]["all"];
    assert_eq!((&all["races"], &all["before"]), (&json!(20), &all["after"]));
    assert_eq!(all["change"], json!({"rho": 0.0, "low": 0.0, "high": 0.0}));
    assert!(same[1..].iter().all(|line| line["before"] == line["after"] && line["race"] == "cup-2019-21"));

    fs::write(&params, r#"{"driver_half_life": 2, "car_half_life": 2, "recent_half_life": 1}"#).unwrap();
    let lines = bed.lines(&args);
    let summary = &lines[0]["summary"];
    assert_eq!(summary["parameters"]["recent_half_life"], 1.0);
    let all = &summary["groups"]["all"];
    let number = |of: &Value| of.as_f64().unwrap();
    let change = number(&all["change"]["rho"]);
    assert!((number(&all["after"]["rho"]) - number(&all["before"]["rho"]) - change).abs() < 2e-4, "{all}");
    assert!(
        change < 0.0 && number(&all["change"]["low"]) <= change && change <= number(&all["change"]["high"])
    );
    assert_eq!(all["before"], same[0]["summary"]["groups"]["all"]["before"]);
    let moved: Vec<f64> =
        lines[1..].iter().map(|l| (number(&l["after"]) - number(&l["before"])).abs()).collect();
    assert!(moved.len() == 10 && moved[0] > 0.0 && moved.is_sorted_by(|a, b| a >= b), "{moved:?}");

    fs::write(&params, r#"{"ridge": -1}"#).unwrap();
    assert!(bed.cli.refused(&args, 1).contains("ridge must be 0.5 to 10000"));
    fs::write(&params, "{}").unwrap();
    let none = [&args[..], &["--to", "2017"]].concat();
    assert!(bed.cli.refused(&none, 1).contains("races before it to learn from"));
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    server.post(path, &body).await.unwrap_or_else(|e| panic!("{path}: {e:#}"))
}

/// A race whose green flag is half an hour off; and where it stands in the log.
async fn scheduled(server: &Server) -> u64 {
    post(server, "/v1/tracks/phoenix/define", json!({"name": "Phoenix Raceway", "kind": "short"})).await;
    let starts_at = (SystemClock.now() + SignedDuration::from_mins(30)).round(Unit::Second).unwrap();
    let date = starts_at.to_string()[..10].to_owned();
    let season: i32 = date[..4].parse().unwrap();
    let race = json!({"series": "cup", "season": season, "number": 36, "track": "phoenix", "date": date, "starts_at": starts_at});
    post(server, "/v1/races/finale/schedule", race).await;
    let entry = |i: usize| json!({"driver": format!("d{i}"), "car": format!("{i}"), "start": i + 1});
    let entries: Vec<Value> = (0..12).map(entry).collect();
    let entered = post(server, "/v1/races/finale/enter", json!({ "entries": entries })).await;
    entered["position"].as_u64().unwrap()
}

async fn finish(server: &Server) {
    let placed = |i: usize| json!({"driver": format!("d{i}"), "finish": i + 1, "laps": 312, "led": if i == 0 { 312 } else { 0 }, "status": "running"});
    let results: Vec<Value> = (0..12).map(placed).collect();
    post(server, "/v1/races/finale/finish", json!({ "results": results })).await;
}

fn report(cli: &Cli, folder: &Path, more: &[&str]) -> (Value, String) {
    let file = folder.join("report.html");
    let args = ["dfs", "report", "--sealed", "--output", file.to_str().unwrap()];
    let said = cli.json(&[&args[..], more].concat(), 0);
    (said, fs::read_to_string(&file).unwrap())
}

#[tokio::test]
async fn what_was_sealed_by_itself_is_reported_with_what_happened() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("DAYBOOK_SEAL_BEFORE_SECONDS", "3600"), ("DAYBOOK_SEAL_RUNS", "1000")];
    let Some(cli) = Cli::new(data.path(), &settings) else { return };
    let server = cli.serve();
    let there = scheduled(&server).await;
    let until = Instant::now() + Duration::from_secs(60);
    let sealed = loop {
        let sealed = server.get("/v1/races/finale/projections", there).await.unwrap();
        if sealed["projections"].as_array().unwrap().len() == 2 {
            break sealed;
        }
        assert!(Instant::now() < until, "nothing was sealed: {sealed}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        (&sealed["projections"][0]["sealed"], &sealed["projections"][0]["runs"]),
        (&json!(1), &json!(1_000))
    );
    finish(&server).await;
    server.stop().unwrap();

    let (said, page) = report(&cli, data.path(), &[]);
    assert_eq!(said["races"], 1);
    assert!(page.contains("Sealed before the green flag") && page.contains("<svg"), "{page}");
    assert!(page.contains("plackett-luce-back@1"));
    let (said, _) = report(&cli, data.path(), &["--site", "fanduel"]);
    assert_eq!(said["races"], 1);
    let args = ["dfs", "report", "--sealed", "--output", "none.html"];
    let none = |more: [&str; 2]| cli.refused(&[&args[..], &more].concat(), 1);
    for more in [["--site", "nobody"], ["--to", "2001"], ["--model", "other@1"]] {
        assert!(none(more).contains("there is no race of these seasons"), "{more:?}");
    }
    assert!(!data.path().join("none.html").exists());
    assert_eq!(cli.output(&[&args[..], &["--data", "."]].concat()).status.code(), Some(2));
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let data = tempfile::tempdir().unwrap();
    for (name, value, said) in [
        ("DAYBOOK_SEAL_BEFORE_SECONDS", "5", "must be 30 to 604800, or 0"),
        ("DAYBOOK_SEAL_RUNS", "10", "must be 1000 to 50000"),
    ] {
        let Some(cli) = Cli::new(data.path(), &[(name, value)]) else { return };
        let refused = cli.refused(&["serve", "--listen", "127.0.0.1:0"], 2);
        assert!(refused.contains(said), "{refused}");
    }
}
