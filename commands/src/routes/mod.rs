//! One file per aggregate.

pub mod anomalies;
pub mod bands;
pub mod bulk;
pub mod keys;
pub mod live_events;
pub mod privacy;
pub mod races;
pub mod rules;
pub mod schemas;
pub mod tenant;
pub mod webhooks;

use daybook_http::Problem;
use domain::api_key::Role;
use domain::decide::Decide;
use domain::target_url::UrlPolicy;
use serde::Deserialize;

use crate::caller::{Caller, problem};
use crate::execute::{Services, execute};
use crate::reply::Outcome;

/// The body of a command without fields: `{}` or nothing.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// Executes a writer's command.
pub async fn write<A>(
    services: &Services,
    caller: Caller,
    id: &str,
    body_hash: [u8; 32],
    urls: UrlPolicy,
    command: A::Command,
) -> Result<Outcome, Problem>
where
    A: Decide,
    A::Command: Clone,
{
    let call = caller.call(Role::Writer, id, body_hash, urls);
    execute::<A>(services, &call, command).await.map_err(|e| problem(e, call.names_version()))
}
