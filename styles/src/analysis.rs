//! Models fitted to known samples, and texts judged by them.

use std::collections::{BTreeMap, HashSet};

use domain::TenantId;
use domain::sample::{Entry, Library, id_of};
use models_stylometry::attribute::{self, Attribution, Attributor, PIECE_WORDS};
use models_stylometry::boilerplate::{shared_edges, without};
use models_stylometry::corpus::{Corpus, Known};
use models_stylometry::delta::{Deltas, cosine, jensen_shannon, min_max};
use models_stylometry::explain::{Explanation, explain};
use models_stylometry::features::Features;
use models_stylometry::scale::Scale;
use models_stylometry::table::TableError;
use models_stylometry::verify::{self, Verification, Verifier};
use models_stylometry::vocabulary::{Sizes, Vocabulary};
use models_stylometry::warnings::{Quality, Warning, other_language, quality};

use crate::shapes::{Compared, Figures, Judged, Matrix, Report, Verified, VerifiedCandidate, WordDifference};

/// Known texts that are looked at for their language.
const LOOKED_AT: usize = 50;
/// Features of an explanation either way.
const PARTS: usize = 25;
/// Words that two texts are compared by.
const PAIR_WORDS: usize = 500;

/// Why known texts cannot be compared with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StyleError {
    /// Too few authors, or nothing that differs between them.
    #[error(transparent)]
    Known(#[from] TableError),
    /// Nobody is left to compare with.
    #[error("there is nobody to compare with")]
    Nobody,
}

type Result<T, E = StyleError> = std::result::Result<T, E>;

/// A text that is asked about, normalised.
#[derive(Debug, Clone)]
pub struct Asked {
    pub name: String,
    pub text: String,
}

pub(crate) struct Text {
    pub author: String,
    pub id: String,
    pub genre: Option<String>,
    pub text: String,
}

/// Known samples without what they share at their ends.
pub struct Reference {
    pub(crate) texts: Vec<Text>,
    edges: Vec<String>,
    languages: Vec<Quality>,
}

/// Authors that are compared at once.
pub(crate) const MOST_IMPOSTERS: usize = 60;
/// Authors in a report's matrix.
const MOST_SHOWN: usize = 40;

pub(crate) struct Imposters<'a> {
    corpus: Corpus<'a>,
    verifier: Verifier,
}

impl<'a> Imposters<'a> {
    pub(crate) fn of(known: &[Known<'a>]) -> Result<Self> {
        let corpus = Corpus::new(known, &verify::sizes(), verify::PIECE_WORDS);
        let verifier = Verifier::new(corpus.table(), verify::Settings::default())?;
        Ok(Self { corpus, verifier })
    }

    pub(crate) fn verify(&self, text: &str) -> Vec<Verification> {
        self.verifier.verify(&self.corpus.vocabulary().frequencies(text))
    }
}

impl Reference {
    /// The tenant's samples with an author, without those of these ids.
    pub fn of(library: &Library, tenant: &TenantId, left_out: &[String]) -> Self {
        let known: Vec<(&str, &str, &Entry)> = library
            .readable(tenant)
            .filter(|(id, _)| !left_out.iter().any(|l| l == id))
            .filter_map(|(id, entry)| Some((entry.label.author.as_deref()?, id, entry)))
            .collect();
        let all: Vec<&str> = known.iter().map(|(.., entry)| entry.text.as_str()).collect();
        let shared = shared_edges(&all);
        let text = |(author, id, entry): &(&str, &str, &Entry)| Text {
            author: (*author).to_owned(),
            id: (*id).to_owned(),
            genre: entry.label.genre.clone(),
            text: without(&entry.text, &shared),
        };
        let texts: Vec<Text> = known.iter().map(text).collect();
        let step = texts.len().div_ceil(LOOKED_AT).max(1);
        let languages = texts.iter().step_by(step).map(|t| quality(&t.text)).collect();
        Self { edges: shared.into_iter().map(str::to_owned).collect(), languages, texts }
    }

    /// Authors and how many texts they have.
    pub fn authors(&self) -> BTreeMap<&str, usize> {
        let mut authors = BTreeMap::new();
        self.texts.iter().for_each(|t| *authors.entry(t.author.as_str()).or_default() += 1);
        authors
    }

