//! `daybook replay compare` on a log of two tenants, by itself and on a server.

use std::path::Path;

use daybook_tests::server::{KEY, Server, binary};
use serde_json::{Value, json};

use super::{daybook, text};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1";
const COMPARE: [&str; 3] = ["replay", "compare", "tap_analytics"];

/// Runs it and expects this exit code; the last line that it printed.
fn run(data: &Path, args: &[&str], code: i32) -> Value {
    let output = daybook(data, &[&["--json"], args].concat()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    let text = text(&output);
    text.lines().last().map_or(json!(errors), |line| serde_json::from_str(line).unwrap())
}

/// Taps of iPhones, and of a program, by two tenants.
fn taps(data: &Path) -> Option<()> {
    for (tenant, count) in [("default", 6), ("rival", 4)] {
        let line = |n: usize| {
            let agent = if n.is_multiple_of(3) { "curl/8" } else { IPHONE };
            format!(
                r#"{{"a":"{agent}","c":"US","g":"{tenant}-{n}","u":"http://a.example/","t":{}}}"#,
                1_331_923_247 + 60 * n
            )
        };
        let lines: Vec<String> = (0..count).map(line).collect();
        let file = format!("{tenant}.jsonl");
        std::fs::write(data.join(&file), lines.join("\n")).unwrap();
        let import = ["import", "clicks", "--format", "bitly-jsonl", "--tenant", tenant, &file];
        assert!(daybook(data, &import)?.status.success());
    }
    let other = r#"{"patterns": [{"contains": "iPhone", "class": "monitor"}]}"#;
    std::fs::write(data.join("p.json"), other).unwrap();
    run(data, &["model", "set", "tap_analytics", "bots@2", "--params", "p.json"], 0);
    Some(())
}

fn built(data: &Path, more: &[&str]) -> String {
    let built = run(data, &[&["replay", "build", "tap_analytics"], more].concat(), 0);
    assert_eq!(built["generation"]["status"], "ready", "{built}");
    built["generation"]["generation"].to_string()
}

fn total<'a>(found: &'a Value, table: &str, field: &str) -> &'a Value {
    let named = |list: &'a Value, member: &str, name: &str| {
        let found = list.as_array().unwrap().iter().find(|x| x[member] == *name);
        found.unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    &named(&named(&found["tables"], "table", table)["fields"], "field", field)["total"]
}

