//! Generations of read models and what operators do with them.

use std::sync::Arc;

use anyhow::Result;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;
use infra_archive::SealedHistory;
use infra_runtime::Config;
use projections::board::Board;
use projections::instantiate;
use replays::Engine;
use replays::facts::opening_model;
use replays::history::{History, Sealed};
use tokio::sync::Notify;

use super::archive::open_archive;
use super::columns::ArchiveColumns;
use super::keys::Privacy;
use super::stores::OpenRows;

/// The whole history: the log, and the archive for what was trimmed from it.
pub fn history(config: &Config, log: Arc<dyn EventLog>) -> Result<Arc<dyn EventLog>> {
    let sealed = Arc::new(SealedHistory::of(open_archive(config)?, log.clone()));
    Ok(Arc::new(History { archive: sealed, log }))
}

/// What is sealed, and nothing of the log.
pub fn sealed_history(config: &Config) -> Result<Arc<dyn EventLog>> {
    Ok(Arc::new(Sealed(Arc::new(SealedHistory::new(open_archive(config)?)))))
}

pub fn engine(
    config: &Config,
    log: Arc<dyn EventLog>,
    privacy: &Privacy,
    stores: &OpenRows,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
) -> Result<Engine> {
    let (archive, keys) = (open_archive(config)?, privacy.ring.clone());
    let sealed = ArchiveColumns { archive, log: log.clone(), keys };
    Ok(Engine {
        log: privacy.over(history(config, log)?),
        rows: stores.rows.clone(),
        generations: stores.generations.clone(),
        sealed: Some(Arc::new(sealed)),
        clock,
        ids,
        board: Arc::new(Board::default()),
        wake: Arc::new(Notify::new()),
        memory: config.replays.memory_bytes,
    })
}

/// Every projection has a live generation. The first one is by the model of a
/// new installation, unless the log is older than the rows and tells of
/// another.
pub async fn open_generations(log: &dyn EventLog, stores: &OpenRows) -> Result<()> {
    for default in projections::all() {
        let name = default.name();
        let promoted = opening_model(log, name).await?;
        let projection = match promoted.map(|model| instantiate(name, &model)) {
            Some(Ok(projection)) => projection,
            Some(Err(error)) => {
                tracing::warn!(projection = name, %error, "the first generation is by the default model");
                default
            }
            None => default,
        };
        stores.rows.open(name, &projection.model(), projection.tables()).await?;
    }
    Ok(())
}
