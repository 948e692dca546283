//! From published files to the cube of a portfolio of every product, with two
//! workers of which one is killed. `DAYBOOK_RUN_POSITIONS` and `DAYBOOK_RUN_DAYS`
//! make it larger.

use std::time::Instant;

use daybook_tests::cli::Cli;
use serde_json::{Value, json};

use super::runs::{Worker, held, until};
use super::{bed, book, lines, write};

fn file(name: &str) -> Option<String> {
    Some(daybook_tests::data("market")?.join(name).to_str().unwrap().to_owned())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The market of a day as it was published, and what nobody publishes.
fn market(cli: &Cli) -> Value {
    let mut market = lines(cli, &["market", "compose", "--as-of", "2022-03-01"]).remove(0);
    let made = book::market("MADE");
    let curve =
        |id: &str| made["curves"].as_array().unwrap().iter().find(|c| c["curve_id"] == id).unwrap().clone();
    let curves = market["curves"].as_array_mut().unwrap();
    curves.extend([curve("USD-3M"), curve("LOAN-SPREAD"), curve("ACME-CDS")]);
    market["discount_curves"] = json!({"USD": "USD-ZERO"});
    for name in ["volatilities", "equities"] {
        market[name] = made[name].clone();
    }
    market["snapshot_id"] = json!("EOD");
    market
}

#[test]
fn a_portfolio_of_every_product_on_published_markets() {
    let Some((folder, _)) = bed() else { return };
    let Some(treasury) = file("ust_par_yields_2021_2024.csv") else { return };
    let Some(cli) = Cli::new(folder.path(), &[("WORKER_LEASE_SECONDS", "1")]) else { return };
    let (ecb, curves) =
        (file("ecb_eurofxref_2015_2023.csv").unwrap(), file("cc_curves_EUR_GBP_USD_2019_2022.csv").unwrap());
    for (kind, path) in [("treasury", &treasury), ("ecb-fx", &ecb), ("curves", &curves)] {
        lines(&cli, &["import", kind, path]);
    }
    let composed = write(folder.path(), "market.json", &market(&cli));
    lines(&cli, &["market", "record", &composed]);
    let count = setting("DAYBOOK_RUN_POSITIONS", 60);
    let rows = write(folder.path(), "positions.json", &json!(book::positions(2022, count)));
    lines(&cli, &["positions", "open", &rows]);
    let days = setting("DAYBOOK_RUN_DAYS", 20);
    let request = |run: &str| {
        json!({"run_id": run, "market_snapshot_id": "EOD", "measures": ["PV", "PV_BASE", "DV01"], "execution": {"hash_mod": 2},
               "scenarios": ["BASE", "RATES_PARALLEL_1BP",
                   {"scenario_set_id": "KR", "kind": "bucketed", "size": 0.0001},
                   {"scenario_set_id": "HIST", "kind": "historical", "days": days}]})
    };
    let start = |run: &str, more: &[&str]| {
        let file = write(folder.path(), &format!("{run}.json"), &request(run));
        lines(&cli, &[&["runs", "start", &file], more].concat())
    };
    let begun = Instant::now();
    let one = start("ONE", &["--work"]);
    eprintln!("one worker: {:?}", begun.elapsed());
    assert_eq!((&one[0]["unpriced_count"], &one[0]["scenarios"]), (&json!(0), &json!(13 + days)));
    let begun = Instant::now();
    let (run, killed) = held(&cli, "TWO", |run| drop(start(run, &[])));
    let _second = Worker::start(&cli);
    let _third = Worker::start(&cli);
    killed.signal("-KILL");
    let two = until(&cli, &run, |seen| seen["status"] == "COMPLETED");
    eprintln!("two workers and one killed: {:?}", begun.elapsed());
    assert_eq!(two["sha256"], one.last().unwrap()["sha256"]);
    eprintln!("{} cells in {} bytes: {}", two["rows"], two["bytes"], two["sha256"]);
    let summary = lines(&cli, &["runs", "summary", &run]).remove(0);
    assert_eq!((&summary["flagged_rows"], &summary["complete"]), (&json!(0), &json!(true)), "{summary}");
    let begun = Instant::now();
    let risk = lines(&cli, &["runs", "risk", &run, "--scenario", "HIST:*", "--by", "book"]).remove(0);
    eprintln!("risk: {:?}, {}", begun.elapsed(), risk["total"]);
    assert_eq!((&risk["positions"], &risk["excluded"]), (&json!(count), &json!(0)));
    assert!(risk["total"].as_array().unwrap().iter().all(|r| r["es"].as_f64() >= r["var"].as_f64()));
    let explained = lines(&cli, &["runs", "explain", &run, "P-000010"]).remove(0);
    assert_eq!(explained["reproduced"], json!(true), "{explained}");
}
