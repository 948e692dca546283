//! What must hold for every market and trade.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod callable;
mod cds;
mod faults;

use models_pricing::book::Book;
use models_pricing::engine::Bump;
use models_pricing::market::Market;
use models_pricing::measures::Measure;
use models_pricing::position::Position;
use models_pricing::scenario::{Scenario, ScenarioSet, SetKind, Shifts};
use proptest::prelude::*;
use serde_json::{Value, json};

fn market(snapshot: Value) -> Market {
    Market::new(&serde_json::from_value(snapshot).unwrap()).unwrap()
}

const INTERPOLATIONS: [&str; 4] = ["linear_zero", "log_linear_df", "monotone_convex", "cubic_zero"];

/// Dollars, euros and pounds with curves of any shape, also negative ones.
fn world() -> impl Strategy<Value = Value> {
    let rates = || proptest::collection::vec(-0.01..0.08_f64, 6);
    (rates(), rates(), rates(), rates(), 0.5..2.0_f64, 0.8..2.5_f64, 0.05..0.6_f64, 0..4_usize).prop_map(
        |(usd, libor, eur, spread, eurusd, gbpusd, vol, interpolation)| {
            let nodes = |rates: &[f64]| -> Vec<Value> {
                let tenors = ["3M", "1Y", "3Y", "5Y", "10Y", "30Y"];
                tenors.iter().zip(rates).map(|(tenor, rate)| json!({"tenor": tenor, "value": rate})).collect()
            };
            let curve = |id: &str, rates: &[f64]| {
                json!({"curve_id": id, "interpolation": INTERPOLATIONS[interpolation], "nodes": nodes(rates)})
            };
            let mut libor = curve("USD-LIBOR-3M", &libor);
            libor["indices"] = json!(["USD-LIBOR-3M"]);
            let mut spread = curve("CREDIT", &spread);
            spread["kind"] = json!("spread");
            json!({
                "as_of": "2026-01-23",
                "curves": [curve("USD-OIS", &usd), libor, curve("EUR-OIS", &eur), curve("GBP-OIS", &eur), spread],
                "fx_spots": [{"pair": "EURUSD", "spot": eurusd}, {"pair": "GBPUSD", "spot": gbpusd}],
                "equities": [{"underlying": "ACME", "currency": "USD", "spot": 100.0 * eurusd, "dividend_yield": 0.02}],
                "volatilities": [{"underlying": "EURUSD", "nodes": [{"tenor": "1Y", "value": vol}]},
                                 {"underlying": "ACME", "nodes": [{"tenor": "1Y", "value": vol}, {"tenor": "5Y", "value": vol}]}],
            })
        },
    )
}

