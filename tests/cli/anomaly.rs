//! `daybook anomaly`: plain series in, scores out.

use std::time::{Duration, Instant};

use super::{daybook, json_lines, text};

fn wave(points: usize) -> String {
    let mut csv = String::from("timestamp,value\n");
    for i in 0..points {
        let value =
            (i % 288) as f64 + ((i * 7_919) % 13) as f64 / 10.0 + if i == points - 50 { 900.0 } else { 0.0 };
        csv += &format!("{},{value}\n", 1_700_000_000 + i * 300);
    }
    csv
}

#[test]
fn each_point_has_a_score() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("wave.csv"), wave(3_000)).unwrap();
    for detector in ["ensemble", "discord@1", "context", "seasonal_band", "windowed_gaussian"] {
        let Some(output) = daybook(data.path(), &["anomaly", "score", "wave.csv", "--detector", detector])
        else {
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = text(&output);
        let mut lines = printed.lines();
        assert_eq!(lines.next(), Some("timestamp,value,score"));
        let scores: Vec<f64> = lines.map(|l| l.rsplit(',').next().unwrap().parse().unwrap()).collect();
        assert_eq!(scores.len(), 3_000);
        assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)), "{detector}");
        if detector.starts_with("ensemble") {
            let peak = scores[2_000..].iter().copied().fold(0.0, f64::max);
            assert_eq!(scores[2_950], peak);
        }
    }
    let band =
        daybook(data.path(), &["anomaly", "score", "wave.csv", "--detector", "seasonal_band", "--band"]);
    assert!(text(&band.unwrap()).lines().last().unwrap().split(',').all(|field| !field.is_empty()));
    let lines = json_lines(
        &daybook(data.path(), &["anomaly", "score", "wave.csv", "--file-range", "--json"]).unwrap(),
    );
    assert_eq!(lines.len(), 3_000);
    assert!(lines[0]["score"].is_number());
}

#[test]
fn bad_rows_and_names_are_refused() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("bad.csv"), "timestamp,value\n2020-01-01,1\n2020-01-02,one\n").unwrap();
    let Some(output) = daybook(data.path(), &["anomaly", "score", "bad.csv"]) else { return };
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("bad.csv: line 3: \"one\" is not a finite number"), "{told}");
    let unknown = daybook(data.path(), &["anomaly", "score", "bad.csv", "--detector", "oracle"]).unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("ensemble@1"));
    assert_eq!(daybook(data.path(), &["anomaly", "score", "missing.csv"]).unwrap().status.code(), Some(1));
}

#[test]
fn a_hundred_thousand_points_take_seconds() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("long.csv"), wave(100_000)).unwrap();
    let begun = Instant::now();
    let Some(output) = daybook(data.path(), &["anomaly", "score", "long.csv"]) else { return };
    assert!(output.status.success());
    assert_eq!(text(&output).lines().count(), 100_001);
    // On a busy machine, without optimisation of all but the model.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
