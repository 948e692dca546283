//! What does not add up over drivers: quantiles and tails of a lineup's points,
//! and its place in a contest, over drawn races.
//!
//! Thousands of lineups, the best by mean and the best by upside, are valued in
//! every drawn race; the best of them are told. That is exact for these
//! lineups and no proof about all others.

use super::Slate;
use super::limits::{Rule, Set};
use super::search::{Lineup, best};
use crate::rng::Rng;

/// Lineups that are valued, by mean and again by upside.
const CANDIDATES: usize = 2_000;
/// How far opponents' opinions of a driver are apart, in parts of the mean.
const OPINION: f64 = 0.12;

/// What makes a lineup good.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// Expected points.
    Mean,
    /// Points that are reached with chance 1 − p.
    Quantile(f64),
    /// Mean of the best part of the races (0.01 is the best of a hundred).
    Tail(f64),
    /// Chance to beat the whole field.
    Win,
    /// Expected prize: by place, the winner's first; nothing after the last.
    Payout(Vec<f64>),
}

/// Points of the slate's players in drawn races: `points[player * runs + run]`.
#[derive(Debug, Clone, Copy)]
pub struct Drawn<'a> {
    /// In the order of the slate.
    pub points: &'a [f32],
    /// Races.
    pub runs: usize,
}

impl Drawn<'_> {
    /// A lineup's points in every race.
    pub fn scores(&self, set: Set) -> Vec<f32> {
        let mut scores = vec![0.0; self.runs];
        for player in (Lineup { set, salary: 0, value: 0.0 }).players() {
            let points = &self.points[player * self.runs..(player + 1) * self.runs];
            scores.iter_mut().zip(points).for_each(|(score, points)| *score += points);
        }
        scores
    }

    fn players(&self, of: impl Fn(&[f32]) -> f64) -> Vec<f64> {
        self.points.chunks_exact(self.runs).map(of).collect()
    }
}

fn mean(points: &[f32]) -> f64 {
    points.iter().map(|p| f64::from(*p)).sum::<f64>() / points.len().max(1) as f64
}

/// Mean of the best `part`, at least of one.
fn tail(points: &[f32], part: f64) -> f64 {
    let mut sorted = points.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let count = ((part * sorted.len() as f64).round() as usize).clamp(1, sorted.len().max(1));
    mean(&sorted[..count.min(sorted.len())])
}

/// A lineup with what the objective says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Valued {
    /// Its value is the mean of its points.
    pub lineup: Lineup,
    /// By the objective.
    pub score: f64,
}

/// Lineups of opponents: each has opinions of its own about the drivers and
/// takes what is best by them. Who is in how many is the projected ownership.
pub fn field(slate: &Slate, means: &[f64], count: usize, seed: u64) -> Vec<Set> {
    let mut rng = Rng::new(seed);
    let lineup = |_| {
        let opinion: Vec<f64> = means.iter().map(|m| m + OPINION * m.abs() * rng.normal()).collect();
        best(slate, &[], &opinion, 1).pop().map(|l| l.set)
    };
    (0..count).filter_map(lineup).collect()
}

/// In what part of the field's lineups each driver is; sums to the roster.
pub fn ownership(players: usize, field: &[Set]) -> Vec<f64> {
    let count = field.len().max(1) as f64;
    (0..players).map(|i| field.iter().filter(|set| *set >> i & 1 == 1).count() as f64 / count).collect()
}

/// The best lineups by an objective, best first.
pub fn by_objective(
    slate: &Slate,
    rules: &[Rule],
    drawn: Drawn<'_>,
    field: &[Set],
    objective: &Objective,
    count: usize,
) -> Vec<Valued> {
    let means = drawn.players(mean);
    if *objective == Objective::Mean {
        let found = best(slate, rules, &means, count);
        return found.into_iter().map(|lineup| Valued { score: lineup.value, lineup }).collect();
    }
    let mut candidates = best(slate, rules, &means, CANDIDATES.max(count));
    candidates.extend(best(slate, rules, &drawn.players(|p| tail(p, 0.1)), CANDIDATES));
    candidates.sort_by_key(|lineup| lineup.set);
    candidates.dedup_by_key(|lineup| lineup.set);
    let rivals = Rivals::new(drawn, field, objective);
    let value = |mut lineup: Lineup| {
        let scores = drawn.scores(lineup.set);
        lineup.value = mean(&scores);
        Valued { score: rivals.score(&scores, objective), lineup }
    };
    let mut valued: Vec<Valued> = candidates.into_iter().map(value).collect();
    valued.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.lineup.set.cmp(&b.lineup.set)));
    valued.truncate(count);
    valued
}

