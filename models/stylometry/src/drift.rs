//! Whether an author's style changes over time: `drift@1`.
//!
//! Texts in the order of their dates are cut in two where the means of both
//! parts lie farthest apart (each number divided by its standard deviation over
//! all of them). How far apart a cut would lie by chance is drawn: the same
//! texts in other orders. Each part is cut again until chance would do as well.

use serde::Serialize;

use crate::random::Draws;

/// The rules and constants of this file.
pub const DRIFT: &str = "drift@1";

/// Fewer texts on either side of a cut say nothing.
pub const LEAST_SIDE: usize = 4;
/// The newest so many texts are looked at.
pub const MOST_TEXTS: usize = 200;
const ROUNDS: usize = 499;
/// A cut that chance beats oftener is none. It is low since a question is asked
/// again with every text that comes.
const LEVEL: f64 = 0.004;
const MOST_CHANGES: usize = 8;
const MOST_PARTS: usize = 10;
const SEED: u64 = 7;

/// A text as a row of a fingerprint, with when it was written.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// Days since any day.
    pub day: i64,
    /// Its numbers.
    pub row: &'a [i64],
}

/// A number that changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moved {
    /// Which one.
    pub feature: usize,
    /// Mean before.
    pub before: f64,
    /// Mean after.
    pub after: f64,
    /// After minus before, in standard deviations.
    pub deviations: f64,
}

/// A place where the style is another than before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The first text of the new style.
    pub at: usize,
    /// Share of random orders with a cut as good.
    pub p_value: f64,
    /// Root mean square of all numbers' differences, in standard deviations.
    pub distance: f64,
    /// What moved most.
    pub moved: Vec<Moved>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Drift {
    /// In order of time.
    pub changes: Vec<Change>,
    /// Of each text, how far it lies from those before it, which count half
    /// after the half-life: root mean square in standard deviations. `None` of
    /// the first.
    pub distances: Vec<Option<f64>>,
}

