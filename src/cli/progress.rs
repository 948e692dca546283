//! Progress of long commands on standard error: a bar on a terminal, now and
//! then a plain line elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(5);

pub struct Bar {
    what: &'static str,
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
    started: Instant,
    told: Instant,
}

impl Bar {
    /// Counts bytes.
    pub fn bytes(what: &'static str) -> Self {
        Self::new(what, "{msg:<24} {wide_bar} {binary_bytes_per_sec} {eta} left")
    }

    /// Counts events.
    pub fn events(what: &'static str) -> Self {
        Self::new(what, "{msg:<24} {wide_bar} {pos}/{len} {per_sec} {eta} left")
    }

    fn new(what: &'static str, template: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let now = Instant::now();
        Self { what, bar, started: now, told: now }
    }

    pub fn set(&mut self, done: u64, of: u64, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(format!("{} {detail}", self.what));
            return;
        }
        if self.told.elapsed() < LINE_EVERY {
            return;
        }
        self.told = Instant::now();
        let percent = done.saturating_mul(100).checked_div(of).unwrap_or(100);
        let seconds = self.started.elapsed().as_secs_f64();
        let left = if done == 0 { 0.0 } else { seconds * (of.saturating_sub(done) as f64) / done as f64 };
        eprintln!("{} {percent} % {detail}, {left:.0} s left", self.what);
    }

    /// A line beside the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
