//! One threshold for a whole corpus: the best of all that make a difference.

use super::score::{Profile, Row, Ruler};

/// The threshold that earns the most, and what it earns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// Detections are scores at or above
    pub threshold: f64,
    /// The raw score over the corpus
    pub score: f64,
}

/// Tries every threshold that changes what is detected. `series` are rulers
/// with a detector's scores; of equal results the highest threshold wins.
pub fn optimise(series: &[(&Ruler, &[f64])], profile: &Profile) -> Best {
    let mut rows: Vec<(f64, usize, Row)> = Vec::new();
    let mut first_window = 0;
    for (ruler, scores) in series {
        rows.extend(ruler.rows.iter().zip(*scores).map(|(row, s)| (*s, first_window, *row)));
        first_window += ruler.windows;
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut earned = vec![-profile.miss; first_window];
    let mut total = -profile.miss * first_window as f64;
    // Above every score nothing is detected.
    let mut best = Best { threshold: 1.1, score: total };
    let mut i = 0;
    while i < rows.len() {
        let threshold = rows[i].0;
        while i < rows.len() && rows[i].0 == threshold {
            match rows[i].2 {
                Row::Unscored => {}
                Row::Outside(share) => total += share * profile.false_alarm,
                Row::Inside(window, share) => {
                    let had = &mut earned[rows[i].1 + window];
                    let now = had.max(share * profile.hit);
                    total += now - *had;
                    *had = now;
                }
            }
            i += 1;
        }
        if total > best.score {
            best = Best { threshold, score: total };
        }
    }
    best
}

/// A raw score on the scale where detecting nothing is 0 and detecting every
/// window at its first row and nothing else is 100.
pub fn normalised(score: f64, windows: usize, profile: &Profile) -> f64 {
    let null = -profile.miss * windows as f64;
    let perfect = profile.hit * windows as f64;
    if windows == 0 { 0.0 } else { 100.0 * (score - null) / (perfect - null) }
}
