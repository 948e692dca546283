//! The series' feeds from a local server, as the poller asks for them.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use commands::Services;
use daybook::import::nascar::{FileReport, Importer, Known, Options};
use daybook::poller::Poller;
use daybook::poller::cron::Cron;
use daybook_tests::clock::FixedClock;
use daybook_tests::data;
use domain::ports::log::EventLog;
use domain::racing::{live, race};
use infra_log::MemoryLog;
use projections::races::Races;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{IDS, all_events, tenant};

const NOW: &str = "2026-06-28T12:00:00Z";
const LIST: &str = "/cacher/2026/race_list_basic.json";
const WEEKEND: &str = "/cacher/2026/1/5617/weekend-feed.json";
const LOOPS: &str = "/loopstats/prod/2026/1/5617.json";
const LAPS: &str = "/cacher/2026/1/5617/lap-times.json";
const LIVE: &str = "/live/feeds/live-feed.json";

type Answer = (StatusCode, HeaderMap, Vec<u8>);

/// Answers by path; one that is asked with its tag again is not sent.
#[derive(Clone, Default)]
struct Site {
    bodies: Arc<Mutex<HashMap<String, Answer>>>,
    /// Failures before the body is sent.
    failing: Arc<Mutex<HashMap<String, Vec<u16>>>>,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Site {
    fn put(&self, path: &str, body: &Value) {
        self.raw(path, body.to_string().into_bytes(), &[]);
    }

    fn raw(&self, path: &str, body: Vec<u8>, headers: &[(&'static str, &str)]) {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| {
            map.insert(*name, value.parse().unwrap());
        });
        self.bodies.lock().unwrap().insert(path.into(), (StatusCode::OK, map, body));
    }

    fn fail(&self, path: &str, statuses: &[u16]) {
        self.failing.lock().unwrap().insert(path.into(), statuses.to_vec());
    }

    /// What was answered since last asked.
    fn asked(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.uri().path();
        if let Some(statuses) = self.failing.lock().unwrap().get_mut(path)
            && !statuses.is_empty()
        {
            let status = StatusCode::from_u16(statuses.remove(0)).unwrap();
            return (status, [("retry-after", "0")]).into_response();
        }
        let Some((status, headers, body)) = self.bodies.lock().unwrap().get(path).cloned() else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let tag = format!("\"{}\"", body.len() + body.iter().map(|b| usize::from(*b)).sum::<usize>());
        if request.headers().get("if-none-match").is_some_and(|known| known == tag.as_str()) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        (status, headers, [("etag", tag)], Body::from(body)).into_response()
    }
}

async fn serve(State(site): State<Site>, request: Request) -> Response {
    let response = site.answer(&request);
    site.asked.lock().unwrap().push((request.uri().path().to_owned(), response.status().as_u16()));
    response
}

struct Bed {
    site: Site,
    log: Arc<dyn EventLog>,
    clock: Arc<FixedClock>,
    poller: Poller,
    folder: tempfile::TempDir,
    _server: DropGuard,
}

impl Bed {
    async fn new() -> Self {
        let site = Site::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(site.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        let clock = Arc::new(FixedClock::at(NOW));
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(clock.clone()));
        let services =
            Services { log: log.clone(), clock: clock.clone(), ids: IDS.clone(), bulk: Default::default() };
        let folder = tempfile::tempdir().unwrap();
        let pace = (Cron::parse("*/10 * * * *").unwrap(), Duration::from_secs(1), Duration::from_millis(1));
        let poller = Poller::new(&url, folder.path(), tenant(), services, pace).unwrap();
        Self { site, log, clock, poller, folder, _server: stop.drop_guard() }
    }

    async fn head(&self) -> u64 {
        self.log.head().await.unwrap().position
    }

    async fn races(&self) -> Races {
        let mut races = Races::default();
        all_events(&self.log).await.iter().for_each(|event| races.apply(event).unwrap());
        races
    }

