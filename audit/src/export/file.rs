//! The file of an export.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::Path;

use domain::audit_trail::Exported;
use domain::ports::log::EventLog;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::ExportError;
use super::requests::Asked;
use super::writers::{EventWriter, Lines, Table};
use crate::Limits;
use crate::events::by_scan;
use crate::index::Span;

/// Events read at once.
const PAGE: usize = 1_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Ndjson,
    Csv,
    Parquet,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ndjson, Self::Csv, Self::Parquet].into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn media(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// What the file is called beside its manifest.
    pub fn file_name(self) -> String {
        format!("events.{}", self.as_str())
    }
}

/// Parquet is made where its technology is.
pub type MakeParquet = fn(File) -> io::Result<Box<dyn EventWriter>>;

/// Writes all that is asked for into a new file and tells what is in it. The
/// log itself is looked through, not an index of it.
pub async fn write(
    log: &dyn EventLog,
    asked: &Asked,
    path: &Path,
    parquet: MakeParquet,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Exported, ExportError> {
    let file = File::create_new(path)?;
    let mut writer: Box<dyn EventWriter> = match asked.kind {
        Kind::Ndjson => Box::new(Lines(BufWriter::new(file))),
        Kind::Csv => Box::new(Table::new(BufWriter::new(file))?),
        Kind::Parquet => parquet(file)?,
    };
    let (mut after, mut events) = (asked.after, 0);
    while after < asked.upto {
        let span = Span { after, upto: asked.upto, limit: PAGE };
        let found = by_scan(log, &asked.wanted, span, &Limits::default()).await?;
        if found.through <= after {
            return Err(ExportError::Broken(format!("the log cannot be read past position {after}")));
        }
        after = found.through;
        events += found.events.len() as u64;
        let writing = tokio::task::spawn_blocking(move || {
            found.events.into_iter().try_for_each(|event| writer.event(event)).map(|()| writer)
        });
        writer = writing.await.map_err(ExportError::broken)??;
        progress(after - asked.after, asked.upto - asked.after);
    }
    let path = path.to_owned();
    let finished = tokio::task::spawn_blocking(move || {
        writer.finish()?;
        File::open(&path)?.sync_all()?;
        sha256(&path)
    });
    let (hash, bytes) = finished.await.map_err(ExportError::broken)??;
    Ok(Exported {
        sha256: hash,
        bytes,
        format: asked.kind.as_str().to_owned(),
        events,
        after: asked.after,
        upto: asked.upto,
        size: asked.size,
        query: asked.query.clone(),
    })
}

/// Hexadecimal, and how many bytes there are.
pub fn sha256(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex::encode(hash.finalize()), bytes));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}
