//! A disk that is full, for real: a small tmpfs.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::server::{KEY, Server};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A file system of so many KiB.
struct Disk(TempDir);

impl Disk {
    /// `None` after a line that says so, where nothing may be mounted.
    fn new(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "daybook-test"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: a small disk can only be mounted by root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leaves so many KiB.
    fn fill(&self, but: usize) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let mut written = 0;
        while file.write_all(&[0; 4096]).is_ok() {
            written += 4096;
        }
        file.set_len(u64::try_from(written - (but << 10)).unwrap()).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path().display());
        }
    }
}

fn import(cli: &Cli, clicks: usize) -> Vec<String> {
    let line = |n: usize| {
        format!(
            r#"{{"a":"Mozilla/5.0","c":"US","g":"b{n}","u":"http://a.example/{n}","t":{}}}"#,
            1_331_923_247 + n
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clicks.jsonl");
    std::fs::write(&file, (0..clicks).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let file = file.display().to_string();
    cli.json(&["import", "clicks", "--format", "bitly-jsonl", &file], 0);
    segments(cli)
}

/// What is sealed: names, sizes and hashes.
fn segments(cli: &Cli) -> Vec<String> {
    let listed = cli.output(&["archive", "ls"]);
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn while_it_seals() {
    // What is sealed does not compress.
    let Some(disk) = Disk::new(1_500) else { return };
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = disk.path().join("archive").display().to_string();
    let Some(cli) = Cli::new(data.path(), &[("ARCHIVE_URL", &archive)]) else { return };
    import(&cli, 1_500);
    disk.fill(40);
    let said = cli.refused(&["archive", "run"], 1);
    assert!(said.contains("the archive's store is full"), "{said}");
    assert_eq!(segments(&cli), Vec::<String>::new(), "nothing of a step that failed counts");
    disk.empty();
    cli.json(&["archive", "run"], 0);
    cli.json(&["archive", "verify"], 0);
    // The very files that an archive with room has.
    let elsewhere = other.path().join("archive").display().to_string();
    let whole = Cli::new(data.path(), &[("ARCHIVE_URL", &elsewhere)]).unwrap();
    whole.json(&["archive", "run"], 0);
    assert_eq!(segments(&cli), segments(&whole));
}

async fn register(server: &Server, band: usize) -> (u16, Value) {
    let request = Client::new()
        .post(format!("{}/v1/bands/b{band}/register", server.url))
        .header("X-API-Key", KEY)
        .header("Idempotency-Key", format!("key-{band}"))
        .json(&json!({}));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn while_it_appends() {
    let Some(disk) = Disk::new(48 << 10) else { return };
    let Some(cli) = Cli::new(disk.path(), &[]) else { return };
    let server = cli.serve();
    assert_eq!(register(&server, 0).await.0, 200);
    disk.fill(100);
    let (mut done, deadline) = (1, Instant::now() + Duration::from_secs(60));
    let problem = loop {
        let (status, body) = register(&server, done).await;
        if status != 200 {
            assert_eq!(status, 503, "{body}");
            break body;
        }
        done += 1;
        assert!(Instant::now() < deadline, "the disk is not full after {done} commands");
    };
    assert_eq!(problem["type"], "/problems/unavailable");
    assert!(!problem.to_string().contains("SQL"), "{problem}");
    disk.empty();
    // The same server, and the same request, as if nothing had been.
    loop {
        match register(&server, done).await.0 {
            200 => break,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        assert!(Instant::now() < deadline, "it does not recover");
    }
    let again = register(&server, done).await;
    assert_eq!((again.0, &again.1["version"]), (200, &json!(1)));
    let head = again.1["position"].as_u64().unwrap();
    for band in 0..=done {
        server.get(&format!("/v1/bands/b{band}"), head).await.unwrap();
    }
    server.stop().unwrap();
}

#[test]
fn while_it_builds() {
    let Some(disk) = Disk::new(64 << 10) else { return };
    let Some(cli) = Cli::new(disk.path(), &[]) else { return };
    import(&cli, 6_000);
    // The live generation is there before the disk is full.
    cli.json(&["replay", "build", "tap_analytics"], 0);
    disk.fill(500);
    let mut building = cli
        .command(&["replay", "build", "tap_analytics"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = building.stderr.take().unwrap();
    while !said.contains("trying again") {
        let mut some = [0; 512];
        let n = stderr.read(&mut some).unwrap();
        assert!(n > 0, "it ended: {said}");
        said.push_str(&String::from_utf8_lossy(&some[..n]));
    }
    assert!(said.contains("full"), "{said}");
    disk.empty();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let done = building.wait_with_output().unwrap();
    assert!(done.status.success(), "{said}{rest}");
    let compared = cli.json(&["replay", "compare", "tap_analytics", "3", "--against", "2"], 0);
    assert_eq!(compared["same"], true);
    assert_eq!(cli.json(&["replay", "verify", "tap_analytics", "3"], 0)["same"], true);
}
