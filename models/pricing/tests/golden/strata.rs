//! OpenGamma Strata's swaps.

use models_pricing::measures::Measure;
use serde_json::{Map, Value, json};

use super::{Table, golden, market, measured, one};

fn index_of(curve: &str) -> Vec<&str> {
    if curve.contains("FEDFUND") { vec!["USD_FED_FUND"] } else { vec![curve] }
}

fn e2e_leg(leg: &Value) -> Value {
    let kind = leg["type"].as_str().unwrap();
    let (notional, step) = match &leg["notional"] {
        Value::Object(steps) => (steps["initial"].clone(), steps["step_per_3m_period"].clone()),
        plain => (plain.clone(), json!(0.0)),
    };
    let mut read = json!({
        "type": kind, "side": leg["side"], "currency": "USD", "notional": notional, "notional_step": step,
        "start": leg["start"], "end": leg["end"], "frequency": leg["payment_frequency"],
        "day_count": leg["day_count"], "calendar": "E2E", "payment_lag": leg["payment_lag_bd"],
    });
    for name in ["rate", "index", "spread", "stub"] {
        if leg.get(name).is_some_and(|value| !value.is_null()) {
            read[name] = leg[name].clone();
        }
    }
    read
}

#[test]
fn six_dollar_swaps() {
    let Some(folder) = golden("strata_e2e") else { return };
    let text = std::fs::read_to_string(folder.join("usd_swaps_2014-01-22.json")).unwrap();
    let data: Value = serde_json::from_str(&text).unwrap();
    let curves: Vec<Value> = data["curves"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, curve)| {
            let times = curve["times_act_act_isda"].as_array().unwrap();
            let rates = curve["zero_rates_continuous"].as_array().unwrap();
            let nodes: Vec<Value> =
                times.iter().zip(rates).map(|(t, z)| json!({"time": t, "value": z})).collect();
            json!({"curve_id": name, "currency": "USD", "kind": "zero", "day_count": "ACT/ACT ISDA",
                   "indices": index_of(name), "nodes": nodes})
        })
        .collect();
    let indices: Vec<Value> = ["USD_LIBOR_1M", "USD_LIBOR_3M", "USD_LIBOR_6M", "USD_FED_FUND"]
        .iter()
        .map(|name| json!({"name": name, "calendar": "E2E"}))
        .collect();
    let market = market(json!({
        "as_of": data["valuation_date"], "curves": curves, "fixings": data["fixings"],
        "calendars": {"E2E": data["holidays"]}, "indices": indices,
        "discount_curves": {"USD": "USD_DSC_and_FEDFUND"},
    }));
    let trades = data["trades"].as_array().unwrap();
    let positions: Vec<Value> = trades
        .iter()
        .map(|trade| {
            let legs: Vec<Value> = trade["legs"].as_array().unwrap().iter().map(e2e_leg).collect();
            json!({"position_id": trade["name"], "product_type": "SWAP", "terms": {"legs": legs}})
        })
        .collect();
    let cells = measured(&market, &Value::Array(positions), "BASE", &[Measure::Pv, Measure::ParRate]);
    let mut table = Table::default();
    for trade in trades {
        let name = trade["name"].as_str().unwrap();
        let value = |measure| cells[&(name.to_owned(), measure)].as_ref().unwrap().value;
        let expected = |key: &str| trade[key].as_f64();
        table.row(format!("{name} PV"), expected("expected_pv").unwrap(), value(Measure::Pv), 1e-4);
        if let Some(rate) = expected("expected_par_rate") {
            table.row(format!("{name} par rate"), rate, value(Measure::ParRate), 1e-10);
        }
    }
    table.check("Strata SwapEnd2EndTest (tolerance 1e-4 of a dollar, rates 1e-10)");
}

fn report_curves(text: &str) -> Vec<Value> {
    let mut curves: Map<String, Value> = Map::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[0].is_empty() {
            continue;
        }
        let indices: &[&str] = if fields[1] == "USD-3ML" { &["USD-LIBOR-3M"] } else { &[] };
        let curve = curves.entry(fields[1]).or_insert_with(
            || json!({"curve_id": fields[1], "day_count": "ACT/ACT ISDA", "indices": indices, "nodes": []}),
        );
        let rate: f64 = fields[3].parse().unwrap();
        curve["nodes"].as_array_mut().unwrap().push(json!({"date": fields[2], "value": rate}));
    }
    curves.into_iter().map(|(_, curve)| curve).collect()
}

fn fixings(folder: &std::path::Path) -> Value {
    let file = folder.join("../../fixings_USD-LIBOR-3M_2005_2015.csv");
    let text = std::fs::read_to_string(file).unwrap();
    let days = text.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[1].to_owned(), json!(fields[2].parse::<f64>().unwrap()))
    });
    json!({"USD-LIBOR-3M": Value::Object(days.collect())})
}

#[test]
fn a_seasoned_swap_of_a_report() {
    let Some(folder) = golden("strata_report") else { return };
    let text = std::fs::read_to_string(folder.join("2009-07-31.csv")).unwrap();
    let market = market(json!({
        "as_of": "2009-07-31", "curves": report_curves(&text), "fixings": fixings(&folder),
        "discount_curves": {"USD": "USD-Disc"},
    }));
    let leg = |side: &str, more: Value| {
        let mut leg = json!({
            "side": side, "currency": "USD", "notional": 12e6, "start": "2006-02-24", "end": "2011-02-24",
            "frequency": "3M", "calendar": "US", "payment_lag": 2, "day_count": "ACT/360",
        });
        for (key, value) in more.as_object().unwrap() {
            leg[key.as_str()] = value.clone();
        }
        leg
    };
    let pay = leg("pay", json!({"type": "fixed", "rate": 0.05004}));
    let receive = leg("receive", json!({"type": "ibor", "index": "USD-LIBOR-3M"}));
    let swap = json!({"legs": [pay.clone(), receive.clone()]});
    let pv = |legs: Value| one(&market, "SWAP", json!({"legs": legs}), Measure::Pv).value;
    let mut table = Table::default();
    table.row("NPV", -802_895.65, one(&market, "SWAP", swap.clone(), Measure::Pv).value, 0.005);
    table.row("NPV of the paid leg", -1_060_934.91, pv(json!([pay])), 0.005);
    table.row("NPV of the received leg", 258_039.26, pv(json!([receive])), 0.005);
    table.row(
        "PV01 (analytic, all curves)",
        1_863.34,
        one(&market, "SWAP", swap, Measure::Dv01Bucketed).value,
        0.005,
    );
    table.check("Strata SwapReportRegressionTest (printed to cents)");
}
