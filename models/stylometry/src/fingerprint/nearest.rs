//! Whose fingerprint each text is nearest to, its own being left out: what a
//! model makes of known texts, to be compared with what another makes of them.

use super::{Space, Sums};

/// A text as a row.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// Number of its author, where one is known.
    pub author: Option<usize>,
    /// Words of it.
    pub words: usize,
    /// Its numbers.
    pub row: &'a [i64],
}

/// Where a text stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// Number of the author.
    pub author: usize,
    /// Cosine Delta to the author's other texts.
    pub distance: f64,
    /// The next author and the distance to it.
    pub second: Option<(usize, f64)>,
    /// The numbers that speak most for the first against the second.
    pub features: Vec<usize>,
}

const MOST_FEATURES: usize = 5;

/// Of each text, over the first `counted` numbers; `None` where no author has
/// another text.
pub fn nearest(texts: &[Labelled<'_>], authors: usize, counted: usize) -> Vec<Option<Nearest>> {
    let mut by_author = vec![Sums::default(); authors];
    for text in texts {
        if let Some(author) = text.author {
            by_author[author].add(text.row, text.words);
        }
    }
    let space = Space::of_authors(&by_author, counted);
    let means: Vec<Option<Vec<f64>>> = by_author.iter().map(|sums| mean(&space, sums)).collect();
    texts.iter().map(|text| one(text, &space, &by_author, &means)).collect()
}

fn mean(space: &Space, sums: &Sums) -> Option<Vec<f64>> {
    let total = (sums.samples > 0).then_some(sums.weight.max(1) as f64)?;
    let row: Vec<i64> = sums.first.iter().map(|sum| (*sum as f64 / total).round() as i64).collect();
    Some(space.scores(&row))
}

fn one(
    text: &Labelled<'_>,
    space: &Space,
    by_author: &[Sums],
    means: &[Option<Vec<f64>>],
) -> Option<Nearest> {
    let own = text.author.map(|author| {
        let mut sums = by_author[author].clone();
        sums.remove(text.row, text.words);
        mean(space, &sums)
    });
    let of = |author: usize| match &own {
        Some(own) if text.author == Some(author) => own.as_ref(),
        _ => means[author].as_ref(),
    };
    let scores = space.scores(text.row);
    let mut all: Vec<(usize, f64)> =
        (0..means.len()).filter_map(|a| Some((a, Space::distance(&scores, of(a)?)))).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let (author, distance) = *all.first()?;
    let second = all.get(1).copied();
    let features = match second {
        Some((other, _)) => speaking(&scores, of(author)?, of(other)?),
        None => Vec::new(),
    };
    Some(Nearest { author, distance, second, features })
}

/// What each number adds to the difference of both cosines.
fn speaking(scores: &[f64], first: &[f64], second: &[f64]) -> Vec<usize> {
    let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    let (a, b) = (length(first), length(second));
    let part = |i: usize| scores[i] * (first[i] / a - second[i] / b);
    let mut all: Vec<usize> = (0..scores.len()).filter(|i| part(*i) > 0.0).collect();
    all.sort_by(|x, y| part(*y).total_cmp(&part(*x)).then(x.cmp(y)));
    all.truncate(MOST_FEATURES);
    all
}
