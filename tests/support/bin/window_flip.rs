//! Hammers the hub across a window's boundary and counts redirects to the old
//! URL after the instant (and to the new one before it).
//!
//! `cargo run --release -p daybook-tests --bin window_flip -- [connections] [seconds]`
#![allow(clippy::print_stdout, reason = "a tool for the terminal")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use daybook_tests::server::{Server, binary};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OLD: &str = "https://a.example/old";
const NEW: &str = "https://a.example/new";

#[derive(Default)]
struct Counts {
    old: u64,
    new: u64,
    /// Sent at or after the instant and led to the old URL.
    late: u64,
    /// Answered before the instant and led to the new URL.
    early: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let connections: usize = args.next().map_or(Ok(64), |a| a.parse())?;
    let seconds: i64 = args.next().map_or(Ok(6), |a| a.parse())?;
    let data = tempfile::tempdir()?;
    let server = Server::start(&binary()?, data.path(), &[])?;
    let now = Timestamp::now();
    let flip = now + Duration::from_secs(seconds.unsigned_abs() / 2 + 1);
    let end = flip + Duration::from_secs(seconds.unsigned_abs() / 2);
    prepare(&server, now, flip).await?;
    let address = Arc::new(server.address().to_owned());
    let workers: Vec<_> =
        (0..connections).map(|_| tokio::spawn(hammer(address.clone(), flip, end))).collect();
    let mut total = Counts::default();
    for worker in workers {
        let counts = worker.await??;
        total.old += counts.old;
        total.new += counts.new;
        total.late += counts.late;
        total.early += counts.early;
    }
    println!(
        "{} redirects to the old URL, {} to the new one; {} old after the instant, {} new before it",
        total.old, total.new, total.late, total.early
    );
    if total.late + total.early > 0 || total.old == 0 || total.new == 0 {
        bail!("the flip was not exact");
    }
    Ok(())
}

async fn prepare(server: &Server, now: Timestamp, flip: Timestamp) -> Result<()> {
    let hour = Duration::from_secs(3600);
    let event =
        json!({"name": "Flip", "time_zone": "UTC", "starts_at": now - hour, "ends_at": now + 24 * hour});
    server.post("/v1/events/flip/schedule", &event).await?;
    let window = |id: &str, url: &str, starts_at: Timestamp, ends_at: Timestamp| json!({"id": id, "kind": "live", "starts_at": starts_at, "ends_at": ends_at, "url": url});
    server.post("/v1/events/flip/add-window", &window("old", OLD, now - hour, flip)).await?;
    server.post("/v1/events/flip/add-window", &window("new", NEW, flip, now + hour)).await?;
    let done = server.post("/v1/bands/b1/register", &json!({"event_id": "flip"})).await?;
    let position = done["position"].as_u64().context("the band's position")?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let ready = client
        .head(format!("{}/e?bandId=b1", server.url))
        .header("Daybook-At-Least", position.to_string())
        .send()
        .await?;
    if ready.status() != 302 {
        bail!("the hub answers {}", ready.status());
    }
    Ok(())
}

async fn hammer(address: Arc<String>, flip: Timestamp, end: Timestamp) -> Result<Counts> {
    let mut stream = TcpStream::connect(&*address).await?;
    stream.set_nodelay(true)?;
    let request = format!("GET /e?bandId=b1 HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut counts = Counts::default();
    let mut answer = Vec::new();
    loop {
        let sent = Timestamp::now();
        if sent >= end {
            return Ok(counts);
        }
        stream.write_all(request.as_bytes()).await?;
        read_head(&mut stream, &mut answer).await?;
        let received = Timestamp::now();
        let head = std::str::from_utf8(&answer)?;
        if head.contains(OLD) {
            counts.old += 1;
            counts.late += u64::from(sent >= flip);
        } else if head.contains(NEW) {
            counts.new += 1;
            counts.early += u64::from(received < flip);
        } else {
            bail!("not a redirect: {head}");
        }
    }
}

/// A redirect without a body ends with its head.
async fn read_head(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    answer.clear();
    let mut part = [0; 2048];
    while !answer.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut part).await?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        answer.extend_from_slice(&part[..count]);
    }
    Ok(())
}
