//! Puts the layers together, and remembers where each setting came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// The documentation of all settings.
pub const DEFAULTS: &str = include_str!("config.default.toml");
const FILE: &str = "daybook.toml";

/// Environment variables beside the regular `DAYBOOK_<SECTION>_<NAME>`.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("DATABASE_URL", "database.url"),
    ("HTTP_ADDR", "http.listen"),
    ("CORS_ALLOWED_ORIGINS", "http.cors_allowed_origins"),
    ("API_KEYS", "auth.api_keys"),
    ("RATE_LIMIT_PER_SECOND", "limits.rate_per_second"),
    ("RATE_LIMIT_BURST", "limits.rate_burst"),
    ("RATE_LIMIT_GLOBAL_PER_SECOND", "limits.global_rate_per_second"),
    ("RATE_LIMIT_GLOBAL_BURST", "limits.global_rate_burst"),
    ("HUB_ACK", "hub.ack"),
    ("WEBHOOKS_ALLOW_NETWORKS", "webhooks.allow_networks"),
    ("ARCHIVE_URL", "archive.url"),
    ("ARCHIVE_SEGMENT_BYTES", "archive.segment_bytes"),
    ("ARCHIVE_SEAL_SECONDS", "archive.seal_seconds"),
    ("ARCHIVE_MERGE_BYTES", "archive.merge_bytes"),
    ("ARCHIVE_GRACE_SECONDS", "archive.grace_seconds"),
    ("WAREHOUSE_URL", "warehouse.url"),
    ("BATCH_MAX_EVENTS", "warehouse.batch_max_events"),
    ("BATCH_FLUSH_INTERVAL", "warehouse.batch_flush_interval"),
    ("PARQUET_COMPRESSION", "warehouse.parquet_compression"),
    ("PARQUET_ROW_GROUP_SIZE", "warehouse.parquet_row_group_size"),
    ("RUN_TASK_HASH_MOD", "runs.task_hash_mod"),
    ("RUN_TASK_MAX_ATTEMPTS", "runs.task_max_attempts"),
    ("WORKER_LEASE_SECONDS", "runs.lease_seconds"),
    ("WORKER_CONCURRENCY", "runs.concurrency"),
    ("RUN_RESULTS_URL", "runs.results_url"),
    ("AUDIT_SIGNING_KEYS", "audit.signing_keys"),
    ("AUDIT_ORIGIN", "audit.origin"),
    ("AUDIT_WITNESSES", "audit.witnesses"),
    ("AUDIT_QUORUM", "audit.quorum"),
    ("S3_ENDPOINT", "s3.endpoint"),
    ("S3_REGION", "s3.region"),
    ("S3_BUCKET", "s3.bucket"),
    ("S3_ACCESS_KEY_ID", "s3.access_key_id"),
    ("S3_ACCESS_KEY", "s3.access_key_id"),
    ("S3_SECRET_ACCESS_KEY", "s3.secret_access_key"),
    ("S3_SECRET_KEY", "s3.secret_access_key"),
    ("S3_PATH_STYLE", "s3.path_style"),
    ("LOG_LEVEL", "log.level"),
    ("LOG_FORMAT", "log.format"),
    ("NATS_URL", "nats.url"),
    ("NASCAR_API_URL", "poller.url"),
    ("OLLAMA_BASE_URL", "language.ollama_url"),
    ("OLLAMA_MODEL", "language.ollama_model"),
];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("{file}: there is no setting {setting}")]
    Unknown { file: String, setting: String },
    #[error("{place}: {reason}")]
    Invalid { place: String, reason: String },
}

/// Settings that are also flags of the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Configuration file [default: daybook.toml, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Directory of SQLite files and the journal
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<String>,
    /// sqlite:<file> or postgres://…
    #[arg(long, value_name = "URL", global = true)]
    pub database_url: Option<String>,
    /// Address to serve on
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    pub listen: Option<String>,
    /// What this process does: commands, read-api, api (both), hub, projector, drainer, relay, archiver, warehouse, signer, reactor, dispatcher, poller, worker or all
    #[arg(long, value_name = "ROLE,…", global = true)]
    pub roles: Option<String>,
    /// When a tap is answered: journal, log or none
    #[arg(long, value_name = "ACK", global = true)]
    pub hub_ack: Option<String>,
    /// Where history is sealed: a folder, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL", global = true)]
    pub archive_url: Option<String>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
}

impl Flags {
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static str, &String)> {
        [
            ("--data-dir", "data_dir", &self.data_dir),
            ("--database-url", "database.url", &self.database_url),
            ("--listen", "http.listen", &self.listen),
            ("--roles", "roles", &self.roles),
            ("--hub-ack", "hub.ack", &self.hub_ack),
            ("--archive-url", "archive.url", &self.archive_url),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ]
        .into_iter()
        .filter_map(|(flag, setting, value)| Some((flag, setting, value.as_ref()?)))
    }
}

/// Which flag, variable or file each setting came from; defaults aren't listed.
#[derive(Clone, Default)]
pub struct Sources(BTreeMap<String, String>);

