//! Bonds that can be ended early, on any curve.

use super::*;

/// A bond of ten years with 100 of face, in the world's dollars.
fn bond(product: &str, coupon: f64, more: Value) -> Position {
    let mut terms = json!({"currency": "USD", "face": 100.0, "coupon": coupon, "start": "2025-06-15",
        "maturity": "2036-06-15", "frequency": "6M", "day_count": "30/360", "calendar": "US", "spread_curve": "CREDIT"});
    terms.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Position::read(
        &json!({"position_id": product, "product_type": product, "book": "B", "terms": terms}),
        None,
    )
    .unwrap()
}

fn rights(name: &str, price: f64) -> Value {
    let days = ["2028-06-15", "2029-12-15", "2030-09-01", "2032-06-15", "2036-06-15"];
    let list: Vec<Value> = days.iter().map(|day| json!({"date": day, "price": price})).collect();
    json!({ name: list })
}

/// Measures in one scenario that shifts all rates.
fn measured(position: Position, market: &Market, size: f64, measures: &[Measure]) -> Vec<f64> {
    let set = json!({"scenario_set_id": "UP", "kind": "parallel", "size": size});
    let shifts = Shifts::new(&ScenarioSet::try_from(set).unwrap().scenarios().unwrap(), market).unwrap();
    let book = Book::new(&[position], market, None);
    let mut values = Vec::new();
    book.run(market, &shifts, measures, |_, _, _, cell| values.push(cell.unwrap().value));
    values
}

fn pv(position: Position, market: &Market) -> f64 {
    measured(position, market, 0.0, &[Measure::Pv])[0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_right_that_is_worth_nothing_changes_nothing(snapshot in world(), coupon in 0.0..0.1_f64) {
        let market = market(snapshot);
        let straight = pv(bond("FIXED_BOND", coupon, json!({})), &market);
        let called = pv(bond("CALLABLE_BOND", coupon, rights("calls", 1e6)), &market);
        let put = pv(bond("PUTABLE_BOND", coupon, rights("puts", -1e6)), &market);
        prop_assert!((called - straight).abs() < 1e-9 && (put - straight).abs() < 1e-9, "{called} {straight} {put}");
    }

    #[test]
    fn rights_are_worth_something_to_who_has_them(
        snapshot in world(), coupon in 0.0..0.1_f64, price in 90.0..110.0_f64, volatility in 0.0..0.03_f64,
    ) {
        let market = market(snapshot);
        let with = |name: &str| {
            let mut rights = rights(name, price);
            rights["volatility"] = json!(volatility);
            rights
        };
        let straight = pv(bond("FIXED_BOND", coupon, json!({})), &market);
        let called = pv(bond("CALLABLE_BOND", coupon, with("calls")), &market);
        let put = pv(bond("PUTABLE_BOND", coupon, with("puts")), &market);
        prop_assert!(called <= straight + 1e-9 && straight <= put + 1e-9, "{called} {straight} {put}");
        // Who owes it has the same, negative.
        let mut owed = with("calls");
        owed["face"] = json!(-100.0);
        prop_assert!((pv(bond("CALLABLE_BOND", coupon, owed), &market) + called).abs() < 1e-9);
    }

    #[test]
    fn the_spread_reprices_the_market(snapshot in world(), coupon in 0.0..0.1_f64, price in 70.0..99.0_f64) {
        let market = market(snapshot);
        let mut terms = rights("calls", 101.0);
        terms["market_clean_price"] = json!(price);
        let bond = || bond("CALLABLE_BOND", coupon, terms.clone());
        let spread = measured(bond(), &market, 0.0, &[Measure::Oas])[0];
        // On rates that are higher by it, the model's price is the market's.
        let repriced = measured(bond(), &market, spread, &[Measure::CleanPrice])[0];
        prop_assert!((repriced - price).abs() < 1e-8, "{spread}: {repriced} for {price}");
    }

    #[test]
    fn buckets_are_the_slope_of_the_value(snapshot in world(), coupon in 0.0..0.1_f64, price in 95.0..105.0_f64) {
        let market = market(snapshot);
        for (product, name) in [("CALLABLE_BOND", "calls"), ("PUTABLE_BOND", "puts")] {
            let bond = || bond(product, coupon, rights(name, price));
            let sum = measured(bond(), &market, 0.0, &[Measure::Dv01Bucketed])[0];
            let (up, down) = (measured(bond(), &market, 1e-6, &[Measure::Pv])[0], measured(bond(), &market, -1e-6, &[Measure::Pv])[0]);
            let slope = (up - down) / 2e-6 * 1e-4;
            prop_assert!((sum - slope).abs() < 1e-5, "{sum} {slope}");
        }
    }
}

/// Many scenarios at once give what each gives alone, also with shifted volatilities.
#[test]
fn blocks_are_the_scenarios_one_by_one() {
    let market = market(json!({"as_of": "2026-01-23",
        "curves": [{"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": 0.03}, {"tenor": "10Y", "value": 0.04}]},
                   {"curve_id": "CREDIT", "kind": "spread", "nodes": [{"tenor": "5Y", "value": 0.01}]}],
        "volatilities": [{"underlying": "USD-SHORT-RATE", "nodes": [{"tenor": "5Y", "value": 0.011, "quality": "stale"}]}]}));
    let sets = [
        json!({"scenario_set_id": "KR", "kind": "bucketed", "size": 0.01}),
        json!({"scenario_set_id": "VOL", "kind": "volatility", "shift": "absolute", "size": 0.004}),
        json!({"scenario_set_id": "CS", "kind": "spread", "size": 0.0025}),
    ];
    let scenarios: Vec<Scenario> =
        sets.into_iter().flat_map(|set| ScenarioSet::try_from(set).unwrap().scenarios().unwrap()).collect();
    let shifts = Shifts::new(&scenarios, &market).unwrap();
    let positions = [
        bond("CALLABLE_BOND", 0.05, rights("calls", 101.0)),
        bond("PUTABLE_BOND", 0.03, rights("puts", 97.0)),
    ];
    let book = Book::new(&positions, &market, None);
    let together = book.values(&market, &shifts);
    let engine = book.engine(&market, &shifts);
    let mut seen = std::collections::BTreeSet::new();
    for (at, program) in book.programs().enumerate() {
        for scenario in 0..shifts.count() {
            let alone = engine.view(scenario, Bump::default()).value(program);
            let value = together[at * shifts.count() + scenario];
            assert!((alone - value).abs() < 1e-12, "{at} {scenario}: {alone} {value}");
            seen.insert(value.to_bits());
        }
    }
    // Every scenario moves every bond, but for buckets that are beyond its end.
    assert!(seen.len() >= 2 * (shifts.count() - 2), "{}", seen.len());
    assert!(book.uses(0, &market).quotes.contains(&("volatility USD-SHORT-RATE".to_owned(), "stale")));
}

