//! `simulate`: whole races drawn a second by one thread, beside NumPy drawing
//! from the same model a thousand races at a time. Both must draw the same
//! distribution: the means of places, laps led, fastest laps and retirements
//! by car are compared.

use anyhow::{Result, ensure};
use models_fantasy::form::{FEATURES, Form};
use models_fantasy::incident::Incidents;
use models_fantasy::race::{End, Outcome};
use models_fantasy::rng::Rng;
use models_fantasy::share::Scores;
use models_fantasy::simulate::{Races, Setup, simulate};
use models_fantasy::track::Kind;
use serde_json::{Value, json};

use crate::peer::{ask, number, numbers, timed};
use crate::table::{Line, median};

const PROGRAM: &str = include_str!("../peers/simulate.py");
/// As [`Incidents`] keeps them: parts of the field, laps remembered for each.
const PARTS: usize = 8;
const DRAWS: usize = 240;
const PAST: usize = 60;
const LAPS: u32 = 267;

#[derive(clap::Args)]
pub struct Arguments {
    /// Races drawn in a run.
    #[arg(long, default_value_t = 20_000)]
    races: usize,
    #[arg(long, default_value_t = 40)]
    cars: usize,
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    let cars = arguments.cars;
    let forms: Vec<Form> = (0..cars)
        .map(|i| Form { features: [0.0; FEATURES], led: 0.1, fastest: 0.1, out: 0.05 + 0.005 * i as f64 })
        .collect();
    let (incidents, pools) = learned(&forms);
    let setup = setup(&incidents, &forms);
    let (took, races) = timed(arguments.runs, || Ok(simulate(&setup, &incidents, 7, arguments.races)))?;
    let told = ask(PROGRAM, &tell(&setup, &incidents, pools, arguments))?;
    let ours = means(&races);
    // Of 20,000 races the greatest of 40 means is off by less than this.
    for (name, ours, most) in [
        ("finish", &ours[0], 0.5),
        ("led", &ours[1], 1.0),
        ("fastest", &ours[2], 1.0),
        ("out", &ours[3], 0.02),
    ] {
        let theirs = numbers(&told, name)?;
        let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        ensure!(theirs.len() == cars && off < most, "means of {name} differ by up to {off}");
    }
    Ok(vec![Line {
        bench: "simulate",
        case: format!("races of {cars} cars, one thread"),
        ours: arguments.races as f64 / median(&took) / 1e3,
        peer: "NumPy, the same model",
        peer_value: arguments.races as f64 / number(&told, "seconds") / 1e3,
        unit: "k races/s",
        runs: arguments.runs,
    }])
}

/// Retirements of seasons past, and the shares of the distance that were
/// remembered: of those running and out, by part of the field.
fn learned(forms: &[Form]) -> (Incidents, [Vec<Vec<f32>>; 2]) {
    let (n, mut rng, mut incidents) = (forms.len(), Rng::new(3), Incidents::default());
    let mut pools = [vec![Vec::new(); PARTS], vec![Vec::new(); PARTS]];
    for _ in 0..PAST {
        let mut laps = LAPS;
        let outcomes: Vec<Outcome> = (0..n)
            .map(|place| {
                let back = place as f64 / n as f64;
                let out = rng.uniform() < 0.9 * back.powi(4);
                let lost = rng.uniform() * if out { 0.5 } else { 0.02 } * back;
                laps = laps.min((f64::from(LAPS) * (1.0 - lost)) as u32);
                let part = (((place as f64 + 0.5) / n as f64 * PARTS as f64) as usize).min(PARTS - 1);
                pools[usize::from(out)][part].push((f64::from(laps) / f64::from(LAPS)) as f32);
                let end = if out { End::Accident } else { End::Running };
                Outcome { finish: place as u32 + 1, laps, led: 0, fastest: None, rating: None, end }
            })
            .collect();
        incidents.learn(Kind::Intermediate, forms, &outcomes);
    }
    for pool in pools.iter_mut().flatten() {
        let from = pool.len().saturating_sub(DRAWS);
        pool.drain(..from);
    }
    (incidents, pools)
}

fn setup(incidents: &Incidents, forms: &[Form]) -> Setup {
    let cars = forms.len();
    let scores = |by: f64| Scores {
        fixed: (0..cars).map(|i| -0.1 * i as f64).collect(),
        by_finish: (0..cars).map(|place| -by * (place as f64 + 1.0).ln()).collect(),
        led: 1.0,
        concentration: 4.0,
    };
    Setup {
        kind: Kind::Intermediate,
        laps: LAPS,
        badness: (0..cars).map(|i| 0.1 * i as f64).collect(),
        starts: (1..=cars as u32).collect(),
        out: incidents.table(Kind::Intermediate, forms),
        led: scores(0.8),
        fastest: scores(0.5),
        green: (0.82, 0.06),
    }
}

fn tell(setup: &Setup, incidents: &Incidents, pools: [Vec<Vec<f32>>; 2], arguments: &Arguments) -> Value {
    let scores = |s: &Scores| json!({"fixed": s.fixed, "by_finish": s.by_finish, "led": s.led, "concentration": s.concentration});
    json!({"races": arguments.races, "runs": arguments.runs, "laps": setup.laps, "badness": setup.badness,
        "out": setup.out, "pools": pools, "accidents": incidents.accident_share(setup.kind),
        "led": scores(&setup.led), "fastest": scores(&setup.fastest), "green": [setup.green.0, setup.green.1]})
}

/// By car: place, laps led, fastest laps, how often it dropped out.
fn means(races: &Races) -> [Vec<f64>; 4] {
    let mut sums = [(); 4].map(|()| vec![0.0; races.cars]);
    for (race, ends) in races.races().zip(races.ends.chunks_exact(races.cars)) {
        for (car, (line, end)) in race.iter().zip(ends).enumerate() {
            sums[0][car] += f64::from(line.finish);
            sums[1][car] += f64::from(line.led);
            sums[2][car] += f64::from(line.fastest);
            sums[3][car] += f64::from(u8::from(*end != End::Running));
        }
    }
    sums.iter_mut().flatten().for_each(|sum| *sum /= races.runs() as f64);
    sums
}
