//! The relay over stores in memory, where each fault can be told.

use std::sync::Arc;
use std::time::Duration;

use daybook_tests::clock::FixedClock;
use daybook_tests::facts::fill;
use domain::ports::bus::{Bell, Bus, LOG};
use domain::ports::log::EventLog;
use domain::ports::rows::{ModelId, RowStore};
use infra_bus::MemoryBus;
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::relay::{Kind, NAME, Range, Relay, RelayConfig, verify};

struct Bench {
    log: Arc<MemoryLog>,
    rows: Arc<MemoryRows>,
    bus: MemoryBus,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(FixedClock::at("2026-03-01T12:00:00Z"));
        let log = Arc::new(MemoryLog::new(clock));
        Self { log, rows: Arc::new(MemoryRows::new()), bus: MemoryBus::default() }
    }

    fn relay(&self, owner: &str) -> Running {
        let stop = CancellationToken::new();
        let config = RelayConfig {
            lease: Duration::from_millis(300),
            batch: 50,
            beat: Duration::from_millis(50),
            min_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(10),
            ..RelayConfig::new(owner)
        };
        let relay = Relay {
            log: self.log.clone(),
            rows: self.rows.clone(),
            bus: Arc::new(self.bus.clone()),
            bell: Arc::new(self.bus.clone()),
            config,
        };
        Running { task: tokio::spawn(relay.run(stop.clone())), stop }
    }

    async fn reaches(&self, position: u64) {
        let reached = async {
            while self.bus.extent().await.map_or(0, |e| e.last) < position {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the bus catches up");
    }

    async fn checkpoint(&self) -> u64 {
        self.rows.open(NAME, &ModelId::new(NAME, 1), &[]).await.unwrap().position
    }

    async fn is_clean(&self) {
        let verdict = verify(&*self.log, &self.bus, 1, 0).await.unwrap();
        assert!(verdict.is_clean(), "{verdict:?}");
        assert_eq!(verdict.compared, self.log.head().await.unwrap().position);
    }
}

struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn everything_is_relayed_and_the_checkpoint_follows() {
    let bench = Bench::new();
    fill(&*bench.log, 120).await;
    let relay = bench.relay("a");
    bench.reaches(120).await;
    let head = fill(&*bench.log, 1).await;
    bench.reaches(head).await;
    relay.stop().await;
    assert_eq!(bench.checkpoint().await, head);
    bench.is_clean().await;
}

#[tokio::test]
async fn a_bus_that_goes_away_and_comes_back_misses_nothing() {
    let bench = Bench::new();
    let relay = bench.relay("a");
    for round in 1..=5 {
        bench.bus.go_away_after(30 * round);
        fill(&*bench.log, 200).await;
        while bench.bus.extent().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.bus.set_away(false);
        bench.reaches(200 * round).await;
    }
    relay.stop().await;
    bench.is_clean().await;
}

#[tokio::test]
async fn what_a_bus_loses_after_acknowledging_is_published_again() {
    let bench = Bench::new();
    fill(&*bench.log, 100).await;
    let relay = bench.relay("a");
    bench.reaches(100).await;
    relay.stop().await;
    bench.bus.lose_after(40);
    let relay = bench.relay("b");
    bench.reaches(100).await;
    relay.stop().await;
    bench.is_clean().await;
}

#[tokio::test]
async fn two_relays_take_turns_and_never_interleave() {
    let bench = Bench::new();
    let (one, two) = (bench.relay("a"), bench.relay("b"));
    fill(&*bench.log, 500).await;
    bench.reaches(500).await;
    one.stop().await;
    fill(&*bench.log, 500).await;
    bench.reaches(1_000).await;
    two.stop().await;
    bench.is_clean().await;
}

#[tokio::test]
async fn the_bell_rings_for_what_the_log_has() {
    let bench = Bench::new();
    let mut rings = bench.bus.listen().await.unwrap();
    let relay = bench.relay("a");
    let head = fill(&*bench.log, 10).await;
    let heard = async {
        loop {
            let ring = rings.next().await.unwrap();
            if ring.topic == LOG && ring.position == head {
                return ring;
            }
        }
    };
    let ring = tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    let page = bench.log.read(head - 1, 1, &Default::default()).await.unwrap();
    assert_eq!(ring.leaf, Some(page.events[0].leaf));
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_of_another_log_is_left_alone_and_verify_says_what_differs() {
    let (ours, theirs) = (Bench::new(), Bench::new());
    fill(&*theirs.log, 30).await;
    let relay = theirs.relay("theirs");
    theirs.reaches(30).await;
    relay.stop().await;
    fill(&*ours.log, 20).await;
    let mixed = Bench { log: ours.log.clone(), rows: ours.rows.clone(), bus: theirs.bus.clone() };
    let verdict = verify(&*mixed.log, &mixed.bus, 1, 0).await.unwrap();
    let expected = [
        Range { kind: Kind::Different, first: 1, last: 20 },
        Range { kind: Kind::Foreign, first: 21, last: 30 },
    ];
    assert_eq!((verdict.wrong, verdict.ranges.as_slice()), (30, &expected[..]));
    // The log grows past the stream's end, and still nothing is added to it.
    fill(&*ours.log, 40).await;
    let ended = workers::relay::open(&*mixed.log, &mixed.bus, 0).await.unwrap_err();
    assert!(ended.to_string().contains("another event at position 1 "), "{ended}");
    // Made anew, it is the log's.
    mixed.bus.replace().await.unwrap();
    let relay = mixed.relay("ours");
    mixed.reaches(60).await;
    relay.stop().await;
    mixed.is_clean().await;
}
