//! PostgreSQL that crashes and comes back while a server appends, builds and
//! promotes. The server is never touched.

use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::cluster::Cluster;
use daybook_tests::server::{KEY, Server};
use daybook_tests::skip;
use reqwest::Client;
use serde_json::{Value, json};

const BANDS: usize = 120;
const CLICKS: usize = 4_000;
const PATIENCE: Duration = Duration::from_secs(90);

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The same request under the same key, until it is answered for good.
async fn insist(server: &Server, path: &str, key: &str, body: &Value) -> Value {
    until(path, async || {
        let request = Client::new()
            .post(format!("{}{path}", server.url))
            .header("X-API-Key", KEY)
            .header("Idempotency-Key", key)
            .json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert!(status < 300 || status == 503, "{path}: {status} {body}");
        assert!(status < 300 || !body.to_string().contains("127.0.0.1"), "{body}");
        (status < 300).then_some(body)
    })
    .await
}

/// Every command takes effect once, whichever of its answers were lost.
async fn appends(server: &Server, postgres: &mut Cluster) {
    let commands = async {
        for band in 0..BANDS {
            let path = format!("/v1/bands/b{band}/register");
            let done = insist(server, &path, &format!("band-{band}"), &json!({})).await;
            assert_eq!(done["version"], 1, "{done}");
        }
    };
    let crashes = async {
        for _ in 0..2 {
            until("some commands", async || head(server).await.filter(|head| *head % 40 > 5)).await;
            postgres.restart().await.unwrap();
        }
    };
    tokio::join!(commands, crashes);
}

async fn head(server: &Server) -> Option<u64> {
    server.get("/v1/projections", 0).await.ok()?["head"].as_u64()
}

async fn generation(server: &Server, number: &Value) -> Option<Value> {
    let status = server.get("/v1/replays/tap_analytics", 0).await.ok()?;
    let all = status["generations"].as_array()?;
    all.iter().find(|g| g["generation"] == *number).cloned()
}

/// What is built is right, and it is built without anybody's help.
async fn builds(server: &Server, postgres: &mut Cluster) -> Value {
    let decided =
        insist(server, "/v1/replays/tap_analytics/build", "build", &json!({"model": "bots@2"})).await;
    let number = decided["generation"].clone();
    postgres.restart().await.unwrap();
    let ready = async || generation(server, &number).await.filter(|g| g["status"] == "ready");
    until("the build", ready).await;
    number
}

/// All old or all new, and what was decided is what becomes live.
async fn promotes(server: &Server, postgres: &mut Cluster, number: &Value) {
    let body = json!({"generation": number, "wait_seconds": 60});
    let promoted = insist(server, "/v1/replays/tap_analytics/promote", "promote", &body);
    let crash = async {
        postgres.restart().await.unwrap();
    };
    let (promoted, ()) = tokio::join!(promoted, crash);
    assert_eq!(promoted["generation"], *number);
    let live = async || generation(server, number).await.filter(|g| g["status"] == "live");
    until("the pointer", live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_restarts_loses_nothing_and_needs_no_help() {
    if std::env::var_os("DAYBOOK_TEST_POSTGRES").is_none() {
        return skip("DAYBOOK_TEST_POSTGRES is not set, so there may be no PostgreSQL");
    }
    let mut postgres = Cluster::start().await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let url = postgres.url();
    let Some(cli) = Cli::new(data.path(), &[("DATABASE_URL", &url)]) else { return };
    let click = |n: usize| {
        format!(
            r#"{{"a":"Mozilla/5.0","c":"US","g":"c{}","u":"http://a.example/","t":{}}}"#,
            n % 700,
            1_331_923_247 + n
        )
    };
    let clicks: Vec<String> = (0..CLICKS).map(click).collect();
    std::fs::write(data.path().join("clicks.jsonl"), clicks.join("\n")).unwrap();
    cli.json(&["import", "clicks", "--format", "bitly-jsonl", "clicks.jsonl"], 0);

    let server = cli.serve();
    let before = until("the server", async || head(&server).await).await;
    appends(&server, &mut postgres).await;
    let after = until("the head", async || head(&server).await).await;
    assert_eq!(after, before + BANDS as u64, "each once");
    let number = builds(&server, &mut postgres).await;
    promotes(&server, &mut postgres, &number).await;
    server.stop().unwrap();
    assert_eq!(cli.json(&["replay", "verify", "tap_analytics"], 0)["same"], true);
}
