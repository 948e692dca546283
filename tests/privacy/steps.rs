//! An erasure that ends after each of its steps, and several at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daybook::wiring::{self, OpenLog, Privacy};
use domain::envelope::{Metadata, NewEvent, RecordedEvent};
use domain::ports::clock::Clock;
use domain::ports::erasure::{ErasureError, Exports};
use domain::ports::log::{Append, ExpectedVersion, ReadFilter, StreamWrite};
use domain::subject::{Certificate, Command};
use domain::{StreamId, Subject, TenantId, live_event, registry, tap};
use infra_runtime::config::Flags;
use infra_runtime::{Config, RandomIds, SystemClock};
use privacy::{Eraser, Exporter, Following, Recorder, Step};
use replays::{Engine, Runner};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const TAPS: u64 = 4;

/// An embedded installation in this process, with a projector.
struct Bed {
    config: Config,
    log: OpenLog,
    privacy: Privacy,
    engine: Engine,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Bed {
    async fn open(data: &Path) -> Self {
        let flags = Flags { data_dir: Some(data.display().to_string()), ..Flags::default() };
        let config = Config::load(&flags).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = wiring::open_log(&config, clock.clone()).await.unwrap();
        let stores = wiring::open_rows(&config).await.unwrap();
        wiring::open_generations(&*log.log, &stores).await.unwrap();
        let privacy = Privacy::open(&config, clock.clone()).await.unwrap();
        let ids = Arc::new(RandomIds);
        let engine = wiring::engine(&config, log.log.clone(), &privacy, &stores, clock, ids).unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(Runner::new(engine.clone(), "test").run(stop.clone()));
        Self { config, log, privacy, engine, stop, running }
    }

    async fn close(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.log.close().await;
    }

    fn eraser(&self) -> Eraser {
        wiring::eraser(&self.config, &self.log, &self.privacy, &self.engine, None).unwrap()
    }

    async fn append(&self, kind: &str, id: &str, event_type: &str, payload: Value) {
        let stream = StreamId::new(&tenant(), kind, id).unwrap();
        let event = NewEvent {
            event_id: Uuid::now_v7(),
            event_type: event_type.into(),
            schema: registry::schema_of(event_type),
            occurred_at: None,
            payload: payload.to_string(),
        };
        let metadata = Metadata {
            actor: "test".into(),
            command_id: Uuid::now_v7(),
            correlation_id: "c".into(),
            causation_id: None,
        };
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event] }];
        let append = Append { writes, metadata, idempotency: None };
        self.engine.log.append(vec![append]).await.pop().unwrap().unwrap();
    }

    async fn taps_of(&self, bands: usize) {
        let show = json!({"name": "Night", "time_zone": "Europe/Berlin", "starts_at": "2020-01-01T18:00:00Z",
            "ends_at": "2029-01-01T23:00:00Z"});
        self.append(live_event::KIND, "show-1", live_event::SCHEDULED, show).await;
        for n in 0..TAPS {
            for band in 0..bands {
                let tap = json!({"band_id": format!("b{band}"), "event_id": "show-1", "mode": "live",
                    "user_agent": "Mozilla/5.0 (iPhone) Safari/604.1", "visitor": format!("{band:032}"),
                    "source": format!("hub-{n}")});
                self.append(tap::KIND, "hub-1", tap::TAPPED, tap).await;
            }
        }
    }

    /// Decides on an erasure, and does no more.
    async fn ask(&self, subject: &Subject) {
        let keys = self.privacy.keys.of(&tenant(), subject).await.unwrap();
        let keys: Vec<_> = keys.into_iter().filter(|k| k.destroyed_at.is_none()).map(|k| k.id).collect();
        assert_eq!(keys.len(), 1);
        let Engine { log, clock, ids, .. } = &self.engine;
        let by = Recorder { log: &**log, clock: &**clock, ids: &**ids, actor: "test" };
        let command = Command::Erase { subject: subject.clone(), reason: "asked".into(), keys };
        let stream = privacy::stream_of(&tenant(), subject).unwrap();
        assert!(by.record(&stream, command).await.unwrap().is_some());
    }

    async fn certificates(&self, subject: &Subject) -> Vec<Certificate> {
        let stream = privacy::stream_of(&tenant(), subject).unwrap();
        let (told, _) = privacy::load(&*self.log.log, &stream).await.unwrap();
        assert_eq!(told.record.erasing, None);
        told.certificates
    }

    async fn recorded(&self, upto: u64) -> Vec<RecordedEvent> {
        let page = self.log.log.read(0, usize::try_from(upto).unwrap(), &ReadFilter::default()).await;
        page.unwrap().events
    }

    /// Payloads of a subject's taps, as it would be told of them.
    async fn taps(&self, subject: &Subject) -> Vec<Value> {
        let Engine { log, clock, ids, .. } = self.engine.clone();
        let exporter = Exporter { log, keys: self.privacy.keys.clone(), clock, ids };
        let mut taps = Vec::new();
        let mut line = |line: Value| {
            if line["fact"]["type"] == tap::TAPPED {
                taps.push(line["fact"]["payload"].clone());
            }
            Ok(())
        };
        exporter.export(&tenant(), subject, "test", &mut line).await.unwrap();
        taps
    }

    /// One generation, which is what a rebuild comes to.
    async fn rows_hold(&self) {
        let there = self.engine.of("tap_analytics").await.unwrap();
        assert_eq!(there.len(), 1, "{there:?}");
        let verified = self.engine.reproduce("tap_analytics", None).await.unwrap();
        assert!(verified.same, "{verified:?}");
    }
}