impl Sources {
    pub fn place(&self, setting: &str) -> String {
        // An entry of a list or table belongs to the setting that holds it.
        let mut prefix = setting;
        loop {
            if let Some(source) = self.0.get(prefix) {
                return source.clone();
            }
            match prefix.rfind(['.', '[']) {
                Some(end) => prefix = &prefix[..end],
                None => return setting.to_owned(),
            }
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

pub fn load(flags: &Flags, env: Env) -> Result<Config, ConfigError> {
    let mut settings = defaults()?;
    let mut sources = Sources::default();
    let named = flags.config.clone().or_else(|| env("DAYBOOK_CONFIG").map(PathBuf::from));
    let file = named.clone().unwrap_or_else(|| FILE.into());
    if named.is_some() || file.exists() {
        let layer = read_file(&file)?;
        merge(&mut settings, layer, "", &file.display().to_string(), &mut sources)?;
    }
    for (setting, default) in leaves(&settings, "") {
        let given = names(&setting).into_iter().find_map(|name| Some((env(&name)?, name)));
        if let Some((text, name)) = given {
            set(&mut settings, &setting, parse(&text, &default, &name)?);
            sources.0.insert(setting, name);
        }
    }
    for (flag, setting, text) in flags.given() {
        if let Some((_, default)) = leaves(&settings, "").into_iter().find(|(s, _)| s == setting) {
            set(&mut settings, setting, parse(text, &default, flag)?);
            sources.0.insert(setting.to_owned(), flag.to_owned());
        }
    }
    let mut config: Config = serde_path_to_error::deserialize(Value::Table(settings)).map_err(|e| {
        let setting = e.path().to_string();
        let reason = e.into_inner().message().to_owned();
        ConfigError::Invalid { place: sources.place(&setting), reason }
    })?;
    config.sources = sources;
    config.finish()
}

/// The environment variables of a setting; the first wins.
fn names(setting: &str) -> Vec<String> {
    let regular = format!("DAYBOOK_{}", setting.replace('.', "_").to_ascii_uppercase());
    let short = SHORT_NAMES.iter().filter(|(_, s)| *s == setting).map(|(name, _)| (*name).to_owned());
    std::iter::once(regular).chain(short).collect()
}

/// Every environment variable that sets something.
pub fn variables() -> Vec<String> {
    let settings = defaults().unwrap_or_default();
    leaves(&settings, "").iter().flat_map(|(setting, _)| names(setting)).collect()
}

fn defaults() -> Result<Table, ConfigError> {
    DEFAULTS.parse().map_err(|e: toml::de::Error| ConfigError::File {
        path: "config.default.toml".into(),
        reason: e.message().to_owned(),
    })
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let fail = |reason: String| ConfigError::File { path: path.into(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    // The whole error quotes the line, which may hold a secret.
    text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |s| text[..s.start].lines().count().max(1));
        fail(format!("line {line}: {}", e.message()))
    })
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// A table of settings, as opposed to one with names of the operator's choice.
fn is_section(value: &Value) -> bool {
    value.as_table().is_some_and(|t| !t.is_empty())
}

fn merge(
    under: &mut Table,
    over: Table,
    prefix: &str,
    file: &str,
    sources: &mut Sources,
) -> Result<(), ConfigError> {
    for (name, value) in over {
        let setting = join(prefix, &name);
        let Some(present) = under.get_mut(&name) else {
            return Err(ConfigError::Unknown { file: file.to_owned(), setting });
        };
        let place = format!("{file}: {setting}");
        if !present.same_type(&value) {
            let reason = format!("must be {}, not {}", with_article(present), with_article(&value));
            return Err(ConfigError::Invalid { place, reason });
        }
        match (present, value) {
            (present, Value::Table(value)) if is_section(present) => {
                // Same type, so it is a table.
                if let Some(present) = present.as_table_mut() {
                    merge(present, value, &setting, file, sources)?;
                }
            }
            (present, value) => {
                *present = value;
                sources.0.insert(setting, place);
            }
        }
    }
    Ok(())
}

fn with_article(value: &Value) -> String {
    match value.type_str() {
        kind @ ("integer" | "array") => format!("an {kind}"),
        kind => format!("a {kind}"),
    }
}

/// All settings with their values.
fn leaves(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in table {
        let setting = join(prefix, name);
        match value {
            // The hosts are the one table that is a setting itself.
            Value::Table(section) if setting != "hub.hosts" => all.extend(leaves(section, &setting)),
            _ => all.push((setting, value.clone())),
        }
    }
    all
}

fn set(table: &mut Table, setting: &str, value: Value) {
    match setting.split_once('.') {
        Some((section, rest)) => {
            if let Some(section) = table.get_mut(section).and_then(Value::as_table_mut) {
                set(section, rest, value);
            }
        }
        None => {
            table.insert(setting.to_owned(), value);
        }
    }
}

/// A text as a value of the default's type. Errors don't quote the text.
fn parse(text: &str, default: &Value, place: &str) -> Result<Value, ConfigError> {
    let text = text.trim();
    let items = || text.split(',').map(str::trim).filter(|i| !i.is_empty());
    let invalid = |reason: &str| ConfigError::Invalid { place: place.to_owned(), reason: reason.to_owned() };
    match default {
        Value::Integer(_) => {
            text.replace('_', "").parse().map(Value::Integer).map_err(|_| invalid("must be a whole number"))
        }
        Value::Boolean(_) => text.parse().map(Value::Boolean).map_err(|_| invalid("must be true or false")),
        Value::Array(_) => Ok(Value::Array(items().map(|i| Value::String(i.to_owned())).collect())),
        Value::Table(_) => items()
            .map(|i| {
                let (name, value) = i.split_once('=').ok_or_else(|| invalid("must be name=value,…"))?;
                Ok((name.trim().to_owned(), Value::String(value.trim().to_owned())))
            })
            .collect::<Result<Table, _>>()
            .map(Value::Table),
        _ => Ok(Value::String(text.to_owned())),
    }
}
