//! The pointer to the live generation moves.

use domain::ports::rows::*;

use super::bed::*;

/// Two generations at position 5, the first live, and a row in each that tells
/// which it is.
async fn two(store: &Store) -> (Lease, Lease) {
    let first = store.lease().await;
    let made = store.rows.create("taps", &ModelId::new("taps", 2), TABLES).await.unwrap();
    let second = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
    for lease in [&first, &second] {
        let doc = format!("{{\"n\":{}}}", lease.generation.number);
        let rows = vec![
            puts("bands", vec![put("s/b", Some("1"), &doc)]),
            puts("totals", vec![put("s", None, &doc)]),
        ];
        store.rows.commit(commit(lease, 0, 5, rows)).await.unwrap();
    }
    store.rows.finish(&second).await.unwrap();
    (first, second)
}

#[tokio::test]
async fn promoting_moves_the_pointer_and_back() {
    for store in stores().await {
        let (first, second) = two(&store).await;
        let live = || async { store.snapshot(&[]).await.generation.number };
        store.rows.hold(&second.generation, Some(5), TTL).await.unwrap();
        assert_eq!(store.rows.promote(&second.generation, 5, 10).await, Ok(true), "{}", store.name);
        assert_eq!(live().await, 2, "{}", store.name);
        assert_eq!(store.status(&first.generation).await, GenerationStatus::Retired, "{}", store.name);
        assert_eq!(store.held(&second.generation).await, None, "{}", store.name);
        let model = store.snapshot(&[]).await.model;
        assert_eq!(model.to_string(), "taps@2", "{}", store.name);
        // Both are kept up to date.
        store.rows.commit(commit(&first, 5, 6, vec![])).await.unwrap();
        store.rows.commit(commit(&second, 5, 6, vec![])).await.unwrap();
        // Opening by code of the old model finds the live one.
        let opened = store.rows.open("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        assert_eq!((opened.id.number, opened.position), (2, 6), "{}", store.name);

        assert_eq!(store.rows.promote(&first.generation, 6, 11).await, Ok(true), "{}", store.name);
        assert_eq!(live().await, 1, "{}", store.name);
        assert_eq!(store.status(&second.generation).await, GenerationStatus::Retired, "{}", store.name);
    }
}

#[tokio::test]
async fn an_older_decision_changes_nothing() {
    for store in stores().await {
        let (first, second) = two(&store).await;
        assert_eq!(store.rows.promote(&second.generation, 0, 10).await, Ok(true));
        assert_eq!(store.rows.promote(&first.generation, 0, 9).await, Ok(false), "{}", store.name);
        assert_eq!(store.status(&second.generation).await, GenerationStatus::Live, "{}", store.name);
        assert_eq!(store.rows.promote(&second.generation, 0, 10).await, Ok(true), "{}", store.name);
        assert_eq!(store.rows.promote(&second.generation, 0, 12).await, Ok(true), "{}", store.name);
        assert_eq!(store.rows.promote(&first.generation, 0, 11).await, Ok(false), "{}", store.name);
        assert_eq!(store.status(&second.generation).await, GenerationStatus::Live, "{}", store.name);
        // Also of one that is not built, or is gone.
        let made = store.rows.create("taps", &ModelId::new("taps", 3), TABLES).await.unwrap();
        assert_eq!(store.rows.promote(&made.id, 0, 11).await, Ok(false), "{}", store.name);
        assert_eq!(store.rows.promote(&generation("taps", 99), 0, 11).await, Ok(false), "{}", store.name);
        assert_eq!(store.rows.promote(&first.generation, 0, 13).await, Ok(true), "{}", store.name);
    }
}

#[tokio::test]
async fn promoting_is_refused_before_the_fence_and_while_building() {
    for store in stores().await {
        let (first, second) = two(&store).await;
        let early = store.rows.promote(&second.generation, 6, 10).await;
        assert_eq!(early, Err(RowsError::Behind { position: 5, fence: 6 }), "{}", store.name);
        let made = store.rows.create("taps", &ModelId::new("taps", 3), TABLES).await.unwrap();
        let unbuilt = store.rows.promote(&made.id, 0, 10).await;
        assert_eq!(unbuilt, Err(RowsError::NotBuilt(made.id.clone())), "{}", store.name);
        assert_eq!(store.status(&first.generation).await, GenerationStatus::Live, "{}", store.name);
        // Nothing of it counts as a decision.
        store.rows.commit(commit(&second, 5, 6, vec![])).await.unwrap();
        assert_eq!(store.rows.promote(&second.generation, 6, 1).await, Ok(true), "{}", store.name);
    }
}

#[tokio::test]
async fn the_first_generation_may_be_built_too() {
    for store in stores().await {
        let made = store.rows.create("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        let lease = store.rows.acquire(&made.id, "a", TTL).await.unwrap();
        store.rows.finish(&lease).await.unwrap();
        let nothing = store.rows.read(&Source::live("taps"), &tenant("acme"), &[]).await;
        assert_eq!(nothing, Err(RowsError::UnknownProjection("taps".into())), "{}", store.name);
        assert_eq!(store.rows.promote(&made.id, 0, 1).await, Ok(true), "{}", store.name);
        let opened = store.rows.open("taps", &ModelId::new("taps", 1), TABLES).await.unwrap();
        assert_eq!(opened.id, made.id, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_promotions_at_once_the_later_decision_stands() {
    for store in stores().await {
        let (first, second) = two(&store).await;
        for round in 0..10u64 {
            let decisions = [(&first, 10 + 2 * round), (&second, 11 + 2 * round)];
            let promote = |(lease, decided_at): (&Lease, u64)| {
                let (rows, id) = (store.rows.clone(), lease.generation.clone());
                tokio::spawn(async move { rows.promote(&id, 5, decided_at).await })
            };
            let [older, newer] = decisions.map(promote);
            older.await.unwrap().unwrap();
            assert_eq!(newer.await.unwrap(), Ok(true), "{}", store.name);
            assert_eq!(store.snapshot(&[]).await.generation.number, 2, "{}", store.name);
            let live = store.rows.generations().await.unwrap();
            let live = live.iter().filter(|g| g.status == GenerationStatus::Live).count();
            assert_eq!(live, 1, "{}", store.name);
        }
    }
}

/// Every row of a read, its model and its generation are of one generation,
/// whatever is promoted, and of which a third is dropped, meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_all_old_or_all_new() {
    for store in stores().await {
        let (first, second) = two(&store).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (rows, stop) = (store.rows.clone(), stop.clone());
                tokio::spawn(async move {
                    let queries = [Query::top("bands", "s", None, 1), Query::get("totals", "s")];
                    let mut reads = 0;
                    while !stop.is_cancelled() || reads < 50 {
                        let read = rows.read(&Source::live("taps"), &tenant("acme"), &queries).await.unwrap();
                        let generation = read.generation.number;
                        let found: Vec<u64> = read.results.iter().map(|r| number(&r[0].doc)).collect();
                        assert_eq!(found, [u64::from(generation); 2]);
                        assert_eq!((read.model.version, read.position), (generation, 5));
                        reads += 1;
                    }
                })
            })
            .collect();
        for decision in 1..=40u64 {
            let target = if decision % 2 == 0 { &first } else { &second };
            assert_eq!(store.rows.promote(&target.generation, 5, decision).await, Ok(true), "{}", store.name);
        }
        stop.cancel();
        for reader in readers {
            reader.await.unwrap();
        }
    }
}
