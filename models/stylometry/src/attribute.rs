//! Whose known texts is a text nearest to? `style@1`.
//!
//! 1. Frequencies of words and character n-grams as z-scores over the known
//!    pieces, each author counting the same; each number kept within ±2.5,
//!    each kind of feature of length 1. This is the space of Cosine Delta.
//! 2. In it one linear response for each author, by ridge regression on all
//!    pieces: 1 for own ones, −1/(k − 1) for the others.
//! 3. Responses of each piece by a regression that has not seen its work (in
//!    closed form) say how responses become probabilities: one slope, and a
//!    bias for each author, which corrects for unequal amounts of known text.
//!
//! The published Deltas are computed beside it, over the most frequent words.

use serde::Serialize;

use crate::calibrate::Softmax;
use crate::corpus::Corpus;
use crate::delta::Deltas;
use crate::linear::{Square, dot};
use crate::scale::{Scale, directed};
use crate::table::{Table, TableError};
use crate::warnings::Warning;

/// What can be set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Words that the published Deltas are computed over.
    pub delta_words: usize,
    /// Furthest z-score.
    pub most: f64,
    /// Weight of the regression's penalty.
    pub ridge: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { delta_words: 500, most: 2.5, ridge: 0.2 }
    }
}

/// Words per piece of known texts.
pub const PIECE_WORDS: usize = 2_500;
/// Lengths that calibration is done for.
const LENGTHS: [usize; 2] = [500, 1_000];
/// With more pieces the regression is left out: responses are then cosines
/// with each author's mean.
const MOST_ROWS: usize = 1_300;
/// With more of them probabilities of short texts are those of long ones.
const MOST_ROWS_BY_LENGTH: usize = 400;

/// One author.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// As named with the known texts.
    pub author: String,
    /// 1 − the response, with the author's bias: about 0 for a text like the
    /// author's, above 1 for one like the others'.
    pub distance: f64,
    /// What the regression answers, about 1 for the author's own texts.
    pub response: f64,
    /// That it is this author, if it is one of them.
    pub probability: f64,
    /// Published distances to the mean of the author's pieces.
    pub deltas: Deltas,
    /// Known texts of the author.
    pub texts: usize,
    /// Words of them.
    pub words: usize,
}

/// Candidates, the nearest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// Name and version of the model.
    pub model: &'static str,
    /// Probabilities sum to 1 and equal exp(−slope · distance), normalised.
    pub candidates: Vec<Candidate>,
    /// Distance of the second minus that of the first.
    pub margin: f64,
    /// How much a distance weighs in a probability.
    pub slope: f64,
    /// What weakens it.
    pub warnings: Vec<Warning>,
}

/// Fitted to known texts.
pub struct Attributor {
    table: Table,
    settings: Settings,
    scale: Scale,
    /// Rows of length `features`, minus `centre`.
    directions: Vec<Vec<f64>>,
    centre: Vec<f64>,
    /// One weight vector for each author.
    weights: Vec<Vec<f64>>,
    /// What each author's response is at the centre.
    levels: Vec<f64>,
    /// By words: what holds for texts of at least that length.
    calibrations: Vec<(usize, Softmax)>,
    plain: Plain,
    warnings: Vec<Warning>,
}

/// The published Deltas.
struct Plain {
    scale: Scale,
    z: Vec<Vec<f64>>,
    frequencies: Vec<Vec<f64>>,
}

impl Plain {
    fn new(table: &Table, words: usize) -> Self {
        let scale = Scale::of_texts(table);
        let width = table.words().len().min(words);
        let counts = table.rows_by_author();
        let mut z = vec![vec![0.0; width]; counts.len()];
        let mut frequencies = z.clone();
        for row in &table.rows {
            let n = counts[row.author] as f64;
            for (sum, value) in z[row.author].iter_mut().zip(scale.apply(&row.values)) {
                *sum += value / n;
            }
            frequencies[row.author].iter_mut().zip(&row.values).for_each(|(sum, value)| *sum += value / n);
        }
        Self { scale, z, frequencies }
    }

