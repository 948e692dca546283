//! The archiver as a process that dies wherever it is.

use std::path::Path;
use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::process::signal;

fn sealing(data: &Path, archive: &Path) -> Option<Cli> {
    let archive = archive.display().to_string();
    let settings =
        [("ARCHIVE_URL", &*archive), ("ARCHIVE_SEGMENT_BYTES", "150000"), ("ARCHIVE_MERGE_BYTES", "120000")];
    Cli::new(data, &settings)
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: &Path| if path.is_dir() { files(path) } else { 1 };
    entries.flatten().map(|entry| count(&entry.path())).sum()
}

/// What is sealed: names, sizes and hashes.
fn segments(cli: &Cli) -> String {
    String::from_utf8(cli.output(&["archive", "ls"]).stdout).unwrap()
}

#[test]
fn killed_again_and_again_it_writes_the_same_files() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [data, once, often] = [0, 1, 2].map(|n| folders[n].path());
    let Some(whole) = sealing(data, &once.join("a")) else { return };
    let line = |n: usize| {
        format!(
            r#"{{"a":"Mozilla/5.0 {}","c":"US","g":"b{}","u":"http://a.example/{n}","t":{}}}"#,
            n * 7_919 % 1_013,
            n * 31 % 997,
            1_331_923_247 + n
        )
    };
    std::fs::write(data.join("clicks.jsonl"), (0..8_000).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    whole.json(&["import", "clicks", "--format", "bitly-jsonl", "clicks.jsonl"], 0);
    whole.json(&["archive", "run"], 0);

    let cli = sealing(data, &often.join("a")).unwrap();
    let mut kills = 0;
    loop {
        let mut child = cli.spawn(&["archive", "run"]);
        // It gets a few files further than the one before, and no more.
        let goal = files(often) + 1 + kills % 3;
        let deadline = Instant::now() + Duration::from_secs(60);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if files(often) >= goal {
                break None;
            }
            assert!(Instant::now() < deadline, "it neither seals nor ends");
            std::thread::sleep(Duration::from_micros(200));
        };
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        signal(child.id(), "KILL").unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 5, "only {kills} kills");
    assert_eq!(segments(&cli), segments(&whole));
    cli.json(&["archive", "verify"], 0);
    cli.json(&["backup", "verify"], 0);
}
