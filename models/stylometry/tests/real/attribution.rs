//! Attribution by cross-validation, beside plain Burrows's Delta.

use models_stylometry::attribute::{Attributor, PIECE_WORDS, Settings};
use models_stylometry::corpus::Corpus;
use models_stylometry::metrics::calibration_error;
use models_stylometry::random::Draws;
use models_stylometry::table::Table;
use models_stylometry::tokens::{count_words, pieces};
use models_stylometry::vocabulary::Sizes;

use super::data::{self, Text};

#[derive(Default, Debug)]
pub struct Score {
    cases: usize,
    ours: usize,
    burrows: usize,
    cosine: usize,
    /// Probability of the first, and whether it was right.
    said: Vec<(f64, bool)>,
}

impl Score {
    fn add(&mut self, known: &[&Text], asked: &[(&str, &str)]) {
        let known = data::known(known.iter().copied());
        let corpus = Corpus::new(&known, &Sizes::default(), PIECE_WORDS);
        let attributor = Attributor::of_corpus(&corpus, Settings::default()).unwrap();
        for (author, text) in asked {
            let found = attributor.attribute(&corpus.vocabulary().frequencies(text), count_words(text));
            let nearest = |by: fn(&models_stylometry::attribute::Candidate) -> f64| {
                let first = found.candidates.iter().min_by(|a, b| by(a).total_cmp(&by(b))).unwrap();
                usize::from(first.author == *author)
            };
            self.cases += 1;
            self.burrows += nearest(|c| c.deltas.burrows);
            self.cosine += nearest(|c| c.deltas.cosine);
            let first = &found.candidates[0];
            self.ours += usize::from(first.author == *author);
            self.said.push((first.probability, first.author == *author));
        }
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} cases; {} ours {}, Burrows {}, cosine {}; calibration error {:.3}, mean probability {:.3}",
            self.cases,
            models_stylometry::ATTRIBUTION,
            self.ours,
            self.burrows,
            self.cosine,
            calibration_error(&self.said),
            self.said.iter().map(|(p, _)| p).sum::<f64>() / self.cases as f64
        );
    }
}

/// Each author known by one of the two works, asked about pieces of the other.
fn novels_by(words: usize, rounds: u64) -> Option<Score> {
    let novels = data::novels()?;
    let mut score = Score::default();
    for round in 0..rounds {
        let mut draws = Draws::new(round);
        let choice: Vec<usize> = (0..novels.len() / 2).map(|_| draws.below(2)).collect();
        let is_known = |i: usize| choice[i / 2] == i % 2;
        let known: Vec<&Text> =
            novels.iter().enumerate().filter(|(i, _)| is_known(*i)).map(|(_, t)| t).collect();
        let asked: Vec<(&str, &str)> = novels
            .iter()
            .enumerate()
            .filter(|(i, _)| !is_known(*i))
            .flat_map(|(_, t)| pieces(&t.text, words).into_iter().map(|p| (t.author.as_str(), p)))
            .collect();
        score.add(&known, &asked);
    }
    Some(score)
}

#[test]
fn novels_of_known_authors_are_attributed() {
    let Some(whole) = novels_by(usize::MAX / 2, 8) else { return };
    whole.print("novels, whole, one work known");
    let pieces = novels_by(1_500, 3).unwrap();
    pieces.print("novels, 1,500 words, one work known");
    let short = novels_by(600, 2).unwrap();
    short.print("novels, 600 words, one work known");
    assert!(whole.ours >= whole.burrows && pieces.ours > pieces.burrows && short.ours > short.burrows);
    assert!(pieces.ours * 100 >= pieces.cases * 85, "{pieces:?}");
}

#[test]
fn federalist_papers_are_attributed_ten_times_over() {
    let Some(papers) = data::federalist() else { return };
    let mut score = Score::default();
    let order = Draws::new(7).choose(papers.len(), papers.len());
    for fold in 0..10 {
        let (mut known, mut asked) = (Vec::new(), Vec::new());
        for (at, i) in order.iter().enumerate() {
            match at % 10 == fold {
                true => asked.push((papers[*i].author.as_str(), papers[*i].text.as_str())),
                false => known.push(&papers[*i]),
            }
        }
        score.add(&known, &asked);
    }
    score.print("Federalist papers, ten-fold");
    assert!(score.ours > score.burrows && score.ours + 2 >= score.cases, "{score:?}");
}

#[test]
fn the_cuckoos_calling_is_nearest_to_rowling() {
    let Some((words, books)) = data::galbraith() else { return };
    let asked = books.iter().find(|(author, ..)| author == "galbraith").unwrap();
    let known: Vec<_> = books.iter().filter(|b| b.0 != "galbraith").cloned().collect();
    let attributor =
        Attributor::of_table(Table::of_frequencies(words.clone(), &known).unwrap(), Settings::default())
            .unwrap();
    let found = attributor.attribute(&asked.2, 0);
    for candidate in &found.candidates {
        println!(
            "{} {:.3} {:.3} {:?}",
            candidate.author, candidate.distance, candidate.probability, candidate.deltas
        );
    }
    assert_eq!(found.candidates[0].author, "rowling");
    // And every other book by a model that has not seen it.
    for left_out in &known {
        let rest: Vec<_> = known.iter().filter(|b| b.1 != left_out.1).cloned().collect();
        let table = Table::of_frequencies(words.clone(), &rest).unwrap();
        let found = Attributor::of_table(table, Settings::default()).unwrap().attribute(&left_out.2, 0);
        assert_eq!(found.candidates[0].author, left_out.0, "{}", left_out.1);
    }
}
