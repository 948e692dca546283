//! Whole races, drawn.
//!
//! In each: every place is taken once; laps do not grow towards the back and
//! nobody leads or is fastest in more laps than it completed; laps led sum to
//! the distance and the winner led the last one; fastest laps sum to the laps
//! under green.

use crate::incident::{Drawn, Incidents};
use crate::race::End;
use crate::rng::Rng;
use crate::scoring::Line;
use crate::share::Scores;
use crate::track::Kind;

/// What a race is drawn from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How the track races.
    pub kind: Kind,
    /// Laps of the race.
    pub laps: u32,
    /// Badness of each car ([`crate::order`]).
    pub badness: Vec<f64>,
    /// Place of each car on the grid.
    pub starts: Vec<u32>,
    /// Logits of dropping out ([`Incidents::table`]).
    pub out: Vec<f64>,
    /// Scores of the shares of laps led.
    pub led: Scores,
    /// Scores of the shares of fastest laps.
    pub fastest: Scores,
    /// Mean and deviation of the share of laps under green.
    pub green: (f64, f64),
}

/// Drawn races: `runs` times `cars` lines, race after race.
#[derive(Debug, Clone, PartialEq)]
pub struct Races {
    /// Cars in the field.
    pub cars: usize,
    /// What each car did, in the order of the entries.
    pub lines: Vec<Line>,
    /// Whether it was running at the end.
    pub ends: Vec<End>,
}

impl Races {
    /// Lines race by race.
    pub fn races(&self) -> impl Iterator<Item = &[Line]> {
        self.lines.chunks_exact(self.cars.max(1))
    }

    /// Races drawn.
    pub fn runs(&self) -> usize {
        self.lines.len() / self.cars.max(1)
    }
}

/// Draws `runs` races. The same seed draws the same races.
pub fn simulate(setup: &Setup, incidents: &Incidents, seed: u64, runs: usize) -> Races {
    let cars = setup.badness.len();
    let mut rng = Rng::new(seed);
    let mut races =
        Races { cars, lines: Vec::with_capacity(runs * cars), ends: Vec::with_capacity(runs * cars) };
    if cars == 0 {
        return races;
    }
    let mut draw = Draw::new(setup);
    for _ in 0..runs {
        draw.race(setup, incidents, &mut rng);
        races.lines.extend_from_slice(&draw.lines);
        races.ends.extend_from_slice(&draw.ends);
    }
    races
}

/// The work space of one drawn race.
struct Draw {
    odds: Vec<f64>,
    clocks: Vec<(f64, usize)>,
    order: Vec<usize>,
    drawn: Vec<Drawn>,
    lines: Vec<Line>,
    ends: Vec<End>,
    scores: Vec<f64>,
    laps: Vec<u32>,
    split: Split,
}

impl Draw {
    fn new(setup: &Setup) -> Self {
        let cars = setup.badness.len();
        Self {
            odds: setup.badness.iter().map(|b| (-b).exp()).collect(),
            clocks: Vec::with_capacity(cars),
            order: Vec::with_capacity(cars),
            drawn: Vec::with_capacity(cars),
            lines: vec![Line::default(); cars],
            ends: vec![End::Running; cars],
            scores: vec![0.0; cars],
            laps: vec![0; cars],
            split: Split::default(),
        }
    }

    fn race(&mut self, setup: &Setup, incidents: &Incidents, rng: &mut Rng) {
        // Places are drawn from the back: the first clock to ring is last.
        self.clocks.clear();
        self.clocks.extend(self.odds.iter().enumerate().map(|(i, odds)| (rng.exponential() * odds, i)));
        self.clocks.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.order.clear();
        self.order.extend(self.clocks.iter().map(|(_, car)| *car));
        incidents.race(setup.kind, &setup.out, &self.order, rng, &mut self.drawn);
        for (place, (car, drawn)) in self.order.iter().zip(&self.drawn).enumerate() {
            let laps = (drawn.share * f64::from(setup.laps)).round() as u32;
            self.lines[*car] =
                Line { start: setup.starts[*car], finish: place as u32 + 1, laps, led: 0, fastest: 0 };
            self.ends[*car] = drawn.end;
            self.laps[*car] = laps;
        }
        let winner = self.order[0];
        self.share(&setup.led, |_| 0.0, rng);
        let laps = setup.laps.saturating_sub(1);
        let led = self.split.split(&self.scores, laps, &self.laps, winner);
        led.iter().zip(&mut self.lines).for_each(|(laps, line)| line.led = *laps);
        // The winner led the last lap.
        self.lines[winner].led += setup.laps.min(1);

        let green = (setup.green.0 + setup.green.1 * rng.normal()).clamp(0.3, 1.0);
        let distance = f64::from(setup.laps.max(1));
        let per_led = setup.fastest.led;
        self.share(&setup.fastest, |line| per_led * (f64::from(line.led) / distance).sqrt(), rng);
        let laps = (green * f64::from(setup.laps)).round() as u32;
        let fastest = self.split.split(&self.scores, laps, &self.laps, winner);
        fastest.iter().zip(&mut self.lines).for_each(|(laps, line)| line.fastest = *laps);
    }

