//! Indicators that a text was written by a machine: `indicators@1`.
//!
//! Figures of a text ([`NAMES`]), each as a z-score of the texts that the model
//! was fitted to, weighed by a logistic regression whose coefficients are a
//! table of this crate. It was fitted ten times, each time without a tenth of
//! the topics; how far these models differ is the interval (delete-a-group
//! jackknife).
//!
//! The figures are indicators of a way of writing that many machines and some
//! people have. They are never proof of who wrote a text: learners of a
//! language, forms and manuals look alike to them.

mod table;

use serde::Serialize;

use crate::features::Features;
use crate::linear::{Square, dot};
use crate::tokens::{self, Span};
use crate::warnings::Warning;

/// Shorter texts get no probability.
pub const LEAST_WORDS: usize = 150;

/// The figures, in the order of the table's columns.
pub const NAMES: [&str; 18] = [
    "burstiness",
    "sentence_rhythm",
    "sentence_length",
    "word_length",
    "long_words",
    "mtld",
    "commas",
    "semicolons",
    "exclamations",
    "dashes",
    "quotes",
    "parentheses",
    "contractions",
    "function_words",
    "first_person",
    "starts",
    "repeated_trigrams",
    "gram_entropy",
];

const SIZE: usize = NAMES.len();

fn figures(f: &Features) -> [f64; SIZE] {
    [
        f.burstiness,
        f.sentence_rhythm,
        f.sentence_length.max(1.0).ln(),
        f.word_length,
        f.long_words,
        f.mtld.max(1.0).ln(),
        f.commas,
        f.semicolons,
        f.exclamations,
        f.dashes,
        f.quotes,
        f.parentheses,
        f.contractions,
        f.function_words,
        f.first_person,
        f.starts,
        f.repeated_trigrams,
        f.gram_entropy,
    ]
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Mean of each figure.
    pub mean: [f64; SIZE],
    /// Its standard deviation.
    pub deviation: [f64; SIZE],
    /// One row for each part of the topics that was left out: the offset, then
    /// a weight for each figure.
    pub fits: Vec<[f64; SIZE + 1]>,
}

/// What a figure adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Indicator {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// Its value in the text.
    pub value: f64,
    /// How far it is from usual, in standard deviations.
    pub z: f64,
    /// What it adds to the log odds of a machine.
    pub contribution: f64,
}

/// A sentence's part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentenceIndication {
    /// Where it stands.
    pub span: Span,
    /// What the text's log odds lose without it.
    pub contribution: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Indications {
    /// Name and version of the model.
    pub model: &'static str,
    /// Of machine-written text among texts like those of the table, half of
    /// them by machines; absent where the model abstains.
    pub probability: Option<f64>,
    /// 95 %, of the choice of topics alone.
    pub interval: Option<[f64; 2]>,
    /// Figures, the strongest first.
    pub indicators: Vec<Indicator>,
    /// Why it abstains, and where it was fitted.
    pub warnings: Vec<Warning>,
}

/// Further away than this, a figure counts as unlike anything known.
const MOST: f64 = 3.0;
/// So many figures that are unlike anything known make the model abstain.
const MOST_STRANGE: usize = 3;
const RIDGE: f64 = 3.0;

/// A text of which is known who wrote it.
pub struct Example {
    /// Figures of the text.
    pub features: Features,
    /// Texts of one topic are left out together.
    pub topic: u64,
    /// Whether a machine wrote it.
    pub machine: bool,
}

impl Model {
    /// Fitted to examples, once without each part of the topics.
    pub fn fit(examples: &[&Example], parts: u64) -> Option<Self> {
        let rows: Vec<[f64; SIZE]> = examples.iter().map(|e| figures(&e.features)).collect();
        let n = rows.len() as f64;
        let mut model = Self { mean: [0.0; SIZE], deviation: [0.0; SIZE], fits: Vec::new() };
        for i in 0..SIZE {
            model.mean[i] = rows.iter().map(|r| r[i]).sum::<f64>() / n;
            let square = rows.iter().map(|r| (r[i] - model.mean[i]).powi(2)).sum::<f64>();
            model.deviation[i] = (square / n).sqrt();
        }
        let z: Vec<[f64; SIZE]> = rows.iter().map(|r| model.z(r)).collect();
        for part in 0..parts {
            let kept = |i: &usize| parts == 1 || examples[*i].topic % parts != part;
            let cases: Vec<(&[f64; SIZE], bool)> =
                (0..z.len()).filter(kept).map(|i| (&z[i], examples[i].machine)).collect();
            model.fits.push(logistic(&cases)?);
        }
        Some(model)
    }

    fn z(&self, figures: &[f64; SIZE]) -> [f64; SIZE] {
        let mut z = [0.0; SIZE];
        for i in 0..SIZE {
            if self.deviation[i] > 0.0 {
                z[i] = ((figures[i] - self.mean[i]) / self.deviation[i]).clamp(-MOST, MOST);
            }
        }
        z
    }

    /// Log odds of each fit.
    fn odds(&self, z: &[f64; SIZE]) -> Vec<f64> {
        self.fits.iter().map(|fit| fit[0] + dot(&fit[1..], z)).collect()
    }

