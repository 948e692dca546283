use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::ports::clock::Clock;

use super::failures::Failures;
use super::principal::{Principal, unauthenticated};
use super::ring::KeyRing;
use crate::address::ClientAddress;
use crate::problem::{Kind, Problem};

pub const API_KEY: &str = "X-API-Key";
/// No key is longer; more is not worth hashing.
const MAX_KEY_BYTES: usize = 512;

#[derive(Clone)]
pub struct Authenticator {
    pub ring: Arc<KeyRing>,
    pub clock: Arc<dyn Clock>,
    pub failures: Arc<Failures>,
    /// Is told of every request for the API.
    pub seen: Option<Seen>,
}

/// A request for the API and how it was answered.
pub struct Access {
    /// `None` without a good key.
    pub principal: Option<Principal>,
    pub method: Method,
    /// The route that it took, such as `/v1/bands/{id}`.
    pub route: Option<MatchedPath>,
    pub uri: Uri,
    pub status: StatusCode,
}

/// What is to be done with it must be short: the answer waits for it.
pub type Seen = Arc<dyn Fn(Access) + Send + Sync>;

impl Authenticator {
    /// Throttles an address after 30 failures in a minute.
    pub fn new(ring: Arc<KeyRing>, clock: Arc<dyn Clock>) -> Self {
        Self { ring, clock, failures: Arc::new(Failures::new(30)), seen: None }
    }

    /// An address that failed too often can still use an issued key: those
    /// cannot be guessed, and it may share the address with an attacker. What
    /// an operator chose as a key might be guessed, so that has to wait.
    pub fn check(&self, headers: &HeaderMap, address: IpAddr) -> Result<Principal, Problem> {
        let now = self.clock.now();
        // A request without a key guesses nothing.
        let text = presented(headers).ok_or_else(unauthenticated)?;
        if let Some(seconds) = self.failures.refused_for(address, now) {
            return self.ring.verify_issued(text, now).ok_or_else(|| {
                let detail = "Too many requests with a wrong API key came from this address.";
                Problem::new(Kind::RateLimited, detail).retry_after(seconds)
            });
        }
        self.ring.verify(text, now).ok_or_else(|| {
            self.failures.record(address, now);
            metrics::counter!("http_authentication_failures_total").increment(1);
            unauthenticated()
        })
    }
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = match headers.get(API_KEY) {
        Some(value) => value.to_str().ok()?.trim(),
        None => {
            let (scheme, text) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            text.trim()
        }
    };
    (text.len() <= MAX_KEY_BYTES).then_some(text)
}

/// Middleware: lets only requests with a good key through, and tells the
/// handlers whose it is.
pub async fn authenticate(State(auth): State<Authenticator>, mut request: Request, next: Next) -> Response {
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = request.extensions().get::<ClientAddress>().map_or(unknown, |a| a.0);
    let checked = auth.check(request.headers(), address);
    let asked = auth.seen.map(|seen| {
        let route = request.extensions().get::<MatchedPath>().cloned();
        (seen, request.method().clone(), route, request.uri().clone(), checked.as_ref().ok().cloned())
    });
    let response = match checked {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some((seen, method, route, uri, principal)) = asked {
        seen(Access { principal, method, route, uri, status: response.status() });
    }
    response
}
