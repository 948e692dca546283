//! `WebhookEndpoint`: an address that is told of events, and how. Stream kind
//! `webhook`.
//!
//! What signs and what authenticates is sealed under a key of the endpoint
//! before it is recorded ([`PERSONAL`]) and is given to nobody but the
//! dispatcher.

pub mod address;
mod check;
mod commands;
#[cfg(test)]
mod tests;

pub use commands::{Change, Command, NewKey, SigningKey, Status, WebhookEndpoint};

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::personal::{Personal, PersonalText};

pub const KIND: &str = "webhook";
pub const CREATED: &str = "webhook.created";
pub const CHANGED: &str = "webhook.changed";
pub const SECRET_ROTATED: &str = "webhook.secret_rotated";
pub const PAUSED: &str = "webhook.paused";
pub const RESUMED: &str = "webhook.resumed";
pub const DISABLED: &str = "webhook.disabled";
pub const DELETED: &str = "webhook.deleted";
pub const TESTED: &str = "webhook.tested";

pub const EVENT_TYPES: &[&str] =
    &[CREATED, CHANGED, SECRET_ROTATED, PAUSED, RESUMED, DISABLED, DELETED, TESTED];

const fn sealed(fields: &'static [&'static str]) -> Personal {
    Personal { kind: KIND, member: "endpoint", fields }
}

/// The subject of an endpoint's secrets is `webhook:<id>`.
pub const PERSONAL: Personal = sealed(&["secret", "credential", "headers"]);
/// Of `webhook.changed`.
pub const PERSONAL_CHANGE: Personal = sealed(&["credential", "headers"]);
/// Of `webhook.secret_rotated`.
pub const PERSONAL_KEY: Personal = sealed(&["secret"]);

pub const MAX_URL_BYTES: usize = 2_048;
pub const MAX_FILTERS: usize = 64;
pub const MAX_HEADERS: usize = 20;
pub const MAX_HEADER_BYTES: usize = 1_024;
pub const MAX_CREDENTIAL_BYTES: usize = 1_024;
pub const DEFAULT_TIMEOUT_MS: u32 = 15_000;
pub const DEFAULT_CONCURRENCY: u32 = 4;
/// Keys that sign at the same time: the newest and those it replaces.
pub const MAX_KEYS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = WebhookMethod)]
pub enum Method {
    #[default]
    Post,
    Put,
}

/// What is sent beside the signatures. The password, the token or the key is
/// the endpoint's `credential`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = WebhookAuth)]
pub enum Auth {
    #[default]
    None,
    Basic {
        username: String,
    },
    Bearer,
    /// `sha256=` and the base64 of the body's HMAC-SHA256
    Hmac {
        /// Name of the header, such as X-Signature
        header: String,
    },
}

impl Auth {
    pub fn needs_credential(&self) -> bool {
        *self != Self::None
    }
}

/// Which events an endpoint is told of, beside those whose rule names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookFilter)]
pub struct Filter {
    /// What these rules match. Without any, the signals of `apps` and `types`
    /// themselves
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Only signals of these applications
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
    /// Only signals of these types; `order.*` is every type that begins so
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}

impl Filter {
    fn admits(&self, app: &str, signal_type: Option<&str>) -> bool {
        // A window has signals of more than one type, perhaps.
        let Some(signal_type) = signal_type else {
            return self.apps.is_empty() || self.apps.iter().any(|a| a == app);
        };
        let typed = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => signal_type.starts_with(start),
            None => pattern == signal_type,
        };
        (self.apps.is_empty() || self.apps.iter().any(|a| a == app))
            && (self.types.is_empty() || self.types.iter().any(typed))
    }

    /// Whether a signal by itself is told of.
    pub fn takes_signal(&self, app: &str, signal_type: &str) -> bool {
        self.takes_signals() && self.admits(app, Some(signal_type))
    }

    /// Whether any signal by itself can be told of.
    pub fn takes_signals(&self) -> bool {
        self.rules.is_empty() && !(self.apps.is_empty() && self.types.is_empty())
    }

    /// Whether what the rule found is told of, for the filter alone.
    pub fn takes_rule(&self, rule: &str, app: &str, signal_type: Option<&str>) -> bool {
        self.rules.iter().any(|r| r == rule) && self.admits(app, signal_type)
    }
}

/// What of a signal keeps its deliveries in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookOrder)]
pub enum OrderedBy {
    App,
    Type,
    Source,
    Subject,
    Device,
}

/// All that an endpoint says of itself, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookDefinition)]
pub struct Definition {
    /// https, without a user name or a fragment
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    pub filter: Filter,
    #[serde(default)]
    pub auth: Auth,
    /// One delivery after the other for each value; the next waits until the
    /// one before was delivered or given up
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<OrderedBy>,
    /// Of the whole exchange, 100 to 60,000; 15,000 unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Requests at once, 1 to 32; 4 unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Requests begun in a second, 1 to 1,000; no limit unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
}

/// Headers that are sent too. They may hold secrets and are kept as such.
pub type Headers = BTreeMap<String, String>;

/// Why nothing more is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledBy {
    /// It answered 410
    Gone,
    /// Nothing but failures for days
    Failing,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "webhook.created")]
    Created {
        endpoint: String,
        definition: Definition,
        /// `whsec_…` or `whsk_…`.
        secret: PersonalText,
        /// `whpk_…` of a secret that is a key pair's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_key: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<PersonalText>,
        /// [`Headers`] as JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headers: Option<PersonalText>,
    },
    /// All that it says from now on; its signing keys stay.
    #[serde(rename = "webhook.changed")]
    Changed {
        endpoint: String,
        definition: Definition,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<PersonalText>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headers: Option<PersonalText>,
    },
    /// The keys before it go on signing until then.
    #[serde(rename = "webhook.secret_rotated")]
    SecretRotated {
        endpoint: String,
        secret: PersonalText,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_key: Option<String>,
        overlap_until: Timestamp,
    },
    #[serde(rename = "webhook.paused")]
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    #[serde(rename = "webhook.resumed")]
    Resumed {},
    #[serde(rename = "webhook.disabled")]
    Disabled {
        by: DisabledBy,
        /// Since when everything failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    #[serde(rename = "webhook.deleted")]
    Deleted {},
    /// Somebody asked for a ping.
    #[serde(rename = "webhook.tested")]
    Tested {},
}
