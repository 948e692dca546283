use std::path::Path;
use std::process::{Command, Output};

use daybook_tests::server::binary;
use daybook_tests::skip;
use serde_json::Value;
use tempfile::TempDir;

/// Clicks of this many seconds, imported and sealed.
pub fn sealed(clicks: usize) -> Option<TempDir> {
    let data = tempfile::tempdir().unwrap();
    let lines = (0..clicks).map(|n| {
        let band = n % 5;
        format!(
            r#"{{"a":"Mozilla/5.0","c":"US","g":"b{band}","u":"http://a.example/{band}","t":{}}}"#,
            1_331_923_247 + n
        )
    });
    std::fs::write(data.path().join("clicks.jsonl"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    daybook(data.path(), &["import", "clicks", "--format", "bitly-jsonl", "clicks.jsonl"])?;
    assert_eq!(code(&daybook(data.path(), &["archive", "run"])?), 0);
    Some(data)
}

fn daybook(data: &Path, args: &[&str]) -> Option<Output> {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return None;
    };
    let mut command = Command::new(binary);
    command.args(["--json"]).args(args).current_dir(data).env("LOG_LEVEL", "warn");
    Some(command.arg("--data-dir").arg(data).output().unwrap())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(line).unwrap()
}

fn events(data: &Path) -> String {
    String::from_utf8(daybook(data, &["events", "tail", "-n", "1000"]).unwrap().stdout).unwrap()
}

#[test]
fn a_sealed_log_is_restored_and_compared() {
    let Some(data) = sealed(200) else { return };
    let run = |args: &[&str]| daybook(data.path(), args).unwrap();
    let status = json(&run(&["archive", "status"]));
    let head = status["head"].as_u64().unwrap();
    assert_eq!((status["through"].as_u64(), status["lag"].as_u64()), (Some(head), Some(0)));
    assert_eq!(json(&run(&["archive", "run"]))["events"], 0);
    let good = run(&["archive", "verify"]);
    assert_eq!((code(&good), json(&good)["events"].as_u64()), (0, Some(head)));
    let backup = run(&["backup", "verify"]);
    assert_eq!((code(&backup), json(&backup)["restored"].as_u64()), (0, Some(head)));

    let copy = tempfile::tempdir().unwrap();
    let from = data.path().join("archive").display().to_string();
    let restored = daybook(copy.path(), &["restore", "--from", &from, "--to-position", "50"]).unwrap();
    assert_eq!(json(&restored)["through"], 50);
    // Goes on where it ended.
    let restored = daybook(copy.path(), &["restore", "--from", &from]).unwrap();
    assert_eq!(json(&restored)["restored"].as_u64(), Some(head - 50));
    assert_eq!(events(copy.path()), events(data.path()));
}

#[test]
fn a_log_with_other_facts_is_not_restored_into() {
    let (Some(data), Some(other)) = (sealed(20), sealed(10)) else { return };
    let from = data.path().join("archive").display().to_string();
    let refused = daybook(other.path(), &["restore", "--from", &from]).unwrap();
    assert_eq!(code(&refused), 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not empty"));
    // Nor is another log sealed into its archive.
    let refused = daybook(other.path(), &["archive", "run", "--archive-url", &from]).unwrap();
    assert_eq!(code(&refused), 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another log"));
}

#[test]
fn a_damaged_segment_is_named_with_exit_code_4() {
    let Some(data) = sealed(100) else { return };
    let listed = json(&daybook(data.path(), &["archive", "ls", "--type", "band.tapped"]).unwrap());
    let path = listed["path"].as_str().unwrap().to_owned();
    let file = data.path().join("archive").join(&path);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[400] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let bad = daybook(data.path(), &["archive", "verify"]).unwrap();
    assert_eq!(code(&bad), 4);
    assert!(json(&bad)["problems"][0].as_str().unwrap().contains(&path));
    let refused = daybook(data.path(), &["archive", "trim"]).unwrap();
    assert_eq!(code(&refused), 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&path));
}
