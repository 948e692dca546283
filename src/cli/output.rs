//! Where commands print: lines for people, or one JSON object a line.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anyhow::Result;

pub struct Output {
    pub json: bool,
    colour: bool,
    stdout: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let colour = !json && stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour, stdout: BufWriter::new(stdout.lock()) }
    }

    pub fn line(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.stdout, "{text}")?)
    }

    #[cfg(feature = "sql")]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stdout.write_all(bytes)?)
    }

    pub fn flush(&mut self) -> Result<()> {
        Ok(self.stdout.flush()?)
    }
}

/// Sets a word off from the rest of its line, where the terminal can.
pub fn paint(out: &Output, text: &str) -> String {
    if out.colour { format!("\x1b[36m{text}\x1b[0m") } else { text.to_owned() }
}
