use cqrs_es::test::TestFramework;
use jiff::civil::date;

use super::*;
use crate::decide::{Context, Decide, Rejection};
use crate::target_url::UrlPolicy;

fn context() -> Context {
    Context { now: "2021-10-10T00:00:00Z".parse().unwrap(), urls: UrlPolicy::default() }
}

fn race() -> TestFramework<Race> {
    TestFramework::with(context())
}

fn details() -> Details {
    Details {
        series: "cup".into(),
        season: 2021,
        number: 31,
        name: String::new(),
        track: "talladega".into(),
        date: Some(date(2021, 10, 4)),
        starts_at: None,
        laps: None,
        feed_id: None,
        official: false,
    }
}

fn entry(driver: &str, start: u32) -> Entry {
    Entry { driver: driver.into(), team: None, car: None, make: None, start: Some(start) }
}

fn placed(driver: &str, finish: u32) -> Placed {
    Placed {
        driver: driver.into(),
        finish,
        laps: 117,
        led: 0,
        status: "running".into(),
        points: None,
        rating: None,
    }
}

fn entered() -> Vec<Event> {
    let entries = vec![entry("a", 1), entry("b", 2), entry("c", 3)];
    vec![Event::Scheduled(details()), Event::Entered { entries, official: false }]
}

fn finished() -> Vec<Event> {
    let results = vec![placed("a", 1), placed("b", 2), placed("c", 3)];
    entered().into_iter().chain([Event::Finished { results, official: false }]).collect()
}

fn finish(order: [&str; 3], official: bool) -> Command {
    let results = (1..).zip(order).map(|(place, driver)| placed(driver, place)).collect();
    Command::Finish { results, official, reason: "inspection".into() }
}

