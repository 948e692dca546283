//! What is refused, and what this build does not know.

use std::time::Duration;

use domain::decide::Rejection;
use projections::ModelError;
use replays::ReplayError;
use replays::decisions::RequestKey;

use super::*;

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let bed = memory().opened().await;
    let (engine, by) = (&bed.engine, &bed.by);
    let unknown = engine.build("eaters", None, None, by).await.unwrap_err();
    assert!(matches!(unknown, ReplayError::UnknownProjection(_)), "{unknown}");
    let newer = engine.build(NAME, Some(ModelId::new("bots", 7)), None, by).await.unwrap_err();
    assert!(newer.to_string().contains("needs code for bots@7"), "{newer}");
    let parameters = json!({"patterns": [{"contains": "", "class": "other"}]});
    let wrong = ModelId { parameters, ..ModelId::new("bots", 2) };
    for refused in [
        engine.define(NAME, &wrong, by).await.unwrap_err(),
        engine.build(NAME, Some(wrong.clone()), None, by).await.unwrap_err(),
    ] {
        let ReplayError::Model(ModelError::Parameter { pointer, .. }) = refused else { panic!("{refused}") };
        assert_eq!(pointer, "/patterns/0/contains");
    }
    assert_eq!(bed.status().await.generations.len(), 1);

    let state = |e: ReplayError| assert!(matches!(e, ReplayError::Rejected(Rejection::State(_))), "{e}");
    state(engine.roll_back(NAME, by).await.unwrap_err());
    state(engine.prune(NAME, Some(1), by).await.unwrap_err());
    state(engine.pause(NAME, 1, by).await.unwrap_err());
    state(engine.promote(NAME, None, PATIENCE, by).await.unwrap_err());
    let number = bed.build(&other_model()).await;
    state(engine.promote(NAME, Some(number), PATIENCE, by).await.unwrap_err());
    state(engine.prune(NAME, Some(number), by).await.unwrap_err());
    engine.abort(NAME, number, by).await.unwrap();
    state(engine.promote(NAME, Some(number), PATIENCE, by).await.unwrap_err());
    let nobody = engine.pause(NAME, 99, by).await.unwrap_err();
    assert!(matches!(nobody, ReplayError::Rejected(Rejection::NotFound)), "{nobody}");
}

/// Rows of a view that a release took out of the code.
#[tokio::test]
async fn a_projection_that_is_gone_is_shown_and_can_be_pruned() {
    for bed in beds().await {
        let bed = bed.opened().await;
        let tables = &[TableSpec { name: "old_rows", sorted: false, columns: &[] }];
        bed.engine.rows.open("old_view", &ModelId::new("old", 1), tables).await.unwrap();
        let keeper = bed.keeper();
        let (engine, by) = (&bed.engine, &bed.by);
        for model in [None, Some(ModelId::new("old", 1))] {
            let refused = engine.build("old_view", model, None, by).await.unwrap_err();
            assert!(matches!(refused, ReplayError::UnknownProjection(_)), "{}: {refused}", bed.what);
        }
        let refused = engine.verify("old_view", None, by).await.unwrap_err();
        assert!(matches!(refused, ReplayError::UnknownProjection(_)), "{}: {refused}", bed.what);
        assert_eq!(engine.status("old_view").await.unwrap().generations.len(), 1);
        // It holds up nobody else.
        bed.taps(0..20).await;
        bed.built(&other_model()).await;
        keeper.stop().await;
    }
}

#[tokio::test]
async fn a_log_without_taps_is_built_at_once() {
    for bed in beds().await {
        let bed = bed.opened().await;
        let keeper = bed.keeper();
        let ready = bed.built(&other_model()).await;
        let built = ready.built.unwrap();
        assert_eq!((built.rows, built.events), (0, 0), "{}", bed.what);
        bed.engine.promote(NAME, None, PATIENCE, &bed.by).await.unwrap();
        keeper.stop().await;
    }
}

#[tokio::test]
async fn rows_that_lag_are_not_promoted() {
    let bed = memory().opened().await;
    let keeper = bed.keeper();
    bed.taps(0..20).await;
    let number = bed.built(&other_model()).await.generation;
    keeper.stop().await;
    bed.taps(20..30).await;
    let behind = bed.engine.promote(NAME, Some(number), Duration::ZERO, &bed.by).await.unwrap_err();
    assert!(matches!(behind, ReplayError::Behind { .. }), "{behind}");
    assert_eq!(bed.engine.facts(NAME).await.unwrap().state.live, 1);
}

#[tokio::test]
async fn a_model_of_another_build_is_a_state_and_no_crash() {
    let bed = memory();
    let projection = instantiate(NAME, &ModelId::new("bots", 1)).unwrap();
    bed.engine.rows.open(NAME, &ModelId::new("bots", 7), projection.tables()).await.unwrap();
    let keeper = bed.keeper();
    bed.taps(0..20).await;
    let strange = bed.until(1, |g| g.error.is_some()).await;
    assert!(strange.error.unwrap().contains("needs code for bots@7"));
    // Others are built and followed all the same.
    bed.built(&other_model()).await;
    keeper.stop().await;
}

#[tokio::test]
async fn a_repeated_request_builds_once() {
    for bed in beds().await {
        let bed = bed.opened().await;
        let key = |hash: u8| RequestKey { tenant: tenant(), key: "k1".into(), request_hash: [hash; 32] };
        let by = By { key: Some(key(1)), ..bed.by.clone() };
        let first = bed.engine.build(NAME, Some(other_model()), None, &by).await.unwrap();
        let again = bed.engine.build(NAME, Some(other_model()), None, &by).await.unwrap();
        assert_eq!(first, again, "{}", bed.what);
        assert_eq!(bed.status().await.generations.len(), 2);
        let other = By { key: Some(key(2)), ..bed.by.clone() };
        let reused = bed.engine.build(NAME, Some(other_model()), None, &other).await.unwrap_err();
        assert!(matches!(reused, ReplayError::Append(AppendError::KeyReused)), "{reused}");
    }
}