/// One trade of each kind.
fn trades() -> Value {
    json!([
        {"position_id": "swap", "product_type": "SWAP", "quantity": -2.0, "terms": {"legs": [
            {"type": "fixed", "side": "pay", "currency": "USD", "notional": 1e6, "start": "2026-02-02", "end": "2036-02-02", "frequency": "6M", "day_count": "30/360", "rate": 0.03, "calendar": "US"},
            {"type": "ibor", "side": "receive", "notional": 1e6, "start": "2026-02-02", "end": "2036-02-02", "index": "USD-LIBOR-3M", "calendar": "US"}]}},
        {"position_id": "xccy", "product_type": "XCCY_SWAP", "terms": {"currency": "USD", "legs": [
            {"type": "ibor", "side": "receive", "notional": 1.1e6, "start": "2026-02-02", "end": "2031-02-02", "index": "USD-LIBOR-3M", "exchange": true},
            {"type": "fixed", "side": "pay", "currency": "EUR", "notional": 1e6, "start": "2026-02-02", "end": "2031-02-02", "rate": 0.02, "exchange": true}]}},
        {"position_id": "bond", "product_type": "FIXED_BOND", "terms": {"currency": "USD", "face": 1000.0, "coupon": 0.04, "start": "2024-05-15", "maturity": "2034-05-15", "settlement_days": 2, "spread_curve": "CREDIT"}},
        {"position_id": "zero", "product_type": "ZERO_BOND", "terms": {"currency": "EUR", "face": 1000.0, "maturity": "2031-05-15"}},
        {"position_id": "floater", "product_type": "FLOATING_RATE", "terms": {"currency": "USD", "face": 1000.0, "index": "USD-LIBOR-3M", "spread": 0.01, "start": "2026-01-28", "maturity": "2031-01-28"}},
        {"position_id": "loan", "product_type": "AMORT_LOAN", "terms": {"currency": "USD", "principal": 5000.0, "coupon_rate": 0.1, "last_payment_date": "2026-01-05", "remaining_payments": 60, "spread_curve": "CREDIT", "prepayment": {"cpr": 0.05}}},
        {"position_id": "fra", "product_type": "FRA", "terms": {"notional": 1e6, "side": "pay", "start": "2026-07-23", "end": "2026-10-23", "rate": 0.03, "index": "USD-LIBOR-3M"}},
        {"position_id": "deposit", "product_type": "DEPOSIT", "terms": {"currency": "GBP", "notional": 1e6, "rate": 0.04, "start": "2026-01-20", "end": "2026-06-20"}},
        {"position_id": "forward", "product_type": "FX_FWD", "terms": {"pair": "EURUSD", "amount": 1e6, "rate": 1.1, "date": "2028-01-24"}},
        {"position_id": "option", "product_type": "FX_OPTION", "terms": {"pair": "EURUSD", "amount": 1e6, "strike": 1.1, "option": "put", "expiry": "2027-06-21"}},
        {"position_id": "share", "product_type": "EQUITY_OPTION", "terms": {"underlying": "ACME", "amount": -50.0, "strike": 110.0, "option": "call", "expiry": "2028-06-21"}},
        {"position_id": "ois", "product_type": "OIS", "terms": {"legs": [
            {"type": "fixed", "side": "receive", "currency": "USD", "notional": 1e6, "start": "2026-01-27", "end": "2029-01-27", "rate": 0.03},
            {"type": "overnight", "side": "pay", "notional": 1e6, "start": "2026-01-27", "end": "2029-01-27", "index": "USD-SOFR", "payment_lag": 2}]}},
        {"position_id": "cds", "product_type": "CDS", "terms": {"currency": "USD", "notional": 1e6, "protection": "buy", "spread": 0.01, "maturity": "2030-12-20", "credit_curve": "CREDIT"}}
    ])
}

fn positions(value: &Value) -> Vec<Position> {
    Position::read_all(value).unwrap()
}

fn base() -> Vec<Scenario> {
    ScenarioSet::named("BASE").scenarios().unwrap()
}

