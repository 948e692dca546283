//! What an import did. The figures of a file add up: every line is a tap, a
//! preview, a duplicate, a heartbeat, a request of another method, blank or
//! broken.

use std::path::Path;

use serde::Serialize;

use super::click::Line;
use super::lines::Batch;

/// Numbers of broken lines that are named.
const MAX_NAMED: usize = 10;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub lines: u64,
    /// Taps that are new in the log.
    pub taps: u64,
    /// Previews (HEAD) that are new in the log.
    pub previews: u64,
    /// Clicks that the log had, or that stand twice in the file.
    pub duplicates: u64,
    pub heartbeats: u64,
    /// Requests that are neither GET nor HEAD; not imported.
    pub other_methods: u64,
    /// Empty lines and headings.
    pub blank: u64,
    pub broken: u64,
    /// Bands that were registered.
    pub bands_new: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.taps += other.taps;
        self.previews += other.previews;
        self.duplicates += other.duplicates;
        self.heartbeats += other.heartbeats;
        self.other_methods += other.other_methods;
        self.blank += other.blank;
        self.broken += other.broken;
        self.bands_new += other.bands_new;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub file: String,
    pub event_id: String,
    /// The show did not exist and was scheduled.
    pub scheduled: bool,
    #[serde(flatten)]
    pub counts: Counts,
    /// Numbers (1…) of the first broken lines.
    pub broken_lines: Vec<u64>,
    /// Last position written; 0 if nothing was.
    pub position: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub files: Vec<FileReport>,
    pub total: Counts,
    /// Wait for this position to read everything that was imported.
    pub position: u64,
}

impl Report {
    pub(super) fn add(&mut self, file: FileReport) {
        self.total.add(&file.counts);
        self.position = self.position.max(file.position);
        self.files.push(file);
    }
}

impl FileReport {
    pub(super) fn new(file: &Path, event_id: &str, scheduled: Option<u64>) -> Self {
        Self {
            file: file.display().to_string(),
            event_id: event_id.into(),
            scheduled: scheduled.is_some(),
            counts: Counts::default(),
            broken_lines: Vec::new(),
            position: scheduled.unwrap_or(0),
        }
    }

    /// Counts what needs no writing.
    pub(super) fn read(&mut self, batch: &Batch) {
        for line in &batch.lines {
            self.counts.lines += 1;
            match &line.line {
                Line::Click(_) => {}
                Line::Heartbeat => self.counts.heartbeats += 1,
                Line::OtherMethod => self.counts.other_methods += 1,
                Line::Blank => self.counts.blank += 1,
                Line::Broken => {
                    self.counts.broken += 1;
                    if self.broken_lines.len() < MAX_NAMED {
                        self.broken_lines.push(self.counts.lines);
                    }
                }
            }
        }
    }
}
