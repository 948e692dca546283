//! A store of results that fails, and one whose objects were changed.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::runs::{request, shown, valued};
use super::{bed, lines, write};

fn objects(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(objects(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

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
    let object = objects(&folder.path().join("results")).remove(0);
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
