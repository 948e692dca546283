//! What of a text lies farthest from a fingerprint, and in which direction.

use models_stylometry::fingerprint::{Estimate, Fingerprinter, Space, Sums};

/// Deviations that nobody notices.
const LEAST: f64 = 0.5;

/// A number that is not as the target's.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// A function word or a figure.
    pub feature: String,
    /// Whether it is a share of words.
    pub is_word: bool,
    pub text: f64,
    pub target: f64,
    /// 95 % interval of the target; absent of one sample.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Text minus target, in standard deviations of all samples.
    pub deviations: f64,
}

/// Cosine Delta of a row to a fingerprint over what is counted.
pub fn distance(maker: &Fingerprinter, row: &[i64], target: &Estimate, corpus: &Sums) -> f64 {
    let space = Space::new(corpus, maker.counted());
    Space::distance(&space.scores(row), &space.scores(&target.mean))
}

/// At most so many differences, the greatest first. What is within the target's
/// interval is left out, and n-grams, which tell nobody what to write.
pub fn differences(
    maker: &Fingerprinter,
    row: &[i64],
    target: &Estimate,
    corpus: &Sums,
    most: usize,
) -> Vec<Difference> {
    let (names, units) = (maker.names(), maker.units());
    let space = Space::new(corpus, maker.width());
    let (text, wanted) = (space.scores(row), space.scores(&target.mean));
    let of = |i: usize| {
        let (mean, unit) = (*target.mean.get(i)?, units[i]);
        let half = target.half.as_ref().and_then(|half| half.get(i)).copied();
        let deviations = text.get(i)? - wanted.get(i)?;
        let within = half.is_some_and(|half| (row[i] - mean).abs() <= half);
        if within || deviations.abs() < LEAST || maker.is_bucket(i) {
            return None;
        }
        let at = |value: i64| value as f64 / unit;
        let counted = i < maker.counted();
        Some(Difference {
            feature: names[i].clone(),
            is_word: counted,
            text: at(row[i]),
            target: at(mean),
            low: half.map(|half| at(mean - half)).map(|low| if counted { low.max(0.0) } else { low }),
            high: half.map(|half| at(mean + half)),
            deviations,
        })
    };
    let mut found: Vec<Difference> = (0..maker.width()).filter_map(of).collect();
    found.sort_by(|a, b| {
        b.deviations.abs().total_cmp(&a.deviations.abs()).then_with(|| a.feature.cmp(&b.feature))
    });
    found.truncate(most);
    found
}
