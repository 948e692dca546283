//! Keys of personal data, as configured, and who sees what with them.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::ports::clock::Clock;
use domain::ports::keys::{KeyKeeping, KeyStore};
use domain::ports::log::EventLog;
use infra_keys::{KekError, Keks, LocalKek, PostgresKeys, SqliteKeys};
use infra_runtime::Config;
use infra_runtime::config::{DatabaseUrl, Role};
use privacy::{Keyring, NoKeys, OpenedLog};

/// The key-encryption key of a server that was given none.
pub const KEK_FILE: &str = "privacy.key";

#[derive(Clone)]
pub struct Privacy {
    pub keys: Arc<dyn KeyStore>,
    /// `None` where no key-encryption key is configured.
    pub keeping: Option<Arc<dyn KeyKeeping>>,
    pub ring: Arc<Keyring>,
    seals: bool,
}

impl Privacy {
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let seals = config.privacy.encrypt;
        let Some(keks) = keks(config)? else {
            let keys: Arc<dyn KeyStore> = Arc::new(NoKeys);
            return Ok(Self { ring: Arc::new(Keyring::new(keys.clone())), keys, keeping: None, seals });
        };
        match &config.database.url {
            _ if !config.privacy.keys_url.is_empty() => {
                let keys = PostgresKeys::connect(config.privacy.keys_url.reveal(), keks.clone(), clock).await;
                Self::with(config, keys.context("opening the keys in PostgreSQL")?, &keks).await
            }
            DatabaseUrl::Postgres(url) => {
                let keys = PostgresKeys::connect(url.reveal(), keks.clone(), clock).await;
                Self::with(config, keys.context("opening the keys in PostgreSQL")?, &keks).await
            }
            DatabaseUrl::Sqlite(path) => {
                let path = path.with_extension("keys.db");
                super::stores::make_parent(&path)?;
                let keys = SqliteKeys::open(&path, keks.clone(), clock).await;
                let keys = keys.with_context(|| format!("opening the keys {}", path.display()))?;
                Self::with(config, keys, &keks).await
            }
            DatabaseUrl::InDataDir => bail!("the database has no address"),
        }
    }

    async fn with(config: &Config, store: impl KeyStore + KeyKeeping + 'static, keks: &Keks) -> Result<Self> {
        for (kek, keys) in store.wrapped_by().await? {
            if keks.get(&kek).is_none() {
                let reason = format!("{keys} keys are wrapped by {kek}, which is not configured");
                return Err(config.invalid(kek_setting(config), reason).into());
            }
        }
        let store = Arc::new(store);
        let ring = Arc::new(Keyring::new(store.clone()));
        Ok(Self { keys: store.clone(), keeping: Some(store), ring, seals: config.privacy.encrypt })
    }

    /// For who folds or writes facts. Who copies them, or checks leaves, reads
    /// the log itself.
    pub fn over(&self, log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        Arc::new(OpenedLog::new(log, self.ring.clone(), self.seals))
    }
}

fn kek_setting(config: &Config) -> &'static str {
    if config.privacy.kek.is_empty() { "privacy.kek_file" } else { "privacy.kek" }
}

/// The configured key-encryption keys. An embedded server makes its own.
fn keks(config: &Config) -> Result<Option<Keks>> {
    let settings = &config.privacy;
    let invalid = |setting: &str, error: KekError| config.invalid(setting, error);
    let newest = if !settings.kek.is_empty() {
        Some(LocalKek::parse(&settings.kek).map_err(|e| invalid("privacy.kek", e))?)
    } else if !settings.kek_file.as_os_str().is_empty() {
        Some(LocalKek::read(&settings.kek_file).map_err(|e| invalid("privacy.kek_file", e))?)
    } else {
        own_kek(config)?
    };
    let Some(newest) = newest else { return Ok(None) };
    let mut older: Vec<Arc<dyn domain::ports::keys::Kek>> = Vec::new();
    for path in &settings.old_kek_files {
        older.push(Arc::new(LocalKek::read(path).map_err(|e| invalid("privacy.old_kek_files", e))?));
    }
    Ok(Some(Keks::new(Arc::new(newest), older)))
}

/// Archiver and relay copy what is sealed.
fn needed(config: &Config) -> bool {
    let copies = |role: &Role| matches!(role, Role::Archiver | Role::Relay);
    Role::ALL.iter().any(|role| config.roles.has(*role) && !copies(role))
}

fn own_kek(config: &Config) -> Result<Option<LocalKek>> {
    let own = config.data_dir.join(KEK_FILE);
    let invalid = |reason: String| config.invalid("privacy.kek_file", reason);
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return match config.privacy.encrypt && needed(config) {
            true => Err(invalid(
                "with PostgreSQL every process needs the same key-encryption key (privacy.kek_file or \
                 privacy.kek); without one say privacy.encrypt = false"
                    .into(),
            )
            .into()),
            false => Ok(None),
        };
    };
    if own.exists() {
        return Ok(Some(LocalKek::read(&own).map_err(|e| invalid(e.to_string()))?));
    }
    let keys = database.with_extension("keys.db");
    if keys.exists() {
        let reason = format!("{} is missing, which wraps the keys in {}", own.display(), keys.display());
        return Err(invalid(reason).into());
    }
    if !config.privacy.encrypt {
        return Ok(None);
    }
    super::stores::make_parent(&own)?;
    let made = LocalKek::make(&own).with_context(|| format!("making {}", own.display()))?;
    tracing::info!(file = %own.display(), "a key-encryption key was made; keep a copy of it apart from the data");
    Ok(Some(made))
}

/// A new key-encryption key, as its file's text.
pub fn new_kek(path: &std::path::Path) -> Result<String> {
    use domain::ports::keys::Kek;
    if path.exists() {
        bail!("{} is there already", path.display());
    }
    Ok(LocalKek::make(path)?.id().to_owned())
}
