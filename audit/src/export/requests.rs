//! What is asked for, and what has become of it so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use daybook_http::Problem;
use daybook_http::problem::Place;
use domain::TenantId;
use domain::audit_trail::Query;
use domain::ports::log::EventLog;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::file::Kind;
use crate::events::{Terms as Words, Wanted, span};

/// Exports that failed are remembered, the newest of them.
const FAILED: usize = 100;

/// Which events, as `GET /v1/audit/events` has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// ndjson (unless told), csv or parquet.
    #[serde(default)]
    pub format: Kind,
    /// Who caused them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// One event type, or several with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Recorded at this RFC 3339 time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Recorded before this RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Past this position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Up to this position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<u64>,
    /// Another tenant than the key's own, for auditors of the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// An export that can be made.
pub struct Asked {
    pub(super) wanted: Wanted,
    pub(super) query: Query,
    pub kind: Kind,
    pub(super) after: u64,
    pub(super) upto: u64,
    pub(super) size: u64,
}

impl Asked {
    /// Positions are fixed here: what is appended later is not exported.
    pub async fn of(log: &dyn EventLog, terms: &Terms, tenant: TenantId) -> Result<Self, Problem> {
        let words = Words {
            actor: terms.actor.as_deref(),
            types: terms.r#type.as_deref(),
            correlation: terms.correlation_id.as_deref(),
            since: terms.since.as_deref(),
            until: terms.until.as_deref(),
            after: terms.after,
            upto: terms.upto,
        };
        let wanted = Wanted::of(&words, tenant.clone()).map_err(in_body)?;
        let size = log.head().await?.position;
        let words = Words { upto: Some(words.upto.unwrap_or(size).min(size)), ..words };
        let span = span(log, &words, 0).await.map_err(in_body)?;
        let query = Query {
            tenant: tenant.to_string(),
            types: wanted.types.iter().map(ToString::to_string).collect(),
            actor: terms.actor.clone(),
            correlation_id: terms.correlation_id.clone(),
            since: terms.since.clone(),
            until: terms.until.clone(),
        };
        Ok(Self { wanted, query, kind: terms.format, after: span.after, upto: span.upto, size })
    }
}

/// The parameters of a query are members of a body here.
fn in_body(problem: Problem) -> Problem {
    match problem.errors() {
        [fault] => match &fault.place {
            Place::Parameter(name) => {
                let said = fault.detail.clone();
                Problem::field(format!("/{name}"), said)
            }
            _ => problem,
        },
        _ => problem,
    }
}

/// What has become of a request that has no fact yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// So many of so many positions.
    Running(u64, u64),
    Failed(String),
}

/// Requests of this process, by tenant and id.
#[derive(Default)]
pub struct Requests(Mutex<BTreeMap<(Uuid, TenantId), Progress>>);

impl Requests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Uuid, TenantId), Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, id: Uuid, tenant: &TenantId, progress: Progress) {
        let mut all = self.lock();
        all.insert((id, tenant.clone()), progress);
        while all.len() > FAILED {
            all.pop_first();
        }
    }

    pub fn done(&self, id: Uuid, tenant: &TenantId) {
        self.lock().remove(&(id, tenant.clone()));
    }

    pub fn get(&self, id: Uuid, tenant: &TenantId) -> Option<Progress> {
        self.lock().get(&(id, tenant.clone())).cloned()
    }
}
