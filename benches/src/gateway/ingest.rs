//! `ingest`: signals a second over HTTP, each answered when it is on disk, in
//! requests of one, a hundred and a thousand, with rules that are loaded and
//! mostly concern other signals; and a second until the rules have seen all of
//! them. Beside it COPY of the same bytes, committed request by request, and
//! a bare axum server that answers the same requests with their bytes.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Bed, order};
use crate::catch_up::store::Database;
use crate::child::KEY;
use crate::table::{Line, median, print};

/// Rules that concern the signals, however many others there are; one of them
/// matches a signal in a hundred.
const CONCERNED: usize = 10;
const EVENT: &str = "order_placed";
const LAST: &str = "last_one";
const LOOK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Arguments {
    /// A server on which databases may be created; without it SQLite alone.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
    /// Signals of a request.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    batches: Vec<usize>,
    /// Rules that are loaded; all batches are measured with the one in the
    /// middle, the others with the largest batch.
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10000")]
    rules: Vec<usize>,
    /// Connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// About how many seconds a run sends.
    #[arg(long, default_value_t = 2)]
    seconds: usize,
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these: postgres, sqlite.
    #[arg(long)]
    only: Option<String>,
}

/// Bodies of requests.
struct Load {
    batch: usize,
    bodies: Vec<String>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    print(&runtime.block_on(measure(&arguments))?, json);
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Vec<Line>> {
    let wanted = |store: &str| arguments.only.as_deref().is_none_or(|only| only == store);
    let mut lines = Vec::new();
    if wanted("sqlite") {
        lines.extend(store("SQLite", None, arguments).await?);
    }
    if let Some(url) = arguments.postgres.as_deref().filter(|_| wanted("postgres")) {
        lines.extend(store("PostgreSQL", Some(url), arguments).await?);
    }
    Ok(lines)
}

async fn store(name: &str, postgres: Option<&str>, arguments: &Arguments) -> Result<Vec<Line>> {
    let middle = arguments.rules[arguments.rules.len() / 2];
    let largest = *arguments.batches.iter().max().context("no batch")?;
    let mut lines = Vec::new();
    for &rules in &arguments.rules {
        let bed = Bed::new(postgres).await?;
        define(&bed, rules).await?;
        let mut first = 0;
        for &batch in arguments.batches.iter().filter(|b| rules == middle || **b == largest) {
            let case = format!("{name}, requests of {batch}, {rules} rules");
            let (mut ours, mut seen, mut copied, mut echoed) = (vec![], vec![], vec![], vec![]);
            for _ in 0..arguments.runs {
                let load = load(batch, arguments, first);
                first += (load.bodies.len() * batch) as u64 + 1;
                let sent = signals(&bed, &load, first - 1, arguments.connections).await?;
                ours.push(sent.0);
                seen.push(sent.1);
                echoed.push(echo(&load, arguments.connections).await?);
                if let Some(url) = postgres {
                    copied.push(copy(url, &load, arguments.connections).await?);
                }
            }
            let line = |what: &str, ours: &[f64], peer, peers: &[f64]| Line {
                bench: "ingest",
                case: format!("{case}{what}"),
                ours: median(ours),
                peer,
                peer_value: if peers.is_empty() { f64::NAN } else { median(peers) },
                unit: "events/s",
                runs: arguments.runs,
            };
            lines.push(line("", &ours, "bare axum echo", &echoed));
            if postgres.is_some() {
                lines.push(line("", &ours, "COPY of the same bytes", &copied));
            }
            lines.push(line(": judged by all rules", &seen, "-", &[]));
        }
        bed.end().await?;
    }
    Ok(lines)
}

/// So many rules that concern the signals, one for the last of them, and the
/// others for signals that nobody sends.
async fn define(bed: &Bed, rules: usize) -> Result<()> {
    let rule = |i: usize| {
        let path = format!("/v1/rules/r{i}/define");
        let of =
            |event: &str, cel: String| json!({"name": format!("rule {i}"), "event_type": event, "cel": cel});
        match i {
            0 => (path, of(EVENT, "event.data.params.totalCents % 100 == 1".into())),
            i if i < CONCERNED => (path, of(EVENT, format!("event.data.params.items > {}", 100 + i))),
            i => (path, of(&format!("other_{i}"), format!("event.data.params.items > {i}"))),
        }
    };
    let last = ("/v1/rules/last/define".to_owned(), json!({"name": "last", "event_type": LAST}));
    bed.post_all((0..rules).map(rule).chain([last])).await
}

/// Requests that take about as long as was asked for.
fn load(batch: usize, arguments: &Arguments, first: u64) -> Load {
    let rate = match batch {
        1 => 5_000,
        2..=100 => 20_000,
        _ => 30_000,
    };
    let requests = (rate * arguments.seconds / batch).max(arguments.connections);
    let body = |request: usize| {
        let from = first + (request * batch) as u64;
        let events: Vec<Value> = (0..batch as u64).map(|i| order(from + i, EVENT)).collect();
        json!({ "events": events }).to_string()
    };
    Load { batch, bodies: (0..requests).map(body).collect() }
}

/// Signals a second until all are answered, and until all are judged.
async fn signals(bed: &Bed, load: &Load, last: u64, connections: usize) -> Result<(f64, f64)> {
    let url = format!("{}/v1/events/batch", bed.server.url);
    let before = matches(bed).await?;
    let start = Instant::now();
    let took = send(&url, load, connections, true).await?;
    // It stands behind all others in the log.
    bed.post("/v1/events/ingest", &json!({"event": order(last, LAST)})).await?;
    while matches(bed).await? == before {
        ensure!(start.elapsed() < PATIENCE, "the rules do not come behind");
        tokio::time::sleep(LOOK).await;
    }
    let all = (load.bodies.len() * load.batch) as f64;
    Ok((all / took, all / start.elapsed().as_secs_f64()))
}

async fn matches(bed: &Bed) -> Result<u64> {
    Ok(bed.get("/v1/rules/last").await?["matches"].as_u64().unwrap_or_default())
}

/// Sends every body, by so many connections at once. Seconds.
async fn send(url: &str, load: &Load, connections: usize, judged: bool) -> Result<f64> {
    let bodies: Vec<&[String]> = load.bodies.chunks(load.bodies.len().div_ceil(connections)).collect();
    let start = Instant::now();
    let tasks: Vec<_> = bodies
        .into_iter()
        .map(|part| {
            let (part, url, batch) = (part.to_vec(), url.to_owned(), load.batch);
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                for body in part {
                    let request = client.post(&url).header("Content-Type", "application/json");
                    let response = request.header("X-API-Key", KEY).body(body).send().await?;
                    let (status, text) = (response.status(), response.text().await?);
                    ensure!(status.is_success(), "{status}: {text}");
                    // Of one event the answer is the event itself.
                    let accepted = text.matches("\"accepted\"").count();
                    ensure!(!judged || accepted >= batch, "{accepted} of {batch} were accepted: {text}");
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// A server that answers what it was sent.
async fn echo(load: &Load, connections: usize) -> Result<f64> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/echo", listener.local_addr()?);
    let router = Router::new().route("/echo", post(|body: bytes::Bytes| async move { body }));
    let router = router.layer(axum::extract::DefaultBodyLimit::disable());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let took = send(&url, load, connections, false).await;
    server.abort();
    Ok((load.bodies.len() * load.batch) as f64 / took?)
}

/// The same bodies into a table, each committed before its connection sends the
/// next.
async fn copy(server: &str, load: &Load, connections: usize) -> Result<f64> {
    let database = Database::create(server).await?;
    let took = copy_into(&database.url, load, connections).await;
    database.remove().await?;
    Ok((load.bodies.len() * load.batch) as f64 / took?)
}

async fn copy_into(url: &str, load: &Load, connections: usize) -> Result<f64> {
    let mut setup = PgConnection::connect(url).await?;
    sqlx::raw_sql("CREATE TABLE signals (position bigserial PRIMARY KEY, body text NOT NULL)")
        .execute(&mut setup)
        .await?;
    let lines: Vec<Arc<str>> = load.bodies.iter().map(|body| rows(body)).collect::<Result<_>>()?;
    let per = lines.len().div_ceil(connections);
    let mut opened = Vec::new();
    for part in lines.chunks(per) {
        opened.push((PgConnection::connect(url).await?, part.to_vec()));
    }
    let start = Instant::now();
    let tasks: Vec<_> = opened
        .into_iter()
        .map(|(mut connection, part)| {
            tokio::spawn(async move {
                for rows in part {
                    let mut copy = connection.copy_in_raw("COPY signals (body) FROM STDIN").await?;
                    copy.send(rows.as_bytes()).await?;
                    copy.finish().await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    all(tasks).await?;
    Ok(start.elapsed().as_secs_f64())
}

async fn all(
    tasks: Vec<impl Future<Output = std::result::Result<Result<()>, tokio::task::JoinError>>>,
) -> Result<()> {
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// A line of COPY for each event.
fn rows(body: &str) -> Result<Arc<str>> {
    let body: Value = serde_json::from_str(body)?;
    let events = body["events"].as_array().context("no events")?;
    Ok(events.iter().map(|event| event.to_string().replace('\\', "\\\\") + "\n").collect::<String>().into())
}
