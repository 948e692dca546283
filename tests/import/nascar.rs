//! Races from CSV files, small and made up, and real where they are at hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use commands::Services;
use daybook::import::nascar::{self, FileReport, Importer, Options};
use daybook_tests::data;
use domain::ports::log::EventLog;
use domain::racing::race;
use models_fantasy::track::Kind;
use projections::races::Races;

use super::{IDS, all_events, clock, memory, tenant};

const LOOPS: &str = "Season,Race,race_date,track_name,driver_id,driver_name,start,mid,finish,best,worst,avg,\
green_flag_passing_diff,green_flag_passes,green_flag_times_passed,quality_passes,pct_quality_passes,fastest_lap,\
top_15_laps,pct_top_15_laps,laps_led,pct_laps_led,laps,rating,status
2021,7,2021-04-11,Martinsville Speedway,1,Martin Truex Jr,2,1,1,1,9,3.5,1,20,19,12,60.0,80,480,96.0,20,4.0,500,130.1,running
2021,7,2021-04-11,Martinsville Speedway,2,Daniel Suarez,1,2,2,1,12,5.5,2,30,28,12,40.0,20,400,80.0,480,96.0,500,110.3,running
2021,7,2021-04-11,Martinsville Speedway,3,BJ McLeod,3,3,3,3,30,25.0,-5,10,15,1,10.0,1,0,0.0,0,0.0,300,40.2,accident
2021,,2021-03-28,Bristol Motor Speedway,3,BJ McLeod,3,3,3,3,30,25.0,-5,10,15,1,10.0,1,0,0.0,0,0.0,300,40.2,running
";
const RESULTS: &str = "Season,Race,Date,Track,Name,Length,Surface,Finish,Start,Car,Driver,Team,Make,Pts,Laps,Led,Status,S1,S2,Rating,Win
2021,7,2021-04-10,Martinsville Speedway,Blue-Emu 500,0.526,paved,1,1,99,Daniel Suárez(i),Trackhouse,Chevrolet,60,500,480,running,,,110.3,1
2021,7,2021-04-10,Martinsville Speedway,Blue-Emu 500,0.526,paved,2,3,07,B.J. McLeod,Spire,Chevrolet,5,300,0,Accident,,,40.2,0
2021,7,2021-04-10,Martinsville Speedway,Blue-Emu 500,0.526,paved,3,2,19,\"Martin Truex, Jr.\",Gibbs,Toyota,1,500,20,disqualified,,,130.1,0
";

fn importer(log: &Arc<dyn EventLog>, tracks: &[(&str, Kind)]) -> Importer {
    let services = Services { log: log.clone(), clock: clock(), ids: IDS.clone(), bulk: Default::default() };
    let tracks: BTreeMap<String, Kind> = tracks.iter().map(|(name, kind)| ((*name).into(), *kind)).collect();
    Importer { services, options: Options { tenant: tenant(), actor: "cli:test".into(), tracks } }
}

async fn import(log: &Arc<dyn EventLog>, texts: &[&str]) -> Vec<FileReport> {
    let folder = tempfile::tempdir().unwrap();
    let file = |(i, text): (usize, &&str)| {
        let file = folder.path().join(format!("{i}.csv"));
        fs::write(&file, text).unwrap();
        file
    };
    let files: Vec<PathBuf> = texts.iter().enumerate().map(file).collect();
    importer(log, &[]).run(&files, None).await.unwrap()
}

async fn races(log: &Arc<dyn EventLog>) -> Races {
    let mut races = Races::default();
    all_events(log).await.iter().for_each(|event| races.apply(event).unwrap());
    races
}

#[tokio::test]
async fn results_after_timing_are_a_correction_and_keep_what_was_first() {
    let log = memory();
    let reports = import(&log, &[LOOPS, RESULTS]).await;
    assert_eq!(
        (reports[0].form, reports[0].rows, reports[0].races, reports[0].without_race),
        ("loop data", 4, 1, 1)
    );
    assert_eq!((reports[1].form, &*reports[1].corrections), ("results", &["cup-2021-07".to_owned()][..]));
    assert_eq!((reports[0].refused, reports[1].refused), (0, 0), "{reports:?}");

    let races = races(&log).await;
    let race = races.race("cup-2021-07").unwrap();
    let finish = |driver: &str| (race.results[driver].finish, race.first_results[driver].finish);
    assert_eq!(finish("martin-truex"), (3, 1));
    assert_eq!(finish("daniel-suarez"), (1, 2));
    let details = race.details.as_ref().unwrap();
    assert_eq!((&*details.name, &*details.track), ("Blue-Emu 500", "martinsville"));
    assert_eq!(details.date.unwrap().to_string(), "2021-04-10", "timing has the day in UTC");
    let told = races.told().unwrap().remove(0);
    assert_eq!(told.race.kind, Kind::Short);
    let mcleod = told.race.entries.iter().position(|e| e.driver == "bj-mcleod").unwrap();
    assert_eq!(told.race.entries[mcleod].car.as_deref(), Some("07"));
    assert_eq!((told.outcomes[mcleod].fastest, told.outcomes[mcleod].rating), (Some(1), Some(40.2)));
    assert_eq!(races.name("daniel-suarez"), "Daniel Suarez");
    assert_eq!(races.rules().len(), 2);
}

