//! Random portfolios beside QuantLib (its Python package, which the interpreter
//! that `DAYBOOK_TEST_PYTHON` names must have). Prints the worst relative
//! difference of each product and measure.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;

use models_pricing::book::Book;
use models_pricing::market::Market;
use models_pricing::measures::{MEASURES, Measure};
use models_pricing::position::Position;
use models_pricing::scenario::{ScenarioSet, Shifts};
use serde_json::{Value, json};

/// Numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[(self.next() * choices.len() as f64) as usize % choices.len()]
    }

    /// A business day of TARGET that many days after the valuation date.
    fn date(&mut self, low: f64, high: f64) -> String {
        let target = models_pricing::calendar::Calendar::named("TARGET", &Default::default()).unwrap();
        let day = "2026-01-23".parse::<models_pricing::date::Date>().unwrap();
        let day = day.plus_days(self.between(low, high) as i32);
        target.adjust(day, models_pricing::calendar::Convention::Following).to_string()
    }
}

fn later(date: &str, months: i32) -> String {
    date.parse::<models_pricing::date::Date>().unwrap().plus_months(months).to_string()
}

fn curve(numbers: &mut Numbers, level: f64) -> Vec<Value> {
    let mut rate = level;
    let dates = [
        "2026-02-23",
        "2026-07-23",
        "2027-01-25",
        "2028-01-24",
        "2031-01-23",
        "2036-01-23",
        "2046-01-23",
        "2056-01-24",
    ];
    let mut node = |date: &&str| {
        rate += numbers.between(-0.004, 0.006);
        json!({"date": date, "value": rate})
    };
    dates.iter().map(&mut node).collect()
}

fn swap(numbers: &mut Numbers, overnight: bool) -> Value {
    let start = numbers.date(5.0, 400.0);
    let years = numbers.between(1.0, 20.0) as i32;
    let (notional, spread) = (numbers.between(1e5, 1e7), numbers.between(-0.002, 0.002));
    let side = numbers.of(&["pay", "receive"]);
    let other = if side == "pay" { "receive" } else { "pay" };
    let end = later(&start, 12 * years);
    let fixed = json!({
        "type": "fixed", "side": side, "currency": "EUR", "notional": notional, "start": start, "end": end,
        "frequency": if overnight { "1Y" } else { numbers.of(&["6M", "1Y"]) },
        "day_count": if overnight { "ACT/360" } else { numbers.of(&["30/360", "ACT/360", "ACT/365F", "ACT/ACT ISDA"]) },
        "rate": numbers.between(-0.01, 0.06), "calendar": "TARGET", "payment_lag": if overnight { 2 } else { 0 }});
    let floating = match overnight {
        true => json!({"type": "overnight", "side": other, "notional": notional, "start": start, "end": end,
                       "frequency": "1Y", "index": "EUR-ESTR", "spread": 0.0, "calendar": "TARGET", "payment_lag": 2}),
        false => json!({"type": "ibor", "side": other, "notional": notional, "start": start, "end": end,
                        "frequency": "6M", "index": "EUR-EURIBOR-6M", "spread": spread, "calendar": "TARGET"}),
    };
    json!({"legs": [fixed, floating]})
}

fn bond(numbers: &mut Numbers) -> Value {
    let start = later("2024-03-15", numbers.between(0.0, 22.0) as i32);
    let years = numbers.between(3.0, 25.0) as i32;
    json!({
        "currency": "EUR", "face": numbers.between(1e3, 1e6), "coupon": numbers.between(0.0, 0.08), "start": start,
        "maturity": later(&start, 12 * years), "frequency": numbers.of(&["3M", "6M", "1Y"]),
        "day_count": numbers.of(&["ACT/ACT ICMA", "30/360", "30E/360"]), "calendar": "TARGET", "settlement_days": 2,
        "market_clean_price": numbers.between(70.0, 130.0)})
}

/// Rights on coupon dates, never for less than the market's price or for more.
fn callable(numbers: &mut Numbers, product: &str) -> Value {
    let mut terms = bond(numbers);
    let start = terms["start"].as_str().unwrap().to_owned();
    let rights = |numbers: &mut Numbers, low: f64, high: f64| -> Value {
        let last = terms["maturity"].as_str().unwrap().to_owned();
        let dates = (2..28).map(|year| later(&start, 12 * year)).filter(|date| *date < last);
        dates.map(|date| json!({"date": date, "price": numbers.between(low, high)})).collect()
    };
    let (calls, puts) = (rights(numbers, 100.0, 104.0), rights(numbers, 85.0, 93.0));
    if product == "CALLABLE_BOND" {
        terms["calls"] = calls;
    } else {
        terms["puts"] = puts;
    }
    terms["calendar"] = json!("NONE");
    terms["settlement_days"] = json!(0);
    terms["market_clean_price"] = json!(numbers.between(96.0, 99.5));
    terms["mean_reversion"] = json!(numbers.between(0.001, 0.2));
    terms["volatility"] = json!(numbers.between(0.002, 0.02));
    terms
}

