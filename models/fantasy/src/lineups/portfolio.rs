//! Several lineups at once, whose exposures hold over all of them.
//!
//! Which of the millions of lineups are in is a choice of zeros and ones with a
//! row for each exposure. Its relaxation is solved over few lineups; the prices
//! of its rows say what each driver is worth beside the points, and the exact
//! [`search`](super::search) finds by these values whether a lineup is missing.
//! When none is, the relaxation bounds every portfolio. Branching over the
//! lineups that a better portfolio could hold then proves the answer best.
//!
//! Where lineups must differ by more than one driver, they are chosen one after
//! the other by the same prices, and the answer is not proved.

use std::collections::HashMap;

use super::branch::branch;
use super::clash::{Clash, clash};
use super::limits::{Limits, Rule, Set};
use super::program::Program;
use super::search::{Lineup, above, apart, best};
use super::{Slate, Wrong};

/// Lineups of a portfolio.
pub const MOST_LINEUPS: usize = 500;
/// Rounds of prices and search.
const ROUNDS: usize = 200;
/// Steps of one solution of the relaxation.
pub(super) const STEPS: usize = 5_000;
/// By how much at most a lineup is worth more in the relaxation.
pub(super) const SHAKEN: f64 = 1e-6;
/// What counts as nothing, beside values of lineups in the hundreds.
pub(super) const NOTHING: f64 = 1e-6;

/// The best lineups together.
#[derive(Debug, Clone, PartialEq)]
pub struct Portfolio {
    /// Best first.
    pub lineups: Vec<Lineup>,
    /// Sum of their values.
    pub value: f64,
    /// No portfolio that keeps to the limits is worth more than this.
    pub bound: f64,
    /// Whether this one is proved to be the best.
    pub proved: bool,
}

/// The best `count` lineups together.
///
/// # Errors
/// [`Wrong::Clash`] names limits that cannot hold together, fewest possible.
pub fn portfolio(slate: &Slate, limits: &Limits, values: &[f64], count: usize) -> Result<Portfolio, Wrong> {
    slate.check()?;
    if count == 0 || count > MOST_LINEUPS {
        return Err(Wrong::Limit(format!("a portfolio has 1 to {MOST_LINEUPS} lineups")));
    }
    if values.len() != slate.players.len() || values.iter().any(|v| !v.is_finite()) {
        return Err(Wrong::Limit("every driver needs a value".into()));
    }
    let rules = limits.rules(slate)?;
    let exposures = Exposures::new(&rules, count);
    if exposures.rows.is_empty() && limits.max_shared.is_none() {
        let lineups = best(slate, &rules, values, count);
        if lineups.len() == count {
            let value = lineups.iter().map(|l| l.value).sum();
            return Ok(Portfolio { lineups, value, bound: value, proved: true });
        }
    }
    if exposures.torn() > 0 {
        return Err(clash(slate, rules, count).into());
    }
    let mut relaxed = Relaxed::new(slate, &rules, values, &exposures, Aim::Value);
    let bound = relaxed.price();
    // What is broken may be so because breaking it is cheap.
    if relaxed.program.broken() > NOTHING && violation(slate, &rules, count) > NOTHING {
        return Err(clash(slate, rules, count).into());
    }
    match limits.max_shared {
        Some(most) => one_by_one(relaxed, bound, most),
        None => branch(relaxed, bound),
    }
}

/// By how much exposures and count must be broken together; 0 if they need not.
pub fn violation(slate: &Slate, rules: &[Rule], count: usize) -> f64 {
    let exposures = Exposures::new(rules, count);
    if exposures.torn() > 0 {
        return exposures.torn() as f64;
    }
    // Places that may be taken, whatever they cost.
    let bounded: usize = exposures.rows.iter().map(|row| row.most).sum();
    let places = bounded + (slate.players.len() - exposures.rows.len()) * count;
    if places < slate.roster * count {
        return (slate.roster * count - places) as f64;
    }
    let values = vec![0.0; slate.players.len()];
    -Relaxed::new(slate, rules, &values, &exposures, Aim::Feasible).price()
}

/// How often a driver may be in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub player: usize,
    pub least: usize,
    pub most: usize,
}

pub(super) struct Exposures {
    pub rows: Vec<Row>,
    pub count: usize,
}

