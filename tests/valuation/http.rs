//! The replaced service's requests, and what is refused, over HTTP.

use std::time::{Duration, Instant};

use daybook_tests::server::{KEY, Server, binary};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{old_loan, old_market};

pub struct Bed {
    pub server: Server,
    _data: tempfile::TempDir,
}

impl Bed {
    pub fn new() -> Option<Self> {
        Self::with(&[])
    }

    pub fn with(settings: &[(&str, &str)]) -> Option<Self> {
        let Ok(binary) = binary() else {
            daybook_tests::skip("the daybook binary is not built");
            return None;
        };
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(&binary, data.path(), settings).unwrap();
        Some(Self { server, _data: data })
    }

    async fn send(&self, path: &str, media: &str, body: String) -> (StatusCode, String) {
        let request = Client::new().post(format!("{}{path}", self.server.url)).header("X-API-Key", KEY);
        let answer = request.header("Content-Type", media).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let (status, text) = self.send(path, "application/json", body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Client::new().get(format!("{}{path}", self.server.url)).header("X-API-Key", KEY);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn completed(&self, run: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, seen) = self.get(&format!("/v1/runs/{run}")).await;
            assert_eq!(status, StatusCode::OK, "{seen}");
            if seen["status"] == "COMPLETED" {
                return seen;
            }
            assert!(Instant::now() < deadline, "{seen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn old_request() -> Value {
    json!({
        "run_id": "RUN_20260123T000000", "run_type": "EOD_OFFICIAL", "as_of_time": "2026-01-23T00:00:00Z",
        "market_snapshot_id": "MKT-DEMO-20260123", "portfolio_scope": {"node_ids": ["BOOK-PRIME-LOANS"]},
        "measures": ["PV", "DV01", "ACCRUED_INTEREST"],
        "scenarios": [{"scenario_set_id": "BASE"}, {"scenario_set_id": "SPREAD_25BP"}],
        "execution": {"hash_mod": 8, "max_concurrency": 4}})
}

#[tokio::test]
async fn the_old_requests_make_the_old_numbers() {
    let Some(bed) = Bed::new() else { return };
    let (status, market) = bed.post("/api/v1/marketdata/snapshots", &old_market()).await;
    assert_eq!((status, &market["snapshot_id"]), (StatusCode::OK, &json!("MKT-DEMO-20260123")), "{market}");
    let (_, again) = bed.post("/v1/marketdata/snapshots", &old_market()).await;
    assert_eq!((&again["id"], &again["unchanged"]), (&market["id"], &json!(true)));
    let pinned = json!({"as_of_time": "2026-01-23T00:00:00Z", "portfolio_node_id": "BOOK-PRIME-LOANS",
                        "positions": [old_loan("POS-SFC_5685642")]});
    let (status, pin) = bed.post("/api/v1/position-snapshots", &pinned).await;
    assert_eq!((status, &pin["positions"]), (StatusCode::CREATED, &json!(1)), "{pin}");
    let id = pin["position_snapshot_id"].as_str().unwrap();
    assert!(id.starts_with("PS-BOOK-PRIME-LOANS-20260123-"), "{id}");
    let (_, same) = bed.post("/v1/position-snapshots", &pinned).await;
    assert_eq!(same, pin);
    let mut request = old_request();
    request["position_snapshot_id"] = json!(id);
    let (status, started) = bed.post("/api/v1/runs", &request).await;
    assert_eq!(
        (status, &started["task_product_types"]),
        (StatusCode::CREATED, &json!(["AMORT_LOAN"])),
        "{started}"
    );
    let run = bed.completed("RUN_20260123T000000").await;
    assert_eq!((&run["rows"], &run["plan"]["tasks"][0]["bucket"]), (&json!(6), &json!(0)));
    let (_, twice) = bed.post("/v1/runs", &request).await;
    assert_eq!(twice["status"], "COMPLETED", "{twice}");
    let (_, summary) = bed.get("/api/v1/results/RUN_20260123T000000/summary").await;
    assert!((summary["pv_sum"].as_f64().unwrap() - 2609.1074237980843).abs() < 1e-9, "{summary}");
    assert_eq!((&summary["pv_sum_rounded"], &summary["rows"]), (&json!("2609.11"), &json!(6)));
    assert_eq!(summary["positions_by_quality"], json!({"missing": 1}));
    let path =
        "/api/v1/results/RUN_20260123T000000/cube?measure=PV&by=portfolio_node_id&scenario_id=SPREAD_25BP";
    let (_, cube) = bed.get(path).await;
    assert_eq!(cube["rows"][0]["key"], "BOOK-PRIME-LOANS", "{cube}");
    assert!((cube["rows"][0]["value"].as_f64().unwrap() - 2607.2344939499026).abs() < 1e-9, "{cube}");
    // In the list once the projector has it.
    let (_, listed) = bed.get("/v1/runs?status=completed").await;
    assert!(listed["runs"].is_array(), "{listed}");
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn what_does_not_hold_is_named_and_not_recorded() {
    let Some(bed) = Bed::new() else { return };
    bed.post("/v1/marketdata/snapshots", &old_market()).await;
    let mut other = old_market();
    other["fx_spots"][0]["spot"] = json!(1.2);
    let (status, said) = bed.post("/v1/marketdata/snapshots", &other).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    other["curves"][0]["nodes"] = json!([]);
    other["snapshot_id"] = json!("OTHER");
    let (status, said) = bed.post("/v1/marketdata/snapshots", &other).await;
    assert!(
        status == StatusCode::UNPROCESSABLE_ENTITY && said["detail"].as_str().unwrap().contains("USD-OIS"),
        "{said}"
    );
    let loan = old_loan("POS-1").to_string()
        + "\n"
        + &json!({"position_id": "bad", "product_type": "cash", "terms": {}}).to_string()
        + "\nnot json\n";
    let (status, lines) = bed.send("/v1/positions/bulk", "application/x-ndjson", loan).await;
    let statuses: Vec<Value> =
        lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["status"].clone()).collect();
    assert_eq!(
        (status, statuses),
        (StatusCode::OK, vec!["recorded".into(), "rejected".into(), "rejected".into()]),
        "{lines}"
    );
    let csv = "position_id,product_type,book,quantity,currency,amount\nc1,CASH,DESK,2,USD,5\nc2,CASH,DESK,0,USD,5\n";
    let (_, lines) = bed.send("/v1/positions/bulk", "text/csv", csv.into()).await;
    assert!(
        lines.contains(r#""line":2,"position_id":"c1","status":"recorded""#) && lines.contains("/quantity"),
        "{lines}"
    );
    let (_, held) = bed.get("/v1/positions?book=DESK&limit=1").await;
    assert_eq!((&held["positions"][0]["position_id"], &held["next"]), (&json!("c1"), &Value::Null), "{held}");
    let refused = async |change: Value, pointer: &str| {
        let mut request = old_request();
        request["portfolio_scope"] = json!({});
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, said) = bed.post("/v1/runs", &request).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        assert_eq!(said["errors"][0]["pointer"], pointer, "{said}");
        said["detail"].as_str().unwrap().to_owned()
    };
    assert!(refused(json!({"measures": ["PV", "PVX", "VAR"]}), "/measures").await.contains("PVX, VAR"));
    assert!(refused(json!({"scenarios": ["BASE", "NOPE"]}), "/scenarios/1").await.contains("NOPE"));
    refused(json!({"market_snapshot_id": "NOPE"}), "/market_snapshot_id").await;
    refused(json!({"position_snapshot_id": "NOPE"}), "/position_snapshot_id").await;
    refused(json!({"model_set_id": "pricing@9"}), "/model_set_id").await;
    refused(json!({"as_of_time": "2026-01-24"}), "/as_of_time").await;
    refused(json!({"run_type": "DAILY"}), "/run_type").await;
    refused(json!({"portfolio_scope": {"node_ids": ["NOWHERE"]}}), "/portfolio_scope").await;
    refused(json!({"execution": {"hash_mod": 0}}), "/execution/hash_mod").await;
    let set = json!({"scenario_set_id": "S", "kind": "parallel", "size": 1e-4, "curves": ["NOPE"]});
    assert!(refused(json!({"scenarios": [set]}), "/scenarios").await.contains("NOPE"));
    let (status, _) = bed.get("/v1/runs/RUN_20260123T000000").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    bed.server.stop().unwrap();
}

/// What a tenant has is not there for another.
#[tokio::test]
async fn nothing_is_seen_across_tenants() {
    let Ok(binary) = binary() else { return daybook_tests::skip("the daybook binary is not built") };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&binary, data.path(), &[("API_KEYS", "test-key,other-key:other")]).unwrap();
    let bed = Bed { server, _data: data };
    let (_, market) = bed.post("/v1/marketdata/snapshots", &old_market()).await;
    bed.post("/v1/positions/p/open", &super::cash("p", 5.0)).await;
    let mut request = old_request();
    request["portfolio_scope"] = json!({});
    let (status, said) = bed.post("/v1/runs", &request).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    bed.completed("RUN_20260123T000000").await;
    let id = market["id"].as_str().unwrap();
    for path in [
        "/v1/positions/p".to_owned(),
        format!("/v1/marketdata/snapshots/{id}"),
        "/v1/runs/RUN_20260123T000000".to_owned(),
        "/v1/results/RUN_20260123T000000/summary".to_owned(),
        "/v1/results/RUN_20260123T000000/cube".to_owned(),
    ] {
        let url = format!("{}{path}", bed.server.url);
        let other = Client::new().get(&url).header("X-API-Key", "other-key").send().await.unwrap();
        assert_eq!(other.status(), StatusCode::NOT_FOUND, "{path}");
        let own = Client::new().get(&url).header("X-API-Key", KEY).send().await.unwrap();
        assert_eq!(own.status(), StatusCode::OK, "{path}");
    }
    bed.server.stop().unwrap();
}
