//! The server in front of the router, over real connections.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use domain::ports::journal::TapJournal;
use domain::ports::log::{EventLog, ReadFilter};
use domain::tap;
use futures::{StreamExt, stream};
use infra_journal::{DiskJournal, Options};
use read_api::hub::server::{ServerConfig, serve};
use reqwest::StatusCode;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::hub::{Fixture, fixture};
use daybook_tests::clock::{CountingIds, FixedClock};

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn start(f: &Fixture, config: ServerConfig) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ticks = || async {
        Sse::new(
            stream::iter(0..3)
                .map(|n| Event::default().data(n.to_string()).id(n.to_string()))
                .map(Ok::<_, std::convert::Infallible>),
        )
    };
    let router = Router::new()
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
        .route("/echo", post(|body: String| async move { body }))
        .route("/ticks", get(ticks));
    let task = tokio::spawn(serve(listener, Some(f.hub.clone()), router, config, stop.clone()));
    Running { address, stop, task }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn the_hub_and_the_router_share_a_port() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", Some("https://a.example/")).await;
    f.register("default", "b1", Some("show")).await;
    let running = start(&f, ServerConfig::default()).await;
    let client = client();
    let tapped = client.get(running.url("/e?bandId=b1")).send().await.unwrap();
    assert_eq!(tapped.status(), StatusCode::FOUND);
    assert_eq!(tapped.headers()["location"], "https://a.example/");
    let preview = client.head(running.url("/e?bandId=b1")).send().await.unwrap();
    assert_eq!(preview.status(), StatusCode::FOUND);
    let missing = client.get(running.url("/e?bandId=b2")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("Nothing here yet"));
    let peer = client.get(running.url("/peer")).send().await.unwrap().text().await.unwrap();
    assert!(peer.starts_with("127.0.0.1:"));
    let echo = client.post(running.url("/echo")).body("x".repeat(100_000)).send().await.unwrap();
    assert_eq!(echo.text().await.unwrap().len(), 100_000);
    assert_eq!(client.get(running.url("/e/x")).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let ticks = client.get(running.url("/ticks")).send().await.unwrap();
    assert_eq!(ticks.headers()["content-type"], "text/event-stream");
    assert_eq!(ticks.text().await.unwrap().matches("data: ").count(), 3);
    running.stop().await;
    assert_eq!(f.journal.stats().durable, 3);
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is a way of closing too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_and_oversized_heads_are_cut_off() {
    let f = fixture(|_| {}, Options::default());
    let config = ServerConfig { head_timeout: Duration::from_millis(100), ..ServerConfig::default() };
    let running = start(&f, config).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /e?bandId=b1 HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let answer = until_closed(&mut slow).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut large = TcpStream::connect(running.address).await.unwrap();
    let head = format!("GET /e?bandId=b1 HTTP/1.1\r\nHost: x\r\nX-Large: {}", "x".repeat(64 << 10));
    // It may hang up while we still write.
    let _ = large.write_all(head.as_bytes()).await;
    let answer = until_closed(&mut large).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(f.journal.stats().durable, 0);
    running.stop().await;
}

/// Writes all of it at once and reads until the server has closed.
async fn conversation(running: &Running, sent: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    until_closed(&mut stream).await
}

#[tokio::test]
async fn requests_of_every_kind_share_a_connection() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", Some("https://a.example/{band_id}")).await;
    f.register("default", "b1", Some("show")).await;
    f.register("default", "b2", Some("show")).await;
    let running = start(&f, ServerConfig::default()).await;
    let tap = |band: &str| format!("GET /e?bandId={band} HTTP/1.1\r\nHost: x\r\n\r\n");
    let close = "GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let head = "HEAD /e?bandId=none HTTP/1.1\r\nHost: x\r\n\r\n";
    let echo = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    // Taps are still taps after the router has had the connection.
    let sent = [&tap("b1"), head, &tap("b2"), echo, &tap("b1"), close].concat();
    let answer = conversation(&running, &sent).await;
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["302", "404", "302", "200", "302", "200"], "{answer}");
    let locations: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("location: ")).collect();
    assert_eq!(locations, ["https://a.example/b1", "https://a.example/b2", "https://a.example/b1"]);
    assert!(answer.contains("hello") && !answer.contains("Nothing here yet"), "{answer}");
    running.stop().await;
    assert_eq!(f.journal.stats().durable, 4);
}