impl Exposures {
    fn new(rules: &[Rule], count: usize) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for rule in rules {
            let (player, least, most) = match rule {
                Rule::MinExposure(player, part) => {
                    (*player, (part * count as f64 - 1e-9).ceil() as usize, count)
                }
                Rule::MaxExposure(player, part) => {
                    (*player, 0, (part * count as f64 + 1e-9).floor() as usize)
                }
                _ => continue,
            };
            match rows.iter_mut().find(|row| row.player == player) {
                Some(row) => (row.least, row.most) = (row.least.max(least), row.most.min(most)),
                None => rows.push(Row { player, least, most }),
            }
        }
        Self { rows, count }
    }

    /// Lineups by which limits of one driver contradict each other: parts of few
    /// lineups are rounded inwards.
    fn torn(&self) -> usize {
        self.rows.iter().map(|row| row.least.saturating_sub(row.most)).sum()
    }
}

/// What the relaxation aims at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aim {
    /// To break no exposure.
    Feasible,
    /// The most value.
    Value,
}

/// The relaxation over the lineups that were found so far: each is taken from 0
/// to 1 times, so many together, and each exposure is a row.
pub(super) struct Relaxed<'a> {
    pub slate: &'a Slate,
    pub rules: &'a [Rule],
    pub values: &'a [f64],
    pub exposures: &'a Exposures,
    aim: Aim,
    pub program: Program,
    /// By player: the row of the exposure.
    rows: Vec<Option<usize>>,
    /// With their columns in the program.
    pub lineups: Vec<(Lineup, usize)>,
    known: HashMap<Set, usize>,
}

impl<'a> Relaxed<'a> {
    fn new(
        slate: &'a Slate,
        rules: &'a [Rule],
        values: &'a [f64],
        exposures: &'a Exposures,
        aim: Aim,
    ) -> Self {
        let start = best(slate, rules, values, exposures.count + 20);
        let breaking = match aim {
            Aim::Feasible => 1.0,
            // More than any lineup could gain.
            Aim::Value => {
                let most = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
                100.0 + 20.0 * slate.roster as f64 * most
            }
        };
        let count = exposures.count as f64;
        let bounds = exposures.rows.iter().map(|row| (row.least as f64, row.most as f64));
        let bounds: Vec<(f64, f64)> = std::iter::once((count, count)).chain(bounds).collect();
        let mut rows = vec![None; slate.players.len()];
        exposures.rows.iter().enumerate().for_each(|(i, row)| rows[row.player] = Some(i + 1));
        let program = Program::new(&bounds, breaking, slate.roster + 1);
        let (lineups, known) = (Vec::new(), HashMap::new());
        let mut new = Self { slate, rules, values, exposures, aim, program, rows, lineups, known };
        start.iter().for_each(|lineup| {
            new.add(lineup);
        });
        new
    }

    /// Adds a lineup with its own value; whether it is new.
    pub fn add(&mut self, lineup: &Lineup) -> bool {
        let new = !self.known.contains_key(&lineup.set);
        if new {
            let value = lineup.players().map(|i| self.values[i]).sum();
            let worth = if self.aim == Aim::Value { value } else { 0.0 } + shake(lineup.set);
            let rows = lineup.players().filter_map(|player| self.rows[player]);
            let column = self.program.add(std::iter::once(0).chain(rows), worth);
            self.known.insert(lineup.set, column);
            self.lineups.push((Lineup { value, ..lineup.clone() }, column));
        }
        new
    }

    /// What being in is worth by player, beside the value: the price of the row.
    fn price_of(&self, player: usize) -> f64 {
        self.rows[player].map_or(0.0, |row| -self.program.price(row))
    }

    /// By player: value and price.
    pub fn worth(&self) -> Vec<f64> {
        self.values.iter().enumerate().map(|(player, value)| value + self.price_of(player)).collect()
    }

    /// Lineups that are worth more than a lineup's price and this, best first.
    pub fn near(&self, more: f64, most: usize) -> Vec<Lineup> {
        above(self.slate, self.rules, &self.worth(), most, self.program.price(0) + more)
    }

    /// Adds lineups until prices show that none is missing. No portfolio is
    /// worth more than what is returned.
    fn price(&mut self) -> f64 {
        let count = self.exposures.count;
        let few = 2 * count + 20;
        for _ in 0..ROUNDS {
            if !self.program.solve(STEPS) {
                break;
            }
            let missing = match self.aim {
                // As many are in already that are worth more than their price.
                Aim::Value => self.near(NOTHING, count + few),
                Aim::Feasible => match self.mending() {
                    Ok(missing) => missing,
                    Err(broken) => return -broken,
                },
            };
            let added = missing.iter().filter(|lineup| self.add(lineup)).take(few).count();
            if added == 0 {
                let broken = self.aim == Aim::Feasible;
                return if broken { -self.program.broken() } else { self.program.total() };
            }
        }
        // Nothing is proved: neither a contradiction nor a bound.
        if self.aim == Aim::Feasible { 0.0 } else { f64::INFINITY }
    }