    async fn count(&self, event_type: &str) -> usize {
        all_events(&self.log).await.iter().filter(|e| *e.event_type == *event_type).count()
    }
}

fn kept(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    files.filter(|name| name.len() == 64 + 5).count()
}

fn season() -> Value {
    let race = |id: u32, kind: u32, track: &str, day: &str| {
        let run = json!({"event_name": "Race", "run_type": 3, "start_time_utc": format!("{day}T19:30:00")});
        json!({"race_id": id, "series_id": 1, "race_season": 2026, "race_name": format!("Race {id}"), "race_type_id": kind,
            "track_name": track, "race_date": format!("{day}T15:30:00"), "date_scheduled": "0001-01-01T00:00:00",
            "scheduled_laps": "110", "schedule": [run]})
    };
    json!({"series_1": [
        race(5600, 2, "Bowman Gray Stadium", "2026-02-01"), race(5601, 1, "Daytona International Speedway", "2026-02-15"),
        race(5602, 1, "Moon Raceway", "2026-02-22"), race(5617, 1, "Sonoma Raceway", "2026-06-28"),
    ], "series_2": []})
}

/// Before the race without an order; three drivers.
fn weekend(order: Option<[usize; 3]>, disqualified: &str, official: bool) -> Value {
    let names = ["Shane Van Gisbergen", "Chase Briscoe(i)", "Ty Gibbs #"];
    let car = |i: usize| {
        let finish = order.and_then(|o| o.iter().position(|d| *d == i)).map_or(0, |place| place + 1);
        let laps = if order.is_some() { 110 } else { 0 };
        json!({"driver_id": 4000 + i, "driver_fullname": names[i], "starting_position": i + 1, "finishing_position": finish,
            "car_number": format!("0{i}"), "team_name": "Team", "car_make": "Chv", "laps_led": 0, "laps_completed": laps,
            "finishing_status": "Running", "disqualified": names[i] == disqualified, "points_earned": -1})
    };
    let time = if order.is_some() { "2:37:53" } else { "" };
    json!({"weekend_race": [{"race_id": 5617, "series_id": 1, "race_season": 2026, "race_name": "Race 5617",
        "track_name": "Sonoma Raceway", "total_race_time": time, "inspection_complete": official,
        "results": (0..3).map(car).collect::<Vec<_>>()}], "weekend_runs": []})
}

fn loops() -> Value {
    let car = |i: u32| json!({"driver_id": 4000 + i, "start_ps": i + 1, "mid_ps": 2, "ps": i + 1, "best_ps": 1, "worst_ps": -1, "avg_ps": 2.5, "fast_laps": 5, "top15_laps": 110, "rating": 99.5});
    json!([{"race_id": 5617, "race_name": "Race 5617", "series_id": 1, "sch_laps": 110, "act_laps": 110, "drivers": [car(0), car(1), car(2)]}])
}

fn told(reports: &[FileReport]) -> Vec<(&str, u64, u64)> {
    reports.iter().map(|r| (r.form, r.events, r.refused)).collect()
}

#[tokio::test]
async fn the_same_weekend_twice_adds_nothing_and_a_changed_result_is_a_correction() {
    let mut bed = Bed::new().await;
    bed.site.put(LIST, &season());
    bed.site.put(WEEKEND, &weekend(None, "", false));
    bed.site.put(LOOPS, &Value::Null);
    let reports = bed.poller.round().await;
    assert_eq!(reports[0].reasons.len(), 1, "{reports:?}");
    assert!(reports[0].reasons[0].contains("Moon Raceway"), "{reports:?}");
    let races = bed.races().await;
    let race = races.race("cup-2026-03").unwrap();
    let details = race.details.as_ref().unwrap();
    assert_eq!((details.feed_id.as_deref(), details.laps), (Some("5617"), Some(110)));
    assert_eq!(details.starts_at.unwrap().to_string(), "2026-06-28T19:30:00Z");
    assert_eq!(
        (race.entries.len(), race.entries[1].driver.as_str(), race.entries[1].make.as_deref()),
        (3, "chase-briscoe", Some("Chevrolet"))
    );
    assert!(race.results.is_empty());

    let head = bed.head().await;
    bed.site.asked();
    bed.poller.round().await;
    assert_eq!(bed.head().await, head);
    let asked = bed.site.asked();
    assert!(asked.contains(&(WEEKEND.into(), 304)), "{asked:?}");

    bed.clock.set("2026-06-29T03:00:00Z".parse().unwrap());
    bed.site.put(WEEKEND, &weekend(Some([0, 1, 2]), "", false));
    bed.site.put(LOOPS, &loops());
    assert_eq!(bed.poller.round().await.iter().map(|r| r.refused).sum::<u64>(), 1, "the moon");
    let races = bed.races().await;
    let race = races.race("cup-2026-03").unwrap();
    assert_eq!((race.results["chase-briscoe"].finish, race.official_results), (2, false));
    assert_eq!((race.measured["ty-gibbs"].fastest, race.measured["ty-gibbs"].worst), (Some(5), None));

    bed.site.put(WEEKEND, &weekend(Some([1, 2, 0]), "Shane Van Gisbergen", true));
    let reports = bed.poller.round().await;
    let corrected: Vec<&String> = reports.iter().flat_map(|r| &r.corrections).collect();
    assert_eq!(corrected, ["cup-2026-03"]);
    let head = bed.head().await;
    // The feed goes back to what it said before inspection, and forth again.
    for order in [[0, 1, 2], [1, 2, 0]] {
        let out = if order[0] == 1 { "Shane Van Gisbergen" } else { "" };
        bed.site.put(WEEKEND, &weekend(Some(order), out, order[0] == 1));
        bed.poller.round().await;
    }
    assert_eq!(bed.head().await, head);
    let races = bed.races().await;
    let result = &races.race("cup-2026-03").unwrap().results["shane-van-gisbergen"];
    assert_eq!((result.finish, result.status.as_str()), (3, "disqualified"));
    // List, three weekends, null and loop data; the same bodies are kept once.
    assert_eq!(kept(bed.folder.path()), 6);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_never_believed() {
    let mut bed = Bed::new().await;
    bed.site.put(LIST, &season());
    bed.site.fail(LIST, &[429, 503, 403]);
    bed.site.put(WEEKEND, &weekend(None, "", false));
    let reports = bed.poller.round().await;
    assert_eq!(told(&reports)[0].0, "race_list_basic");
    assert_eq!(
        bed.site.asked()[..4].iter().map(|(_, status)| *status).collect::<Vec<_>>(),
        [429, 503, 403, 200]
    );

    let head = bed.head().await;
    bed.site.fail(WEEKEND, &[500; 4]);
    bed.site.raw(LOOPS, b"\x1f\x8b broken".to_vec(), &[("content-encoding", "gzip")]);
    bed.site.raw(LAPS, b"<html>busy</html>".to_vec(), &[]);
    bed.poller.round().await;
    assert_eq!(bed.head().await, head);

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(weekend(Some([2, 1, 0]), "", true).to_string().as_bytes()).unwrap();
    bed.site.raw(WEEKEND, packed.finish().unwrap(), &[("content-encoding", "gzip")]);
    bed.clock.set("2026-06-29T03:00:00Z".parse().unwrap());
    bed.poller.round().await;
    assert_eq!(bed.races().await.race("cup-2026-03").unwrap().results["ty-gibbs"].finish, 1);
}

#[tokio::test]
async fn a_race_that_runs_is_followed_lap_by_lap() {
    let mut bed = Bed::new().await;
    bed.site.put(LIST, &season());
    bed.site.put(WEEKEND, &weekend(None, "", false));
    bed.poller.round().await;
    assert!(!bed.poller.running().await, "it has not begun");
    bed.clock.set("2026-06-28T19:40:00Z".parse().unwrap());
    let feed = |lap: u32, run_type: u32| {
        let names = ["Shane Van Gisbergen", "Chase Briscoe", "Ty Gibbs"];
        let name = |i: u32| names[i as usize];
        let car = |i: u32| {
            json!({"driver": {"full_name": name(i)}, "running_position": i + 1,
            "laps_completed": lap, "laps_led": [{"start_lap": 1, "end_lap": if i == 0 { lap } else { 0 }}], "fastest_laps_run": 1, "status": 1})
        };
        json!({"race_id": 5617, "series_id": 1, "run_type": run_type, "run_name": "Race 5617", "lap_number": lap, "laps_in_race": 110,
            "laps_to_go": 110 - lap, "flag_state": 1, "vehicles": [car(0), car(1), car(2)]})
    };
    for (lap, run_type, seen) in [(0, 3, 0), (4, 2, 0), (4, 3, 1), (4, 3, 1), (7, 3, 2), (6, 3, 2)] {
        bed.site.put(LIVE, &feed(lap, run_type));
        assert!(bed.poller.running().await);
        assert_eq!(bed.count(live::OBSERVED).await, seen, "lap {lap}");
    }
    assert_eq!(bed.count(race::STARTED).await, 1);
    let events = all_events(&bed.log).await;
    let last = events.iter().rfind(|e| *e.event_type == *live::OBSERVED).unwrap();
    let payload: Value = serde_json::from_str(&last.payload).unwrap();
    assert_eq!(
        (&payload["lap"], &payload["cars"][0]["led"], &payload["cars"][1]["led"]),
        (&json!(7), &json!(7), &json!(0))
    );
}

#[tokio::test]
async fn bodies_as_they_were_published_are_read() {
    let Some(folder) = data("nascar/reference_only/api_samples") else { return };
    let bed = Bed::new().await;
    let services = Services {
        log: bed.log.clone(),
        clock: bed.clock.clone(),
        ids: IDS.clone(),
        bulk: Default::default(),
    };
    let options = Options { tenant: tenant(), actor: "cli:test".into(), tracks: Default::default() };
    let importer = Importer { services, options };
    let (body, mut known) = (
        |file: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap() },
        Known::default(),
    );
    let list = importer.feed(&body("2023_rNascar23/race_list_basic.json"), &mut known, None).await.unwrap();
    assert_eq!((list.form, list.refused), ("race_list_basic", 0), "{list:?}");
    // The cut list lacks this race: it is named and not guessed.
    let weekend = importer.feed(&body("2023_rNascar23/weekend-feed.json"), &mut known, None).await.unwrap();
    assert!(weekend.refused == 1 && weekend.reasons[0].contains("no race list"), "{weekend:?}");
    let more = |id: u32, season: u32, track: &str, day: &str| {
        json!({"race_id": id, "race_season": season, "race_name": track, "race_type_id": 1, "track_name": track,
            "race_date": format!("{day}T15:30:00"), "schedule": []})
    };
    let mut whole = body("2023_rNascar23/race_list_basic.json");
    let races = whole["series_1"].as_array_mut().unwrap();
    let before = races.iter().filter(|r| r["race_type_id"] == 1).count();
    races.push(more(5274, 2023, "Richmond Raceway", "2023-04-02"));
    races.push(more(5617, 2026, "Sonoma Raceway", "2026-06-28"));
    bed.clock.set("2026-07-10T00:00:00Z".parse().unwrap());
    importer.feed(&whole, &mut known, None).await.unwrap();
    for file in [
        "2023_rNascar23/weekend-feed.json",
        "2026_sonoma_nhorto/weekend-feed.json",
        "2026_sonoma_nhorto/loopstats.json",
    ] {
        let report = importer.feed(&body(file), &mut known, None).await.unwrap();
        assert!(report.events > 0, "{file}: {report:?}");
        let again = importer.feed(&body(file), &mut known, None).await.unwrap();
        assert_eq!(again.events, 0, "{file}");
    }
    let laps =
        importer.feed(&body("2026_sonoma_nhorto/lap-times.json"), &mut known, Some("5617")).await.unwrap();
    assert_eq!((laps.form, laps.refused, laps.events), ("lap-times", 0, 0), "loop data is there");
    let live = importer.feed(&body("2026_sonoma_nhorto/live-feed.json"), &mut known, None).await.unwrap();
    assert_eq!((live.form, live.without_race, live.events), ("live-feed", 38, 0), "of another series");
    let races = bed.races().await;
    let richmond = races.race(&format!("cup-2023-{:02}", before + 1)).unwrap();
    assert_eq!((richmond.results.len(), richmond.results["kyle-larson"].finish), (37, 1));
    let qualifying = &richmond.sessions["5312"];
    assert_eq!((qualifying.kind, qualifying.cars.len()), (race::SessionKind::Qualifying, 37));
    assert_eq!((qualifying.cars[0].driver.as_str(), qualifying.cars[0].lap_seconds), ("alex-bowman", None));
}