    fn deltas(&self, values: &[f64], author: usize) -> Deltas {
        let (z, known) = (self.scale.apply(values), &self.z[author]);
        Deltas::of((&z[..known.len()], known), (&values[..known.len()], &self.frequencies[author]))
    }
}

impl Attributor {
    /// Of known texts.
    pub fn of_corpus(corpus: &Corpus<'_>, settings: Settings) -> Result<Self, TableError> {
        let table = corpus.table();
        let lengths = LENGTHS.iter().filter(|_| table.rows.len() <= MOST_ROWS_BY_LENGTH);
        let shorter: Vec<(usize, Table)> = lengths.map(|n| (*n, corpus.table_of_first(*n))).collect();
        Self::fit(table, &shorter, settings)
    }

    /// Of known frequencies.
    pub fn of_table(table: Table, settings: Settings) -> Result<Self, TableError> {
        Self::fit(table, &[], settings)
    }

    fn fit(table: Table, shorter: &[(usize, Table)], settings: Settings) -> Result<Self, TableError> {
        if table.authors.len() < 2 {
            return Err(TableError::TooFewAuthors(table.authors.len()));
        }
        let scale = Scale::of_authors(&table);
        if !scale.differs() {
            return Err(TableError::NothingDiffers);
        }
        let plain = Plain::new(&table, settings.delta_words);
        let mut made = Self {
            scale,
            plain,
            settings,
            directions: Vec::new(),
            centre: vec![0.0; table.features.len()],
            weights: Vec::new(),
            levels: Vec::new(),
            calibrations: Vec::new(),
            warnings: weaknesses(&table),
            table,
        };
        made.directions = made.table.rows.iter().map(|row| made.direction(&row.values)).collect();
        made.centre = made.mean_direction();
        let centre = made.centre.clone();
        made.directions.iter_mut().for_each(|d| subtract(d, &centre));
        match made.table.rows.len() <= MOST_ROWS {
            true => made.regress(shorter),
            false => made.average(),
        }
        Ok(made)
    }

    fn direction(&self, values: &[f64]) -> Vec<f64> {
        let mut z = self.scale.apply(values);
        directed(&mut z, &self.table.blocks, self.settings.most);
        subtract(&mut z, &self.centre);
        z
    }

    /// Mean over the rows.
    fn mean_direction(&self) -> Vec<f64> {
        let weight = 1.0 / self.directions.len() as f64;
        let mut mean = vec![0.0; self.table.features.len()];
        for direction in &self.directions {
            mean.iter_mut().zip(direction).for_each(|(m, d)| *m += weight * d);
        }
        mean
    }

    /// 1 for the author's own rows, −1/(k − 1) for the others.
    fn target(&self, row: usize, author: usize) -> f64 {
        match self.table.rows[row].author == author {
            true => 1.0,
            false => -1.0 / (self.table.authors.len() as f64 - 1.0),
        }
    }