    /// Lineups that could mend what is broken, or how much stays broken.
    fn mending(&self) -> Result<Vec<Lineup>, f64> {
        let count = self.exposures.count;
        let broken = self.program.broken();
        let prices: Vec<f64> = (0..self.values.len()).map(|player| self.price_of(player)).collect();
        let found = best(self.slate, self.rules, &prices, self.lineups.len() + count);
        let priced = |lineup: &Lineup| lineup.players().map(|i| prices[i]).sum::<f64>();
        // What the best lineups by these prices break, every choice does.
        let bound = |row: (usize, &Row)| {
            let price = self.program.price(row.0 + 1);
            price * (if price > 0.0 { row.1.most } else { row.1.least }) as f64
        };
        let fixed: f64 = self.exposures.rows.iter().enumerate().map(bound).sum();
        let top = found.iter().take(count).map(priced).sum::<f64>() + fixed;
        let short = count.saturating_sub(found.len());
        if short > 0 || broken < NOTHING || top < -NOTHING {
            return Err(if short > 0 { short as f64 } else { broken });
        }
        let price = self.program.price(0);
        Ok(found.into_iter().filter(|lineup| priced(lineup) > price + NOTHING).collect())
    }
}

/// Less than [`SHAKEN`], and another for each lineup. Lineups are sums of the
/// same few drivers, so their worths beside prices are often equal, and steps
/// between equals would go round in circles.
fn shake(set: Set) -> f64 {
    let mixed = set.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed ^ mixed >> 32) as f64 / u64::MAX as f64 * SHAKEN
}

pub(super) fn sum(lineups: &[Lineup]) -> f64 {
    lineups.iter().map(|l| l.value).sum()
}