/// One measure of each position in the base scenario.
fn measure(market: &Market, of: &Value, measure: Measure) -> Vec<f64> {
    let positions = positions(of);
    let book = Book::new(&positions, market, Some("EUR"));
    let shifts = Shifts::new(&base(), market).unwrap();
    let mut values = vec![f64::NAN; positions.len()];
    book.run(market, &shifts, &[measure], |at, _, _, cell| {
        if let Ok(cell) = cell {
            values[at] = cell.value;
        }
    });
    values
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn buckets_sum_to_the_parallel_shift(world in world(), size in 1e-5..1e-2_f64) {
        let market = market(world);
        let positions = positions(&trades());
        let book = Book::new(&positions, &market, None);
        // Shifts of the curves themselves: exactly.
        let set = |kind| ScenarioSet { scenario_set_id: "S".into(), kind: Some(kind) };
        let buckets = set(SetKind::Bucketed { size, curves: vec![], buckets: vec![] }).scenarios().unwrap();
        let parallel = set(SetKind::Parallel { size, curves: vec![] }).scenarios().unwrap();
        let joined = Scenario { scenario_id: "ALL".into(), shifts: buckets.iter().flat_map(|s| s.shifts.clone()).collect() };
        let all = Shifts::new(&[joined, parallel[0].clone()], &market).unwrap();
        for row in book.values(&market, &all).chunks(2) {
            prop_assert!(close(row[0], row[1], 1e-9 * row[1].abs().max(1e3)), "{row:?}");
        }
        // Analytic sensitivities: the buckets' sum is the derivative.
        let analytic = measure(&market, &trades(), Measure::Dv01Bucketed);
        let bump = |rates| {
            let shifts = Shifts::new(&base(), &market).unwrap();
            let engine = book.engine(&market, &shifts);
            let view = engine.view(0, Bump { rates, spreads: 0.0 });
            book.entries.iter().map(|e| view.value(&e.trade.as_ref().unwrap().program) * e.quantity).collect::<Vec<_>>()
        };
        let (up, down) = (bump(1e-5), bump(-1e-5));
        for (at, slope) in analytic.iter().enumerate() {
            let central = (up[at] - down[at]) / 2e-5 * 1e-4;
            prop_assert!(close(*slope, central, 1e-5 * central.abs().max(1e-2)), "{}: {slope} {central}", positions[at].position_id);
        }
    }

    #[test]
    fn puts_and_calls_are_a_forward(world in world(), strike in 0.5..2.0_f64) {
        let market = market(world);
        let option = |kind: &str| json!({"position_id": kind, "product_type": "FX_OPTION", "terms": {"pair": "EURUSD", "amount": 1e6, "strike": strike, "option": kind, "expiry": "2028-01-24"}});
        let forward = json!({"position_id": "f", "product_type": "FX_FWD", "terms": {"pair": "EURUSD", "amount": 1e6, "rate": strike, "date": "2028-01-24"}});
        let pv = measure(&market, &json!([option("call"), option("put"), forward]), Measure::Pv);
        prop_assert!(close(pv[0] - pv[1], pv[2], 1e-6), "{pv:?}");
    }

    #[test]
    fn a_forward_at_its_par_rate_is_worth_nothing(world in world()) {
        let market = market(world);
        let forward = |rate: f64| json!([{"position_id": "f", "product_type": "FX_FWD", "terms": {"pair": "EURGBP", "amount": 1e6, "rate": rate, "date": "2029-07-23"}}]);
        let rate = measure(&market, &forward(1.0), Measure::ParRate)[0];
        prop_assert!(close(measure(&market, &forward(rate), Measure::Pv)[0], 0.0, 1e-6));
        // Covered interest parity.
        let df = |id: &str| { let curve = &market.curves[market.curve(id).unwrap()]; curve.df(curve.time("2029-07-23".parse().unwrap())) };
        let spot = market.fx.rate("EUR", "GBP").unwrap();
        prop_assert!(close(rate, spot * df("EUR-OIS") / df("GBP-OIS"), 1e-12));
    }

    #[test]
    fn a_bond_priced_at_its_yield_has_its_price(world in world(), clean in 60.0..140.0_f64) {
        let market = market(world);
        let bond = |price: Option<f64>| {
            let mut terms = json!({"currency": "USD", "face": 1000.0, "coupon": 0.04, "start": "2024-05-15", "maturity": "2034-05-15", "settlement_days": 2});
            if let Some(price) = price { terms["market_clean_price"] = json!(price); }
            json!([{"position_id": "b", "product_type": "FIXED_BOND", "terms": terms}])
        };
        // The yield of the model's own clean price is the model's yield.
        let own = measure(&market, &bond(None), Measure::CleanPrice)[0];
        let (a, b) = (measure(&market, &bond(None), Measure::Yield)[0], measure(&market, &bond(Some(own)), Measure::Yield)[0]);
        prop_assert!(close(a, b, 1e-12), "{a} {b}");
        prop_assert!(close(measure(&market, &bond(Some(own)), Measure::ZSpread)[0], 0.0, 1e-12));
        // The duration is the price's slope by the yield.
        let yields = |price: f64| measure(&market, &bond(Some(price)), Measure::Yield)[0];
        let duration = measure(&market, &bond(Some(clean)), Measure::ModifiedDuration)[0];
        let accrued = measure(&market, &bond(Some(clean)), Measure::AccruedInterest)[0] / 10.0;
        let slope = (yields(clean + 1e-3) - yields(clean - 1e-3)) / 2e-3;
        prop_assert!(close(-1.0 / (slope * (clean + accrued)), duration, 1e-5 * duration), "{duration} {slope}");
    }

    #[test]
    fn swaps_at_their_par_rate_are_worth_nothing(world in world()) {
        let market = market(world);
        let mut trades = trades();
        for at in [0, 1, 11] {
            let only = json!([trades[at].clone()]);
            let rate = measure(&market, &only, Measure::ParRate)[0];
            let legs = trades[at]["terms"]["legs"].as_array_mut().unwrap();
            legs.iter_mut().filter(|leg| leg["type"] == "fixed").for_each(|leg| leg["rate"] = json!(rate));
            let pv = measure(&market, &json!([trades[at].clone()]), Measure::Pv)[0];
            prop_assert!(close(pv, 0.0, 1e-6), "{at}: {pv}");
        }
        let fra = measure(&market, &json!([trades[6].clone()]), Measure::ParRate)[0];
        trades[6]["terms"]["rate"] = json!(fra);
        prop_assert!(close(measure(&market, &json!([trades[6].clone()]), Measure::Pv)[0], 0.0, 1e-6));
    }

    /// In any mixture of scenarios the blocks' values are those of single views.
    #[test]
    fn blocks_and_views_agree(world in world(), sizes in proptest::collection::vec(-0.02..0.02_f64, 1..300)) {
        let market = market(world);
        let positions = positions(&trades());
        let book = Book::new(&positions, &market, None);
        let scenarios: Vec<Scenario> = sizes.iter().enumerate().map(|(n, size)| serde_json::from_value(json!({
            "scenario_id": n.to_string(), "shifts": [
                {"factor": "rates", "curves": ["USD"], "points": [[1.0, size], [5.0, -size]]},
                {"factor": "spreads", "points": [[1.0, size]]},
                {"factor": "fx", "pairs": ["EURUSD"], "size": size},
                {"factor": "volatility", "shift": "absolute", "size": size},
                {"factor": "equity", "size": size}]})).unwrap()).collect();
        let shifts = Shifts::new(&scenarios, &market).unwrap();
        let values = book.values(&market, &shifts);
        book.run(&market, &shifts, &[Measure::Pv], |at, scenario, _, cell| {
            let (block, view) = (values[at * scenarios.len() + scenario], cell.unwrap().value);
            assert!(close(block, view, 1e-9 * view.abs().max(1e3)), "{at} {scenario}: {block} {view}");
        });
    }

    #[test]
    fn a_bootstrap_reprices_its_quotes(rates in proptest::collection::vec(-0.01..0.09_f64, 8), interpolation in 0..4_usize) {
        let tenors = ["3M", "1Y", "2Y", "3Y", "5Y", "7Y", "10Y", "20Y"];
        // Neighbouring quotes of a market do not jump.
        let smooth: Vec<f64> = rates.iter().scan(rates[0], |level, rate| { *level += 0.15 * (rate - *level); Some(*level) }).collect();
        let nodes: Vec<Value> = tenors.iter().zip(&smooth).map(|(tenor, rate)| json!({"tenor": tenor, "value": rate})).collect();
        let mut swaps = nodes.clone();
        swaps[0]["instrument"] = json!("deposit");
        let of = |id: &str, nodes: Vec<Value>, how: Value| json!({"curve_id": id, "currency": "USD", "kind": "par", "calendar": "US", "spot_lag": 2, "interpolation": INTERPOLATIONS[interpolation], "nodes": nodes, "bootstrap": how});
        let mut libor = of("USD-3M", swaps, json!({"instrument": "swap", "index": "USD-LIBOR-3M", "discount_curve": "USD-OIS", "fixed_frequency": "6M", "fixed_day_count": "30/360"}));
        libor["indices"] = json!(["USD-LIBOR-3M"]);
        let market = market(json!({"as_of": "2026-01-23", "curves": [
            libor, of("USD-OIS", nodes, json!({"instrument": "ois", "index": "USD-SOFR", "payment_lag": 2}))]}));
        for (tenor, rate) in tenors.iter().zip(&smooth).skip(1) {
            let years: i32 = tenor.trim_end_matches('Y').parse().unwrap();
            let end = format!("{}-01-27", 2026 + years);
            let fixed = |more: Value| {
                let mut leg = json!({"type": "fixed", "side": "pay", "currency": "USD", "notional": 1.0, "start": "2026-01-27", "end": end, "rate": 0.0, "calendar": "US"});
                more.as_object().unwrap().iter().for_each(|(k, v)| leg[k.as_str()] = v.clone());
                leg
            };
            let trades = json!([
                {"position_id": "swap", "product_type": "SWAP", "terms": {"legs": [fixed(json!({"frequency": "6M", "day_count": "30/360"})),
                    {"type": "ibor", "side": "receive", "notional": 1.0, "start": "2026-01-27", "end": end, "index": "USD-LIBOR-3M", "calendar": "US"}]}},
                {"position_id": "ois", "product_type": "OIS", "terms": {"legs": [fixed(json!({"payment_lag": 2})),
                    {"type": "overnight", "side": "receive", "notional": 1.0, "start": "2026-01-27", "end": end, "index": "USD-SOFR", "calendar": "US", "payment_lag": 2}]}}]);
            for par in measure(&market, &trades, Measure::ParRate) {
                prop_assert!(close(par, *rate, 1e-10), "{tenor}: {par} for {rate}");
            }
        }
    }
}
