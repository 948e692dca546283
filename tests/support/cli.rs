//! The binary on the command line, with settings of a test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::server::{Server, binary};

/// A data directory, a database and what else is set.
#[derive(Clone)]
pub struct Cli {
    binary: PathBuf,
    pub data: PathBuf,
    settings: Vec<(String, String)>,
}

impl Cli {
    /// `None` (after a line that says so) where the binary is not built.
    pub fn new(data: &Path, settings: &[(&str, &str)]) -> Option<Self> {
        let Ok(binary) = binary() else {
            crate::skip("the daybook binary is not built");
            return None;
        };
        let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Some(Self { binary, data: data.into(), settings })
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).arg("--json").arg("--data-dir").arg(&self.data).current_dir(&self.data);
        command.env("LOG_LEVEL", "error").env_remove("NATS_URL");
        if self.settings.iter().any(|(name, _)| name == "DATABASE_URL") {
            command.env("DAYBOOK_PRIVACY_KEK", crate::server::KEK);
        }
        command.envs(self.settings.iter().map(|(n, v)| (n, v)));
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// In the background, quiet.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs")
    }

    /// The last line that it prints, or what it says on standard error where
    /// it prints nothing. Panics unless it ends with this code.
    #[track_caller]
    pub fn json(&self, args: &[&str], code: i32) -> Value {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().last().map_or(Value::String(said), |line| serde_json::from_str(line).expect("JSON"))
    }

    /// What it says on standard error when it ends with this code.
    #[track_caller]
    pub fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said
    }

    pub fn serve(&self) -> Server {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(n, v)| (&**n, &**v)).collect();
        Server::start(&self.binary, &self.data, &settings).expect("the server starts")
    }
}