    pub(crate) fn known(&self) -> Vec<Known<'_>> {
        self.texts.iter().map(|t| Known { author: &t.author, work: &t.id, text: &t.text }).collect()
    }

    /// The asked text without the shared paragraphs.
    pub(crate) fn own_words(&self, text: &str) -> String {
        without(text, &self.edges.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn warnings(&self, quality: &Quality, text: &str) -> Vec<Warning> {
        let mut warnings = quality.warnings.clone();
        warnings.extend(other_language(quality, &self.languages.iter().collect::<Vec<_>>()));
        if self.texts.iter().any(|t| t.text == text) {
            warnings.push(Warning::new("known_text", "the text is one of the known texts"));
        }
        warnings
    }

    /// Ranks all authors for each text.
    pub fn attribute(&self, asked: &[Asked], explained: bool) -> Result<Vec<Judged>> {
        let known = self.known();
        let corpus = Corpus::new(&known, &Sizes::default(), PIECE_WORDS);
        let attributor = Attributor::of_corpus(&corpus, attribute::Settings::default())?;
        let all = self.imposters(&known, None)?;
        let judge = |asked: &Asked| {
            let text = self.own_words(&asked.text);
            let quality = quality(&text);
            let values = corpus.vocabulary().frequencies(&text);
            let found = attributor.attribute(&values, quality.words);
            let first = &found.candidates[0];
            let imposters = match &all {
                Some(all) => all,
                None => &self.imposters(&known, Some(&found))?.ok_or(StyleError::Nobody)?,
            };
            let verified = imposters.verify(&text);
            let verification = verified.into_iter().find(|v| v.author == first.author && quality.enough);
            let explanation = explained
                .then(|| {
                    let names = (first.author.as_str(), found.candidates[1].author.as_str());
                    explain(&attributor, Some(corpus.vocabulary()), &text, &values, names, PARTS)
                })
                .flatten();
            let mut warnings = self.warnings(&quality, &text);
            warnings.extend(found.warnings.clone());
            Ok(judged(asked, &quality, found, verification, explanation, warnings))
        };
        asked.iter().map(judge).collect()
    }

    /// Among all authors; of very many, among those that the text stands
    /// nearest to, and nobody without a text.
    fn imposters<'a>(
        &self,
        known: &[Known<'a>],
        nearest: Option<&Attribution>,
    ) -> Result<Option<Imposters<'a>>> {
        let many = self.authors().len() > MOST_IMPOSTERS;
        let chosen: Vec<Known<'a>> = match nearest {
            None if many => return Ok(None),
            None => known.to_vec(),
            Some(found) => {
                let near: HashSet<&str> =
                    found.candidates.iter().take(MOST_IMPOSTERS).map(|c| c.author.as_str()).collect();
                known.iter().filter(|k| near.contains(k.author)).copied().collect()
            }
        };
        Imposters::of(&chosen).map(Some)
    }

    /// Whether each author may have written each text.
    pub fn verify(&self, asked: &[Asked], author: Option<&str>) -> Result<Vec<Verified>> {
        let known = self.known();
        let all = self.imposters(&known, None)?;
        let nearest = match &all {
            Some(_) => None,
            None => {
                let corpus = Corpus::new(&known, &Sizes::default(), PIECE_WORDS);
                let attributor = Attributor::of_corpus(&corpus, attribute::Settings::default())?;
                Some((corpus, attributor))
            }
        };
        let registers = author.map(|author| self.registers(author)).transpose()?.unwrap_or_default();
        let judge = |asked: &Asked| {
            let text = self.own_words(&asked.text);
            let quality = quality(&text);
            let imposters = match (&all, &nearest) {
                (Some(all), _) => all,
                (None, Some((corpus, attributor))) => {
                    let mut found =
                        attributor.attribute(&corpus.vocabulary().frequencies(&text), quality.words);
                    // Who is asked about is always among them.
                    found.candidates.sort_by_key(|c| author != Some(c.author.as_str()));
                    &self.imposters(&known, Some(&found))?.ok_or(StyleError::Nobody)?
                }
                (None, None) => return Err(StyleError::Nobody),
            };
            let found = imposters.verify(&text);
            let found = found.into_iter().filter(|v| author.is_none_or(|a| a == v.author));
            let mut warnings = self.warnings(&quality, &text);
            warnings.extend(imposters.verifier.warnings().iter().cloned());
            if all.is_none() {
                let message = format!("of so many authors only the {MOST_IMPOSTERS} nearest are compared");
                warnings.push(Warning::new("nearest_only", message));
            }
            Ok(Verified {
                text: asked.name.clone(),
                sha256: Some(id_of(&asked.text)),
                words: quality.words,
                language: quality.language.clone(),
                model: models_stylometry::VERIFICATION,
                candidates: found.map(|v| candidate(v, quality.enough)).collect(),
                registers: registers.clone(),
                warnings,
            })
        };
        asked.iter().map(judge).collect()
    }

