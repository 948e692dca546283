//! Who leads laps and who is fastest in them, given the order of finish.
//!
//! Means of the shares are a multinomial logit over finish, start, the
//! driver's record and strength; around them shares are Dirichlet, whose
//! concentration is fitted to how uneven past races were: in the median race
//! one car leads two laps in five.

use crate::logit::{Rows, Shared, concentration, dot, step_shares};

const WIDTH: usize = 7;
const RIDGE: f64 = 2.0;
const HALF_LIFE: f64 = 80.0;
const KEPT: usize = 240;
/// Before anything was learned: the front of grid and finish leads.
const START: [f64; WIDTH] = [-0.8, 0.3, -0.6, 0.2, 2.0, 0.3, 0.0];
const START_CONCENTRATION: f64 = 4.0;
/// Real shares have lighter tails than a Dirichlet of the same variance: with
/// this, the largest share of drawn races is as large as it was before 2022.
const LIGHTER: f64 = 1.4;

/// What a car's share depends on.
#[derive(Debug, Clone, Copy)]
pub struct Car {
    /// Place of finish, from 1.
    pub finish: u32,
    /// Place on the grid, from 1.
    pub start: u32,
    /// The driver's √share in the past ([`crate::form::Form`]).
    pub record: f64,
    /// Minus the badness of [`crate::order`].
    pub strength: f64,
    /// Share of the laps led, for the fastest laps; otherwise 0.
    pub led: f64,
}

fn row(car: &Car) -> [f64; WIDTH] {
    let first = |place: u32| f64::from(u8::from(place == 1));
    [
        f64::from(car.finish).ln(),
        first(car.finish),
        f64::from(car.start).ln(),
        first(car.start),
        car.record,
        car.strength,
        car.led.sqrt(),
    ]
}

/// Fitted shares; those of packs on superspeedways spread otherwise.
#[derive(Debug, Clone)]
pub struct Shares {
    weights: Vec<f64>,
    past: Vec<Shared>,
    concentration: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { weights: START.to_vec(), past: Vec::new(), concentration: START_CONCENTRATION }
    }
}

/// Scores of shares split into what does and what does not depend on the order.
#[derive(Debug, Clone)]
pub struct Scores {
    /// By car.
    pub fixed: Vec<f64>,
    /// By place of finish, from 0.
    pub by_finish: Vec<f64>,
    /// For each √share of laps led.
    pub led: f64,
    /// Of the Dirichlet distribution.
    pub concentration: f64,
}

impl Shares {
    /// Learns how a whole was shared; nothing if nobody had any.
    pub fn learn(&mut self, cars: &[Car], laps: &[u32]) {
        let total: u32 = laps.iter().sum();
        if total == 0 {
            return;
        }
        let mut rows = Rows::new(WIDTH);
        cars.iter().for_each(|car| rows.push(&row(car)));
        if self.past.len() >= KEPT {
            self.past.remove(0);
        }
        let shares = laps.iter().map(|l| f64::from(*l) / f64::from(total)).collect();
        self.past.push(Shared { rows, shares });
        let newest = self.past.len();
        let weights: Vec<f64> = (0..newest).map(|i| 0.5_f64.powf((newest - i) as f64 / HALF_LIFE)).collect();
        step_shares(&self.past, &weights, &START, RIDGE, &mut self.weights);
        if newest > 10
            && let Some(fitted) = concentration(&self.past, &weights, &self.weights)
        {
            self.concentration = LIGHTER * fitted;
        }
    }

    /// Scores for a field of these cars; their finish is not looked at.
    pub fn scores(&self, cars: &[Car]) -> Scores {
        let nowhere = |car: &Car| Car { finish: u32::MAX, led: 0.0, ..*car };
        let finish_at_end = self.weights[0] * f64::from(u32::MAX).ln();
        let fixed = cars.iter().map(|c| dot(&row(&nowhere(c)), &self.weights) - finish_at_end).collect();
        let finish = |place: usize| {
            let won = if place == 0 { self.weights[1] } else { 0.0 };
            self.weights[0] * ((place + 1) as f64).ln() + won
        };
        Scores {
            fixed,
            by_finish: (0..cars.len()).map(finish).collect(),
            led: self.weights[6],
            concentration: self.concentration,
        }
    }
}
