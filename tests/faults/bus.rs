//! The relay on real NATS servers that die, forget and refuse. The log and the
//! rows are in memory: what is tested is what the bus does to them, nothing.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use daybook_tests::clock::FixedClock;
use daybook_tests::facts::fill;
use daybook_tests::nats::{Nats, urls};
use domain::ports::bus::{Bus, BusError};
use domain::ports::log::EventLog;
use infra_bus::{BusOptions, NatsBus};
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::relay::{self, Relay, RelayConfig};

const STREAM: &str = "DAYBOOK_EVENTS";

struct Bench {
    log: Arc<MemoryLog>,
    bus: Arc<NatsBus>,
    stop: CancellationToken,
    relay: JoinHandle<()>,
}

impl Bench {
    /// A log with a relay to the bus.
    fn start(options: BusOptions) -> Self {
        let log = Arc::new(MemoryLog::new(Arc::new(FixedClock::at("2026-03-01T12:00:00Z"))));
        let bus = Arc::new(NatsBus::new(options).unwrap());
        let config = RelayConfig {
            max_backoff: Duration::from_millis(500),
            beat: Duration::from_millis(200),
            ..RelayConfig::new("test")
        };
        let rows = Arc::new(MemoryRows::new());
        let relay = Relay { log: log.clone(), rows, bus: bus.clone(), bell: bus.clone(), config };
        let stop = CancellationToken::new();
        Self { log, bus, relay: tokio::spawn(relay.run(stop.clone())), stop }
    }

    async fn reaches(&self, position: u64) {
        until("the bus to catch up", async || self.bus.extent().await.is_ok_and(|e| e.last >= position))
            .await;
    }

    /// Everything is on the bus once, in order, as the log has it.
    async fn ends_clean(self) {
        let head = self.log.head().await.unwrap().position;
        self.reaches(head).await;
        self.stop.cancel();
        self.relay.await.unwrap();
        let verdict = relay::verify(&*self.log, &*self.bus, 1, 0).await.unwrap();
        assert!(verdict.is_clean(), "{verdict:?}");
        let extent = self.bus.extent().await.unwrap();
        assert_eq!((verdict.compared, extent.entries, extent.last), (head, head, head));
    }
}

fn options(nats: &Nats) -> BusOptions {
    BusOptions { patience: Duration::from_secs(2), ..BusOptions::new(nats.url()) }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(120), met).await;
    met.unwrap_or_else(|_| panic!("waited two minutes for {what}"));
}