#[tokio::test]
async fn both_ways_to_a_redirect_answer_and_record_the_same() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", Some("https://a.example/")).await;
    f.register("default", "b1", Some("show")).await;
    let running = start(&f, ServerConfig::default()).await;
    for band in ["b1", "b2", "no/band"] {
        let head = |version: &str| {
            format!(
                "GET /e?bandId={band} {version}\r\nHost: x\r\nUser-Agent: \u{fc} \tagent\r\nReferer: r\r\n\
                 Accept-Language: de\r\n"
            )
        };
        // Without `Connection: close` it is a plain tap, and the next head ends the connection.
        let plain = format!("{}\r\n{}Connection: close\r\n\r\n", head("HTTP/1.1"), head("HTTP/1.1"));
        let answers = conversation(&running, &plain).await;
        let mut each = answers.split("HTTP/1.1 ").skip(1).map(|answer| {
            let mut lines: Vec<&str> = answer.lines().collect();
            lines.retain(|line| !line.starts_with("date: ") && *line != "connection: close");
            lines.sort_unstable();
            lines
        });
        let (plain, full) = (each.next().unwrap(), each.next().unwrap());
        assert_eq!(plain, full, "{band}");
    }
    running.stop().await;
    let batch = f.journal.read(0, 10).await.unwrap();
    let payloads: Vec<_> = batch.entries.iter().map(|(_, entry)| (entry.kind, &entry.payload)).collect();
    assert_eq!(payloads.len(), 4);
    assert_eq!(payloads[0], payloads[1]);
    assert_eq!(payloads[2], payloads[3]);
}

#[tokio::test]
async fn a_head_may_come_in_pieces_and_be_long() {
    let f = fixture(|_| {}, Options::default());
    let running = start(&f, ServerConfig::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let filling = "x".repeat(6 << 10);
    let long = format!("GET /e?bandId=b1 HTTP/1.1\r\nConnection: close\r\nX-Long: {filling}\r\n\r\n");
    for piece in ["GET /e?ban", "dId=b1 HTTP/1.1\r\nHo", "st: x\r\n\r\n", &long[..5 << 10], &long[5 << 10..]]
    {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = until_closed(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 2, "{answer}");
    running.stop().await;
    assert_eq!(f.journal.stats().durable, 2);
}

#[tokio::test]
async fn idle_connections_end_when_the_server_stops_and_after_a_while() {
    let f = fixture(|_| {}, Options::default());
    let running = start(&f, ServerConfig::default()).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /e?bandId=b1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 404");
    running.stop().await;
    until_closed(&mut idle).await;

    let config = ServerConfig { head_timeout: Duration::from_millis(50), ..ServerConfig::default() };
    let running = start(&f, config).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(until_closed(&mut idle).await, "");
    running.stop().await;
}

#[tokio::test]
async fn open_requests_finish_before_the_server_stops() {
    let f = fixture(|_| {}, Options::default());
    let running = start(&f, ServerConfig::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let body = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(body.as_bytes()).await.unwrap();
    // The handler has begun once it asks for the body.
    let mut wanted = [0; 25];
    stream.read_exact(&mut wanted).await.unwrap();
    assert!(wanted.starts_with(b"HTTP/1.1 100"));
    running.stop.cancel();
    stream.write_all(b"late").await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn taps_of_before_a_restart_reach_the_log_after_it() {
    let mut f = fixture(|_| {}, Options::default());
    let running = start(&f, ServerConfig::default()).await;
    let client = client();
    for n in 0..20 {
        let agent = format!("marker-{n}");
        let url = running.url("/e?bandId=b1");
        client.get(url).header("user-agent", agent).send().await.unwrap();
    }
    running.stop().await;
    let (log, folder) = (f.log.clone(), std::mem::replace(&mut f.folder, tempfile::tempdir().unwrap()));
    drop(f);
    let journal = reopen(folder.path()).await;
    let clock = Arc::new(FixedClock::at(super::hub::START));
    let ids = Arc::new(CountingIds::default());
    let config = workers::DrainerConfig::default();
    let stop = CancellationToken::new();
    stop.cancel();
    workers::Drainer::new(journal, log.clone(), clock, ids, config).run(stop).await;
    let page = log.read(0, 100, &ReadFilter::types([tap::TAPPED])).await.unwrap();
    let agents: Vec<_> = page
        .events
        .iter()
        .map(|e| domain::registry::decode_payload::<tap::Tap>(e).unwrap().user_agent.unwrap())
        .collect();
    assert_eq!(agents, (0..20).map(|n| format!("marker-{n}").into()).collect::<Vec<_>>());
}

/// The old server's last connection may hold the journal for a moment more.
async fn reopen(path: &std::path::Path) -> Arc<DiskJournal> {
    loop {
        match DiskJournal::open(path, Options::default()) {
            Ok(journal) => return Arc::new(journal),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy),
        }
        tokio::task::yield_now().await;
    }
}
