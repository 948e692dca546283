//! One configuration from flags over environment over file over defaults.
//!
//! `config.default.toml` is both the defaults and their documentation.

mod load;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::{Secret, TenantId};
use serde::Deserialize;

pub use load::{ConfigError, DEFAULTS, Flags, Sources, variables};
pub use values::{DatabaseUrl, HubAck, Interval, LogFormat, Role, Roles};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data_dir: PathBuf,
    pub roles: Roles,
    pub database: DatabaseSettings,
    pub http: HttpSettings,
    pub auth: AuthSettings,
    pub limits: LimitSettings,
    pub gateway: GatewaySettings,
    pub webhooks: WebhookSettings,
    pub vitals: VitalsSettings,
    pub hub: HubSettings,
    pub replays: ReplaySettings,
    pub privacy: PrivacySettings,
    pub runs: RunSettings,
    pub archive: ArchiveSettings,
    pub warehouse: WarehouseSettings,
    pub audit: AuditSettings,
    pub s3: S3Settings,
    pub sql: SqlSettings,
    pub log: LogSettings,
    pub nats: NatsSettings,
    pub poller: PollerSettings,
    pub seal: SealSettings,
    pub language: LanguageSettings,
    #[serde(skip)]
    pub sources: Sources,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    pub url: DatabaseUrl,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    pub listen: SocketAddr,
    pub cors_allowed_origins: Vec<String>,
    pub max_connections: usize,
    pub head_timeout_seconds: u32,
    pub concurrency: usize,
    pub timeout_seconds: u32,
    pub drain_seconds: u32,
    pub trusted_proxies: Vec<String>,
}