fn trade(numbers: &mut Numbers, at: usize) -> (&'static str, Value) {
    match at % 11 {
        8 => ("CALLABLE_BOND", callable(numbers, "CALLABLE_BOND")),
        10 => {
            let rolls = ["2027-06-20", "2028-12-20", "2030-12-20", "2033-06-20", "2035-12-20"];
            (
                "CDS",
                json!({
                "currency": "EUR", "notional": numbers.between(1e5, 1e7), "protection": numbers.of(&["buy", "sell"]),
                "spread": numbers.between(0.001, 0.05), "maturity": numbers.of(&rolls), "credit_curve": "HAZARD",
                "recovery": numbers.between(0.1, 0.7)}),
            )
        }
        9 => ("PUTABLE_BOND", callable(numbers, "PUTABLE_BOND")),
        0 => ("SWAP", swap(numbers, false)),
        1 => ("OIS", swap(numbers, true)),
        2 => ("FIXED_BOND", bond(numbers)),
        3 => {
            let start = numbers.date(5.0, 300.0);
            let end = later(&start, 12 * numbers.between(1.0, 10.0) as i32);
            (
                "FLOATING_RATE",
                json!({
                "currency": "EUR", "face": 1000.0, "index": "EUR-EURIBOR-6M", "spread": numbers.between(0.0, 0.02),
                "start": start, "maturity": end, "frequency": "6M", "calendar": "TARGET", "settlement_days": 2}),
            )
        }
        4 => (
            "ZERO_BOND",
            json!({"currency": "EUR", "face": 1e4, "maturity": numbers.date(30.0, 9_000.0), "calendar": "TARGET"}),
        ),
        5 => (
            "FX_OPTION",
            json!({
            "pair": "EURUSD", "amount": numbers.between(1e4, 1e6), "strike": numbers.between(0.8, 1.5),
            "option": numbers.of(&["call", "put"]), "expiry": numbers.date(10.0, 3_000.0)}),
        ),
        6 => {
            let start = numbers.date(5.0, 700.0);
            let index =
                models_pricing::index::Index::new("EUR-EURIBOR-6M", None, &Default::default()).unwrap();
            let fixing = index.fixing_date(start.parse().unwrap(), 2);
            (
                "FRA",
                json!({
                "notional": numbers.between(1e5, 1e7), "side": numbers.of(&["pay", "receive"]), "start": start,
                "end": index.period(fixing).1, "rate": numbers.between(-0.01, 0.06), "index": "EUR-EURIBOR-6M"}),
            )
        }
        _ => (
            "FX_FWD",
            json!({"pair": "EURUSD", "amount": numbers.between(-1e6, 1e6), "rate": numbers.between(0.9, 1.3), "date": numbers.date(1.0, 5_000.0)}),
        ),
    }
}

/// Where tests must not be skipped, a missing interpreter fails.
fn python() -> Option<std::ffi::OsString> {
    let named = std::env::var_os("DAYBOOK_TEST_PYTHON");
    let required =
        std::env::var_os("CI").is_some() || std::env::var_os("DAYBOOK_TEST_REQUIRE_SERVERS").is_some();
    assert!(named.is_some() || !required, "DAYBOOK_TEST_PYTHON is not set; `cargo xtask test` installs one");
    if named.is_none() {
        eprintln!("skipped: DAYBOOK_TEST_PYTHON is not set");
    }
    named
}

