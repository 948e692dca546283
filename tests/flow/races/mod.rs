//! Races over HTTP: commands, read models, what was sealed.

mod bed;
mod forecasts;
mod live;
mod payout;
mod pocono;
mod sealed;
mod sealer;
mod server;

use bed::{Bed, entries, results};
use serde_json::{Value, json};

const BEFORE: &str = "2023-11-05T12:00:00Z";
const AFTER: &str = "2023-11-06T02:00:00Z";

/// A race that has been run.
async fn run() -> Bed {
    let bed = Bed::new(BEFORE).await;
    bed.race("cup-2023-36", 36).await;
    bed.post("/v1/drivers/d0/name", json!({"name": "Ross Chastain"})).await;
    bed.clock.set(AFTER.parse().unwrap());
    bed.post("/v1/races/cup-2023-36/finish", json!({"results": results([0, 2, 1, 3, 4, 5])})).await;
    bed
}

#[tokio::test]
async fn a_race_is_read_by_race_driver_and_track() {
    let bed = run().await;
    bed.post(
        "/v1/races/cup-2023-36/set-salaries",
        json!({"site": "draftkings", "salaries": {"d0": 9500, "d1": 8000}}),
    )
    .await;
    let listed = bed.get("/v1/races?season=2023&status=finished").await;
    assert_eq!(
        (&listed["races"][0]["id"], &listed["races"][0]["winner"]),
        (&json!("cup-2023-36"), &json!("d0"))
    );
    assert_eq!(bed.get("/v1/races?season=2022").await["races"], json!([]));
    assert_eq!(bed.get("/v1/races?track=phoenix").await["races"].as_array().unwrap().len(), 1);

    let race = bed.get("/v1/races/cup-2023-36").await;
    assert_eq!(
        (&race["track_kind"], &race["status"], &race["version"]),
        (&json!("short"), &json!("finished"), &json!(4))
    );
    assert_eq!(
        (&race["entries"][0]["name"], &race["entries"][0]["salaries"]["draftkings"]),
        (&json!("Ross Chastain"), &json!(9500))
    );
    assert_eq!(race["teams"]["T2"], json!(["d2", "d3"]));
    assert_eq!(race["makes"]["Ford"], json!(["d0", "d1", "d4"]), "in the order of their finish");
    assert_eq!(race["accidents"], json!([["d4", "d5"]]));

    let driver = bed.get("/v1/drivers/d0").await;
    assert_eq!((&driver["name"], &driver["all"]["wins"]), (&json!("Ross Chastain"), &json!(1)));
    assert_eq!(driver["by_track_kind"]["short"]["races"], 1);
    assert_eq!(
        (&driver["teammates"][0]["driver"], &driver["races"][0]["race"]),
        (&json!("d1"), &json!("cup-2023-36"))
    );
    assert_eq!(
        bed.get("/v1/drivers/d4").await["accidents_with"],
        json!([{"driver": "d5", "name": "d5", "races": 1}])
    );
    let short = bed.get("/v1/drivers?kind=short&limit=2").await;
    let ids: Vec<&Value> = short["drivers"].as_array().unwrap().iter().map(|d| &d["id"]).collect();
    assert_eq!(ids, ["d0", "d2"]);
    assert_eq!(bed.get("/v1/drivers?kind=road").await["drivers"], json!([]));
    let track = bed.get("/v1/tracks/phoenix").await;
    assert_eq!(
        (&track["kinds"][0]["kind"], &track["races"][0]["id"]),
        (&json!("short"), &json!("cup-2023-36"))
    );

    let graph = bed.get_as("acme", "/v1/races/cup-2023-36", "application/graphml+xml").await;
    assert_eq!(graph.headers["content-type"], "application/graphml+xml; charset=utf-8");
    let crash =
        "<edge source=\"driver:d4\" target=\"driver:d5\"><data key=\"edge-is\">accident_with</data></edge>";
    assert!(graph.text.contains(crash) && graph.text.contains("Ross Chastain"), "{}", graph.text);
    let graph = bed.get_as("acme", "/v1/drivers/d0?format=graphml", "*/*").await;
    assert!(graph.text.contains("teammate_of"), "{}", graph.text);
    let csv = bed.get_as("acme", "/v1/races/cup-2023-36/results?format=csv", "*/*").await;
    assert!(
        csv.text.starts_with("finish,driver,name,")
            && csv.text.contains("\r\n1,d0,Ross Chastain,1,00,T1,Ford,312,312")
    );
}

