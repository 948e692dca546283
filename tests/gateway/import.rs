//! `daybook import signals` on the shared data.

use daybook_tests::cli::Cli;
use daybook_tests::data;
use serde_json::Value;

/// Accepted, duplicates and rejected of one import.
fn counts(report: &Value) -> (u64, u64, u64) {
    let of = |name: &str| report[name].as_u64().unwrap();
    (of("accepted"), of("duplicates"), of("rejected"))
}

#[test]
fn a_second_import_changes_nothing() {
    let Some(events) = data("events") else { return };
    let Some(series) = data("anomaly/nab/data/artificialNoAnomaly") else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(folder.path(), &[]) else { return };
    let files = [
        ("github", events.join("github_webhooks.jsonl"), (65, 0, 0)),
        // Some calls stand twice.
        ("segment", events.join("segment_track_ios.jsonl"), (4, 2, 0)),
        ("ndjson", events.join("aws_events.jsonl"), (51, 0, 0)),
        ("ndjson", events.join("app_events_xdm.jsonl"), (60, 0, 0)),
        ("csv", series.join("art_daily_small_noise.csv"), (4_032, 0, 0)),
    ];
    for again in [false, true] {
        for (format, file, (new, twice, _)) in &files {
            let mut args = vec!["import", "signals", "--format", format, "--app", "shop"];
            if *format == "ndjson" {
                args.extend(["--type", "sample"]);
            }
            args.push(file.to_str().unwrap());
            let report = cli.json(&args, 0);
            let expected = if again { (0, new + twice, 0) } else { (*new, *twice, 0) };
            assert_eq!(counts(&report), expected, "{report}");
        }
    }
    let examples = events.join("cloudevents_examples.jsonl");
    let args = ["import", "signals", "--format", "cloudevents", "--app", "x", examples.to_str().unwrap()];
    let first = counts(&cli.json(&args, 0));
    let second = counts(&cli.json(&args, 0));
    assert_eq!((first.2, second.0, second.2), (9, 0, 9));
    assert_eq!(first.0 + first.1, second.1);
}
