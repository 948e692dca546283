//! Valuation runs: where their results lie, and who works on them.

use std::sync::Arc;

use anyhow::Result;
use commands::Services;
use domain::ports::clock::Ids;
use infra_cube::ObjectResults;
use infra_runtime::config::{ConfigError, Role};
use infra_runtime::{Config, RandomIds};
use runs::{Desk, Settings, Worker};
use tokio_util::sync::CancellationToken;

use super::archive::open_store;
use super::tasks::Tasks;

/// What runs are asked for, priced and read with.
pub fn desk(config: &Config, services: &Services) -> Result<Desk, ConfigError> {
    let store = open_store(config, "runs.results_url", &config.runs.results_url)?;
    let of = &config.runs;
    let settings = Settings {
        hash_mod: of.task_hash_mod,
        lease_seconds: of.lease_seconds,
        max_attempts: of.task_max_attempts,
        max_cells: of.max_cells,
    };
    Ok(Desk::new(services.clone(), Arc::new(ObjectResults::new(store)), settings))
}

/// In a process that has to do with them.
pub(super) fn served(config: &Config, services: &Services) -> Result<Option<Desk>> {
    let roles = [Role::Commands, Role::ReadApi, Role::Worker];
    match roles.into_iter().any(|role| config.roles.has(role)) {
        true => Ok(Some(desk(config, services)?)),
        false => Ok(None),
    }
}

/// A name that no other worker has.
pub fn worker_name() -> String {
    format!("{}-{}", std::process::id(), RandomIds.next())
}

pub(super) fn workers(config: &Config, desk: &Desk, stop: &CancellationToken, tasks: &mut Tasks) {
    for _ in 0..config.runs.concurrency {
        tasks.working(Worker::new(desk.clone(), worker_name()).run(stop.clone()));
    }
}
