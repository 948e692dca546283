//! `pricing`: present values of vanilla swaps a second by one thread, in a
//! thousand scenarios, beside QuantLib's own C++ pricing called from Python.
//!
//! Fair to QuantLib: its swaps, schedules and engine are made once; in each
//! scenario its two curves are made of shifted zero rates and the handles
//! relinked, and Python only calls `NPV` on each swap (less than a microsecond of
//! the ten that it takes). Coupons are par coupons, its faster kind, as ours. The
//! values must agree to 1e-9 of the notional.

use anyhow::{Result, anyhow, ensure};
use models_fantasy::rng::Rng;
use models_pricing::book::Book;
use models_pricing::date::{Date, Tenor};
use models_pricing::market::Market;
use models_pricing::position::Position;
use models_pricing::scenario::{Point, Scenario, Shift, Shifts};
use models_pricing::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::peer::{ask, number, numbers, timed};
use crate::table::{Line, median};

const PROGRAM: &str = include_str!("../peers/pricing.py");
const NOTIONAL: f64 = 1e6;
/// Nodes of both curves; scenarios shift each of them.
const DAYS: [i32; 11] = [182, 365, 730, 1_095, 1_825, 2_555, 3_650, 5_475, 7_300, 10_950, 14_600];
const CURVES: [(&str, f64); 2] = [("EUR-OIS", 0.021), ("EUR-6M", 0.024)];

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 300)]
    swaps: usize,
    #[arg(long, default_value_t = 1_000)]
    scenarios: usize,
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

struct Case {
    today: Date,
    swaps: Vec<Swap>,
    /// Shifts of each scenario: by curve, by node.
    shifts: Vec<[Vec<f64>; 2]>,
}

struct Swap {
    start: Date,
    years: i32,
    rate: f64,
}

pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    let case = case(arguments)?;
    let market = Market::new(&snapshot(&case)?).map_err(|e| anyhow!("{e}"))?;
    let positions = positions(&case)?;
    let book = Book::new(&positions, &market, None);
    ensure!(book.programs().count() == case.swaps.len(), "a swap could not be compiled");
    let shifts = Shifts::new(&scenarios(&case), &market).map_err(anyhow::Error::msg)?;
    let (took, values) = timed(arguments.runs, || Ok(book.values(&market, &shifts)))?;
    let told = ask(PROGRAM, &tell(&case))?;
    let (count, pvs) = (case.shifts.len(), values.len() as f64);
    for (name, scenario) in [("first", 0), ("last", count - 1)] {
        let theirs = numbers(&told, name)?;
        ensure!(theirs.len() == case.swaps.len(), "the peer priced {} swaps", theirs.len());
        for (swap, theirs) in theirs.iter().enumerate() {
            let ours = values[swap * count + scenario];
            ensure!((ours - theirs).abs() < 1e-9 * NOTIONAL, "swap {swap}: {ours}, not {theirs}");
        }
    }
    Ok(vec![Line {
        bench: "pricing",
        case: format!("PVs of {} swaps in {count} scenarios, one thread", case.swaps.len()),
        ours: pvs / median(&took) / 1e3,
        peer: "QuantLib 1.44",
        peer_value: pvs / number(&told, "seconds") / 1e3,
        unit: "k PVs/s",
        runs: arguments.runs,
    }])
}

fn case(arguments: &Arguments) -> Result<Case> {
    let mut rng = Rng::new(11);
    let today = Date::new(2026, 1, 23).ok_or_else(|| anyhow!("no date"))?;
    let swaps = (0..arguments.swaps)
        .map(|_| {
            // Not the end of a month: both roll from any other day alike.
            let first = Date::new(2026, 2 + rng.below(6) as u32, 1 + rng.below(27) as u32);
            let start = first.ok_or_else(|| anyhow!("no date"))?;
            Ok(Swap { start, years: 2 + rng.below(29) as i32, rate: 0.01 + 0.03 * rng.uniform() })
        })
        .collect::<Result<_>>()?;
    let shifts = (0..arguments.scenarios)
        .map(|_| {
            let (level, slope) = (0.005 * rng.normal(), 0.0002 * rng.normal());
            [(); 2].map(|()| DAYS.iter().map(|d| level + slope * years(*d) + 0.0003 * rng.normal()).collect())
        })
        .collect();
    Ok(Case { today, swaps, shifts })
}

/// As both curves count them: a shift stands exactly where its node does.
fn years(days: i32) -> f64 {
    f64::from(days) / 365.0
}

/// The zero rate of a node without a scenario.
fn zero(level: f64, days: i32) -> f64 {
    level + 0.01 * (1.0 - (-years(days) / 8.0).exp())
}

fn snapshot(case: &Case) -> Result<Snapshot> {
    let curve = |(id, level): &(&str, f64)| {
        let node = |d: &i32| json!({"date": case.today.plus_days(*d), "value": zero(*level, *d)});
        json!({"curve_id": id, "kind": "zero", "interpolation": "linear_zero",
            "nodes": DAYS.iter().map(node).collect::<Vec<Value>>()})
    };
    let mut curves: Vec<Value> = CURVES.iter().map(curve).collect();
    curves[1]["indices"] = json!(["EUR-EURIBOR-6M"]);
    Ok(serde_json::from_value(json!({"as_of_time": case.today, "curves": curves}))?)
}

fn positions(case: &Case) -> Result<Vec<Position>> {
    let swap = |(i, swap): (usize, &Swap)| {
        let end = swap.start.plus(Tenor { months: 12 * swap.years, days: 0 });
        let leg = |kind: &str, side: &str| {
            json!({"type": kind, "side": side, "currency": "EUR", "notional": NOTIONAL, "start": swap.start,
                "end": end, "calendar": "TARGET"})
        };
        let (mut fixed, mut floating) = (leg("fixed", "pay"), leg("ibor", "receive"));
        fixed["rate"] = json!(swap.rate);
        fixed["day_count"] = json!("30/360");
        floating["index"] = json!("EUR-EURIBOR-6M");
        floating["par_coupons"] = json!(true);
        let position = json!({"position_id": format!("s{i}"), "book": "B", "product_type": "SWAP",
            "terms": {"legs": [fixed, floating]}});
        Position::read(&position, None).map_err(anyhow::Error::msg)
    };
    case.swaps.iter().enumerate().map(swap).collect()
}

fn scenarios(case: &Case) -> Vec<Scenario> {
    let scenario = |(i, shifts): (usize, &[Vec<f64>; 2])| {
        let shift = |((id, _), sizes): (&(&str, f64), &Vec<f64>)| Shift::Rates {
            curves: vec![(*id).to_owned()],
            points: DAYS.iter().zip(sizes).map(|(d, size)| Point(years(*d), *size)).collect(),
        };
        Scenario { scenario_id: format!("{i}"), shifts: CURVES.iter().zip(shifts).map(shift).collect() }
    };
    case.shifts.iter().enumerate().map(scenario).collect()
}

fn tell(case: &Case) -> Value {
    let date = |date: Date| {
        let (year, month, day) = date.ymd();
        [i64::from(year), i64::from(month), i64::from(day)]
    };
    let swaps: Vec<Value> = case
        .swaps
        .iter()
        .map(|s| json!({"start": date(s.start), "years": s.years, "rate": s.rate}))
        .collect();
    let zeros: Vec<Vec<f64>> =
        CURVES.iter().map(|(_, level)| DAYS.iter().map(|d| zero(*level, *d)).collect()).collect();
    json!({"today": date(case.today), "notional": NOTIONAL, "swaps": swaps, "days": DAYS, "zeros": zeros,
        "shifts": case.shifts})
}
