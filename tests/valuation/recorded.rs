//! Facts of the configured log: positions and snapshots.

use serde_json::json;

use super::{bed, cash, lines, old_market, write};

#[test]
fn positions_live_in_the_log() {
    let Some((folder, cli)) = bed() else { return };
    let rows = folder.path().join("positions.ndjson");
    std::fs::write(&rows, format!("{}\n{}\n{{\"position_id\": \"x\"}}\n", cash("a", 5.0), cash("b", 7.0)))
        .unwrap();
    let rows = rows.to_str().unwrap();
    let answered = |args: &[&str], code: i32| -> Vec<serde_json::Value> {
        let output = cli.output(args);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let status = |rows: &[serde_json::Value]| -> Vec<String> {
        rows.iter().map(|row| row["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(status(&answered(&["positions", "open", rows], 2)), ["recorded", "recorded", "rejected"]);
    assert_eq!(status(&answered(&["positions", "open", rows], 2)), ["unchanged", "unchanged", "rejected"]);
    let amended = write(folder.path(), "amended.json", &json!([cash("a", 6.0), cash("nobody", 1.0)]));
    assert_eq!(status(&answered(&["positions", "amend", &amended], 2)), ["recorded", "rejected"]);
    lines(&cli, &["positions", "transfer", "a", "--to", "OTHER/BOOK"]);
    lines(&cli, &["positions", "tag", "a", "strategy=carry"]);
    lines(&cli, &["positions", "close", "b", "--reason", "sold"]);
    let held = lines(&cli, &["positions", "list"]);
    assert_eq!(held.len(), 1);
    assert_eq!(
        (&held[0]["book"], &held[0]["terms"]["amount"], &held[0]["tags"]["strategy"]),
        (&json!("OTHER/BOOK"), &json!(6.0), &json!("carry"))
    );
    // What is recorded is what is priced.
    let market = write(folder.path(), "market.json", &old_market());
    let priced = lines(&cli, &["price", "--market", &market]);
    assert_eq!((priced.len(), &priced[0]["measures"]["PV"]["value"]), (1, &json!(6.0)));
    assert_eq!(answered(&["price", "--market", &market, "--book", "NOWHERE"], 2).len(), 0);
}

#[test]
fn the_same_snapshot_is_recorded_once() {
    let Some((folder, cli)) = bed() else { return };
    let market = write(folder.path(), "market.json", &old_market());
    let mut renamed = old_market();
    renamed["snapshot_id"] = json!("OTHER");
    let renamed = write(folder.path(), "renamed.json", &renamed);
    let answers = lines(&cli, &["market", "record", &market, &renamed]);
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    assert_eq!((&answers[0]["status"], &answers[1]["status"]), (&json!("recorded"), &json!("unchanged")));
    let listed = lines(&cli, &["market", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["count"]), (&json!("DEMO"), &json!(1)));
    // As of a later day it is there, and stale.
    let composed = lines(&cli, &["market", "compose", "--as-of", "2026-02-02"]);
    assert_eq!(composed[0]["fx_spots"][0]["quality"], "stale");
    assert!(cli.refused(&["market", "compose", "--as-of", "2026-01-02"], 3).contains("2026-01-02"));
}
