//! What tests start and share: databases of their own, servers, clients.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod facts;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod rebuilt;
pub mod s3;
pub mod server;
pub mod torture;

use std::fs;
use std::path::{Path, PathBuf};

/// Called where a test cannot run because something is not there. Prints a
/// line, so that nobody takes the skipped test for a passed one; where servers
/// are required (CI, `cargo xtask test`) it fails instead.
pub fn skip(what: &str) {
    let required = ["CI", "DAYBOOK_TEST_REQUIRE_SERVERS"];
    assert!(
        !required.iter().any(|name| std::env::var_os(name).is_some()),
        "{what}; `cargo xtask test` starts what the tests need"
    );
    eprintln!("skipped: {what}");
}

/// The folder of real data that is not part of the repository: `DAYBOOK_DATA`,
/// or `../shared/data` beside the repository. Its absence is never a failure.
pub fn data(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("DAYBOOK_DATA") {
        Some(path) => PathBuf::from(path),
        None => repository().parent()?.join("shared/data"),
    };
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no data in {}", path.display());
    None
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The files under a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// Files under a folder that hold a text as it is.
pub fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Everything below a folder, into a new one.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}
