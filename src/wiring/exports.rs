//! Where exports are kept, and what makes Parquet of them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ::audit::export::{EventWriter, ExportStore, Exports, Pieces};
use async_trait::async_trait;
use commands::Services;
use domain::RecordedEvent;
use infra_archive::{ArchiveStore, EventFile};
use infra_runtime::Config;
use infra_runtime::config::ConfigError;

use super::open_archive;

struct InArchive(ArchiveStore);

#[async_trait]
impl ExportStore for InArchive {
    async fn put(&self, name: &str, file: &Path) -> io::Result<()> {
        self.0.put_export(name, file).await.map_err(io::Error::other)
    }

    async fn get(&self, name: &str) -> io::Result<Option<Pieces>> {
        self.0.get_export(name).await.map_err(io::Error::other)
    }
}

struct Parquet(EventFile);

impl EventWriter for Parquet {
    fn event(&mut self, event: RecordedEvent) -> io::Result<()> {
        self.0.push(&event).map_err(io::Error::other)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish().map_err(io::Error::other)
    }
}

pub fn parquet(file: File) -> io::Result<Box<dyn EventWriter>> {
    Ok(Box::new(Parquet(EventFile::new(file).map_err(io::Error::other)?)))
}

pub fn served(config: &Config, services: &Services) -> Result<Exports, ConfigError> {
    let store = Arc::new(InArchive(open_archive(config)?));
    Ok(Exports { store, parquet, ids: services.ids.clone() })
}
