//! Real click logs as taps of a show: `daybook import clicks`.
//!
//! Each line becomes one fact in a stream of its own, named after the hash of
//! the line. A second import of the same bytes, in this file or another one,
//! finds the stream there and changes nothing.

mod bitly;
mod click;
mod combined;
mod lines;
mod link;
pub mod nascar;
mod report;
mod show;
pub mod signals;
mod tsv;
mod write;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use domain::TenantId;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;
use tokio_util::sync::CancellationToken;

pub use click::{Click, Line};
pub use link::id_of;
pub use report::{Counts, FileReport, Report};

use show::Show;
use write::Writer;

/// Which kind of log the files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as in bitly's public feed of short links.
    BitlyJsonl,
    /// The combined log format of Apache and nginx.
    CombinedLog,
    /// Tab-separated access log with times in seconds.
    AccessTsv,
}

impl Format {
    fn read(self, line: &[u8]) -> Line {
        match self {
            Self::BitlyJsonl => bitly::read(line),
            Self::CombinedLog => combined::read(line),
            Self::AccessTsv => tsv::read(line),
        }
    }

    /// By the name it has on the command line.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "bitly-jsonl" => Some(Self::BitlyJsonl),
            "combined-log" => Some(Self::CombinedLog),
            "access-tsv" => Some(Self::AccessTsv),
            _ => None,
        }
    }

    /// The `source` of the taps.
    pub fn source(self) -> &'static str {
        match self {
            Self::BitlyJsonl => "import:bitly",
            Self::CombinedLog => "import:combined",
            Self::AccessTsv => "import:tsv",
        }
    }
}

pub struct Options {
    pub tenant: TenantId,
    pub format: Format,
    /// The show that all files go to. Without it each file is a show of its
    /// own, named after the file.
    pub event_id: Option<String>,
    /// Name of a show that does not exist yet; its id without.
    pub name: Option<String>,
    /// Zone of a show that does not exist yet.
    pub time_zone: String,
    /// Who imports: `cli:<user>`.
    pub actor: Arc<str>,
}

/// Where the import is, after each batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    pub file: &'a Path,
    /// Bytes read of all files, as they are on disk.
    pub bytes: u64,
    pub bytes_total: u64,
    /// Lines read of all files.
    pub lines: u64,
}

pub struct Importer {
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub options: Options,
}

impl Importer {
    /// Imports the files one after the other. What was imported before an
    /// error stays; running the import again completes it.
    pub async fn run(
        &self,
        files: &[PathBuf],
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Report> {
        let mut report = Report::default();
        let mut seen_bands = HashSet::new();
        let sizes = files
            .iter()
            .map(|f| std::fs::metadata(f).map(|m| m.len()).with_context(|| f.display().to_string()))
            .collect::<Result<Vec<u64>>>()?;
        let bytes_total = sizes.iter().sum();
        let mut bytes_before = 0;
        for (file, size) in files.iter().zip(sizes) {
            let lines_before = report.total.lines;
            let mut tell = |bytes: u64, lines: u64| {
                let bytes = bytes_before + bytes;
                progress(Progress { file, bytes, bytes_total, lines: lines_before + lines });
            };
            let done = self.file(file, files, &mut seen_bands, &mut tell).await;
            report.add(done.with_context(|| format!("importing {}", file.display()))?);
            bytes_before += size;
        }
        Ok(report)
    }

    async fn file(
        &self,
        file: &PathBuf,
        all: &[PathBuf],
        seen_bands: &mut HashSet<String>,
        tell: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<FileReport> {
        let id = self.options.event_id.clone().unwrap_or_else(|| show::id_from(file));
        // A show that all files go to spans all of them.
        let span = if self.options.event_id.is_some() { all } else { std::slice::from_ref(file) };
        let (show, scheduled) = Show::open(self, &id, span).await?;
        let mut report = FileReport::new(file, &id, scheduled);
        let mut writer = Writer::new(self, &show, seen_bands);
        // Ends the reading thread also when this future is dropped.
        let stop = CancellationToken::new();
        let _stop = stop.clone().drop_guard();
        let mut batches = lines::read(file.to_owned(), self.options.format, stop);
        while let Some(batch) = batches.recv().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    writer.finish(&mut report).await?;
                    return Err(error.into());
                }
            };
            report.read(&batch);
            let bytes = batch.bytes_read;
            writer.write(batch, &mut report).await?;
            tell(bytes, report.counts.lines);
        }
        writer.finish(&mut report).await?;
        Ok(report)
    }
}