async fn context(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_publishing() {
    let Some(mut nats) = Nats::start() else { return };
    let bench = Bench::start(options(&nats));
    for round in 1..=3 {
        let head = fill(&*bench.log, 20_000).await;
        bench.reaches(head - 15_000).await;
        nats.kill();
        // The log takes what it is given all the same.
        assert_eq!(fill(&*bench.log, 100).await, 20_100 * round);
        nats.run().unwrap();
    }
    bench.ends_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start() {
    let Some(mut nats) = Nats::prepare(String::new()) else { return };
    let bench = Bench::start(options(&nats));
    fill(&*bench.log, 100).await;
    let refused = bench.bus.open().await.unwrap_err();
    assert!(refused.to_string().starts_with("the bus is unavailable: NATS cannot be reached"), "{refused}");
    nats.run().unwrap();
    bench.ends_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_with_an_empty_disk() {
    let Some(mut nats) = Nats::start() else { return };
    let bench = Bench::start(options(&nats));
    let head = fill(&*bench.log, 3_000).await;
    bench.reaches(head).await;
    nats.lose().unwrap();
    nats.run().unwrap();
    bench.ends_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_deleted_while_it_is_published_to() {
    let Some(nats) = Nats::start() else { return };
    let bench = Bench::start(options(&nats));
    let head = fill(&*bench.log, 20_000).await;
    bench.reaches(head / 4).await;
    context(&nats).await.delete_stream(STREAM).await.unwrap();
    fill(&*bench.log, 100).await;
    bench.ends_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_taken_out_of_the_stream_is_told_and_refilled() {
    let Some(nats) = Nats::start() else { return };
    let bench = Bench::start(options(&nats));
    let head = fill(&*bench.log, 100).await;
    bench.reaches(head).await;
    let stream = context(&nats).await.get_stream(STREAM).await.unwrap();
    for position in [30, 31, 50] {
        stream.delete_message(position).await.unwrap();
    }
    let verdict = relay::verify(&*bench.log, &*bench.bus, 1, 0).await.unwrap();
    let ranges: Vec<_> = verdict.ranges.iter().map(|r| (r.kind, r.first, r.last)).collect();
    assert_eq!(ranges, [(relay::Kind::Missing, 30, 31), (relay::Kind::Missing, 50, 50)]);
    bench.bus.replace().await.unwrap();
    bench.ends_clean().await;
}

/// What a stranger publishes takes a place that an event needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_message_is_told_and_stops_the_relay() {
    let Some(nats) = Nats::start() else { return };
    let bench = Bench::start(options(&nats));
    let head = fill(&*bench.log, 10).await;
    bench.reaches(head).await;
    let stranger = context(&nats).await;
    stranger.publish("events.acme.taps.band.tapped", "{}".into()).await.unwrap().await.unwrap();
    fill(&*bench.log, 10).await;
    until("the relay to see it", async || {
        let seen = relay::open(&*bench.log, &*bench.bus, 0).await;
        matches!(seen, Err(relay::RelayError::Differs { position: 11 }))
    })
    .await;
    let verdict = relay::verify(&*bench.log, &*bench.bus, 1, 0).await.unwrap();
    assert_eq!((verdict.wrong, verdict.ranges[0].first), (1, 11));
    bench.bus.replace().await.unwrap();
    bench.ends_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_foreign_settings_is_used_once_it_is_right() {
    let Some(nats) = Nats::start() else { return };
    let context = context(&nats).await;
    let mut config = jetstream::stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["events.>".to_owned()],
        max_messages: 10,
        ..Default::default()
    };
    context.create_stream(config.clone()).await.unwrap();
    let bench = Bench::start(options(&nats));
    fill(&*bench.log, 100).await;
    let refused = bench.bus.open().await.unwrap_err();
    assert!(
        matches!(refused, BusError::Settings { .. }) && refused.to_string().contains("max_messages is 10")
    );
    config.max_messages = -1;
    config.max_age = Duration::from_secs(7 * 24 * 3600);
    context.update_stream(config).await.unwrap();
    bench.ends_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_take_the_oldest_and_verify_does_not_mind() {
    let Some(nats) = Nats::start() else { return };
    let bench = Bench::start(BusOptions { max_messages: 40, ..options(&nats) });
    let head = fill(&*bench.log, 100).await;
    bench.reaches(head).await;
    let verdict = relay::verify(&*bench.log, &*bench.bus, 1, 0).await.unwrap();
    assert!(verdict.is_clean());
    assert_eq!((verdict.first, verdict.compared, verdict.expired), (61, 40, 60));
    bench.stop.cancel();
    bench.relay.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_of_a_cluster_is_killed_under_load() {
    let Some(mut nodes) = Nats::cluster() else { return };
    let options =
        BusOptions { replicas: 3, patience: Duration::from_secs(2), ..BusOptions::new(urls(&nodes)) };
    let bench = Bench::start(options);
    for _ in 0..2 {
        let head = fill(&*bench.log, 10_000).await;
        bench.reaches(head - 9_000).await;
        let leader = leader(&nodes).await;
        nodes[leader].kill();
        let head = fill(&*bench.log, 1_000).await;
        bench.reaches(head).await;
        nodes[leader].run().unwrap();
        // Three copies survive one loss at a time.
        until("the copies to be whole", async || whole(&nodes).await).await;
    }
    bench.ends_clean().await;
}

/// Whether every node has everything that the stream's leader has.
async fn whole(nodes: &[Nats]) -> bool {
    let servers: Vec<String> = nodes.iter().map(Nats::url).collect();
    let Ok(client) = async_nats::connect(servers).await else { return false };
    let Ok(stream) = jetstream::new(client).get_stream(STREAM).await else { return false };
    let cluster = stream.cached_info().cluster.as_ref();
    cluster.is_some_and(|c| c.leader.is_some() && c.replicas.iter().all(|r| r.current && !r.offline))
}

/// The number of the node that leads the stream.
pub async fn leader(nodes: &[Nats]) -> usize {
    let servers: Vec<String> = nodes.iter().filter(|n| n.runs()).map(Nats::url).collect();
    let context = jetstream::new(async_nats::connect(servers).await.unwrap());
    loop {
        let info = match context.get_stream(STREAM).await {
            Ok(stream) => stream.cached_info().cluster.clone(),
            Err(_) => None,
        };
        let name = info.and_then(|cluster| cluster.leader).unwrap_or_default();
        if let Some(number) = name.strip_prefix("node-").and_then(|n| n.parse().ok()) {
            return number;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
