//! The same key and request is done once and answered the same.

use std::time::Duration;

use domain::ports::clock::Clock;
use domain::ports::log::{AppendError, ExpectedVersion::*, Receipt};
use futures::future::join_all;
use jiff::ToSpan;

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

#[tokio::test]
async fn a_repeated_request_is_known_beside_new_ones() {
    on_each(async |bed| {
        let log = bed.open().await;
        let request = with_key(one("a", NoStream), "k", 1);
        let first = put(&log, request.clone()).await.unwrap();
        let other = with_key(one("a", NoStream), "k", 2);
        let outcomes = log.append(vec![one("b", Any), request, other, one("b", Exact(1))]).await;
        assert_eq!(outcomes[1], Ok(Receipt { replayed: true, ..first }));
        assert_eq!(outcomes[2], Err(AppendError::KeyReused));
        assert_eq!(outcomes[3].as_ref().unwrap().position(), 3);
    })
    .await;
}

#[tokio::test]
async fn keys_are_kept_for_days_and_then_forgotten_however_many() {
    on_databases(async |bed| {
        let keyed = |n: usize| with_key(append(vec![]), &format!("k{n}"), 1);
        let pass = |days: i64| {
            let now = bed.clock.now();
            bed.clock.set(now.checked_add((24 * days).hours()).unwrap());
        };
        put(&bed.open().await, keyed(0)).await.unwrap();
        pass(6);
        let log = bed.open().await;
        assert!(log.append((1..10_500).map(keyed).collect()).await.iter().all(Result::is_ok));
        assert!(put(&log, keyed(0)).await.unwrap().replayed);
        // More of them than are removed at once, by one that was just started.
        for (days, forgotten) in [(2, &["k0"][..]), (6, &["k1", "k9999", "k10499"])] {
            pass(days);
            let log = bed.open().await;
            let gone = async {
                for key in forgotten {
                    while log.stored_reply(&tenant("acme"), key).await.unwrap().is_some() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
            assert_eq!(log.stored_reply(&tenant("acme"), "k1").await.unwrap().is_some(), days == 2);
        }
    })
    .await;
}

#[tokio::test]
async fn replies_about_a_stream_are_forgotten_and_no_others() {
    on_each(async |bed| {
        let log = bed.keep().await;
        let of = |stream: &str, key: &str| with_key(one(stream, Any), key, 1);
        let both = with_key(append(vec![write("b", Any, 2), write("a", Any, 1)]), "both", 1);
        let batch = vec![of("a", "a1"), of("b", "b1"), both, one("a", Any), of("c", "c1")];
        assert!(log.append(batch).await.iter().all(Result::is_ok));
        let elsewhere = domain::StreamId::new(&tenant("other"), &stream("a").kind, "a").unwrap();
        assert_eq!(log.forget_replies(&elsewhere).await.unwrap(), 0);
        assert_eq!(log.forget_replies(&stream("a")).await.unwrap(), 2);
        assert_eq!(log.forget_replies(&stream("a")).await.unwrap(), 0);
        for (key, kept) in [("a1", false), ("both", false), ("b1", true), ("c1", true)] {
            let reply = log.stored_reply(&tenant("acme"), key).await.unwrap();
            assert_eq!(reply.is_some(), kept, "{key}");
        }
        // It is a new request then.
        assert!(!log.append(vec![of("a", "a1")]).await[0].as_ref().unwrap().replayed);
    })
    .await;
}
