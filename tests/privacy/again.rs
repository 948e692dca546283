//! Copies from before an erasure that are put back.

use std::fs;
use std::time::Duration;

use daybook_tests::cli::Cli;
use daybook_tests::server::{KEK, Server};
use daybook_tests::{copy_folder, holding};
use serde_json::{Value, json};

use super::bed::{MARKS, exported, get, prepared, taps};

const ERASE: [&str; 5] = ["privacy", "erase", "band:b1", "--reason", "asked"];

fn is_erased(cli: &Cli) {
    let lines = exported(cli, "b1");
    assert!(!taps(&lines).is_empty(), "{lines:?}");
    let erased = json!({"erased": true});
    assert!(taps(&lines).iter().all(|t| t["user_agent"] == erased && t["visitor"] == erased), "{lines:?}");
    let other = exported(cli, "b2");
    assert!(taps(&other).iter().all(|t| t["user_agent"].as_str().unwrap().contains(MARKS[1].1)), "{other:?}");
}

/// An installation with its archive beside it, and copies from before.
struct Site {
    folder: tempfile::TempDir,
    cli: Cli,
}

impl Site {
    async fn erased() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (data, archive) = (folder.path().join("data"), folder.path().join("archive"));
        fs::create_dir_all(&data).unwrap();
        let archive_url = archive.display().to_string();
        let cli = Cli::new(&data, &[("ARCHIVE_URL", &archive_url), ("DAYBOOK_PRIVACY_KEK", KEK)])?;
        let server = cli.serve();
        prepared(&server).await;
        server.stop().unwrap();
        cli.json(&["archive", "run"], 0);
        let before = folder.path().join("before");
        copy_folder(&data, &before.join("data"));
        copy_folder(&archive, &before.join("archive"));
        let keys = |name: &str| folder.path().join(name).display().to_string();
        cli.json(&["privacy", "keys", "export", &keys("keys.before")], 0);
        cli.json(&ERASE, 0);
        cli.json(&["archive", "run"], 0);
        cli.json(&["privacy", "keys", "export", &keys("keys.after")], 0);
        Some(Self { folder, cli })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A new installation from an archive and a copy of the keys.
    fn restored(&self, name: &str, archive: &str, keys: &str) -> Cli {
        let (data, archive) = (self.folder.path().join(name), self.path(archive));
        fs::create_dir_all(&data).unwrap();
        let cli = Cli::new(&data, &[("ARCHIVE_URL", &archive), ("DAYBOOK_PRIVACY_KEK", KEK)]).unwrap();
        cli.json(&["restore", "--from", &archive], 0);
        let refused = cli.refused(&["privacy", "export", "band:b1"], 1);
        assert!(refused.contains("there is no key"), "lost is not erased: {refused}");
        cli.json(&["privacy", "keys", "import", &self.path(keys)], 0);
        cli
    }
}

#[tokio::test]
async fn neither_an_older_archive_nor_an_older_copy_of_the_keys_brings_it_back() {
    let Some(site) = Site::erased().await else { return };
    is_erased(&site.cli);
    let older_keys = site.restored("one", "archive", "keys.before");
    is_erased(&older_keys);
    let older_archive = site.restored("two", "before/archive", "keys.after");
    is_erased(&older_archive);
    let server = older_archive.serve();
    server.stop().unwrap();
    assert!(holding(&older_archive.data, MARKS[0].1).is_empty());
}

async fn until_erased(server: &Server, erasures: usize) -> Value {
    for _ in 0..600 {
        let (_, text) = get(server, "/v1/privacy/subjects/band:b1").await;
        let status: Value = serde_json::from_str(&text).unwrap();
        if status["erasing"].is_null() && status["certificates"].as_array().unwrap().len() == erasures {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not erased");
}

#[tokio::test]
async fn keys_put_back_are_erased_again_when_a_server_starts() {
    let Some(site) = Site::erased().await else { return };
    for name in ["daybook.keys.db", "daybook.keys.db-wal", "daybook.keys.db-shm"] {
        let _ = fs::remove_file(site.cli.data.join(name));
        let _ = fs::copy(site.folder.path().join("before/data").join(name), site.cli.data.join(name));
    }
    let back = exported(&site.cli, "b1");
    assert!(taps(&back)[0]["user_agent"].is_string(), "the copy has brought it back");
    let server = site.cli.serve();
    let status = until_erased(&server, 2).await;
    assert!(status["certificates"][1]["reason"].as_str().unwrap().contains("archive"), "{status}");
    server.stop().unwrap();
    is_erased(&site.cli);
}

#[tokio::test]
async fn databases_of_yesterday_are_erased_again_with_their_rows() {
    let Some(site) = Site::erased().await else { return };
    fs::remove_dir_all(&site.cli.data).unwrap();
    copy_folder(&site.folder.path().join("before/data"), &site.cli.data);
    let server = site.cli.serve();
    let status = until_erased(&server, 1).await;
    let position = status["certificates"][0]["erased"]["position"].as_u64().unwrap();
    let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    assert_eq!(summary["unique_visitors"], 1, "{summary}");
    // Its archive knows a later log, and says so.
    server.stop_unchecked().unwrap();
    is_erased(&site.cli);
}
