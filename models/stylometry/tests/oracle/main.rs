//! The same figures by numpy and scikit-learn: `oracle.py` beside this file is
//! run by the Python that `DAYBOOK_TEST_PYTHON` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

use std::io::Write;
use std::process::{Command, Stdio};

use models_stylometry::attribute::{Attributor, Settings};
use models_stylometry::corpus::{Corpus, Known};
use models_stylometry::features::Features;
use models_stylometry::random::Draws;
use models_stylometry::verify::{self, Verifier};
use models_stylometry::vocabulary::Sizes;
use serde_json::json;

const WORDS: &str = "the of and to a in that it is was i for on you he be with as by at have are this not but had his \
    they from she which or we an there her were one do been all their has would will what if can when so no out said \
    could don't it's very upon whilst though garden river captain morning letter people country council member window";

/// Texts of made-up authors, each with habits of its own.
fn texts() -> Vec<(String, String)> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut draws = Draws::new(42);
    let mut all = Vec::new();
    for author in 0..4 {
        let habits: Vec<usize> = words.iter().map(|_| 1 + draws.below(12)).collect();
        let pool: Vec<&str> =
            words.iter().zip(&habits).flat_map(|(word, n)| std::iter::repeat_n(*word, *n)).collect();
        for _ in 0..3 + author {
            let mut text = String::new();
            for i in 0..400 + draws.below(300) {
                let word = pool[draws.below(pool.len())];
                text.push_str(word);
                text.push_str(if i % 11 == 10 {
                    ". "
                } else if i % 7 == 3 {
                    ", "
                } else {
                    " "
                });
            }
            all.push((format!("author{author}"), text.trim_end().to_owned()));
        }
    }
    all
}

/// The figures that both sides compute.
fn ours(texts: &[(String, String)]) -> serde_json::Value {
    let (asked, known) = texts.split_last().unwrap();
    let known: Vec<Known<'_>> = known.iter().map(|(a, t)| Known { author: a, work: t, text: t }).collect();
    let sizes = Sizes { words: 60, grams: vec![(3, 80)], authors: 0.25 };
    let corpus = Corpus::new(&known, &sizes, 1_000_000);
    let settings = Settings { delta_words: 50, ..Settings::default() };
    let attributor = Attributor::of_corpus(&corpus, settings.clone()).unwrap();
    let values = corpus.vocabulary().frequencies(&asked.1);
    let verification = verify::Settings::default();
    let verifier = Verifier::new(corpus.table(), verification.clone()).unwrap();
    json!({
        "known": known.iter().map(|k| json!({"author": k.author, "text": k.text})).collect::<Vec<_>>(),
        "asked": asked.1,
        "features": corpus.vocabulary().names(),
        "words": corpus.vocabulary().blocks()[0].len(),
        "delta_words": settings.delta_words,
        "most": settings.most,
        "ridge": settings.ridge,
        "frequencies": corpus.table().rows.iter().map(|r| r.values.clone()).collect::<Vec<_>>(),
        "asked_frequencies": values,
        "candidates": attributor.attribute(&values, 600).candidates,
        "verification": verification,
        "verified": verifier.verify(&values),
        "described": Features::of(&asked.1),
    })
}

#[test]
fn another_program_computes_the_same_figures() {
    let Some(python) = std::env::var_os("DAYBOOK_TEST_PYTHON") else {
        let required = ["CI", "DAYBOOK_TEST_REQUIRE_SERVERS"];
        assert!(
            !required.iter().any(|name| std::env::var_os(name).is_some()),
            "DAYBOOK_TEST_PYTHON is not set"
        );
        eprintln!("skipped: DAYBOOK_TEST_PYTHON is not set");
        return;
    };
    let mut child = Command::new(python)
        .args(["-c", include_str!("oracle.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ours(&texts()).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let differences: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("largest differences: {differences}");
    let differences = differences.as_object().unwrap();
    assert_eq!(differences.len(), 10, "{differences:?}");
    for (name, difference) in differences {
        assert!(difference.as_f64().unwrap() < 1e-9, "{name}: {difference}");
    }
}
