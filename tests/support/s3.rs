//! An S3 server of one's own: `s3s-fs`, a real one that keeps objects as files,
//! checks signatures and knows conditional puts.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, free_port, program};

pub const ACCESS_KEY: &str = "daybook";
pub const SECRET_KEY: &str = "daybook-secret";
pub const BUCKET: &str = "archive";

pub struct S3 {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Process>,
}

impl S3 {
    /// A server on a free port with the empty bucket [`BUCKET`]. `None` (after
    /// a line that says so) where there is no program.
    pub fn start() -> Option<Self> {
        let Some(program) = program("DAYBOOK_TEST_S3_SERVER", "s3s-fs") else {
            crate::skip("DAYBOOK_TEST_S3_SERVER names no S3 server");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket is a folder");
        let mut s3 = Self { program, folder, port: free_port().expect("a free port"), server: None };
        s3.run().expect("the S3 server starts");
        Some(s3)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the bucket's objects lie as files, to damage them.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// SIGKILL. The objects stay.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server again after [`S3::kill`], on the same port.
    pub fn run(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .arg(self.folder.path())
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.server = Some(Process::start(&mut command, self.port)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_server_asks_who_is_there() {
        let Some(mut s3) = S3::start() else { return };
        let unsigned = async |s3: &S3| reqwest::get(format!("{}/{BUCKET}/x", s3.endpoint())).await;
        assert!(unsigned(&s3).await.unwrap().status().is_client_error());
        s3.kill();
        assert!(unsigned(&s3).await.is_err());
        s3.run().unwrap();
        assert!(unsigned(&s3).await.unwrap().status().is_client_error());
    }
}
