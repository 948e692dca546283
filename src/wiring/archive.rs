//! The archive of the configuration.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::clock::Clock;
use domain::ports::tree::TreeLog;
use infra_archive::{ArchiveStore, Archiver, OpenError, Patience, S3Settings, Settings, Signed};
use infra_runtime::Config;
use infra_runtime::config::ConfigError;

use super::OpenLog;

/// Where history is sealed, as configured.
pub fn open_archive(config: &Config) -> Result<ArchiveStore, ConfigError> {
    open_archive_at(config, &config.archive.url)
}

/// Another archive, with the same credentials.
pub fn open_archive_at(config: &Config, url: &str) -> Result<ArchiveStore, ConfigError> {
    open_store(config, "archive.url", url)
}

/// A folder or a store that a setting names, with the credentials of the
/// configuration.
pub fn open_store(config: &Config, setting: &str, url: &str) -> Result<ArchiveStore, ConfigError> {
    let s3 = S3Settings {
        endpoint: config.s3.endpoint.clone(),
        region: config.s3.region.clone(),
        access_key_id: config.s3.access_key_id.clone(),
        secret_access_key: config.s3.secret_access_key.clone(),
        path_style: config.s3.path_style,
    };
    let opened = ArchiveStore::open(url, &s3, &Patience::default());
    opened.map_err(|e: OpenError| config.invalid(setting, e))
}

pub fn archiver(
    config: &Config,
    store: ArchiveStore,
    log: &OpenLog,
    clock: Arc<dyn Clock>,
    (tree, origin): (Arc<dyn TreeLog>, Option<String>),
) -> Archiver {
    let settings = Settings {
        segment_bytes: config.archive.segment_bytes,
        seal_after: Duration::from_secs(config.archive.seal_seconds.into()),
        merge_bytes: config.archive.merge_bytes,
        grace: Duration::from_secs(config.archive.grace_seconds.into()),
    };
    let archiver = Archiver::new(store, log.log.clone(), clock, settings);
    match origin {
        Some(origin) => archiver.with_tree(Signed { tree, origin }),
        None => archiver,
    }
}
