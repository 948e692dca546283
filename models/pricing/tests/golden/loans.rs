//! The main book: three loans of the replaced service's demo, whose values its
//! own code gave. Inputs and values are facts of that fixture.

use models_pricing::measures::Measure;
use models_pricing::quality::Quality;
use serde_json::{Value, json};

use super::{Table, market, measured};

fn snapshot() -> Value {
    json!({
        "snapshot_id": "MKT-DEMO-20260123", "as_of_time": "2026-01-23T00:00:00Z", "vendor": "DEMO", "universe_id": "USD",
        "fx_spots": [{"pair": "EURUSD", "spot": 1.09, "ts": "2026-01-23T00:00:00Z"}],
        "curves": [
            {"curve_id": "USD-OIS", "curve_type": "DISCOUNT", "nodes": [
                {"tenor": "1M", "zero_rate": 0.045}, {"tenor": "6M", "zero_rate": 0.046}, {"tenor": "1Y", "zero_rate": 0.047}]},
            {"curve_id": "LOAN-SPREAD", "curve_type": "SPREAD", "nodes": [
                {"tenor": "1M", "zero_rate": 0.02}, {"tenor": "6M", "zero_rate": 0.02}, {"tenor": "1Y", "zero_rate": 0.02}]},
            {"curve_id": "FI-SPREAD", "curve_type": "SPREAD", "nodes": [{"tenor": "1Y", "zero_rate": 0.015}]}
        ],
        "quality": {"dq_status": "PASS", "issues": []}
    })
}

/// Level payments of six months, interest at a twelfth of the coupon.
fn loan(id: &str, principal: f64, coupon: f64, payment: f64, day_count: &str) -> Value {
    let mut owed = principal;
    let flows: Vec<Value> = (2..8)
        .map(|month| {
            let interest = owed * coupon / 12.0;
            let repaid = payment - interest;
            owed -= repaid;
            json!({"pay_date": format!("2026-{month:02}-23"), "interest": interest, "principal": repaid})
        })
        .collect();
    json!({
        "position_id": id, "instrument_id": id, "product_type": "AMORT_LOAN", "quantity": 1.0,
        "attributes": {
            "as_of_date": "2026-01-23", "last_payment_date": "2025-12-23", "current_principal": principal,
            "coupon_rate": coupon, "monthly_payment": payment, "platform": "PRIME",
            "instrument": {
                "instrument_type": "AMORT_LOAN",
                "terms": {"currency": "USD", "day_count": day_count, "payment_frequency": "MONTHLY", "original_term_months": 84},
                "risk_modeling": {"discount_curve": "USD-OIS", "spread_curve": "LOAN-SPREAD"}},
            "cashflows": flows}
    })
}

fn book(day_count: &str) -> Value {
    json!({"portfolio_node_id": "BOOK-PRIME-LOANS", "positions": [
        loan("POS-SFC_5685642", 20229.7, 0.195, 443.15, day_count),
        loan("POS-SFC_5707491", 79276.5, 0.195, 1736.64, day_count),
        loan("POS-SFC_5724283", 10046.8, 0.1176101972397079, 119.93, day_count)]})
}

#[test]
fn loans_with_given_cash_flows() {
    let market = market(snapshot());
    let measures = [Measure::Pv, Measure::Dv01, Measure::AccruedInterest];
    let base = measured(&market, &book("ACT/360"), "BASE", &measures);
    let wider = measured(&market, &book("ACT/360"), "SPREAD_25BP", &measures);
    let value = |cells: &std::collections::BTreeMap<_, Result<models_pricing::measures::Cell, _>>,
                 id: &str,
                 measure| { cells[&(id.to_owned(), measure)].as_ref().unwrap().value };
    let mut table = Table::default();
    for (id, pv) in [
        ("POS-SFC_5685642", 2609.1074237980843),
        ("POS-SFC_5707491", 10224.710180446134),
        ("POS-SFC_5724283", 706.1045996527232),
    ] {
        table.row(format!("{id} PV"), pv, value(&base, id, Measure::Pv), 1e-9);
    }
    let (first, second) = ("POS-SFC_5685642", "POS-SFC_5707491");
    table.row(format!("{first} DV01"), -0.07494925866421909, value(&base, first, Measure::Dv01), 1e-9);
    table.row(format!("{second} DV01"), -0.29371517672734626, value(&base, second, Measure::Dv01), 1e-9);
    table.row(
        format!("{first} PV, SPREAD_25BP"),
        2607.2344939499026,
        value(&wider, first, Measure::Pv),
        1e-9,
    );
    table.row(
        format!("{first} accrued, by actual days over 360 as there"),
        339.6903791666667,
        value(&base, first, Measure::AccruedInterest),
        1e-9,
    );
    table.check("Loans with given cash flows (the replaced service's own values)");
}

#[test]
fn what_the_old_service_hid_is_said() {
    let market = market(snapshot());
    let measures = [Measure::Pv, Measure::Dv01, Measure::AccruedInterest];
    let cells = measured(&market, &book("30/360"), "BASE", &measures);
    let id = "POS-SFC_5685642".to_owned();
    // The declared day count counts: 30 days, not 31.
    let accrued = cells[&(id.clone(), Measure::AccruedInterest)].as_ref().unwrap();
    assert!((accrued.value - 20229.7 * 0.195 * 30.0 / 360.0).abs() < 1e-9);
    // Six flows of 84 months are not the loan.
    let pv = cells[&(id.clone(), Measure::Pv)].as_ref().unwrap();
    assert_eq!(pv.quality, Quality::Missing);
    // Under the shifted market the bump is taken from it, and is not nothing.
    let shifted = measured(&market, &book("30/360"), "RATES_PARALLEL_1BP", &measures);
    let dv01 = |cells: &std::collections::BTreeMap<_, Result<models_pricing::measures::Cell, _>>| {
        cells[&(id.clone(), Measure::Dv01)].as_ref().unwrap().value
    };
    let (before, after) = (dv01(&cells), dv01(&shifted));
    assert!(after < 0.0 && after > before, "{before} {after}");
}
