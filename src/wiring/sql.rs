//! SQL over the configured stores.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::ports::sql::Sql;
use infra_runtime::Config;
use infra_sql::{Limits, Sources, SqlEngine};

use super::{OpenLog, open_archive};

/// What a query over HTTP gets of the time that its request has.
const MARGIN: Duration = Duration::from_secs(1);

pub fn limits(config: &Config) -> Limits {
    let sql = &config.sql;
    Limits {
        time: Duration::from_secs(sql.timeout_seconds.into()),
        memory_bytes: sql.memory_bytes,
        rows: sql.rows.min(sql.max_rows),
        max_rows: sql.max_rows,
        answer_bytes: sql.answer_bytes,
        queries: sql.queries,
        ..Limits::default()
    }
}

/// For the server: a query ends before its request does, with a better answer.
pub fn served(config: &Config, log: &OpenLog) -> Result<Arc<dyn Sql>> {
    let all = limits(config);
    let request = config.http.timeout();
    let time = all.time.min(request.saturating_sub(MARGIN).max(request / 2));
    engine(sources(config, log)?, Limits { time, ..all })
}

/// The log, and the archive of the configuration.
pub fn sources(config: &Config, log: &OpenLog) -> Result<Sources> {
    Ok(Sources { log: Some(log.log.clone()), archive: Some(open_archive(config)?) })
}

pub fn engine(sources: Sources, limits: Limits) -> Result<Arc<dyn Sql>> {
    Ok(Arc::new(SqlEngine::new(sources, limits).context("starting the threads for SQL")?))
}