fn tenant() -> TenantId {
    TenantId::new("default").unwrap()
}

fn band(n: usize) -> Subject {
    Subject::new("band", &format!("b{n}")).unwrap()
}

/// Fails once, after this step.
fn fails_after(step: Step) -> privacy::Watch {
    let failed = AtomicBool::new(false);
    Arc::new(move |done| match done == step && !failed.swap(true, Ordering::SeqCst) {
        true => Err(ErasureError::Damaged("killed".into())),
        false => Ok(()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_after_any_step_is_ended_by_the_next() {
    let data = tempfile::tempdir().unwrap();
    let bed = Bed::open(data.path()).await;
    bed.taps_of(Step::ALL.len() + 1).await;
    let head = bed.log.log.head().await.unwrap().position;
    let before = bed.recorded(head).await;
    assert!(before.iter().any(|e| e.payload.contains("\"sealed\"")), "recorded as it was sealed");
    for (n, step) in Step::ALL.into_iter().enumerate() {
        let subject = band(n);
        bed.ask(&subject).await;
        let dies = Eraser { watch: Some(fails_after(step)), ..bed.eraser() };
        let died = dies.erase(&mut Following::default()).await.unwrap_err();
        assert_eq!(died, ErasureError::Damaged("killed".into()), "{step:?}");
        // Another process: it knows what is recorded, and nothing else.
        bed.eraser().erase(&mut Following::default()).await.unwrap();
        let certificates = bed.certificates(&subject).await;
        assert_eq!(certificates.len(), 1, "{step:?}");
        assert_eq!((certificates[0].facts, certificates[0].clear), (TAPS, 0), "{step:?}");
        assert!(bed.privacy.keys.of(&tenant(), &subject).await.unwrap()[0].destroyed_at.is_some());
        let taps = bed.taps(&subject).await;
        assert_eq!(taps.len() as u64, TAPS);
        assert!(taps.iter().all(|t| t["visitor"] == json!({"erased": true})), "{step:?}: {taps:?}");
        bed.rows_hold().await;
    }
    assert!(bed.taps(&band(Step::ALL.len())).await.iter().all(|t| t["visitor"].is_string()));
    assert_eq!(bed.recorded(head).await, before, "no recorded byte has changed");
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_by_several_processes_are_each_erased_once() {
    let data = tempfile::tempdir().unwrap();
    let bed = Bed::open(data.path()).await;
    bed.taps_of(3).await;
    bed.ask(&band(0)).await;
    bed.ask(&band(1)).await;
    let (one, other) = (bed.eraser(), bed.eraser());
    let (mut seen, mut also) = (Following::default(), Following::default());
    let (first, second) = tokio::join!(one.erase(&mut seen), other.erase(&mut also));
    assert_eq!(first.unwrap().len() + second.unwrap().len(), 2, "each is ended by one of them");
    for subject in [band(0), band(1)] {
        assert_eq!(bed.certificates(&subject).await.len(), 1);
        assert!(bed.taps(&subject).await.iter().all(|t| t["user_agent"] == json!({"erased": true})));
    }
    assert!(bed.taps(&band(2)).await.iter().all(|t| t["user_agent"].is_string()));
    bed.rows_hold().await;
    // Nothing is left to do.
    assert_eq!(bed.eraser().erase(&mut Following::default()).await.unwrap(), vec![]);
    bed.close().await;
}

/// Keys are wrapped anew in steps; what is killed in between goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_ends_half_way_harms_nothing() {
    use infra_keys::{Keks, LocalKek, SqliteKeys};
    let data = tempfile::tempdir().unwrap();
    let bed = Bed::open(data.path()).await;
    bed.taps_of(5).await;
    let read = |name: &str| Arc::new(LocalKek::read(&data.path().join(name)).unwrap());
    LocalKek::make(&data.path().join("kek.2")).unwrap();
    let both = || Keks::new(read("kek.2"), vec![read("privacy.key")]);
    let path = data.path().join("daybook.keys.db");
    {
        use domain::ports::keys::KeyKeeping;
        let dies = SqliteKeys::open(&path, both(), Arc::new(SystemClock)).await.unwrap();
        assert_eq!(dies.rewrap(2).await.unwrap(), 2);
        assert_eq!(dies.wrapped_by().await.unwrap().len(), 2, "half of them");
        drop(dies);
        let next = SqliteKeys::open(&path, both(), Arc::new(SystemClock)).await.unwrap();
        assert_eq!(next.rewrap(100).await.unwrap(), 3);
        assert_eq!(next.rewrap(100).await.unwrap(), 0);
    }
    use domain::ports::keys::{Found, KeyStore};
    let alone =
        SqliteKeys::open(&path, Keks::new(read("kek.2"), vec![]), Arc::new(SystemClock)).await.unwrap();
    for n in 0..5 {
        let ids: Vec<_> = alone.of(&tenant(), &band(n)).await.unwrap().iter().map(|k| k.id).collect();
        assert!(matches!(alone.find(&ids).await.unwrap()[..], [Found::Key(_)]), "b{n}");
    }
    bed.close().await;
}
