//! The same key and request is done once and answered the same.

use domain::ports::log::{AppendError, ExpectedVersion::*, Receipt};
use futures::future::join_all;

use super::bed::*;

#[tokio::test]
async fn a_repeated_request_gets_the_first_reply() {
    on_each(async |bed| {
        let log = bed.open().await;
        let request = with_key(append(vec![write("a", NoStream, 2), write("b", NoStream, 1)]), "k", 1);
        let first = put(&log, request.clone()).await.unwrap();
        assert!(!first.replayed);
        assert_eq!(first.reply.as_deref(), Some(r#"{"hash":1}"#));
        let expected = Receipt { replayed: true, ..first };
        for log in [&log, &bed.open().await] {
            assert_eq!(put(log, request.clone()).await.unwrap(), expected);
            let stored = log.stored_reply(&tenant("acme"), "k").await.unwrap().unwrap();
            assert_eq!((stored.request_hash, stored.receipt), ([1; 32], expected.clone()));
            let other = with_key(one("c", Any), "k", 2);
            assert_eq!(put(log, other).await, Err(AppendError::KeyReused));
        }
        assert_eq!(log.head().await.unwrap().position, 3);
        assert_eq!(log.stored_reply(&tenant("other"), "k").await.unwrap(), None);
        assert_eq!(log.stored_reply(&tenant("acme"), "l").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn duplicates_in_one_batch_are_done_once() {
    on_each(async |bed| {
        let log = bed.open().await;
        let same = with_key(one("a", NoStream), "k", 1);
        let outcomes = log
            .append(vec![
                with_key(one("zz", Exists), "k", 1),
                same.clone(),
                same.clone(),
                with_key(one("b", Any), "k", 2),
                one("a", Exact(1)),
            ])
            .await;
        assert!(matches!(outcomes[0], Err(AppendError::Conflict { .. })), "a conflict uses up no key");
        let first = outcomes[1].clone().unwrap();
        assert_eq!(outcomes[2], Ok(Receipt { replayed: true, ..first.clone() }));
        assert_eq!(outcomes[3], Err(AppendError::KeyReused));
        assert_eq!(outcomes[4].as_ref().unwrap().position(), 2);
        assert_eq!(put(&log, same).await, Ok(Receipt { replayed: true, ..first }));
    })
    .await;
}

#[tokio::test]
async fn an_append_without_events_keeps_its_reply_too() {
    on_each(async |bed| {
        let log = bed.open().await;
        put(&log, one("a", NoStream)).await.unwrap();
        let nothing = with_key(append(vec![write("a", Exact(1), 0)]), "k", 1);
        let first = put(&log, nothing.clone()).await.unwrap();
        put(&log, one("a", Exact(1))).await.unwrap();
        // The stream has moved on; the reply has not.
        assert_eq!(put(&log, nothing).await.unwrap(), Receipt { replayed: true, ..first });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_duplicates_at_once_are_done_once() {
    on_each(async |bed| {
        let logs = [bed.open().await, bed.open().await];
        let request = with_key(append(vec![write("a", NoStream, 3)]), "k", 1);
        let tries = (0..100).map(|n| {
            let (log, request) = (logs[n % 2].clone(), request.clone());
            tokio::spawn(async move { put(&log, request).await.unwrap() })
        });
        let receipts: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(receipts.iter().filter(|r| !r.replayed).count(), 1);
        assert!(receipts.iter().all(|r| r.events == receipts[0].events && r.reply == receipts[0].reply));
        assert_eq!(logs[0].head().await.unwrap().position, 3);
    })
    .await;
}