    /// Mean log odds and their standard error.
    fn judged(&self, features: &Features) -> (f64, f64) {
        let odds = self.odds(&self.z(&figures(features)));
        let n = odds.len() as f64;
        let mean = odds.iter().sum::<f64>() / n;
        let square = odds.iter().map(|o| (o - mean) * (o - mean)).sum::<f64>();
        (mean, (square * (n - 1.0) / n).sqrt())
    }

    /// Judges a normalised text.
    pub fn indications(&self, text: &str) -> Indications {
        let features = Features::of(text);
        let values = figures(&features);
        let z = self.z(&values);
        let (odds, error) = self.judged(&features);
        let mut warnings = vec![Warning::new("domain", DOMAIN)];
        let strange: Vec<&str> = (0..SIZE).filter(|i| z[*i].abs() >= MOST).map(|i| NAMES[i]).collect();
        let mut abstains = false;
        if features.words < LEAST_WORDS {
            abstains = true;
            warnings.push(Warning::new(
                "too_short",
                format!("{} words: under {LEAST_WORDS} nothing is said", features.words),
            ));
        }
        if strange.len() >= MOST_STRANGE {
            abstains = true;
            let named = strange.join(", ");
            warnings.push(Warning::new("unlike", format!("unlike any text that the model knows: {named}")));
        }
        if crate::language::detect(text).is_some_and(|l| l.reliable && !crate::language::is_english(l.code)) {
            abstains = true;
            warnings.push(Warning::new("not_english", "the model knows English texts only"));
        }
        let part = |i: usize| {
            let weight = self.fits.iter().map(|fit| fit[i + 1]).sum::<f64>() / self.fits.len() as f64;
            Indicator { name: NAMES[i], value: values[i], z: z[i], contribution: weight * z[i] }
        };
        let mut indicators: Vec<Indicator> = (0..SIZE).map(part).collect();
        indicators.sort_by(|a, b| {
            b.contribution.abs().total_cmp(&a.contribution.abs()).then_with(|| a.name.cmp(b.name))
        });
        let share = |odds: f64| 1.0 / (1.0 + (-odds).exp());
        Indications {
            model: crate::INDICATORS,
            probability: (!abstains).then(|| share(odds)),
            interval: (!abstains).then(|| [share(odds - 1.96 * error), share(odds + 1.96 * error)]),
            indicators,
            warnings,
        }
    }

    /// What each sentence adds: the log odds with it minus those without it.
    /// Only the first few hundred of a long text are looked at.
    pub fn sentences(&self, text: &str) -> Vec<SentenceIndication> {
        let (whole, _) = self.judged(&Features::of(text));
        let without = |span: Span| {
            let rest = [text.get(..span.start).unwrap_or_default(), text.get(span.end..).unwrap_or_default()]
                .concat();
            SentenceIndication { span, contribution: whole - self.judged(&Features::of(&rest)).0 }
        };
        tokens::sentences(text).into_iter().take(MOST_SENTENCES).map(without).collect()
    }
}

const MOST_SENTENCES: usize = 200;

/// Said with every result.
pub const DOMAIN: &str = "indicators, not proof: fitted to short English essays and stories by people and by one \
    generation of language models; other kinds of text, other models, edited text and people who write in a second \
    language are judged wrongly more often";

/// By Newton's method, both kinds weighing the same.
fn logistic(cases: &[(&[f64; SIZE], bool)]) -> Option<[f64; SIZE + 1]> {
    let of = |kind: bool| cases.iter().filter(|(_, k)| *k == kind).count() as f64;
    let (yes, no) = (of(true), of(false));
    if yes < 2.0 || no < 2.0 {
        return None;
    }
    let mut at = [0.0; SIZE + 1];
    for _ in 0..50 {
        let mut slopes = [0.0; SIZE + 1];
        let mut bend = Square::zero(SIZE + 1);
        for (i, slope) in slopes.iter_mut().enumerate() {
            let penalty = if i == 0 { 1e-6 } else { RIDGE };
            *slope = penalty * at[i];
            bend.set(i, i, penalty);
        }
        for (z, kind) in cases {
            let weight = cases.len() as f64 / 2.0 / if *kind { yes } else { no };
            let p = 1.0 / (1.0 + (-(at[0] + dot(&at[1..], *z))).exp());
            let error = weight * (p - f64::from(u8::from(*kind)));
            let row = |i: usize| if i == 0 { 1.0 } else { z[i - 1] };
            for (i, slope) in slopes.iter_mut().enumerate() {
                *slope += error * row(i);
                for j in 0..=SIZE {
                    let value = bend.at(i, j) + weight * p * (1.0 - p) * row(i) * row(j);
                    bend.set(i, j, value);
                }
            }
        }
        let inverse = bend.inverse()?;
        let step: Vec<f64> = (0..=SIZE).map(|i| dot(inverse.row(i), &slopes)).collect();
        at.iter_mut().zip(&step).for_each(|(a, s)| *a -= s);
        if step.iter().all(|s| s.abs() < 1e-10) {
            break;
        }
    }
    Some(at)
}

/// The model of the crate's table.
pub fn fitted() -> Model {
    Model { mean: table::MEAN, deviation: table::DEVIATION, fits: table::FITS.to_vec() }
}
