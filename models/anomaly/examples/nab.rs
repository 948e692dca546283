//! `cargo xtask bench nab`: the benchmark's table for every detector, with
//! each file's range told in advance as its harness does, and without.
//!
//! Beside the protocol's own score, whose threshold is the best for the files
//! that it is counted on, stands one where each folder is judged by the
//! threshold that is best for all other folders.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use models_anomaly::detect::{NAMES, Range, by_name};
use models_anomaly::nab::{Corpus, Labelled, PROFILES, Profile, Ruler, normalised, optimise};

struct Series {
    labelled: Labelled,
    ruler: Ruler,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: nab FOLDER [--json] [--files]")?;
    let options: Vec<String> = arguments.collect();
    let (json, files) = (options.iter().any(|o| o == "--json"), options.iter().any(|o| o == "--files"));
    let corpus = load(Path::new(&folder))?;
    let points: usize = corpus.iter().map(|s| s.labelled.points.len()).sum();
    let windows: usize = corpus.iter().map(|s| s.ruler.windows).sum();
    if !json {
        println!("{} files, {points} points, {windows} windows in {folder}", corpus.len());
        println!("Score for each profile: threshold by the protocol | chosen on the other folders");
        println!(
            "{:<22}{:<10}{:>18}{:>18}{:>18}{:>11}",
            "detector", "range", "standard", "low FP", "low FN", "points/s"
        );
    }
    for ahead in [true, false] {
        for name in NAMES {
            let (scores, rate) = score(&corpus, name, ahead);
            let mode = if ahead { "per file" } else { "causal" };
            let results: Vec<(f64, f64, f64)> =
                PROFILES.iter().map(|p| profile(&corpus, &scores, p)).collect();
            if json {
                let cells: Vec<String> = PROFILES
                    .iter()
                    .zip(&results)
                    .map(|(p, r)| {
                        format!(
                            "\"{}\":{{\"score\":{:.4},\"threshold\":{:.6},\"other_folders\":{:.4}}}",
                            p.name, r.0, r.1, r.2
                        )
                    })
                    .collect();
                println!(
                    "{{\"detector\":\"{name}\",\"range\":\"{mode}\",{},\"points_per_second\":{rate:.0}}}",
                    cells.join(",")
                );
            } else {
                let cells: String = results.iter().map(|r| format!("{:>9.2} |{:>7.2}", r.0, r.2)).collect();
                println!("{name:<22}{mode:<10}{cells}{rate:>11.0}");
            }
            if files {
                by_file(&corpus, &scores, results[0].1);
            }
        }
    }
    Ok(())
}

fn load(folder: &Path) -> Result<Vec<Series>, Box<dyn Error>> {
    let corpus = Corpus::parse(&std::fs::read_to_string(folder.join("combined_windows.json"))?)?;
    let mut all = Vec::new();
    for name in corpus.names() {
        let file = folder.join("data").join(name);
        if !file.is_file() {
            eprintln!("left out, not in the folder: {name}");
            continue;
        }
        let labelled = corpus.labelled(name, &std::fs::read_to_string(file)?)?;
        let ruler = Ruler::new(labelled.points.len(), &labelled.windows);
        all.push(Series { labelled, ruler });
    }
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn score(corpus: &[Series], name: &str, ahead: bool) -> (Vec<Vec<f64>>, f64) {
    let start = Instant::now();
    let mut points = 0;
    let scores = corpus.iter().map(|series| {
        let range = ahead.then(|| Range::of(series.labelled.points.iter().map(|p| p.value))).flatten();
        // By a name of the list, so there is one.
        let mut detector = by_name(name, range).expect("a detector of the list");
        points += series.labelled.points.len();
        series.labelled.points.iter().map(|p| detector.push(p.at, p.value).score).collect()
    });
    let scores = scores.collect();
    (scores, points as f64 / start.elapsed().as_secs_f64())
}

/// Score by the protocol, its threshold, and the score with each folder's
/// threshold chosen on the others.
fn profile(corpus: &[Series], scores: &[Vec<f64>], profile: &Profile) -> (f64, f64, f64) {
    let folder = |s: &Series| s.labelled.name.split('/').next().unwrap_or_default().to_owned();
    let select = |keep: &dyn Fn(&Series) -> bool| -> Vec<(&Ruler, &[f64])> {
        let all = corpus.iter().zip(scores).filter(|(s, _)| keep(s));
        all.map(|(s, x)| (&s.ruler, x.as_slice())).collect()
    };
    let best = optimise(&select(&|_| true), profile);
    let windows: usize = corpus.iter().map(|s| s.ruler.windows).sum();
    let mut folders: Vec<String> = corpus.iter().map(folder).collect();
    folders.dedup();
    let crossed: f64 = folders
        .iter()
        .map(|held| {
            let threshold = optimise(&select(&|s| folder(s) != *held), profile).threshold;
            let judged = select(&|s| folder(s) == *held);
            judged.iter().map(|(ruler, x)| ruler.score(x, threshold, profile)).sum::<f64>()
        })
        .sum();
    (normalised(best.score, windows, profile), best.threshold, normalised(crossed, windows, profile))
}

fn by_file(corpus: &[Series], scores: &[Vec<f64>], threshold: f64) {
    for (series, scores) in corpus.iter().zip(scores) {
        let counts = series.ruler.counts(scores, threshold);
        let earned = series.ruler.score(scores, threshold, &PROFILES[0]);
        println!(
            "    {:<62}{earned:>7.2} of {}, {} in windows, {} outside",
            series.labelled.name, series.ruler.windows, counts.true_positives, counts.false_positives
        );
    }
}
