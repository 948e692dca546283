//! The HTTP server: the hub's path is answered here, everything else by the
//! router behind it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::redirect::HubBody;
use super::{Hub, PATH};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConfig {
    /// Further connections wait in the kernel's queue.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may idle.
    pub head_timeout: Duration,
    pub max_head_bytes: usize,
    pub max_headers: usize,
    /// How long open requests may go on after the stop signal.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            head_timeout: Duration::from_secs(30),
            max_head_bytes: 32 << 10,
            max_headers: 100,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves until `stop`, then lets open requests finish. Streams that do not
/// end by themselves should watch the same token.
pub async fn serve(
    listener: TcpListener,
    hub: Option<Arc<Hub>>,
    router: Router,
    config: ServerConfig,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let front = Arc::new(Front { hub, router });
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let builder = connections(&config);
    let open = metrics::gauge!("daybook_http_connections");
    loop {
        let next = async {
            // The semaphore is never closed.
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                cannot_accept(&error).await;
                continue;
            }
        };
        let front = front.clone();
        let service = service_fn(move |request| dispatch(front.clone(), request, peer));
        let connection = builder.serve_connection(TokioIo::new(quick(stream)), service);
        let connection = graceful.watch(connection);
        let open = open.clone();
        open.increment(1.0);
        tokio::spawn(async move {
            // A client that goes away is no event of ours.
            let _ = connection.await;
            open.decrement(1.0);
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(config.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("http: stopped with requests still open");
    }
}

fn connections(config: &ServerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(config.max_head_bytes.max(8 << 10))
        .max_headers(config.max_headers)
        .keep_alive(true);
    builder
}

/// Small answers go out at once.
fn quick(stream: TcpStream) -> TcpStream {
    // Without it answers are merely slower.
    let _ = stream.set_nodelay(true);
    stream
}

/// Out of file descriptors, or the client is gone already: accepting goes on.
async fn cannot_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "http: cannot accept connections");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

struct Front {
    /// `None` in a process that is no hub.
    hub: Option<Arc<Hub>>,
    router: Router,
}

async fn dispatch(
    front: Arc<Front>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<HubBody>, Infallible> {
    if request.uri().path() == PATH
        && let Some(hub) = &front.hub
    {
        let (parts, _) = request.into_parts();
        return Ok(hub.answer(&parts.method, &parts.uri, &parts.headers, peer.ip()).await);
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    front.router.clone().call(request).await.map(|response| response.map(Either::Right))
}
