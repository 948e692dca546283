//! What a build takes of the machine's memory, beside what it was allowed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use daybook_tests::cli::Cli;

/// Distinct bands: several rows each, far more than fit.
const CLICKS: usize = 50_000;
const LIMIT_MIB: u64 = 4;

/// The most that a process ever had which builds with this limit, in MiB.
fn peak(data: &Path, limit_mib: u64) -> u64 {
    let limit = (limit_mib << 20).to_string();
    let cli = Cli::new(data, &[("DAYBOOK_REPLAYS_MEMORY_BYTES", &limit)]).unwrap();
    let mut command = cli.command(&["replay", "verify", "tap_analytics", "2"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut kib: u64 = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        kib = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(kib);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    kib / 1024
}

fn clicks(data: &Path) {
    let line = |n: usize| {
        format!(
            r#"{{"a":"Mozilla/5.0 Safari/604.1","c":"US","g":"band-{n:06}","u":"http://a.example/","t":{}}}"#,
            1_331_923_247 + n % 500
        )
    };
    let lines: Vec<String> = (0..CLICKS).map(line).collect();
    std::fs::write(data.join("clicks.jsonl"), lines.join("\n")).unwrap();
}

/// A process has much beside the rows, SQLite's page caches above all. What
/// more memory for rows makes it take is compared with that memory.
#[test]
fn a_build_keeps_to_its_memory() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    clicks(data.path());
    cli.json(&["import", "clicks", "--format", "bitly-jsonl", "clicks.jsonl"], 0);
    let built = cli.json(&["replay", "build", "tap_analytics", "--model", "bots@2"], 0);
    assert!(built["generation"]["built"]["rows"].as_u64().unwrap() > 2 * CLICKS as u64, "{built}");
    let [least, plenty] = [2, 512].map(|limit| peak(data.path(), limit));
    let room = least + 3 * LIMIT_MIB;
    // How many pages are under way at once is chance: the best of three counts.
    let mut some = peak(data.path(), LIMIT_MIB);
    for _ in 0..2 {
        if some > room {
            some = some.min(peak(data.path(), LIMIT_MIB));
        }
    }
    eprintln!("MiB at the most: {least} with hardly any, {some} with {LIMIT_MIB}, {plenty} with 512");
    assert!(some <= room, "{some} MiB, {least} without memory for rows");
    assert!(plenty > least + 5 * LIMIT_MIB, "all rows fit: this shows nothing");
}
