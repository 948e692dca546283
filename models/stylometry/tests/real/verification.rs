//! Verification across works.

use models_stylometry::corpus::Corpus;
use models_stylometry::metrics::{auc, brier, c_at_1, calibration_error};
use models_stylometry::random::Draws;
use models_stylometry::tokens::pieces;
use models_stylometry::verify::{PIECE_WORDS, Settings, Verdict, Verifier, sizes};

use super::data::{self, Text};

#[derive(Default)]
struct Said {
    probabilities: Vec<(f64, bool)>,
    scores: Vec<(f64, bool)>,
    answers: Vec<(Option<bool>, bool)>,
}

impl Said {
    fn print(&self, what: &str) {
        let silent = self.answers.iter().filter(|(a, _)| a.is_none()).count();
        println!(
            "{what}: {} pairs; AUC {:.3} (score {:.3}), calibration error {:.3}, Brier {:.3}, c@1 {:.3}, no verdict {:.3}",
            self.answers.len(),
            auc(&self.probabilities).unwrap_or(f64::NAN),
            auc(&self.scores).unwrap(),
            calibration_error(&balanced(&self.probabilities)),
            brier(&balanced(&self.probabilities)),
            c_at_1(&self.answers),
            silent as f64 / self.answers.len() as f64
        );
    }

    fn add(&mut self, known: &[&Text], asked: &[(&str, &str)]) {
        let known = data::known(known.iter().copied());
        let corpus = Corpus::new(&known, &sizes(), PIECE_WORDS);
        let verifier = Verifier::new(corpus.table(), Settings::default()).unwrap();
        for (author, text) in asked {
            for found in verifier.verify(&corpus.vocabulary().frequencies(text)) {
                let same = found.author == *author;
                self.scores.push((found.score, same));
                self.probabilities.extend(found.probability.map(|p| (p, same)));
                self.answers.push((
                    match found.verdict {
                        Verdict::Same => Some(true),
                        Verdict::Different => Some(false),
                        Verdict::CantSay => None,
                    },
                    same,
                ));
            }
        }
    }
}

/// Pieces of each work, asked about every author, all other works known.
#[test]
fn novels_are_verified_across_works() {
    let Some(novels) = data::novels() else { return };
    let mut said = Said::default();
    for work in 0..novels.len() {
        let known: Vec<&Text> =
            novels.iter().enumerate().filter(|(i, _)| *i != work).map(|(_, t)| t).collect();
        let asked: Vec<(&str, &str)> = pieces(&novels[work].text, 1_500)
            .into_iter()
            .map(|p| (novels[work].author.as_str(), p))
            .collect();
        said.add(&known, &asked);
    }
    said.print("novels, 1,500 words, the other work known");
    assert!(auc(&said.scores).unwrap() >= 0.93);
}

#[test]
fn federalist_papers_are_verified() {
    let Some(papers) = data::federalist() else { return };
    let mut said = Said::default();
    let order = Draws::new(7).choose(papers.len(), papers.len());
    for fold in 0..5 {
        let (mut known, mut asked) = (Vec::new(), Vec::new());
        for (at, i) in order.iter().enumerate() {
            match at % 5 == fold {
                true => asked.push((papers[*i].author.as_str(), papers[*i].text.as_str())),
                false => known.push(&papers[*i]),
            }
        }
        said.add(&known, &asked);
    }
    said.print("Federalist papers, five-fold");
    assert!(auc(&said.scores).unwrap() >= 0.93);
}

/// As often yes as no: what the probabilities are for.
fn balanced(cases: &[(f64, bool)]) -> Vec<(f64, bool)> {
    let yes: Vec<_> = cases.iter().filter(|c| c.1).copied().collect();
    let no = cases.len() - yes.len();
    let more = yes.iter().cycle().take(no.saturating_sub(yes.len()) * usize::from(!yes.is_empty()));
    cases.iter().chain(more).copied().collect()
}
