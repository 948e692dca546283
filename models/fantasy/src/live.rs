//! The rest of a race that is under way.
//!
//! What a car's strength and its place say of the finish depends on how much is
//! left. Both weights were fitted at half distance (2019–2021, pairs of cars):
//! .52 of the strength and .93 for each standard score of the place. Strength
//! counts in proportion to what is left, the place as a walk's distance does
//! against what it can still cover: `(1 − left) / √left`. At the start only
//! strength counts, at the end only the place.

use crate::math::normal_score;
use crate::rng::Rng;

/// Makes the weight of the place .93 at half distance.
const PLACE: f64 = 1.32;
/// Less is left only when it is over.
const LEAST: f64 = 1e-6;

/// A car under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// As of [`crate::order::ahead`], before the race.
    pub badness: f64,
    /// Place now, from 1.
    pub place: u32,
    /// Laps completed.
    pub laps: u32,
    /// Whether it has dropped out.
    pub out: bool,
}

/// How often each car took each place: `counts[car][place - 1]`. `left` is the
/// part of the race that has not been run. Cars that are out end behind the
/// others, by the laps that they completed.
pub fn rest(cars: &[Running], left: f64, seed: u64, runs: u32) -> Vec<Vec<u32>> {
    let left = left.clamp(0.0, 1.0);
    let mut counts = vec![vec![0; cars.len()]; cars.len()];
    let mut running: Vec<usize> = (0..cars.len()).filter(|i| !cars[*i].out).collect();
    running.sort_by_key(|i| cars[*i].place);
    let mut out: Vec<usize> = (0..cars.len()).filter(|i| cars[*i].out).collect();
    out.sort_by_key(|i| (std::cmp::Reverse(cars[*i].laps), cars[*i].place));
    for (car, place) in out.iter().zip(running.len()..) {
        counts[*car][place] = runs;
    }
    if left <= LEAST {
        running.iter().enumerate().for_each(|(place, car)| counts[*car][place] = runs);
        return counts;
    }
    let weight = PLACE * (1.0 - left) / left.sqrt();
    let score = |(place, car): (usize, &usize)| {
        left * cars[*car].badness + weight * normal_score(place as f64 + 1.0, running.len())
    };
    let scores: Vec<f64> = running.iter().enumerate().map(score).collect();
    let mut rng = Rng::new(seed);
    let mut drawn: Vec<(f64, usize)> = Vec::with_capacity(running.len());
    for _ in 0..runs {
        drawn.clear();
        // Filled from the last place forward, as before the race.
        let gumbel = |rng: &mut Rng| -rng.exponential().ln();
        drawn.extend(running.iter().zip(&scores).map(|(car, score)| (score + gumbel(&mut rng), *car)));
        drawn.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        drawn.iter().enumerate().for_each(|(place, (_, car))| counts[*car][place] += 1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn car(badness: f64, place: u32) -> Running {
        Running { badness, place, laps: 100, out: false }
    }

    #[test]
    fn strength_counts_at_the_start_and_places_at_the_end() {
        let cars: Vec<Running> = (0..20).map(|i| car(2.0 - f64::from(i) / 5.0, i + 1)).collect();
        let mean = |left: f64, car: usize| {
            let counts = rest(&cars, left, 1, 4_000);
            assert!(counts.iter().all(|places| places.iter().sum::<u32>() == 4_000));
            let sum: f64 =
                counts[car].iter().zip(1..).map(|(n, place)| f64::from(*n) * f64::from(place)).sum();
            sum / 4_000.0
        };
        assert!(mean(1.0, 0) > 14.0 && mean(1.0, 19) < 7.0);
        let first: Vec<f64> = [1.0, 0.7, 0.4, 0.1, 0.0].iter().map(|left| mean(*left, 0)).collect();
        assert!(first.is_sorted_by(|a, b| a > b), "{first:?}");
        assert_eq!(first[4], 1.0);
        assert_eq!(rest(&cars, 0.3, 5, 100), rest(&cars, 0.3, 5, 100));
    }

    #[test]
    fn who_is_out_ends_behind_by_laps() {
        let mut cars: Vec<Running> = (0..6).map(|i| car(0.0, i + 1)).collect();
        cars[0] = Running { out: true, laps: 20, ..cars[0].clone() };
        cars[3] = Running { out: true, laps: 50, ..cars[3].clone() };
        let counts = rest(&cars, 0.5, 1, 500);
        assert_eq!((counts[0][5], counts[3][4]), (500, 500));
        for place in 0..6 {
            assert_eq!(counts.iter().map(|places| places[place]).sum::<u32>(), 500);
        }
        assert_eq!(rest(&[], 0.5, 1, 10), Vec::<Vec<u32>>::new());
    }
}
