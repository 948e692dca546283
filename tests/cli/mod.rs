//! The command line as people and scripts use it.

mod anomaly;
mod bus;
mod compare;
mod dfs;
mod dfs_models;
mod dfs_record;
mod rules;
#[cfg(feature = "sql")]
mod sql;
pub mod style;

use std::path::Path;
use std::process::{Command, Output};

use daybook_tests::server::{Server, binary};
use daybook_tests::skip;
use serde_json::Value;

/// `None` after a line that says why.
fn daybook(data: &Path, args: &[&str]) -> Option<Output> {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return None;
    };
    let output = Command::new(binary)
        .args(args)
        .arg("--data-dir")
        .arg(data)
        .current_dir(data)
        .env("LOG_LEVEL", "warn")
        .output()
        .unwrap();
    Some(output)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text(output).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let data = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| daybook(data.path(), args);
    let Some(version) = run(&["version"]) else { return };
    assert_eq!(version.status.code(), Some(0));
    assert!(text(&version).starts_with("daybook "));
    let code = |args: &[&str]| run(args).unwrap().status.code();
    assert_eq!(code(&["eat"]), Some(2));
    assert_eq!(code(&["events", "show", "9"]), Some(3));
    assert_eq!(code(&["events", "stream", "band/b1"]), Some(3));
    assert_eq!(code(&["keys", "revoke", "nobodys"]), Some(3));
    assert_eq!(code(&["projections", "retry", "nothing"]), Some(3));
    assert_eq!(code(&["import", "clicks", "--format", "bitly-jsonl", "missing.jsonl"]), Some(1));
    let wrong = run(&["serve", "--listen", "nowhere"]).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--listen"));
}

#[test]
fn completions_know_the_commands() {
    let data = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let Some(script) = daybook(data.path(), &["completions", shell]) else { return };
        assert!(text(&script).contains("projections"), "{shell}");
    }
}

#[test]
fn clicks_import_once() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("clicks.jsonl");
    let click = r#"{"a":"Mozilla/5.0","c":"US","g":"abc","u":"http://a.example/","t":1331923247}"#;
    std::fs::write(&file, format!("{click}\n{click}\n{{\"_heartbeat_\": 1}}\nbroken\n")).unwrap();
    let import = || {
        let args = ["--json", "import", "clicks", "--format", "bitly-jsonl", "clicks.jsonl"];
        daybook(data.path(), &args)
    };
    let Some(first) = import() else { return };
    let total = json_lines(&first)[0]["total"].clone();
    let figures = |t: &Value| ["taps", "duplicates", "heartbeats", "broken"].map(|n| t[n].as_u64().unwrap());
    assert_eq!(figures(&total), [1, 1, 1, 1]);
    let again = json_lines(&import().unwrap())[0]["total"].clone();
    assert_eq!(figures(&again), [0, 2, 1, 1]);
    let events =
        json_lines(&daybook(data.path(), &["--json", "events", "tail", "--type", "band.tapped"]).unwrap());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["occurred_at"], "2012-03-16T18:40:47Z");
    let position = events[0]["position"].to_string();
    let shown = json_lines(&daybook(data.path(), &["--json", "events", "show", &position]).unwrap());
    assert_eq!(shown[0]["leaf_matches"], true);
}

#[tokio::test]
async fn keys_from_the_command_line_open_the_server() {
    let data = tempfile::tempdir().unwrap();
    let create = ["--json", "keys", "create", "--name", "reports", "--role", "reader", "--tenant", "acme"];
    let Some(created) = daybook(data.path(), &create) else { return };
    let created = json_lines(&created).remove(0);
    let key = created["key"].as_str().unwrap();
    let server = Server::start(&binary().unwrap(), data.path(), &[]).unwrap();
    let list = reqwest::Client::new().get(format!("{}/v1/events", server.url)).header("X-API-Key", key);
    assert_eq!(list.send().await.unwrap().status(), 200);
    server.stop().unwrap();
    let listed = json_lines(&daybook(data.path(), &["--json", "keys", "list", "--tenant", "acme"]).unwrap());
    assert_eq!(listed[0]["name"], "reports");
    assert!(!listed[0].to_string().contains(key));
    let id = created["id"].as_str().unwrap();
    assert!(daybook(data.path(), &["keys", "revoke", id, "--tenant", "acme"]).unwrap().status.success());
    let listed = json_lines(&daybook(data.path(), &["--json", "projections"]).unwrap());
    assert_eq!(listed.len(), projections::all().len());
}
