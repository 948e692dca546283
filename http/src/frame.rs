//! The outermost middleware: names each request, records it, and makes sure
//! that every error leaves as a problem document.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::ports::clock::Ids;
use futures::FutureExt;
use tracing::Instrument;

use crate::address::{ClientAddress, TrustedProxies};
use crate::headers::{CORRELATION_ID, is_token};
use crate::problem::{Kind, Problem};
use crate::trace::{TRACEPARENT, TraceContext};

pub const REQUEST_ID: &str = "X-Request-Id";

pub struct Frame {
    pub ids: Arc<dyn Ids>,
    pub proxies: TrustedProxies,
}

/// The request's name in logs and in problems; in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// What is known of a request before it is handled.
struct About {
    started: Instant,
    method: Method,
    /// The route's pattern, so that ids in paths don't multiply the metrics.
    route: String,
    id: Arc<str>,
    trace: TraceContext,
    correlation: Option<HeaderValue>,
}

pub async fn frame(State(frame): State<Arc<Frame>>, mut request: Request, next: Next) -> Response {
    let about = About::new(&request, &frame);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let client = ClientAddress(frame.proxies.client(peer, request.headers()));
    let extensions = request.extensions_mut();
    extensions.insert(client);
    extensions.insert(RequestId(about.id.clone()));
    extensions.insert(about.trace.clone());
    let span = tracing::info_span!(
        "request",
        method = %about.method,
        route = about.route,
        request_id = %about.id,
        trace_id = about.trace.trace_id,
    );
    let in_flight = InFlight::start();
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    drop(in_flight);
    span.in_scope(|| {
        let response = handled.unwrap_or_else(|panic| panicked(panic.as_ref()).into_response());
        let response = about.finish(response);
        about.record(&response);
        response
    })
}

/// Counts a request until it is answered or its client has gone.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn start() -> Self {
        let gauge = metrics::gauge!("http_requests_in_flight");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format_args!("panic: {}", text.unwrap_or("of unknown kind")))
}

impl About {
    fn new(request: &Request, frame: &Frame) -> Self {
        let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
        let id = match text(REQUEST_ID).filter(|id| is_token(id)) {
            Some(id) => id.into(),
            None => frame.ids.next().to_string().into(),
        };
        let route = request.extensions().get::<MatchedPath>();
        Self {
            started: Instant::now(),
            method: request.method().clone(),
            route: route.map_or_else(|| "unmatched".into(), |r| r.as_str().into()),
            id,
            trace: TraceContext::child_of(text(TRACEPARENT)),
            correlation: text(CORRELATION_ID)
                .filter(|id| is_token(id))
                .and_then(|id| HeaderValue::from_str(id).ok()),
        }
    }

    fn finish(&self, response: Response) -> Response {
        let mut response = self.as_problem(response);
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if let Ok(trace) = HeaderValue::from_str(&self.trace.traceparent()) {
            headers.insert(TRACEPARENT, trace);
        }
        if let Some(correlation) = &self.correlation {
            headers.insert(HeaderName::from_static("x-correlation-id"), correlation.clone());
        }
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        response
    }

    /// Completes a problem with the request's id, and makes one of an error
    /// that the router or a layer answered in its own words.
    fn as_problem(&self, mut response: Response) -> Response {
        let status = response.status();
        let problem = match response.extensions_mut().remove::<Problem>() {
            Some(problem) => problem,
            None if is_error_without_document(&response) => {
                let kind = Kind::from_status(status);
                let detail = match kind {
                    Kind::NotFound => "There is nothing at this address.".to_owned(),
                    Kind::MethodNotAllowed => format!("{} is not allowed here.", self.method),
                    _ => format!("{}.", kind.title()),
                };
                Problem::new(kind, detail)
            }
            None => return response,
        };
        let (fresh, mut body) = problem.with("request_id", self.id.as_ref()).into_response().into_parts();
        if self.method == Method::HEAD {
            body = Body::empty();
        }
        let (mut parts, _) = response.into_parts();
        parts.status = fresh.status;
        parts.headers.remove(header::CONTENT_LENGTH);
        replace(&mut parts.headers, fresh.headers);
        Response::from_parts(parts, body)
    }

    fn record(&self, response: &Response) {
        let status = response.status().as_u16();
        let elapsed = self.started.elapsed();
        let method = known(&self.method);
        let labels = [("method", method.to_owned()), ("route", self.route.clone())];
        metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
        let [method, route] = labels;
        let labels = [method, route, ("status", status.to_string())];
        metrics::counter!("http_requests_total", &labels).increment(1);
        let latency_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(status, latency_us, "answered");
    }
}

fn is_error_without_document(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let plain = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    plain && (status.is_client_error() || status.is_server_error())
}

fn replace(headers: &mut HeaderMap, with: HeaderMap) {
    for (name, value) in with {
        if let Some(name) = name {
            headers.insert(name, value);
        }
    }
}

/// Methods are the client's to invent; metrics labels are not.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
