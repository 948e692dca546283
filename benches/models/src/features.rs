//! `features`: MiB of text a second by one thread, beside scikit-learn's
//! CountVectorizer and faststylometry. The same novels for all, in memory. Ours
//! counts words by Unicode's rules; the peers by a regular expression.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use models_stylometry::features::Features;
use models_stylometry::fingerprint::{Fingerprinter, Parameters, Sums};
use models_stylometry::normalise::normalise;
use models_stylometry::tokens;
use models_stylometry::vocabulary::{Sizes, Vocabulary};
use serde_json::json;

use crate::memory;
use crate::peer::{ask, number, timed};
use crate::table::{Line, median};

const PROGRAM: &str = include_str!("../peers/features.py");
const SCIKIT: &str = "CountVectorizer";
const FASTSTYLOMETRY: &str = "faststylometry";
const AUTHORS: usize = 10_000;

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder whose `stylometry/novels/*.txt` are read.
    #[arg(long, env = "DAYBOOK_DATA")]
    data: PathBuf,
    /// Features that are counted.
    #[arg(long, default_value_t = 2_000)]
    most: usize,
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    let texts = texts(&arguments.data.join("stylometry/novels"))?;
    let mib = texts.iter().map(String::len).sum::<usize>() as f64 / f64::from(1 << 20);
    let told = ask(PROGRAM, &json!({"texts": texts, "most": arguments.most, "runs": arguments.runs}))?;
    let rate = |took: &[f64]| mib / median(took);
    let line = |case: &str, ours, peer, theirs: &str| Line {
        bench: "features",
        case: case.to_owned(),
        ours,
        peer,
        peer_value: mib / number(&told, theirs),
        unit: "MiB/s",
        runs: arguments.runs,
    };
    let authored: Vec<(u32, &str)> = texts.iter().enumerate().map(|(i, t)| (i as u32, t.as_str())).collect();
    let fitted = |sizes: &Sizes| -> Result<Vec<f64>> {
        let of = || {
            let (vocabulary, counted) = Vocabulary::fit(&authored, sizes);
            let features = vocabulary.names().len();
            ensure!(features == arguments.most, "{features} features");
            Ok(counted.iter().map(|counted| counted.frequencies(features)).collect::<Vec<_>>())
        };
        Ok(timed(arguments.runs, of)?.0)
    };
    let words = rate(&fitted(&Sizes { words: arguments.most, grams: vec![], authors: 0.0 })?);
    let grams = rate(&fitted(&Sizes { words: 0, grams: vec![(4, arguments.most)], authors: 0.0 })?);
    let every = |of: &dyn Fn(&str)| -> Result<f64> {
        let all = || {
            texts.iter().for_each(|text| of(text));
            Ok(())
        };
        Ok(rate(&timed(arguments.runs, all)?.0))
    };
    let fingerprinter = Fingerprinter::new(Parameters::default());
    let row = every(&|text| drop(std::hint::black_box(fingerprinter.row(text))))?;
    let figures = every(&|text| drop(std::hint::black_box(Features::of(text))))?;
    let normalised = every(&|text| drop(std::hint::black_box(normalise(text))))?;
    let alone = |case: &str, ours| Line { peer: "-", ..line(case, ours, "-", "none") };
    let mut lines = vec![
        line("words: the most frequent found and counted", words, SCIKIT, "words"),
        line("words: the most frequent found and counted", words, FASTSTYLOMETRY, "delta"),
        line("4-grams of characters: the same", grams, SCIKIT, "grams"),
        line("a fingerprint's row: words, n-grams, 24 figures", row, FASTSTYLOMETRY, "delta"),
        alone("all figures of a text", figures),
        alone("normalisation", normalised),
    ];
    lines.push(Line {
        unit: "KiB",
        ..alone("memory of an author's sums", author(&fingerprinter, &texts[0])? / 1024.0)
    });
    Ok(lines)
}

/// Bytes that one of many authors takes.
fn author(fingerprinter: &Fingerprinter, text: &str) -> Result<f64> {
    let (row, words) = (fingerprinter.row(text), tokens::count_words(text));
    let (bytes, made) = memory::each(AUTHORS, || {
        (0..AUTHORS)
            .map(|_| {
                let mut sums = Sums::default();
                sums.add(&row, words);
                sums
            })
            .collect::<Vec<Sums>>()
    })?;
    ensure!(made.iter().all(|sums| sums.samples == 1), "an author lost its text");
    Ok(bytes)
}

fn texts(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    ensure!(!paths.is_empty(), "no texts in {}", folder.display());
    paths.iter().map(|path| Ok(normalise(&std::fs::read_to_string(path)?))).collect()
}
