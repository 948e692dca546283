//! How good probabilities were, once the answers are known.

/// Area under the ROC curve: the share of pairs of a yes and a no in which the
/// yes has the higher score; half of equal ones. `None` without both.
pub fn auc(cases: &[(f64, bool)]) -> Option<f64> {
    let mut sorted: Vec<&(f64, bool)> = cases.iter().collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut won, mut at) = (0.0, 0.0, 0);
    while at < sorted.len() {
        let end = at + sorted[at..].iter().take_while(|c| c.0 == sorted[at].0).count();
        let yes = sorted[at..end].iter().filter(|c| c.1).count() as f64;
        let no = (end - at) as f64 - yes;
        won += yes * (below + no / 2.0);
        below += no;
        at = end;
    }
    let yes = cases.iter().filter(|c| c.1).count() as f64;
    (yes > 0.0 && below > 0.0).then(|| won / (yes * below))
}

/// Expected calibration error: the mean distance between what was said and
/// what was so, over ten bins of equal width, weighted by their cases.
pub fn calibration_error(cases: &[(f64, bool)]) -> f64 {
    let mut bins = [(0.0, 0.0, 0.0); 10];
    for (p, so) in cases {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        bin.0 += p;
        bin.1 += f64::from(u8::from(*so));
        bin.2 += 1.0;
    }
    let total: f64 = bins.iter().map(|b| b.2).sum();
    let off: f64 = bins.iter().filter(|b| b.2 > 0.0).map(|b| (b.0 - b.1).abs()).sum();
    if total > 0.0 { off / total } else { 0.0 }
}

/// Mean square of what was said minus what was so.
pub fn brier(cases: &[(f64, bool)]) -> f64 {
    let square = |(p, so): &(f64, bool)| (p - f64::from(u8::from(*so))).powi(2);
    cases.iter().map(square).sum::<f64>() / (cases.len().max(1)) as f64
}

/// PAN's c@1: unanswered cases count like the answered ones on average.
/// `None` is no answer.
pub fn c_at_1(answers: &[(Option<bool>, bool)]) -> f64 {
    let n = answers.len().max(1) as f64;
    let right = answers.iter().filter(|(said, so)| *said == Some(*so)).count() as f64;
    let unanswered = answers.iter().filter(|(said, _)| said.is_none()).count() as f64;
    (right + unanswered * right / n) / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let cases = [(0.9, true), (0.8, false), (0.8, true), (0.1, false)];
        assert_eq!(auc(&cases), Some(3.5 / 4.0));
        assert_eq!(auc(&cases[..1]), None);
        assert!((brier(&cases) - (0.01 + 0.64 + 0.04 + 0.01) / 4.0).abs() < 1e-12);
        assert!((calibration_error(&cases) - (0.1 + 0.6 + 0.1) / 4.0).abs() < 1e-12);
        assert_eq!(c_at_1(&[(Some(true), true), (None, true)]), 0.75);
    }
}
