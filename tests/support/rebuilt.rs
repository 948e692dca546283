//! What every server that a test stopped must leave behind: rows that a
//! rebuild from the log comes to as well, of each live generation.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use daybook::wiring;
use domain::Secret;
use infra_runtime::config::Flags;
use infra_runtime::{Config, RandomIds, SystemClock};
use replays::{Engine, ReplayError};

/// Longer logs are not folded again each time a test stops a server.
const MAX_EVENTS: u64 = 50_000;
/// Another process may decide or prune at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Folds the log of these settings again, on a thread with a runtime of its
/// own. Nothing is recorded.
pub fn check(data: &Path, settings: &[(String, String)]) -> Result<()> {
    let setting = |name: &str| settings.iter().find(|s| s.0 == name).map(|s| s.1.clone());
    let on_postgres = setting("DATABASE_URL").map(|_| crate::server::KEK.to_owned());
    let kek = setting("DAYBOOK_PRIVACY_KEK").or(on_postgres).map(Secret::new);
    let encrypt = setting("DAYBOOK_PRIVACY_ENCRYPT").is_none_or(|value| value != "false");
    let flags = Flags {
        data_dir: Some(data.display().to_string()),
        database_url: setting("DATABASE_URL"),
        archive_url: setting("ARCHIVE_URL"),
        ..Flags::default()
    };
    let checked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(reproduced(&flags, kek, encrypt))
    });
    checked.join().map_err(|_| anyhow::anyhow!("the check panicked"))?
}

async fn reproduced(flags: &Flags, kek: Option<Secret>, encrypt: bool) -> Result<()> {
    let mut config = Config::load(flags)?;
    config.privacy.encrypt = encrypt;
    if let Some(kek) = kek {
        config.privacy.kek = kek;
    }
    let clock = Arc::new(SystemClock);
    let log = wiring::open_log(&config, clock.clone()).await?;
    let stores = wiring::open_rows(&config).await?;
    wiring::open_generations(&*log.log, &stores).await?;
    let privacy = wiring::Privacy::open(&config, clock.clone()).await?;
    let engine = wiring::engine(&config, log.log.clone(), &privacy, &stores, clock, Arc::new(RandomIds))?;
    if log.log.head().await?.position <= MAX_EVENTS {
        for projection in projections::names() {
            one(&engine, projection).await.with_context(|| format!("folding {projection} again"))?;
        }
    }
    log.close().await;
    Ok(())
}

async fn one(engine: &Engine, projection: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match engine.reproduce(projection, None).await {
            Ok(verified) => {
                let (stored, rebuilt) = (verified.checksum, verified.rebuilt);
                ensure!(
                    stored == rebuilt,
                    "at {}: {stored} is stored, {rebuilt} comes out",
                    verified.position
                );
                return Ok(());
            }
            Err(ReplayError::Rows(error)) if Instant::now() < deadline => {
                eprintln!("folding {projection} again waits: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => bail!(error),
        }
    }
}
