//! A log of some hundred taps with a key that signs it.

use std::path::{Path, PathBuf};

use daybook_tests::cli::Cli;
use daybook_tests::postgres::{self, Database};
use daybook_tests::server::KEY;
use serde_json::Value;

pub const ORIGIN: &str = "log.example/daybook";
/// A key of an auditor of another tenant.
pub const ELSEWHERE: &str = "elsewhere-key";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1";
/// More than two full tiles.
pub const CLICKS: usize = 600;

pub struct Bed {
    pub cli: Cli,
    /// Of the auditor: public key and what was seen.
    pub own: PathBuf,
    pub database: Option<Database>,
    _folder: tempfile::TempDir,
}

impl Bed {
    pub fn sqlite() -> Option<Self> {
        Self::make(None, &[])
    }

    /// With further settings.
    pub fn set(more: &[(&str, &str)]) -> Option<Self> {
        Self::make(None, more)
    }

    pub async fn postgres() -> Option<Self> {
        let database = postgres::database().await?;
        Self::make(Some(database), &[])
    }

    fn make(database: Option<Database>, more: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (data, own) = (folder.path().join("data"), folder.path().join("auditor"));
        for folder in [&data, &own] {
            std::fs::create_dir(folder).unwrap();
        }
        let key = folder.path().join("log.key");
        let keys = format!("{KEY},{ELSEWHERE}:elsewhere:auditor");
        let mut settings = vec![("AUDIT_SIGNING_KEYS", key.to_str().unwrap()), ("API_KEYS", keys.as_str())];
        settings.extend(more);
        settings.extend(database.as_ref().map(|d| ("DATABASE_URL", d.url.as_str())));
        let cli = Cli::new(&data, &settings)?;
        let made = cli.json(&["audit", "keys", "generate", ORIGIN, "--out", key.to_str().unwrap()], 0);
        std::fs::write(own.join("key"), made["key"].as_str().unwrap()).unwrap();
        let bed = Self { cli, own, database, _folder: folder };
        bed.import("first", CLICKS);
        Some(bed)
    }

    /// Clicks of a batch of this name.
    pub fn import(&self, name: &str, count: usize) {
        let line = |n: usize| {
            let at = 1_331_923_247 + 60 * n;
            format!(r#"{{"a":"{PHONE}","c":"US","g":"{name}-{n}","u":"http://a.example/","t":{at}}}"#)
        };
        let file = self.own.join(format!("{name}.jsonl"));
        std::fs::write(&file, (0..count).map(line).collect::<Vec<_>>().join("\n")).unwrap();
        let file = file.to_str().unwrap();
        self.cli.json(&["import", "clicks", "--format", "bitly-jsonl", "--event", "show", file], 0);
    }

    pub fn file(&self, name: &str) -> String {
        self.own.join(name).to_str().unwrap().to_owned()
    }

    /// Signs the log as it is and keeps the note.
    pub fn sign(&self, name: &str) -> Value {
        let signed = self.cli.json(&["audit", "checkpoint"], 0);
        std::fs::write(self.own.join(name), signed["note"].as_str().unwrap()).unwrap();
        signed
    }

    /// What `audit verify` says, with this exit code.
    #[track_caller]
    pub fn verify(&self, more: &[&str], code: i32) -> Value {
        let key = self.file("key");
        self.cli.json(&[&["audit", "verify", "--key", &key], more].concat(), code)
    }
}

/// Flips one bit.
pub fn flip(file: &Path, at: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    bytes
}