    fn regress(&mut self, shorter: &[(usize, Table)]) {
        let (n, authors) = (self.directions.len(), self.table.authors.len());
        let mut gram = Square::zero(n);
        for i in 0..n {
            for j in 0..=i {
                let value = dot(&self.directions[i], &self.directions[j]);
                gram.set(i, j, value);
                gram.set(j, i, value);
            }
            gram.set(i, i, gram.at(i, i) + self.settings.ridge);
        }
        // The penalty is above 0, so the matrix is positive definite.
        let Some(inverse) = gram.inverse() else { return self.average() };
        let mut duals = vec![vec![0.0; n]; authors];
        for (author, dual) in duals.iter_mut().enumerate() {
            let mut targets: Vec<f64> = (0..n).map(|row| self.target(row, author)).collect();
            let mean = targets.iter().sum::<f64>() / n as f64;
            targets.iter_mut().for_each(|t| *t -= mean);
            self.levels.push(mean);
            dual.iter_mut().enumerate().for_each(|(row, d)| *d = dot(inverse.row(row), &targets));
        }
        self.weights = duals.iter().map(|dual| self.combined(dual)).collect();
        let mut levels = vec![(self.words_of_a_row(), self.directions.clone())];
        for (words, table) in shorter {
            if *words < levels[0].0 {
                levels.push((*words, table.rows.iter().map(|row| self.direction(&row.values)).collect()));
            }
        }
        let mut scores: Vec<Vec<(usize, Vec<f64>)>> = vec![Vec::new(); levels.len()];
        for group in self.groups() {
            let duals = unseen(&inverse, &duals, &group);
            for ((_, rows), scores) in levels.iter().zip(&mut scores) {
                for i in &group {
                    let near: Vec<f64> = self.directions.iter().map(|d| dot(d, &rows[*i])).collect();
                    let responses =
                        duals.iter().zip(&self.levels).map(|(dual, level)| level + dot(dual, &near));
                    let responses = responses.collect();
                    scores.push((self.table.rows[*i].author, responses));
                }
            }
        }
        let fitted = levels.iter().zip(&scores).map(|((words, _), s)| (*words, Softmax::fit(s, authors)));
        self.calibrations = fitted.collect();
        self.calibrations.sort_by_key(|(words, _)| *words);
    }

    /// Mean number of words; 0 where only frequencies are known.
    fn words_of_a_row(&self) -> usize {
        self.table.rows.iter().map(|row| row.words).sum::<usize>() / self.table.rows.len().max(1)
    }

    /// Σ dual · direction.
    fn combined(&self, dual: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.table.features.len()];
        for (factor, direction) in dual.iter().zip(&self.directions) {
            sum.iter_mut().zip(direction).for_each(|(s, d)| *s += factor * d);
        }
        sum
    }

    /// Rows that are left out together: those of a work, unless its author has
    /// no other; then each for itself.
    fn groups(&self) -> Vec<Vec<usize>> {
        let works = self.table.works_by_author();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut last = None;
        for (i, row) in self.table.rows.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if works[row.author] > 1 && last == Some(row.work) => group.push(i),
                _ => groups.push(vec![i]),
            }
            last = Some(row.work);
        }
        groups
    }

    /// Too many rows to regress: cosines with the authors' means.
    fn average(&mut self) {
        let counts = self.table.rows_by_author();
        let mut means = vec![vec![0.0; self.table.features.len()]; counts.len()];
        for (row, direction) in self.table.rows.iter().zip(&self.directions) {
            means[row.author].iter_mut().zip(direction).for_each(|(m, d)| *m += d);
        }
        for mean in &mut means {
            let length = dot(mean, mean).sqrt().max(1e-300);
            mean.iter_mut().for_each(|m| *m /= length);
        }
        self.weights = means;
        self.levels = vec![0.0; counts.len()];
        let biases = vec![0.0; counts.len()];
        self.calibrations = vec![(0, Softmax { slope: 5.0, biases })];
        let message = "with so many known texts distances are cosines, and probabilities are not calibrated";
        self.warnings.push(Warning::new("not_calibrated", message));
    }

    /// The known texts.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Ranks the authors for a text of so many words (0: unknown).
    pub fn attribute(&self, values: &[f64], words: usize) -> Attribution {
        let direction = self.direction(values);
        let of = |(weights, level): (&Vec<f64>, &f64)| level + dot(weights, &direction);
        let responses: Vec<f64> = self.weights.iter().zip(&self.levels).map(of).collect();
        let softmax = self.calibration(words);
        let probabilities = softmax.probabilities(&responses);
        let works = self.table.works_by_author();
        let mut known = vec![0; works.len()];
        self.table.rows.iter().for_each(|row| known[row.author] += row.words);
        let mut candidates: Vec<Candidate> = (0..works.len())
            .map(|a| Candidate {
                author: self.table.authors[a].clone(),
                distance: 1.0 - responses[a] - softmax.biases[a] / softmax.slope,
                response: responses[a],
                probability: probabilities[a],
                deltas: self.plain.deltas(values, a),
                texts: works[a],
                words: known[a],
            })
            .collect();
        candidates.sort_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.author.cmp(&b.author)));
        let margin = candidates[1].distance - candidates[0].distance;
        Attribution {
            model: crate::ATTRIBUTION,
            candidates,
            margin,
            slope: softmax.slope,
            warnings: self.warnings.clone(),
        }
    }

    fn calibration(&self, words: usize) -> &Softmax {
        let words = if words == 0 { usize::MAX } else { words };
        let fitting = self.calibrations.iter().rev().find(|(least, _)| *least <= words);
        // There is always one.
        &fitting.unwrap_or(&self.calibrations[0]).1
    }

    /// What each feature adds to the response of `author` minus that of
    /// `other`; they sum to the difference.
    pub fn contributions(&self, values: &[f64], author: &str, other: &str) -> Option<Vec<f64>> {
        let of = |name: &str| self.table.authors.iter().position(|a| a == name).map(|a| &self.weights[a]);
        let (ours, theirs) = (of(author)?, of(other)?);
        let direction = self.direction(values);
        Some(direction.iter().zip(ours).zip(theirs).map(|((d, a), b)| d * (a - b)).collect())
    }

    /// Mean frequencies of an author.
    pub fn frequencies(&self, author: &str) -> Option<Vec<f64>> {
        let at = self.table.authors.iter().position(|a| a == author)?;
        let mut mean = vec![0.0; self.table.features.len()];
        let rows: Vec<_> = self.table.rows.iter().filter(|row| row.author == at).collect();
        for row in &rows {
            mean.iter_mut().zip(&row.values).for_each(|(m, v)| *m += v / rows.len() as f64);
        }
        Some(mean)
    }
}

