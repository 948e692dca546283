//! Credit default swaps.

use models_pricing::measures::Measure;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{base, close, market, measure, positions};

/// A curve of spreads on a curve of rates.
fn world(rate: f64, spreads: &[f64], recovery: f64) -> Value {
    let tenors = ["1Y", "3Y", "5Y", "7Y", "10Y"];
    let nodes: Vec<Value> =
        tenors.iter().zip(spreads).map(|(tenor, s)| json!({"tenor": tenor, "value": s})).collect();
    json!({"as_of": "2026-01-23", "curves": [
        {"curve_id": "ACME", "kind": "credit", "currency": "USD", "recovery": recovery, "nodes": nodes},
        {"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": rate}, {"tenor": "10Y", "value": rate + 0.01}]}]})
}

fn swaps(maturities: &[&str], protection: &str) -> Value {
    let swap = |maturity: &&str| {
        json!({"position_id": *maturity, "product_type": "CDS", "terms": {"currency": "USD", "notional": 1e6,
            "protection": protection, "spread": 0.01, "maturity": maturity, "credit_curve": "ACME"}})
    };
    maturities.iter().map(swap).collect()
}

const STANDARD: [&str; 5] = ["2026-12-20", "2028-12-20", "2030-12-20", "2032-12-20", "2035-12-20"];

