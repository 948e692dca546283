//! Events that other systems kept in files, as signals: `daybook import signals`.
//!
//! Each goes the way of one that is sent over HTTP: the same reading, the same
//! identity, the same dead letters. Importing a file again finds every signal
//! there and changes nothing; what was rejected is rejected again.

mod forms;
mod series;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use commands::signals::decode::Item;
use commands::signals::record::{Answer, Sender, record};
use commands::signals::schemas::Schemas;
use domain::TenantId;
use domain::ports::clock::Ids;
use domain::ports::log::{AppendError, EventLog};
use domain::signal::{Fault, Signal};
use serde::Serialize;
use tokio::sync::mpsc;

use super::lines::each_within;
pub use series::Columns;

/// A longer line is rejected, whatever it holds.
const MAX_LINE_BYTES: usize = 1 << 20;
const BATCH_EVENTS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;
/// Batches read ahead of the log.
const WAITING: usize = 4;
/// Numbers of rejected lines that are named.
const MAX_NAMED: usize = 10;

/// What the files hold, one event a line.
#[derive(Debug, Clone)]
pub enum Form {
    /// CloudEvents in JSON, alone or in arrays, also below `payload`.
    CloudEvents,
    /// `{"event", "payload"}` as GitHub's webhooks send them.
    Github,
    /// Calls of Segment's track API, also below `payload`.
    Segment,
    /// CloudEvents or typed events of apps; with a type, any objects.
    Ndjson(Option<String>),
    /// A plain series of numbers.
    Csv(Columns),
}

pub struct Options {
    pub tenant: TenantId,
    pub app: Option<String>,
    pub form: Form,
    pub actor: Arc<str>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub file: String,
    pub lines: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: u64,
    /// Numbers (1…) of the first lines that held something rejected, and why.
    pub first_rejected: Vec<(u64, String)>,
    /// Last position written; 0 if nothing was.
    pub position: u64,
}

pub struct Importer {
    pub log: Arc<dyn EventLog>,
    pub ids: Arc<dyn Ids>,
    pub options: Options,
}

struct Batch {
    items: Vec<(u64, Item)>,
    lines: u64,
}

impl Importer {
    pub async fn run(&self, files: &[PathBuf]) -> Result<Vec<FileReport>> {
        let mut reports = Vec::new();
        for file in files {
            let report = self.file(file).await.with_context(|| format!("importing {}", file.display()))?;
            reports.push(report);
        }
        Ok(reports)
    }

    async fn file(&self, file: &Path) -> Result<FileReport> {
        let mut report = FileReport { file: file.display().to_string(), ..FileReport::default() };
        let mut batches = read(file.to_owned(), self.options.app.clone(), self.options.form.clone());
        let sender = Sender {
            tenant: self.options.tenant.clone(),
            actor: self.options.actor.clone(),
            correlation_id: None,
            app: self.options.app.clone(),
        };
        let schemas = Schemas::new(self.log.clone());
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            report.lines = report.lines.max(batch.lines);
            let (lines, mut items): (Vec<u64>, Vec<Item>) = batch.items.into_iter().unzip();
            if items.is_empty() {
                continue;
            }
            schemas.check(&sender.tenant, &mut items).await?;
            let answers = record(&*self.log, &*self.ids, &sender, items).await;
            for (line, answer) in lines.into_iter().zip(answers) {
                report.count(line, answer)?;
            }
        }
        Ok(report)
    }
}

impl FileReport {
    fn count(&mut self, line: u64, answer: Answer) -> Result<()> {
        let position = match answer {
            Answer::Accepted { position, .. } => {
                self.accepted += 1;
                position
            }
            Answer::Duplicate { .. } => {
                self.duplicates += 1;
                0
            }
            Answer::Rejected { fault, position } => {
                self.rejected += 1;
                if self.first_rejected.len() < MAX_NAMED {
                    self.first_rejected.push((line, fault.to_string()));
                }
                position
            }
            Answer::Failed(AppendError::QueueFull) => bail!("line {line}: the log has too much to do"),
            Answer::Failed(error) => bail!("line {line}: {error}; run the import again to go on"),
        };
        self.position = self.position.max(position);
        Ok(())
    }
}

/// Reads on a thread of its own. An error is the last thing that arrives.
fn read(file: PathBuf, app: Option<String>, form: Form) -> mpsc::Receiver<Result<Batch>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut batch = Batch { items: Vec::new(), lines: 0 };
        let mut bytes = 0;
        let series = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let mut columns = None;
        let ended = each_within(MAX_LINE_BYTES, &file, |line, _| {
            batch.lines += 1;
            let number = batch.lines;
            if line.trim_ascii().is_empty() {
                return true;
            }
            let events = match &form {
                Form::Csv(wanted) => match &columns {
                    None => {
                        columns = Some(wanted.find(line));
                        return columns.as_ref().is_some_and(Result::is_ok);
                    }
                    Some(Ok(found)) => {
                        vec![(line.to_vec(), found.read(number, line, &series, app.as_deref()))]
                    }
                    Some(Err(_)) => return false,
                },
                form => forms::read(form, line, app.as_deref()),
            };
            for (text, read) in events {
                bytes += text.len();
                batch.items.push((number, item(text, read, &form)));
            }
            if batch.items.len() < BATCH_EVENTS && bytes < BATCH_BYTES {
                return true;
            }
            bytes = 0;
            let lines = batch.lines;
            let full = std::mem::replace(&mut batch, Batch { items: Vec::new(), lines });
            sender.blocking_send(Ok(full)).is_ok()
        });
        // Nobody listens any more if this fails.
        let _ = sender.blocking_send(Ok(batch));
        let failed = ended.map_err(anyhow::Error::from).err().or_else(|| columns.and_then(Result::err));
        if let Some(error) = failed {
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

fn item(text: Vec<u8>, read: Result<Signal, Fault>, form: &Form) -> Item {
    let media_type = match form {
        Form::CloudEvents => "application/cloudevents+json",
        Form::Csv(_) => "text/csv",
        _ => "application/json",
    };
    Item { read, refused: None, bytes: Bytes::from(text), media_type: media_type.into() }
}
