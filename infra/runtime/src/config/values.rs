//! Settings that are more than a text or a number.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use domain::Secret;
use serde::Deserialize;

/// Where the log and the rows are stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DatabaseUrl {
    /// Only until the data directory is known.
    InDataDir,
    Sqlite(PathBuf),
    /// May hold a password.
    Postgres(Secret),
}

impl TryFrom<String> for DatabaseUrl {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        if url.is_empty() {
            return Ok(Self::InDataDir);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::new(url)));
        }
        let file = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
        match file.unwrap_or_default() {
            "" | ":memory:" => Err("must be sqlite:<file> or postgres://…"),
            file => Ok(Self::Sqlite(file.into())),
        }
    }
}

/// Says which store, without credentials.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InDataDir => f.write_str("sqlite"),
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(_) => f.write_str("postgres"),
        }
    }
}

/// When the hub answers a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HubAck {
    Journal,
    Log,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// A part of the system that a process can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Commands,
    ReadApi,
    Hub,
    Projector,
    Drainer,
    Relay,
    Archiver,
    Warehouse,
    Signer,
    Reactor,
    Dispatcher,
    Poller,
    Worker,
}

impl Role {
    pub const ALL: [Self; 13] = [
        Self::Commands,
        Self::ReadApi,
        Self::Hub,
        Self::Projector,
        Self::Drainer,
        Self::Relay,
        Self::Archiver,
        Self::Warehouse,
        Self::Signer,
        Self::Reactor,
        Self::Dispatcher,
        Self::Poller,
        Self::Worker,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::ReadApi => "read-api",
            Self::Hub => "hub",
            Self::Projector => "projector",
            Self::Drainer => "drainer",
            Self::Relay => "relay",
            Self::Archiver => "archiver",
            Self::Warehouse => "warehouse",
            Self::Signer => "signer",
            Self::Reactor => "reactor",
            Self::Dispatcher => "dispatcher",
            Self::Poller => "poller",
            Self::Worker => "worker",
        }
    }
}

/// Names in the configuration, and the roles that each stands for.
const NAMES: [(&str, &[Role]); 15] = [
    ("all", &Role::ALL),
    ("api", &[Role::Commands, Role::ReadApi]),
    ("commands", &[Role::Commands]),
    ("read-api", &[Role::ReadApi]),
    ("hub", &[Role::Hub]),
    ("projector", &[Role::Projector]),
    ("drainer", &[Role::Drainer]),
    ("relay", &[Role::Relay]),
    ("archiver", &[Role::Archiver]),
    ("warehouse", &[Role::Warehouse]),
    ("signer", &[Role::Signer]),
    ("reactor", &[Role::Reactor]),
    ("dispatcher", &[Role::Dispatcher]),
    ("poller", &[Role::Poller]),
    ("worker", &[Role::Worker]),
];

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub fn is_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }
}

impl TryFrom<Vec<String>> for Roles {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let mut roles = BTreeSet::new();
        for name in &names {
            let Some((_, meant)) = NAMES.iter().find(|(known, _)| known == name) else {
                let known = NAMES.map(|(name, _)| name).join(", ");
                return Err(format!("there is no role {name:?}; there are {known}"));
            };
            roles.extend(meant.iter().copied());
        }
        if roles.is_empty() { Err("must name at least one role".into()) } else { Ok(Self(roles)) }
    }
}

/// A length of time: `300`, `300s`, `5m`, `1h` or `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Interval(pub Duration);

impl TryFrom<String> for Interval {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| "must be a length of time such as 300s, 5m or 1h")?;
        let millis = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err("must be a length of time such as 300s, 5m or 1h"),
        };
        Ok(Self(Duration::from_millis(u64::from(number) * millis)))
    }
}
