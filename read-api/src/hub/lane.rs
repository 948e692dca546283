//! A thread that serves connections on a runtime of its own. What a request
//! needs stays on one core: no task is stolen, and nothing is woken across
//! threads but by the journal, once for each batch.
//!
//! A connection begins with plain taps, which are read and answered here. Its
//! first request of any other kind hands it to the full server for good, with
//! what has been read of it. The router's work is done on the runtime that the
//! server was started on, so that it never delays a tap.

use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body_util::Either;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::Service;

use super::redirect::HubBody;
use super::request::{self, Head};
use super::server::ServerConfig;
use super::{Hub, PATH};

/// A longer head is left to the full server.
const PLAIN_HEAD_BYTES: usize = 4 << 10;

/// What all connections of a server share.
pub struct Shared {
    /// `None` in a process that is no hub.
    pub hub: Option<Arc<Hub>>,
    pub router: Router,
    /// Where the router's work is done.
    pub home: Handle,
    pub config: ServerConfig,
}

/// A connection to be served.
pub struct Accepted {
    pub stream: std::net::TcpStream,
    pub peer: SocketAddr,
    /// Held as long as the connection.
    pub slot: OwnedSemaphorePermit,
}

pub struct Lane {
    pub connections: mpsc::UnboundedSender<Accepted>,
    /// Resolves when the last connection has ended.
    pub ended: oneshot::Receiver<()>,
}

impl Lane {
    /// Ends once `connections` is dropped and the open ones have ended, at
    /// most `config.drain` later.
    pub fn start(shared: Arc<Shared>, stop: CancellationToken) -> io::Result<Self> {
        let (connections, accepted) = mpsc::unbounded_channel();
        let (ending, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(run(accepted, &shared, &stop));
            drop(runtime);
            // Nobody may be waiting any more.
            let _ = ending.send(());
        })?;
        Ok(Self { connections, ended })
    }
}

async fn run(
    mut accepted: mpsc::UnboundedReceiver<Accepted>,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
) {
    let open = TaskTracker::new();
    let count = metrics::gauge!("daybook_http_connections");
    while let Some(Accepted { stream, peer, slot }) = accepted.recv().await {
        let (shared, stop, count) = (shared.clone(), stop.clone(), count.clone());
        open.spawn(async move {
            count.increment(1.0);
            // A client that goes away is no event of ours.
            if let Ok(stream) = TcpStream::from_std(stream) {
                serve(&shared, stream, peer, &stop).await;
            }
            count.decrement(1.0);
            drop(slot);
        });
    }
    open.close();
    if tokio::time::timeout(shared.config.drain, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "http: stopped with requests still open");
    }
}

async fn serve(shared: &Arc<Shared>, mut stream: TcpStream, peer: SocketAddr, stop: &CancellationToken) {
    // Small answers go out at once; without it they are merely slower.
    let _ = stream.set_nodelay(true);
    let unread = match &shared.hub {
        Some(hub) => match plain_taps(hub, &mut stream, peer, &shared.config, stop).await {
            Some(unread) => unread,
            None => return,
        },
        None => Vec::new(),
    };
    anything(shared, stream, unread, peer, stop).await;
}

/// Answers plain taps. `None`: the connection has ended; else what has been
/// read of a request that is not plain.
async fn plain_taps(
    hub: &Hub,
    stream: &mut TcpStream,
    peer: SocketAddr,
    config: &ServerConfig,
    stop: &CancellationToken,
) -> Option<Vec<u8>> {
    let mut buffer = vec![0; PLAIN_HEAD_BYTES];
    let (mut filled, mut out) = (0, Vec::new());
    // One timer for each connection, moved on only when it has run out.
    let mut timer = pin!(tokio::time::sleep(config.head_timeout));
    let mut stopped = pin!(stop.cancelled());
    let mut waiting_since = Instant::now();
    loop {
        match request::read(&buffer[..filled], peer.ip(), hub.proxies()) {
            Head::Tap(request, length) => {
                let now = hub.now();
                let answer = hub.answer_plain(&request, now).await;
                let last = stop.is_cancelled();
                out.clear();
                answer.write(&mut out, request.kind, now, last);
                let sent = tokio::time::timeout(config.head_timeout, stream.write_all(&out)).await;
                if last || !matches!(sent, Ok(Ok(()))) {
                    return None;
                }
                buffer.copy_within(length..filled, 0);
                filled -= length;
                waiting_since = Instant::now();
                if filled > 0 {
                    continue;
                }
            }
            Head::Partial if filled < buffer.len() => {}
            Head::Partial | Head::Other => {
                buffer.truncate(filled);
                return Some(buffer);
            }
        }
        let read = loop {
            tokio::select! {
                biased;
                read = stream.read(&mut buffer[filled..]) => break read,
                () = &mut stopped => {
                    buffer.truncate(filled);
                    return (filled > 0).then_some(buffer);
                }
                () = &mut timer => {
                    let due = waiting_since + config.head_timeout;
                    if due <= Instant::now() {
                        return None;
                    }
                    timer.as_mut().reset(due.into());
                }
            }
        };
        match read {
            Ok(0) | Err(_) => return None,
            Ok(read) => filled += read,
        }
    }
}

/// Serves whatever HTTP allows.
async fn anything(
    shared: &Arc<Shared>,
    stream: TcpStream,
    unread: Vec<u8>,
    peer: SocketAddr,
    stop: &CancellationToken,
) {
    let (read, write) = stream.into_split();
    let io = TokioIo::new(tokio::io::join(Cursor::new(unread).chain(read), write));
    let service = service_fn(move |request| dispatch(shared.clone(), request, peer));
    let config = &shared.config;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(config.max_head_bytes.max(8 << 10))
        .max_headers(config.max_headers)
        .keep_alive(true);
    let mut connection = pin!(builder.serve_connection(io, service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn dispatch(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Either<HubBody, AtHome>>, JoinError> {
    if request.uri().path() == PATH
        && let Some(hub) = &shared.hub
    {
        let (parts, _) = request.into_parts();
        let answer = hub.answer(&parts.method, &parts.uri, &parts.headers, peer.ip()).await;
        return Ok(answer.map(Either::Left));
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let work = shared.router.clone().call(request);
    let Ok(response) = AbortOnDropHandle::new(shared.home.spawn(work)).await?;
    Ok(response.map(|body| Either::Right(AtHome { body, home: shared.home.clone() })))
}

/// A body whose timers, sockets and tasks belong to the router's runtime.
struct AtHome {
    body: Body,
    home: Handle,
}

impl HttpBody for AtHome {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let home = self.home.clone();
        let _at_home = home.enter();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
