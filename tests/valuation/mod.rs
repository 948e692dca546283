//! Valuation through the binary: `daybook price`, `positions`, `market`, `runs`, the
//! importers of published market data, workers and HTTP.

mod faults;
mod files;
mod http;
mod imports;
mod recorded;
mod repricing;
mod runs;
mod whole;

use std::path::Path;

use daybook::valuation::sample as book;
use daybook_tests::cli::Cli;
use serde_json::{Value, json};

/// A folder of its own, on SQLite.
fn bed() -> Option<(tempfile::TempDir, Cli)> {
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::new(folder.path(), &[])?;
    Some((folder, cli))
}

fn write(folder: &Path, name: &str, value: &Value) -> String {
    let file = folder.join(name);
    std::fs::write(&file, value.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Every line that a command prints, which must end well.
fn lines(cli: &Cli, args: &[&str]) -> Vec<Value> {
    let output = cli.output(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The replaced service's shape: curves with zero rates by tenor.
fn old_market() -> Value {
    json!({
        "snapshot_id": "MKT-DEMO-20260123", "as_of_time": "2026-01-23T00:00:00Z", "vendor": "DEMO", "universe_id": "USD",
        "fx_spots": [{"pair": "EURUSD", "spot": 1.09, "ts": "2026-01-23T00:00:00Z"}],
        "curves": [
            {"curve_id": "USD-OIS", "curve_type": "DISCOUNT", "nodes": [
                {"tenor": "1M", "zero_rate": 0.045}, {"tenor": "6M", "zero_rate": 0.046}, {"tenor": "1Y", "zero_rate": 0.047}]},
            {"curve_id": "LOAN-SPREAD", "curve_type": "SPREAD", "nodes": [{"tenor": "1Y", "zero_rate": 0.02}]}],
        "quality": {"dq_status": "PASS", "issues": []}
    })
}

/// One of its loans, with the flows of its first six months.
fn old_loan(id: &str) -> Value {
    let mut owed = 20229.7;
    let flows: Vec<Value> = (2..8)
        .map(|month| {
            let interest = owed * 0.195 / 12.0;
            let principal = 443.15 - interest;
            owed -= principal;
            json!({"pay_date": format!("2026-{month:02}-23"), "interest": interest, "principal": principal, "amount": 443.15})
        })
        .collect();
    json!({
        "position_id": id, "instrument_id": "SFC_5685642", "product_type": "AMORT_LOAN", "quantity": 1.0,
        "attributes": {
            "as_of_date": "2026-01-23", "last_payment_date": "2025-12-23", "current_principal": 20229.7, "coupon_rate": 0.195,
            "fico": 730, "state": "FL", "city": "RUSKIN",
            "instrument": {"instrument_type": "AMORT_LOAN", "terms": {"currency": "USD", "day_count": "30/360"},
                           "risk_modeling": {"discount_curve": "USD-OIS", "spread_curve": "LOAN-SPREAD"}},
            "cashflows": flows}
    })
}

fn cash(id: &str, amount: f64) -> Value {
    json!({"position_id": id, "book": "DESK/CASH", "product_type": "CASH", "terms": {"currency": "USD", "amount": amount}})
}
