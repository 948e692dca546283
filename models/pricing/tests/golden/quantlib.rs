//! QuantLib's test suite.

use models_pricing::calendar::{Calendar, Listed};
use models_pricing::date::Date;
use models_pricing::daycount::{DayCount, Reference};
use models_pricing::market::Market;
use models_pricing::measures::Measure;
use models_pricing::normal::black;
use serde_json::{Value, json};

use super::{Table, golden, market, one};

fn file(name: &str) -> Option<Value> {
    let folder = golden("quantlib")?;
    Some(serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap())
}

fn date(value: &Value) -> Date {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn holidays() {
    let Some(data) = file("holidays.json") else { return };
    for (name, of) in data["holidays"].as_object().unwrap() {
        let calendar = match name.as_str() {
            "US government bond" => "USGS",
            "US settlement" => "US",
            "TARGET" => "TARGET",
            _ => "UK",
        };
        let calendar = Calendar::named(calendar, &Listed::new()).unwrap();
        let mut ours = Vec::new();
        for range in of["ranges"].as_array().unwrap() {
            let (mut day, last) = (date(&range[0]), date(&range[1]));
            while day <= last {
                if day.weekday() < 5 && !calendar.is_business_day(day) {
                    ours.push(day);
                }
                day = day.plus_days(1);
            }
        }
        ours.sort_unstable();
        let theirs: Vec<Date> = of["dates"].as_array().unwrap().iter().map(date).collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn day_counts() {
    let Some(data) = file("day_counts.json") else { return };
    let mut worst = 0.0_f64;
    for case in data["act_act"].as_array().unwrap() {
        let day_count: DayCount = serde_json::from_value(case["convention"].clone()).unwrap();
        let reference = (!case["ref_start"].is_null())
            .then(|| Reference { start: date(&case["ref_start"]), end: date(&case["ref_end"]) });
        let years = day_count.years(date(&case["start"]), date(&case["end"]), reference);
        let difference = (years - case["year_fraction"].as_f64().unwrap()).abs();
        assert!(difference < 1e-10, "{case}: {years}");
        worst = worst.max(difference);
    }
    for case in data["thirty_360"].as_array().unwrap() {
        let day_count: DayCount = serde_json::from_value(case["convention"].clone()).unwrap();
        let days = day_count.years(date(&case["start"]), date(&case["end"]), None) * 360.0;
        assert_eq!(days.round(), case["days"].as_f64().unwrap(), "{case}");
    }
    eprintln!("day counts: worst difference {worst:e}");
}

#[test]
fn european_options() {
    let Some(data) = file("european_options.json") else { return };
    let mut table = Table::default();
    for case in data["options"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let (s, q, r, t) = (number("spot"), number("q"), number("r"), number("t"));
        let phi = if case["type"] == "Call" { 1.0 } else { -1.0 };
        let forward = s * ((r - q) * t).exp();
        let option = black(phi, forward, number("strike"), number("vol") * t.sqrt(), t.sqrt());
        let value = option.value * (-r * t).exp();
        let what = format!("{} S {s} K {} t {t} vol {}", case["type"], case["strike"], case["vol"]);
        table.row(what, number("value"), value, number("tol"));
    }
    table.check("QuantLib europeanoption.cpp (Haug)");
}

#[test]
fn a_vanilla_swap() {
    let Some(data) = file("vanilla_swap.json") else { return };
    // The curve begins at settlement; the value is that of settlement.
    let market = market(json!({
        "as_of": "2002-06-17",
        "curves": [{"curve_id": "EUR-EURIBOR-6M", "currency": "EUR", "nodes": [{"time": 1.0, "value": 0.05}]}],
        "discount_curves": {"EUR": "EUR-EURIBOR-6M"},
    }));
    let settlement = (0.05 * 2.0_f64 / 365.0).exp();
    let swap = |par_coupons: bool| {
        json!({"legs": [
            {"type": "fixed", "side": "pay", "currency": "EUR", "notional": 100.0, "start": "2002-06-19",
             "end": "2012-06-19", "frequency": "1Y", "day_count": "30/360", "rate": 0.06, "calendar": "TARGET",
             "convention": "Unadjusted", "payment_convention": "ModifiedFollowing"},
            {"type": "ibor", "side": "receive", "notional": 100.0, "start": "2002-06-19", "end": "2012-06-19",
             "index": "EUR-EURIBOR-6M", "spread": 0.001, "calendar": "TARGET", "par_coupons": par_coupons}]})
    };
    let pv = |par| one(&market, "SWAP", swap(par), Measure::Pv).value * settlement;
    let mut table = Table::default();
    let expected = |key: &str| data["expected"][key].as_f64().unwrap();
    table.row("par coupons", expected("npv_par_coupon"), pv(true), 1e-11);
    table.row("indexed coupons", expected("npv_indexed_coupon"), pv(false), 1e-11);
    table.check("QuantLib swap.cpp testCachedValue");
}

fn flat(as_of: &str, rate: f64) -> Market {
    market(json!({
        "as_of": as_of,
        "curves": [{"curve_id": "USD-OIS", "day_count": "ACT/360", "indices": ["USD-LIBOR-6M"],
                    "nodes": [{"time": 1.0, "value": rate}]}],
    }))
}

fn terms(case: &Value, more: Value) -> Value {
    let mut terms = json!({
        "currency": "USD", "face": 100.0, "convention": "ModifiedFollowing", "settlement_days": 1,
        "calendar": "USGS", "frequency": "6M", "day_count": "ACT/ACT ICMA",
        "start": case.get("start").or(case.get("issue")), "maturity": case["maturity"],
    });
    for (key, value) in more.as_object().unwrap() {
        terms[key.as_str()] = value.clone();
    }
    terms
}

#[test]
fn bonds() {
    let Some(data) = file("bonds.json") else { return };
    let market = flat("2004-11-22", 0.03);
    let mut table = Table::default();
    let fixed = data["fixed"].as_array().unwrap();
    let coupon = |case: &Value| json!({"coupon": case["coupon"]});
    // cached1: no calendar, month ends.
    let first = |more: Value| {
        let mut terms = terms(&fixed[0], coupon(&fixed[0]));
        (terms["calendar"], terms["end_of_month"]) = (json!("NONE"), json!(true));
        for (key, value) in more.as_object().unwrap() {
            terms[key.as_str()] = value.clone();
        }
        terms
    };
    let of = |terms: Value, measure| one(&market, "FIXED_BOND", terms, measure).value;
    let continuous = |rate: f64| 2.0 * (rate / 2.0).ln_1p();
    table.row(
        "cached1 clean price from the curve",
        98.943393,
        of(first(json!({})), Measure::CleanPrice),
        1e-6,
    );
    let quoted = |clean: f64| of(first(json!({"market_clean_price": clean})), Measure::Yield);
    table.row("cached1 yield of 99.203125, semi-annual", 0.029257, quoted(99.203125), 1e-6);
    table.row("cached1 yield of 99.203125, continuous", 0.029045, continuous(quoted(99.203125)), 1e-6);
    table.row(
        "cached1 yield of the curve's price, continuous",
        0.030423,
        continuous(of(first(json!({})), Measure::Yield)),
        1e-6,
    );
    // A price within 1e-6 is a yield within 1e-6 / (100 · 1.9).
    table.row("cached1 yield of 99.204505, semi-annual", 0.02925, quoted(99.204505), 5e-9);
    let later = flat("2004-11-29", 0.03);
    let third = terms(&fixed[1], json!({"coupon": fixed[1]["coupon"], "market_clean_price": 99.764759}));
    table.row(
        "cached3 yield of 99.764759, semi-annual",
        0.02997,
        one(&later, "FIXED_BOND", third, Measure::Yield).value,
        5e-9,
    );
    table.row(
        "fixed1 clean price from the curve",
        99.2981,
        of(terms(&fixed[2], coupon(&fixed[2])), Measure::CleanPrice),
        1e-6,
    );
    for case in data["zero"].as_array().unwrap() {
        let zero = one(&market, "ZERO_BOND", terms(case, json!({})), Measure::CleanPrice).value;
        let expected = case["expected"]["clean_price_from_curve"].as_f64().unwrap();
        table.row(format!("{} clean price from the curve", case["id"]), expected, zero, 1e-6);
    }
    let lower = flat("2004-11-22", 0.025);
    let case = &data["floating"][0];
    let floating = |par: bool| {
        let terms = terms(case, json!({"index": "USD-LIBOR-6M", "par_coupons": par, "fixing_days": 1}));
        one(&lower, "FLOATING_RATE", terms, Measure::CleanPrice).value
    };
    let expected = |key: &str| case["expected"][key].as_f64().unwrap();
    table.row(
        "float1 clean price, indexed coupons",
        expected("clean_price_indexed_coupon"),
        floating(false),
        1e-6,
    );
    // QuantLib 1.44 itself gives 99.87468528433516 here, 4e-5 from the file's
    // value; the row after is against what the package computes.
    table.row("float1 clean price, par coupons", expected("clean_price_par_coupon"), floating(true), 5e-5);
    table.row("float1 clean price, par coupons, by QuantLib 1.44", 99.87468528433516, floating(true), 1e-12);
    table.check("QuantLib bonds.cpp (tolerance 1e-6)");
}