    /// Everything about one text.
    pub fn report(&self, asked: &Asked) -> Result<Report> {
        let one = std::slice::from_ref(asked);
        let attribution = self.attribute(one, true)?.pop().ok_or(StyleError::Nobody)?;
        let verification = self.verify(one, None)?.pop().ok_or(StyleError::Nobody)?;
        let content = self.own_words(&asked.text);
        let nearest: Vec<&str> =
            attribution.candidates.iter().take(MOST_SHOWN).map(|c| c.author.as_str()).collect();
        Ok(Report {
            text: asked.name.clone(),
            words: attribution.words,
            features: Features::of(&content),
            matrix: self.matrix(&nearest, asked, &content),
            attribution,
            verification,
            content,
        })
    }

    /// Cosine Delta between the authors and the text.
    fn matrix(&self, nearest: &[&str], asked: &Asked, content: &str) -> Matrix {
        let sizes = Sizes { words: PAIR_WORDS, grams: vec![], authors: 0.0 };
        let mut known = self.known();
        known.retain(|k| nearest.contains(&k.author));
        let corpus = Corpus::new(&known, &sizes, PIECE_WORDS);
        let table = corpus.table();
        let scale = Scale::of_texts(&table);
        let counts = table.rows_by_author();
        let mut rows = vec![vec![0.0; table.features.len()]; counts.len()];
        for row in &table.rows {
            let n = counts[row.author] as f64;
            rows[row.author].iter_mut().zip(scale.apply(&row.values)).for_each(|(sum, z)| *sum += z / n);
        }
        rows.push(scale.apply(&corpus.vocabulary().frequencies(content)));
        let mut names = table.authors.clone();
        names.push(asked.name.clone());
        let distances = rows.iter().map(|a| rows.iter().map(|b| cosine(a, b)).collect()).collect();
        Matrix { names, distances }
    }

    /// Every pair of the texts; with known texts also by their words.
    pub fn compare(&self, asked: &[Asked]) -> Vec<Compared> {
        let pairs = (0..asked.len()).flat_map(|i| (i + 1..asked.len()).map(move |j| (i, j)));
        self.pairs(asked, &pairs.collect::<Vec<_>>())
    }

    /// These pairs of the texts, by their numbers.
    pub fn pairs(&self, asked: &[Asked], pairs: &[(usize, usize)]) -> Vec<Compared> {
        let texts: Vec<String> = asked.iter().map(|a| self.own_words(&a.text)).collect();
        let known = self.known();
        let usual = (!known.is_empty()).then(|| {
            let sizes = Sizes { words: PAIR_WORDS, grams: vec![], authors: 0.0 };
            let corpus = Corpus::new(&known, &sizes, PIECE_WORDS);
            let scale = Scale::of_texts(&corpus.table());
            (corpus, scale)
        });
        let of = |(i, j): &(usize, usize)| {
            let pair = ((&asked[*i].name, &texts[*i]), (&asked[*j].name, &texts[*j]));
            let deltas = usual.as_ref().map(|(corpus, scale)| {
                let frequencies = |text: &str| corpus.vocabulary().frequencies(text);
                let (x, y) = (frequencies(pair.0.1), frequencies(pair.1.1));
                Deltas::of((&scale.apply(&x), &scale.apply(&y)), (&x, &y))
            });
            self.pair(pair.0, pair.1, deltas)
        };
        pairs.iter().map(of).collect()
    }