#[test]
fn what_a_model_changes_is_told_and_the_same_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let Some(()) = taps(data) else { return };
    let none = run(data, &COMPARE, 1);
    assert!(none.as_str().unwrap().contains("there is no ready generation of tap_analytics"), "{none}");
    run(data, &["replay", "compare", "eaters"], 3);
    run(data, &["replay", "compare", "tap_analytics", "7"], 3);

    let number = built(data, &[]);
    let found = run(data, &[&COMPARE[..], &["--explain", "--ndjson", "all", "--html", "page"]].concat(), 4);
    assert_eq!((&found["same"], &found["elsewhere"]), (&json!(false), &Value::Null));
    assert_eq!(found["new"]["generation"].to_string(), number);
    assert_eq!(found["old"]["position"], found["new"]["position"]);
    let taps = total(&found, "summary", "taps");
    assert_eq!((&taps["old"], &taps["new"], &taps["difference"]), (&json!(6), &json!(0), &json!(-6)));
    let row = found["rows"].as_array().unwrap().iter().find(|r| r["table"] == "summary").unwrap();
    let behind = if row["tenant"] == "default" { 6 } else { 4 };
    assert_eq!((&row["change"], &row["events"]["count"]), (&json!("changed"), &json!(behind)), "{row}");

    let lines = std::fs::read_to_string(data.join("all")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let differing = ["added", "removed", "changed"].map(|n| found[n].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(lines.len() as u64, differing);
    assert!(["default", "rival"].iter().all(|t| lines.iter().any(|l| l["tenant"] == **t)));
    let page = std::fs::read_to_string(data.join("page")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("Taps per minute"));
    assert!(!page.contains("<script"), "nothing runs in a report");
    let told = daybook(data, &COMPARE).unwrap();
    assert_eq!(told.status.code(), Some(4));
    assert!(text(&told).contains("\nDifferent: "), "{}", text(&told));

    let again = built(data, &[]);
    let same = run(data, &["replay", "compare", "tap_analytics", &again, "--against", &number], 0);
    assert_eq!((&same["same"], &same["old"]["checksum"]), (&json!(true), &same["new"]["checksum"]));
    let status = run(data, &["replay", "status", "tap_analytics"], 0);
    let recorded = |n: &str| {
        let all = status["generations"].as_array().unwrap();
        all.iter().find(|g| g["generation"].as_u64() == n.parse().ok()).unwrap()["compared"].clone()
    };
    assert_eq!((&recorded(&again)["same"], &recorded(&number)["same"]), (&json!(true), &json!(false)));
}

fn key(data: &Path, tenant: &str, role: &str) -> String {
    let create = ["keys", "create", "--name", "ops", "--role", role, "--tenant", tenant];
    run(data, &create, 0)["key"].as_str().unwrap().to_owned()
}

async fn asked(server: &Server, key: &str, body: &Value) -> (u16, Value) {
    let path = format!("{}/v1/replays/tap_analytics/compare", server.url);
    let answer = reqwest::Client::new().post(path).header("X-API-Key", key).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_server_tells_a_key_the_rows_of_its_own_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let Some(()) = taps(data) else { return };
    let [rival, all] = ["rival", "_system"].map(|tenant| key(data, tenant, "operator"));
    let reader = key(data, "default", "reader");
    let server = Server::start(&binary().unwrap(), data, &[]).unwrap();
    let (status, problem) = asked(&server, KEY, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/conflict")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("no ready generation"));
    assert_eq!(asked(&server, &reader, &json!({})).await.0, 403);
    let (status, problem) = asked(&server, KEY, &json!({"top": 1_001})).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/top")));
    assert_eq!(asked(&server, KEY, &json!({"generation": 9})).await.0, 404);
    let (status, problem) = asked(&server, KEY, &json!({"generation": 1, "against": 1})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/conflict")), "{problem}");

    let over = ["--server", &server.url, "--key", KEY];
    let number = built(data, &over);
    let mut totals = Vec::new();
    for (key, tenants) in [(KEY, &["default"][..]), (&rival, &["rival"]), (&all, &["default", "rival"])] {
        let (status, found) = asked(&server, key, &json!({"explain": true, "top": 1_000})).await;
        assert_eq!((status, &found["same"]), (200, &json!(false)), "{found}");
        let mut told: Vec<_> =
            found["rows"].as_array().unwrap().iter().map(|r| r["tenant"].as_str().unwrap()).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, tenants);
        assert_eq!(found.to_string().contains("rival"), tenants.contains(&"rival"));
        let count = |of: &Value| ["added", "removed", "changed"].map(|n| of[n].as_u64().unwrap_or(0));
        let (own, other) = (count(&found), count(&found["elsewhere"]));
        totals.push([own[0] + other[0], own[1] + other[1], own[2] + other[2]]);
    }
    assert!(totals.windows(2).all(|pair| pair[0] == pair[1]), "{totals:?}");

    let found = run(data, &[&COMPARE[..], &over, &["--html", "page"]].concat(), 4);
    assert_eq!(total(&found, "summary", "taps")["difference"], -4, "{found}");
    assert!(std::fs::read_to_string(data.join("page")).unwrap().contains("rows of other tenants differ"));
    let told = run(data, &[&COMPARE[..], &over, &["--ndjson", "all"]].concat(), 4);
    assert_eq!((&told["tables"], &told["rows"]), (&found["tables"], &found["rows"]));
    let lines = std::fs::read_to_string(data.join("all")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let own = ["added", "removed", "changed"].map(|n| found[n].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(lines.len() as u64, own);
    assert!(lines.iter().all(|l| l["tenant"] == "default"), "{lines:?}");
    let again = built(data, &over);
    let same = [&COMPARE[..], &[&again, "--against", &number], &over, &["--ndjson", "none"]].concat();
    assert_eq!(run(data, &same, 0)["same"], true);
    assert_eq!(std::fs::read_to_string(data.join("none")).unwrap(), "");
    run(data, &[&COMPARE[..], &["9"], &over, &["--ndjson", "none"]].concat(), 3);
    server.stop().unwrap();
}
