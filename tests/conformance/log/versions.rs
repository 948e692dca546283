//! Expected versions, atomicity, and what a conflict says.

use domain::ports::log::{AppendError, ExpectedVersion, ReadFilter, StreamWrite};
use jiff::ToSpan;

use super::bed::*;
use ExpectedVersion::{Any, Exact, Exists, NoStream};

#[tokio::test]
async fn expectations_hold_or_conflict() {
    on_each(async |bed| {
        let log = bed.open().await;
        for (expected, goes_through) in [
            (Exists, false),
            (Exact(1), false),
            (Exact(0), true),
            (NoStream, false),
            (Exact(0), false),
            (Exists, true),
            (Exact(1), false),
            (Exact(2), true),
            (Exact(9), false),
            (Any, true),
        ] {
            let outcome = put(&log, one("a", expected)).await;
            assert_eq!(outcome.is_ok(), goes_through, "{expected:?}: {outcome:?}");
        }
        assert!(put(&log, one("b", NoStream)).await.is_ok());
        assert!(put(&log, one("c", Any)).await.is_ok());
        let all = read_all(&log, 100).await;
        check_log(&all);
        assert_eq!(all.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_conflict_names_the_newer_events() {
    on_each(async |bed| {
        let log = bed.open().await;
        let first = put(&log, append(vec![write("a", NoStream, 3)])).await.unwrap();
        let second = put(&log, append(vec![write("a", Exact(3), 20)])).await.unwrap();
        put(&log, one("b", NoStream)).await.unwrap();
        let expect = |expected, actual, newer: &[_]| AppendError::Conflict {
            stream: stream("a"),
            expected,
            actual,
            newer: newer.to_vec(),
        };
        // Once out of the newest events in memory, once out of the database.
        for log in [&log, &bed.open().await] {
            for _ in 0..2 {
                let error = put(log, one("a", Exact(3))).await.unwrap_err();
                assert_eq!(error, expect(Exact(3), 23, &second.events[..16]));
                let error = put(log, one("a", Exact(21))).await.unwrap_err();
                assert_eq!(error, expect(Exact(21), 23, &second.events[18..]));
                let error = put(log, one("a", Exact(99))).await.unwrap_err();
                assert_eq!(error, expect(Exact(99), 23, &[]));
                let AppendError::Conflict { newer, .. } = put(log, one("a", NoStream)).await.unwrap_err()
                else {
                    panic!()
                };
                assert_eq!(newer[..3], first.events);
                assert_eq!(newer.len(), 16);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_conflict_in_a_batch_fails_only_its_own() {
    on_each(async |bed| {
        let log = bed.open().await;
        let outcomes = log
            .append(vec![
                one("a", NoStream),
                one("a", NoStream),
                one("a", Exact(1)),
                one("b", Exists),
                append(vec![write("b", NoStream, 2), write("a", Exact(2), 1)]),
                append(vec![write("b", Exact(2), 1), write("a", Exact(2), 1)]),
                one("b", Exact(2)),
            ])
            .await;
        let shape: Vec<_> = outcomes.iter().map(|o| o.as_ref().map(|r| r.position()).ok()).collect();
        assert_eq!(shape, [Some(1), None, Some(2), None, Some(5), None, Some(6)]);
        let Err(AppendError::Conflict { stream: name, actual, newer, .. }) = &outcomes[1] else { panic!() };
        assert_eq!((name, *actual, newer[0].position), (&stream("a"), 1, 1));
        let Err(AppendError::Conflict { stream: name, actual, newer, .. }) = &outcomes[5] else { panic!() };
        assert_eq!((name, *actual, newer.len(), newer[0].position), (&stream("a"), 3, 1, 5));
        check_log(&read_all(&log, 100).await);
    })
    .await;
}

#[tokio::test]
async fn an_append_over_several_streams_is_all_or_nothing() {
    on_each(async |bed| {
        let log = bed.open().await;
        put(&log, one("a", NoStream)).await.unwrap();
        let both = append(vec![write("b", NoStream, 2), write("a", Exact(7), 1)]);
        assert!(matches!(put(&log, both).await, Err(AppendError::Conflict { .. })));
        assert_eq!(log.head().await.unwrap().position, 1);
        assert_eq!(log.last(&stream("b")).await.unwrap(), None);
        let both = append(vec![write("b", NoStream, 2), write("a", Exact(1), 1), write("c", Any, 1)]);
        let receipt = put(&log, both).await.unwrap();
        let order: Vec<_> =
            receipt.events.iter().map(|e| (e.stream.id.to_string(), e.version, e.position)).collect();
        let expected = [("b", 1, 2), ("b", 2, 3), ("a", 2, 4), ("c", 1, 5)];
        assert_eq!(order, expected.map(|(s, v, p)| (s.to_owned(), v, p)));
    })
    .await;
}

#[tokio::test]
async fn a_stream_can_be_checked_without_being_written() {
    on_each(async |bed| {
        let log = bed.open().await;
        put(&log, append(vec![write("a", NoStream, 2)])).await.unwrap();
        let check = |expected| StreamWrite { stream: stream("a"), expected, events: Vec::new() };
        let only = put(&log, append(vec![check(Exact(2))])).await.unwrap();
        assert_eq!((only.events.len(), only.position()), (0, 0));
        for (expected, goes_through) in [(Exact(2), true), (Exact(1), false), (NoStream, false)] {
            let outcome = put(&log, append(vec![check(expected), write("b", Any, 1)])).await;
            assert_eq!(outcome.is_ok(), goes_through, "{expected:?}");
        }
        assert!(put(&log, append(vec![check(Exact(3))])).await.is_err());
        assert_eq!(log.head().await.unwrap().position, 3);
    })
    .await;
}

#[tokio::test]
async fn what_was_written_reads_back_exactly_and_after_reopening() {
    on_each(async |bed| {
        let log = bed.open().await;
        let mut full = event(r#"{"z": 1,  "a":"\u0000 é \ud83d\ude00","n":1.50}"#);
        full.occurred_at = Some("1969-12-31T23:59:59.999999Z".parse().unwrap());
        full.schema = u16::MAX;
        let mut meta = metadata();
        meta.causation_id = Some(full.event_id);
        meta.actor = "cli:Åse".into();
        let one = domain::ports::log::Append {
            writes: vec![StreamWrite { stream: stream("a"), expected: NoStream, events: vec![full.clone()] }],
            metadata: meta.clone(),
            idempotency: None,
        };
        let receipt = put(&log, one).await.unwrap();
        let live = log.read(0, 10, &ReadFilter::default()).await.unwrap().events.remove(0);
        let again = bed.open().await;
        let read = again.read(0, 10, &ReadFilter::default()).await.unwrap().events.remove(0);
        assert_eq!(live, read);
        assert_eq!(again.last(&stream("a")).await.unwrap(), Some(read.clone()));
        assert_eq!(again.read_stream(&stream("a"), 1, 10).await.unwrap(), std::slice::from_ref(&read));
        assert_eq!((&read.payload, read.occurred_at), (&full.payload, full.occurred_at));
        assert_eq!((&read.metadata, read.schema), (&meta, u16::MAX));
        assert_eq!((read.recorded_at, read.position), (receipt.recorded_at, 1));
        check_log(&[read]);
    })
    .await;
}

#[tokio::test]
async fn recorded_at_never_goes_back() {
    on_each(async |bed| {
        let log = bed.open().await;
        let first = put(&log, one("a", Any)).await.unwrap().recorded_at;
        bed.clock.set(first.checked_sub(1.hour()).unwrap());
        assert_eq!(put(&log, one("a", Any)).await.unwrap().recorded_at, first);
        assert_eq!(put(&bed.open().await, one("a", Any)).await.unwrap().recorded_at, first);
        bed.clock.set(first.checked_add(1.second()).unwrap());
        assert!(put(&log, one("a", Any)).await.unwrap().recorded_at > first);
        let head = log.head().await.unwrap();
        assert_eq!(head.recorded_at, Some(first.checked_add(1.second()).unwrap()));
    })
    .await;
}

#[tokio::test]
async fn streams_are_read_by_version() {
    on_each(async |bed| {
        let log = bed.open().await;
        for _ in 0..5 {
            put(&log, append(vec![write("a", Any, 2), write("b", Any, 1)])).await.unwrap();
        }
        let versions = async |id, from, limit| {
            let events = log.read_stream(&stream(id), from, limit).await.unwrap();
            events.iter().map(|e| e.version).collect::<Vec<_>>()
        };
        assert_eq!(versions("a", 1, 3).await, [1, 2, 3]);
        assert_eq!(versions("a", 9, 30).await, [9, 10]);
        assert_eq!(versions("a", 11, 30).await, [0; 0]);
        assert_eq!(versions("none", 1, 30).await, [0; 0]);
        assert_eq!(log.last(&stream("b")).await.unwrap().unwrap().version, 5);
    })
    .await;
}