/// The duals of a regression that has not seen these rows; theirs are 0.
fn unseen(inverse: &Square, duals: &[Vec<f64>], group: &[usize]) -> Vec<Vec<f64>> {
    // A part of a positive definite matrix is one.
    let inner = inverse.part(group).inverse();
    let without = |dual: &Vec<f64>| {
        let own: Vec<f64> = group.iter().map(|i| dual[*i]).collect();
        let solved: Vec<f64> = match &inner {
            Some(inner) => (0..group.len()).map(|row| dot(inner.row(row), &own)).collect(),
            None => own,
        };
        let mut rest = dual.clone();
        for (i, factor) in group.iter().zip(&solved) {
            rest.iter_mut().zip(inverse.row(*i)).for_each(|(r, g)| *r -= factor * g);
        }
        group.iter().for_each(|i| rest[*i] = 0.0);
        rest
    };
    duals.iter().map(without).collect()
}

fn subtract(from: &mut [f64], what: &[f64]) {
    from.iter_mut().zip(what).for_each(|(a, b)| *a -= b);
}

fn weaknesses(table: &Table) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let single: Vec<&str> = table
        .works_by_author()
        .iter()
        .zip(&table.authors)
        .filter(|(works, _)| **works == 1)
        .map(|(_, author)| author.as_str())
        .collect();
    if !single.is_empty() {
        let named = single.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if single.len() > 5 { ", …" } else { "" };
        warnings.push(Warning::new(
            "one_text",
            format!("one known text only of {named}{more}: its subject counts as style, probabilities are too sure"),
        ));
    }
    let mut words = vec![0; table.authors.len()];
    table.rows.iter().for_each(|row| words[row.author] += row.words);
    for (author, words) in table.authors.iter().zip(words) {
        if words > 0 && words < crate::ENOUGH_WORDS {
            warnings.push(Warning::new("little_known", format!("only {words} known words of {author}")));
        }
    }
    warnings
}