#[test]
fn terms_that_make_no_rights_are_flagged() {
    let market = market(json!({"as_of": "2026-01-23",
        "curves": [{"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": 0.03}]},
                   {"curve_id": "CREDIT", "kind": "spread", "nodes": [{"tenor": "5Y", "value": 0.01}]}]}));
    let twice = json!([{"date": "2030-06-15", "price": 100.0}, {"date": "2030-06-15", "price": 101.0}]);
    for (product, more, said) in [
        ("CALLABLE_BOND", json!({}), "missing field `calls`"),
        ("PUTABLE_BOND", rights("calls", 100.0), "missing field `puts`"),
        ("FIXED_BOND", rights("calls", 100.0), "CALLABLE_BOND"),
        ("CALLABLE_BOND", json!({"calls": twice}), "must rise"),
        ("CALLABLE_BOND", json!({"calls": [{"date": "2040-01-01", "price": 100.0}]}), "beyond maturity"),
        ("CALLABLE_BOND", json!({"calls": [{"date": "2030-01-01"}]}), "price"),
        (
            "CALLABLE_BOND",
            json!({"calls": rights("calls", 100.0)["calls"], "volatility": -1.0}),
            "volatility",
        ),
    ] {
        let book = Book::new(&[bond(product, 0.05, more)], &market, None);
        let flag = book.entries[0].trade.as_ref().unwrap_err();
        assert!(flag.code == "bad_terms" && flag.reason.contains(said), "{product}: {flag}");
    }
}
