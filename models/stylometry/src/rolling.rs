//! A text in windows: whose known texts each passage stands nearest to, and
//! which passages are unlike the rest.

use serde::Serialize;

use crate::attribute::Attributor;
use crate::tokens::{self, Span};
use crate::vocabulary::Vocabulary;

/// A passage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Where it stands in the normalised text.
    pub span: Span,
    /// Words of it.
    pub words: usize,
    /// Distances to the authors, in their order.
    pub distances: Vec<f64>,
    /// The nearest author's index.
    pub nearest: usize,
    /// How far its distances are from those of the other windows, in median
    /// absolute deviations; above 3.5 it is unlike them.
    pub apart: f64,
}

/// Most windows of one text.
const MOST_WINDOWS: usize = 2_000;

/// Windows of `size` words, each `step` words after the one before.
pub fn windows(
    attributor: &Attributor,
    vocabulary: &Vocabulary,
    text: &str,
    size: usize,
    step: usize,
) -> Vec<Window> {
    let starts: Vec<usize> = tokens::words(text).map(|(at, _)| at).collect();
    let (size, mut step) = (size.max(1), step.max(1));
    while starts.len() / step > MOST_WINDOWS {
        step *= 2;
    }
    let last = starts.len().saturating_sub(size);
    let mut made: Vec<Window> = Vec::new();
    for first in (0..=last).step_by(step) {
        let end = starts.get(first + size).copied().unwrap_or(text.len());
        let span = Span { start: starts.get(first).copied().unwrap_or(0), end };
        let words = size.min(starts.len() - first.min(starts.len()));
        let values = vocabulary.frequencies(span.of(text));
        let found = attributor.attribute(&values, words);
        let authors = &attributor.table().authors;
        let distance = |author: &String| {
            found.candidates.iter().find(|c| c.author == *author).map_or(0.0, |c| c.distance)
        };
        let distances: Vec<f64> = authors.iter().map(distance).collect();
        let nearest =
            (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or(0);
        made.push(Window { span, words, distances, nearest, apart: 0.0 });
    }
    let rows: Vec<Vec<f64>> = made.iter().map(|w| w.distances.clone()).collect();
    for (window, apart) in made.iter_mut().zip(apart(&rows)) {
        window.apart = apart;
    }
    made
}

/// Euclidean distance from the median row, as a robust z-score.
fn apart(rows: &[Vec<f64>]) -> Vec<f64> {
    let Some(width) = rows.first().map(Vec::len) else { return Vec::new() };
    let middle: Vec<f64> = (0..width).map(|i| median(rows.iter().map(|r| r[i]).collect())).collect();
    let far = |row: &Vec<f64>| row.iter().zip(&middle).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let far: Vec<f64> = rows.iter().map(far).collect();
    let usual = median(far.clone());
    let spread = median(far.iter().map(|f| (f - usual).abs()).collect());
    far.iter().map(|f| if spread > 0.0 { 0.6745 * (f - usual) / spread } else { 0.0 }).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
