//! The scorer against what the benchmark published for its own detectors.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use models_anomaly::nab::{Corpus, PROFILES, Ruler};

#[expect(clippy::disallowed_methods, reason = "where the data are is configuration of the test")]
fn benchmark() -> Option<PathBuf> {
    let root = std::env::var("DAYBOOK_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    // A worktree stands one folder deeper.
    let places = [root, Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data")];
    let found = places.iter().map(|r| r.join("anomaly/nab")).find(|p| p.is_dir());
    if found.is_none() {
        eprintln!("skipped: no data in {}", places[0].display());
    }
    found
}

/// Score and threshold of each detector, profile and file.
fn published(root: &Path) -> Vec<HashMap<String, String>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root.join("scorer_golden")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "csv") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap().split(',').collect();
        for line in lines.filter(|l| !l.starts_with("Totals")) {
            let fields = line.split(',').map(str::to_owned);
            all.push(header.iter().map(|h| (*h).to_owned()).zip(fields).collect());
        }
    }
    all
}

#[test]
fn published_scores_come_out() {
    let Some(root) = benchmark() else { return };
    let corpus =
        Corpus::parse(&std::fs::read_to_string(root.join("combined_windows.json")).unwrap()).unwrap();
    let published = published(&root);
    let mut compared = 0;
    for entry in std::fs::read_dir(root.join("scorer_golden")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(parts) = file.strip_suffix(".csv.gz") else { continue };
        let parts: Vec<&str> = parts.split("__").collect();
        let series = format!("{}/{}", parts[1], parts[2]);
        let series = format!("{}.csv", series.trim_end_matches(".csv"));
        let mut text = String::new();
        GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        let labelled = corpus
            .labelled(&series, &std::fs::read_to_string(root.join("data").join(&series)).unwrap())
            .unwrap();
        let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let column = header.iter().position(|h| *h == "anomaly_score").unwrap();
        let scores: Vec<f64> =
            text.lines().skip(1).map(|l| l.split(',').nth(column).unwrap().parse().unwrap()).collect();
        assert_eq!(scores.len(), labelled.points.len(), "{file}");
        let ruler = Ruler::new(scores.len(), &labelled.windows);
        for profile in &PROFILES {
            let row = published
                .iter()
                .find(|r| r["Detector"] == parts[0] && r["Profile"] == profile.name && r["File"] == series);
            let row = row.unwrap_or_else(|| panic!("no published score of {file}"));
            let threshold: f64 = row["Threshold"].parse().unwrap();
            let expected: f64 = row["Score"].parse().unwrap();
            let score = ruler.score(&scores, threshold, profile);
            assert!(
                (score - expected).abs() < 1e-6,
                "{file} {}: {score}, published {expected}",
                profile.name
            );
            let counts = ruler.counts(&scores, threshold);
            let found = [
                counts.true_positives,
                counts.true_negatives,
                counts.false_positives,
                counts.false_negatives,
            ];
            let expected = ["TP", "TN", "FP", "FN"].map(|c| row[c].parse::<usize>().unwrap());
            assert_eq!(found, expected, "{file} {}", profile.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 18);
}

#[test]
fn detecting_nothing_costs_every_window() {
    let Some(root) = benchmark() else { return };
    let corpus =
        Corpus::parse(&std::fs::read_to_string(root.join("combined_windows.json")).unwrap()).unwrap();
    let mut compared = 0;
    for row in published(&root).iter().filter(|r| r["Detector"].is_empty()) {
        let text = std::fs::read_to_string(root.join("data").join(&row["File"])).unwrap();
        let labelled = corpus.labelled(&row["File"], &text).unwrap();
        let ruler = Ruler::new(labelled.points.len(), &labelled.windows);
        let profile = PROFILES.iter().find(|p| p.name == row["Profile"]).unwrap();
        let score = ruler.score(&vec![0.0; labelled.points.len()], 0.6, profile);
        assert!((score - row["Score"].parse::<f64>().unwrap()).abs() < 1e-6, "{row:?}");
        let counts = ruler.counts(&vec![0.0; labelled.points.len()], 0.6);
        assert_eq!(counts.true_negatives, row["TN"].parse::<usize>().unwrap(), "{row:?}");
        compared += 1;
    }
    assert_eq!(compared, 51);
}

/// The benchmark's own windowed Gaussian, row by row.
#[test]
fn the_baseline_is_the_published_one() {
    let Some(root) = benchmark() else { return };
    for (folder, file) in [
        ("realAdExchange", "exchange-2_cpc_results"),
        ("realKnownCause", "ec2_request_latency_system_failure"),
        ("realTraffic", "speed_6005"),
    ] {
        let path = root.join(format!("scorer_golden/windowedGaussian__{folder}__{file}.csv.gz"));
        let mut text = String::new();
        GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        let mut detector = models_anomaly::detect::by_name("windowed_gaussian", None).unwrap();
        for (i, line) in text.lines().enumerate().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let score = detector.push(0, fields[1].parse().unwrap()).score;
            let expected: f64 = fields[2].parse().unwrap();
            assert!((score - expected).abs() < 1e-6, "{file} line {}: {score}, published {expected}", i + 1);
        }
    }
}
