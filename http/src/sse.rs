//! Server-sent events: how many streams, for how long, and how they are resumed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::TenantId;
use futures::stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Messages are at least this far apart.
pub const COALESCE: Duration = Duration::from_millis(200);
/// How often the store is asked where nothing in this process moves it.
pub const POLL: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Then the client comes back, and its key is checked again.
pub const LIFETIME: Duration = Duration::from_mins(10);
const MAX_PER_TENANT: usize = 100;

/// Open streams by tenant.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<HashMap<TenantId, usize>>>);

/// One open stream; counted until it is dropped.
pub struct Open {
    connections: Connections,
    tenant: TenantId,
}

impl Connections {
    pub fn open(&self, tenant: &TenantId) -> Result<Open, Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(tenant.clone()).or_default();
        if *count >= MAX_PER_TENANT {
            let detail = format!("{MAX_PER_TENANT} streams of this tenant are open already.");
            return Err(Problem::new(Kind::RateLimited, detail).retry_after(5));
        }
        *count += 1;
        Ok(Open { connections: self.clone(), tenant: tenant.clone() })
    }
}

impl Open {
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.tenant);
            }
        }
    }
}

/// The id of the last message that the client saw.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|v| v.trim().parse().ok());
    position
        .map(Some)
        .ok_or_else(|| Problem::header(LAST_EVENT_ID, "must be the id of a message of this stream"))
}

/// The answer whose messages these are. A server that stops ends its streams;
/// the client comes back elsewhere.
pub fn streamed(
    messages: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
    stop: CancellationToken,
) -> Response {
    let messages = messages.take_until(stop.cancelled_owned());
    let mut response = Sse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // Proxies must not collect messages before they pass them on.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_many_streams_and_gets_back_what_it_closes() {
        let connections = Connections::default();
        let [one, other] = ["one", "other"].map(|t| TenantId::new(t).unwrap());
        let mut held: Vec<Open> = (0..MAX_PER_TENANT).map(|_| connections.open(&one).ok().unwrap()).collect();
        assert!(connections.open(&one).is_err());
        assert!(connections.open(&other).is_ok(), "each tenant has its own");
        held.pop();
        assert!(connections.open(&one).is_ok());
    }
}
