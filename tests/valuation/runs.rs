//! Runs with real processes: whatever happens to workers, the results are the same.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::files;
use serde_json::{Value, json};

use super::{bed, book, lines, write};

const PATIENCE: Duration = Duration::from_secs(120);

/// A worker that is killed when the test is over.
pub struct Worker(Child);

impl Worker {
    pub fn start(cli: &Cli) -> Self {
        Self(cli.spawn(&["worker"]))
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn name(&self) -> String {
        format!("{}-", self.0.id())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn request(run: &str) -> Value {
    json!({"run_id": run, "as_of_time": "2026-01-23", "market_snapshot_id": "EOD", "measures": ["PV", "DV01"],
           "execution": {"hash_mod": 3},
           "scenarios": ["BASE", "RATES_PARALLEL_1BP", "FX_SPOT_1PCT",
               {"scenario_set_id": "UP", "kind": "parallel", "size": 0.01},
               {"scenario_set_id": "KR", "kind": "bucketed", "size": 0.01}]})
}

/// A log with a market and positions of every product, three of them bad.
pub fn valued(cli: &Cli, folder: &Path, count: usize) {
    let market = write(folder, "market.json", &book::market("EOD"));
    lines(cli, &["market", "record", &market]);
    let mut rows = book::positions(7, count);
    rows.push(json!({"position_id": "X-1", "book": "FX", "product_type": "FX_FWD", "terms": {"pair": "GBPUSD", "amount": 1.0, "rate": 1.2, "date": "2026-05-01"}}));
    rows.push(json!({"position_id": "X-2", "book": "FX", "product_type": "WEATHER_SWAP", "terms": {}}));
    rows.push(json!({"position_id": "X-3", "book": "FX", "product_type": "CASH", "terms": {"currency": "USD", "amount": 1.0, "date": "2020-01-01"}}));
    let rows = write(folder, "positions.json", &json!(rows));
    lines(cli, &["positions", "open", &rows]);
}

fn start(cli: &Cli, folder: &Path, run: &str) -> Value {
    let file = write(folder, &format!("{run}.json"), &request(run));
    lines(cli, &["runs", "start", &file]).remove(0)
}

pub fn shown(cli: &Cli, run: &str) -> Value {
    lines(cli, &["runs", "show", run]).remove(0)
}

/// The run once it is as wanted.
#[track_caller]
pub fn until(cli: &Cli, run: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = shown(cli, run);
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{seen}");
    }
}

fn holds(run: &Value, worker: &Worker) -> bool {
    let running = run["running"].as_array().unwrap();
    running.iter().any(|task| task["worker"].as_str().unwrap().starts_with(&worker.name()))
}

/// A run of which a stopped worker has a task: it cannot go on, and nobody knows.
pub fn held(cli: &Cli, name: &str, start: impl Fn(&str)) -> (String, Worker) {
    for attempt in 0..20 {
        let run = format!("{name}-{attempt}");
        start(&run);
        let worker = Worker::start(cli);
        while until(cli, &run, |seen| holds(seen, &worker) || seen["status"] == "COMPLETED")["status"]
            != "COMPLETED"
        {
            worker.signal("-STOP");
            // Stopped in the middle of an append it holds the database, too.
            let seen = cli.output(&["runs", "show", &run]);
            if seen.status.success() && holds(&serde_json::from_slice(&seen.stdout).unwrap(), &worker) {
                return (run, worker);
            }
            worker.signal("-CONT");
        }
    }
    panic!("no worker was caught with a task");
}

#[test]
fn whatever_happens_to_workers_the_bytes_are_the_same() {
    let Some((folder, cli)) = bed() else { return };
    let cli = Cli::new(folder.path(), &[("WORKER_LEASE_SECONDS", "1")]).unwrap_or(cli);
    valued(&cli, folder.path(), 300);
    let file = write(folder.path(), "one.json", &request("ONE"));
    let watched = lines(&cli, &["runs", "start", &file, "--work"]);
    assert_eq!(watched[0]["unpriced_count"], 3);
    let reasons = watched[0]["unpriced"].to_string();
    assert!(
        reasons.contains("WEATHER_SWAP") && reasons.contains("GBP") && reasons.contains("expired"),
        "{reasons}"
    );
    let one = watched.last().unwrap();
    assert_eq!((&one["status"], &one["progress"]), (&json!("COMPLETED"), &json!(1.0)));

    let begin = |run: &str| drop(start(&cli, folder.path(), run));
    // Killed with a task: its lease runs out, and another takes it.
    let (run, worker) = held(&cli, "KILLED", begin);
    worker.signal("-KILL");
    let second = Worker::start(&cli);
    let seen = until(&cli, &run, |seen| seen["status"] == "COMPLETED");
    assert_eq!((&seen["sha256"], &seen["rows"]), (&one["sha256"], &one["rows"]));
    let tasks = seen["tasks"]["SUCCEEDED"].as_u64().unwrap();
    assert!(seen["claims"].as_u64().unwrap() > tasks, "{seen}");

    // Paused with a task until others have done it; then it goes on, too late.
    let (run, paused) = held(&cli, "PAUSED", begin);
    let seen = until(&cli, &run, |seen| seen["status"] == "COMPLETED");
    assert_eq!(seen["sha256"], one["sha256"]);
    paused.signal("-CONT");
    start(&cli, folder.path(), "AFTER");
    // Two at once, one of them late.
    let after = until(&cli, "AFTER", |seen| seen["status"] == "COMPLETED");
    assert_eq!(after["sha256"], one["sha256"]);
    assert_eq!(shown(&cli, &run)["sha256"], one["sha256"]);
    drop((second, paused));
    // All of these runs are the same objects.
    let mut objects = files(&folder.path().join("results"));
    // A killed worker's upload may lie beside them, as `name#1`.
    objects.retain(|path| !path.file_name().unwrap().to_string_lossy().contains('#'));
    assert_eq!(objects.len() as u64, tasks, "{objects:?}");
}

#[test]
fn cubes_risk_and_explanations_say_what_was_priced() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 150);
    let file = write(folder.path(), "run.json", &request("R"));
    lines(&cli, &["runs", "start", &file, "--work"]);
    let one = |args: &[&str]| lines(&cli, args).remove(0);
    let summary = one(&["runs", "summary", "R"]);
    assert_eq!((&summary["positions"], &summary["complete"]), (&json!(153), &json!(true)));
    let sum = summary["pv_sum"].as_f64().unwrap();
    // By any dimension the sums are the same whole.
    for by in ["book", "product", "currency", "tag.strategy", "book:1,product"] {
        let cube = one(&["runs", "cube", "R", "--by", by]);
        let rows = cube["rows"].as_array().unwrap();
        let total: f64 = rows.iter().filter_map(|row| row["value"].as_f64()).sum();
        assert!((total - sum).abs() < 1e-6 * sum.abs(), "{by}: {total} {sum}");
        let counted: u64 =
            rows.iter().map(|r| r["positions"].as_u64().unwrap() + r["flagged"].as_u64().unwrap()).sum();
        assert_eq!(counted, 153, "{by}");
    }
    // What `price` says of a position is what the cube has.
    let market = folder.path().join("market.json");
    let priced = lines(&cli, &["price", "--market", market.to_str().unwrap(), "--measures", "PV"]);
    let cube = one(&["runs", "cube", "R", "--by", "position", "--currency", "trade"]);
    for row in priced {
        let in_cube =
            cube["rows"].as_array().unwrap().iter().find(|r| r["key"] == row["position_id"]).unwrap();
        let (ours, other) = (&in_cube["value"], &row["measures"]["PV"]["value"]);
        match other.as_f64() {
            Some(value) => assert!((ours.as_f64().unwrap() - value).abs() < 1e-9 * value.abs().max(1.0)),
            None => assert_eq!((&in_cube["flag"], ours), (&row["measures"]["PV"]["flag"], &Value::Null)),
        }
    }
    // Books with all below them; a filter by a book takes those, too.
    let rolled = one(&["runs", "cube", "R", "--by", "book", "--rollup"]);
    let of = |cube: &Value, key: &str| {
        cube["rows"].as_array().unwrap().iter().find(|r| r["key"] == key).unwrap()["value"].as_f64().unwrap()
    };
    let rates = of(&rolled, "RATES");
    assert!((rates - of(&rolled, "RATES/SWAPS") - of(&rolled, "RATES/BONDS")).abs() < 1e-6);
    let filtered = one(&["runs", "cube", "R", "--filter", "book:RATES"]);
    assert!((filtered["rows"][0]["value"].as_f64().unwrap() - rates).abs() < 1e-6);
    // Buckets sum to the parallel shift, to second order.
    let of_scenarios =
        one(&["runs", "cube", "R", "--scenario", "BASE,UP,KR:*", "--filter", "product:FIXED_BOND"]);
    let value = |id: &str| {
        let row = of_scenarios["rows"].as_array().unwrap().iter().find(|r| r["scenario_id"] == id).unwrap();
        row["value"].as_f64().unwrap()
    };
    let buckets = of_scenarios["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["scenario_id"].as_str().unwrap().starts_with("KR:"));
    let bucketed: f64 = buckets.map(|r| r["value"].as_f64().unwrap() - value("BASE")).sum();
    let parallel = value("UP") - value("BASE");
    assert!((bucketed / parallel - 1.0).abs() < 0.05, "{bucketed} {parallel}");
    // Risk of groups: components add up to the whole.
    let risk = one(&["runs", "risk", "R", "--by", "book", "--level", "0.9"]);
    let whole = risk["total"][0]["es"].as_f64().unwrap();
    let parts: f64 = risk["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["risk"][0]["component_es"].as_f64().unwrap())
        .sum();
    assert!(whole > 0.0 && (parts - whole).abs() < 1e-6 * whole, "{risk}");
    assert_eq!((&risk["excluded"], &risk["scenarios"]), (&json!(3), &json!(14)));
    let explained = one(&["runs", "explain", "R", "P-000010"]);
    assert_eq!((&explained["reproduced"], &explained["model"]), (&json!(true), &json!("pricing@1")));
    assert!(explained["cashflows"].as_array().unwrap().len() > 2, "{explained}");
    assert!(explained["curves"].to_string().contains("USD-3M"), "{explained}");
    for refused in [
        &["runs", "cube", "R", "--measure", "VEGA"][..],
        &["runs", "cube", "R", "--by", "pv; drop"],
        &["runs", "cube", "R", "--by", "tag.nobody"],
        &["runs", "cube", "R", "--scenario", "NOPE"],
        &["runs", "risk", "R", "--level", "2"],
        &["runs", "explain", "R", "NOBODY"],
    ] {
        cli.refused(refused, 2);
    }
    cli.refused(&["runs", "summary", "NOBODY"], 3);
}

#[test]
fn two_runs_are_compared_by_cause() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 45);
    let work = |run: &str, market: &str, day: &str| {
        let mut request = request(run);
        (request["market_snapshot_id"], request["as_of_time"]) = (json!(market), json!(day));
        let file = write(folder.path(), &format!("{run}.json"), &request);
        lines(&cli, &["runs", "start", &file, "--work"]);
    };
    work("BEFORE", "EOD", "2026-01-23");
    let mut market = book::market("NEXT");
    market["as_of_time"] = json!("2026-01-26T17:00:00Z");
    market["curves"][0]["nodes"][3]["value"] = json!(0.05);
    let market = write(folder.path(), "next.json", &market);
    lines(&cli, &["market", "record", &market]);
    let new = write(folder.path(), "new.json", &json!([super::cash("NEW", 1000.0)]));
    lines(&cli, &["positions", "open", &new]);
    lines(&cli, &["positions", "close", "P-000005"]);
    work("AFTER", "NEXT", "2026-01-26");
    let compared = lines(&cli, &["runs", "compare", "BEFORE", "AFTER"]).remove(0);
    let causes = ["time", "market", "positions", "model"].map(|c| compared["by_cause"][c].as_f64().unwrap());
    let difference = compared["difference"].as_f64().unwrap();
    assert!((causes.iter().sum::<f64>() - difference).abs() < 1e-6, "{compared}");
    assert!(causes[0] != 0.0 && causes[1] != 0.0 && causes[2] != 0.0, "{causes:?}");
    let change = |id: &str| {
        let rows = compared["by_position"].as_array().unwrap();
        rows.iter().find(|row| row["position_id"] == id).unwrap()["change"].clone()
    };
    assert_eq!(
        (change("NEW"), change("P-000005"), change("P-000010")),
        ("new".into(), "removed".into(), "same".into())
    );
}