#[track_caller]
fn refused(given: Vec<Event>, command: Command, words: &str) {
    let error = race().given(given).when(command).inspect_result().unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_race_is_scheduled_once_and_its_id_is_not_used_again() {
    race()
        .given_no_previous_events()
        .when(Command::Schedule(details()))
        .then_expect_events(vec![Event::Scheduled(details())]);
    let scheduled = vec![Event::Scheduled(details())];
    race().given(scheduled.clone()).when(Command::Schedule(details())).then_expect_events(vec![]);
    refused(
        scheduled,
        Command::Schedule(Details { track: "daytona".into(), ..details() }),
        "31 of 2021 at talladega",
    );
    let decided = Race::default().decide(Command::Schedule(details()), &context()).unwrap();
    assert_eq!((decided.checks[0].kind, decided.checks[0].id.as_str()), ("track", "talladega"));
}

#[test]
fn what_is_official_stays_whatever_others_say() {
    let official = Details { date: Some(date(2021, 10, 3)), name: "500".into(), official: true, ..details() };
    let changed = Event::DetailsChanged(official.clone());
    race()
        .given(vec![Event::Scheduled(details())])
        .when(Command::Schedule(official))
        .then_expect_events(vec![changed.clone()]);
    race()
        .given(vec![Event::Scheduled(details()), changed])
        .when(Command::Schedule(details()))
        .then_expect_events(vec![]);
}

#[test]
fn entries_fill_up_and_official_ones_withdraw() {
    let team = Entry { team: Some("T".into()), start: None, ..entry("a", 1) };
    let filled = vec![Entry { team: Some("T".into()), ..entry("a", 1) }, entry("b", 2), entry("c", 3)];
    race()
        .given(entered())
        .when(Command::Enter { entries: vec![team], official: false })
        .then_expect_events(vec![Event::Entered { entries: filled, official: false }]);
    let two = vec![entry("a", 1), entry("c", 3)];
    race()
        .given(entered())
        .when(Command::Enter { entries: two.clone(), official: true })
        .then_expect_events(vec![Event::Entered { entries: two.clone(), official: true }]);
    let withdrawn = entered().into_iter().chain([Event::Entered { entries: two, official: true }]).collect();
    race()
        .given(withdrawn)
        .when(Command::Enter { entries: vec![entry("b", 2), entry("a", 9)], official: false })
        .then_expect_events(vec![]);
}

#[test]
fn nothing_stands_twice_on_an_entry_list() {
    let enter = |entries| Command::Enter { entries, official: false };
    let scheduled = vec![Event::Scheduled(details())];
    refused(
        scheduled.clone(),
        enter(vec![entry("a", 1), entry("a", 2)]),
        "/entries/1/driver: a stands twice",
    );
    refused(scheduled.clone(), enter(vec![entry("a", 1), entry("b", 1)]), "/entries/1/start: 1 stands twice");
    let car = |driver, start| Entry { car: Some("07".into()), ..entry(driver, start) };
    refused(scheduled.clone(), enter(vec![car("a", 1), car("b", 2)]), "/entries/1/car: 07 stands twice");
    refused(scheduled, enter(vec![]), "1 to 64");
    refused(vec![], enter(vec![entry("a", 1)]), "not found");
}

#[test]
fn a_result_is_whole_or_refused() {
    refused(vec![Event::Scheduled(details())], finish(["a", "b", "c"], false), "no entry list");
    let results = |results| Command::Finish { results, official: false, reason: String::new() };
    refused(entered(), results(vec![placed("a", 1), placed("b", 1)]), "/results/1/finish: 1 stands twice");
    refused(entered(), results(vec![placed("a", 1), placed("b", 3)]), "nobody finished in place 2");
    refused(entered(), results(vec![placed("x", 1)]), "not on the entry list");
    let led = Placed { led: 200, ..placed("a", 1) };
    refused(entered(), results(vec![led]), "led 200 of 117 laps");
    let later = Details { date: Some(date(2021, 11, 1)), ..details() };
    let early = vec![Event::Scheduled(later), entered()[1].clone()];
    refused(early, finish(["a", "b", "c"], false), "not been run");
}

#[test]
fn a_changed_result_is_a_correction_with_what_changed() {
    race().given(finished()).when(finish(["a", "b", "c"], true)).then_expect_events(vec![]);
    let results = vec![placed("c", 2), placed("b", 3)];
    let corrected = Event::Corrected { results, official: true, reason: "inspection".into() };
    race().given(finished()).when(finish(["a", "c", "b"], true)).then_expect_events(vec![corrected.clone()]);
    let mut given = finished();
    given.push(corrected);
    race().given(given.clone()).when(finish(["a", "c", "b"], true)).then_expect_events(vec![]);
    // Timing read again does not bring the first order back.
    race().given(given.clone()).when(finish(["a", "b", "c"], false)).then_expect_events(vec![]);
    let mut state = Race::default();
    given.into_iter().for_each(|event| state.apply_event(event));
    assert_eq!((state.results["b"].finish, state.first_results["b"].finish), (3, 2));
    assert!(!state.first_results.contains_key("a"));
}

#[test]
fn ratings_that_come_later_are_no_correction() {
    let rated = Placed { rating: Some(120.5), points: Some(40), ..placed("a", 1) };
    let results = vec![rated.clone(), placed("b", 2), placed("c", 3)];
    let command = Command::Finish { results, official: true, reason: String::new() };
    let event = Event::ResultDetailed { results: vec![rated] };
    race().given(finished()).when(command.clone()).then_expect_events(vec![event.clone()]);
    let again: Vec<Event> = finished().into_iter().chain([event]).collect();
    race().given(again.clone()).when(command).then_expect_events(vec![]);
    race().given(again.clone()).when(finish(["a", "b", "c"], true)).then_expect_events(vec![]);
    let others = Command::Finish { results: vec![placed("a", 1)], official: true, reason: String::new() };
    refused(again, others, "must have 3 cars");
}

#[test]
fn salaries_are_dollars() {
    let set = |salary| Command::SetSalaries {
        site: "draftkings".into(),
        salaries: [("a".to_owned(), salary)].into(),
        ids: BTreeMap::new(),
    };
    let salaries = BTreeMap::from([("a".to_owned(), 9_500)]);
    let event = Event::SalariesSet { site: "draftkings".into(), salaries, ids: BTreeMap::new() };
    race().given(entered()).when(set(9_500)).then_expect_events(vec![event.clone()]);
    let again = entered().into_iter().chain([event]).collect();
    race().given(again).when(set(9_500)).then_expect_events(vec![]);
    refused(entered(), set(0), "$0 is no salary");
    refused(entered(), set(950_000), "$950000 is no salary");
}

#[test]
fn loop_data_is_recorded_once() {
    let cars = vec![Measured { driver: "a".into(), fastest: Some(2), ..Measured::default() }];
    let event = Event::Measured { cars: cars.clone() };
    race()
        .given(finished())
        .when(Command::Measure { cars: cars.clone() })
        .then_expect_events(vec![event.clone()]);
    let again = finished().into_iter().chain([event]).collect();
    race().given(again).when(Command::Measure { cars }).then_expect_events(vec![]);
    let beyond = vec![Measured { driver: "a".into(), rating: Some(1e308), ..Measured::default() }];
    refused(finished(), Command::Measure { cars: beyond }, "must be −1,000 to 1,000");
    let stranger = vec![Measured { driver: "x".into(), ..Measured::default() }];
    refused(finished(), Command::Measure { cars: stranger }, "not on the entry list");
}

#[test]
fn a_race_with_a_result_is_neither_postponed_nor_cancelled() {
    let postpone = Command::Postpone { date: date(2021, 10, 5), starts_at: None };
    let cancel = Command::Cancel { reason: "rain".into() };
    race()
        .given(entered())
        .when(postpone.clone())
        .then_expect_events(vec![Event::Postponed { date: date(2021, 10, 5), starts_at: None }]);
    refused(finished(), postpone.clone(), "has been started");
    refused(finished(), cancel.clone(), "has a result");
    let cancelled: Vec<Event> =
        entered().into_iter().chain([Event::Cancelled { reason: "rain".into() }]).collect();
    race().given(cancelled.clone()).when(cancel).then_expect_events(vec![]);
    refused(cancelled, postpone, "cancelled");
    let unknown = Race::default().decide(finish(["a", "b", "c"], false), &context());
    assert!(matches!(unknown, Err(Rejection::NotFound)));
}

fn said(driver: &str, win: f64) -> Said {
    let spread = Spread { mean: 2.0, deviation: 1.0, quantiles: [1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0] };
    Said {
        driver: driver.into(),
        start: Some(1),
        salary: None,
        strength: 0.5,
        finish: spread.clone(),
        places: vec![50, 30, 20],
        win,
        top5: 1.0,
        top10: 1.0,
        dnf: 0.1,
        laps_led: 3.0,
        fastest_laps: 2.0,
        points: spread,
    }
}

fn sealed(drivers: Vec<Said>) -> Command {
    let rules = crate::racing::scoring::Definition {
        version: 1,
        from: date(2015, 1, 1),
        place: vec![45.0],
        place_gained: 1.0,
        fastest_lap: 0.45,
        lap_led: 0.25,
        lap_completed: 0.0,
        roster: 6,
        salary_cap: 50_000,
    };
    Command::Seal(Box::new(Sealed {
        site: "draftkings".into(),
        model: "m@1".into(),
        parameters: Default::default(),
        through: 7,
        seed: 1,
        runs: 100,
        learned: 40,
        rules,
        sha256: String::new(),
        drivers,
    }))
}

/// Of a race that starts at noon of the day of [`context`].
fn due_today(starts_at: Option<&str>) -> Vec<Event> {
    let starts_at = starts_at.map(|at| at.parse().unwrap());
    let details = Details { date: Some(date(2021, 10, 10)), starts_at, ..details() };
    vec![Event::Scheduled(details), entered()[1].clone()]
}

#[test]
fn a_projection_is_sealed_before_the_green_flag_and_never_after() {
    let seal = |win| sealed(vec![said("a", win)]);
    let before = due_today(Some("2021-10-10T12:00:00Z"));
    let mut state = Race::default();
    before.iter().cloned().for_each(|event| state.apply_event(event));
    let events = state.decide(seal(0.5), &context()).unwrap().events;
    let [Event::ProjectionSealed(kept)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((kept.sha256.len(), &kept.sha256), (64, &hash(&kept.drivers)));
    let after: Vec<Event> = before.iter().cloned().chain(events.clone()).collect();
    race().given(after.clone()).when(seal(0.5)).then_expect_events(vec![]);
    assert_eq!(race().given(after).when(seal(0.25)).inspect_result().unwrap().len(), 1);

    let green = Event::Started { at: "2021-10-09T23:59:00Z".parse().unwrap() };
    refused(before.iter().cloned().chain([green]).collect(), seal(0.5), "before the green flag");
    refused(due_today(Some("2021-10-10T00:00:00Z")), seal(0.5), "the green flag was due");
    refused(due_today(None), seal(0.5), "starting time is not known");
    refused(finished(), seal(0.5), "before the green flag");
    refused(before.clone(), sealed(vec![said("x", 0.5)]), "/drivers/0: is not on the entry list");
    refused(before.clone(), sealed(vec![said("a", 0.5), said("a", 0.5)]), "/drivers/1: stands twice");
    refused(before.clone(), sealed(vec![said("a", f64::NAN)]), "a number that cannot be");
    refused(before, sealed(vec![]), "1 to 64 drivers");
}

#[test]
fn a_disqualified_car_is_last_and_the_others_move_up() {
    let out = |driver: &str| Command::Disqualify { driver: driver.into(), reason: "too low".into() };
    let last = Placed { status: "disqualified".into(), ..placed("a", 3) };
    let corrected = Event::Corrected {
        results: vec![placed("b", 1), placed("c", 2), last],
        official: true,
        reason: "too low".into(),
    };
    race().given(finished()).when(out("a")).then_expect_events(vec![corrected.clone()]);
    race()
        .given(finished().into_iter().chain([corrected]).collect())
        .when(out("a"))
        .then_expect_events(vec![]);
    refused(finished(), out("x"), "/driver: x is not in the result");
    refused(entered(), out("a"), "has no result");
    let correct = Command::Correct { results: vec![placed("a", 1)], reason: "late".into() };
    refused(entered(), correct, "has no result");
}

#[test]
fn the_grid_is_set_as_a_whole() {
    let set = |order: &[&str]| Command::SetStartOrder { order: order.iter().map(|d| (*d).into()).collect() };
    let none = Entry { start: None, ..entry("a", 1) };
    let entries = vec![none, entry("b", 2), entry("c", 1)];
    race()
        .given(entered())
        .when(set(&["c", "b"]))
        .then_expect_events(vec![Event::Entered { entries, official: false }]);
    race().given(entered()).when(set(&["a", "b", "c"])).then_expect_events(vec![]);
    refused(entered(), set(&["a", "b", "a"]), "/order/2: a stands twice");
    refused(entered(), set(&["x"]), "/order/0: x is not on the entry list");
    refused(entered(), set(&[]), "/order: must have 1 to 64");
}

#[test]
fn a_race_starts_once_and_on_its_day() {
    let start = |at: &str| Command::Start { at: at.parse().unwrap() };
    let started = Event::Started { at: "2021-10-04T17:00:00Z".parse().unwrap() };
    race().given(entered()).when(start("2021-10-04T17:00:00Z")).then_expect_events(vec![started.clone()]);
    let again: Vec<Event> = entered().into_iter().chain([started]).collect();
    race().given(again.clone()).when(start("2021-10-04T17:05:00Z")).then_expect_events(vec![]);
    refused(again, Command::Postpone { date: date(2021, 10, 5), starts_at: None }, "has been started");
    let later = due_today(Some("2021-10-10T12:00:00Z"));
    refused(later.clone(), start("2021-10-10T12:00:00Z"), "not been run");
    refused(later, finish(["a", "b", "c"], true), "not been run");
    let odd = Details { starts_at: Some("2021-10-08T00:00:00Z".parse().unwrap()), ..details() };
    refused(vec![], Command::Schedule(odd), "/starts_at: is not on 2021-10-04");
}

fn session(cars: &[(&str, u32, f64)]) -> Session {
    let timed = |(driver, place, seconds): &(&str, u32, f64)| Timed {
        driver: (*driver).into(),
        place: *place,
        lap_seconds: Some(*seconds),
        speed: None,
        laps: Some(12),
    };
    Session {
        session: "practice-1".into(),
        kind: SessionKind::Practice,
        name: String::new(),
        cars: cars.iter().map(timed).collect(),
    }
}

#[test]
fn a_session_is_recorded_whole_and_once() {
    let entered = || {
        let entries = vec![entry("a", 1), entry("b", 2)];
        race().given(vec![Event::Scheduled(details()), Event::Entered { entries, official: true }])
    };
    let sorted = session(&[("b", 1, 49.1), ("a", 2, 49.3)]);
    let asked = session(&[("a", 2, 49.3), ("b", 1, 49.1)]);
    entered()
        .when(Command::RecordSession(asked.clone()))
        .then_expect_events(vec![Event::SessionRecorded(sorted.clone())]);
    let entries = vec![entry("a", 1), entry("b", 2)];
    let recorded = vec![
        Event::Scheduled(details()),
        Event::Entered { entries, official: true },
        Event::SessionRecorded(sorted),
    ];
    race().given(recorded).when(Command::RecordSession(asked)).then_expect_events(vec![]);
    for (cars, place) in [
        (vec![("x", 1, 49.1)], "/cars/0/driver"),
        (vec![("a", 1, 49.1), ("a", 2, 49.2)], "/cars/1/driver"),
        (vec![("a", 1, 49.1), ("b", 1, 49.2)], "/cars/1/place"),
        (vec![("a", 0, 49.1)], "/cars/0/place"),
        (vec![("a", 1, 0.0)], "/cars/0/lap_seconds"),
        (vec![("a", 1, f64::NAN)], "/cars/0/lap_seconds"),
        (vec![], "/cars"),
    ] {
        let refused = entered().when(Command::RecordSession(session(&cars))).inspect_result().unwrap_err();
        assert!(matches!(&refused, Rejection::Field { field, .. } if field == place), "{refused:?}");
    }
}
