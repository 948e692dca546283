//! The hub: `GET|HEAD /e?bandId=…` leads a tap where the band's event wants it
//! now, and records it.
//!
//! `table` knows where taps lead and `follow` keeps it at the log's head;
//! `server` accepts connections, its `lane`s serve them; `request` is what a
//! tap asks, `redirect` decides, `record` makes the tap durable, then the
//! `answer` goes out. Everything but taps goes on to the router.

pub mod answer;
pub mod client;
mod document;
pub mod follow;
mod lane;
mod record;
pub mod redirect;
pub mod request;
mod seed;
pub mod server;
pub mod table;
pub mod visitor;

use std::collections::HashMap;
use std::sync::Arc;

use domain::TenantId;
use domain::ports::clock::{Clock, Ids};
use domain::ports::journal::TapJournal;
use domain::ports::log::EventLog;

pub use client::Proxies;
pub use follow::follow;
pub use record::Ack;
pub use seed::seed;
pub use table::{HubTable, Seed};
pub use visitor::Visitors;

use record::Recorder;

/// The hub's part of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    <document::Doc as utoipa::OpenApi>::openapi()
}

/// The path that the hub answers.
pub const PATH: &str = "/e";

#[derive(Debug, Clone)]
pub struct HubConfig {
    pub ack: Ack,
    /// Host names, lower case and without port, that belong to one tenant.
    pub hosts: HashMap<String, TenantId>,
    /// Whose bands are meant if neither host nor query say so.
    pub default_tenant: TenantId,
    pub proxies: Proxies,
}

impl HubConfig {
    pub fn new(default_tenant: TenantId) -> Self {
        Self { ack: Ack::default(), hosts: HashMap::new(), default_tenant, proxies: Proxies::default() }
    }
}

/// What the hub is made of.
pub struct Parts {
    pub table: Arc<HubTable>,
    pub journal: Arc<dyn TapJournal>,
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub visitors: Visitors,
}

pub struct Hub {
    config: HubConfig,
    table: Arc<HubTable>,
    clock: Arc<dyn Clock>,
    visitors: Visitors,
    recorder: Recorder,
    redirects: metrics::Counter,
    misses: metrics::Counter,
}

impl Hub {
    pub fn new(config: HubConfig, parts: Parts) -> Self {
        Self {
            config,
            table: parts.table,
            clock: parts.clock,
            visitors: parts.visitors,
            recorder: Recorder::new(parts.journal, parts.log, parts.ids),
            redirects: metrics::counter!("daybook_hub_redirects_total"),
            misses: metrics::counter!("daybook_hub_not_found_total"),
        }
    }

    pub fn table(&self) -> &Arc<HubTable> {
        &self.table
    }
}
