//! Files of events that somebody asked for. They lie beside what is sealed and
//! are no part of it.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use domain::RecordedEvent;
use domain::ports::archive::ArchiveError;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{ObjectStoreExt, PutMode, WriteMultipart};
use parquet::arrow::ArrowWriter;
use tokio::io::AsyncReadExt;

use crate::encode::{properties, unwritable};
use crate::rows::Rows;
use crate::store::{ArchiveStore, failed};
use crate::{names, schema};

/// Sent at once; an object store wants parts of 5 MiB or more.
const PART: usize = 8 << 20;
/// Parts that are on their way at once.
const PARTS: usize = 4;

/// A Parquet file of events of any type: the envelope, without columns of
/// payloads.
pub struct EventFile {
    rows: Rows,
    writer: ArrowWriter<File>,
}

impl EventFile {
    pub fn new(file: File) -> Result<Self, ArchiveError> {
        let writer = ArrowWriter::try_new(file, schema::common(), Some(properties()?));
        Ok(Self { rows: Rows::new(""), writer: writer.map_err(unwritable)? })
    }

    pub fn push(&mut self, event: &RecordedEvent) -> Result<(), ArchiveError> {
        self.rows.push(event)?;
        if self.rows.is_full() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ArchiveError> {
        self.writer.write(&self.rows.take()?).map_err(unwritable)
    }

    pub fn finish(mut self) -> Result<(), ArchiveError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.writer.close().map(drop).map_err(unwritable)
    }
}

impl ArchiveStore {
    /// Keeps a file under a new name below `exports/`.
    pub async fn put_export(&self, name: &str, file: &Path) -> Result<(), ArchiveError> {
        let name = names::export(name);
        let read = |e: std::io::Error| ArchiveError::Unavailable(format!("{}: {e}", file.display()));
        let mut from = tokio::fs::File::open(file).await.map_err(read)?;
        let mut buffer = vec![0; PART];
        let first = fill(&mut from, &mut buffer).await.map_err(read)?;
        if first < PART {
            let bytes = Bytes::copy_from_slice(&buffer[..first]);
            return self.put(&name, bytes, PutMode::Create).await.map_err(|e| failed(&name, e));
        }
        let upload = self.objects().put_multipart(&names::path(&name)).await.map_err(|e| failed(&name, e))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        upload.write(&buffer);
        loop {
            let read = fill(&mut from, &mut buffer).await.map_err(read)?;
            if read == 0 {
                break;
            }
            upload.wait_for_capacity(PARTS).await.map_err(|e| failed(&name, e))?;
            upload.write(&buffer[..read]);
        }
        upload.finish().await.map_err(|e| failed(&name, e))?;
        self.make_durable(&name).await
    }

    /// `None` if there is no such file.
    pub async fn get_export(
        &self,
        name: &str,
    ) -> Result<Option<BoxStream<'static, std::io::Result<Bytes>>>, ArchiveError> {
        let name = names::export(name);
        match self.objects().get(&names::path(&name)).await {
            Ok(found) => {
                Ok(Some(found.into_stream().map(|part| part.map_err(std::io::Error::other)).boxed()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&name, error)),
        }
    }
}

/// As much as there is, up to the buffer's length.
async fn fill(file: &mut tokio::fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]).await? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
