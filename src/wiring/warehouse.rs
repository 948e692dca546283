//! The warehouse of the configuration.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::clock::Clock;
use domain::ports::log::EventLog;
use infra_runtime::Config;
use infra_runtime::config::ConfigError;
use infra_warehouse::{Codec, Settings, Warehouse, WarehouseStore};

use super::archive::open_store;

const URL: &str = "warehouse.url";

/// Where signals are written for engines. There is no default.
pub fn open_warehouse(config: &Config) -> Result<WarehouseStore, ConfigError> {
    if !config.warehouse.is_set() {
        return Err(config.invalid(URL, "must be set: a folder, s3://…, gs://… or az://…"));
    }
    open_store(config, URL, &config.warehouse.url).map(WarehouseStore::new)
}

pub fn warehouse(
    config: &Config,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
) -> Result<Warehouse, ConfigError> {
    let settings = &config.warehouse;
    let codec: Codec = settings
        .parquet_compression
        .parse()
        .map_err(|reason| config.invalid("warehouse.parquet_compression", reason))?;
    let settings = Settings {
        max_signals: settings.batch_max_events,
        flush_after: settings.batch_flush_interval.0,
        codec,
        row_group_rows: settings.parquet_row_group_size,
        small_bytes: settings.compact_bytes,
        large_bytes: settings.compact_max_bytes,
        closed_after: Duration::from_secs(settings.compact_after_seconds.into()),
        grace: Duration::from_secs(settings.grace_seconds.into()),
    };
    Ok(Warehouse::new(open_warehouse(config)?, log, clock, settings))
}
