use projections::tap_analytics::TapAnalytics;
use serde_json::json;

use super::*;

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";

async fn tap(bed: &Bed, owner: &str, band: &str, agent: &str) -> u64 {
    let payload = json!({"band_id": band, "event_id": "show", "mode": "live", "source": "hub",
        "user_agent": agent, "visitor": "v"});
    let event = format!("band.tapped {payload}");
    bed.append(By(owner, "hub", "c", None), ("taps", "j"), &[&event]).await[0].position
}

/// Three taps of the band, a bot, and what others do. Positions of the first
/// four.
async fn tapped() -> (Bed, Vec<u64>) {
    let bed = Bed::new();
    let mut mine = vec![tap(&bed, "acme", "b1", PHONE).await];
    tap(&bed, "other", "b1", PHONE).await;
    tap(&bed, "acme", "b2", PHONE).await;
    mine.push(tap(&bed, "acme", "b1", PHONE).await);
    mine.push(tap(&bed, "acme", "b1", "Googlebot/2.1 (+http://www.google.com/bot.html)").await);
    mine.push(tap(&bed, "acme", "b1", PHONE).await);
    bed.fold(&TapAnalytics::default()).await;
    (bed, mine)
}

const ROW: &str = "/v1/audit/why/tap_analytics/bands/show/b1";

#[tokio::test]
async fn a_count_is_the_number_of_events_behind_it() {
    let (bed, mine) = tapped().await;
    let why = bed.ok("acme", ROW).await;
    assert_eq!((&why["row"]["taps"], &why["row"]["bots"]), (&3.into(), &1.into()));
    assert_eq!((&why["count"], &why["same"]), (&4.into(), &true.into()));
    assert_eq!((positions(&why["events"]), &why["position"]), (mine.clone(), &6.into()));
    assert_eq!(why["events"][0]["proof"], format!("/v1/audit/proofs/{}", mine[0]));
    let model = TapAnalytics::default().model();
    assert_eq!(why["model"]["model"], model.to_string());
    assert_eq!((&why["model"]["parameters"], &why["generation"]), (&model.parameters, &1.into()));
    for absent in ["folded", "not_folded", "next", "build"] {
        assert!(why.get(absent).is_none(), "{absent}: {why}");
    }
    // The slash of a key may be written either way.
    let other = bed.ok("acme", &ROW.replace("show/b1", "show%2Fb1")).await;
    assert_eq!(other, why);

    let first = bed.ok("acme", &format!("{ROW}?limit=3")).await;
    assert_eq!((positions(&first["events"]), &first["count"]), (mine[..3].to_vec(), &4.into()));
    let rest = bed.ok("acme", &format!("{ROW}?limit=3&after={}", first["next"])).await;
    assert_eq!((positions(&rest["events"]), &rest["count"]), (mine[3..].to_vec(), &4.into()));
    assert!(rest.get("next").is_none());

    for missing in ["bands/show/b9", "plates/show/b1", "bands/show"] {
        let path = format!("/v1/audit/why/tap_analytics/{missing}");
        assert_eq!(bed.ask("acme", Role::Auditor, &path).await.status, 404, "{missing}");
    }
    for path in [ROW.replace("tap_analytics", "eaters"), format!("{ROW}{}", "x".repeat(1_100))] {
        assert_eq!(bed.ask("acme", Role::Auditor, &path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_row_that_its_events_do_not_make_is_told() {
    let (bed, _) = tapped().await;
    let rows = &bed.rows;
    let generation = rows.generations().await.unwrap().remove(0);
    let lease = rows.acquire(&generation.id, "test", Duration::from_secs(60)).await.unwrap();
    let row = domain::ports::rows::RowKey { tenant: tenant("acme"), key: "show/b1".into() };
    let read = Source::live("tap_analytics");
    let stored = rows.read(&read, &row.tenant, &[Query::get("bands", "show/b1")]).await.unwrap();
    let stored = stored.results[0][0].clone();
    let doc = stored.doc.replace("\"taps\":3", "\"taps\":4");
    assert_ne!(doc, stored.doc);
    let put = RowPut { row, sort: stored.sort, doc };
    let changes = vec![TableChanges { table: "bands".into(), puts: vec![put], deletes: vec![] }];
    let (from, to) = (lease.position, lease.position);
    let commit = Commit { lease, from, to, changes, parked: vec![], unparked: vec![] };
    rows.commit(commit).await.unwrap();
    let why = bed.ok("acme", ROW).await;
    assert_eq!(
        (&why["same"], &why["row"]["taps"], &why["folded"]["taps"]),
        (&false.into(), &4.into(), &3.into())
    );
}

#[tokio::test]
async fn what_was_shown_then_is_folded_by_the_model_of_then() {
    let (bed, mine) = tapped().await;
    let system = async |events: &[&str]| {
        let by = By("_system", "cli:o", "c", None);
        bed.append(by, ("replay", "tap_analytics"), events).await.pop().unwrap().position
    };
    let promoted = system(&[
        r#"replay.requested {"generation":2,"model":{"name":"bots","version":2,"parameters":{"session_gap_seconds":600}}}"#,
        r#"replay.built {"generation":2,"position":6,"rows":1,"checksum":"00","events":6,"seconds":0.1}"#,
        r#"replay.promoted {"generation":2,"previous":1,"fence":6}"#,
    ]).await;
    let newer = system(&[
        r#"replay.requested {"generation":3,"model":{"name":"bots","version":77}}"#,
        r#"replay.built {"generation":3,"position":6,"rows":1,"checksum":"00","events":6,"seconds":0.1}"#,
        r#"replay.promoted {"generation":3,"previous":2,"fence":6}"#,
    ])
    .await;
    let at = async |at: &str| bed.ok("acme", &format!("{ROW}?at={at}")).await;

    let before = at(&mine[1].to_string()).await;
    assert_eq!((&before["row"]["taps"], &before["count"]), (&2.into(), &2.into()));
    assert_eq!((&before["generation"], &before["model"]["recorded"]), (&1.into(), &false.into()));
    assert!(before.get("same").is_none(), "{before}");
    let recorded = bed.all().await[mine[1] as usize - 1].recorded_at;
    assert_eq!(at(&recorded.to_string()).await, before);

    let nothing = at("0").await;
    assert!(nothing.get("row").is_none() && nothing["count"] == 0, "{nothing}");

    let second = at(&promoted.to_string()).await;
    assert_eq!((&second["generation"], &second["model"]["model"]), (&2.into(), &"bots@2".into()));
    assert_eq!(second["model"]["parameters"]["session_gap_seconds"], 600);
    assert_eq!((&second["row"]["taps"], &second["model"]["recorded"]), (&3.into(), &true.into()));
    let build = format!(
        "daybook replay build tap_analytics --model bots@2 --params <these parameters> --at {promoted}"
    );
    assert_eq!(second["build"], build);

    let third = at(&newer.to_string()).await;
    assert_eq!(third["generation"], 3);
    assert!(third["not_folded"].as_str().unwrap().contains("bots@77"), "{third}");
    assert!(third.get("row").is_none() && third["build"].is_string(), "{third}");
}

#[tokio::test]
async fn one_such_request_at_once() {
    let (bed, _) = tapped().await;
    let state = bed.state();
    let turn = state.turn().unwrap();
    let ask = async || bed.asked(state.clone(), "acme", Role::Auditor, ROW).await;
    let refused = ask().await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"2".parse().unwrap()));
    drop(turn);
    assert_eq!(ask().await.status, 200);
    assert_eq!(ask().await.status, 200, "its turn was given back");
}
