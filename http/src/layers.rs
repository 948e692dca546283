//! Everything a request passes through before it reaches its handler.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use domain::ports::clock::Ids;
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::address::TrustedProxies;
use crate::auth::{Authenticator, authenticate};
use crate::extract::BodyLimits;
use crate::frame::{Frame, frame};
use crate::limits::{RateLimits, limit_all, limit_concurrency, limit_key, limit_time};
use crate::problem::Problem;

/// Origins whose pages may use the API from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    #[default]
    None,
    Any,
    Origins(Vec<HeaderValue>),
}

impl Cors {
    /// From a list of origins; `*` allows any.
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        if origins.is_empty() {
            return Ok(Self::None);
        }
        if origins.iter().any(|o| o == "*") {
            return Ok(Self::Any);
        }
        let origin = |text: &String| {
            let parsed = url::Url::parse(text).ok().filter(|u| u.origin().ascii_serialization() == *text);
            let value = parsed.and_then(|_| HeaderValue::from_str(text).ok());
            value.ok_or_else(|| format!("{text:?} is not an origin such as https://app.example.org"))
        };
        Ok(Self::Origins(origins.iter().map(origin).collect::<Result<_, _>>()?))
    }
}

#[derive(Clone)]
pub struct Config {
    pub auth: Authenticator,
    pub rates: Arc<RateLimits>,
    pub body: BodyLimits,
    /// Until an answer begins.
    pub timeout: Duration,
    /// Requests worked on at once.
    pub concurrency: usize,
    pub cors: Cors,
    pub proxies: TrustedProxies,
    pub ids: Arc<dyn Ids>,
}

/// The routes of a server, by what they need.
#[derive(Default)]
pub struct Routes {
    /// Need an API key.
    pub api: Router,
    /// Need none, and count against the global limits.
    pub open: Router,
    /// Answer however busy the server is.
    pub health: Router,
}

pub fn apply(routes: Routes, config: Config) -> Router {
    let mut api = routes.api;
    // A key's layers only guard existing routes: an unknown address is a 404
    // for everybody.
    if api.has_routes() {
        api = api
            .route_layer(from_fn_with_state(config.rates.clone(), limit_key))
            .route_layer(from_fn_with_state(config.auth, authenticate));
    }
    let permits = Arc::new(Semaphore::new(config.concurrency));
    let limited = api
        .merge(routes.open)
        .fallback(|| async { Problem::not_found() })
        .layer(from_fn_with_state(config.timeout, limit_time))
        .layer(from_fn_with_state(permits, limit_concurrency))
        .layer(from_fn_with_state(config.rates, limit_all))
        .layer(Extension(config.body));
    let frame_state = Arc::new(Frame { ids: config.ids, proxies: config.proxies });
    limited.merge(routes.health).layer(cors(&config.cors)).layer(from_fn_with_state(frame_state, frame))
}

fn cors(allowed: &Cors) -> CorsLayer {
    let origin = match allowed {
        Cors::None => AllowOrigin::list([]),
        Cors::Any => AllowOrigin::any(),
        Cors::Origins(list) => AllowOrigin::list(list.clone()),
    };
    let names = |list: &[&'static str]| -> Vec<HeaderName> {
        list.iter().map(|n| HeaderName::from_static(n)).collect()
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(names(&[
            "authorization",
            "content-type",
            "daybook-at-least",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "last-event-id",
            "prefer",
            "traceparent",
            "x-api-key",
            "x-correlation-id",
            "x-request-id",
        ]))
        .expose_headers(names(&[
            "daybook-model",
            "daybook-position",
            "daybook-through",
            "daybook-truncated",
            "daybook-upto",
            "etag",
            "link",
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "traceparent",
            "x-correlation-id",
            "x-request-id",
        ]))
        .max_age(Duration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_no_path() {
        let parse = |list: &[&str]| Cors::parse(&list.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(Cors::None));
        assert_eq!(parse(&["https://a.example", "*"]), Ok(Cors::Any));
        let origin = HeaderValue::from_static("http://localhost:3000");
        assert_eq!(parse(&["http://localhost:3000"]), Ok(Cors::Origins(vec![origin])));
        for bad in ["https://a.example/", "a.example", "", "https://A.example", "null"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }
}
