//! Gateway, reactor, dispatcher and projector in processes of their own on one
//! PostgreSQL, killed one after the other while signals come.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_tests::postgres::{Database, database};
use daybook_tests::server::{KEK, KEY, Server, binary};
use daybook_tests::skip;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sink::{Answer, Sink, until};
use super::webhooks::SETTINGS;

/// Signals between one death and the next.
const MORE: u64 = 60;

struct Site {
    binary: PathBuf,
    database: Database,
    data: tempfile::TempDir,
}

impl Site {
    fn start(&self, name: &str, roles: &str) -> Server {
        let of_site = [("DATABASE_URL", self.database.url.as_str()), ("DAYBOOK_ROLES", roles)];
        let settings: Vec<_> = SETTINGS.iter().copied().chain(of_site).collect();
        Server::start(&self.binary, &self.data.path().join(name), &settings).unwrap()
    }

    /// `daybook webhooks verify` over the log.
    fn verdict(&self) -> Value {
        let output = Command::new(&self.binary)
            .args(["--json", "webhooks", "verify", "--data-dir"])
            .arg(self.data.path().join("verify"))
            .envs([("DATABASE_URL", self.database.url.as_str()), ("DAYBOOK_PRIVACY_KEK", KEK)])
            .envs(SETTINGS.iter().copied())
            .env_remove("NATS_URL")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap()
    }
}

/// Sends orders one after the other, each again until it is answered, to
/// whichever gateway there is.
struct Load {
    gateway: Arc<Mutex<String>>,
    answered: Arc<AtomicU64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Load {
    fn start(gateway: &Server) -> Self {
        let url = Arc::new(Mutex::new(gateway.url.clone()));
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (to, count, ended) = (url.clone(), answered.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let client = Client::new();
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while !ended.is_cancelled() {
                pace.tick().await;
                let number = count.load(Ordering::SeqCst);
                let url = to.lock().unwrap().clone();
                if answered_order(&client, &url, number).await {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { gateway: url, answered, stop, task }
    }

    fn count(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    async fn goes_on(&self) {
        let enough = self.count() + MORE;
        until(|| async { (self.count() >= enough).then_some(()) }).await;
    }

    async fn end(self) -> u64 {
        self.stop.cancel();
        self.task.await.unwrap();
        self.answered.load(Ordering::SeqCst)
    }
}

/// False if nobody answered.
async fn answered_order(client: &Client, url: &str, number: u64) -> bool {
    let id = format!("o-{number}");
    let order = json!({"appId": "shop", "idempotencyKey": id, "purchaseComplete": {"orderId": id, "totalCents": 900}});
    let body = json!({ "events": [order] }).to_string();
    let request = client.post(format!("{url}/v1/events/batch")).header("X-API-Key", KEY);
    let Ok(answer) = request.header("Content-Type", "application/json").body(body).send().await else {
        return false;
    };
    let status = answer.status();
    let Ok(text) = answer.text().await else { return false };
    assert_eq!(status, 200, "{text}");
    true
}

async fn prepare(gateway: &Server, reads: &Server, sink: &Sink) {
    let endpoint = json!({"url": format!("{}/ops", sink.url), "timeout_ms": 60_000,
        "filter": {"types": ["purchase_complete"]}});
    gateway.post("/v1/webhooks/endpoints/ops/create", &json!({"definition": endpoint})).await.unwrap();
    let rule = json!({"name": "orders", "app": "shop", "event_type": "purchase_complete"});
    let defined = gateway.post("/v1/rules/orders/define", &rule).await.unwrap();
    reads.get("/v1/rules/orders", defined["position"].as_u64().unwrap()).await.unwrap();
}

async fn matches(reads: &Server) -> u64 {
    reads.get("/v1/rules/orders", 0).await.unwrap()["matches"].as_u64().unwrap_or_default()
}

/// Everything that was answered is counted and judged once, and delivered.
async fn all_is_there(site: &Site, reads: &Server, sink: &Sink, orders: u64) {
    let judged = || async {
        let found = matches(reads).await;
        assert!(found <= orders, "{found} of {orders} orders matched");
        (found == orders).then_some(())
    };
    until(judged).await;
    let counted = || async {
        let types = reads.get("/v1/signals/types?app=shop", 0).await.unwrap()["types"].clone();
        let all = types.as_array().unwrap().iter().filter(|t| t["type"] == "purchase_complete");
        let counted: u64 = all.map(|t| t["count"].as_u64().unwrap()).sum();
        assert!(counted <= orders, "{types}");
        (counted == orders).then_some(())
    };
    until(counted).await;
    until(|| async { (site.verdict()["delivered"] == orders).then_some(()) }).await;
    let verdict = site.verdict();
    assert_eq!((&verdict["deliveries"], &verdict["problems"]), (&json!(orders), &json!(0)), "{verdict}");
    // One that was sent and not recorded is sent again, by the same id.
    let ids: BTreeSet<String> =
        sink.received("ops").iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len() as u64, orders, "one id for each order");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_outlive_whoever_takes_judges_and_tells_them() {
    let Ok(binary) = binary() else { return skip("the daybook binary is not built") };
    let Some(database) = database().await else { return };
    let site = Site { binary, database, data: tempfile::tempdir().unwrap() };
    let sink = Sink::start().await;
    let mut gateway = site.start("gateway", "commands");
    let reads = site.start("reads", "read-api");
    let mut others: Vec<(&str, Server)> =
        ["projector", "reactor", "dispatcher"].map(|role| (role, site.start(role, role))).into();
    prepare(&gateway, &reads, &sink).await;
    let load = Load::start(&gateway);
    load.goes_on().await;
    for turn in 0..3 {
        // Deliveries that wait to be tried again when whoever knows of them dies.
        sink.answer("ops", Answer::First(sink.received("ops").len() + 3, 503));
        let (role, owner) = others.remove(0);
        owner.kill().unwrap();
        load.goes_on().await;
        others.push((role, site.start(&format!("{role}-{turn}"), role)));
        gateway.kill().unwrap();
        gateway = site.start(&format!("gateway-{turn}"), "commands");
        gateway.url.clone_into(&mut load.gateway.lock().unwrap());
        load.goes_on().await;
        // Whoever came takes over once the lease of the dead has run out.
        let (judged, told) = (matches(&reads).await, sink.received("ops").len());
        until(|| async { (matches(&reads).await > judged + MORE).then_some(()) }).await;
        until(|| async { (sink.received("ops").len() > told).then_some(()) }).await;
    }
    let orders = load.end().await;
    all_is_there(&site, &reads, &sink, orders).await;
    for server in others.into_iter().map(|(_, server)| server).chain([gateway, reads]) {
        server.stop().unwrap();
    }
}
