use serde_json::json;

use super::*;

/// The positions of a tree, what was caused in lists of its own.
fn shape(commands: &Value) -> Value {
    let event = |e: &Value| match e["caused"].as_array().unwrap().is_empty() {
        true => e["position"].clone(),
        false => json!([e["position"], shape(&e["caused"])]),
    };
    let command = |c: &Value| c["events"].as_array().unwrap().iter().map(event).collect::<Value>();
    commands.as_array().unwrap().iter().map(command).collect()
}

/// One command with two events; two reactions to the first, one to the second
/// under another correlation id, and one to that.
async fn grown() -> (Bed, Vec<RecordedEvent>) {
    let bed = Bed::new();
    let retired = "band.retired {}";
    let by =
        |cause: Option<&Written>, correlation| By("acme", "worker:w", correlation, cause.map(|c| c.event_id));
    let first = bed.append(by(None, "c"), ("band", "b1"), &[retired, retired]).await;
    bed.append(by(Some(&first[0]), "c"), ("band", "b2"), &[retired]).await;
    let other = bed.append(by(Some(&first[1]), "d"), ("band", "b3"), &[retired, retired]).await;
    bed.append(by(Some(&first[0]), "c"), ("band", "b4"), &[retired]).await;
    bed.append(by(Some(&other[1]), "c"), ("band", "b5"), &[retired]).await;
    // Another tenant that claims the same cause.
    bed.append(By("other", "worker:w", "c", Some(first[0].event_id)), ("band", "b2"), &[retired]).await;
    bed.index().await;
    let events = bed.all().await;
    (bed, events)
}

#[tokio::test]
async fn reactions_hang_from_what_caused_them() {
    let (bed, events) = grown().await;
    let of = async |path: &str| {
        let tree = bed.ok("acme", &format!("/v1/audit/{path}")).await;
        assert_eq!((&tree["truncated"], &tree["position"]), (&json!(false), &json!(8)));
        (shape(&tree["commands"]), tree["events"].as_u64().unwrap())
    };
    let third = json!([[4, [5, [[7]]]]]);
    let whole = json!([[[1, [[3], [6]]], [2, [[4, [5, [[7]]]]]]]]);
    assert_eq!(of(&format!("commands/{}", events[0].metadata.command_id)).await, (whole.clone(), 7));
    assert_eq!(of(&format!("causations/{}", events[0].event_id)).await, (json!([[3], [6]]), 2));
    assert_eq!(of(&format!("causations/{}", events[1].event_id)).await, (third.clone(), 3));
    assert_eq!(of(&format!("causations/{}", events[6].event_id)).await, (json!([]), 0));
    // What another correlation's event caused is found through that.
    assert_eq!(of("correlations/c").await, (whole, 7));
    assert_eq!(of("correlations/d").await, (third, 3));
    let tree = bed.ok("acme", "/v1/audit/correlations/d").await;
    assert_eq!(tree["commands"][0]["causation_id"], json!(events[1].event_id));
    let answer = async |path: &str| bed.ask("acme", Role::Auditor, path).await.status;
    assert_eq!(answer("/v1/audit/correlations/e").await, 404);
    assert_eq!(answer(&format!("/v1/audit/commands/{}", events[7].metadata.command_id)).await, 404);
}

#[tokio::test]
async fn a_tree_is_bounded_and_says_so() {
    let (mut bed, events) = grown().await;
    let path = format!("/v1/audit/commands/{}", events[0].metadata.command_id);
    let of = async |bed: &Bed, bounds: &str| {
        let tree = bed.ok("acme", &format!("{path}?{bounds}")).await;
        (shape(&tree["commands"]), tree["truncated"].as_bool().unwrap())
    };
    assert_eq!(of(&bed, "depth=1").await, (json!([[1, 2]]), true));
    assert_eq!(of(&bed, "depth=2").await, (json!([[[1, [[3], [6]]], [2, [[4, 5]]]]]), true));
    assert!(!of(&bed, "depth=3").await.1);
    assert_eq!(of(&bed, "limit=1").await, (json!([[1]]), true));
    assert_eq!(of(&bed, "limit=4").await, (json!([[[1, [[3]]], [2, [[4]]]]]), true));
    assert!(!of(&bed, "limit=7").await.1);
    bed.limits.bytes = 5;
    let (_, truncated) = of(&bed, "").await;
    assert!(truncated);
}

#[tokio::test]
async fn causes_in_a_circle_are_told_once() {
    let bed = Bed::new();
    // Ids are given one after the other: event, command, event, command.
    let ahead = Some(Uuid::from_u128(3));
    let first = bed.append(By("acme", "key:a", "c", ahead), ("band", "b1"), &["band.retired {}"]).await;
    let back = Some(first[0].event_id);
    let second = bed.append(By("acme", "key:a", "c", back), ("band", "b1"), &["band.retired {}"]).await;
    assert_eq!(Some(second[0].event_id), ahead);
    bed.index().await;
    let tree = bed.ok("acme", "/v1/audit/correlations/c").await;
    assert_eq!((&tree["events"], shape(&tree["commands"])), (&json!(2), json!([[[1, [[2]]]]])));
}

#[tokio::test]
async fn a_cause_of_very_much_is_cut() {
    let bed = Bed::new();
    let first = bed.append(By("acme", "key:a", "c", None), ("band", "b1"), &["band.retired {}"]).await;
    let cause = first[0].event_id;
    let many = vec!["band.retired {}"; 1_200];
    bed.append(By("acme", "worker:w", "d", Some(cause)), ("band", "b2"), &many).await;
    bed.index().await;
    let tree = bed.ok("acme", "/v1/audit/correlations/c").await;
    assert_eq!((&tree["events"], &tree["truncated"]), (&json!(1_000), &json!(true)));
    let reactions = tree["commands"][0]["events"][0]["caused"][0]["events"].as_array().unwrap();
    assert_eq!(reactions.len(), 999);
    let few = bed.ok("acme", &format!("/v1/audit/causations/{}?limit=600", cause)).await;
    assert_eq!((&few["events"], &few["truncated"]), (&json!(600), &json!(true)));
}
