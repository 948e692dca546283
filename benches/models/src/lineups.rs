//! `lineups`: the best 150 lineups of a slate of 40 drivers, and portfolios
//! whose exposures hold together, beside pydfs-lineup-optimizer 3.6 with the
//! solver that it brings (CBC), asked for the same with the same numbers.

use anyhow::{Result, ensure};
use models_fantasy::lineups::{Exposure, Limits, Player, Slate, portfolio};
use models_fantasy::rng::Rng;
use serde_json::{Value, json};

use crate::peer::{ask, number, timed};
use crate::table::{Line, median};

const PEER: &str = "pydfs-lineup-optimizer";
const PROGRAM: &str = include_str!("../peers/lineups.py");

#[derive(clap::Args)]
pub struct Arguments {
    /// Runs of ours; the peer runs each case once.
    #[arg(long, default_value_t = 21)]
    runs: usize,
    #[arg(long, default_value_t = 40)]
    drivers: usize,
    /// Without the peer.
    #[arg(long)]
    alone: bool,
}

struct Case {
    name: &'static str,
    values: Vec<f64>,
    limits: Limits,
    count: usize,
    /// The peer is not asked where it would take minutes.
    peer: bool,
}

pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    let (slate, values) = slate(arguments.drivers, 1);
    let mut lines = Vec::new();
    for case in cases(&slate, &values) {
        let (took, found) =
            timed(arguments.runs, || Ok(portfolio(&slate, &case.limits, &case.values, case.count)?))?;
        ensure!(found.lineups.len() == case.count, "{}: {} lineups", case.name, found.lineups.len());
        let line = |what: &str, ours: f64, peer_value: f64, unit| Line {
            bench: "lineups",
            case: format!("{}{what}", case.name),
            ours,
            peer: if peer_value.is_nan() { "-" } else { PEER },
            peer_value,
            unit,
            runs: arguments.runs,
        };
        let seconds = median(&took);
        lines.push(line("", seconds * 1e3, f64::NAN, "ms"));
        if !case.peer || arguments.alone {
            continue;
        }
        let told = ask(PROGRAM, &tell(&slate, &case))?;
        let count = case.count as f64;
        lines.push(line(
            "",
            count / seconds,
            number(&told, "lineups") / number(&told, "seconds"),
            "lineups/s",
        ));
        lines.push(line(": all points", found.value, number(&told, "value"), "points"));
        if let Some(error) = told["error"].as_str() {
            eprintln!("{}: {PEER} stopped after {} lineups: {error}", case.name, told["lineups"]);
        } else {
            let worse = found.value - number(&told, "value");
            ensure!(worse > -1e-6, "{}: the peer's lineups are better by {}", case.name, -worse);
        }
    }
    Ok(lines)
}

/// Dear drivers are worth more.
fn slate(drivers: usize, seed: u64) -> (Slate, Vec<f64>) {
    let mut rng = Rng::new(seed);
    let (mut players, mut values) = (Vec::new(), Vec::new());
    for i in 0..drivers {
        let salary = 4_500 + 100 * rng.below(65) as u32;
        let (team, make) = (Some(format!("t{}", i % 11)), Some(format!("m{}", i % 3)));
        players.push(Player { driver: format!("d{i}"), salary, team, make });
        values.push(f64::from(salary) / 250.0 + 6.0 * rng.normal());
    }
    (Slate { players, roster: 6, cap: 50_000 }, values)
}

fn cases(slate: &Slate, values: &[f64]) -> Vec<Case> {
    let exposures = |bounds: &[(usize, f64, f64)]| {
        let exposure = |(i, min, max): &(usize, f64, f64)| Exposure {
            driver: slate.players[*i].driver.clone(),
            min: *min,
            max: *max,
        };
        Limits { exposures: bounds.iter().map(exposure).collect(), ..Limits::default() }
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    // Three whom nobody would take so often.
    let (a, b, c) = (order[9], order[14], order[19]);
    let stepped = values.iter().map(|v| (v / 10.0).round() * 10.0).collect();
    let plain = Limits::default;
    let case = |name, values, limits, count, peer| Case { name, values, limits, count, peer };
    let most = Limits { max_exposure: Some(0.4), ..Limits::default() };
    vec![
        case("top 150", values.to_vec(), plain(), 150, true),
        case("top 150, values in steps of 10 points", stepped, plain(), 150, true),
        case("top 150, all values equal", vec![31.7; values.len()], plain(), 150, false),
        case("20 lineups, at most 40 % of each driver", values.to_vec(), most, 20, true),
        case(
            "10 lineups with 80, 60 and 20 % of three drivers",
            values.to_vec(),
            exposures(&[(a, 0.8, 1.0), (b, 0.6, 1.0), (c, 0.2, 1.0)]),
            10,
            true,
        ),
    ]
}

fn tell(slate: &Slate, case: &Case) -> Value {
    let bounds = |i: usize| {
        let driver = &slate.players[i].driver;
        case.limits.exposures.iter().find(|e| e.driver == *driver).map(|e| e.min)
    };
    let player = |i: usize| {
        json!({"id": slate.players[i].driver, "team": slate.players[i].team, "salary": slate.players[i].salary,
            "value": case.values[i], "min": bounds(i)})
    };
    let players: Vec<Value> = (0..slate.players.len()).map(player).collect();
    json!({"players": players, "count": case.count, "max": case.limits.max_exposure})
}
