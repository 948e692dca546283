//! One shot, from files.

use daybook_tests::cli::Cli;
use serde_json::{Value, json};

use super::{bed, cash, lines, old_loan, old_market, write};

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value}"));
    assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
}

/// The replaced service's files and run request, and the values that it gave.
#[test]
fn the_old_shapes_are_priced() {
    let Some((folder, cli)) = bed() else { return };
    let market = write(folder.path(), "market.json", &old_market());
    let book = json!({"as_of_time": "2026-01-23T00:00:00Z", "portfolio_node_id": "BOOK-PRIME-LOANS", "positions": [old_loan("POS-SFC_5685642")]});
    let positions = write(folder.path(), "positions.json", &book);
    let run = json!({
        "run_id": "RUN-1", "run_type": "SANDBOX", "as_of_time": "2026-01-23T00:00:00Z", "market_snapshot_id": "MKT-DEMO-20260123",
        "portfolio_scope": {"node_ids": ["BOOK-PRIME-LOANS"]}, "measures": ["PV", "DV01"],
        "scenarios": [{"scenario_set_id": "BASE"}, {"scenario_set_id": "SPREAD_25BP"}, {"scenario_set_id": "RATES_PARALLEL_1BP"}],
        "execution": {"hash_mod": 8}});
    let run = write(folder.path(), "run.json", &run);
    let rows = lines(&cli, &["price", "--market", &market, "--positions", &positions, "--run", &run]);
    assert_eq!(rows.len(), 3);
    let pv = |row: usize| &rows[row]["measures"]["PV"];
    close(&pv(0)["value"], 2609.1074237980843);
    assert_eq!((&pv(0)["rounded"], &pv(0)["currency"]), (&json!("2609.11"), &json!("USD")));
    close(&rows[0]["measures"]["DV01"]["value"], -0.07494925866421909);
    assert_eq!(rows[1]["scenario_id"], "SPREAD_25BP");
    close(&pv(1)["value"], 2607.2344939499026);
    // The bump is taken from the shifted market.
    let shifted = rows[2]["measures"]["DV01"]["value"].as_f64().unwrap();
    assert!((-0.0750..-0.0749).contains(&shifted), "{shifted}");
    // Flows that do not repay the principal are not silently a loan.
    assert_eq!(pv(0)["quality"], "missing");
    assert!(rows[0]["notes"][0].as_str().unwrap().contains("of the principal 20229.70"), "{}", rows[0]);
    // A run as of another day is none.
    let other = write(folder.path(), "other.json", &json!({"as_of_time": "2026-01-22", "measures": ["PV"]}));
    let said = cli.refused(&["price", "--market", &market, "--positions", &positions, "--run", &other], 2);
    assert!(said.contains("2026-01-22"), "{said}");
}

fn mixed(folder: &std::path::Path) -> (String, String) {
    let market = write(folder, "market.json", &old_market());
    let positions = json!([
        cash("a", 5.0),
        {"position_id": "b", "product_type": "WEATHER_SWAP", "terms": {}},
        {"position_id": "c", "product_type": "FX_FWD", "book": "DESK/FX", "terms": {"pair": "EURUSD", "amount": 1.0, "rate": 1.0, "date": "2026-05-01"}},
        {"position_id": "d", "product_type": "CASH", "quantity": 0, "terms": {"currency": "USD", "amount": 1.0}},
        {"product_type": "CASH"},
        cash("a", 6.0)]);
    (market, write(folder, "positions.json", &positions))
}

#[test]
fn bad_positions_are_flagged_rows_and_named_up_front() {
    let Some((folder, cli)) = bed() else { return };
    let (market, positions) = mixed(folder.path());
    let args = ["price", "--market", &market, "--positions", &positions];
    let rows = lines(&cli, &args);
    let flag = |id: &str| {
        let row =
            rows.iter().find(|row| row["position_id"] == id && row["measures"]["PV"]["flag"] != Value::Null);
        row.unwrap_or_else(|| panic!("{id} in {rows:?}"))["measures"]["PV"].clone()
    };
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0]["measures"]["PV"]["value"], 5.0);
    assert_eq!(flag("b")["flag"], "unsupported_product");
    assert_eq!((&flag("c")["flag"], &flag("c")["value"]), (&json!("missing_curve"), &Value::Null));
    assert_eq!(flag("d")["flag"], "refused");
    assert_eq!(flag("line:5")["flag"], "bad_row");
    assert!(flag("a")["reason"].as_str().unwrap().contains("differs"));
    let said = cli.refused(&[&args[..], &["--strict"]].concat(), 2);
    assert!(said.contains("WEATHER_SWAP") && said.contains("none discounts EUR"), "{said}");
}

