//! Credit default swaps of QuantLib's test suite (creditdefaultswap.cpp,
//! testCachedValue and testCachedMarketValue), and a bootstrapped curve.

use models_pricing::measures::Measure;
use serde_json::{Value, json};

use super::{Table, market, one};

fn check(table: &mut Table, name: &str, snapshot: Value, terms: Value, expected: (f64, f64), within: f64) {
    let market = market(snapshot);
    let of = |measure| one(&market, "CDS", terms.clone(), measure).value;
    table.row(format!("QuantLib {name}: PV"), expected.0, of(Measure::Pv), within);
    // Theirs is of the whole period, which had begun before.
    let (value, annuity) = (of(Measure::Pv), {
        let mut dearer = terms.clone();
        dearer["spread"] = json!(terms["spread"].as_f64().unwrap() + 1.0);
        one(&market, "CDS", dearer, Measure::Pv).value - of(Measure::Pv)
    });
    let par = terms["spread"].as_f64().unwrap() - value / annuity;
    table.row(format!("QuantLib {name}: fair spread"), expected.1, par, within);
}

#[test]
fn credit_default_swaps() {
    let mut table = Table::default();
    let flat = |id: &str, rate: f64, kind: &str| json!({"curve_id": id, "kind": kind, "day_count": "ACT/360", "nodes": [{"time": 1.0, "value": rate}]});
    check(
        &mut table,
        "cached value",
        json!({"as_of": "2006-06-09", "curves": [flat("EUR-OIS", 0.06, "zero"), flat("H", 0.01234, "spread")]}),
        json!({"currency": "EUR", "notional": 10_000.0, "protection": "sell", "spread": 0.012, "credit_curve": "H",
            "start": "2005-06-09", "maturity": "2015-06-09", "frequency": "6M", "calendar": "TARGET",
            "convention": "ModifiedFollowing", "end_convention": "ModifiedFollowing", "stub": "SHORT_FINAL",
            "last_day": false, "recovery": 0.4}),
        (295.0153398, 0.007517539081),
        1e-7,
    );
    let discounts = [
        ("2006-06-16", 0.9990151375768731),
        ("2006-07-10", 0.995705026368712),
        ("2006-08-09", 0.991182604745287),
        ("2006-09-11", 0.986611679509062),
        ("2006-12-11", 0.973259295335939),
        ("2007-06-11", 0.947244244810381),
        ("2008-06-09", 0.898449967371209),
        ("2009-06-09", 0.852166478399214),
        ("2010-06-09", 0.807754776925569),
        ("2011-06-09", 0.765172892342003),
        ("2012-06-11", 0.724010195531829),
        ("2013-06-10", 0.685039095692192),
        ("2014-06-09", 0.647974998140137),
    ];
    let defaults = [
        ("2006-12-11", 0.0047),
        ("2007-06-11", 0.0093),
        ("2008-06-09", 0.0286),
        ("2009-06-09", 0.0619),
        ("2010-06-09", 0.0953),
        ("2011-06-09", 0.1508),
        ("2013-06-10", 0.2288),
        ("2016-06-09", 0.3666),
    ];
    let discounts: Vec<Value> =
        discounts.iter().map(|(date, df)| json!({"date": date, "value": df})).collect();
    let hazards: Vec<Value> = defaults
        .iter()
        .map(|(date, default)| {
            let (y, m, d) = date.parse::<models_pricing::date::Date>().unwrap().ymd();
            // 30/360 from 2006-06-09; no day here is a 31st.
            let days = 360 * (y - 2006) + 30 * (m as i32 - 6) + d as i32 - 9;
            let years = f64::from(days) / 360.0;
            json!({"date": date, "value": -(1.0_f64 - default).ln() / years})
        })
        .collect();
    check(
        &mut table,
        "cached market value",
        json!({"as_of": "2006-06-09", "curves": [
            {"curve_id": "USD-OIS", "kind": "discount", "day_count": "ACT/360", "interpolation": "log_linear_df", "nodes": discounts},
            {"curve_id": "H", "kind": "spread", "day_count": "30/360", "interpolation": "log_linear_df", "nodes": hazards}]}),
        json!({"currency": "USD", "notional": 100.0, "protection": "sell", "spread": 0.0224, "credit_curve": "H",
            "start": "2006-03-20", "maturity": "2013-06-20", "frequency": "6M", "calendar": "US",
            "convention": "ModifiedFollowing", "end_convention": "ModifiedFollowing", "stub": "SHORT_FINAL",
            "last_day": false, "recovery": 0.25}),
        (-1.364048777, 0.0248429452),
        1e-9,
    );
    table.check("Credit default swaps");
}