impl HttpSettings {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    pub fn head_timeout(&self) -> Duration {
        Duration::from_secs(self.head_timeout_seconds.into())
    }

    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    pub api_keys: Secret,
    pub failures_per_minute: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    pub rate_per_second: u32,
    pub rate_burst: u32,
    pub global_rate_per_second: u32,
    pub global_rate_burst: u32,
    pub body_bytes: usize,
    pub bulk_body_bytes: usize,
    pub bulk_rows: usize,
    pub bulk_uploads: usize,
    pub json_depth: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySettings {
    pub rate_per_second: u32,
    pub rate_burst: u32,
    pub global_rate_per_second: u32,
    pub global_rate_burst: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitalsSettings {
    pub every_seconds: u32,
    pub tenant: TenantId,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    pub allow_networks: Vec<String>,
    pub allow_http: bool,
    pub retry_after: Vec<Interval>,
    pub jitter_percent: u32,
    pub max_retry_after_seconds: u32,
    pub concurrency: usize,
    pub disable_after_hours: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSettings {
    pub ack: HubAck,
    pub default_tenant: TenantId,
    /// Lower-case host names.
    pub hosts: BTreeMap<String, TenantId>,
    pub country_header: String,
    /// Never empty once loaded.
    pub journal_dir: PathBuf,
    pub journal_segment_bytes: u64,
    pub journal_max_bytes: u64,
    pub drain_per_second: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaySettings {
    pub memory_bytes: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySettings {
    pub encrypt: bool,
    pub kek: Secret,
    pub kek_file: PathBuf,
    pub old_kek_files: Vec<PathBuf>,
    pub keys_url: Secret,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    pub task_hash_mod: u32,
    pub task_max_attempts: u32,
    pub lease_seconds: u32,
    pub concurrency: usize,
    pub max_cells: u64,
    /// Never empty once loaded.
    pub results_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSettings {
    /// Never empty once loaded.
    pub url: String,
    pub segment_bytes: u64,
    pub seal_seconds: u32,
    pub merge_bytes: u64,
    pub grace_seconds: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarehouseSettings {
    pub url: String,
    pub batch_max_events: usize,
    pub batch_flush_interval: Interval,
    pub parquet_compression: String,
    pub parquet_row_group_size: usize,
    pub compact_bytes: u64,
    pub compact_max_bytes: u64,
    pub compact_after_seconds: u32,
    pub grace_seconds: u32,
}

impl WarehouseSettings {
    /// Whether there is a warehouse at all.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// Empty: the name of the first key.
    pub origin: String,
    pub signing_keys: Vec<PathBuf>,
    pub record: PathBuf,
    pub sign_ms: u32,
    pub public: bool,
    /// Key and address of each, with a space between.
    pub witnesses: Vec<String>,
    pub quorum: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub path_style: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSettings {
    pub timeout_seconds: u32,
    pub memory_bytes: usize,
    pub rows: usize,
    pub max_rows: usize,
    pub answer_bytes: usize,
    pub queries: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    pub url: Secret,
    pub credentials_file: PathBuf,
    pub stream: String,
    pub subjects: String,
    pub replicas: usize,
    pub max_age_seconds: u32,
    pub max_bytes: u64,
    pub max_messages: u64,
    pub duplicate_window_seconds: u32,
    pub live: bool,
    pub in_flight: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollerSettings {
    /// Empty: nothing is asked.
    pub url: String,
    /// In cron form, UTC.
    pub schedule: String,
    pub live_seconds: u32,
    pub tenant: TenantId,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealSettings {
    /// 0: nothing is sealed by itself.
    pub before_seconds: u32,
    pub runs: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageSettings {
    /// Both URLs empty: no text is sent anywhere.
    pub ollama_url: String,
    pub ollama_model: String,
    pub openai_url: String,
    pub openai_model: String,
    pub embedding_model: String,
    pub api_key: Secret,
    pub api_key_file: PathBuf,
    pub timeout_seconds: u32,
    pub attempts: u32,
    pub calls_per_day: u64,
    pub tokens_per_day: u64,
}

impl NatsSettings {
    /// Whether there is a bus at all.
    pub fn is_set(&self) -> bool {
        !self.url.reveal().is_empty()
    }
}

impl Config {
    /// From the flags, the process's environment and the file.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        load::load(flags, &|name| std::env::var(name).ok())
    }

    /// The defaults alone, for tests and for the embedded server.
    pub fn defaults() -> Result<Self, ConfigError> {
        load::load(&Flags::default(), &|_| None)
    }

    /// An error about a setting that only shows up where it is used, naming
    /// the variable, flag or file that it came from.
    pub fn invalid(&self, setting: &str, reason: impl std::fmt::Display) -> ConfigError {
        ConfigError::Invalid { place: self.sources.place(setting), reason: reason.to_string() }
    }

    /// Fills in what follows from other settings, and checks ranges.
    fn finish(mut self) -> Result<Self, ConfigError> {
        if matches!(&self.database.url, DatabaseUrl::InDataDir) {
            self.database.url = DatabaseUrl::Sqlite(self.data_dir.join("daybook.db"));
        }
        if self.hub.journal_dir.as_os_str().is_empty() {
            self.hub.journal_dir = self.data_dir.join("journal");
        }
        if self.archive.url.is_empty() {
            self.archive.url = match self.s3.bucket.is_empty() {
                true => self.data_dir.join("archive").display().to_string(),
                false => format!("s3://{}", self.s3.bucket),
            };
        }
        if self.runs.results_url.is_empty() {
            self.runs.results_url = match self.s3.bucket.is_empty() {
                true => self.data_dir.join("results").display().to_string(),
                false => format!("s3://{}/results", self.s3.bucket),
            };
        }
        if self.audit.record.as_os_str().is_empty() {
            self.audit.record = self.data_dir.join("audit.checkpoint");
        }
        self.hub.hosts = std::mem::take(&mut self.hub.hosts)
            .into_iter()
            .map(|(host, tenant)| (host.to_ascii_lowercase(), tenant))
            .collect();
        let limits = &self.limits;
        let at_least_1 = [
            ("nats.in_flight", self.nats.in_flight),
            ("runs.task_hash_mod", self.runs.task_hash_mod as usize),
            ("runs.task_max_attempts", self.runs.task_max_attempts as usize),
            ("runs.lease_seconds", self.runs.lease_seconds as usize),
            ("runs.concurrency", self.runs.concurrency),
            ("audit.sign_ms", self.audit.sign_ms as usize),
            ("http.max_connections", self.http.max_connections),
            ("http.head_timeout_seconds", self.http.head_timeout_seconds as usize),
            ("http.concurrency", self.http.concurrency),
            ("http.timeout_seconds", self.http.timeout_seconds as usize),
            ("limits.body_bytes", limits.body_bytes),
            ("limits.bulk_body_bytes", limits.bulk_body_bytes),
            ("limits.bulk_rows", limits.bulk_rows),
            ("limits.bulk_uploads", limits.bulk_uploads),
            ("limits.json_depth", limits.json_depth),
            ("archive.segment_bytes", usize::try_from(self.archive.segment_bytes).unwrap_or(usize::MAX)),
            ("warehouse.batch_max_events", self.warehouse.batch_max_events),
            ("warehouse.parquet_row_group_size", self.warehouse.parquet_row_group_size),
            ("sql.timeout_seconds", self.sql.timeout_seconds as usize),
            ("webhooks.concurrency", self.webhooks.concurrency),
            ("webhooks.disable_after_hours", self.webhooks.disable_after_hours as usize),
            ("language.timeout_seconds", self.language.timeout_seconds as usize),
            ("language.attempts", self.language.attempts as usize),
            ("sql.rows", self.sql.rows),
            ("sql.max_rows", self.sql.max_rows),
            ("sql.queries", self.sql.queries),
        ];
        if let Some((setting, _)) = at_least_1.iter().find(|(_, value)| *value == 0) {
            return Err(self.invalid(setting, "must be at least 1"));
        }
        if limits.json_depth > 120 {
            return Err(self.invalid("limits.json_depth", "must be at most 120"));
        }
        if self.hub.journal_segment_bytes < 1 << 20 {
            return Err(self.invalid("hub.journal_segment_bytes", "must be at least 1048576"));
        }
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        for (setting, text) in [("nats.stream", &self.nats.stream), ("nats.subjects", &self.nats.subjects)] {
            if !word(text) {
                return Err(self.invalid(setting, "must be letters, digits, - and _"));
            }
        }
        if !(1..=5).contains(&self.nats.replicas) {
            return Err(self.invalid("nats.replicas", "must be 1 to 5"));
        }
        if self.seal.before_seconds != 0 && !(30..=604_800).contains(&self.seal.before_seconds) {
            return Err(self.invalid("seal.before_seconds", "must be 30 to 604800, or 0"));
        }
        if !(1_000..=50_000).contains(&self.seal.runs) {
            return Err(self.invalid("seal.runs", "must be 1000 to 50000"));
        }
        if self.warehouse.batch_max_events > 1_000_000 {
            return Err(self.invalid("warehouse.batch_max_events", "must be at most 1000000"));
        }
        if self.warehouse.compact_max_bytes < self.warehouse.compact_bytes {
            return Err(self.invalid("warehouse.compact_max_bytes", "must not be less than compact_bytes"));
        }
        if self.roles.has(Role::Warehouse) && !self.roles.is_all() && !self.warehouse.is_set() {
            return Err(self.invalid("warehouse.url", "must be set for the role warehouse"));
        }
        if self.roles.has(Role::Relay) && !self.roles.is_all() && !self.nats.is_set() {
            return Err(self.invalid("nats.url", "must be set for the role relay"));
        }
        let language = &self.language;
        if !language.ollama_url.is_empty() && !language.openai_url.is_empty() {
            return Err(self.invalid("language.openai_url", "must be empty where ollama_url is set"));
        }
        // The day's ledger is read whole before each call.
        if language.calls_per_day > 10_000 {
            return Err(self.invalid("language.calls_per_day", "must be at most 10000"));
        }
        if language.timeout_seconds > 600 || language.attempts > 10 {
            return Err(self.invalid("language.timeout_seconds", "must be at most 600, attempts at most 10"));
        }
        if self.hub.journal_max_bytes < self.hub.journal_segment_bytes {
            return Err(self.invalid("hub.journal_max_bytes", "must not be less than journal_segment_bytes"));
        }
        Ok(self)
    }
}
