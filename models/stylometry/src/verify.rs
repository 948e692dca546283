//! Did this author write this text? General imposters (Koppel and Winter
//! 2014), with the bootstrap-distance form (Nagy 2023) beside it:
//! `imposters@1`.
//!
//! In each of many rounds half of the features and half of the imposters' texts
//! are drawn, and the distance of the text to the candidate's nearest text is
//! compared with that to the nearest imposter. The score is the share of
//! rounds that the candidate wins. Scores between two thresholds get no
//! verdict.

use serde::Serialize;

use crate::calibrate::Logistic;
use crate::random::Draws;
use crate::scale::Scale;
use crate::table::{Table, TableError};
use crate::vocabulary::Sizes;
use crate::warnings::Warning;

/// What can be set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// How often is drawn.
    pub rounds: usize,
    /// Share of the words in a round.
    pub features: f64,
    /// Share of the imposters' texts in a round.
    pub imposters: f64,
    /// What is drawn follows from it.
    pub seed: u64,
    /// Lower probability: «different».
    pub different_below: f64,
    /// Higher probability: «same».
    pub same_above: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 100, features: 0.5, imposters: 0.5, seed: 1, different_below: 0.2, same_above: 0.8 }
    }
}

/// What verification counts.
pub fn sizes() -> Sizes {
    Sizes { words: 1_000, grams: vec![(4, 500)], authors: 0.25 }
}

/// Words per piece of known texts.
pub const PIECE_WORDS: usize = 1_500;

/// Between these no score is enough for a verdict.
const PLAIN_THRESHOLDS: (f64, f64) = (0.25, 0.75);
/// Most known texts that calibration looks at, spread over all.
const MOST_CASES: usize = 150;
/// Numbers that are looked at for it: seconds.
const MOST_WORK: usize = 10_000_000_000;

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// By this author, as far as style tells.
    Same,
    /// Not by this author, as far as style tells.
    Different,
    /// Neither can be said.
    CantSay,
}

/// One author.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// As named with the known texts.
    pub author: String,
    /// What can be said.
    pub verdict: Verdict,
    /// Share of rounds won, a draw is half.
    pub score: f64,
    /// That it is this author, where known texts allow to calibrate.
    pub probability: Option<f64>,
    /// Mean of the nearest imposter's distance minus the candidate's.
    pub advantage: f64,
    /// Between which 90 % of the rounds' differences lie.
    pub advantage_interval: [f64; 2],
    /// Known pieces of the author.
    pub pieces: usize,
    /// Pieces of imposters.
    pub imposters: usize,
}

/// Fitted to known texts.
pub struct Verifier {
    table: Table,
    settings: Settings,
    scale: Scale,
    rows: Vec<Vec<f64>>,
    calibration: Option<Logistic>,
    warnings: Vec<Warning>,
}

struct Rounds {
    /// Distances to all rows, by round.
    distances: Vec<Vec<f64>>,
    /// A draw of rows by round: the order in which imposters are taken.
    orders: Vec<Vec<usize>>,
}

impl Verifier {
    /// Of known texts or frequencies.
    pub fn new(table: Table, settings: Settings) -> Result<Self, TableError> {
        if table.authors.len() < 2 {
            return Err(TableError::TooFewAuthors(table.authors.len()));
        }
        let scale = Scale::of_texts(&table);
        let mut made =
            Self { rows: Vec::new(), scale, calibration: None, warnings: Vec::new(), table, settings };
        made.rows = made.table.rows.iter().map(|row| made.scale.apply(&row.values)).collect();
        if !made.rows.iter().flatten().any(|z| *z != 0.0) {
            return Err(TableError::NothingDiffers);
        }
        made.calibrate();
        Ok(made)
    }

    /// The known texts against their own author and all others, each without
    /// its own work.
    fn calibrate(&mut self) {
        let works = self.table.works_by_author();
        let round = self.rows.len() * self.settings.rounds * self.table.features.len();
        let cases = (MOST_WORK / round.max(1)).clamp(20, MOST_CASES);
        let step = self.rows.len().div_ceil(cases).max(1);
        let mut cases = Vec::new();
        let mut own_works = 0;
        for i in (0..self.rows.len()).step_by(step) {
            let row = &self.table.rows[i];
            let rounds = self.rounds(&self.rows[i]);
            for author in 0..works.len() {
                let whole = works[row.author] > 1;
                if author == row.author && !whole {
                    continue;
                }
                own_works += usize::from(author == row.author);
                let left_out = |j: usize| j == i || self.table.rows[j].work == row.work;
                let other = |j: usize| self.table.rows[j].author != author;
                let stranger = |j: usize| other(j) && self.table.rows[j].author != row.author;
                let among = self.won(&rounds, author, left_out, other);
                cases.extend(among.map(|won| (share(&won), author == row.author)));
                // Whoever wrote a text need not be among the known authors.
                if author != row.author {
                    let unknown = self.won(&rounds, author, left_out, stranger);
                    cases.extend(unknown.map(|won| (share(&won), false)));
                }
            }
        }
        if own_works >= 4 {
            self.calibration = Logistic::fit(&cases).filter(|l| l.slope > 0.0);
        }
        if self.calibration.is_none() {
            let message = "too few authors with two known texts: scores could not be calibrated, thresholds are general ones";
            self.warnings.push(Warning::new("not_calibrated", message));
        }
        if self.table.authors.len() < 4 {
            let message = "imposters of fewer than three authors: who is not among them is easily taken for the candidate";
            self.warnings.push(Warning::new("few_imposters", message));
        }
    }