    fn pair(
        &self,
        (first, a): (&String, &String),
        (second, b): (&String, &String),
        deltas: Option<Deltas>,
    ) -> Compared {
        let sizes = Sizes { words: PAIR_WORDS, grams: vec![], authors: 0.0 };
        // One author each, or only words that both use would count.
        let own = Vocabulary::of(&[(0, a), (0, b)], &sizes);
        let (x, y) = (own.frequencies(a), own.frequencies(b));
        let (qa, qb) = (quality(a), quality(b));
        let mut warnings: Vec<Warning> = [(first, a, &qa), (second, b, &qb)]
            .iter()
            .flat_map(|(name, text, quality)| {
                self.warnings(quality, text)
                    .into_iter()
                    .map(move |w| Warning::new(w.code, format!("{name}: {}", w.message)))
            })
            .collect();
        warnings.extend(other_language(&qa, &[&qb]));
        warnings.push(Warning::new(
            "register",
            "letters and novels of one author differ more than novels of two: compare texts of one kind",
        ));
        let enough = qa.enough && qb.enough;
        Compared {
            first: first.clone(),
            second: second.clone(),
            deltas,
            min_max: min_max(&x, &y),
            jensen_shannon: jensen_shannon(&x, &y),
            same_author: self.same_author(a, b, enough),
            words: differences(own.names(), &x, &y),
            warnings,
        }
    }

    /// Whether the second text is by the first one's author, the known texts
    /// being imposters.
    fn same_author(&self, a: &str, b: &str, enough: bool) -> Option<VerifiedCandidate> {
        // No author is named like this: names hold no control characters.
        const ASKED: &str = "\u{1}first text";
        let mut known = self.known();
        known.retain(|k| k.text != a && k.text != b);
        let mut authors: Vec<&str> = known.iter().map(|k| k.author).collect();
        authors.sort_unstable();
        authors.dedup();
        authors.truncate(MOST_IMPOSTERS);
        known.retain(|k| authors.contains(&k.author));
        if known.is_empty() {
            return None;
        }
        known.push(Known { author: ASKED, work: ASKED, text: a });
        let found = Imposters::of(&known).ok()?.verify(b);
        let found = found.into_iter().find(|v| v.author == ASKED)?;
        Some(VerifiedCandidate { author: "author of the first text".into(), ..candidate(found, enough) })
    }
}

/// An attribution as it is answered.
pub fn judged(
    asked: &Asked,
    quality: &Quality,
    found: Attribution,
    verification: Option<Verification>,
    explanation: Option<Explanation>,
    warnings: Vec<Warning>,
) -> Judged {
    let likely = found.candidates[0].probability > 0.5;
    let verdict = match (quality.enough, likely) {
        (false, _) => "no_verdict",
        (true, true) => "attributed",
        (true, false) => "unsure",
    };
    Judged {
        text: asked.name.clone(),
        sha256: (!asked.text.is_empty()).then(|| id_of(&asked.text)),
        words: quality.words,
        language: quality.language.clone(),
        model: found.model,
        verdict,
        author: (verdict == "attributed").then(|| found.candidates[0].author.clone()),
        margin: found.margin,
        candidates: found.candidates,
        verification,
        explanation,
        warnings,
    }
}

/// A verification as it is answered.
pub fn candidate(found: Verification, enough: bool) -> VerifiedCandidate {
    VerifiedCandidate {
        author: found.author,
        distance: 1.0 - found.score,
        figures: Figures {
            verdict: enough.then_some(found.verdict),
            probability: found.probability,
            score: found.score,
            advantage: found.advantage,
            advantage_interval: found.advantage_interval,
            pieces: found.pieces,
            imposters: found.imposters,
        },
    }
}

fn differences(names: &[String], x: &[f64], y: &[f64]) -> Vec<WordDifference> {
    let part = |p: f64, m: f64| if p > 0.0 { p * (p / m).log2() } else { 0.0 };
    let mut all: Vec<WordDifference> = names
        .iter()
        .zip(x.iter().zip(y))
        .map(|(word, (p, q))| WordDifference {
            word: word.clone(),
            first: p * 1e3,
            second: q * 1e3,
            part: (part(*p, (p + q) / 2.0) + part(*q, (p + q) / 2.0)) / 2.0,
        })
        .collect();
    all.sort_by(|a, b| b.part.total_cmp(&a.part).then_with(|| a.word.cmp(&b.word)));
    all.truncate(PARTS);
    all
}
