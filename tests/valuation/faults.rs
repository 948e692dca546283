//! A store of results that fails, and one whose objects were changed.

use daybook_tests::files;
use serde_json::json;

use super::runs::{Worker, held, request, shown, until, valued};
use super::{bed, lines, write};

#[test]
fn a_store_that_fails_costs_attempts_and_nothing_else() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 15);
    let file = write(folder.path(), "good.json", &request("GOOD"));
    let good = lines(&cli, &["runs", "start", &file, "--work"]).pop().unwrap();
    // The tenant's folder is a file now.
    let results = folder.path().join("results");
    std::fs::rename(&results, folder.path().join("kept")).unwrap();
    std::fs::create_dir(&results).unwrap();
    std::fs::write(results.join("default"), "in the way").unwrap();
    let file = write(folder.path(), "bad.json", &request("BAD"));
    let output = cli.output(&["runs", "start", &file, "--work"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let failed = shown(&cli, "BAD");
    assert_eq!(
        (&failed["status"], &failed["tasks"]),
        (&json!("FAILED"), &json!({"DEAD": failed["plan"]["tasks"].as_array().unwrap().len()}))
    );
    assert!(failed["failures"][0]["reason"].as_str().unwrap().contains("unavailable"), "{failed}");
    assert_eq!(failed["failures"][0]["attempts"], 3);
    // Mended and retried it comes to the same.
    std::fs::remove_file(results.join("default")).unwrap();
    cli.json(&["runs", "retry", "BAD"], 0);
    cli.output(&["worker", "--until-idle"]);
    let mended = shown(&cli, "BAD");
    assert_eq!((&mended["status"], &mended["sha256"]), (&json!("COMPLETED"), &good["sha256"]));
}

#[test]
fn an_object_that_was_changed_is_not_shown() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 15);
    let file = write(folder.path(), "run.json", &request("R"));
    lines(&cli, &["runs", "start", &file, "--work"]);
    let object = files(&folder.path().join("results")).remove(0);
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&object, &bytes).unwrap();
    assert!(cli.refused(&["runs", "summary", "R"], 1).contains("damaged"));
    // The same inputs again put it right.
    let file = write(folder.path(), "again.json", &request("AGAIN"));
    lines(&cli, &["runs", "start", &file, "--work"]);
    assert_eq!(lines(&cli, &["runs", "summary", "R"])[0]["complete"], true);
    std::fs::remove_file(&object).unwrap();
    assert!(cli.refused(&["runs", "summary", "R"], 1).contains("missing"));
}

/// A worker is killed as soon as it has claimed once more, wherever it then is:
/// pricing, writing its object, reporting, or sealing the run.
#[test]
fn killed_after_every_claim_a_run_still_comes_to_the_same() {
    let Some((folder, cli)) = bed() else { return };
    let settings = [("WORKER_LEASE_SECONDS", "1"), ("RUN_TASK_MAX_ATTEMPTS", "100")];
    let cli = daybook_tests::cli::Cli::new(folder.path(), &settings).unwrap_or(cli);
    valued(&cli, folder.path(), 40);
    let mut few = request("GOOD");
    few["execution"] = json!({"hash_mod": 1});
    let file = write(folder.path(), "good.json", &few);
    let good = lines(&cli, &["runs", "start", &file, "--work"]).pop().unwrap();
    let start = |run: &str| {
        let mut few = few.clone();
        few["run_id"] = json!(run);
        let file = write(folder.path(), "killed.json", &few);
        lines(&cli, &["runs", "start", &file]);
    };
    // Killed once for sure, and then as often as there is something to claim.
    let (killed, worker) = held(&cli, "KILLED", start);
    worker.signal("-KILL");
    let over = |seen: &serde_json::Value| seen["status"] == "COMPLETED";
    let mut claims = shown(&cli, &killed)["claims"].as_u64().unwrap();
    for _ in 0..8 {
        let worker = Worker::start(&cli);
        let seen = until(&cli, &killed, |seen| seen["claims"].as_u64() > Some(claims) || over(seen));
        worker.signal("-KILL");
        if over(&seen) {
            break;
        }
        claims = seen["claims"].as_u64().unwrap();
    }
    cli.output(&["worker", "--until-idle"]);
    let seen = shown(&cli, &killed);
    assert_eq!((&seen["status"], &seen["sha256"]), (&json!("COMPLETED"), &good["sha256"]), "{seen}");
    assert_eq!((&seen["rows"], &seen["tasks"]), (&good["rows"], &good["tasks"]));
}

#[test]
fn a_run_over_its_quota_is_refused_with_its_size() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 15);
    let file = write(folder.path(), "run.json", &request("R"));
    let small = daybook_tests::cli::Cli::new(folder.path(), &[("DAYBOOK_RUNS_MAX_CELLS", "100")]);
    let said = small.unwrap().refused(&["runs", "start", &file], 2);
    assert!(said.contains("cells of 18 positions; at most 100 are allowed"), "{said}");
    cli.refused(&["runs", "show", "R"], 3);
}

#[test]
fn cancelled_is_cancelled() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 15);
    let file = write(folder.path(), "run.json", &request("R"));
    lines(&cli, &["runs", "start", &file]);
    cli.json(&["runs", "cancel", "R", "--reason", "wrong market"], 0);
    cli.output(&["worker", "--until-idle"]);
    let seen = shown(&cli, "R");
    assert_eq!((&seen["status"], &seen["claims"]), (&json!("CANCELLED"), &json!(0)));
    assert!(cli.refused(&["runs", "retry", "R"], 1).contains("cancelled"));
    // Another request under its id is refused, the same one is it.
    let mut other = request("R");
    other["measures"] = json!(["PV"]);
    let other = write(folder.path(), "other.json", &other);
    assert!(cli.refused(&["runs", "start", &other], 1).contains("asked for otherwise"));
    assert_eq!(lines(&cli, &["runs", "start", &file])[0]["status"], "CANCELLED");
}
