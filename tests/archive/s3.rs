//! The archive in a real S3 server, over connections that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daybook_tests::clock::FixedClock;
use daybook_tests::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::archive::{Archive, ArchiveError};
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::{Secret, StreamId, TenantId, tap};
use infra_archive::{ArchiveStore, Archiver, Patience, S3Settings, SealedHistory, Settings};
use infra_log::MemoryLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/xml\r\nconnection: close\r\n\
    content-length: 52\r\n\r\n<Error><Code>InternalError</Code><Message/></Error> ";

const SLOW_DOWN: &str = "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\nconnection: close\r\n\
    content-length: 47\r\n\r\n<Error><Code>SlowDown</Code><Message/></Error> ";

fn store(endpoint: &str) -> ArchiveStore {
    let s3 = S3Settings {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".into(),
        access_key_id: ACCESS_KEY.into(),
        secret_access_key: Secret::new(SECRET_KEY.to_owned()),
        path_style: true,
    };
    let patience = Patience {
        request: Duration::from_millis(1_500),
        retries: 6,
        total: Duration::from_secs(10),
        first_pause: Duration::from_millis(1),
    };
    ArchiveStore::open(&format!("s3://{BUCKET}/history"), &s3, &patience).unwrap()
}

async fn grown(log: &MemoryLog, count: usize) {
    let stream = StreamId::new(&TenantId::new("acme").unwrap(), tap::KIND, "hub").unwrap();
    let event = |_| NewEvent {
        event_id: Uuid::now_v7(),
        event_type: tap::TAPPED.into(),
        schema: 1,
        occurred_at: None,
        payload: format!(r#"{{"band_id":"{}","mode":"live","source":"hub"}}"#, Uuid::now_v7()),
    };
    let append = Append {
        writes: vec![StreamWrite {
            stream,
            expected: ExpectedVersion::Any,
            events: (0..count).map(event).collect(),
        }],
        metadata: Metadata {
            actor: "test".into(),
            command_id: Uuid::nil(),
            correlation_id: "c".into(),
            causation_id: None,
        },
        idempotency: None,
    };
    log.append(vec![append]).await.remove(0).unwrap();
}

fn memory() -> (Arc<FixedClock>, Arc<MemoryLog>) {
    let clock = Arc::new(FixedClock::at("2026-03-01T12:00:00Z"));
    (clock.clone(), Arc::new(MemoryLog::new(clock)))
}

async fn sealed(store: &ArchiveStore) -> Vec<domain::RecordedEvent> {
    let history = SealedHistory::new(store.clone());
    let (mut events, mut after) = (Vec::new(), 0);
    let through = history.through().await.unwrap();
    while after < through {
        let page = history.read(after, 1_000, &ReadFilter::default()).await.unwrap();
        (events, after) = ([events, page.events].concat(), page.through);
    }
    events
}

/// Of seven connections to the server one is answered «slow down», one fails,
/// one is never answered, and the others are cut in the middle of what they
/// carry, early or late.
async fn bad_line(upstream: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let upstream = upstream.clone();
            tokio::spawn(async move {
                let fate = number % 7;
                if fate < 3 {
                    let mut head = [0; 4096];
                    let _ = client.read(&mut head).await;
                    match fate {
                        0 => drop(client.write_all(SLOW_DOWN.as_bytes()).await),
                        1 => drop(client.write_all(BROKEN.as_bytes()).await),
                        // Until the client has had enough.
                        _ => while client.read(&mut head).await.is_ok_and(|n| n > 0) {},
                    }
                    return;
                }
                let Ok(server) = TcpStream::connect(upstream.trim_start_matches("http://")).await else {
                    return;
                };
                let most = if fate == 3 { 9_000 } else { 70_000 };
                let (from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let mut limited = from_client.take(most);
                let up = tokio::io::copy(&mut limited, &mut to_server);
                let down = tokio::io::copy(&mut from_server, &mut to_client);
                tokio::select! { _ = up => {}, _ = down => {} }
            });
        }
    });
    (endpoint, connections)
}

#[tokio::test]
async fn a_bad_line_to_the_store_loses_nothing() {
    let Some(server) = S3::start() else { return };
    let (endpoint, connections) = bad_line(server.endpoint()).await;
    let (clock, log) = memory();
    let settings = Settings { merge_bytes: 40_000, grace: Duration::ZERO, ..Settings::default() };
    let archiver = Archiver::new(store(&endpoint), log.clone(), clock, settings);
    for _ in 0..12 {
        grown(&log, 200).await;
        while !matches!(archiver.seal(true).await, Ok(None)) {}
        while !matches!(archiver.merge().await, Ok(None)) {}
    }
    while archiver.sweep().await.is_err() {}
    assert!(connections.load(Ordering::SeqCst) > 10, "the line was not bad");
    let direct = store(&server.endpoint());
    let manifest = direct.manifest().await.unwrap().unwrap();
    assert_eq!(manifest.through, 2_400);
    assert_eq!(direct.verify(&manifest).await.unwrap().problems, []);
    assert_eq!(sealed(&direct).await, log.read(0, 9_999, &ReadFilter::default()).await.unwrap().events);
}

#[tokio::test]
async fn a_store_that_only_says_slow_down_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = client.read(&mut head).await;
            let _ = client.write_all(SLOW_DOWN.as_bytes()).await;
        }
    });
    let (clock, log) = memory();
    grown(&log, 10).await;
    let archiver = Archiver::new(store(&endpoint), log, clock, Settings::default());
    let error = archiver.seal(true).await.unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Unavailable(reason) if reason.contains("manifest/newest")),
        "{error}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 7, "it is asked again six times");
}

#[tokio::test]
async fn two_archivers_on_one_bucket_never_both_win() {
    let Some(server) = S3::start() else { return };
    let (_, log) = memory();
    // Of different times, so that their manifests differ.
    let archivers = ["2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z"].map(|at| {
        let clock = Arc::new(FixedClock::at(at));
        Archiver::new(store(&server.endpoint()), log.clone(), clock, Settings::default())
    });
    for round in 1..=5 {
        grown(&log, 100).await;
        let [one, other] = &archivers;
        let (one, other) = tokio::join!(one.seal(true), other.seal(true));
        // Both, if they wanted the same manifest to the letter.
        assert!([&one, &other].iter().any(|r| matches!(r, Ok(Some(_)))), "{one:?} {other:?}");
        assert_eq!(store(&server.endpoint()).manifest().await.unwrap().unwrap().number, round);
    }
    assert_eq!(sealed(&store(&server.endpoint())).await.len(), 500);
}
