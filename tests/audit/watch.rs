//! A log that is watched by somebody who does not trust it.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use daybook_tests::cli::Cli;
use proofs::{Checkpoint, SigningKey, cosign};
use serde_json::Value;
use tempfile::TempDir;

use super::bed::ORIGIN;

/// A log that shows what it is told to, and not one tile.
struct Log {
    cli: Cli,
    url: String,
    shown: Arc<Mutex<String>>,
    folder: TempDir,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::generate(ORIGIN, &[seed; 32]).unwrap()
}

/// A checkpoint of this size, signed by the key of this seed.
fn note(size: u64, root: u8, seed: u8) -> String {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: [root; 32] }.sign(&[key(seed)])
}

impl Log {
    async fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let cli = Cli::new(folder.path(), &[])?;
        std::fs::write(folder.path().join("key"), key(1).public().to_string()).unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let show = shown.clone();
        let router =
            Router::new().route("/log/checkpoint", get(move || async move { show.lock().unwrap().clone() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/log", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Some(Self { cli, url, shown, folder })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn held(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// What `audit watch` says of a log that shows this, with this exit code.
    #[track_caller]
    fn watch(&self, shown: &str, more: &[&str], code: i32) -> Value {
        *self.shown.lock().unwrap() = shown.to_owned();
        let (key, state) = (self.file("key"), self.file("state"));
        let watch = ["audit", "watch", &self.url, "--key", &key, "--state", &state];
        self.cli.json(&[&watch[..], more].concat(), code)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_is_found_and_kept() {
    let Some(log) = Log::new().await else { return };
    let seen = note(10, 1, 1);
    log.watch(&seen, &["--once"], 0);
    assert_eq!(log.held("state"), seen);
    let changed = seen.replacen("\n10\n", "\n11\n", 1);
    let mut found = Vec::new();
    for (shown, reason) in [
        (note(10, 2, 1), "not what was seen before"),
        (note(9, 1, 1), "set back"),
        (note(12, 2, 2), "no key that is trusted"),
        (changed, "is wrong"),
        ("Welcome to our log!\n".to_owned(), "no signed note"),
    ] {
        // Without --once, too: it ends by itself.
        let said = log.watch(&shown, &[], 4);
        assert_eq!(said["holds"], false, "{said}");
        assert!(said["reason"].as_str().unwrap().contains(reason), "{said}");
        let kept = said["kept"].as_str().unwrap().to_owned();
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), shown);
        found.push((kept, shown));
    }
    let name = |n: usize| match n {
        0 => log.file("state.contradiction"),
        n => log.file(&format!("state.contradiction.{}", n + 1)),
    };
    // Each beside the others, and the state as it was.
    for (n, (kept, shown)) in found.iter().enumerate() {
        assert_eq!((kept, &std::fs::read_to_string(kept).unwrap()), (&name(n), shown));
    }
    assert_eq!(log.held("state"), seen);
    // What is kept already is not kept again.
    let again = log.watch(&found[1].1, &["--once"], 4);
    assert_eq!(again["kept"].as_str(), Some(found[1].0.as_str()));
    log.watch(&seen, &["--once"], 0);
}

/// It may be cosigned yet. What its own key has signed counts against it all
/// the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_witness_has_seen_does_not_count_for_the_log() {
    let Some(log) = Log::new().await else { return };
    let witness = SigningKey::generate_witness("witness.example", &[5; 32]).unwrap();
    let cosigned = |note: String| note.clone() + &cosign(&note, &witness, 7).unwrap();
    let public = witness.public().to_string();
    let (once, on) = (["--once", "--witness", &public], ["--witness", &public]);
    log.watch(&note(10, 1, 1), &once, 1);
    assert!(!std::fs::exists(log.file("state")).unwrap());
    let seen = cosigned(note(10, 1, 1));
    log.watch(&seen, &once, 0);
    let said = log.watch(&note(10, 1, 1), &once, 1).as_str().unwrap().to_owned();
    assert!(said.contains("0 of the 1 witnesses"), "{said}");
    for shown in [note(10, 2, 1), note(9, 1, 1), cosigned(note(9, 1, 1)), cosigned(note(10, 1, 2))] {
        assert_eq!(log.watch(&shown, &on, 4)["holds"], false);
    }
    assert_eq!(log.held("state"), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_hides_its_tiles_is_given_up() {
    let Some(log) = Log::new().await else { return };
    log.watch(&note(10, 1, 1), &["--once"], 0);
    let hidden = note(300, 2, 1);
    for more in [&["--every", "1", "--patience", "2"][..], &["--once"]] {
        let said = log.watch(&hidden, more, 1).as_str().unwrap().to_owned();
        assert!(said.contains("tile/") && said.contains("is missing"), "{said}");
        assert_eq!(said.contains("2 times in a row"), more.len() > 1, "{said}");
    }
    assert_eq!(log.held("state"), note(10, 1, 1));
    assert!(!std::fs::exists(log.file("state.contradiction")).unwrap());
}

#[test]
fn a_log_behind_tls_is_asked_in_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(folder.path(), &[]) else { return };
    let (key_file, state) = (folder.path().join("key"), folder.path().join("state"));
    std::fs::write(&key_file, key(1).public().to_string()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/log", listener.local_addr().unwrap());
    let (give, record) = mpsc::channel();
    std::thread::spawn(move || {
        let mut connection = listener.accept().unwrap().0;
        let mut record = [0; 6];
        connection.read_exact(&mut record).unwrap();
        give.send(record).unwrap();
        // What is unread when it closes resets the connection; that will do.
    });
    let (key_file, state) = (key_file.to_str().unwrap(), state.to_str().unwrap());
    let said = cli.refused(&["audit", "watch", &url, "--key", key_file, "--state", state, "--once"], 1);
    // A handshake record whose message is a ClientHello.
    let [kind, major, _, _, _, message] = record.try_recv().unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((kind, major, message), (0x16, 3, 1), "{said}");
    assert_eq!(std::fs::metadata(state).unwrap_err().kind(), ErrorKind::NotFound);
}
