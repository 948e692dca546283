//! `imposters`: general imposters with a hundred rounds against a hundred
//! imposters, of the features that verification has, beside the same rounds in
//! NumPy. One thread each.

use anyhow::{Context, Result, ensure};
use models_stylometry::table::Table;
use models_stylometry::verify::{Settings, Verifier, sizes};
use serde_json::json;

use crate::matrix::frequencies;
use crate::peer::{ask, number, timed};
use crate::table::{Line, median};

const PROGRAM: &str = include_str!("../peers/imposters.py");
/// Known texts of each author.
const OWN: usize = 2;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 100)]
    imposters: usize,
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    #[arg(long, default_value_t = 11)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    let sizes = sizes();
    let width = sizes.words + sizes.grams.iter().map(|(_, count)| count).sum::<usize>();
    // The candidate's texts, one of each imposter, and the one that is asked.
    let mut rows = frequencies(OWN + arguments.imposters + 1, width, 9);
    let asked = rows.pop().context("no text")?;
    // It has half of the candidate's style.
    let asked: Vec<f64> = asked.iter().zip(&rows[0]).map(|(a, b)| (a * b).sqrt()).collect();
    let author = |i: usize| if i < OWN { "a-candidate".to_owned() } else { format!("b-imposter-{i:04}") };
    let known: Vec<(String, String, Vec<f64>)> =
        rows.iter().enumerate().map(|(i, row)| (author(i), format!("w{i}"), row.clone())).collect();
    let names = (0..width).map(|i| format!("f{i}")).collect();
    let settings = Settings { rounds: arguments.rounds, ..Settings::default() };
    let table = Table::of_frequencies(names, &known)?;
    let (fitting, verifier) = timed(1, || Ok(Verifier::new(table.clone(), settings.clone())?))?;
    let (took, found) = timed(arguments.runs, || Ok(verifier.verify(&asked)))?;
    let candidate = found.iter().find(|v| v.author == "a-candidate").context("no candidate")?;
    let told = ask(
        PROGRAM,
        &json!({"own": rows[..OWN], "imposters": rows[OWN..], "asked": asked,
        "rounds": arguments.rounds, "features": settings.features, "share": settings.imposters,
        "runs": arguments.runs}),
    )?;
    let theirs = number(&told, "score");
    ensure!((candidate.score - theirs).abs() < 0.25, "score {}, of the peer {theirs}", candidate.score);
    let line = |case: String, seconds: f64, peer, theirs: f64| Line {
        bench: "imposters",
        case,
        ours: seconds * 1e3,
        peer,
        peer_value: theirs * 1e3,
        unit: "ms",
        runs: arguments.runs,
    };
    let (rounds, imposters) = (arguments.rounds, arguments.imposters);
    Ok(vec![
        line(
            format!("{rounds} rounds, {imposters} imposters, every author judged"),
            median(&took),
            "NumPy, one author",
            number(&told, "seconds"),
        ),
        line("fitted to the known texts, once".into(), median(&fitting), "-", f64::NAN),
    ])
}
