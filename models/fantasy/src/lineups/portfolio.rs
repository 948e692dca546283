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

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, SolveOptions};

use super::clash::{Clash, clash};
use super::limits::{Limits, Rule, Set};
use super::search::{Lineup, apart, best};
use super::{Slate, Wrong};

/// Lineups of a portfolio.
pub const MOST_LINEUPS: usize = 500;
/// Rounds of prices and search.
const ROUNDS: usize = 200;
/// Lineups that branching looks at, and its nodes.
const BRANCHED: usize = 1_500;
const NODES: u64 = 1_000;
/// What counts as nothing, beside values of lineups in the hundreds.
const NOTHING: f64 = 1e-6;

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
    if violation(slate, &rules, count) > NOTHING {
        return Err(clash(slate, rules, count).into());
    }
    let mut pool = Pool::new(values);
    exposures.feasible(slate, &rules, &mut pool);
    let priced = exposures.price(slate, &rules, &mut pool, Aim::Value);
    match limits.max_shared {
        Some(most) => one_by_one(slate, &rules, values, &exposures, &priced, most),
        None => branch(slate, &rules, &exposures, &priced, pool),
    }
}

/// By how much exposures and count must be broken together; 0 if they need not.
pub fn violation(slate: &Slate, rules: &[Rule], count: usize) -> f64 {
    let exposures = Exposures::new(rules, count);
    // Places that may be taken, whatever they cost.
    let bounded: usize = exposures.rows.iter().map(|row| row.most).sum();
    let places = bounded + (slate.players.len() - exposures.rows.len()) * count;
    if places < slate.roster * count {
        return (slate.roster * count - places) as f64;
    }
    let values = vec![0.0; slate.players.len()];
    let mut pool = Pool::new(&values);
    exposures.feasible(slate, rules, &mut pool)
}

/// How often a driver may be in.
#[derive(Debug, Clone, Copy)]
struct Row {
    player: usize,
    least: usize,
    most: usize,
}

struct Exposures {
    rows: Vec<Row>,
    count: usize,
}

/// Lineups that were found so far.
struct Pool<'a> {
    values: &'a [f64],
    lineups: Vec<Lineup>,
    known: HashMap<Set, usize>,
}

impl<'a> Pool<'a> {
    fn new(values: &'a [f64]) -> Self {
        Self { values, lineups: Vec::new(), known: HashMap::new() }
    }

    /// Adds a lineup with its own value; whether it is new.
    fn add(&mut self, lineup: &Lineup) -> bool {
        let new = !self.known.contains_key(&lineup.set);
        if new {
            let value = lineup.players().map(|i| self.values[i]).sum();
            self.known.insert(lineup.set, self.lineups.len());
            self.lineups.push(Lineup { value, ..lineup.clone() });
        }
        new
    }
}

/// What the relaxation aims at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Aim {
    /// To break no exposure.
    Feasible,
    /// The most value.
    Value,
}

/// Prices of the rows.
struct Prices {
    /// Of one more lineup.
    lineup: f64,
    /// By player: what being in is worth beside the value.
    player: Vec<f64>,
    /// What the rows cost by themselves.
    fixed: f64,
    /// Value of the relaxation: no portfolio is worth more.
    bound: f64,
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

    /// Finds lineups that break the exposures least; how much they still do.
    fn feasible(&self, slate: &Slate, rules: &[Rule], pool: &mut Pool) -> f64 {
        let start = best(slate, rules, pool.values, self.count + 20);
        start.iter().for_each(|lineup| {
            pool.add(lineup);
        });
        -self.price(slate, rules, pool, Aim::Feasible).bound
    }

    /// Adds lineups to the pool until prices show that none is missing.
    fn price(&self, slate: &Slate, rules: &[Rule], pool: &mut Pool, aim: Aim) -> Prices {
        let mut prices = self.prices(slate.players.len(), pool, aim);
        let mut complete = false;
        for _ in 0..ROUNDS {
            let own = if aim == Aim::Value { 1.0 } else { 1e-7 };
            let worth: Vec<f64> =
                prices.player.iter().zip(pool.values).map(|(price, value)| price + own * value).collect();
            let found = best(slate, rules, &worth, pool.lineups.len() + self.count);
            let priced = |lineup: &Lineup| match aim {
                Aim::Value => lineup.value,
                Aim::Feasible => lineup.players().map(|i| prices.player[i]).sum(),
            };
            if aim == Aim::Feasible {
                // What the best lineups by these prices break, every choice does.
                let top: f64 = found.iter().take(self.count).map(priced).sum::<f64>() + prices.fixed;
                let short = self.count.saturating_sub(found.len()) as f64;
                if prices.bound > -NOTHING || top < -NOTHING || short > 0.0 {
                    prices.bound = if short > 0.0 { -short } else { prices.bound };
                    complete = true;
                    break;
                }
            }
            let missing = found.iter().filter(|lineup| priced(lineup) > prices.lineup + NOTHING);
            let added = missing.filter(|lineup| pool.add(lineup)).take(2 * self.count + 20).count();
            if added == 0 {
                complete = true;
                break;
            }
            prices = self.prices(slate.players.len(), pool, aim);
        }
        if !complete {
            // Nothing is proved: neither a contradiction nor a bound.
            prices.bound = if aim == Aim::Feasible { 0.0 } else { f64::INFINITY };
        }
        prices
    }

