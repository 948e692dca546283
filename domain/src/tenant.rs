//! `Tenant`: what a customer configures for all its events. Stream kind
//! `tenant`, one stream, its id the tenant's own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::target_url::{TargetUrl, UrlPolicy, check_host_pattern};

pub const KIND: &str = "tenant";
pub const CONFIGURED: &str = "tenant.configured";
pub const MAX_HOSTS: usize = 100;

/// Holds all settings, changed or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where a tap leads when its band or event offers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_url: Option<TargetUrl>,
    pub urls: UrlPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "tenant.configured")]
    Configured(Settings),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    pub fallback_url: Option<String>,
    /// Hosts that redirects may lead to, `*.` for subdomains. Empty: any.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    #[serde(default)]
    pub allow_http: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub settings: Settings,
}

impl Decide for Tenant {
    const KIND: &'static str = KIND;
    type Command = Configure;
    type Event = Event;

    fn decide(&self, command: Configure, _: &Context) -> Result<Decision<Event>, Rejection> {
        if command.allowed_hosts.len() > MAX_HOSTS {
            let reason = format!("must have at most {MAX_HOSTS} entries");
            return Err(Rejection::field("/allowed_hosts", reason));
        }
        for (i, host) in command.allowed_hosts.iter().enumerate() {
            check_host_pattern(host).map_err(|e| Rejection::field(&format!("/allowed_hosts/{i}"), e))?;
        }
        let urls = UrlPolicy { allow_http: command.allow_http, allowed_hosts: command.allowed_hosts };
        let fallback_url = match command.fallback_url {
            Some(text) => {
                Some(TargetUrl::parse(&text, &urls).map_err(|e| Rejection::field("/fallback_url", e))?)
            }
            None => None,
        };
        let settings = Settings { fallback_url, urls };
        let events = if settings == self.settings { vec![] } else { vec![Event::Configured(settings)] };
        Ok(Decision::events(events))
    }

    fn evolve(&mut self, event: Event) {
        let Event::Configured(settings) = event;
        self.settings = settings;
    }
}
