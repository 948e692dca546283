//! What is sealed before a green flag, and lineups.

use domain::api_key::Role;
use serde_json::{Value, json};

use super::bed::{Bed, results};
use super::{AFTER, BEFORE};

const PROJECTIONS: &str = "/v1/races/cup-2023-36/projections";

/// Two races that were run, and the one that is asked about.
async fn season() -> Bed {
    let bed = Bed::new("2023-11-06T00:00:00Z").await;
    for (number, order) in [(34, [0, 1, 2, 3, 4, 5]), (35, [1, 0, 3, 2, 4, 5])] {
        let id = format!("cup-2023-{number}");
        bed.race(&id, number).await;
        bed.post(&format!("/v1/races/{id}/finish"), json!({"results": results(order)})).await;
    }
    bed.clock.set(BEFORE.parse().unwrap());
    bed.race("cup-2023-36", 36).await;
    bed
}

#[tokio::test]
async fn a_projection_is_sealed_once_and_judged_by_the_result() {
    let bed = season().await;
    let first = bed.post(PROJECTIONS, json!({"runs": 2_000})).await;
    assert_eq!((&first["learned"], &first["sealed"][0]["recorded"]), (&json!(2), &json!(true)));
    let again = bed.post(PROJECTIONS, json!({"runs": 2_000})).await;
    assert_eq!((&again["seed"], &again["sealed"][0]["recorded"]), (&first["seed"], &json!(false)));
    assert_eq!(again["sealed"][1]["sha256"], first["sealed"][1]["sha256"]);

    let salaries = json!({"site": "draftkings", "salaries": {"d0": 10_000, "d1": 9_000}});
    bed.post("/v1/races/cup-2023-36/set-salaries", salaries).await;
    let second = bed.post(PROJECTIONS, json!({"runs": 2_000})).await;
    assert!(second["through"].as_u64() > first["through"].as_u64() && second["seed"] != first["seed"]);
    let before = bed.get(&format!("{PROJECTIONS}?site=draftkings")).await;
    let sealed = &before["projections"][0];
    assert_eq!((&sealed["sealed"], &sealed["sha256"]), (&json!(2), &second["sealed"][0]["sha256"]));
    let drivers = sealed["drivers"].as_array().unwrap();
    let win: f64 = drivers.iter().map(|d| d["win"].as_f64().unwrap()).sum();
    assert!(drivers.len() == 6 && (win - 1.0).abs() < 1e-2, "{win}");
    let d0 = drivers.iter().find(|d| d["driver"] == "d0").unwrap();
    let value = d0["points"]["mean"].as_f64().unwrap() / 10.0;
    assert!((d0["value"].as_f64().unwrap() - value).abs() < 1e-3 && d0["actual"].is_null());
    assert!(d0["finish"]["floor"].as_f64() >= d0["finish"]["ceiling"].as_f64());

    bed.clock.set(AFTER.parse().unwrap());
    let late = bed.try_post(PROJECTIONS, &json!({})).await;
    assert_eq!(late.status, 409, "{}", late.text);
    bed.post("/v1/races/cup-2023-36/finish", json!({"results": results([1, 0, 2, 3, 4, 5])})).await;
    assert_eq!(bed.try_post(PROJECTIONS, &json!({})).await.status, 409);
    let after = bed.get(&format!("{PROJECTIONS}?site=draftkings")).await;
    let actual = |answer: &Value, driver: &str| {
        let drivers = answer["projections"][0]["drivers"].as_array().unwrap();
        drivers.iter().find(|d| d["driver"] == driver).unwrap()["actual"].clone()
    };
    // First from second on the grid, 312 laps led: 45 + 1 + 78.
    assert_eq!(actual(&after, "d1")["points"], 124.0);
    let record = bed.get("/v1/backtests?site=draftkings").await;
    let group = &record["backtests"][0]["groups"][0];
    assert_eq!((&group["group"], &group["races"], &group["cars"]), (&json!("all"), &json!(1), &json!(6)));
    assert_eq!(record["backtests"][0]["races"][0]["sha256"], sealed["sha256"]);

    bed.post("/v1/races/cup-2023-36/disqualify", json!({"driver": "d1", "reason": "wheel"})).await;
    let corrected = bed.get(&format!("{PROJECTIONS}?site=draftkings")).await;
    assert_eq!(corrected["projections"][0]["sha256"], sealed["sha256"]);
    for (now, then) in corrected["projections"][0]["drivers"].as_array().unwrap().iter().zip(drivers) {
        assert_eq!(
            (&now["finish"], &now["points"], &now["win"]),
            (&then["finish"], &then["points"], &then["win"])
        );
    }
    assert_eq!(actual(&corrected, "d1")["finish"], 6);
    assert_eq!(actual(&corrected, "d1")["first_finish"], 1);
    let judged = bed.get("/v1/backtests?site=draftkings").await;
    assert_ne!(judged["backtests"][0]["races"][0]["rho"], record["backtests"][0]["races"][0]["rho"]);
    let csv = bed.get_as("acme", "/v1/backtests", "text/csv").await.text;
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

#[tokio::test]
async fn the_green_flag_ends_it_even_before_it_was_due() {
    let bed = season().await;
    bed.clock.set("2023-11-05T19:58:00Z".parse().unwrap());
    bed.post("/v1/races/cup-2023-36/start", json!({"at": "2023-11-05T19:57:00Z"})).await;
    let late = bed.try_post(PROJECTIONS, &json!({})).await;
    assert!(late.status == 409 && late.text.contains("before the green flag"), "{}", late.text);
    assert_eq!(bed.get(PROJECTIONS).await["projections"], json!([]));
    assert_eq!(bed.try_post("/v1/races/nobody/projections", &json!({})).await.status, 404);
    assert_eq!(bed.try_post(PROJECTIONS, &json!({"runs": 10})).await.fault(), (422, "/runs".into()));
    let reader = axum::http::Request::post(PROJECTIONS).header("content-type", "application/json");
    let reader = bed.send("acme", Role::Reader, reader.body("{}".into()).unwrap()).await;
    assert_eq!(reader.status, 403);
}

/// Twelve drivers whose salaries leave few choices.
pub async fn slate() -> Bed {
    let bed = season().await;
    let entry = |i: usize| json!({"driver": format!("d{i}"), "team": format!("T{}", i % 4), "make": "Ford", "car": format!("{i}"), "start": i + 1});
    let entries: Vec<Value> = (0..12).map(entry).collect();
    bed.post("/v1/races/cup-2023-36/enter", json!({ "entries": entries })).await;
    let salaries: serde_json::Map<String, Value> =
        (0..12).map(|i| (format!("d{i}"), json!(11_000 - 500 * i))).collect();
    bed.post("/v1/races/cup-2023-36/set-salaries", json!({"site": "draftkings", "salaries": salaries})).await;
    bed
}

pub const LINEUPS: &str = "/v1/races/cup-2023-36/lineups";

#[tokio::test]
async fn lineups_keep_to_their_limits_and_are_kept() {
    let bed = slate().await;
    let limits =
        json!({"lock": ["D3"], "exclude": ["d11"], "exposures": [{"driver": "d0", "min": 0.5, "max": 0.5}]});
    let asked = json!({"count": 10, "runs": 1_000, "limits": limits});
    let chosen = bed.post(LINEUPS, asked.clone()).await;
    assert_eq!((&chosen["set"], &chosen["proved"]), (&json!(1), &json!(true)));
    let place = |driver: &str| {
        chosen["drivers"].as_array().unwrap().iter().position(|d| d["driver"] == driver).unwrap()
    };
    let lineups: Vec<&Vec<Value>> =
        chosen["lineups"].as_array().unwrap().iter().map(|l| l["drivers"].as_array().unwrap()).collect();
    let with = |driver: &str| lineups.iter().filter(|l| l.contains(&json!(place(driver)))).count();
    assert_eq!((lineups.len(), with("d3"), with("d11"), with("d0")), (10, 10, 0, 5));
    assert!(chosen["lineups"].as_array().unwrap().iter().all(|l| l["salary"].as_u64().unwrap() <= 50_000));
    let again = bed.post(LINEUPS, asked).await;
    assert_eq!((&again["set"], &again["lineups"]), (&json!(2), &chosen["lineups"]));

    let kept = bed.get(LINEUPS).await;
    assert_eq!((&kept["lineups"][0]["set"], &kept["lineups"][1]["lineups"]), (&json!(2), &chosen["lineups"]));
    assert_eq!(bed.get_as("umbrella", LINEUPS, "*/*").await.status, 404);
    let unnamed = bed.get_as("acme", LINEUPS, "text/csv").await;
    assert!(unnamed.status == 409 && unnamed.text.contains("set-salaries"), "{}", unnamed.text);

    let race = bed.get("/v1/races/cup-2023-36").await;
    let salaries: serde_json::Map<String, Value> = race["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["driver"].as_str().unwrap().to_owned(), e["salaries"]["draftkings"].clone()))
        .collect();
    let ids: serde_json::Map<String, Value> =
        salaries.keys().map(|d| (d.clone(), json!(format!("30{d}")))).collect();
    let named = json!({"site": "draftkings", "salaries": salaries, "ids": ids});
    bed.post("/v1/races/cup-2023-36/set-salaries", named).await;
    bed.post(LINEUPS, json!({"count": 2, "runs": 1_000, "objective": "quantile:0.9"})).await;
    let upload = bed.get_as("acme", &format!("{LINEUPS}?set=3&format=csv"), "*/*").await;
    let lines: Vec<&str> = upload.text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("D,D,D,D,D,D", 3), "{}", upload.text);
    assert!(lines[1].split(',').all(|cell| cell.contains(" (30d")), "{}", lines[1]);
    assert_eq!(bed.get_as("acme", &format!("{LINEUPS}?set=9"), "*/*").await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_picked_is_named() {
    let bed = slate().await;
    let fault = async |body: Value| {
        let answer = bed.try_post(LINEUPS, &body).await;
        assert!(answer.status.is_client_error(), "{body}: {}", answer.text);
        (answer.fault(), answer.json())
    };
    let locked = json!({"limits": {"lock": ["d1"], "exclude": ["d1", "d2"]}, "runs": 1_000});
    let (place, problem) = fault(locked).await;
    assert_eq!((place, &problem["clash"]), ((422, "/limits".into()), &json!(["lock d1", "exclude d1"])));
    assert_eq!(
        fault(json!({"limits": {"lock": ["nobody"]}, "runs": 1_000})).await.0,
        (422, "/limits".into())
    );
    assert_eq!(fault(json!({"objective": "best"})).await.0, (422, "/objective".into()));
    assert_eq!(fault(json!({"count": 0})).await.0, (422, "/count".into()));
    assert_eq!(fault(json!({"site": "other"})).await.0, (422, "/site".into()));
    assert_eq!(fault(json!({"randomness": 2})).await.0, (422, "/randomness".into()));
    assert_eq!(fault(json!({"site": "fanduel", "runs": 1_000})).await.0.0, 409, "no salaries");
    let five: Value = json!({"d0": 9_000, "d1": 8_000, "d2": 8_000, "d3": 8_000, "d4": 8_000});
    bed.post("/v1/races/cup-2023-36/set-salaries", json!({"site": "draftkings", "salaries": five})).await;
    let (place, problem) = fault(json!({"count": 1, "runs": 1_000})).await;
    assert_eq!(place, (422, "/limits".into()), "{problem}");
    assert!(problem.to_string().contains("too few lineups"), "{problem}");
}
