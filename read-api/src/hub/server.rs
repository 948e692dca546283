//! The HTTP server: accepts connections and spreads them evenly over the lanes.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::lane::{Accepted, Lane, Shared};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConfig {
    /// Further connections wait in the kernel's queue.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may idle.
    pub head_timeout: Duration,
    pub max_head_bytes: usize,
    pub max_headers: usize,
    /// Threads that serve connections.
    pub lanes: usize,
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
            lanes: available_parallelism().map_or(2, NonZero::get),
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
    let shared = Arc::new(Shared { hub, router, home: Handle::current(), config });
    // A token for each lane, since asking one takes its lock.
    let start = |_| Lane::start(shared.clone(), stop.child_token());
    let lanes: Vec<Lane> = match (0..config.lanes.max(1)).map(start).collect() {
        Ok(lanes) => lanes,
        Err(error) => return tracing::error!(%error, alert = true, "http: cannot start its threads"),
    };
    drop(shared);
    let slots = Arc::new(Semaphore::new(config.max_connections));
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&listener, &slots, &lanes) => {}
    }
    drop(listener);
    for Lane { connections, ended } in lanes {
        drop(connections);
        // It is there, also if the lane has panicked.
        let _ = ended.await;
    }
}

/// Hands every connection to the next lane in turn, for ever.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>, lanes: &[Lane]) {
    for lane in lanes.iter().cycle() {
        // The semaphore is never closed.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let (stream, peer) = next(listener).await;
        match stream.into_std() {
            // A lane ends after its senders are gone.
            Ok(stream) => drop(lane.connections.send(Accepted { stream, peer, slot })),
            Err(error) => tracing::error!(%error, "http: a connection was lost"),
        }
    }
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => cannot_accept(&error).await,
        }
    }
}

/// Out of file descriptors, or the client is gone already: accepting goes on.
async fn cannot_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "http: cannot accept connections");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