    fn rounds(&self, asked: &[f64]) -> Rounds {
        let width = asked.len();
        let count = ((width as f64 * self.settings.features).round() as usize).clamp(1, width.max(1));
        let mut draws = Draws::new(self.settings.seed);
        let mut rounds = Rounds { distances: Vec::new(), orders: Vec::new() };
        let mut part = vec![0.0; count];
        let mut other = vec![0.0; count];
        for _ in 0..self.settings.rounds {
            let chosen = draws.choose(width, count);
            chosen.iter().zip(&mut part).for_each(|(i, p)| *p = asked[*i]);
            let distance = |row: &Vec<f64>| {
                chosen.iter().zip(&mut other).for_each(|(i, p)| *p = row[*i]);
                crate::delta::cosine(&part, &other)
            };
            rounds.distances.push(self.rows.iter().map(distance).collect());
            rounds.orders.push(draws.choose(self.rows.len(), self.rows.len()));
        }
        rounds
    }

    /// By round, the nearest imposter's distance minus that of the candidate's
    /// nearest text; `None` where one of them has no text.
    fn won(
        &self,
        rounds: &Rounds,
        author: usize,
        left_out: impl Fn(usize) -> bool,
        imposter: impl Fn(usize) -> bool,
    ) -> Option<Vec<f64>> {
        let own: Vec<usize> =
            (0..self.rows.len()).filter(|j| self.table.rows[*j].author == author && !left_out(*j)).collect();
        let imposters = (0..self.rows.len()).filter(|j| imposter(*j) && !left_out(*j)).count();
        if own.is_empty() || imposters == 0 {
            return None;
        }
        let count = ((imposters as f64 * self.settings.imposters).round() as usize).clamp(1, imposters);
        let nearest = |distances: &[f64], of: &mut dyn Iterator<Item = usize>| {
            of.map(|j| distances[j]).fold(f64::INFINITY, f64::min)
        };
        let each = rounds.distances.iter().zip(&rounds.orders).map(|(distances, order)| {
            let ours = nearest(distances, &mut own.iter().copied());
            let mut theirs = order.iter().copied().filter(|j| imposter(*j) && !left_out(*j)).take(count);
            nearest(distances, &mut theirs) - ours
        });
        Some(each.collect())
    }

    /// Every author of the known texts, the likeliest first.
    pub fn verify(&self, values: &[f64]) -> Vec<Verification> {
        let asked = self.scale.apply(values);
        let rounds = self.rounds(&asked);
        let pieces = self.table.rows_by_author();
        let of = |author: usize| {
            let won = self.won(&rounds, author, |_| false, |j| self.table.rows[j].author != author)?;
            let score = share(&won);
            let probability = self.calibration.map(|c| c.probability(score));
            Some(Verification {
                author: self.table.authors[author].clone(),
                verdict: self.verdict(score, probability),
                score,
                probability,
                advantage: won.iter().sum::<f64>() / won.len() as f64,
                advantage_interval: interval(won),
                pieces: pieces[author],
                imposters: self.rows.len() - pieces[author],
            })
        };
        let mut all: Vec<Verification> = (0..pieces.len()).filter_map(of).collect();
        all.sort_by(|a, b| {
            let order = b.score.total_cmp(&a.score).then(b.advantage.total_cmp(&a.advantage));
            order.then_with(|| a.author.cmp(&b.author))
        });
        all
    }

    fn verdict(&self, score: f64, probability: Option<f64>) -> Verdict {
        // What was learnt from texts of one kind may be too sure of another
        // kind: the score itself has to say the same.
        let (low, high) = (score < PLAIN_THRESHOLDS.0, score > PLAIN_THRESHOLDS.1);
        let below = probability.is_none_or(|p| p < self.settings.different_below);
        let above = probability.is_none_or(|p| p > self.settings.same_above);
        match (low && below, high && above) {
            (true, _) => Verdict::Different,
            (_, true) => Verdict::Same,
            _ => Verdict::CantSay,
        }
    }

    /// What weakens every verdict of these known texts.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

fn share(won: &[f64]) -> f64 {
    let each = won.iter().map(|d| {
        if *d > 0.0 {
            1.0
        } else if *d < 0.0 {
            0.0
        } else {
            0.5
        }
    });
    each.sum::<f64>() / won.len().max(1) as f64
}

fn interval(mut won: Vec<f64>) -> [f64; 2] {
    won.sort_by(f64::total_cmp);
    let at = |share: f64| won[((won.len() - 1) as f64 * share).round() as usize];
    [at(0.05), at(0.95)]
}
