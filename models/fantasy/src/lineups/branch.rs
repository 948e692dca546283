//! The best portfolio of whole lineups, by branching over the relaxation.
//!
//! How often a driver is in is made whole first, since that moves both sides;
//! then lineups are taken or left out. The work is counted and not timed, so
//! that the same question has the same answer everywhere.

use super::Wrong;
use super::portfolio::{NOTHING, Portfolio, Relaxed, SHAKEN, STEPS, sum};
use super::search::{Lineup, above};

/// Lineups that branching looks at.
const BRANCHED: usize = 3_000;
/// Its nodes: to find a portfolio to begin with, and to prove the best.
const DIVED: usize = 100;
const NODES: usize = 600;
/// What is this near to a whole number is one.
const WHOLE: f64 = 1e-6;

/// Chooses among the lineups near enough to the prices. A lineup that is more
/// below its price than the gap to the bound is in no better portfolio.
pub(super) fn branch(mut relaxed: Relaxed, bound: f64) -> Result<Portfolio, Wrong> {
    let same = NOTHING + relaxed.exposures.count as f64 * SHAKEN;
    // By these prices the bound was found; other best prices may have others.
    let (worth, price) = (relaxed.worth(), relaxed.program.price(0));
    let mut search = Search { chosen: Vec::new(), value: f64::NEG_INFINITY, same };
    search.run(&mut relaxed, DIVED);
    let enough = if bound.is_finite() { same.max(NOTHING * bound.abs()) } else { same };
    let mut left = bound;
    if bound - search.value > enough {
        let least = price + search.value - bound - NOTHING;
        let near = above(relaxed.slate, relaxed.rules, &worth, BRANCHED, least);
        let complete = near.len() < BRANCHED && bound.is_finite();
        near.iter().for_each(|lineup| {
            relaxed.add(lineup);
        });
        let open = search.run(&mut relaxed, NODES);
        if complete {
            left = open.min(bound);
        }
    }
    let Search { chosen: mut lineups, value, .. } = search;
    if lineups.is_empty() {
        return Err(Wrong::Limit("no portfolio was found within the limit of the search".into()));
    }
    lineups.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.set.cmp(&b.set)));
    let proved = left.is_finite() && left - value <= enough;
    Ok(Portfolio { lineups, value, bound: if proved { value } else { left }, proved })
}

/// Bounds of columns that a branch has moved.
type Moved = Vec<(usize, f64, f64)>;

struct Search {
    /// The best portfolio so far.
    chosen: Vec<Lineup>,
    value: f64,
    /// What is not so much better is none.
    same: f64,
}

impl Search {
    /// Looks at so many branches; what the best of those that are left could be
    /// worth, or the best portfolio where none is left.
    fn run(&mut self, relaxed: &mut Relaxed, nodes: usize) -> f64 {
        let root: Vec<(f64, f64)> =
            relaxed.exposures.rows.iter().map(|row| (row.least as f64, row.most as f64)).collect();
        let sums: Vec<usize> = (1..=root.len()).map(|row| relaxed.program.sum(row)).collect();
        let at_first = |column: usize| match sums.iter().position(|sum| *sum == column) {
            Some(row) => root[row],
            None => (0.0, 1.0),
        };
        if !relaxed.program.solve(STEPS) {
            return f64::INFINITY;
        }
        self.leave_out(relaxed);
        let mut open: Vec<(Moved, f64)> = vec![(Vec::new(), f64::INFINITY)];
        let (mut moved, mut down) = (Moved::new(), false);
        // What branches that could not be solved might be worth.
        let mut unsolved = f64::NEG_INFINITY;
        for _ in 0..nodes {
            let Some((next, most)) = self.next(&mut open, &mut down) else { break };
            let program = &mut relaxed.program;
            for (column, ..) in moved.drain(..) {
                let (low, high) = at_first(column);
                program.bound(column, low, high);
            }
            next.iter().for_each(|(column, low, high)| program.bound(*column, *low, *high));
            moved = next;
            if !program.solve(STEPS) {
                unsolved = unsolved.max(most);
                continue;
            }
            let most = program.total();
            if most <= self.value + self.same || program.broken() > WHOLE {
                continue;
            }
            match self.split(relaxed, &sums) {
                Some(column) => {
                    down = true;
                    let value = relaxed.program.value(column);
                    let known = moved.iter().rev().find(|(of, ..)| *of == column);
                    let (low, high) = known.map_or(at_first(column), |(_, low, high)| (*low, *high));
                    let with = |low, high| {
                        let mut with = moved.clone();
                        with.push((column, low, high));
                        (with, most)
                    };
                    let (less, more) = (with(low, value.floor()), with(value.ceil(), high));
                    // The nearer one is looked at first.
                    let nearer = if value.fract() < 0.5 { [more, less] } else { [less, more] };
                    open.extend(nearer);
                }
                None => self.take(relaxed),
            }
        }
        for (column, ..) in moved {
            let (low, high) = at_first(column);
            relaxed.program.bound(column, low, high);
        }
        open.iter().map(|(_, most)| *most).fold(self.value.max(unsolved), f64::max)
    }

    /// Goes on downwards, or else from the branch that could be worth most.
    fn next(&self, open: &mut Vec<(Moved, f64)>, down: &mut bool) -> Option<(Moved, f64)> {
        open.retain(|(_, most)| *most > self.value + self.same);
        let last = open.len().checked_sub(1)?;
        let best = |a: &usize, b: &usize| open[*a].1.total_cmp(&open[*b].1).then(a.cmp(b));
        let at = if *down { last } else { (0..open.len()).max_by(best)? };
        *down = false;
        Some(open.remove(at))
    }

    /// Columns whose reduced worth is beyond the gap stay where they are.
    fn leave_out(&self, relaxed: &mut Relaxed) {
        let gap = relaxed.program.total() - self.value + NOTHING;
        for (_, column) in &relaxed.lineups {
            let reduced = relaxed.program.reduced(*column);
            if reduced.abs() > gap {
                let stays = if reduced > 0.0 { 1.0 } else { 0.0 };
                relaxed.program.bound(*column, stays, stays);
            }
        }
    }

    /// The column to branch on: the most broken exposure, or lineup.
    fn split(&self, relaxed: &Relaxed, sums: &[usize]) -> Option<usize> {
        let far = |column: usize| {
            let value = relaxed.program.value(column);
            (value - value.round()).abs()
        };
        let most = |columns: &mut dyn Iterator<Item = usize>| {
            let broken = columns.map(|column| (far(column), column)).filter(|(far, _)| *far > WHOLE);
            broken.max_by(|(a, i), (b, j)| a.total_cmp(b).then(j.cmp(i))).map(|(_, column)| column)
        };
        let lineups = &mut relaxed.lineups.iter().map(|(_, column)| *column);
        most(&mut sums.iter().copied()).or_else(|| most(lineups))
    }

    /// Every lineup is taken or not.
    fn take(&mut self, relaxed: &Relaxed) {
        let taken = relaxed.lineups.iter().filter(|(_, column)| relaxed.program.value(*column) > 0.5);
        let lineups: Vec<Lineup> = taken.map(|(lineup, _)| lineup.clone()).collect();
        if sum(&lineups) > self.value {
            self.value = sum(&lineups);
            self.chosen = lineups;
        }
    }
}
