//! Which keys sign, as the log tells.

use daybook_tests::cli::Cli;
use serde_json::{Value, json};

use super::bed::{Bed, ORIGIN};

fn told(cli: &Cli) -> Vec<(Value, bool)> {
    let listed = String::from_utf8(cli.output(&["audit", "keys", "list"]).stdout).unwrap();
    let of = |line: &str| {
        let key: Value = serde_json::from_str(line).unwrap();
        (key["key"].clone(), key["retired"].as_bool().unwrap())
    };
    listed.lines().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_added_once_and_retired_once() {
    let Some(bed) = Bed::sqlite() else { return };
    assert_eq!(told(&bed.cli), [], "nothing has signed yet");
    let public = bed.file("key");
    bed.cli.refused(&["audit", "keys", "retire", &public], 3);
    let first = json!(std::fs::read_to_string(&public).unwrap());
    for _ in 0..2 {
        bed.cli.serve().stop().unwrap();
        assert_eq!(told(&bed.cli), [(first.clone(), false)]);
    }

    // A second key, with which both sign; then the first one goes.
    let (old, new) = (bed.cli.data.parent().unwrap().join("log.key"), bed.file("new.key"));
    let second = bed.cli.json(&["audit", "keys", "generate", ORIGIN, "--out", &new], 0)["key"].clone();
    let both = format!("{},{new}", old.display());
    let rotating = Cli::new(&bed.cli.data, &[("AUDIT_SIGNING_KEYS", &both)]).unwrap();
    rotating.serve().stop().unwrap();
    assert_eq!(told(&rotating), [(first.clone(), false), (second.clone(), false)]);
    let rotated = Cli::new(&bed.cli.data, &[("AUDIT_SIGNING_KEYS", &new)]).unwrap();
    let retired = rotated.json(&["audit", "keys", "retire", &public], 0);
    assert_eq!(rotated.json(&["audit", "keys", "retire", &public], 0), retired, "once");
    rotated.serve().stop().unwrap();
    assert_eq!(told(&rotated), [(first.clone(), false), (second, false), (first, true)]);
    let event = rotated.json(&["events", "show", &retired["position"].to_string()], 0);
    assert_eq!((&event["type"], &event["tenant"]), (&json!("log_key.retired"), &json!("_system")));
}
