//! Files of market data as they were published, where they are at hand.

use daybook_tests::cli::Cli;
use daybook_tests::data;
use serde_json::{Value, json};

use super::{bed, lines, write};

fn file(name: &str) -> Option<String> {
    Some(data("market")?.join(name).to_str().unwrap().to_owned())
}

/// Rows of a file with at least one rate, counted in the simplest way.
fn days(path: &str) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .skip(1)
        .filter(|line| line.split(',').skip(1).any(|cell| cell.trim().parse::<f64>().is_ok()))
        .count()
}

fn imported(cli: &Cli, kind: &str, path: &str) -> (u64, u64) {
    let rows = lines(cli, &["import", kind, path]);
    let sum = |key: &str| rows.iter().map(|row| row[key].as_u64().unwrap()).sum();
    (sum("recorded"), sum("unchanged"))
}

#[test]
fn published_files_are_markets_of_days() {
    let Some((folder, cli)) = bed() else { return };
    let Some(treasury) = file("ust_par_yields_2021_2024.csv") else { return };
    let (ecb, curves) =
        (file("ecb_eurofxref_2015_2023.csv").unwrap(), file("cc_curves_EUR_GBP_USD_2019_2022.csv").unwrap());
    for (kind, path) in [("treasury", &treasury), ("ecb-fx", &ecb), ("curves", &curves)] {
        let all = days(path) as u64;
        assert_eq!(imported(&cli, kind, path), (all, 0), "{path}");
        assert_eq!(imported(&cli, kind, path), (0, all), "{path}");
    }
    assert_eq!(
        imported(&cli, "fixings", &file("sofr_with_index_and_averages_2019_2024.csv").unwrap()),
        (1, 0)
    );
    assert_eq!(imported(&cli, "fixings", &file("fixings_USD-LIBOR-3M_2005_2015.csv").unwrap()), (1, 0));

    let market = lines(&cli, &["market", "compose", "--as-of", "2022-03-01"]).remove(0);
    let ids: Vec<&str> =
        market["curves"].as_array().unwrap().iter().map(|c| c["curve_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["EUR-ZERO", "GBP-ZERO", "USD-ZERO", "USD-TREASURY"]);
    let market = write(folder.path(), "market.json", &market);
    let history = lines(&cli, &["market", "history", "--as-of", "2022-03-01", "--days", "20"]).remove(0);
    assert_eq!(history["scenarios"].as_array().unwrap().len(), 20);
    let history = write(folder.path(), "history.json", &history);
    let note = json!([{"position_id": "note", "product_type": "FIXED_BOND", "terms": {
        "currency": "USD", "face": 1e6, "coupon": 0.015, "start": "2022-02-15", "maturity": "2032-02-15", "discount_curve": "USD-TREASURY"}}]);
    let positions = write(folder.path(), "positions.json", &note);
    let args = [
        "price",
        "--market",
        &market,
        "--positions",
        &positions,
        "--measures",
        "PV,CLEAN_PRICE,EFFECTIVE_DURATION",
    ];
    let rows = lines(&cli, &[&args[..], &["--scenarios", &format!("BASE,{history}")]].concat());
    assert_eq!(rows.len(), 21);
    // The ten-year yield was 1.72 % that day.
    let clean = rows[0]["measures"]["CLEAN_PRICE"]["value"].as_f64().unwrap();
    assert!((97.0..99.0).contains(&clean), "{clean}");
    let duration = rows[0]["measures"]["EFFECTIVE_DURATION"]["value"].as_f64().unwrap();
    assert!((8.9..9.5).contains(&duration), "{duration}");
    let moved: Vec<f64> = rows.iter().map(|row| row["measures"]["PV"]["value"].as_f64().unwrap()).collect();
    assert!(moved[1..].iter().any(|value| (value - moved[0]).abs() > 100.0), "{moved:?}");
}

/// The two and four months' bills appear within a file; blanks are no rates.
#[test]
fn tenors_appear_and_blanks_are_left_out() {
    let Some((_folder, cli)) = bed() else { return };
    let Some(path) = file("ust_par_yields_2021_2024.csv") else { return };
    lines(&cli, &["import", "treasury", &path]);
    let tenors = |date: &str| -> Vec<Value> {
        let market = lines(&cli, &["market", "compose", "--as-of", date]).remove(0);
        market["curves"][0]["nodes"].as_array().unwrap().iter().map(|node| node["tenor"].clone()).collect()
    };
    assert!(!tenors("2022-10-18").contains(&json!("4M")));
    assert!(tenors("2022-10-19").contains(&json!("4M")));
}
