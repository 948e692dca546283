//! `daybook rules`: rules judged before they are saved, and over what is
//! recorded.

use serde_json::{Value, json};

use daybook_tests::cli::Cli;

use super::{daybook, json_lines, text};

fn write(data: &std::path::Path, name: &str, rules: &Value) {
    std::fs::write(data.join(name), rules.to_string()).unwrap();
}

#[test]
fn a_file_of_rules_is_checked() {
    let data = tempfile::tempdir().unwrap();
    let fine = json!({"name": "crashes", "cel": "event.type == 'app_crash'"});
    write(data.path(), "crashes.json", &fine);
    let Some(checked) = daybook(data.path(), &["rules", "check", "crashes.json"]) else { return };
    assert_eq!(text(&checked), "crashes can be saved\n");
    for (rules, told) in [
        (json!({"r": {"name": ""}}), "rule r: /name: must be 1 to 200 bytes"),
        (json!({"r": {"name": "r", "cel": "event."}}), "rule r: /cel: does not parse"),
        (
            json!({"r": {"name": "r", "conditions": [{"path": "$..a..b", "operator": "exists"}]}}),
            "/conditions/0/path",
        ),
        (json!({"r": {"name": "r", "wheel": 1}}), "unknown field `wheel`"),
    ] {
        write(data.path(), "wrong.json", &rules);
        let checked = daybook(data.path(), &["rules", "check", "wrong.json"]).unwrap();
        let error = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!((checked.status.code(), checked.stdout.len()), (Some(2), 0), "{error}");
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn recorded_signals_are_matched_and_watched() {
    let data = tempfile::tempdir().unwrap();
    let orders: String = [("1", 50, "EUR"), ("2", 12_000, "EUR"), ("3", 30_000, "USD"), ("4", 7, "EUR")]
        .map(|(id, total, currency)| {
            json!({"id": id, "total": total, "currency": currency}).to_string() + "\n"
        })
        .concat();
    std::fs::write(data.path().join("orders.jsonl"), orders).unwrap();
    let series: String = (0..200)
        .map(|i| format!("{},{}\n", 1_700_000_000 + i * 60, if (100..103).contains(&i) { 99.0 } else { 5.0 }))
        .collect();
    std::fs::write(data.path().join("cpu.csv"), format!("timestamp,value\n{series}")).unwrap();
    let import =
        ["import", "signals", "--app", "shop", "--format", "ndjson", "--type", "order.seen", "orders.jsonl"];
    let Some(imported) = daybook(data.path(), &import) else { return };
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let import = [
        "import",
        "signals",
        "--app",
        "ops",
        "--format",
        "csv",
        "--time",
        "timestamp",
        "--value",
        "value",
        "cpu.csv",
    ];
    let imported = daybook(data.path(), &import).unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    write(
        data.path(),
        "rules.json",
        &json!({
            "large": {"name": "large orders", "app": "shop", "priority": 1, "cel": "event.data.total >= 10000",
                "conditions": [{"path": "$.data.currency", "operator": "in", "value": ["EUR", "GBP"]}]},
            "any": {"name": "orders", "event_type": "order.seen"},
            "other": {"name": "others", "app": "blog"},
            "busy": {"name": "busy", "app": "ops", "anomaly": {"series": {"of": "value", "path": "$.data.value"},
                "check": {"kind": "threshold", "max": 90.0}, "for_seconds": 60}}
        }),
    );
    let lines = json_lines(&daybook(data.path(), &["rules", "dry-run", "rules.json", "--json"]).unwrap());
    let matched = |rule: &str| -> Vec<&Value> { lines.iter().filter(|l| l["rule"] == rule).collect() };
    assert_eq!(matched("any").len(), 4);
    assert_eq!(matched("other").len(), 0);
    assert_eq!(matched("large").len(), 1);
    // The order of the file is the order of the log.
    assert_eq!(matched("large")[0]["position"], matched("any")[1]["position"]);
    let windows: Vec<(&str, i64)> = matched("busy")
        .iter()
        .map(|l| (l["change"].as_str().unwrap(), l["window"]["start"].as_i64().unwrap() / 1_000_000))
        .collect();
    assert_eq!(windows, [("opened", 1_700_006_000), ("closed", 1_700_006_000)]);
    assert_eq!(matched("busy")[1]["window"]["points"], 3);

    compared(data.path());
    let last = matched("any")[1]["position"].to_string();
    let part = daybook(data.path(), &["rules", "dry-run", "rules.json", "--to", &last]).unwrap();
    assert_eq!(text(&part).lines().count(), 3);
    let again = json_lines(&daybook(data.path(), &["rules", "dry-run", "rules.json", "--json"]).unwrap());
    assert_eq!(again, lines);
}

/// What is in the log already, beside rules that were not saved there: all of it
/// appears, and what no rule says any more is in no file.
fn compared(data: &std::path::Path) {
    let lines = json_lines(&daybook(data, &["rules", "compare", "rules.json", "--json"]).unwrap());
    let of = |rule: &str| lines.iter().find(|l| l["rule"] == rule).unwrap();
    let counts =
        |rule: &str| ["before", "after", "same", "appear", "vanish"].map(|name| of(rule)[name].clone());
    assert_eq!(counts("any"), [0, 4, 0, 4, 0].map(|n| json!(n)));
    assert_eq!((&of("busy")["appear"], &of("busy")["appeared"][0]["peak"]), (&json!(1), &json!(99.0)));
    assert_eq!(of("any")["in_force"], false);
}

/// A rule in force is changed: what appears and what vanishes, and nothing is
/// recorded by asking.
#[tokio::test]
async fn a_changed_rule_is_compared_with_the_one_in_force() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let server = cli.serve();
    let order = |least: u64| {
        json!({"name": "orders", "app": "shop",
            "conditions": [{"path": "$.data.total_cents", "operator": "gte", "value": least},
                {"path": "$.data.total_cents", "operator": "lt", "value": least + 50}]})
    };
    let busy = |max: f64| {
        json!({"name": "busy", "app": "shop", "event_type": "load", "anomaly": {"key": "$.data.string_params.host",
            "series": {"of": "value", "path": "$.data.int_params.v"}, "check": {"kind": "threshold", "max": max},
            "cooldown_seconds": 60}})
    };
    server.post("/v1/rules/orders/define", &order(100)).await.unwrap();
    server.post("/v1/rules/busy/define", &busy(90.0)).await.unwrap();
    let mut events: Vec<Value> = (0..20)
        .map(|n| json!({"appId": "shop", "idempotencyKey": format!("o{n}"), "purchaseComplete": {"totalCents": n * 10}}))
        .collect();
    let load = |minute: i64, v: u64| {
        let at = 1_700_000_000_000_i64 + minute * 60_000;
        json!({"appId": "shop", "idempotencyKey": format!("l{minute}"), "timestampMs": at,
            "custom": {"eventName": "load", "intParams": {"v": v}, "stringParams": {"host": "a"}}})
    };
    events.extend([load(1, 95), load(10, 1), load(20, 85), load(30, 1)]);
    server.post("/v1/events/batch?app=shop", &json!({"events": events})).await.unwrap();
    let listed = server.get("/v1/signals?app=shop&type=load&limit=1", 0).await.unwrap();
    server.stop().unwrap();
    write(data.path(), "changed.json", &json!({"orders": order(120), "busy": busy(80.0)}));
    let lines = json_lines(&daybook(data.path(), &["rules", "compare", "changed.json", "--json"]).unwrap());
    let of = |rule: &str| lines.iter().find(|l| l["rule"] == rule).unwrap();
    let counts = |rule: &str| {
        ["before", "after", "same", "appear", "vanish"].map(|name| of(rule)[name].as_u64().unwrap())
    };
    // 100 to 140 before, 120 to 160 after.
    assert_eq!(counts("orders"), [5, 5, 3, 2, 2], "{listed}");
    assert_eq!(of("orders")["vanished"][0]["id"], "o10");
    assert_eq!(of("orders")["appeared"][1]["id"], "o16");
    assert_eq!(counts("busy"), [1, 2, 1, 1, 0]);
    assert_eq!(
        (&of("busy")["appeared"][0]["key"], &of("busy")["appeared"][0]["peak"]),
        (&json!("a"), &json!(85.0))
    );
    let table = text(&daybook(data.path(), &["rules", "compare", "changed.json", "--show", "1"]).unwrap());
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("rule") && lines[0].ends_with("vanish"), "{table}");
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["orders", "24", "5", "5", "3", "2", "2"]);
    assert!(table.contains("orders vanishes 1 more"), "{table}");
}