/// The field's points in every race, best first, as far as places are paid.
struct Rivals {
    best: Vec<f32>,
    kept: usize,
}

impl Rivals {
    fn new(drawn: Drawn<'_>, field: &[Set], objective: &Objective) -> Self {
        let kept = match objective {
            Objective::Win => 1,
            Objective::Payout(prizes) => prizes.len(),
            _ => 0,
        };
        let kept = kept.min(field.len());
        let mut best = Vec::new();
        if kept > 0 {
            let scores: Vec<Vec<f32>> = field.iter().map(|set| drawn.scores(*set)).collect();
            let mut race: Vec<f32> = Vec::with_capacity(field.len());
            for run in 0..drawn.runs {
                race.clear();
                race.extend(scores.iter().map(|s| s[run]));
                race.sort_unstable_by(|a, b| b.total_cmp(a));
                best.extend_from_slice(&race[..kept]);
            }
        }
        Self { best, kept }
    }

    fn score(&self, scores: &[f32], objective: &Objective) -> f64 {
        let runs = scores.len().max(1) as f64;
        // How many of the field are ahead; equal points are the field's loss.
        let place = |run: usize| {
            let race = &self.best[run * self.kept..(run + 1) * self.kept];
            race.partition_point(|rival| *rival > scores[run])
        };
        match objective {
            Objective::Mean => mean(scores),
            Objective::Tail(part) => tail(scores, *part),
            Objective::Quantile(p) => {
                let mut sorted: Vec<f64> = scores.iter().map(|s| f64::from(*s)).collect();
                sorted.sort_unstable_by(f64::total_cmp);
                crate::math::quantile(&sorted, *p)
            }
            Objective::Win => (0..scores.len()).filter(|run| place(*run) == 0).count() as f64 / runs,
            Objective::Payout(prizes) => {
                (0..scores.len()).filter_map(|run| prizes.get(place(run))).sum::<f64>() / runs
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Player;
    use super::*;

    /// Four drivers, lineups of two, four races.
    fn small() -> (Slate, Vec<f32>) {
        let player = |i: u32| Player { driver: format!("d{i}"), salary: 5_000, ..Player::default() };
        let points = vec![
            10.0, 10.0, 10.0, 10.0, // steady
            9.0, 9.0, 9.0, 9.0, // steady
            0.0, 0.0, 0.0, 30.0, // once
            0.0, 0.0, 0.0, 29.0, // once, in the same race
        ];
        (Slate { players: (0..4).map(player).collect(), roster: 2, cap: 10_000 }, points)
    }

    fn top(objective: &Objective, field: &[Set]) -> (Set, f64) {
        let (slate, points) = small();
        let drawn = Drawn { points: &points, runs: 4 };
        let found = by_objective(&slate, &[], drawn, field, objective, 1).remove(0);
        (found.lineup.set, found.score)
    }

    #[test]
    fn each_objective_has_its_own_best_lineup() {
        assert_eq!(top(&Objective::Mean, &[]), (0b0011, 19.0));
        assert_eq!(top(&Objective::Tail(0.25), &[]), (0b1100, 59.0));
        assert_eq!(top(&Objective::Quantile(0.3), &[]).0, 0b0011);
        // Against 19 points everywhere, only the rare race can be won.
        assert_eq!(top(&Objective::Win, &[0b0011]), (0b0011, 1.0));
        assert_eq!(top(&Objective::Win, &[0b0011, 0b0101]).1, 0.75);
        let (_, prize) = top(&Objective::Payout(vec![8.0, 4.0]), &[0b0011, 0b1100]);
        assert_eq!(prize, (3.0 * 8.0 + 4.0) / 4.0);
    }

    #[test]
    fn ownership_sums_to_the_roster() {
        let (slate, points) = small();
        let means = Drawn { points: &points, runs: 4 }.players(mean);
        let field = field(&slate, &means, 200, 1);
        let owned = ownership(4, &field);
        assert!((owned.iter().sum::<f64>() - 2.0).abs() < 1e-9);
        assert!(owned[0] > owned[3]);
    }
}
