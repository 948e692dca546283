//! Daybook's log on both databases.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::ports::tree::TreeLog;
use domain::{StreamId, TenantId};
use infra_keys::{Keks, LocalKek, SqliteKeys};
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_runtime::SystemClock;
use privacy::{Keyring, OpenedLog};
use proofs::{LogTiles, SigningKey};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{Signer, SignerConfig};

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

async fn run<L: EventLog + TreeLog + 'static>(log: Arc<L>, case: &Case) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    if !case.signed {
        return sealing(log, case, folder.path()).await;
    }
    let (signer, stop) = (signer(log.clone(), folder.path())?, CancellationToken::new());
    let state = signer.state();
    let signing = tokio::spawn(signer.run(stop.clone()));
    let rate = sealing(log.clone(), case, folder.path()).await;
    stop.cancel();
    signing.await?;
    let (signed, size) = (state.borrow().clone(), log.frontier().await?.size());
    ensure!(signed.error.is_none() && signed.signed == size, "not everything is signed: {signed:?}");
    rate
}

/// As the server's own: one key, a checkpoint a second.
fn signer(log: Arc<dyn TreeLog>, folder: &Path) -> Result<Arc<Signer>> {
    let origin = "bench.example/log";
    let config = SignerConfig {
        origin: origin.to_owned(),
        keys: vec![SigningKey::generate(origin, &[7; 32])?],
        every: Duration::from_secs(1),
        record: folder.join("audit.checkpoint"),
    };
    let tiles = Arc::new(LogTiles::new(log.clone()));
    Ok(Arc::new(Signer::new(log, tiles, Vec::new(), Arc::new(SystemClock), config)))
}

async fn sealing(log: Arc<dyn EventLog>, case: &Case, folder: &Path) -> Result<f64> {
    if !case.sealed {
        return append(log, case).await;
    }
    let kek = LocalKek::make(&folder.join("kek"))?;
    let keks = Keks::new(Arc::new(kek), Vec::new());
    let keys = SqliteKeys::open(&folder.join("keys.db"), keks, Arc::new(SystemClock)).await?;
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
