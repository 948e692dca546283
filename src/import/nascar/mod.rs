//! Stock-car races from CSV files and JSON feeds: `daybook import nascar`.
//!
//! A file's form is told by its header, a feed by its members. Timing (loop data) is provisional: it
//! knows how cars crossed the line. Results of the series are official: where
//! they differ, that is a correction. Rows become commands of the aggregates,
//! which decide nothing about what they know already; so a file can be read
//! again, in any order with others.

mod feeds;
mod form;
mod rows;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use commands::Services;
use domain::TenantId;
use models_fantasy::name::key;
use models_fantasy::scoring::Site;
use models_fantasy::track::Kind;
use serde::Serialize;
use serde_json::Value;

pub use feeds::Known;
pub use form::Form;

/// Refused rows and races that are named, of each file.
const NAMED: usize = 20;

/// What a run of the importer is told.
pub struct Options {
    pub tenant: TenantId,
    /// Who imports: `cli:<user>`.
    pub actor: Arc<str>,
    /// Kinds of tracks that this build does not know, by name.
    pub tracks: BTreeMap<String, Kind>,
}

/// What became of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub file: String,
    pub form: &'static str,
    pub rows: u64,
    pub races: u64,
    /// Events that were recorded.
    pub events: u64,
    /// Of them, corrections of results, and the races that they are of.
    pub corrections: Vec<String>,
    /// Rows without a race of the season, such as exhibitions.
    pub without_race: u64,
    /// Rows and races that were refused, and why, as far as they are named.
    pub refused: u64,
    pub reasons: Vec<String>,
}

impl FileReport {
    fn refuse(&mut self, reason: String) {
        self.refused += 1;
        if self.reasons.len() < NAMED {
            self.reasons.push(reason);
        }
    }
}

/// Imports files one after the other.
pub struct Importer {
    pub services: Services,
    pub options: Options,
}

impl Importer {
    /// What was imported before an error stays; running it again completes it.
    /// `race` is the feeds' number of the race whose lap times are read.
    pub async fn run(&self, files: &[PathBuf], race: Option<&str>) -> Result<Vec<FileReport>> {
        let (mut reports, mut known) = (Vec::new(), Known::default());
        for file in files {
            let text = tokio::fs::read(file).await.with_context(|| file.display().to_string())?;
            let done = match feed(file, &text) {
                Some(body) => self.feed(&body?, &mut known, race.or(folder(file).as_deref())).await,
                None => self.file(&text).await,
            };
            let mut report = done.with_context(|| format!("importing {}", file.display()))?;
            report.file = file.display().to_string();
            reports.push(report);
        }
        Ok(reports)
    }

    /// One body of the feeds.
    pub async fn feed(&self, body: &Value, known: &mut Known, race: Option<&str>) -> Result<FileReport> {
        let mut report = FileReport::default();
        let mut writer = write::Writer { importer: self, report: &mut report };
        let feed = feeds::Reading { writer: &mut writer, known, race }.read(body).await?;
        report.form = feed.as_str();
        Ok(report)
    }

    async fn file(&self, bytes: &[u8]) -> Result<FileReport> {
        let text = String::from_utf8_lossy(bytes);
        let mut table = rows::Table::new(text.trim_start_matches('\u{feff}'))?;
        let form = Form::of(&table)?;
        let mut report = FileReport { form: form.as_str(), ..FileReport::default() };
        write::Writer { importer: self, report: &mut report }.write(form, &mut table).await?;
        Ok(report)
    }
}

/// The body of a file that is JSON, by its name.
fn feed(file: &Path, bytes: &[u8]) -> Option<Result<Value>> {
    let json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    json.then(|| serde_json::from_slice(bytes).context("the file is no JSON"))
}

/// The feeds keep what belongs to a race in a folder of its number.
fn folder(file: &Path) -> Option<String> {
    let name = file.parent()?.file_name()?.to_str()?;
    name.bytes().all(|b| b.is_ascii_digit()).then(|| name.to_owned())
}

/// The CSV files of a folder that have a form that is known, in an order in
/// which timing comes before results; and those that have none.
pub fn files(folder: &std::path::Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut found, mut other) = (Vec::new(), Vec::new());
    let listed = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in listed {
        let path = entry?.path();
        if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("csv")) {
            continue;
        }
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let text = String::from_utf8_lossy(&text);
        let header = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default().to_owned();
        match rows::Table::new(&header).and_then(|table| Form::of(&table)) {
            Ok(form) => found.push((form, path)),
            Err(_) => other.push(path),
        }
    }
    found.sort();
    other.sort();
    Ok((found.into_iter().map(|(_, path)| path).collect(), other))
}

/// One driver's salary in a site's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salary {
    pub dollars: u32,
    /// The site's id of the driver for this slate.
    pub id: Option<String>,
}

/// Salaries by driver, from the file that a site offers for its slate, or from
/// one with the columns `driver`, `platform` and `salary`.
pub fn salaries(file: &std::path::Path, site: Site) -> Result<BTreeMap<String, Salary>> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    let table = rows::Table::new(text.trim_start_matches('\u{feff}'))?;
    let name = ["name", "nickname", "driver"].into_iter().find(|n| table.has(n));
    let name = name.with_context(|| format!("{}: no column of names", file.display()))?;
    let mut read = BTreeMap::new();
    for row in table.rows() {
        if row.text("platform").is_some_and(|platform| Site::parse(platform) != Some(site)) {
            continue;
        }
        let Some(driver) = row.text(name) else { continue };
        let salary = Salary { dollars: row.need_whole("salary")?, id: row.text("id").map(str::to_owned) };
        if read.insert(key(driver), salary.clone()).is_some_and(|other| other != salary) {
            anyhow::bail!("line {}: {driver} stands twice", row.line());
        }
    }
    Ok(read)
}