fn rising() -> impl Strategy<Value = Vec<f64>> {
    // Steep falls would make a default less than impossible.
    (0.0005..0.05_f64, proptest::collection::vec(0.0..0.004_f64, 4)).prop_map(|(first, steps)| {
        let mut spreads = vec![first];
        for step in steps {
            spreads.push(spreads[spreads.len() - 1] + step);
        }
        spreads
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_bootstrapped_curve_reprices_its_spreads(rate in -0.01..0.06_f64, spreads in rising(), recovery in 0.0..0.8_f64) {
        let market = market(world(rate, &spreads, recovery));
        let par = measure(&market, &swaps(&STANDARD, "buy"), Measure::ParRate);
        for (par, quoted) in par.iter().zip(&spreads) {
            prop_assert!(close(*par, *quoted, 1e-10), "{par} for {quoted}");
        }
        // At the fair spread nothing is owed but what has accrued.
        let mut fair = swaps(&STANDARD, "sell");
        for (swap, par) in fair.as_array_mut().unwrap().iter_mut().zip(&par) {
            swap["terms"]["spread"] = json!(par);
        }
        let (values, accrued) = (measure(&market, &fair, Measure::Pv), measure(&market, &fair, Measure::AccruedInterest));
        for (value, accrued) in values.iter().zip(&accrued) {
            prop_assert!(*accrued > 0.0 && close(*value, *accrued, 1e-4), "{value} for {accrued}");
        }
    }

    /// Hazard rates move by what a spread of one basis point stands for: where
    /// spreads are flat, as a curve bootstrapped from higher ones does.
    #[test]
    fn a_basis_point_of_spread_is_one_of_the_quotes(spread in 0.001..0.03_f64, recovery in 0.0..0.6_f64) {
        let before = market(world(0.03, &[spread; 5], recovery));
        let after = market(world(0.03, &[spread + 1e-4; 5], recovery));
        let swaps = swaps(&STANDARD, "buy");
        let (was, is) = (measure(&before, &swaps, Measure::Pv), measure(&after, &swaps, Measure::Pv));
        for (at, cs01) in measure(&before, &swaps, Measure::Cs01).iter().enumerate() {
            let bumped = is[at] - was[at];
            prop_assert!(*cs01 > 0.0 && (cs01 / bumped - 1.0).abs() < 0.03, "{at}: {cs01} for {bumped}");
        }
    }
}

#[test]
fn buyer_and_seller_have_opposite_values_and_flows_add_up() {
    let market = market(world(0.03, &[0.01, 0.012, 0.015, 0.016, 0.017], 0.4));
    let of = |side| measure(&market, &swaps(&STANDARD, side), Measure::Pv);
    for (bought, sold) in of("buy").iter().zip(of("sell")) {
        assert!(close(*bought, -sold, 1e-9));
    }
    let positions = positions(&swaps(&STANDARD[2..3], "buy"));
    let book = models_pricing::book::Book::new(&positions, &market, None);
    let shifts = models_pricing::scenario::Shifts::new(&base(), &market).unwrap();
    book.run(&market, &shifts, &[Measure::Cashflows], |_, _, _, cell| {
        let rows = cell.unwrap().detail.unwrap();
        let rows = rows.as_array().unwrap();
        let sum = |name: &str, kind: Option<&str>| -> f64 {
            let of = rows.iter().filter(|row| kind.is_none_or(|kind| row["kind"] == kind));
            of.map(|row| row[name].as_f64().unwrap()).sum()
        };
        assert!(close(sum("pv", None), of("buy")[2], 1e-6));
        assert_eq!(rows.iter().filter(|row| row["kind"] == "premium").count(), 20);
        for row in rows.iter().filter(|row| row["kind"] == "protection") {
            assert!(close(row["amount"].as_f64().unwrap(), 6e5, 1e-6), "{row}");
            let product = row["amount"].as_f64().unwrap() * row["discount_factor"].as_f64().unwrap();
            assert!(close(row["pv"].as_f64().unwrap(), product, 1e-6), "{row}");
        }
        assert!(sum("pv", Some("protection")) > 0.0 && sum("pv", Some("accrual_on_default")) < 0.0);
    });
}

#[test]
fn what_makes_no_contract_is_told() {
    let sound = market(world(0.03, &[0.01, 0.012, 0.015, 0.016, 0.017], 0.4));
    let told = |change: Value| {
        let mut swap = swaps(&STANDARD[2..3], "buy");
        swap[0]["terms"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let book = models_pricing::book::Book::new(&positions(&swap), &sound, None);
        let flag = book.entries[0].trade.as_ref().unwrap_err();
        (flag.code, flag.reason.clone())
    };
    assert_eq!(told(json!({"credit_curve": "NONE"})), ("missing_curve", "missing curve NONE".into()));
    assert_eq!(told(json!({"credit_curve": "USD-OIS"})).0, "bad_terms");
    assert_eq!(told(json!({"discount_curve": "ACME"})).0, "bad_terms");
    assert_eq!(told(json!({"recovery": 1.0})).0, "bad_terms");
    assert_eq!(told(json!({"maturity": "2025-12-19"})).0, "bad_terms");
    assert_eq!(told(json!({"maturity": "2025-12-22", "start": "2025-09-20"})).0, "expired");
    assert_eq!(told(json!({"protection": "keep"})).0, "bad_terms");
    let refused = |change: fn(&mut Value)| {
        let mut world = world(0.03, &[0.01, 0.012, 0.015, 0.016, 0.017], 0.4);
        change(&mut world["curves"][0]);
        let snapshot = serde_json::from_value(world).unwrap();
        models_pricing::market::Market::new(&snapshot).unwrap_err().reasons.join("; ")
    };
    assert!(refused(|curve| curve["recovery"] = json!(1.0)).contains("recovery"));
    assert!(refused(|curve| curve["nodes"][1]["value"] = json!(-0.01)).contains("spread"));
    assert!(refused(|curve| curve["nodes"][0]["value"] = json!(0.2)).contains("survival"));
    assert!(refused(|curve| drop(curve.as_object_mut().unwrap().remove("currency"))).contains("currency"));
    assert!(refused(|curve| curve["currency"] = json!("GBP")).contains("discount curve"));
    assert!(refused(|curve| curve["nodes"] = json!([])).contains("quotes"));
    let itself =
        |curve: &mut Value| curve["bootstrap"] = json!({"instrument": "ois", "discount_curve": "ACME"});
    assert!(refused(itself).contains("spreads"));
    // Percent for decimals.
    let percent = |curve: &mut Value| {
        curve["nodes"] = json!([{"tenor": "1Y", "value": 4.9136}, {"tenor": "2Y", "value": 0.9448}]);
    };
    assert!(refused(percent).contains("ACME"));
}

/// Whatever the order of the curves in a file.
#[test]
fn credit_stands_on_the_curve_that_discounts_its_currency() {
    let par = |id: &str, rate: f64, discount: Option<&str>| {
        let quote = |tenor: &str| json!({"tenor": tenor, "value": rate});
        json!({"curve_id": id, "kind": "par", "currency": "USD", "nodes": [quote("1Y"), quote("5Y")],
            "bootstrap": {"instrument": "ois", "index": "USD-SOFR", "discount_curve": discount}})
    };
    let credit = json!({"curve_id": "ACME", "kind": "credit", "currency": "USD",
        "nodes": [{"tenor": "1Y", "value": 0.01}, {"tenor": "5Y", "value": 0.03}]});
    let value = |first: &Value, second: &Value| {
        let world = json!({"as_of": "2026-01-23", "curves": [first, second, credit]});
        measure(&market(world), &swaps(&STANDARD[2..3], "buy"), Measure::Pv)[0]
    };
    let (ois, ff) = (par("USD-OIS", 0.1, Some("USD-FF")), par("USD-FF", 0.01, None));
    assert!(close(value(&ois, &ff), value(&ff, &ois), 1e-6));
}
