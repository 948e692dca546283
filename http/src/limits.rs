//! How much is taken on: requests per second, requests at once, and seconds
//! per request.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use tokio::sync::Semaphore;

use crate::auth::Principal;
use crate::problem::{Kind, Problem};

const POLICY: &str = "RateLimit-Policy";
const STATE: &str = "RateLimit";
/// The longest wait that `Prefer: wait=` can ask for.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// A bucket of `burst` requests that is refilled by `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Rate {
    /// 0 per second is no limit; 0 at once is a second's worth.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        let burst = NonZeroU32::new(burst).unwrap_or(per_second);
        Some(Self { per_second, burst })
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }

    fn seconds_for(self, requests: u32) -> u32 {
        requests.div_ceil(self.per_second.get())
    }
}

type Keys = RateLimiter<Arc<str>, DashMapStateStore<Arc<str>>, DefaultClock, StateInformationMiddleware>;
type Whole = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;
type Decision = Result<StateSnapshot, NotUntil<<DefaultClock as Clock>::Instant>>;

/// Limits for each API key and for the server as a whole; `None` is no limit.
pub struct RateLimits {
    per_key: Option<(Rate, Keys)>,
    global: Option<(Rate, Whole)>,
    checks: AtomicU32,
}

impl RateLimits {
    pub fn new(per_key: Option<Rate>, global: Option<Rate>) -> Arc<Self> {
        Arc::new(Self {
            per_key: per_key.map(|r| (r, RateLimiter::dashmap(r.quota()).with_middleware())),
            global: global.map(|r| (r, RateLimiter::direct(r.quota()).with_middleware())),
            checks: AtomicU32::new(0),
        })
    }

    fn key(&self, id: &Arc<str>) -> Option<Budget> {
        let (rate, limiter) = self.per_key.as_ref()?;
        self.sweep(limiter);
        Some(Budget::new("key", *rate, limiter.check_key(id)))
    }

    /// Takes what `count` units of work cost from both buckets, or says when
    /// there may be enough. Nothing is taken on refusal but from the first.
    pub fn take(&self, key: &Arc<str>, count: u32) -> Result<(), Problem> {
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        if let Some((rate, limiter)) = &self.per_key {
            self.sweep(limiter);
            let decision = limiter.check_key_n(key, count).map_err(|_| too_many_at_once(*rate))?;
            refusal("key", *rate, decision)?;
        }
        if let Some((rate, limiter)) = &self.global {
            let decision = limiter.check_n(count).map_err(|_| too_many_at_once(*rate))?;
            refusal("global", *rate, decision)?;
        }
        Ok(())
    }

    /// Only keys that exist get here, so there are no more entries than keys;
    /// those that are idle are dropped now and then.
    fn sweep(&self, limiter: &Keys) {
        if self.checks.fetch_add(1, Ordering::Relaxed) % 8_192 == 8_191 {
            limiter.retain_recent();
        }
    }

    fn whole(&self) -> Option<Budget> {
        let (rate, limiter) = self.global.as_ref()?;
        Some(Budget::new("global", *rate, limiter.check()))
    }
}

fn refusal(policy: &'static str, rate: Rate, decision: Decision) -> Result<(), Problem> {
    Budget::new(policy, rate, decision).problem().map_or(Ok(()), Err)
}

/// More than the bucket ever holds.
fn too_many_at_once(rate: Rate) -> Problem {
    let detail = format!("At most {} are taken at once; send fewer.", rate.burst);
    Problem::new(Kind::BodyTooLarge, detail).with("limit_events", rate.burst.get())
}

/// What is left of a policy after one request.
struct Budget {
    policy: &'static str,
    rate: Rate,
    remaining: u32,
    /// Seconds to wait, if this request is too much.
    refused: Option<u32>,
}

impl Budget {
    fn new(policy: &'static str, rate: Rate, decision: Decision) -> Self {
        match decision {
            Ok(state) => Self { policy, rate, remaining: state.remaining_burst_capacity(), refused: None },
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                Self { policy, rate, remaining: 0, refused: Some(seconds) }
            }
        }
    }

    fn problem(&self) -> Option<Problem> {
        let seconds = self.refused?;
        metrics::counter!("http_rate_limited_total", "policy" => self.policy).increment(1);
        let Rate { per_second, burst } = self.rate;
        let whose = if self.policy == "key" { "This key" } else { "The server" };
        let detail = format!("{whose} may take {per_second} requests a second and {burst} at once.");
        Some(Problem::new(Kind::RateLimited, detail).retry_after(seconds))
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers. What is nearer to
    /// the client has been written already and stays.
    fn describe(&self, headers: &mut HeaderMap) {
        if headers.contains_key(POLICY) {
            return;
        }
        let Rate { burst, .. } = self.rate;
        let window = self.rate.seconds_for(burst.get()).max(1);
        let full_in = self.rate.seconds_for(burst.get().saturating_sub(self.remaining));
        let fields = [
            (POLICY, format!("\"{}\";q={burst};w={window}", self.policy)),
            (STATE, format!("\"{}\";r={};t={full_in}", self.policy, self.remaining)),
        ];
        for (name, text) in fields {
            // Numbers and fixed words are always a valid header value.
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
}

async fn within(budget: Option<Budget>, request: Request, next: Next) -> Response {
    let Some(budget) = budget else { return next.run(request).await };
    let mut response = match budget.problem() {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    budget.describe(response.headers_mut());
    response
}

/// Middleware behind the authentication.
pub async fn limit_key(State(limits): State<Arc<RateLimits>>, request: Request, next: Next) -> Response {
    let budget = request.extensions().get::<Principal>().and_then(|p| limits.key(&p.key_id));
    within(budget, request, next).await
}

/// Middleware in front of everything but health.
pub async fn limit_all(State(limits): State<Arc<RateLimits>>, request: Request, next: Next) -> Response {
    within(limits.whole(), request, next).await
}

/// Middleware: refuses at once what would have to queue. A stream counts until
/// its head has been sent.
pub async fn limit_concurrency(
    State(permits): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_permit) = permits.try_acquire() else {
        metrics::counter!("http_overloaded_total").increment(1);
        let detail = "The server works on as many requests as it can.";
        return Problem::new(Kind::Overloaded, detail).retry_after(1).into_response();
    };
    next.run(request).await
}

/// Middleware: gives up on a request whose answer does not begin in time.
/// What the client asks to wait for comes on top.
pub async fn limit_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let limit = limit + preferred_wait(request.headers()).unwrap_or_default();
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("There was no answer within {} s.", limit.as_secs());
            Problem::new(Kind::RequestTimeout, detail).retry_after(1).into_response()
        }
    }
}

/// `Prefer: wait=<seconds>` (RFC 7240), at most a minute.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    let mut preferences = all.flat_map(|v| v.split(',')).map(str::trim);
    let seconds = preferences.find_map(|p| p.strip_prefix("wait=")?.parse::<u64>().ok())?;
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preferred_wait_is_read_and_bounded() {
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append("prefer", HeaderValue::from_static("handling=strict"));
            headers.append("prefer", HeaderValue::from_static(text));
            preferred_wait(&headers).map(|w| w.as_secs())
        };
        assert_eq!(wait("respond-async, wait=40"), Some(40));
        assert_eq!(wait("wait=9000"), Some(60));
        assert_eq!(wait("wait=soon"), None);
        assert_eq!(wait("waiting=1"), None);
    }
}
