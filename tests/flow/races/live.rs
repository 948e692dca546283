//! A race as it runs.

use axum::body::Body;
use axum::http::Request;
use domain::api_key::Role;
use futures::StreamExt;
use serde_json::{Value, json};

use super::BEFORE;
use super::bed::Bed;

const OBSERVE: &str = "/v1/races/cup-2023-36/observe";

fn observed(lap: u32, order: [usize; 6]) -> Value {
    let car = |(place, driver): (usize, usize)| json!({"driver": format!("d{driver}"), "place": place, "laps": lap, "led": if place == 1 { lap } else { 0 }});
    let cars: Vec<Value> = (1..).zip(order).map(car).collect();
    json!({"at": "2023-11-05T20:30:00Z", "lap": lap, "laps": 312, "flag": "green", "cars": cars})
}

/// Reads messages as they come; ends with the response.
struct Messages(axum::body::BodyDataStream, String);

impl Messages {
    async fn open(bed: &Bed, last: u64) -> Self {
        let request = Request::get("/v1/races/cup-2023-36/live")
            .header("last-event-id", last)
            .header("daybook-at-least", bed.head())
            .header("prefer", "wait=60");
        let response = bed.open("acme", Role::Reader, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        Self(response.into_body().into_data_stream(), String::new())
    }

    async fn next(&mut self) -> (u64, Value) {
        loop {
            if let Some((message, rest)) = self.1.split_once("\n\n") {
                let line = |name: &str| message.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
                let found = (line("id:").map(str::parse), line("data:").map(serde_json::from_str));
                let rest = rest.to_owned();
                self.1 = rest;
                if let (Some(id), Some(data)) = found {
                    return (id.unwrap(), data.unwrap());
                }
                continue;
            }
            let chunk = self.0.next().await.expect("a message").unwrap();
            self.1.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn every_observation_is_told_with_how_the_race_is_likely_to_end() {
    let bed = Bed::new(BEFORE).await;
    bed.race("cup-2023-36", 36).await;
    bed.post("/v1/races/cup-2023-36/projections", json!({"runs": 1_000})).await;
    assert_eq!(bed.try_post(OBSERVE, &observed(1, [0, 1, 2, 3, 4, 5])).await.status, 409, "not run yet");
    bed.clock.set("2023-11-05T20:31:00Z".parse().unwrap());
    let mut messages = Messages::open(&bed, 0).await;
    let first = bed.post(OBSERVE, observed(30, [0, 1, 2, 3, 4, 5])).await["position"].as_u64().unwrap();
    let (id, said) = messages.next().await;
    assert_eq!((id, &said["lap"], &said["cars"][0]["driver"]), (first, &json!(30), &json!("d0")));
    let win = |said: &Value, driver: &str| {
        let cars = said["cars"].as_array().unwrap();
        cars.iter().find(|c| c["driver"] == driver).unwrap()["win"].as_f64().unwrap()
    };
    let early = win(&said, "d0");
    assert!(said["cars"][0]["points"]["draftkings"].as_f64().unwrap() > 20.0, "{said}");

    // Said twice and late: nothing is recorded.
    for again in [observed(30, [1, 0, 2, 3, 4, 5]), observed(20, [1, 0, 2, 3, 4, 5])] {
        assert_eq!(bed.post(OBSERVE, again).await["events"], json!([]));
    }
    bed.post(OBSERVE, observed(310, [0, 1, 2, 3, 4, 5])).await;
    let (second, said) = messages.next().await;
    assert!(second > first && win(&said, "d0") > early && win(&said, "d0") > 0.9, "{said}");
    // Whoever comes back is told what was missed, once.
    let (id, again) = Messages::open(&bed, first).await.next().await;
    assert_eq!((id, again), (second, said));
    assert_eq!(bed.try_post("/v1/races/cup-2023-36/projections", &json!({})).await.status, 409);
    let bad = bed.try_post(OBSERVE, &observed(311, [0, 0, 2, 3, 4, 5])).await;
    assert_eq!(bad.fault(), (422, "/cars/1/driver".into()));
    assert_eq!(bed.get_as("umbrella", "/v1/races/cup-2023-36/live", "*/*").await.status, 404);
}