    /// Solves the dual of the relaxation over the pool: least price of all rows
    /// such that no lineup is worth more than its drivers' prices.
    fn prices(&self, players: usize, pool: &Pool, aim: Aim) -> Prices {
        let most = match aim {
            Aim::Feasible => 1.0,
            // Breaking a row costs more than any lineup could gain.
            Aim::Value => 100.0 + 20.0 * pool.lineups.iter().map(|l| l.value.abs()).fold(0.0, f64::max),
        };
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        let lineup = problem.add_var(self.count as f64, (-most, f64::INFINITY));
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let more = problem.add_var(row.most as f64, (0.0, most));
                let less = problem.add_var(-(row.least as f64), (0.0, most));
                (row.player, more, less)
            })
            .collect();
        for found in &pool.lineups {
            let twice = problem.add_var(1.0, (0.0, f64::INFINITY));
            let mut sum = LinearExpr::empty();
            sum.add(lineup, 1.0);
            sum.add(twice, 1.0);
            for (_, more, less) in rows.iter().filter(|(player, ..)| found.set >> player & 1 == 1) {
                sum.add(*more, 1.0);
                sum.add(*less, -1.0);
            }
            let value = if aim == Aim::Value { found.value } else { 0.0 };
            problem.add_constraint(sum, ComparisonOp::Ge, value);
        }
        let mut prices = Prices { lineup: 0.0, player: vec![0.0; players], fixed: 0.0, bound: f64::INFINITY };
        if let Some(solution) = problem.solve().ok().and_then(|outcome| outcome.into_solution().ok()) {
            prices.lineup = solution.var_value(lineup);
            prices.bound = solution.objective();
            for (row, (player, more, less)) in self.rows.iter().zip(rows) {
                let (more, less) = (solution.var_value(more), solution.var_value(less));
                prices.player[player] = less - more;
                prices.fixed += row.most as f64 * more - row.least as f64 * less;
            }
        }
        prices
    }

    /// The best portfolio of these lineups.
    fn choose(&self, lineups: &[Lineup]) -> Option<(Vec<Lineup>, bool)> {
        let mut problem = Problem::new(OptimizationDirection::Maximize);
        let chosen: Vec<_> = lineups.iter().map(|lineup| problem.add_binary_var(lineup.value)).collect();
        let all = chosen.iter().map(|var| (*var, 1.0)).collect::<Vec<_>>();
        problem.add_constraint(&all[..], ComparisonOp::Eq, self.count as f64);
        for row in &self.rows {
            let with = lineups.iter().zip(&chosen).filter(|(lineup, _)| lineup.set >> row.player & 1 == 1);
            let with: Vec<_> = with.map(|(_, var)| (*var, 1.0)).collect();
            problem.add_constraint(&with[..], ComparisonOp::Ge, row.least as f64);
            problem.add_constraint(&with[..], ComparisonOp::Le, row.most as f64);
        }
        let mut options = SolveOptions::default();
        options.node_limit = Some(NODES);
        let outcome = problem.solve_with(options).ok()?;
        let optimal = outcome.is_optimal();
        let solution = outcome.into_solution().ok()?;
        let taken = lineups.iter().zip(&chosen).filter(|(_, var)| solution.var_value(**var) > 0.5);
        Some((taken.map(|(lineup, _)| lineup.clone()).collect(), optimal))
    }
}

/// Chooses among the lineups near enough to the prices. A lineup that is more
/// below its price than the gap to the bound is in no better portfolio.
fn branch(
    slate: &Slate,
    rules: &[Rule],
    exposures: &Exposures,
    prices: &Prices,
    pool: Pool,
) -> Result<Portfolio, Wrong> {
    let worth: Vec<f64> = prices.player.iter().zip(pool.values).map(|(price, value)| price + value).collect();
    let gap_of = |lineup: &Lineup| prices.lineup - lineup.players().map(|i| worth[i]).sum::<f64>();
    let mut near = pool;
    near.lineups.sort_by(|a, b| gap_of(a).total_cmp(&gap_of(b)));
    near.lineups.truncate(BRANCHED);
    let mut chosen = exposures.choose(&near.lineups);
    let mut proved = false;
    for _ in 0..2 {
        let gap = chosen.as_ref().map_or(f64::INFINITY, |(lineups, _)| prices.bound - sum(lineups));
        if gap <= NOTHING * prices.bound.abs().max(1.0) {
            proved = true;
            break;
        }
        let all = best(slate, rules, &worth, BRANCHED);
        let complete = all.len() < BRANCHED || all.last().is_some_and(|l| gap_of(l) > gap);
        let mut lineups = Pool::new(near.values);
        all.iter().filter(|l| gap_of(l) <= gap + NOTHING).for_each(|l| {
            lineups.add(l);
        });
        chosen.iter().flat_map(|(chosen, _)| chosen).for_each(|l| {
            lineups.add(l);
        });
        let again = exposures.choose(&lineups.lineups);
        if again.is_none() {
            break;
        }
        proved = complete && again.as_ref().is_some_and(|(_, optimal)| *optimal);
        chosen = again;
        if proved {
            break;
        }
    }
    let Some((mut lineups, _)) = chosen else {
        return Err(Wrong::Limit("no portfolio was found within the limit of the search".into()));
    };
    lineups.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.set.cmp(&b.set)));
    let value = sum(&lineups);
    let bound = if proved { value } else { prices.bound };
    Ok(Portfolio { lineups, value, bound, proved })
}

fn sum(lineups: &[Lineup]) -> f64 {
    lineups.iter().map(|l| l.value).sum()
}

/// One lineup after the other, best by value and prices, far enough from those
/// before; who must still be in all that are left is locked.
fn one_by_one(
    slate: &Slate,
    rules: &[Rule],
    values: &[f64],
    exposures: &Exposures,
    prices: &Prices,
    most: usize,
) -> Result<Portfolio, Wrong> {
    let worth: Vec<f64> = prices.player.iter().zip(values).map(|(price, value)| price + value).collect();
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
    Ok(Portfolio { value: sum(&lineups), bound: prices.bound, lineups, proved: false })
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