/// Of texts in order of time, over the first `counted` numbers. A half-life of
/// 0 lets all texts before count the same.
pub fn drift(points: &[Point<'_>], counted: usize, half_life_days: f64) -> Drift {
    let scaled = scaled(points, counted);
    let mut changes = Vec::new();
    cut(points, &scaled, (0, points.len()), &mut changes);
    changes.sort_by_key(|c| c.at);
    changes.truncate(MOST_CHANGES);
    Drift { changes, distances: distances(points, &scaled, half_life_days) }
}

/// Each number minus its mean, divided by its standard deviation; numbers that
/// are always the same are left at 0.
fn scaled(points: &[Point<'_>], counted: usize) -> Vec<Vec<f64>> {
    let n = points.len().max(1) as f64;
    let value = |p: &Point<'_>, i: usize| p.row.get(i).copied().unwrap_or(0) as f64;
    let mut rows = vec![vec![0.0; counted]; points.len()];
    for i in 0..counted {
        let mean = points.iter().map(|p| value(p, i)).sum::<f64>() / n;
        let spread = points.iter().map(|p| (value(p, i) - mean).powi(2)).sum::<f64>() / n;
        if spread > 0.25 {
            let deviation = spread.sqrt();
            rows.iter_mut().zip(points).for_each(|(row, p)| row[i] = (value(p, i) - mean) / deviation);
        }
    }
    rows
}

/// The best cut of an order and how good it is: k·(n − k)/n · ‖difference of
/// means‖².
fn best(rows: &[Vec<f64>], order: &[usize]) -> Option<(usize, f64)> {
    let n = order.len();
    let width = rows.first().map_or(0, Vec::len);
    let mut total = vec![0.0; width];
    order.iter().for_each(|at| total.iter_mut().zip(&rows[*at]).for_each(|(t, v)| *t += v));
    let mut left = vec![0.0; width];
    let mut found: Option<(usize, f64)> = None;
    for (k, at) in order.iter().enumerate() {
        if k >= LEAST_SIDE && n - k >= LEAST_SIDE {
            let (a, b) = (k as f64, (n - k) as f64);
            let squares: f64 = left.iter().zip(&total).map(|(l, t)| (l / a - (t - l) / b).powi(2)).sum();
            let good = squares * a * b / n as f64;
            if found.is_none_or(|(_, other)| good > other) {
                found = Some((k, good));
            }
        }
        left.iter_mut().zip(&rows[*at]).for_each(|(l, v)| *l += v);
    }
    found.filter(|(_, good)| *good > 0.0)
}

fn cut(points: &[Point<'_>], rows: &[Vec<f64>], (from, to): (usize, usize), changes: &mut Vec<Change>) {
    let order: Vec<usize> = (from..to).collect();
    if order.len() < 2 * LEAST_SIDE || changes.len() >= MOST_CHANGES {
        return;
    }
    let Some((k, good)) = best(rows, &order) else { return };
    let mut draws = Draws::new(SEED);
    let as_good = (0..ROUNDS)
        .filter(|_| {
            let shuffled: Vec<usize> =
                draws.choose(order.len(), order.len()).into_iter().map(|i| order[i]).collect();
            best(rows, &shuffled).is_some_and(|(_, other)| other >= good)
        })
        .count();
    let p_value = (as_good + 1) as f64 / (ROUNDS + 1) as f64;
    if p_value > LEVEL {
        return;
    }
    let at = from + k;
    changes.push(change(points, rows, (from, at, to), p_value));
    cut(points, rows, (from, at), changes);
    cut(points, rows, (at, to), changes);
}

fn change(
    points: &[Point<'_>],
    rows: &[Vec<f64>],
    (from, at, to): (usize, usize, usize),
    p_value: f64,
) -> Change {
    let width = rows.first().map_or(0, Vec::len);
    let mean = |range: std::ops::Range<usize>, of: &dyn Fn(usize) -> f64| {
        let n = range.len().max(1) as f64;
        range.map(of).sum::<f64>() / n
    };
    let moved = |i: usize| {
        let plain = |at: usize| points[at].row.get(i).copied().unwrap_or(0) as f64;
        let z = |at: usize| rows[at][i];
        Moved {
            feature: i,
            before: mean(from..at, &plain),
            after: mean(at..to, &plain),
            deviations: mean(at..to, &z) - mean(from..at, &z),
        }
    };
    let mut all: Vec<Moved> = (0..width).map(moved).collect();
    let distance = (all.iter().map(|m| m.deviations.powi(2)).sum::<f64>() / width.max(1) as f64).sqrt();
    all.sort_by(|a, b| b.deviations.abs().total_cmp(&a.deviations.abs()).then(a.feature.cmp(&b.feature)));
    all.truncate(MOST_PARTS);
    Change { at, p_value, distance, moved: all }
}

fn distances(points: &[Point<'_>], rows: &[Vec<f64>], half_life_days: f64) -> Vec<Option<f64>> {
    let width = rows.first().map_or(0, Vec::len);
    let (mut sum, mut weight) = (vec![0.0; width], 0.0);
    let mut found = Vec::with_capacity(rows.len());
    for (i, row) in rows.iter().enumerate() {
        if i > 0 && half_life_days > 0.0 {
            let days = (points[i].day - points[i - 1].day).max(0) as f64;
            let faded = 0.5f64.powf(days / half_life_days);
            sum.iter_mut().for_each(|s| *s *= faded);
            weight *= faded;
        }
        found.push((weight > 0.0 && width > 0).then(|| {
            let squares: f64 = row.iter().zip(&sum).map(|(v, s)| (v - s / weight).powi(2)).sum();
            (squares / width as f64).sqrt()
        }));
        sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
        weight += 1.0;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of noise around a level that is another from `changed` on.
    fn rows(count: usize, changed: usize, by: i64) -> Vec<Vec<i64>> {
        let mut draws = Draws::new(3);
        let row = |i: usize| {
            let level = if i >= changed { by } else { 0 };
            (0..20).map(|f| 1_000 + draws.below(200) as i64 + if f < 5 { level } else { 0 }).collect()
        };
        (0..count).map(row).collect()
    }

    fn found(rows: &[Vec<i64>]) -> Drift {
        let points: Vec<Point<'_>> =
            rows.iter().enumerate().map(|(i, row)| Point { day: 30 * i as i64, row }).collect();
        drift(&points, 20, 365.0)
    }

    #[test]
    fn a_change_is_found_where_it_is() {
        let found = found(&rows(24, 15, 300));
        let [change] = &found.changes[..] else { panic!("{:?}", found.changes) };
        assert!(change.at == 15 && change.p_value <= LEVEL && change.distance > 0.5, "{change:?}");
        assert!(change.moved[..5].iter().all(|m| m.feature < 5 && m.after > m.before + 200.0));
        assert_eq!((found.distances.len(), found.distances[0]), (24, None));
        let (before, after) = (found.distances[14].unwrap(), found.distances[15].unwrap());
        assert!(after > before, "{before} {after}");
    }

    #[test]
    fn noise_is_no_change_and_few_texts_say_nothing() {
        assert!(found(&rows(40, 40, 0)).changes.is_empty());
        assert!(found(&rows(7, 4, 900)).changes.is_empty());
        assert!(found(&vec![vec![5; 20]; 30]).changes.is_empty());
        assert_eq!(drift(&[], 20, 0.0), Drift::default());
    }
}
