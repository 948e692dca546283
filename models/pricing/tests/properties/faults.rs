//! Bad input: a clear reason, a flagged cell, never a panic or a silent zero.

use models_pricing::book::Book;
use models_pricing::market::Market;
use models_pricing::measures::{MEASURES, Measure};
use models_pricing::position::Position;
use models_pricing::scenario::{ScenarioSet, Shifts};
use models_pricing::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{base, market, trades};

fn usd() -> Market {
    market(json!({
        "as_of": "2026-01-23",
        "curves": [{"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": -0.02}]}],
    }))
}

fn flag(market: &Market, product: &str, terms: Value) -> (&'static str, String) {
    let position = json!([{"position_id": "p", "product_type": product, "terms": terms}]);
    let book = Book::new(&Position::read_all(&position).unwrap(), market, None);
    let flag = book.entries[0].trade.as_ref().unwrap_err();
    (flag.code, flag.reason.clone())
}

#[test]
fn what_is_missing_is_named() {
    let market = usd();
    let of = |product, terms| flag(&market, product, terms);
    let (code, reason) = of("WEATHER_SWAP", json!({}));
    assert_eq!(code, "unsupported_product");
    assert!(reason.contains("WEATHER_SWAP"), "{reason}");
    let bond = |more: Value| {
        let mut terms = json!({"currency": "USD", "face": 100.0, "coupon": 0.01, "start": "2020-01-15", "maturity": "2030-01-15"});
        more.as_object().unwrap().iter().for_each(|(k, v)| terms[k.as_str()] = v.clone());
        terms
    };
    for (terms, code, named) in [
        (bond(json!({"currency": "EUR"})), "missing_curve", "EUR"),
        (bond(json!({"discount_curve": "NOWHERE"})), "missing_curve", "NOWHERE"),
        (bond(json!({"spread_curve": "NOBODY"})), "missing_curve", "NOBODY"),
        (bond(json!({"maturity": "2019-01-15"})), "bad_terms", "2019-01-15"),
        (bond(json!({"maturity": "2025-12-15"})), "expired", "nothing is left"),
        (bond(json!({"calendar": "MARS"})), "bad_terms", "MARS"),
        (bond(json!({"coupn": 1.0})), "bad_terms", "coupn"),
        (bond(json!({"maturity": "2030-02-31"})), "bad_terms", "2030-02-31"),
        (bond(json!({"coupon": Value::Null})), "bad_terms", "coupon"),
    ] {
        let (got, reason) = of("FIXED_BOND", terms.clone());
        assert_eq!(got, code, "{terms}: {reason}");
        assert!(reason.contains(named), "{reason}");
    }
    let swap = json!({"legs": [{"type": "ibor", "side": "pay", "notional": 1.0, "start": "2026-02-02", "end": "2027-02-02", "index": "USD-LIBOR-3M"}]});
    assert_eq!(of("SWAP", swap), ("missing_curve", "missing curve: none projects USD-LIBOR-3M".into()));
    let started = json!({"legs": [{"type": "overnight", "side": "pay", "notional": 1.0, "start": "2026-01-20", "end": "2027-01-20", "index": "USD-SOFR"}]});
    assert_eq!(of("OIS", started), ("missing_fixing", "missing fixing of USD-SOFR on 2026-01-20".into()));
    let forward = json!({"pair": "EURUSD", "amount": 1.0, "rate": 1.0, "date": "2026-05-01"});
    assert_eq!(of("FX_FWD", forward).0, "missing_curve");
    let option =
        json!({"underlying": "ACME", "amount": 1.0, "strike": 1.0, "option": "call", "expiry": "2026-05-01"});
    assert_eq!(of("EQUITY_OPTION", option), ("missing_rate", "missing price of ACME".into()));
}

#[test]
fn expired_trades_are_flagged_not_zero() {
    let market = usd();
    for (product, terms) in [
        ("CASH", json!({"currency": "USD", "amount": 5.0, "date": "2026-01-22"})),
        (
            "DEPOSIT",
            json!({"currency": "USD", "notional": 1.0, "rate": 0.01, "start": "2025-01-01", "end": "2026-01-23"}),
        ),
        ("ZERO_BOND", json!({"currency": "USD", "face": 1.0, "maturity": "2026-01-23"})),
        (
            "AMORT_LOAN",
            json!({"currency": "USD", "principal": 1.0, "coupon_rate": 0.1, "cashflows": [{"pay_date": "2026-01-01", "amount": 1.0}]}),
        ),
    ] {
        assert_eq!(flag(&market, product, terms).0, "expired", "{product}");
    }
    // On the day: cash counts, a bond's redemption does not (above).
    let today = json!([{"position_id": "p", "product_type": "CASH", "terms": {"currency": "USD", "amount": 5.0, "date": "2026-01-23"}}]);
    assert_eq!(super::measure(&market, &today, Measure::Pv), [5.0]);
}

#[test]
fn one_bad_position_is_one_flagged_row() {
    let positions = json!([
        {"position_id": "bad", "product_type": "FX_FWD", "terms": {}},
        {"position_id": "good", "product_type": "CASH", "terms": {"currency": "USD", "amount": 5.0}}]);
    let values = super::measure(&usd(), &positions, Measure::Pv);
    assert!(values[0].is_nan());
    assert_eq!(values[1], 5.0);
}

