//! Many texts at once: distances of all pairs, groups, and texts that stand
//! apart.

use serde::Serialize;

use crate::linear::dot;

/// Cosine Delta of all pairs of z-scores, row by row; 0 on the diagonal.
pub fn matrix(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let unit = |row: &Vec<f64>| {
        let length = dot(row, row).sqrt();
        let unit: Vec<f64> = row.iter().map(|v| if length > 0.0 { v / length } else { 0.0 }).collect();
        unit
    };
    let units: Vec<Vec<f64>> = rows.iter().map(unit).collect();
    let mut all = vec![vec![0.0; rows.len()]; rows.len()];
    for i in 0..rows.len() {
        for j in 0..i {
            let distance = 1.0 - dot(&units[i], &units[j]);
            all[i][j] = distance;
            all[j][i] = distance;
        }
    }
    all
}

/// Two groups that became one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Merge {
    /// A text, or `texts + m` for what merge m made.
    pub left: usize,
    /// The same.
    pub right: usize,
    /// Mean distance between the texts of either.
    pub distance: f64,
    /// Texts of both.
    pub size: usize,
}

/// Groups of texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clusters {
    /// The nearest first; one less than there are texts.
    pub merges: Vec<Merge>,
    /// The texts in an order in which no merge crosses another.
    pub order: Vec<usize>,
}

impl Clusters {
    /// Average linkage (UPGMA), by chains of nearest neighbours: as many steps
    /// as there are pairs.
    pub fn of(distances: &[Vec<f64>]) -> Self {
        let n = distances.len();
        let mut between = distances.to_vec();
        let mut size = vec![1usize; n];
        let mut alive: Vec<usize> = (0..n).collect();
        let mut found = Vec::new();
        let mut chain: Vec<usize> = Vec::new();
        while alive.len() > 1 {
            if chain.is_empty() {
                chain.push(alive[0]);
            }
            let top = chain[chain.len() - 1];
            let before = chain.len().checked_sub(2).map(|at| chain[at]);
            // The one before is taken of equals, or chains would go in circles.
            let near = alive.iter().copied().filter(|j| *j != top).min_by(|a, b| {
                let order = between[top][*a].total_cmp(&between[top][*b]);
                order.then_with(|| (Some(*b) == before).cmp(&(Some(*a) == before))).then(a.cmp(b))
            });
            let Some(near) = near else { break };
            if Some(near) != before {
                chain.push(near);
                continue;
            }
            chain.truncate(chain.len() - 2);
            let (keep, gone) = (top.min(near), top.max(near));
            found.push((keep, gone, between[keep][gone]));
            let (a, b) = (size[keep] as f64, size[gone] as f64);
            for j in alive.iter().copied().filter(|j| *j != keep && *j != gone) {
                let mean = (a * between[keep][j] + b * between[gone][j]) / (a + b);
                between[keep][j] = mean;
                between[j][keep] = mean;
            }
            size[keep] += size[gone];
            alive.retain(|j| *j != gone);
        }
        Self::sorted(n, found)
    }

    /// By distance, with numbers for what merges made.
    fn sorted(n: usize, mut found: Vec<(usize, usize, f64)>) -> Self {
        found.sort_by(|x, y| x.2.total_cmp(&y.2));
        let mut group: Vec<usize> = (0..n).collect();
        let mut members: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
        let mut merges = Vec::new();
        for (keep, gone, distance) in found {
            let (left, right) = (group[keep].min(group[gone]), group[keep].max(group[gone]));
            let joined = [std::mem::take(&mut members[left]), std::mem::take(&mut members[right])].concat();
            joined.iter().for_each(|i| group[*i] = n + merges.len());
            merges.push(Merge { left, right, distance, size: joined.len() });
            members.push(joined);
        }
        Self { merges, order: members.pop().unwrap_or_default() }
    }

    /// The group of each text if there are to be so many, numbered in the order
    /// of the texts.
    pub fn cut(&self, groups: usize) -> Vec<usize> {
        let n = self.merges.len() + 1;
        let mut group: Vec<usize> = (0..n).collect();
        for (made, merge) in self.merges.iter().take(n.saturating_sub(groups.max(1))).enumerate() {
            group.iter_mut().filter(|g| **g == merge.left || **g == merge.right).for_each(|g| *g = n + made);
        }
        let mut names: Vec<usize> = Vec::new();
        let number = |g: &usize| match names.iter().position(|name| name == g) {
            Some(at) => at,
            None => {
                names.push(*g);
                names.len() - 1
            }
        };
        group.iter().map(number).collect()
    }
}

/// How far each text's mean distance from the others is from usual, in median
/// absolute deviations; above 3.5 it stands apart (Iglewicz and Hoaglin 1993).
pub fn apartness(distances: &[Vec<f64>]) -> Vec<f64> {
    let others = (distances.len().saturating_sub(1)).max(1) as f64;
    let means: Vec<f64> = distances.iter().map(|row| row.iter().sum::<f64>() / others).collect();
    let middle = median(&means);
    let spread = median(&means.iter().map(|m| (m - middle).abs()).collect::<Vec<_>>());
    means.iter().map(|m| if spread > 0.0 { 0.6745 * (m - middle) / spread } else { 0.0 }).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Draws;

    fn points() -> Vec<Vec<f64>> {
        let mut draws = Draws::new(3);
        let mut noise = || draws.below(1_000) as f64 / 5_000.0;
        let centres = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        (0..12).map(|i| centres[i % 3].iter().map(|c| c + noise()).collect()).collect()
    }

    #[test]
    fn groups_that_are_there_are_found() {
        let distances = matrix(&points());
        let found = Clusters::of(&distances);
        assert_eq!(found.merges.len(), 11);
        assert!(found.merges.is_sorted_by(|a, b| a.distance <= b.distance));
        assert_eq!(found.cut(3), (0..12).map(|i| i % 3).collect::<Vec<_>>());
        assert_eq!(found.cut(1), vec![0; 12]);
        assert_eq!(found.cut(12), (0..12).collect::<Vec<_>>());
        let mut order = found.order.clone();
        assert!(order.chunks(4).all(|part| part.iter().all(|i| i % 3 == part[0] % 3)));
        order.sort_unstable();
        assert_eq!(order, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn few_and_equal_texts_are_no_trouble() {
        assert!(Clusters::of(&[]).order.is_empty());
        assert_eq!(Clusters::of(&matrix(&[vec![1.0]])).order, [0]);
        let same = matrix(&vec![vec![1.0, 2.0]; 5]);
        let found = Clusters::of(&same);
        assert_eq!((found.merges.len(), found.order.len()), (4, 5));
        assert!(apartness(&same).iter().all(|a| *a == 0.0 || a.is_finite()));
    }

    #[test]
    fn a_text_unlike_the_others_stands_apart() {
        let mut rows: Vec<Vec<f64>> = points().into_iter().step_by(3).collect();
        rows.extend(points().into_iter().step_by(3).map(|mut r| {
            r[1] += 0.01;
            r
        }));
        rows.push(vec![-1.0, 0.2, 0.1]);
        let apart = apartness(&matrix(&rows));
        assert!(apart[8] > 3.5 && apart[..8].iter().all(|a| *a < 3.5), "{apart:?}");
    }
}
