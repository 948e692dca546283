//! Who signs the log's tree, and with what.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use daybook_http::health::Status;
use domain::ports::clock::Clock;
use domain::ports::log::EventLog;
use domain::ports::tree::TreeLog;
use infra_runtime::Config;
use infra_runtime::config::{ConfigError, DatabaseUrl};
use proofs::{LogTiles, SigningKey};
use rand::RngExt;
use read_api::routes::tlog::TreeState;
use tokio::sync::watch;
use workers::signer::SignerState;
use workers::{Signer, SignerConfig};
use zeroize::Zeroizing;

use super::{OpenLog, witnesses};

/// The keys of the configuration, for those who sign. An embedded server has
/// one of its own, made when it is first asked for.
pub fn signing_keys(config: &Config) -> Result<Vec<SigningKey>, ConfigError> {
    if let Some(file) = own_key(config).filter(|file| !file.exists()) {
        let name = format!("daybook.invalid/{}", hex::encode(rand::rng().random::<[u8; 8]>()));
        match make_key(&name, &file) {
            // Another process was first: its key is the key.
            Err(_) if file.exists() => {}
            made => {
                made.map_err(|error| config.invalid("audit.signing_keys", format!("{error:#}")))?;
            }
        }
    }
    present_keys(config)
}

/// The keys of the configuration that there are. Makes none, so that looking
/// changes nothing.
pub fn present_keys(config: &Config) -> Result<Vec<SigningKey>, ConfigError> {
    let files = match own_key(config) {
        Some(own) => Vec::from_iter(own.exists().then_some(own)),
        None => config.audit.signing_keys.clone(),
    };
    let mut keys: Vec<SigningKey> = Vec::new();
    for file in &files {
        let key = read_key(config, file)?;
        let (name, id) = (key.public().name(), key.public().id());
        if keys.iter().any(|k| (k.public().name(), k.public().id()) == (name, id)) {
            let reason = format!("names key {name}+{id:08x} twice, the second time in {}", file.display());
            return Err(config.invalid("audit.signing_keys", reason));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Where an embedded server that was given no key has its own.
fn own_key(config: &Config) -> Option<PathBuf> {
    let embedded = !matches!(config.database.url, DatabaseUrl::Postgres(_));
    (embedded && config.audit.signing_keys.is_empty()).then(|| config.data_dir.join("audit.key"))
}

/// A new key in a new file that only its owner can read.
pub fn make_key(name: &str, file: &Path) -> Result<SigningKey> {
    let seed = Zeroizing::new(rand::rng().random::<[u8; 32]>());
    let key = SigningKey::generate(name, &seed)?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let text = Zeroizing::new(format!("{}\n", key.skey().as_str()));
    workers::file::create(file, text.as_bytes()).with_context(|| format!("making {}", file.display()))?;
    Ok(key)
}

/// A key that others could read may have been read.
fn read_key(config: &Config, file: &Path) -> Result<SigningKey, ConfigError> {
    let refused = |reason: &dyn std::fmt::Display| {
        config.invalid("audit.signing_keys", format!("names {}: {reason}", file.display()))
    };
    let mode = std::fs::metadata(file).map_err(|e| refused(&e))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(refused(&"others than its owner can use it (chmod 600)"));
    }
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|e| refused(&e))?);
    SigningKey::parse(&text).map_err(|e| refused(&e))
}

/// Whose statements are made and served here, if anybody's.
pub fn origin(config: &Config, keys: &[SigningKey]) -> Option<String> {
    match config.audit.origin.as_str() {
        "" => keys.first().map(|key| key.public().name().to_owned()),
        named => Some(named.to_owned()),
    }
}

/// What the routes of the tree need. `log` reads what was trimmed, too.
pub fn tree_state(log: Arc<dyn EventLog>, tree: Arc<dyn TreeLog>, origin: Option<String>) -> TreeState {
    TreeState { log, tiles: Arc::new(LogTiles::new(tree.clone())), tree, origin }
}

/// `None` if there is no key to sign with.
pub fn signer(
    config: &Config,
    log: &OpenLog,
    keys: Vec<SigningKey>,
    clock: Arc<dyn Clock>,
) -> Result<Option<Arc<Signer>>, ConfigError> {
    let shown = witnesses::shown(config, &log.tree)?;
    let Some(origin) = origin(config, &keys).filter(|_| !keys.is_empty()) else { return Ok(None) };
    let signing = SignerConfig {
        origin,
        keys,
        every: Duration::from_millis(config.audit.sign_ms.into()),
        record: config.audit.record.clone(),
    };
    let tiles = Arc::new(LogTiles::new(log.tree.clone()));
    let signer = Signer::new(log.tree.clone(), tiles, Vec::new(), clock, signing);
    Ok(Some(Arc::new(signer.showing(shown))))
}

/// The page is public: what is wrong stands in the log.
pub fn health(state: &watch::Receiver<SignerState>) -> Status {
    let state = state.borrow();
    let mut detail = match &state.error {
        None => format!("signed up to position {}", state.signed),
        Some(_) => format!("nothing is signed past position {}", state.signed),
    };
    for witness in &state.witnesses {
        detail.push_str(&format!(", cosigned by {} up to {}", witness.name, witness.cosigned));
    }
    match &state.error {
        None => Status::ok(detail),
        Some(_) => Status::failed(detail),
    }
}