#[tokio::test]
async fn practice_is_recorded_and_shown() {
    let bed = Bed::new(BEFORE).await;
    bed.race("cup-2023-36", 36).await;
    let path = "/v1/races/cup-2023-36/record-session";
    let mut session = json!({"session": "practice-1", "kind": "practice", "name": "Practice 1", "cars": [
        {"driver": "d1", "place": 2, "lap_seconds": 27.4}, {"driver": "d0", "place": 1, "lap_seconds": 27.3, "laps": 40}]});
    bed.post(path, session.clone()).await;
    assert_eq!(bed.post(path, session.clone()).await["events"], json!([]));
    let race = bed.get("/v1/races/cup-2023-36").await;
    assert_eq!(
        race["sessions"][0]["cars"][0],
        json!({"driver": "d0", "place": 1, "lap_seconds": 27.3, "laps": 40})
    );
    session["cars"][0]["driver"] = json!("nobody");
    assert_eq!(bed.try_post(path, &session).await.fault(), (422, "/cars/0/driver".into()));
    session["kind"] = json!("warm-up");
    assert!(bed.try_post(path, &session).await.status.is_client_error());
}

#[tokio::test]
async fn a_race_of_another_tenant_is_not_there() {
    let bed = run().await;
    for path in [
        "races/cup-2023-36",
        "races/cup-2023-36/results",
        "races/cup-2023-36/projections",
        "drivers/d0",
        "tracks/phoenix",
    ] {
        assert_eq!(bed.get_as("umbrella", &format!("/v1/{path}"), "*/*").await.status, 404, "{path}");
    }
    for (path, list) in
        [("races", "races"), ("drivers", "drivers"), ("tracks", "tracks"), ("backtests", "backtests")]
    {
        let answer = bed.get_as("umbrella", &format!("/v1/{path}"), "*/*").await;
        assert_eq!(answer.json()[list], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_disqualification_changes_the_result_and_keeps_what_was_before() {
    let bed = run().await;
    let before = bed.get("/v1/races/cup-2023-36/results").await;
    let out = json!({"driver": "d0", "reason": "failed inspection"});
    let position = bed.post("/v1/races/cup-2023-36/disqualify", out).await["position"].as_u64().unwrap();
    let after = bed.get("/v1/races/cup-2023-36/results").await;
    let order = |results: &Value| -> Vec<Value> {
        results["results"].as_array().unwrap().iter().map(|r| r["driver"].clone()).collect()
    };
    assert_eq!(order(&after), ["d2", "d1", "d3", "d4", "d5", "d0"]);
    assert_eq!(
        (&after["results"][5]["first_finish"], &after["results"][5]["status"]),
        (&json!(1), &json!("disqualified"))
    );
    assert_eq!(after["corrections"][0]["reason"], "failed inspection");
    let past = bed.get(&format!("/v1/races/cup-2023-36/results?at={}", position - 1)).await;
    assert_eq!(past, before, "as it was known then");
    assert_eq!(bed.get("/v1/drivers/d0").await["all"]["wins"], 0);
    assert_eq!(bed.get("/v1/drivers/d2").await["all"]["wins"], 1);
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let bed = Bed::new(BEFORE).await;
    let race = |track: &str| json!({"series": "cup", "season": 2023, "number": 36, "track": track, "date": "2023-11-05"});
    let fault = async |path: &str, body: Value| {
        let answer = bed.try_post(path, &body).await;
        assert!(answer.status.is_client_error(), "{path} {body}: {}", answer.text);
        answer.fault()
    };
    assert_eq!(fault("/v1/races/x/schedule", race("moon")).await, (422, "/track".into()));
    bed.race("cup-2023-36", 36).await;
    let reused = json!({"series": "cup", "season": 2023, "number": 35, "track": "phoenix"});
    assert_eq!(fault("/v1/races/cup-2023-36/schedule", reused).await.0, 409);
    let doubled = |member: &str| {
        let mut entries = entries();
        entries[3][member] = entries[1][member].clone();
        json!({ "entries": entries })
    };
    let enter = "/v1/races/cup-2023-36/enter";
    for member in ["driver", "car", "start"] {
        assert_eq!(fault(enter, doubled(member)).await, (422, format!("/entries/3/{member}")));
    }
    let salaries = "/v1/races/cup-2023-36/set-salaries";
    for (salary, place) in
        [(json!(0), "/salaries/d0"), (json!(950_000), "/salaries/d0"), (Value::Null, "/salaries/d0")]
    {
        let body = json!({"site": "draftkings", "salaries": {"d0": salary}});
        assert_eq!(fault(salaries, body).await, (422, place.into()), "{salary}");
    }
    let finish = "/v1/races/cup-2023-36/finish";
    let whole = json!({"results": results([0, 1, 2, 3, 4, 5])});
    assert_eq!(fault(finish, whole.clone()).await.0, 409, "before it was run");
    bed.clock.set(AFTER.parse().unwrap());
    let with = |at: usize, member: &str, value: Value| {
        let mut body = whole.clone();
        body["results"][at][member] = value;
        body
    };
    assert_eq!(fault(finish, with(2, "finish", json!(2))).await, (422, "/results/2/finish".into()));
    assert_eq!(fault(finish, with(5, "finish", json!(9))).await, (422, "/results".into()), "a hole");
    assert_eq!(fault(finish, with(1, "driver", json!("d0"))).await, (422, "/results/1/driver".into()));
    assert_eq!(fault(finish, with(1, "driver", json!("x"))).await, (422, "/results/1/driver".into()));
    assert_eq!(fault(finish, with(1, "led", json!(400))).await, (422, "/results/1/led".into()));
    assert_eq!(fault(finish, json!({"results": []})).await, (422, "/results".into()));
    assert_eq!(fault("/v1/races/cup-2023-36/correct", json!({"results": [], "reason": "x"})).await.0, 409);
    assert_eq!(fault("/v1/races/nobody/cancel", json!({"reason": "rain"})).await.0, 404);
    assert_eq!(bed.get_as("acme", "/v1/races?status=odd", "*/*").await.status, 400);
    assert_eq!(bed.get_as("acme", "/v1/races/cup-2023-36?format=csv", "*/*").await.status, 400);
    assert_eq!(bed.get_as("acme", "/v1/races/cup-2023-36", "image/png").await.status, 406);

    bed.post(
        "/v1/races/cup-2023-36/postpone",
        json!({"date": "2023-11-07", "starts_at": "2023-11-07T20:00:00Z"}),
    )
    .await;
    assert_eq!(bed.get("/v1/races/cup-2023-36").await["date"], "2023-11-07");
    bed.post("/v1/races/cup-2023-36/cancel", json!({"reason": "rain"})).await;
    let race = bed.get("/v1/races/cup-2023-36").await;
    assert_eq!((&race["status"], &race["cancelled_because"]), (&json!("cancelled"), &json!("rain")));
    assert_eq!(fault(finish, whole).await.0, 409);
}

#[test]
fn every_route_is_documented() {
    let doc = serde_json::to_value(read_api::routes::races::openapi()).unwrap();
    let paths = doc["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 13, "{:?}", paths.keys().collect::<Vec<_>>());
    for (path, item) in paths {
        for operation in item.as_object().unwrap().values() {
            assert!(operation["summary"].is_string(), "{path}");
            assert!(operation["responses"]["200"]["content"].is_object(), "{path}");
        }
    }
}