#[tokio::test]
async fn reading_again_in_any_order_adds_nothing() {
    let log = memory();
    import(&log, &[LOOPS, RESULTS]).await;
    let head = log.head().await.unwrap().position;
    for texts in [[LOOPS, RESULTS], [RESULTS, LOOPS]] {
        let again = import(&log, &texts).await;
        assert!(again.iter().all(|report| report.events == 0 && report.corrections.is_empty()), "{again:?}");
    }
    assert_eq!(log.head().await.unwrap().position, head);
    // Official results first: timing comes too late to say who won.
    let other = memory();
    import(&other, &[RESULTS, LOOPS]).await;
    let types: Vec<_> = all_events(&other).await.into_iter().map(|e| e.event_type).collect();
    assert!(!types.iter().any(|t| &**t == race::CORRECTED));
    assert_eq!(races(&other).await.race("cup-2021-07").unwrap().results["daniel-suarez"].finish, 1);
}

#[tokio::test]
async fn rows_that_cannot_be_are_refused_by_name() {
    let reasons = |text: String| async move {
        let report = import(&memory(), &[&text]).await.remove(0);
        assert_eq!(report.refused, 1, "{report:?}");
        report.reasons.concat()
    };
    let moon = reasons(LOOPS.replace("Martinsville Speedway", "Moon Raceway")).await;
    assert!(moon.contains("\"Moon Raceway\" is not known"), "{moon}");
    let twice = reasons(LOOPS.replace("BJ McLeod", "Daniel Suarez")).await;
    assert!(twice.contains("stands twice"), "{twice}");
    let hole = reasons(RESULTS.replace("paved,3,2,19", "paved,4,2,19")).await;
    assert!(hole.contains("nobody finished in place 3"), "{hole}");
    let word = reasons(RESULTS.replace("paved,3,2,19", "paved,third,2,19")).await;
    assert!(word.contains("line 4: finish \"third\" is no number"), "{word}");

    let log = memory();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("moon.csv");
    fs::write(&file, LOOPS.replace("Martinsville Speedway", "Moon Raceway")).unwrap();
    importer(&log, &[("Moon Raceway", Kind::Road)]).run(&[file], None).await.unwrap();
    assert_eq!(races(&log).await.told().unwrap()[0].race.kind, Kind::Road);
}

#[tokio::test]
async fn entries_and_salaries_come_before_a_result() {
    let entries = "Season,Race,Date,Track,Driver,Team,Car,Make,Start
2030,1,2030-02-17,Daytona International Speedway,Ann Other,T,1,Ford,1
2030,1,2030-02-17,Daytona International Speedway,Bo Ther,T,2,Ford,
";
    let salaries = "series,season,race_num,race_name,race_date,driver,platform,salary,status
cup,2030,1,500,2030-02-17,Ann Other,DraftKings,9500,Available
cup,2030,1,500,2030-02-17,Bo Ther,DraftKings,7000,Available
";
    let log = memory();
    let reports = import(&log, &[entries, salaries]).await;
    assert!(reports.iter().all(|r| r.refused == 0 && r.events > 0), "{reports:?}");
    let races = races(&log).await;
    let told = races.told().unwrap().remove(0);
    assert_eq!((told.outcomes.len(), told.race.entries[1].start), (0, None));
    assert_eq!(races.race("cup-2030-01").unwrap().salaries["draftkings"]["bo-ther"], 7_000);
    let cents = import(&log, &[&salaries.replace("9500", "950000")]).await;
    assert!(cents[0].reasons[0].contains("no salary in dollars"), "{cents:?}");
}

#[tokio::test]
async fn real_seasons_are_whole_and_their_disqualifications_corrections() {
    let Some(folder) = data("nascar") else { return };
    let (files, other) = nascar::files(&folder).unwrap();
    assert_eq!((files.len(), other.len()), (4, 0));
    let log = memory();
    let reports = importer(&log, &[]).run(&files, None).await.unwrap();
    for report in &reports {
        assert_eq!(report.refused, 0, "{report:?}");
    }
    let told = races(&log).await.told().unwrap();
    assert_eq!(told.len(), 252);
    assert_eq!(told.iter().map(|race| race.outcomes.len()).sum::<usize>(), 9_632);
    let measured = told.iter().flat_map(|r| &r.outcomes).filter(|o| o.fastest.is_some()).count();
    assert_eq!(measured, 6_819);
    let folded = races(&log).await;
    let moved = told.iter().filter(|race| {
        let race = folded.race(&race.race.id).unwrap();
        race.first_results.iter().any(|(driver, first)| race.results[driver].finish != first.finish)
    });
    assert_eq!(moved.count(), 9);
    let head = log.head().await.unwrap().position;
    let again = importer(&log, &[]).run(&files, None).await.unwrap();
    assert!(again.iter().all(|report| report.events == 0), "{again:?}");
    assert_eq!(log.head().await.unwrap().position, head);
}
