//! The roles in processes of their own, on one PostgreSQL, a cluster of three
//! NATS servers and an S3 server, all of which die in turn under load.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use daybook_tests::cluster::Cluster;
use daybook_tests::nats::{Nats, urls};
use daybook_tests::process::signal;
use daybook_tests::s3::{self, S3};
use daybook_tests::server::{KEY, Server, binary};
use daybook_tests::skip;
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What all processes share.
struct Site {
    binary: PathBuf,
    database: String,
    nats: String,
    s3: String,
    data: TempDir,
}

impl Site {
    /// A process with these roles.
    fn start(&self, name: &str, roles: &str) -> Server {
        let settings = [&self.settings()[..], &[("DAYBOOK_ROLES", roles), ("LOG_LEVEL", "error")]].concat();
        Server::start(&self.binary, &self.data.path().join(name), &settings).unwrap()
    }

    fn settings(&self) -> [(&str, &str); 9] {
        [
            ("DATABASE_URL", &self.database),
            ("NATS_URL", &self.nats),
            ("DAYBOOK_NATS_REPLICAS", "3"),
            ("ARCHIVE_URL", ARCHIVE),
            ("ARCHIVE_SEAL_SECONDS", "2"),
            ("S3_ENDPOINT", &self.s3),
            ("S3_REGION", "us-east-1"),
            ("S3_ACCESS_KEY", s3::ACCESS_KEY),
            ("S3_SECRET_KEY", s3::SECRET_KEY),
        ]
    }

    /// What a command prints as JSON, and its exit code.
    fn run(&self, command: &[&str]) -> (Option<i32>, Value) {
        let done = Command::new(&self.binary)
            .args(command)
            .arg("--json")
            .current_dir(self.data.path())
            .envs(self.settings())
            .env("DAYBOOK_PRIVACY_KEK", daybook_tests::server::KEK)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or_default())
    }
}

