//! Open Source Risk Engine's examples.

use models_pricing::measures::Measure;
use serde_json::{Value, json};

use super::{Table, golden, market, one};

fn read(file: &str) -> Option<String> {
    let folder = golden("ore")?;
    Some(std::fs::read_to_string(folder.join(file)).unwrap())
}

/// One column of a file of discount factors, as nodes.
fn column(text: &str, name: &str) -> Vec<Value> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().trim_start_matches('#').split(',').collect();
    let at = header.iter().position(|column| *column == name).unwrap();
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|fields| json!({"date": fields[1], "value": fields[at].parse::<f64>().unwrap()}))
        .collect()
}

fn discounts(id: &str, nodes: Vec<Value>) -> Value {
    json!({"curve_id": id, "kind": "discount", "interpolation": "log_linear_df", "nodes": nodes})
}

fn expected(text: &str, trade: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(trade)).unwrap();
    line.split(',').nth(4).unwrap().parse().unwrap()
}

/// 20 years from 2016-03-01, fixed against EURIBOR 6M.
fn swap(rate: f64, day_count: &str, convention: &str, par_coupons: bool) -> Value {
    json!({"legs": [
        {"type": "fixed", "side": "receive", "currency": "EUR", "notional": 1e7, "start": "2016-03-01",
         "end": "2036-03-01", "frequency": "1Y", "day_count": day_count, "rate": rate, "calendar": "TARGET",
         "convention": convention, "payment_convention": convention, "stub": "SHORT_FINAL"},
        {"type": "ibor", "side": "pay", "notional": 1e7, "start": "2016-03-01", "end": "2036-03-01",
         "index": "EUR-EURIBOR-6M", "calendar": "TARGET", "stub": "SHORT_FINAL", "par_coupons": par_coupons}]})
}

#[test]
fn a_minimal_swap() {
    let Some(npv) = read("minimal_swap/ExpectedOutput/npv.csv") else { return };
    let curve = |id: &str, rate: f64| {
        json!({"curve_id": id, "currency": "EUR", "kind": "zero", "day_count": "ACT/360", "compounding": "simple",
               "interpolation": "log_linear_df", "calendar": "TARGET", "spot_lag": 2,
               "nodes": [{"tenor": "1Y", "value": rate}]})
    };
    let mut projection = curve("EUR6M", 0.021);
    projection["indices"] = json!(["EUR-EURIBOR-6M"]);
    let market = market(json!({
        "as_of": "2016-02-05", "curves": [curve("EUR1D", 0.02), projection], "discount_curves": {"EUR": "EUR1D"},
    }));
    let mut table = Table::default();
    let pv = one(&market, "SWAP", swap(0.021, "ACT/360", "ModifiedFollowing", true), Measure::Pv).value;
    table.row("Swap_20y NPV", expected(&npv, "Swap_20y"), pv, 1e-5);
    table.check("ORE minimal swap (printed to 1e-6)");
}

#[test]
fn forwards_of_exchange_rates() {
    let Some(npv) = read("fx_forward_discount_ratio/ExpectedOutput/npv_eur_base.csv") else { return };
    let curves = read("fx_forward_discount_ratio/ExpectedOutput/curves_eur_base.csv").unwrap();
    // From their flows: pounds to euros.
    let market = market(json!({
        "as_of": "2016-02-05",
        "curves": [discounts("EUR-OIS", column(&curves, "EUR")), discounts("GBP-OIS", column(&curves, "GBP"))],
        "fx_spots": [{"pair": "EURGBP", "spot": 0.811938}],
    }));
    let mut table = Table::default();
    for (trade, date, sold) in
        [("FXFWD_1Y", "2017-02-06", 9009771.17020212), ("FXFWD_5Y", "2021-02-05", 9512182.29875867)]
    {
        let terms = json!({"bought_currency": "EUR", "bought_amount": 11e6, "sold_currency": "GBP",
                           "sold_amount": sold, "date": date});
        let pv = one(&market, "FX_FWD", terms, Measure::Pv).value;
        table.row(format!("{trade} NPV in GBP"), expected(&npv, trade), pv, 1e-5);
    }
    table.check("ORE FX forwards on its own curves (printed to 1e-6)");
}

#[test]
fn forwards_and_options_of_the_euro() {
    let Some(npv) = read("fx_forward_option/ExpectedOutput/npv.csv") else { return };
    let curves = read("fx_forward_option/ExpectedOutput/curves.csv").unwrap();
    let market = market(json!({
        "as_of": "2016-02-05",
        "curves": [discounts("EUR-OIS", column(&curves, "EUR")), discounts("USD-OIS", column(&curves, "USD"))],
        "fx_spots": [{"pair": "EURUSD", "spot": 1.132337}],
        "volatilities": [{"underlying": "EURUSD", "nodes": [{"tenor": "10Y", "value": 0.14}]}],
    }));
    let forward = |date: &str| json!({"bought_currency": "EUR", "bought_amount": 1e6, "sold_currency": "USD", "sold_amount": 1.1e6, "date": date});
    let option = |kind: &str, strike: f64, expiry: &str| json!({"pair": "EURUSD", "amount": 1e6, "strike": strike, "option": kind, "expiry": expiry});
    let of = |product, terms| one(&market, product, terms, Measure::Pv).value;
    let mut table = Table::default();
    table.row(
        "FXFWD_MATURING on its day",
        expected(&npv, "FXFWD_MATURING"),
        of("FX_FWD", forward("2016-02-05")),
        1e-6,
    );
    table.row(
        "FX_CALL_MATURING on its day",
        expected(&npv, "FX_CALL_MATURING"),
        of("FX_OPTION", option("call", 1.0, "2016-02-05")),
        1e-6,
    );
    // Between the months of the file their own curve is a little different.
    table.row(
        "FXFWD_EURUSD_10Y",
        expected(&npv, "FXFWD_EURUSD_10Y"),
        of("FX_FWD", forward("2026-03-02")),
        5.0,
    );
    let parity = of("FX_OPTION", option("call", 1.1, "2026-03-01"))
        - of("FX_OPTION", option("put", 1.1, "2026-03-01"));
    let theirs = expected(&npv, "FX_CALL_OPTION_EURUSD_10Y") - expected(&npv, "FX_PUT_OPTION_EURUSD_10Y");
    table.row("call − put, any volatility", theirs, parity, 5.0);
    table.check("ORE FX forwards and options on its own curves");
}

