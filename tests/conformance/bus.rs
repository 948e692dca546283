//! What every bus keeps, and what only a server can get wrong.

use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use daybook_tests::facts::{all, fill, fill_with};
use daybook_tests::nats::Nats;
use domain::RecordedEvent;
use domain::ports::bus::{Bell, Bus, BusError, LOG, Ring};
use infra_bus::{BusOptions, MemoryBus, NatsBus};
use infra_log::MemoryLog;

async fn events(count: usize) -> Vec<RecordedEvent> {
    let log = MemoryLog::new(Arc::new(FixedClock::at("2026-03-01T12:00:00Z")));
    fill(&log, count).await;
    all(&log, 0).await
}

async fn on_each(case: impl AsyncFn(&dyn Bus)) {
    case(&MemoryBus::default()).await;
    if let Some(nats) = Nats::start() {
        case(&NatsBus::new(BusOptions::new(nats.url())).unwrap()).await;
    }
}

async fn publish(bus: &dyn Bus, after: u64, events: &[RecordedEvent]) -> Result<u64, BusError> {
    let mut publisher = bus.publisher(after).await?;
    publisher.send(events).await?;
    publisher.flush().await
}

#[tokio::test]
async fn a_place_is_a_position() {
    let events = events(700).await;
    on_each(async |bus| {
        let empty = bus.open().await.unwrap();
        assert_eq!((empty.first, empty.last, empty.entries), (1, 0, 0));
        assert!(bus.read(0, 10).await.unwrap().is_empty());
        assert_eq!(publish(bus, 0, &events[..650]).await, Ok(650));
        assert_eq!(publish(bus, 650, &events[650..]).await, Ok(700));
        let extent = bus.open().await.unwrap();
        assert_eq!((extent.first, extent.last, extent.entries), (1, 700, 700));
        let entries = bus.read(100, 500).await.unwrap();
        assert_eq!(entries.len(), 500);
        for (entry, event) in entries.iter().zip(&events[100..]) {
            assert_eq!((entry.position, entry.leaf), (event.position, Some(event.leaf)));
            assert_eq!(entry.event_type, "band.tapped");
        }
        assert!(bus.read(700, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn who_was_overtaken_changes_nothing() {
    let events = events(400).await;
    on_each(async |bus| {
        bus.open().await.unwrap();
        let mut paused = bus.publisher(0).await.unwrap();
        paused.send(&events[..100]).await.unwrap();
        paused.flush().await.unwrap();
        assert_eq!(publish(bus, 100, &events[100..300]).await, Ok(300));
        // It goes on where it was: what it repeats is known or refused, and
        // what would come next finds its place taken.
        let refused = match paused.send(&events[100..200]).await {
            Ok(_) => paused.flush().await,
            refused => refused,
        };
        assert!(matches!(refused, Ok(200) | Err(BusError::Moved)), "{refused:?}");
        assert!(matches!(publish(bus, 350, &events[350..]).await, Err(BusError::Moved)));
        let extent = bus.extent().await.unwrap();
        assert_eq!((extent.last, extent.entries), (300, 300));
        let entries = bus.read(0, 1_000).await.unwrap();
        assert!(entries.iter().zip(&events).all(|(entry, event)| entry.leaf == Some(event.leaf)));
    })
    .await;
}

#[tokio::test]
async fn a_replaced_stream_begins_anew() {
    let events = events(20).await;
    on_each(async |bus| {
        bus.open().await.unwrap();
        publish(bus, 0, &events).await.unwrap();
        bus.replace().await.unwrap();
        assert_eq!(bus.extent().await.unwrap().last, 0);
        assert_eq!(publish(bus, 0, &events).await, Ok(20));
    })
    .await;
}

#[tokio::test]
async fn bells_are_heard() {
    let case = async |bell: &dyn Bell| {
        let mut rings = bell.listen().await.unwrap();
        let ring = Ring { topic: LOG.into(), position: 7, leaf: Some([9; 32]) };
        bell.ring(ring.clone()).await.unwrap();
        assert_eq!(rings.next().await, Some(ring));
    };
    case(&MemoryBus::default()).await;
    if let Some(nats) = Nats::start() {
        case(&NatsBus::new(BusOptions::new(nats.url())).unwrap()).await;
    }
}

/// The fence does not rest on the server's memory of ids.
#[tokio::test]
async fn repeating_is_refused_when_ids_are_forgotten() {
    let Some(nats) = Nats::start() else { return };
    let options =
        BusOptions { duplicate_window: std::time::Duration::from_millis(100), ..BusOptions::new(nats.url()) };
    let bus = NatsBus::new(options).unwrap();
    let events = events(10).await;
    bus.open().await.unwrap();
    publish(&bus, 0, &events).await.unwrap();
    // Until the window has passed, the same ids are known as duplicates.
    while publish(&bus, 0, &events).await != Err(BusError::Moved) {}
    assert_eq!(bus.extent().await.unwrap().entries, 10);
}

#[tokio::test]
async fn an_event_larger_than_a_message_goes_without_its_data() {
    let Some(nats) = Nats::start() else { return };
    let bus = NatsBus::new(BusOptions::new(nats.url())).unwrap();
    let log = MemoryLog::new(Arc::new(FixedClock::at("2026-03-01T12:00:00Z")));
    fill_with(&log, 2, |n| format!(r#"{{"text":"{}"}}"#, "x".repeat(n * ((1 << 20) - 20)))).await;
    let events = all(&log, 0).await;
    bus.open().await.unwrap();
    assert_eq!(publish(&bus, 0, &events).await, Ok(2));
    let entries = bus.read(0, 10).await.unwrap();
    assert_eq!(entries[1].leaf, Some(events[1].leaf));
}

#[tokio::test]
async fn a_message_says_in_its_subject_and_headers_what_it_is() {
    use futures::StreamExt;
    let Some(nats) = Nats::start() else { return };
    let bus = NatsBus::new(BusOptions::new(nats.url())).unwrap();
    let events = events(1).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut taps = client.subscribe("events.acme.taps.band.*").await.unwrap();
    bus.open().await.unwrap();
    publish(&bus, 0, &events).await.unwrap();
    let message = taps.next().await.unwrap();
    let headers = message.headers.unwrap();
    let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(message.subject.as_str(), "events.acme.taps.band.tapped");
    assert_eq!((header("Nats-Msg-Id"), header("Daybook-Position")), ("1".into(), "1".into()));
    assert_eq!((header("Daybook-Tenant"), header("Daybook-Type")), ("acme".into(), "band.tapped".into()));
    assert_eq!((header("Daybook-Version"), header("Daybook-Schema")), ("1".into(), "1".into()));
    assert_eq!(header("Daybook-Leaf"), hex::encode(events[0].leaf));
    assert_eq!(header("Content-Type"), "application/cloudevents+json");
    assert_eq!(domain::cloud_event::decode(&message.payload), Some(events[0].clone()));
}

#[tokio::test]
async fn consumers_go_on_in_the_new_stream_where_they_were() {
    use async_nats::jetstream::{self, consumer::pull};
    use futures::StreamExt;
    let Some(nats) = Nats::start() else { return };
    let bus = NatsBus::new(BusOptions::new(nats.url())).unwrap();
    let events = events(10).await;
    bus.open().await.unwrap();
    publish(&bus, 0, &events).await.unwrap();
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let stream = context.get_stream("DAYBOOK_EVENTS").await.unwrap();
    let config = pull::Config { durable_name: Some("mine".into()), ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut batch = consumer.fetch().max_messages(4).messages().await.unwrap();
    while let Some(message) = batch.next().await {
        message.unwrap().double_ack().await.unwrap();
    }
    let gone = bus.replace().await.unwrap();
    assert_eq!((gone.len(), gone[0].acknowledged), (1, 4));
    publish(&bus, 0, &events).await.unwrap();
    bus.restore(&gone[0]).await.unwrap();
    let stream = context.get_stream("DAYBOOK_EVENTS").await.unwrap();
    let consumer: jetstream::consumer::PullConsumer = stream.get_consumer("mine").await.unwrap();
    let next = consumer.fetch().max_messages(1).messages().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(next.info().unwrap().stream_sequence, 5);
}

#[tokio::test]
async fn a_stream_with_other_settings_is_not_used() {
    let Some(nats) = Nats::start() else { return };
    let first = NatsBus::new(BusOptions::new(nats.url())).unwrap();
    first.open().await.unwrap();
    let other = BusOptions { max_messages: 5, replicas: 3, ..BusOptions::new(nats.url()) };
    let refused = NatsBus::new(other).unwrap().open().await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, BusError::Settings { .. }), "{text}");
    assert!(text.contains("replicas is 1 and not 3") && text.contains("max_messages is -1 and not 5"));
}

#[tokio::test]
async fn credentials_are_not_told() {
    let Some(nats) = Nats::with_password("daybook", "ri/ght") else { return };
    let url = |password: &str| nats.url().replace("nats://", &format!("nats://daybook:{password}@"));
    NatsBus::new(BusOptions::new(url("ri%2Fght"))).unwrap().open().await.unwrap();
    let refused = NatsBus::new(BusOptions::new(url("hush"))).unwrap().open().await.unwrap_err();
    assert_eq!(refused.to_string(), "the bus is unavailable: NATS does not accept the credentials");
    assert!(!format!("{refused:?}").contains("hush"));
    let malformed = NatsBus::new(BusOptions::new("nats://daybook:hush@[")).err().unwrap();
    assert!(!malformed.to_string().contains("hush"));
}
