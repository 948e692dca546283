//! From the schedule to the lineups with the real server.

use daybook_tests::server::{Server, binary};
use daybook_tests::skip;
use domain::ports::clock::Clock;
use infra_runtime::SystemClock;
use jiff::{SignedDuration, Unit};
use serde_json::{Value, json};

async fn post(server: &Server, path: &str, body: Value) -> Value {
    server.post(path, &body).await.unwrap_or_else(|e| panic!("{path}: {e:#}"))
}

#[tokio::test]
async fn a_race_is_scheduled_projected_and_picked_for() {
    let data = tempfile::tempdir().unwrap();
    let Ok(binary) = binary() else { return skip("the daybook binary is not built") };
    let server = Server::start(&binary, data.path(), &[]).unwrap();
    post(&server, "/v1/tracks/phoenix/define", json!({"name": "Phoenix Raceway", "kind": "short"})).await;
    let starts_at = (SystemClock.now() + SignedDuration::from_hours(50)).round(Unit::Second).unwrap();
    let date = starts_at.to_string()[..10].to_owned();
    let season: i32 = date[..4].parse().unwrap();
    let race = json!({"series": "cup", "season": season, "number": 36, "track": "phoenix", "date": date, "starts_at": starts_at, "laps": 312});
    post(&server, "/v1/races/finale/schedule", race).await;
    let entry = |i: usize| json!({"driver": format!("d{i}"), "team": format!("T{}", i % 5), "make": "Ford", "car": format!("{i}"), "start": i + 1});
    let entries: Vec<Value> = (0..20).map(entry).collect();
    post(&server, "/v1/races/finale/enter", json!({ "entries": entries })).await;
    let salaries: serde_json::Map<String, Value> =
        (0..20).map(|i| (format!("d{i}"), json!(10_500 - 250 * i))).collect();
    let salaries = json!({"site": "draftkings", "salaries": salaries});
    post(&server, "/v1/races/finale/set-salaries", salaries).await;
    let sealed = post(&server, "/v1/races/finale/projections", json!({"runs": 1_000})).await;
    let picked = post(&server, "/v1/races/finale/lineups", json!({"count": 5, "runs": 1_000})).await;
    assert_eq!(picked["lineups"].as_array().unwrap().len(), 5);

    let check = async |server: &Server| {
        let found =
            server.get("/v1/races/finale/projections?site=draftkings", position(&sealed)).await.unwrap();
        assert_eq!(found["projections"][0]["sha256"], sealed["sealed"][0]["sha256"]);
        assert_eq!(found["projections"][0]["drivers"].as_array().unwrap().len(), 20);
        let kept = server.get("/v1/races/finale/lineups", position(&sealed)).await.unwrap();
        assert_eq!(kept["race"], "finale");
    };
    check(&server).await;
    server.kill().unwrap();
    // Nothing is lost with the process.
    let server = Server::start(&binary, data.path(), &[]).unwrap();
    check(&server).await;
    let kept = server.get("/v1/races/finale/lineups", picked["position"].as_u64().unwrap()).await.unwrap();
    assert_eq!(kept["lineups"][0]["lineups"], picked["lineups"]);
    let again = post(&server, "/v1/races/finale/projections", json!({"runs": 1_000})).await;
    assert_eq!((&again["sealed"][0]["recorded"], &again["seed"]), (&json!(false), &sealed["seed"]));
}

fn position(sealed: &Value) -> u64 {
    sealed["sealed"].as_array().unwrap().iter().map(|s| s["position"].as_u64().unwrap()).max().unwrap()
}
