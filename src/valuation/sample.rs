//! A market and portfolios of every product, to try things with: the same seed
//! makes the same positions.

use serde_json::{Value, json};

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In units of a thousandth, so that texts are short.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((low + (high - low) * share) * 1e5).round() / 1e5
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[(self.next() % all.len() as u64) as usize]
    }

    /// A day in a year.
    fn day(&mut self, year: u64) -> String {
        format!("{year}-{:02}-{:02}", 1 + self.next() % 12, 1 + self.next() % 28)
    }
}

/// As of 2026-01-23, with everything that the products need.
pub fn market(name: &str) -> Value {
    let zero = |id: &str, level: f64| {
        let nodes: Vec<Value> = ["1M", "6M", "1Y", "2Y", "5Y", "10Y", "30Y"]
            .iter()
            .zip(0..)
            .map(|(tenor, at)| json!({"tenor": tenor, "value": level + 0.001 * f64::from(at)}))
            .collect();
        json!({"curve_id": id, "kind": "zero", "day_count": "ACT/365F", "nodes": nodes})
    };
    let mut projection = zero("USD-3M", 0.042);
    projection["indices"] = json!(["USD-LIBOR-3M"]);
    let mut spread = zero("LOAN-SPREAD", 0.02);
    spread["kind"] = json!("spread");
    let mut credit = zero("ACME-CDS", 0.008);
    (credit["kind"], credit["currency"]) = (json!("credit"), json!("USD"));
    credit["nodes"] = json!([{"tenor": "1Y", "value": 0.006}, {"tenor": "3Y", "value": 0.008},
                             {"tenor": "5Y", "value": 0.01}, {"tenor": "10Y", "value": 0.013}]);
    let volatility = |of: &str| json!({"underlying": of, "nodes": [{"tenor": "1Y", "value": 0.1}, {"tenor": "5Y", "value": 0.12}]});
    json!({
        "snapshot_id": name, "as_of_time": "2026-01-23T17:00:00Z", "vendor": "DEMO",
        "curves": [zero("USD-OIS", 0.04), zero("EUR-OIS", 0.02), projection, spread, credit],
        "fx_spots": [{"pair": "EURUSD", "spot": 1.09}],
        "volatilities": [volatility("EURUSD"), volatility("ACME")],
        "equities": [{"underlying": "ACME", "currency": "USD", "spot": 101.5, "dividend_yield": 0.02}]})
}

/// So many positions, product after product.
pub fn positions(seed: u64, count: usize) -> Vec<Value> {
    let mut numbers = Numbers(seed);
    (0..count)
        .map(|at| {
            let (product, terms) = trade(&mut numbers, at);
            json!({
                "position_id": format!("P-{at:06}"), "product_type": product, "quantity": 1 + at % 3,
                "book": numbers.of(&["RATES/SWAPS", "RATES/BONDS", "LOANS/PRIME", "LOANS/AUTO", "FX"]),
                "tags": {"strategy": numbers.of(&["carry", "hedge"])}, "terms": terms})
        })
        .collect()
}

