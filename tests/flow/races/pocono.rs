//! A disqualification as it happened: Pocono, 24 July 2022. The first two cars
//! were taken out of the result after inspection.

use std::collections::BTreeMap;

use daybook::import::nascar::{Importer, Options};
use daybook_tests::data;
use domain::TenantId;
use domain::ports::log::ReadFilter;
use domain::racing::race;
use serde_json::{Value, json};

use super::bed::Bed;

const RACE: &str = "cup-2022-21";

type Row = BTreeMap<String, String>;

/// Rows of one season's races, with the names of the columns in small letters.
fn rows(file: &std::path::Path, races: std::ops::RangeInclusive<u32>) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_lowercase).collect();
    let wanted = |row: &Row| row["season"] == "2022" && row["race"].parse().is_ok_and(|n| races.contains(&n));
    let row =
        |record: csv::StringRecord| names.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
    reader.records().map(|record| row(record.unwrap())).filter(wanted).collect()
}

fn table(rows: &[Row], columns: &[&str]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).unwrap();
    for row in rows {
        writer
            .write_record(columns.iter().map(|column| row.get(*column).map_or("", String::as_str)))
            .unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

async fn import(bed: &Bed, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.csv");
    std::fs::write(&file, text).unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let options = Options { tenant, actor: "cli:test".into(), tracks: BTreeMap::new() };
    let importer = Importer { services: bed.services.clone(), options };
    let reports = importer.run(&[file], None).await.unwrap();
    assert_eq!(reports[0].refused, 0, "{:?}", reports[0].reasons);
    bed.seen(bed.services.log.head().await.unwrap().position);
    reports[0].corrections.clone()
}

fn of<'a>(answer: &'a Value, driver: &str) -> &'a Value {
    answer["projections"][0]["drivers"].as_array().unwrap().iter().find(|d| d["driver"] == driver).unwrap()
}

#[tokio::test]
async fn a_late_correction_moves_the_result_and_not_what_was_sealed() {
    let Some(folder) = data("nascar") else { return };
    let loops = folder.join("cup_loop_2019_2023.csv");
    let columns = [
        "season",
        "race",
        "race_date",
        "track_name",
        "driver_name",
        "start",
        "mid",
        "finish",
        "best",
        "worst",
        "avg",
        "green_flag_passes",
        "green_flag_times_passed",
        "quality_passes",
        "fastest_lap",
        "top_15_laps",
        "laps_led",
        "laps",
        "rating",
        "status",
    ];
    let bed = Bed::new("2022-07-23T12:00:00Z").await;
    import(&bed, &table(&rows(&loops, 1..=20), &columns)).await;
    let timing = rows(&loops, 21..=21);
    let mut official = rows(&folder.join("cup_results_2017_2023.csv"), 21..=21);
    official.iter_mut().for_each(|row| {
        row.insert("date".into(), timing[0]["race_date"].clone());
    });
    let entered = ["season", "race", "date", "track", "driver", "team", "car", "make", "start"];
    import(&bed, &table(&official, &entered)).await;
    let sealed = bed.post(&format!("/v1/races/{RACE}/projections"), json!({"runs": 1_000})).await;
    assert_eq!(sealed["learned"], 20);

    bed.clock.set("2022-07-25T12:00:00Z".parse().unwrap());
    import(&bed, &table(&timing, &columns)).await;
    let path = format!("/v1/races/{RACE}/projections?site=draftkings");
    let before = bed.get(&path).await;
    assert_eq!(of(&before, "denny-hamlin")["actual"]["finish"], 1);
    let judged = bed.get("/v1/backtests?site=draftkings").await;
    let position = bed.head();

    let results = [
        "season", "race", "date", "track", "driver", "team", "car", "make", "start", "finish", "laps", "led",
        "status", "pts", "rating",
    ];
    assert_eq!(import(&bed, &table(&official, &results)).await, [RACE]);
    let after = bed.get(&path).await;
    // What was said is the same to the last digit, and so is its hash.
    assert_eq!(after["projections"][0]["sha256"], before["projections"][0]["sha256"]);
    assert_eq!(after["projections"][0]["sha256"], sealed["sealed"][0]["sha256"]);
    for said in before["projections"][0]["drivers"].as_array().unwrap() {
        let now = of(&after, said["driver"].as_str().unwrap());
        for member in ["finish", "points", "win", "top5", "dnf"] {
            assert_eq!(now[member], said[member]);
        }
    }
    // What happened is otherwise, with what was first.
    let (hamlin, elliott) = (&of(&after, "denny-hamlin")["actual"], &of(&after, "chase-elliott")["actual"]);
    assert_eq!((&hamlin["finish"], &hamlin["first_finish"]), (&json!(35), &json!(1)));
    assert_eq!((&elliott["finish"], &elliott["first_finish"]), (&json!(1), &json!(3)));
    let again = bed.get("/v1/backtests?site=draftkings").await;
    assert_ne!(again["backtests"][0]["races"][0]["rho"], judged["backtests"][0]["races"][0]["rho"]);
    let then = bed.get(&format!("/v1/races/{RACE}/results?at={position}")).await;
    assert_eq!(then["results"][0]["driver"], "denny-hamlin");
    let filter = ReadFilter::types([race::PROJECTION_SEALED]);
    let facts = bed.services.log.read(0, 100, &filter).await.unwrap().events;
    assert_eq!(facts.len(), 2, "one for each site, and none after");
}
