//! Daybook's log on both databases.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::{StreamId, TenantId};
use infra_keys::{Keks, LocalKek, SqliteKeys};
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_runtime::SystemClock;
use privacy::{Keyring, OpenedLog};
use uuid::Uuid;

use super::{Case, EVENTS_PER_STREAM, PAYLOAD, measure, with_database};

pub async fn postgres(case: &Case) -> Result<f64> {
    with_database(case, async |url| {
        let log = PostgresLog::connect(&url, options(case)).await?;
        run(Arc::new(log), case).await
    })
    .await
}

pub async fn sqlite(case: &Case) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let log = SqliteLog::open(folder.path().join("log.db"), options(case)).await?;
    run(Arc::new(log), case).await
}

fn options(case: &Case) -> LogOptions {
    let mut options = LogOptions::new(Arc::new(SystemClock));
    options.tree = case.tree;
    options
}

async fn run(log: Arc<dyn EventLog>, case: &Case) -> Result<f64> {
    if !case.sealed {
        return append(log, case).await;
    }
    let folder = tempfile::tempdir()?;
    let kek = LocalKek::make(&folder.path().join("kek"))?;
    let keks = Keks::new(Arc::new(kek), Vec::new());
    let keys = SqliteKeys::open(&folder.path().join("keys.db"), keks, Arc::new(SystemClock)).await?;
    let ring = Arc::new(Keyring::new(Arc::new(keys)));
    append(Arc::new(OpenedLog::new(log, ring, true)), case).await
}

async fn append(log: Arc<dyn EventLog>, case: &Case) -> Result<f64> {
    measure(case, |number, until| append_until(log.clone(), case.unconditional, number, until)).await
}

async fn append_until(
    log: Arc<dyn EventLog>,
    unconditional: bool,
    number: usize,
    until: Instant,
) -> Result<u64> {
    let tenant = TenantId::new("bench")?;
    let mut count = 0;
    while Instant::now() < until {
        let id = format!("s-{number}-{}", count / EVENTS_PER_STREAM);
        let command_id = Uuid::now_v7();
        let version = ExpectedVersion::Exact(count % EVENTS_PER_STREAM);
        let append = Append {
            writes: vec![StreamWrite {
                stream: StreamId::new(&tenant, "taps", &id)?,
                expected: if unconditional { ExpectedVersion::Any } else { version },
                events: vec![NewEvent {
                    event_id: Uuid::now_v7(),
                    event_type: "band.tapped".into(),
                    schema: domain::registry::schema_of("band.tapped"),
                    occurred_at: None,
                    payload: PAYLOAD.to_owned(),
                }],
            }],
            metadata: Metadata {
                actor: "key:bench".into(),
                command_id,
                correlation_id: command_id.to_string().into(),
                causation_id: None,
            },
            idempotency: None,
        };
        log.append(vec![append]).await.pop().context("no outcome")??;
        count += 1;
    }
    Ok(count)
}