#[test]
fn markets_that_do_not_hold_are_refused_with_every_reason() {
    let refused = |snapshot: Value| {
        Market::new(&serde_json::from_value::<Snapshot>(snapshot).unwrap()).unwrap_err().to_string()
    };
    let reason = refused(json!({
        "as_of": "2026-01-23",
        "curves": [
            {"curve_id": "EMPTY", "nodes": []},
            {"curve_id": "BACK", "nodes": [{"tenor": "2Y", "value": 0.01}, {"tenor": "1Y", "value": 0.01}]},
            {"curve_id": "PAST", "nodes": [{"date": "2026-01-22", "value": 0.01}]},
            {"curve_id": "GONE", "kind": "discount", "nodes": [{"tenor": "1Y", "value": 0.0}]},
            {"curve_id": "PAR", "kind": "par", "nodes": [{"tenor": "1Y", "value": 0.01}]},
            {"curve_id": "LOST", "kind": "par", "nodes": [{"tenor": "1Y", "value": 0.01}], "bootstrap": {"instrument": "ois", "index": "USD-SOFR", "discount_curve": "NONE"}}],
        "fx_spots": [{"pair": "EURUSD", "spot": 1.1}, {"pair": "USDEUR", "spot": 1.1}],
        "volatilities": [{"underlying": "X", "nodes": [{"tenor": "1Y", "value": -0.1}]}],
        "discount_curves": {"USD": "NOPE"},
    }));
    for word in ["EMPTY", "BACK", "PAST", "GONE", "PAR", "LOST", "crossed", "volatility X", "NOPE"] {
        assert!(reason.contains(word), "{word} in {reason}");
    }
}

#[test]
fn what_could_not_be_observed_lowers_the_quality() {
    use models_pricing::quality::Quality;
    let market = market(json!({
        "as_of": "2026-01-23",
        "curves": [{"curve_id": "USD-OIS", "nodes": [
            {"tenor": "1Y", "value": 0.03}, {"tenor": "2Y", "value": null}, {"tenor": "5Y", "value": 0.03, "quality": "stale"}, {"tenor": "10Y", "value": 0.03}]}],
    }));
    let curve = &market.curves[0];
    assert_eq!(
        [0.5, 1.5, 4.0, 7.0, 20.0].map(|t| curve.quality(t)),
        [Quality::Interpolated, Quality::Stale, Quality::Stale, Quality::Stale, Quality::Ok]
    );
}

#[test]
fn scenarios_name_what_they_do_not_find() {
    let market = usd();
    for bad in [
        json!({"scenario_set_id": "S"}),
        json!({"scenario_set_id": "S", "kind": "parallel", "size": 1e-4, "curves": ["NOPE"]}),
        json!({"scenario_set_id": "S", "kind": "bucketed", "size": 1e-4, "buckets": [5.0, 1.0]}),
        json!({"scenario_set_id": "S", "kind": "fx", "size": -1.0, "pairs": ["EURUSD"]}),
    ] {
        let set: Result<ScenarioSet, _> = serde_json::from_value(bad.clone());
        let made = set.map_err(|e| e.to_string()).and_then(|set| set.scenarios());
        assert!(made.and_then(|made| Shifts::new(&made, &market).map(drop)).is_err(), "{bad}");
    }
}

/// Numbers and dates that nobody means.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(0)),
        Just(json!(-1e300)),
        Just(json!(1e300)),
        Just(json!(1e-300)),
        Just(Value::Null),
        Just(json!("x")),
        Just(json!("1900-01-01")),
        Just(json!("2299-12-31")),
        Just(json!("2026-01-23")),
        Just(json!("2026-12-25")),
        Just(json!("ON")),
        Just(json!("40000D")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(-5)),
        Just(json!(true)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any field of any trade replaced by anything: a value or a flag.
    #[test]
    fn nothing_panics(at in 0..13_usize, field in 0..40_usize, leg in 0..2_usize, odd in odd()) {
        let market = market(json!({
            "as_of": "2026-01-23",
            "curves": [
                {"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": -0.02}]}, {"curve_id": "EUR-OIS", "nodes": [{"tenor": "1Y", "value": 0.5}]},
                {"curve_id": "USD-LIBOR-3M", "nodes": [{"tenor": "1Y", "value": 0.02}]}, {"curve_id": "GBP-OIS", "nodes": [{"tenor": "1Y", "value": 0.5}]},
                {"curve_id": "CREDIT", "kind": "spread", "nodes": [{"tenor": "1Y", "value": 0.02}]}],
            "fx_spots": [{"pair": "EURUSD", "spot": 1.1}], "equities": [{"underlying": "ACME", "currency": "USD", "spot": 1.0}],
            "volatilities": [{"underlying": "EURUSD", "nodes": [{"tenor": "1Y", "value": 0.1}]}, {"underlying": "ACME", "nodes": [{"tenor": "1Y", "value": 0.1}]}]}));
        let mut trade = trades()[at].clone();
        let terms = match trade["terms"].get("legs") {
            Some(_) => &mut trade["terms"]["legs"][leg],
            None => &mut trade["terms"],
        };
        let names: Vec<String> = terms.as_object().unwrap().keys().cloned().collect();
        terms[names[field % names.len()].as_str()] = odd;
        let Ok(positions) = Position::read_all(&json!([trade])) else { return Ok(()) };
        let book = Book::new(&positions, &market, Some("USD"));
        let shifts = Shifts::new(&base(), &market).unwrap();
        let measures: Vec<Measure> = MEASURES.iter().map(|(_, measure)| *measure).collect();
        book.run(&market, &shifts, &measures, |_, _, _, cell| {
            if let Ok(cell) = cell {
                assert!(cell.value.is_finite());
            }
        });
    }
}