/// Taps without pause, and counts those that were answered.
struct Load {
    answered: Arc<AtomicU64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Load {
    fn start(hub: &Server) -> Self {
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (count, until, url) = (answered.clone(), stop.clone(), format!("{}/e?bandId=b1", hub.url));
        let task = tokio::spawn(async move {
            let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            while !until.is_cancelled() {
                pace.tick().await;
                let tap = client.get(&url).header("User-Agent", PHONE).send().await.unwrap();
                assert_eq!(tap.status(), 302);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { answered, stop, task }
    }

    fn count(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits for so many further taps.
    async fn goes_on(&self, taps: u64) {
        let more = self.count() + taps;
        until("the taps to go on", async || self.count() >= more).await;
    }

    async fn end(self) -> u64 {
        self.stop.cancel();
        self.task.await.unwrap();
        self.answered.load(Ordering::SeqCst)
    }
}

const ARCHIVE: &str = "s3://archive/history";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1";

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(90), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn stream_end(nats: &str) -> Option<u64> {
    let servers: Vec<&str> = nats.split(',').collect();
    let client = async_nats::connect(servers).await.ok()?;
    let stream = jetstream::new(client).get_stream("DAYBOOK_EVENTS").await.ok()?;
    Some(stream.cached_info().state.last_sequence)
}

/// A figure of the process's metrics page.
async fn metric(server: &Server, name: &str) -> Option<f64> {
    let page = reqwest::get(format!("{}/metrics", server.url)).await.ok()?.text().await.ok()?;
    let line = page.lines().find(|l| l.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Head of the log and taps counted, as the read side tells them.
async fn figures(reads: &Server) -> Option<(u64, u64)> {
    let head = reads.get("/v1/projections", 0).await.ok()?["head"].as_u64()?;
    let summary = reads.get("/v1/analytics/events/show-1/summary", head).await.ok()?;
    Some((head, summary["taps"].as_u64()?))
}

/// Bus and rows have everything that the log has by now.
async fn catches_up(site: &Site, reads: &Server) {
    let mut head = 0;
    until("the read side to know the head", async || {
        head = figures(reads).await.map_or(0, |(head, _)| head);
        head > 0
    })
    .await;
    until("the bus to catch up", async || stream_end(&site.nats).await.is_some_and(|end| end >= head)).await;
}

fn available() -> Option<PathBuf> {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return None;
    };
    if std::env::var_os("DAYBOOK_TEST_POSTGRES").is_none() {
        skip("DAYBOOK_TEST_POSTGRES is not set, so there may be no PostgreSQL");
        return None;
    }
    Some(binary)
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_survive_the_death_of_everything_around_them() {
    let Some(binary) = available() else { return };
    let Some(mut nodes) = Nats::cluster() else { return };
    let Some(mut objects) = S3::start() else { return };
    let mut postgres = Cluster::start().await.unwrap();
    let (database, data) = (postgres.url(), TempDir::new().unwrap());
    let site = Site { binary, database, nats: urls(&nodes), s3: objects.endpoint(), data };
    let commands = site.start("commands", "commands,relay,archiver");
    let projector = site.start("projector", "projector");
    let reads = site.start("reads", "read-api");
    let hub = site.start("hub", "hub,drainer");
    refuses_what_is_elsewhere(&commands, &reads).await;
    commands.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    let band = commands.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    knows(&hub, band["position"].as_u64().unwrap()).await;

    let load = Load::start(&hub);
    load.goes_on(200).await;
    catches_up(&site, &reads).await;

    let leader = super::bus::leader(&nodes).await;
    nodes[leader].kill();
    load.goes_on(200).await;
    catches_up(&site, &reads).await;
    nodes[leader].run().unwrap();

    let second = site.start("projector-2", "projector");
    projector.kill().unwrap();
    objects.kill();
    load.goes_on(200).await;
    catches_up(&site, &reads).await;
    objects.run().unwrap();

    postgres.crash().unwrap();
    let (away, taps) = (Instant::now(), load.count());
    until("ten seconds to pass", async || away.elapsed() > Duration::from_secs(10)).await;
    assert!(load.count() > taps + 500, "taps go on without the database");
    postgres.run().await.unwrap();
    load.goes_on(200).await;
    catches_up(&site, &reads).await;

    let relay = site.start("commands-2", "commands,relay,archiver");
    let third = site.start("projector-3", "projector");
    for owner in [&commands, &second] {
        signal(owner.pid(), "STOP").unwrap();
    }
    until("the relay's lease to move", async || metric(&relay, "daybook_relay_leading").await == Some(1.0))
        .await;
    load.goes_on(200).await;
    catches_up(&site, &reads).await;
    for owner in [&commands, &second] {
        signal(owner.pid(), "CONT").unwrap();
    }
    load.goes_on(400).await;
    let taps = load.end().await;
    all_is_there(&site, &reads, taps).await;
    assert_eq!(metric(&commands, "daybook_relay_leading").await, Some(0.0), "it saw that it was overtaken");
    until("only who relays to tell the lag", async || {
        metric(&commands, "daybook_relay_lag").await == Some(0.0)
    })
    .await;
    until("the lag to be nothing", async || metric(&relay, "daybook_relay_lag").await == Some(0.0)).await;
    for server in [commands, second, third, relay, reads, hub] {
        server.stop().unwrap();
    }
}

/// Every tap that was answered is counted once, and the bus is the log.
async fn all_is_there(site: &Site, reads: &Server, taps: u64) {
    until("every tap to be counted", async || {
        let counted = figures(reads).await.map_or(0, |(_, taps)| taps);
        assert!(counted <= taps, "{counted} taps counted, {taps} answered");
        counted == taps
    })
    .await;
    catches_up(site, reads).await;
    let (code, verdict) = site.run(&["bus", "verify"]);
    assert_eq!(code, Some(0), "{verdict}");
    let (code, sealed) = site.run(&["archive", "verify"]);
    assert_eq!(code, Some(0), "{sealed}");
    assert!(sealed["events"].as_u64().is_some_and(|events| events > 200), "{sealed}");
    let (head, _) = figures(reads).await.unwrap();
    let end = stream_end(&site.nats).await;
    assert!(end.is_some_and(|end| end >= head && verdict["wrong"] == 0 && verdict["first"] == 1));
}

/// A path of another role is not there.
async fn refuses_what_is_elsewhere(commands: &Server, reads: &Server) {
    let status = async |server: &Server, path: &str| {
        let request = Client::new().get(format!("{}{path}", server.url)).header("X-API-Key", KEY);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(commands, "/v1/projections").await, 404);
    assert_eq!(status(reads, "/v1/projections").await, 200);
    assert!(reads.post("/v1/events/show-1/schedule", &show()).await.is_err());
}

/// The hub has a band as of this position.
async fn knows(hub: &Server, position: u64) {
    let request = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let tap = request.head(format!("{}/e?bandId=b1", hub.url)).header("Daybook-At-Least", position);
    assert_eq!(tap.send().await.unwrap().status(), 302);
}

fn show() -> Value {
    json!({"name": "Night", "time_zone": "Asia/Kolkata", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{event_id}/{band_id}"})
}

/// A server whose bus refuses it serves all the same, and says why without
/// the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_nats_refuses_stays_secret() {
    let Some(binary) = available() else { return };
    let Some(nats) = Nats::with_password("daybook", "right") else { return };
    let data = TempDir::new().unwrap();
    let said = data.path().join("stderr");
    let url = nats.url().replace("nats://", "nats://daybook:hush-hush@");
    let server = with_stderr(&binary, data.path(), &url, &said);
    until("the relay to fail", async || {
        metric(&server, "daybook_relay_errors_total").await.is_some_and(|n| n >= 2.0)
    })
    .await;
    server.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    server.stop().unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("NATS does not accept the credentials"), "{said}");
    assert!(!said.contains("hush-hush"), "{said}");
}

fn with_stderr(binary: &Path, data: &Path, nats: &str, said: &Path) -> Server {
    let file = std::fs::File::create(said).unwrap();
    Server::start_with(binary, data, &[("NATS_URL", nats), ("LOG_LEVEL", "debug")], file.into()).unwrap()
}