    /// Draws shares that sum to 1 into `scores`.
    fn share(&mut self, scores: &Scores, extra: impl Fn(&Line) -> f64, rng: &mut Rng) {
        let mut top = f64::NEG_INFINITY;
        for ((score, line), fixed) in self.scores.iter_mut().zip(&self.lines).zip(&scores.fixed) {
            *score = fixed + scores.by_finish[line.finish as usize - 1] + extra(line);
            top = top.max(*score);
        }
        let total = sum_of(&mut self.scores, |s| (s - top).exp());
        for mean in &mut self.scores {
            *mean = rng.ln_gamma_variate((scores.concentration * *mean / total).max(1e-9));
        }
        let top = self.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total = sum_of(&mut self.scores, |s| (s - top).exp());
        self.scores.iter_mut().for_each(|s| *s /= total);
    }
}

fn sum_of(values: &mut [f64], of: impl Fn(f64) -> f64) -> f64 {
    let mut total = 0.0;
    for value in values {
        *value = of(*value);
        total += *value;
    }
    total
}

/// Whole laps from shares.
#[derive(Default)]
struct Split {
    laps: Vec<u32>,
    rests: Vec<(f64, usize)>,
}

impl Split {
    /// Largest remainders; nobody gets more than it completed, what is left
    /// over goes to the winner, who completed all.
    fn split(&mut self, shares: &[f64], total: u32, completed: &[u32], winner: usize) -> &[u32] {
        self.laps.clear();
        self.rests.clear();
        let mut given = 0;
        for (i, (share, most)) in shares.iter().zip(completed).enumerate() {
            let exact = share * f64::from(total);
            let whole = (exact as u32).min(*most);
            given += whole;
            self.laps.push(whole);
            if whole < *most && exact > 0.05 {
                self.rests.push((exact - f64::from(whole), i));
            }
        }
        self.rests.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut left = total.saturating_sub(given);
        for (_, i) in self.rests.iter().take(left as usize) {
            self.laps[*i] += 1;
            left -= 1;
        }
        self.laps[winner] += left;
        &self.laps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn setup(cars: usize, laps: u32) -> Setup {
        let scores = |by: f64| Scores {
            fixed: (0..cars).map(|i| -0.1 * i as f64).collect(),
            by_finish: (0..cars).map(|p| -by * (p as f64 + 1.0).ln()).collect(),
            led: 1.0,
            concentration: 4.0,
        };
        Setup {
            kind: Kind::Intermediate,
            laps,
            badness: (0..cars).map(|i| 0.1 * i as f64).collect(),
            starts: (1..=cars as u32).collect(),
            out: vec![-2.0; cars * cars],
            led: scores(0.8),
            fastest: scores(0.5),
            green: (0.82, 0.06),
        }
    }

    proptest! {
        #[test]
        fn what_cannot_happen_does_not(cars in 1usize..45, laps in 1u32..520, seed: u64) {
            let races = simulate(&setup(cars, laps), &Incidents::default(), seed, 20);
            prop_assert_eq!(races.runs(), 20);
            for race in races.races() {
                let mut by_place = race.to_vec();
                by_place.sort_by_key(|line| line.finish);
                prop_assert!(by_place.iter().enumerate().all(|(i, l)| l.finish as usize == i + 1));
                prop_assert!(by_place.windows(2).all(|pair| pair[0].laps >= pair[1].laps));
                prop_assert_eq!(by_place[0].laps, laps);
                prop_assert!(by_place[0].led >= 1);
                prop_assert_eq!(race.iter().map(|l| l.led).sum::<u32>(), laps);
                prop_assert!(race.iter().map(|l| l.fastest).sum::<u32>() <= laps);
                prop_assert!(race.iter().all(|l| l.led <= l.laps && l.fastest <= l.laps));
            }
        }
    }

    #[test]
    fn a_seed_draws_the_same_races() {
        let draw = |seed| simulate(&setup(36, 267), &Incidents::default(), seed, 50);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn pairs_end_as_their_chances_say() {
        let setup = setup(20, 100);
        let races = simulate(&setup, &Incidents::default(), 9, 20_000);
        for (a, b) in [(0, 19), (3, 8), (10, 11)] {
            let ahead = races.races().filter(|race| race[a].finish < race[b].finish).count();
            let said = crate::order::ahead(setup.badness[a], setup.badness[b]);
            assert!((ahead as f64 / 20_000.0 - said).abs() < 0.012, "{a} {b}");
        }
    }
}
