//! `matrix`: full Cosine Delta of a thousand texts by two thousand features,
//! from frequencies: z-scores, then the distances of all pairs; beside NumPy
//! (one product of matrices by OpenBLAS) and scikit-learn. One thread each.

use anyhow::{Result, ensure};
use models_fantasy::rng::Rng;
use models_stylometry::cluster::matrix;
use models_stylometry::scale::Scale;
use models_stylometry::table::Table;
use serde_json::json;

use crate::peer::{ask, number, timed};
use crate::table::{Line, median};

const PROGRAM: &str = include_str!("../peers/matrix.py");

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 1_000)]
    texts: usize,
    #[arg(long, default_value_t = 2_000)]
    features: usize,
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    let rows = frequencies(arguments.texts, arguments.features, 5);
    let known: Vec<(String, String, Vec<f64>)> =
        rows.iter().enumerate().map(|(i, row)| (format!("a{i:04}"), format!("w{i}"), row.clone())).collect();
    let names = (0..arguments.features).map(|i| format!("f{i}")).collect();
    let table = Table::of_frequencies(names, &known)?;
    let (took, ours) = timed(arguments.runs, || {
        let scale = Scale::of_texts(&table);
        let rows: Vec<Vec<f64>> = table.rows.iter().map(|row| scale.apply(&row.values)).collect();
        Ok(matrix(&rows))
    })?;
    let told = ask(PROGRAM, &json!({"rows": rows, "runs": arguments.runs}))?;
    // A sum over all pairs, by the place of the pair.
    let weigh = |(i, row): (usize, &Vec<f64>)| {
        row.iter().enumerate().map(|(j, d)| d * ((i * 7 + j * 3) % 11) as f64).sum::<f64>()
    };
    let (sum, theirs) = (ours.iter().enumerate().map(weigh).sum::<f64>(), number(&told, "sum"));
    ensure!((sum - theirs).abs() < 1e-9 * sum, "distances sum to {sum}, not {theirs}");
    let line = |peer, seconds: &str| Line {
        bench: "matrix",
        case: format!("Cosine Delta, {} texts, {} features", arguments.texts, arguments.features),
        ours: median(&took) * 1e3,
        peer,
        peer_value: number(&told, seconds) * 1e3,
        unit: "ms",
        runs: arguments.runs,
    };
    Ok(vec![line("NumPy", "numpy"), line("scikit-learn", "scikit")])
}

/// Frequencies that fall with the rank, as of words.
pub fn frequencies(texts: usize, features: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Rng::new(seed);
    let row = |_| (0..features).map(|rank| 0.06 / (rank as f64 + 1.0) * (0.2 * rng.normal()).exp()).collect();
    (0..texts).map(row).collect()
}
