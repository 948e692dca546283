//! Events that do not fold: set aside, shown, left out with a reason.

use domain::ports::rows::*;

use super::*;

fn torn(i: u64) -> NewEvent {
    let (tap, at) = tap(i);
    event(&Tap { band_id: "a/b".into(), ..tap }, at)
}

#[tokio::test]
async fn what_does_not_fold_is_shown_and_left_out_from_then_on() {
    for bed in beds().await {
        let bed = bed.opened().await;
        let keeper = bed.keeper();
        bed.taps(0..150).await;
        let torn_at = bed.append(vec![torn(150)]).await;
        let head = bed.taps(151..400).await;
        let model = other_model();
        let number = bed.built(&model).await.generation;
        for generation in [1, number] {
            let found = bed.until(generation, |g| g.position >= head).await;
            assert_eq!(found.dead_letters, 1, "{}", bed.what);
            assert_eq!(found.failing[0].position, torn_at);
            assert!(found.failing[0].error.contains("an id of the tap"), "{:?}", found.failing);
        }
        let healthy = bed.engine.skip(NAME, torn_at - 1, "why not", &bed.by).await.unwrap_err();
        assert!(healthy.to_string().contains("waits in no generation"), "{healthy}");
        assert_eq!(bed.engine.retry(NAME, number, None).await.unwrap(), 1);
        bed.until(number, |g| g.failing.first().is_some_and(|f| f.attempts == 2)).await;

        let skipped = bed.engine.skip(NAME, torn_at, "a torn line", &bed.by).await.unwrap();
        assert!(skipped.changed);
        assert!(!bed.engine.skip(NAME, torn_at, "again", &bed.by).await.unwrap().changed);
        for generation in [1, number] {
            bed.until(generation, |g| g.dead_letters == 0).await;
        }
        let status = bed.status().await;
        assert_eq!((status.skipped[0].position, &*status.skipped[0].reason), (torn_at, "a torn line"));
        let later = bed.built(&model).await;
        assert_eq!(later.dead_letters, 0);
        assert_eq!(bed.checksum(later.generation).await, bed.checksum(number).await);
        assert!(bed.engine.verify(NAME, Some(number), &bed.by).await.unwrap().same);
        keeper.stop().await;
    }
}

#[tokio::test]
async fn many_failures_do_not_stop_a_build() {
    let bed = sqlite().await.opened().await;
    for i in 0..30 {
        bed.append(vec![torn(i), torn(i + 1)]).await;
        bed.taps(i * 50..i * 50 + 50).await;
    }
    let keeper = bed.keeper();
    let ready = bed.built(&other_model()).await;
    assert_eq!((ready.dead_letters, ready.failing.len()), (60, 20));
    let head = bed.engine.log.head().await.unwrap().position;
    let mut healthy = bed.history(head).await;
    healthy.retain(|e| !e.payload.contains("a/b"));
    let projection = instantiate(NAME, &other_model()).unwrap();
    let mut sum = Checksum::default();
    for ((table, row), (sort, doc)) in fold(&*projection, &healthy, 100).unwrap().all() {
        sum.add(&table, &ScannedRow { row, sort, doc }).unwrap();
    }
    assert_eq!(bed.checksum(ready.generation).await, sum.hex());
    keeper.stop().await;
}