/// One lineup after the other, best by value and prices, far enough from those
/// before; who must still be in all that are left is locked.
fn one_by_one(relaxed: Relaxed, bound: f64, most: usize) -> Result<Portfolio, Wrong> {
    let worth = relaxed.worth();
    let Relaxed { slate, rules, values, exposures, .. } = relaxed;
    let mut sets: Vec<Set> = Vec::new();
    let mut lineups: Vec<Lineup> = Vec::new();
    for done in 0..exposures.count {
        let mut rules = rules.to_vec();
        for row in &exposures.rows {
            let had = sets.iter().filter(|set| *set >> row.player & 1 == 1).count();
            if row.least.saturating_sub(had) >= exposures.count - done {
                rules.push(Rule::Lock(row.player));
            } else if had >= row.most {
                rules.push(Rule::Exclude(row.player));
            }
        }
        let Some(found) = apart(slate, &rules, &worth, 1, &sets, most).pop() else {
            let clash = format!(
                "no lineup {} that shares at most {most} drivers with the others was found",
                done + 1
            );
            return Err(Clash { rules: vec![clash], proved: false }.into());
        };
        sets.push(found.set);
        lineups.push(Lineup { value: found.players().map(|i| values[i]).sum(), ..found });
    }
    lineups.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.set.cmp(&b.set)));
    Ok(Portfolio { value: sum(&lineups), bound, lineups, proved: false })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Exposure;
    use super::super::search::tests::slate;
    use super::*;

    fn exposure(i: usize, min: f64, max: f64) -> Exposure {
        Exposure { driver: format!("d{i}"), min, max }
    }

    fn held(limits: &Limits, portfolio: &Portfolio, count: usize) {
        assert_eq!(portfolio.lineups.len(), count);
        for exposure in &limits.exposures {
            let player: usize = exposure.driver[1..].parse().unwrap();
            let part =
                portfolio.lineups.iter().filter(|l| l.set >> player & 1 == 1).count() as f64 / count as f64;
            assert!(exposure.min - 1e-9 <= part && part <= exposure.max + 1e-9, "{exposure:?}: {part}");
        }
        let mut sets: Vec<Set> = portfolio.lineups.iter().map(|l| l.set).collect();
        sets.sort_unstable();
        sets.dedup();
        assert_eq!(sets.len(), count, "all are different");
        assert!(portfolio.value <= portfolio.bound + 1e-6);
    }

    /// Greedy generators give the last lineups of this no way to hold.
    #[test]
    fn least_exposures_of_three_drivers_hold_jointly() {
        let (slate, values) = slate(40, 6, 8);
        let limits = Limits {
            exposures: vec![exposure(0, 0.8, 1.0), exposure(1, 0.6, 1.0), exposure(2, 0.2, 1.0)],
            ..Limits::default()
        };
        let found = portfolio(&slate, &limits, &values, 10).unwrap();
        held(&limits, &found, 10);
        assert!(found.proved);
    }

    /// Three of ten of one lineup is one, and six of ten is none.
    #[test]
    fn parts_that_no_whole_number_meets_are_named() {
        let (slate, values) = slate(40, 6, 8);
        let limits = Limits { exposures: vec![exposure(0, 0.3, 0.6)], ..Limits::default() };
        let told = portfolio(&slate, &limits, &values, 1);
        assert!(matches!(told, Err(Wrong::Clash(_))), "{told:?}");
        held(&limits, &portfolio(&slate, &limits, &values, 2).unwrap(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Beside all portfolios of two lineups of a small slate.
        #[test]
        fn no_pair_is_better(seed: u64, a in 0usize..9, least in 0usize..3, most in 1usize..3) {
            let (slate, values) = slate(9, 3, seed);
            let b = (a + 1) % 9;
            let limits = Limits {
                exposures: vec![exposure(a, least as f64 / 2.0, 1.0), exposure(b, 0.0, (most - 1) as f64 / 2.0)],
                ..Limits::default()
            };
            let all = best(&slate, &[], &values, 100);
            let with = |set: Set, player: usize| (set >> player & 1) as usize;
            let mut top = f64::NEG_INFINITY;
            for (i, x) in all.iter().enumerate() {
                for y in &all[i + 1..] {
                    if with(x.set, a) + with(y.set, a) >= least && with(x.set, b) + with(y.set, b) < most {
                        top = top.max(x.value + y.value);
                    }
                }
            }
            match portfolio(&slate, &limits, &values, 2) {
                Ok(found) => {
                    held(&limits, &found, 2);
                    prop_assert!((found.value - top).abs() < 1e-6, "{} {top}", found.value);
                    prop_assert!(found.proved);
                }
                Err(_) => prop_assert_eq!(top, f64::NEG_INFINITY),
            }
        }
    }

    #[test]
    fn many_lineups_with_bounds_on_everybody() {
        let (slate, values) = slate(40, 6, 5);
        let limits = Limits {
            exposures: vec![exposure(4, 0.25, 0.4), exposure(11, 0.1, 0.6)],
            max_exposure: Some(0.5),
            ..Limits::default()
        };
        let found = portfolio(&slate, &limits, &values, 20).unwrap();
        held(&limits, &found, 20);
        for player in 0..40 {
            assert!(found.lineups.iter().filter(|l| l.set >> player & 1 == 1).count() <= 12);
        }
        assert!(found.bound - found.value < 0.002 * found.bound, "{} {}", found.value, found.bound);
    }

    /// Sums of the same drivers tie without end: prices must not go in circles.
    #[test]
    fn portfolios_of_drivers_who_are_alike_are_found() {
        let (slate, _) = slate(40, 6, 5);
        let limits = Limits { max_exposure: Some(0.4), ..Limits::default() };
        for value in [|_: usize| 31.7, |i: usize| (i % 4) as f64 * 10.0, |_: usize| 0.0] {
            let values: Vec<f64> = (0..40).map(value).collect();
            let found = portfolio(&slate, &limits, &values, 20).unwrap();
            held(&limits, &found, 20);
            for player in 0..40 {
                assert!(found.lineups.iter().filter(|l| l.set >> player & 1 == 1).count() <= 8);
            }
            assert!(found.proved, "{} {}", found.value, found.bound);
        }
    }

    #[test]
    fn lineups_differ_as_much_as_asked() {
        let (slate, values) = slate(40, 6, 6);
        let limits =
            Limits { max_shared: Some(3), exposures: vec![exposure(0, 0.5, 1.0)], ..Limits::default() };
        let found = portfolio(&slate, &limits, &values, 10).unwrap();
        held(&limits, &found, 10);
        for (i, a) in found.lineups.iter().enumerate() {
            assert!(found.lineups[i + 1..].iter().all(|b| (a.set & b.set).count_ones() <= 3));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let (mut slate, values) = slate(10, 3, 1);
        let say =
            |slate: &Slate, limits: &Limits, n| portfolio(slate, limits, &values, n).unwrap_err().to_string();
        let nobody = Limits { lock: vec!["x".into()], ..Limits::default() };
        assert_eq!(say(&slate, &nobody, 1), "x is not in the slate");
        let limits = Limits { exposures: vec![exposure(0, 0.2, 1.2)], ..Limits::default() };
        assert!(say(&slate, &limits, 1).contains("within 0 and 1"));
        assert!(say(&slate, &Limits::default(), 0).contains("1 to 500"));
        slate.players[1].salary = 950_000;
        assert!(say(&slate, &Limits::default(), 1).contains("$950000"));
        slate.players[1] = slate.players[0].clone();
        assert_eq!(say(&slate, &Limits::default(), 1), "d0 stands twice");
    }
}
