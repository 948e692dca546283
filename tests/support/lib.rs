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

use std::path::PathBuf;

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