fn trade(numbers: &mut Numbers, at: usize) -> (&'static str, Value) {
    let (year, notional) = (2027 + at as u64 % 9, numbers.between(1e4, 1e6).round());
    let (date, later) = (numbers.day(year), numbers.day(year + 1));
    let bond = |currency: &str, coupon: f64| {
        json!({"currency": currency, "face": notional, "coupon": coupon, "start": "2025-06-15",
               "maturity": later, "frequency": "6M", "day_count": "30/360"})
    };
    match at % 18 {
        0 => ("CASH", json!({"currency": numbers.of(&["USD", "EUR"]), "amount": notional})),
        1 => (
            "DEPOSIT",
            json!({"currency": "USD", "notional": notional, "rate": 0.04, "start": "2026-01-26", "end": date}),
        ),
        2 => ("FX_SPOT", json!({"pair": "EURUSD", "amount": notional, "rate": 1.08, "date": "2026-01-27"})),
        3 => (
            "FX_FWD",
            json!({"pair": "EURUSD", "amount": notional, "rate": numbers.between(1.0, 1.2), "date": date}),
        ),
        4 => {
            let leg = |amount: f64, rate: f64, date: &str| json!({"pair": "EURUSD", "amount": amount, "rate": rate, "date": date});
            ("FX_SWAP", json!({"near": leg(notional, 1.09, "2026-01-27"), "far": leg(-notional, 1.1, &date)}))
        }
        5 => ("FIXED_BOND", bond(numbers.of(&["USD", "EUR"]), numbers.between(0.0, 0.07))),
        6 => ("ZERO_BOND", json!({"currency": "USD", "face": notional, "maturity": later})),
        7 => (
            "FLOATING_RATE",
            json!({"currency": "USD", "face": notional, "index": "USD-LIBOR-3M", "spread": 0.01, "start": "2026-02-02", "maturity": later}),
        ),
        8 => (
            "AMORT_LOAN",
            json!({"currency": "USD", "principal": notional, "coupon_rate": numbers.between(0.05, 0.2),
                   "last_payment_date": "2026-01-15", "remaining_payments": 12 + at % 60, "frequency": "1M",
                   "prepayment": {"cpr": 0.06}, "spread_curve": "LOAN-SPREAD", "day_count": "30/360"}),
        ),
        9 => (
            "FRA",
            json!({"notional": notional, "side": numbers.of(&["pay", "receive"]), "start": "2026-06-15", "end": "2026-09-15",
                   "rate": numbers.between(0.03, 0.05), "index": "USD-LIBOR-3M"}),
        ),
        10..=12 => swap(numbers, at, notional, &date),
        15 | 16 => {
            let (product, right, price) = if at % 18 == 15 {
                ("CALLABLE_BOND", "calls", 101.0)
            } else {
                ("PUTABLE_BOND", "puts", 95.0)
            };
            let mut terms = bond("USD", numbers.between(0.03, 0.07));
            terms[right] = json!([{"date": "2026-12-15", "price": price}]);
            (product, terms)
        }
        17 => (
            "CDS",
            json!({"currency": "USD", "notional": notional, "protection": numbers.of(&["buy", "sell"]),
                   "spread": 0.01, "maturity": format!("{}-12-20", year.min(2034)), "credit_curve": "ACME-CDS"}),
        ),
        13 => (
            "FX_OPTION",
            json!({"pair": "EURUSD", "amount": notional, "strike": numbers.between(0.9, 1.3), "option": numbers.of(&["call", "put"]), "expiry": date}),
        ),
        _ => (
            "EQUITY_OPTION",
            json!({"underlying": "ACME", "amount": 100.0, "strike": numbers.between(80.0, 120.0), "option": numbers.of(&["call", "put"]), "expiry": date}),
        ),
    }
}

fn swap(numbers: &mut Numbers, at: usize, notional: f64, end: &str) -> (&'static str, Value) {
    let leg = |kind: &str, side: &str, currency: &str, more: Value| {
        let mut leg = json!({"type": kind, "side": side, "currency": currency, "notional": notional,
                             "start": "2026-02-02", "end": end, "calendar": "US"});
        if let (Value::Object(leg), Value::Object(more)) = (&mut leg, more) {
            leg.extend(more);
        }
        leg
    };
    let rate = numbers.between(0.02, 0.05);
    let fixed = json!({"frequency": "6M", "day_count": "30/360", "rate": rate});
    match at % 18 {
        10 => (
            "SWAP",
            json!({"legs": [leg("fixed", "pay", "USD", fixed), leg("ibor", "receive", "USD", json!({"index": "USD-LIBOR-3M"}))]}),
        ),
        11 => (
            "OIS",
            json!({"legs": [leg("fixed", "receive", "USD", fixed), leg("overnight", "pay", "USD", json!({"index": "USD-SOFR", "frequency": "1Y"}))]}),
        ),
        _ => {
            let euros = json!({"frequency": "1Y", "rate": 0.025, "exchange": true});
            let dollars = json!({"frequency": "1Y", "rate": rate, "exchange": true});
            (
                "XCCY_SWAP",
                json!({"legs": [leg("fixed", "receive", "USD", dollars), leg("fixed", "pay", "EUR", euros)]}),
            )
        }
    }
}