#[test]
fn what_nobody_knows_is_refused() {
    let Some((folder, cli)) = bed() else { return };
    let (market, positions) = mixed(folder.path());
    let refused = |more: &[&str]| {
        cli.refused(&[&["price", "--market", &market, "--positions", &positions], more].concat(), 2)
    };
    assert!(refused(&["--measures", "PV,PVX"]).contains("unknown measures PVX"));
    assert!(refused(&["--scenarios", "NOPE"]).contains("NOPE"));
    let missing = write(
        folder.path(),
        "set.json",
        &json!({"scenario_set_id": "S", "kind": "parallel", "size": 1e-4, "curves": ["NOPE"]}),
    );
    assert!(refused(&["--scenarios", &missing]).contains("there is no curve NOPE"));
    let bad = write(
        folder.path(),
        "bad.json",
        &json!({"as_of_time": "2026-01-23", "curves": [{"curve_id": "X", "nodes": []}]}),
    );
    let said = cli.refused(&["price", "--market", &bad, "--positions", &positions], 2);
    assert!(said.contains("curve X"), "{said}");
}

/// Without `--json`.
fn text(cli: &Cli, args: &[&str]) -> String {
    let mut command = std::process::Command::new(daybook_tests::server::binary().unwrap());
    let output = command.args(args).arg("--data-dir").arg(&cli.data).current_dir(&cli.data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rows_of_csv_in_and_out() {
    let Some((folder, cli)) = bed() else { return };
    let market = write(folder.path(), "market.json", &old_market());
    let positions = folder.path().join("positions.csv");
    std::fs::write(&positions, "position_id,product_type,book,quantity,currency,amount,tag.desk\np1,CASH,A/B,2,USD,5.25,rates\np2,CASH,C,-1,EUR,3,\n").unwrap();
    let positions = positions.to_str().unwrap();
    let args = [
        "price",
        "--market",
        &market,
        "--positions",
        positions,
        "--measures",
        "PV,PV_BASE",
        "--base-currency",
        "USD",
    ];
    let printed = text(&cli, &[&args[..], &["--csv"]].concat());
    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(printed.len(), 5, "{printed:?}");
    assert_eq!(printed[1], "p1,A/B,CASH,BASE,PV,10.5,10.50,USD,ok,,,");
    assert!(printed[4].starts_with("p2,C,CASH,BASE,PV_BASE,-3.27"), "{}", printed[4]);
    assert_eq!(lines(&cli, &[&args[..], &["--book", "A"]].concat()).len(), 1);
    let table = text(&cli, &args);
    assert!(table.contains("p1") && table.contains("10.50"), "{table}");
}

/// Buckets add up to the parallel shift, through files.
#[test]
fn scenario_sets_from_a_file() {
    let Some((folder, cli)) = bed() else { return };
    let market = write(folder.path(), "market.json", &old_market());
    let bond = json!([{"position_id": "z", "product_type": "ZERO_BOND", "terms": {"currency": "USD", "face": 1e6, "maturity": "2030-01-23"}}]);
    let positions = write(folder.path(), "positions.json", &bond);
    let sets = json!({"scenarios": ["BASE", {"scenario_set_id": "UP", "kind": "parallel", "size": 1e-4},
        {"scenario_set_id": "KR", "kind": "bucketed", "size": 1e-4, "buckets": ["1Y", "3Y", "5Y", 10.0]}]});
    let sets = write(folder.path(), "sets.json", &sets);
    let args = [
        "price",
        "--market",
        &market,
        "--positions",
        &positions,
        "--scenarios",
        &sets,
        "--measures",
        "PV,DV01,DV01_BUCKETED",
    ];
    let rows = lines(&cli, &args);
    let names: Vec<&str> = rows.iter().map(|row| row["scenario_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["BASE", "UP", "KR:1Y", "KR:3Y", "KR:5Y", "KR:10Y"]);
    let pv: Vec<f64> = rows.iter().map(|row| row["measures"]["PV"]["value"].as_f64().unwrap()).collect();
    let parallel = pv[1] - pv[0];
    let buckets: f64 = pv[2..].iter().map(|value| value - pv[0]).sum();
    assert!((parallel - buckets).abs() < 1e-3 * parallel.abs(), "{parallel} {buckets}");
    assert!((rows[0]["measures"]["DV01"]["value"].as_f64().unwrap() - parallel).abs() < 1e-9);
}
