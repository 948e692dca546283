//! Who drops out and how many laps each completes, given the place of finish.
//!
//! Whoever drops out ends at the back, so the chance is a logistic function of
//! the place, the driver's own record and the kind of track, plus one number
//! for the race that makes calm races and wrecks. Laps are drawn from what cars
//! at such places completed, and never grow towards the back.

use crate::form::Form;
use crate::logit::{Answered, Rows, dot, step_binary};
use crate::math::logistic;
use crate::race::{End, Outcome};
use crate::rng::Rng;
use crate::track::Kind;

const WIDTH: usize = 9;
const RIDGE: f64 = 1.0;
const HALF_LIFE: f64 = 60.0;
const KEPT: usize = 200;
/// Spread between races of the chance to drop out, in logits.
const RACE_SPREAD: f64 = 0.7;
/// Parts of the field that laps are drawn from.
const PARTS: usize = 8;
/// Laps remembered for each part.
const DRAWS: usize = 240;
/// Before anything was learned.
const START: [f64; WIDTH] = [-6.0, 2.0, 5.0, 0.0, 4.0, 0.5, 0.0, 0.0, 0.5];

/// The fitted chances.
#[derive(Debug, Clone)]
pub struct Incidents {
    weights: Vec<f64>,
    past: Vec<Answered>,
    running: Vec<Pool>,
    out: Vec<Pool>,
    /// Fading counts of accidents and of all that dropped out, by kind.
    accidents: [(f64, f64); Kind::ALL.len()],
}

/// Shares of the distance, newest last.
#[derive(Debug, Clone, Default)]
struct Pool(Vec<f32>);

impl Pool {
    fn add(&mut self, share: f64) {
        if self.0.len() >= DRAWS {
            self.0.remove(0);
        }
        self.0.push(share as f32);
    }
}

impl Default for Incidents {
    fn default() -> Self {
        let pools = || vec![Pool::default(); PARTS * 2];
        Self {
            weights: START.to_vec(),
            past: Vec::new(),
            running: pools(),
            out: pools(),
            accidents: [(6.0, 10.0); Kind::ALL.len()],
        }
    }
}

/// Where in the field a place is, within 0 and 1.
fn part(place: usize, n: usize) -> f64 {
    (place as f64 + 0.5) / n as f64
}

fn row(q: f64, kind: Kind, out: f64) -> [f64; WIDTH] {
    let is = |k: Kind| f64::from(u8::from(k == kind));
    let pack = is(Kind::Superspeedway);
    [1.0, q, q.powi(4), q.powi(12), out - 0.14, pack, is(Kind::Road), is(Kind::Short), pack * q.powi(4)]
}

fn pool(q: f64, kind: Kind) -> usize {
    let part = ((q * PARTS as f64) as usize).min(PARTS - 1);
    part + if kind == Kind::Superspeedway { PARTS } else { 0 }
}

fn index(kind: Kind) -> usize {
    Kind::ALL.iter().position(|k| *k == kind).unwrap_or_default()
}

/// What [`Incidents::race`] draws for a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Share of the distance completed.
    pub share: f64,
    /// Whether it was still running.
    pub end: End,
}

impl Incidents {
    /// Learns who dropped out when; `outcomes` are in the order of the forms.
    pub fn learn(&mut self, kind: Kind, forms: &[Form], outcomes: &[Outcome]) {
        let n = outcomes.len();
        let distance = outcomes.iter().map(|o| o.laps).max().unwrap_or(1).max(1);
        let (mut rows, mut outs) = (Rows::new(WIDTH), Vec::new());
        let seen = &mut self.accidents[index(kind)];
        *seen = (seen.0 * 0.97 + 0.18, seen.1 * 0.97 + 0.3);
        for (form, outcome) in forms.iter().zip(outcomes) {
            let q = part(outcome.finish.saturating_sub(1) as usize, n);
            let out = outcome.end != End::Running;
            rows.push(&row(q, kind, form.out));
            outs.push(out);
            let pools = if out { &mut self.out } else { &mut self.running };
            pools[pool(q, kind)].add(f64::from(outcome.laps) / f64::from(distance));
            seen.1 += f64::from(u8::from(out));
            seen.0 += f64::from(u8::from(outcome.end == End::Accident));
        }
        if self.past.len() >= KEPT {
            self.past.remove(0);
        }
        self.past.push(Answered { rows, yes: outs });
        self.fit();
    }

    fn fit(&mut self) {
        let newest = self.past.len();
        let weights: Vec<f64> = (0..newest).map(|i| 0.5_f64.powf((newest - i) as f64 / HALF_LIFE)).collect();
        step_binary(&self.past, &weights, &START, RIDGE, &mut self.weights);
    }

    /// The part of those who drop out that an accident takes.
    pub fn accident_share(&self, kind: Kind) -> f64 {
        let (accidents, all) = self.accidents[index(kind)];
        accidents / all
    }

    /// Chances in logits for each driver (row) and place (column), before the
    /// race's own number.
    pub fn table(&self, kind: Kind, forms: &[Form]) -> Vec<f64> {
        let n = forms.len();
        let chance = |form: &Form, place| dot(&row(part(place, n), kind, form.out), &self.weights);
        forms.iter().flat_map(|form| (0..n).map(move |place| chance(form, place))).collect()
    }

    /// Draws one race: who dropped out and what each place completed, in the
    /// order of finish. `order[place]` is the driver.
    pub fn race(&self, kind: Kind, table: &[f64], order: &[usize], rng: &mut Rng, drawn: &mut Vec<Drawn>) {
        let (n, accidents) = (order.len(), self.accident_share(kind));
        let mood = RACE_SPREAD * rng.normal();
        let mut share = 1.0_f64;
        drawn.clear();
        for (place, driver) in order.iter().enumerate() {
            let out = place > 0 && rng.uniform() < logistic(table[driver * n + place] + mood);
            let pools = if out { &self.out } else { &self.running };
            if place > 0 {
                share = share.min(draw(pools, part(place, n), kind, rng).unwrap_or(share));
            }
            let end = match out {
                false => End::Running,
                true if rng.uniform() < accidents => End::Accident,
                true => End::Mechanical,
            };
            drawn.push(Drawn { share, end });
        }
    }
}

fn draw(pools: &[Pool], q: f64, kind: Kind, rng: &mut Rng) -> Option<f64> {
    let pool = &pools[pool(q, kind)].0;
    pool.get(rng.below(pool.len())).map(|share| f64::from(*share))
}
