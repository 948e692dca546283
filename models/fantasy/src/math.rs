//! Small numerics: solving, ranks, quantiles, the normal distribution.

/// Solves `a x = b` for a symmetric positive definite `a` (row by row) by
/// Cholesky's decomposition. `None` if it is not positive definite.
pub fn solve(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    let n = b.len();
    let mut l = a.to_vec();
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = l[i * n + j] - dot;
            if i == j {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
        x[i] = (x[i] - dot) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - dot) / l[i * n + i];
    }
    Some(x)
}

/// Ranks from 1, equal values share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        // Itself at least, even if it is no number.
        let mut to = from + 1;
        while to < order.len() && values[order[to]] == values[order[from]] {
            to += 1;
        }
        for i in &order[from..to] {
            ranks[*i] = (from + to + 1) as f64 / 2.0;
        }
        from = to;
    }
    ranks
}

/// Pearson's correlation; `None` where one side does not vary.
pub fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (ma, mb) = (mean(a), mean(b));
    let (mut sab, mut saa, mut sbb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        sab += (x - ma) * (y - mb);
        saa += (x - ma).powi(2);
        sbb += (y - mb).powi(2);
    }
    (saa > 0.0 && sbb > 0.0).then(|| sab / (saa * sbb).sqrt())
}

/// Spearman's rank correlation.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    correlation(&ranks(a), &ranks(b))
}

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Standard deviation of the population; 0 of nothing.
pub fn deviation(values: &[f64]) -> f64 {
    let m = mean(values);
    let squares: f64 = values.iter().map(|x| (x - m).powi(2)).sum();
    if values.is_empty() { 0.0 } else { (squares / values.len() as f64).sqrt() }
}

/// The normal score of rank `rank` (from 1) among `n`: Φ⁻¹((rank − ½) / n).
pub fn normal_score(rank: f64, n: usize) -> f64 {
    probit(((rank - 0.5) / n as f64).clamp(1e-6, 1.0 - 1e-6))
}

/// Inverse of the standard normal distribution, by bisection on [`phi`]'s
/// complement to 1e-12; it is not needed often.
pub fn probit(p: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if phi(middle) < p { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Standard normal distribution function, from a series near 0 and a continued
/// fraction in the tails; absolute error below 1e-12.
pub fn phi(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x.abs() < 3.0 {
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term.abs() > 1e-17 {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let mut fraction = x.abs();
    for k in (1..60).rev() {
        fraction = x.abs() + f64::from(k) / fraction;
    }
    let tail = density / fraction;
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// 1 / (1 + e⁻ˣ).
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The quantile of values that are sorted upwards, with lines between the
/// points ((i + ½) / n, value). For whole numbers with many ties this is what
/// keeps an interval from covering more than it says: see [`tied_quantile`].
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return 0.0 };
    let place = p * sorted.len() as f64 - 0.5;
    if place <= 0.0 {
        return *first;
    }
    let below = place as usize;
    match sorted.get(below + 1) {
        Some(next) => sorted[below] + (next - sorted[below]) * (place - below as f64),
        None => *last,
    }
}

/// The quantile of a distribution over whole numbers 1…n, given as counts:
/// each number is spread evenly over the unit around it, so that quantiles
/// move without steps.
pub fn tied_quantile(counts: &[u32], p: f64) -> f64 {
    let total: u32 = counts.iter().sum();
    let wanted = p * f64::from(total);
    let mut below = 0.0;
    for (i, count) in counts.iter().enumerate() {
        let count = f64::from(*count);
        if count > 0.0 && below + count >= wanted {
            return i as f64 + 0.5 + (wanted - below) / count;
        }
        below += count;
    }
    counts.len() as f64 + 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_has_a_rank_too() {
        assert_eq!(ranks(&[f64::NAN, 1.0, f64::NAN, 1.0]), [3.0, 1.5, 4.0, 1.5]);
    }

    #[test]
    fn solves_what_it_was_given() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let x = solve(&a, &[1.0, 2.0, 3.0]).unwrap();
        for i in 0..3 {
            let got: f64 = (0..3).map(|j| a[i * 3 + j] * x[j]).sum();
            assert!((got - (i as f64 + 1.0)).abs() < 1e-12);
        }
        assert_eq!(solve(&[1.0, 2.0, 2.0, 1.0], &[1.0, 1.0]), None);
    }

    #[test]
    fn ranks_share_ties_and_correlate() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        // By hand: differences of ranks 1, 1, 0 → 1 − 6·2 / (3·8).
        assert!((spearman(&[1.0, 2.0, 3.0], &[2.0, 1.0, 3.0]).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn the_normal_distribution_agrees_with_tables() {
        for (x, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (1.96, 0.975_002_104_851_78),
            (3.5, 0.999_767_370_920_964),
        ] {
            assert!((phi(x) - p).abs() < 1e-12, "{x}");
            assert!((phi(-x) - (1.0 - p)).abs() < 1e-12, "{x}");
            assert!((probit(p) - x).abs() < 1e-7, "{x}");
        }
    }

    #[test]
    fn quantiles_lie_between() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
        assert_eq!(quantile(&[1.0, 2.0], 0.0), 1.0);
        assert_eq!(quantile(&[1.0, 2.0], 1.0), 2.0);
        // Half of the mass at 1, half at 3.
        assert_eq!(tied_quantile(&[2, 0, 2], 0.25), 1.0);
        assert_eq!(tied_quantile(&[2, 0, 2], 0.75), 3.0);
    }
}
