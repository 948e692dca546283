//! Portfolio valuation from files and from the log: facts are recorded by the
//! same decisions wherever the log is, and folded by the same code.

pub mod priced;
pub mod published;
pub mod read;
mod record;
pub mod sample;

pub use runs::compose;

use std::sync::Arc;

use anyhow::Result;
use commands::Services;
use commands::execute::{Call, load};
use daybook_http::Principal;
use domain::TenantId;
use domain::api_key::Role;
use domain::decide::stream_of;
use domain::ports::log::ReadFilter;
use domain::target_url::UrlPolicy;
use domain::valuation::market_name::MarketName;
use domain::valuation::portfolio::{EVENT_TYPES, Portfolio};

pub use ::runs::inputs::{holding, open};
pub use record::{Answer, Recorded};

const PAGE: usize = 5_000;

/// What was asked for does not hold: wrong usage, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Who values what, on which log.
pub struct Desk {
    pub services: Services,
    pub tenant: TenantId,
    pub actor: Arc<str>,
}

impl Desk {
    fn call(&self, id: &str) -> Call {
        Call {
            principal: Principal::new(self.tenant.clone(), "cli", &[Role::Admin]),
            actor: self.actor.clone(),
            role: Role::Admin,
            id: id.to_owned(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        }
    }

    /// The id of the market snapshot that has a name.
    pub async fn market_named(&self, name: &str) -> Result<Option<String>> {
        let stream = stream_of::<MarketName>(&self.tenant, name).map_err(|e| Invalid(e.to_string()))?;
        Ok(load::<MarketName>(&self.services, &stream).await?.state.sha256)
    }

    /// Everything of the tenant that a valuation starts from, at the log's head.
    pub async fn portfolio(&self) -> Result<Portfolio> {
        let filter = ReadFilter { tenant: Some(self.tenant.clone()), ..ReadFilter::types(EVENT_TYPES) };
        let (mut portfolio, mut after) = (Portfolio::default(), 0);
        loop {
            let page = self.services.log.read(after, PAGE, &filter).await?;
            for event in &page.events {
                portfolio.apply(event)?;
            }
            if page.through <= after {
                return Ok(portfolio);
            }
            after = page.through;
        }
    }
}