#[test]
fn a_bond_with_its_own_discount_factors() {
    let Some(npv) = read("bond_fixed/ExpectedOutput/npv.csv") else { return };
    let nodes = vec![
        json!({"date": "2023-03-01", "value": 0.9498608798}),
        json!({"date": "2024-03-01", "value": 0.8963483655}),
        json!({"date": "2025-03-03", "value": 0.8487686387}),
    ];
    let market = market(json!({"as_of": "2022-03-01", "curves": [discounts("USD-OIS", nodes)]}));
    let terms = json!({
        "currency": "USD", "face": 1e7, "coupon": 0.01, "start": "2015-02-05", "maturity": "2025-03-01",
        "frequency": "1Y", "day_count": "ACT/ACT ISDA", "calendar": "TARGET", "accrual_convention": "Following",
    });
    let mut table = Table::default();
    // Factors are printed to 1e-10.
    table.row(
        "FixedRateBond NPV, today's coupon left out",
        expected(&npv, "FixedRateBond"),
        one(&market, "FIXED_BOND", terms, Measure::Pv).value,
        2e-3,
    );
    table.check("ORE fixed-rate bond on its own discount factors");
}

#[test]
fn a_swap_on_bootstrapped_curves() {
    let Some(npv) = read("ir_swap_bootstrap/ExpectedOutput/npv.csv") else { return };
    let tenors = "1W 2W 1M 2M 3M 4M 5M 6M 7M 8M 9M 10M 11M 1Y 1Y3M 1Y6M 1Y9M 2Y 3Y 4Y 5Y 6Y 7Y 8Y 9Y 10Y 12Y 15Y 20Y 25Y 30Y";
    let mut ois = vec![json!({"tenor": "1D", "value": 0.02, "instrument": "deposit", "spot_lag": 0})];
    ois.extend(tenors.split(' ').map(|tenor| json!({"tenor": tenor, "value": 0.02})));
    let mut swaps = vec![json!({"tenor": "6M", "value": 0.02, "instrument": "deposit"})];
    let tenors = "2Y 3Y 4Y 5Y 7Y 10Y 12Y 15Y 20Y 25Y 30Y 40Y 50Y";
    swaps.extend(tenors.split(' ').map(|tenor| json!({"tenor": tenor, "value": 0.02})));
    let market = market(json!({
        "as_of": "2016-02-05",
        "curves": [
            {"curve_id": "EUR1D", "currency": "EUR", "kind": "par", "interpolation": "log_linear_df", "calendar": "TARGET",
             "convention": "Following", "spot_lag": 2, "indices": ["EUR-EONIA"], "nodes": ois,
             "bootstrap": {"instrument": "ois", "index": "EUR-EONIA", "fixed_day_count": "ACT/360", "payment_lag": 1}},
            {"curve_id": "EUR6M", "currency": "EUR", "kind": "par", "interpolation": "log_linear_df", "calendar": "TARGET",
             "spot_lag": 2, "indices": ["EUR-EURIBOR-6M"], "nodes": swaps,
             "bootstrap": {"instrument": "swap", "index": "EUR-EURIBOR-6M", "discount_curve": "EUR1D", "fixed_day_count": "30/360", "par_coupons": true}}],
        "discount_curves": {"EUR": "EUR1D"},
    }));
    let mut table = Table::default();
    let pv = one(&market, "SWAP", swap(0.04, "30/360", "Following", true), Measure::Pv).value;
    table.row("Swap_20y NPV", expected(&npv, "Swap_20y"), pv, 1e-3);
    let theirs = read("ir_swap_bootstrap/ExpectedOutput/curves.csv").unwrap();
    for (ours, name) in [("EUR1D", "EUR"), ("EUR6M", "EUR-EURIBOR-6M")] {
        let curve = &market.curves[market.curve(ours).unwrap()];
        let differs = |node: &Value| {
            let date = node["date"].as_str().unwrap().parse().unwrap();
            node["value"].as_f64().unwrap() - curve.df(curve.time(date))
        };
        let nodes = column(&theirs, name);
        let worst = nodes.iter().map(|node| differs(node).abs()).fold(0.0, f64::max);
        table.row(format!("{ours}: worst of {} discount factors", nodes.len()), 0.0, worst, 1e-10);
    }
    table.check("ORE swap on curves bootstrapped from deposits, OIS and swaps");
}