#[test]
fn random_portfolios_beside_quantlib() {
    let Some(python) = python() else { return };
    let mut numbers = Numbers(20_260_123);
    let mut worst: BTreeMap<(String, String), (f64, usize)> = BTreeMap::new();
    let mut version = String::new();
    for round in 0..4 {
        let curves = json!({
            "EUR-OIS": curve(&mut numbers, [0.02, -0.008, 0.05, 0.0][round]),
            "USD-OIS": curve(&mut numbers, 0.03), "EUR-EURIBOR-6M": curve(&mut numbers, 0.02)});
        let (eurusd, volatility) = (numbers.between(0.9, 1.3), numbers.between(0.05, 0.4));
        let mut hazard = numbers.between(0.002, 0.03);
        let mut hazards = curve(&mut numbers, 0.0);
        for node in &mut hazards {
            // Survival never rises.
            hazard += numbers.between(0.0, 0.004);
            node["value"] = json!(hazard);
        }
        let trades: Vec<Value> = (0..440)
            .map(|at| {
                let (product, terms) = trade(&mut numbers, at);
                json!({"position_id": format!("{product}-{at}"), "product_type": product, "terms": terms})
            })
            .collect();
        let input = json!({"as_of": "2026-01-23", "curves": curves, "eurusd": eurusd, "volatility": volatility, "hazards": hazards, "trades": trades});
        let theirs = ask(&python, &input);
        version = theirs["version"].as_str().unwrap().to_owned();
        for ((id, measure), ours) in ours(&input) {
            let Some(expected) = theirs["values"][&id][&measure].as_f64() else { continue };
            // Of values near nothing the difference counts in units of what moves it.
            let scale = expected.abs().max(unit(&measure, &input, &id));
            assert!(ours.is_finite() && expected.is_finite(), "{id} {measure}: {ours} for {expected}");
            let product = id.rsplit_once('-').unwrap().0.to_owned();
            let cell = worst.entry((product, measure)).or_insert((0.0, 0));
            cell.1 += 1;
            cell.0 = cell.0.max((ours - expected).abs() / scale);
        }
    }
    eprintln!("\nQuantLib {version}: worst relative differences");
    for ((product, measure), (difference, count)) in &worst {
        eprintln!("{product:<16} {measure:<20} {count:>5} {difference:>10.1e}");
    }
    assert!(worst.len() >= 30, "{} measures were compared", worst.len());
    let far: Vec<_> = worst.iter().filter(|(_, (difference, _))| *difference >= 1e-9).collect();
    assert!(far.is_empty(), "{far:?}");
}

/// A millionth of the notional for amounts; a basis point's hundredth for rates.
fn unit(measure: &str, input: &Value, id: &str) -> f64 {
    let trade = input["trades"].as_array().unwrap().iter().find(|t| t["position_id"] == id).unwrap();
    let terms = &trade["terms"];
    let notional = ["notional", "face", "amount"].iter().find_map(|name| terms[*name].as_f64());
    let notional = notional.or_else(|| terms["legs"][0]["notional"].as_f64()).unwrap().abs();
    match measure {
        "YIELD" | "PAR_RATE" | "OAS" => 1e-4,
        "CLEAN_PRICE" | "MACAULAY_DURATION" | "EFFECTIVE_DURATION" | "MODIFIED_DURATION" | "CONVEXITY" => {
            1e-2
        }
        _ => notional * 1e-4,
    }
}

fn ask(python: &std::ffi::OsStr, input: &Value) -> Value {
    let file = std::env::temp_dir().join(format!("daybook-quantlib-{}.json", std::process::id()));
    std::fs::write(&file, input.to_string()).unwrap();
    let output = Command::new(python).arg("-c").arg(include_str!("quantlib.py")).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ours(input: &Value) -> BTreeMap<(String, String), f64> {
    let curve = |id: &str| json!({"curve_id": id, "currency": &id[..3], "nodes": input["curves"][id]});
    let mut euribor = curve("EUR-EURIBOR-6M");
    euribor["indices"] = json!(["EUR-EURIBOR-6M"]);
    let hazard = json!({"curve_id": "HAZARD", "kind": "spread", "interpolation": "log_linear_df", "nodes": input["hazards"]});
    let market = json!({
        "as_of": input["as_of"], "curves": [curve("EUR-OIS"), curve("USD-OIS"), euribor, hazard],
        "fx_spots": [{"pair": "EURUSD", "spot": input["eurusd"]}],
        "volatilities": [{"underlying": "EURUSD", "nodes": [{"tenor": "1Y", "value": input["volatility"]}]}]});
    let market = Market::new(&serde_json::from_value(market).unwrap()).unwrap();
    let positions = Position::read_all(&input["trades"]).unwrap();
    let book = Book::new(&positions, &market, None);
    let shifts = Shifts::new(&ScenarioSet::named("BASE").scenarios().unwrap(), &market).unwrap();
    let measures: Vec<Measure> = MEASURES.iter().map(|(_, measure)| *measure).collect();
    let mut values = BTreeMap::new();
    book.run(&market, &shifts, &measures, |at, _, measure, cell| {
        let id = &positions[at].position_id;
        match cell {
            Ok(cell) => drop(values.insert((id.clone(), measures[measure].name().to_owned()), cell.value)),
            Err(flag) => assert_eq!(flag.code, "not_defined", "{id}: {flag}"),
        }
    });
    values
}
