//! Lineups by the expected prize of a contest.

use serde_json::{Value, json};

use super::sealed::{LINEUPS, slate};

fn asked(objective: &str, contest: Value) -> Value {
    let mut asked = json!({"count": 5, "runs": 1_000, "objective": objective});
    if !contest.is_null() {
        asked["contest"] = contest;
    }
    asked
}

fn contest(entries: u32, prizes: &[(u32, u32, f64)]) -> Value {
    let prize = |(from, to, amount): &(u32, u32, f64)| json!({"from": from, "to": to, "amount": amount});
    json!({"entries": entries, "entry_fee": 10.0, "prizes": prizes.iter().map(prize).collect::<Vec<_>>()})
}

fn scores(chosen: &Value) -> Vec<f64> {
    chosen["lineups"].as_array().unwrap().iter().map(|l| l["score"].as_f64().unwrap()).collect()
}

fn drivers(chosen: &Value) -> Vec<&Value> {
    chosen["lineups"].as_array().unwrap().iter().map(|l| &l["drivers"]).collect()
}

#[tokio::test]
async fn a_contest_that_pays_the_winner_alone_is_about_winning() {
    let bed = slate().await;
    let win = bed.post(LINEUPS, asked("win", Value::Null)).await;
    let alone = contest(501, &[(1, 1, 1_000.0)]);
    let pays = bed.post(LINEUPS, asked("payout", alone.clone())).await;
    assert_eq!(drivers(&win), drivers(&pays));
    for (win, dollars) in scores(&win).into_iter().zip(scores(&pays)) {
        assert!(win > 0.0 && (win * 1_000.0 - dollars).abs() < 0.2, "{win} {dollars}");
    }
    assert!(scores(&pays).is_sorted_by(|a, b| a >= b));
    assert_eq!(pays["contest"], alone);
    assert_eq!(bed.get(LINEUPS).await["lineups"][0]["contest"], alone, "it is kept");
    assert_eq!(bed.post(LINEUPS, asked("payout", alone)).await["lineups"], pays["lineups"]);
    // Whoever is not last gets the fee back: nearly certain for the best.
    let double = bed.post(LINEUPS, asked("payout", contest(10, &[(1, 9, 10.0)]))).await;
    assert!(scores(&double).iter().all(|dollars| (9.0..=10.0).contains(dollars)), "{double}");
    let mean = bed.post(LINEUPS, asked("mean", Value::Null)).await;
    assert!(mean["lineups"][0]["score"].is_null() && mean["contest"].is_null());
}

#[tokio::test]
async fn a_contest_that_cannot_be_meant_is_refused_by_name() {
    let bed = slate().await;
    for (body, place) in [
        (asked("payout", Value::Null), "/contest"),
        (asked("mean", contest(10, &[(1, 1, 5.0)])), "/contest"),
        (asked("payout", contest(1, &[(1, 1, 5.0)])), "/contest/entries"),
        (asked("payout", contest(10, &[])), "/contest/prizes"),
        (asked("payout", contest(10, &[(1, 1, 5.0), (3, 4, 2.0)])), "/contest/prizes/1/from"),
        (asked("payout", contest(10, &[(1, 20, 5.0)])), "/contest/prizes/0/to"),
        (asked("payout", contest(10, &[(1, 1, 5.0), (2, 4, 7.0)])), "/contest/prizes/1/amount"),
        (asked("payout", contest(10, &[(1, 1, -5.0)])), "/contest/prizes/0/amount"),
    ] {
        let answer = bed.try_post(LINEUPS, &body).await;
        assert_eq!(answer.fault(), (422, place.into()), "{body}: {}", answer.text);
    }
    let mut odd = contest(10, &[(1, 1, 5.0)]);
    odd["rake"] = json!(1);
    assert_eq!(bed.try_post(LINEUPS, &asked("payout", odd)).await.status, 422);
}
