//! `daybook dfs` and `daybook import nascar`, in one shot and on a log.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use daybook_tests::cli::Cli;
use daybook_tests::data;
use domain::ports::clock::Clock;
use infra_runtime::SystemClock;
use serde_json::{Value, json};

const CARS: u64 = 20;

/// Two seasons of results in which lower numbers are better, and the entry
/// list of the next race.
fn seasons(folder: &Path) {
    let mut text = "Season,Race,Date,Track,Name,Length,Surface,Finish,Start,Car,Driver,Team,Make,Pts,Laps,Led,Status,S1,S2,Rating,Win\n".to_owned();
    let tracks = ["Kansas Speedway", "Martinsville Speedway", "Sonoma Raceway", "Talladega Superspeedway"];
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    for race in 0..40 {
        let mut order: Vec<(f64, u64)> = (0..CARS).map(|d| (d as f64 + 14.0 * noise(), d)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (season, number, track) = (2018 + race / 20, race % 20 + 1, tracks[race as usize % 4]);
        for (place, (_, driver)) in order.iter().enumerate() {
            let led = if place == 0 {
                150
            } else if place == 1 {
                50
            } else {
                0
            };
            let _ = writeln!(
                text,
                "{season},{number},,{track},Race,1.5,paved,{},{},{driver},Driver {},Team {},Ford,1,200,{led},running,,,,0",
                place + 1,
                (driver * 7 + race) % CARS + 1,
                letter(*driver),
                driver % 5
            );
        }
    }
    fs::write(folder.join("results.csv"), text).unwrap();
    let mut text = "Season,Race,Date,Track,Driver,Team,Car,Make,Start\n".to_owned();
    for driver in 0..CARS {
        let name = letter(driver);
        let _ = writeln!(
            text,
            "2019,21,,Kansas Speedway,Driver {name},Team {},{driver},Ford,{}",
            driver % 5,
            driver + 1
        );
    }
    fs::write(folder.join("entries.csv"), text).unwrap();
    fs::write(folder.join("notes.csv"), "a,b\n1,2\n").unwrap();
}

fn letter(driver: u64) -> char {
    char::from(b'A' + driver as u8)
}

pub struct Bed {
    pub cli: Cli,
    pub folder: tempfile::TempDir,
    _data: tempfile::TempDir,
}

impl Bed {
    pub fn new() -> Option<Self> {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        seasons(folder.path());
        Some(Self { cli: Cli::new(data.path(), &[])?, folder, _data: data })
    }

    pub fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub fn lines(&self, args: &[&str]) -> Vec<Value> {
        let output = self.cli.output(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_backtest_tells_each_driver_and_the_summary() {
    let Some(bed) = Bed::new() else { return };
    let args = ["dfs", "backtest", "--data", bed.path(), "--from", "2019", "--to", "2019", "--runs", "500"];
    let mut lines = bed.lines(&args);
    let summary = lines.pop().unwrap()["summary"].take();
    assert_eq!(lines.len(), 20 * CARS as usize);
    assert_eq!(summary["groups"]["all"]["races"], 20);
    assert_eq!(summary["groups"]["superspeedway"]["races"], 5);
    assert!(summary["groups"]["all"]["rho"]["value"].as_f64().unwrap() > 0.5);
    let line = &lines[0];
    assert_eq!(
        (&line["race"], &line["number"], &line["kind"]),
        (&json!("cup-2019-01"), &json!(1), &json!("intermediate"))
    );
    let finish = &line["predicted"]["finish"];
    assert!(finish["q10"].as_f64().unwrap() < finish["mean"].as_f64().unwrap());
    assert!(line["predicted"]["points"]["draftkings"]["mean"].is_f64());
    assert!(line["actual"]["finish"].is_u64() && line["actual"]["points"]["fanduel"].is_f64());
    let again = bed.lines(&args);
    assert_eq!(again[..lines.len()], lines[..], "the same seed says the same");
    // What came later was not looked at: a shorter history says the same.
    let text = fs::read_to_string(bed.folder.path().join("results.csv")).unwrap();
    let short: String = text.lines().take(1 + 30 * CARS as usize).map(|l| format!("{l}\n")).collect();
    fs::write(bed.folder.path().join("results.csv"), short).unwrap();
    let shorter = bed.lines(&args);
    assert_eq!(shorter[..10 * CARS as usize], lines[..10 * CARS as usize]);
}

#[test]
fn a_projection_is_of_the_next_race() {
    let Some(bed) = Bed::new() else { return };
    let mut lines = bed.lines(&["dfs", "project", "--data", bed.path(), "--runs", "2000"]);
    let summary = lines.pop().unwrap()["summary"].take();
    assert_eq!((&summary["race"], &summary["learned"]), (&json!("cup-2019-21"), &json!(40)));
    assert_eq!(lines.len(), CARS as usize);
    let sum = |member: &str| lines.iter().map(|l| l[member].as_f64().unwrap()).sum::<f64>();
    assert!((sum("win") - 1.0).abs() < 0.01 && (sum("top5") - 5.0).abs() < 0.01);
    assert!((sum("laps_led") - 200.0).abs() < 0.1, "a race is as long as the last one there");
    assert!(
        bed.cli
            .refused(&["dfs", "project", "--data", bed.path(), "--race", "cup-2030-01"], 1)
            .contains("no race")
    );
}

#[test]
fn lineups_keep_to_their_limits_or_say_which_clash() {
    let Some(bed) = Bed::new() else { return };
    let limits = bed.folder.path().join("limits.json");
    fs::write(
        &limits,
        r#"{"lock": ["Driver F"], "exposures": [{"driver": "Driver A", "min": 0.4, "max": 0.5}], "max_exposure": 0.9}"#,
    )
    .unwrap();
    let mut args = vec![
        "dfs",
        "lineups",
        "--data",
        bed.path(),
        "--runs",
        "2000",
        "--count",
        "10",
        "--synthetic-salaries",
    ];
    args.extend(["--limits", limits.to_str().unwrap()]);
    let said = bed.cli.refused(&args, 1);
    assert!(said.contains("lock driver-f; driver-f in at most 90 %"), "{said}");
    fs::write(&limits, fs::read_to_string(&limits).unwrap().replace("0.9}", "1.0}")).unwrap();
    let mut lines = bed.lines(&args);
    let summary = lines.pop().unwrap()["summary"].take();
    assert_eq!(
        (lines.len(), &summary["synthetic_salaries"], &summary["proved"]),
        (10, &json!(true), &json!(true))
    );
    for line in &lines {
        let drivers = line["drivers"].as_array().unwrap();
        let salary: u64 = drivers.iter().map(|d| d["salary"].as_u64().unwrap()).sum();
        assert!(drivers.len() == 6 && salary <= 50_000 && line["salary"] == salary);
        assert!(drivers.iter().any(|d| d["driver"] == "driver-f"));
    }
    let exposure = summary["drivers"]["driver-a"]["exposure"].as_f64().unwrap();
    assert!((0.4..=0.5).contains(&exposure), "{exposure}");
    let win = ["--objective", "win"];
    let tail: Vec<&str> = args[..9].iter().copied().chain(win).collect();
    assert_eq!(bed.lines(&tail).len(), 11);
    let contest = bed.folder.path().join("contest.json");
    fs::write(&contest, r#"{"entries": 100, "prizes": [{"from": 1, "to": 20, "amount": 50}]}"#).unwrap();
    let pays = ["--objective", "payout", "--contest", contest.to_str().unwrap()];
    let pays: Vec<&str> = args[..9].iter().copied().chain(pays).collect();
    let lines = bed.lines(&pays);
    let dollars = |line: &Value| line["score"].as_f64().unwrap();
    assert!(lines[..10].iter().all(|line| dollars(line) > 10.0 && dollars(line) <= 50.0), "{lines:?}");
    fs::write(&contest, r#"{"entries": 100, "prizes": [{"from": 2, "to": 20, "amount": 50}]}"#).unwrap();
    assert!(bed.cli.refused(&pays, 1).contains("/prizes/0/from must be 1"));
}

#[test]
fn the_site_gets_its_own_ids_back() {
    let Some(bed) = Bed::new() else { return };
    let mut text =
        "Position,Name + ID,Name,ID,Roster Position,Salary,Game Info,TeamAbbrev,AvgPointsPerGame\n"
            .to_owned();
    for driver in 0..CARS {
        let (name, id, salary) = (letter(driver), 9_000 + driver, 10_000 - 200 * driver);
        let _ = writeln!(text, "D,Driver {name} ({id}),Driver {name},{id},D,{salary},x,NAS,30.1");
    }
    let file = bed.folder.path().join("DKSalaries.txt");
    fs::write(&file, text).unwrap();
    let args =
        ["dfs", "lineups", "--data", bed.path(), "--runs", "500", "--count", "3", "--format", "upload"];
    let mut command = std::process::Command::new(daybook_tests::server::binary().unwrap());
    command.args(args).arg("--salaries").arg(&file).current_dir(bed.folder.path());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!((rows.len(), rows[0]), (4, "D,D,D,D,D,D"));
    assert!(rows[1].split(',').all(|cell| cell.starts_with("Driver ") && cell.contains("(90")), "{text}");
}

#[test]
fn a_log_is_read_like_a_folder() {
    let Some(bed) = Bed::new() else { return };
    let files = [bed.folder.path().join("results.csv"), bed.folder.path().join("entries.csv")];
    let files: Vec<&str> = files.iter().map(|f| f.to_str().unwrap()).collect();
    let import = [&["import", "nascar"][..], &files].concat();
    assert!(bed.lines(&import).iter().all(|report| report["refused"] == 0 && report["events"] != 0));
    assert!(bed.lines(&import).iter().all(|report| report["events"] == 0), "the second time adds nothing");
    let of_log = bed.lines(&["dfs", "project", "--runs", "500"]);
    let of_folder = bed.lines(&["dfs", "project", "--runs", "500", "--data", bed.path()]);
    assert_eq!(of_log, of_folder);
}

#[test]
fn a_backtest_of_the_past_knows_no_correction_that_came_later() {
    let Some(bed) = Bed::new() else { return };
    let file = bed.folder.path().join("results.csv");
    let import = ["import", "nascar", file.to_str().unwrap()];
    assert!(bed.lines(&import)[0]["events"] != 0);
    let told = |more: &[&str]| {
        let args = ["dfs", "backtest", "--from", "2019", "--runs", "300"];
        let mut lines = bed.lines(&[&args[..], more].concat());
        let groups = lines.pop().unwrap()["summary"]["groups"].take();
        (lines, groups)
    };
    let then = SystemClock.now().to_string();
    let before = told(&[]);
    // The winner of the last race is out of it.
    let text = fs::read_to_string(&file).unwrap();
    let moved = |line: &str| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if cells[..2] == ["2019", "20"] {
            let place: u64 = cells[7].parse().unwrap();
            cells[7] = if place == 1 { CARS } else { place - 1 }.to_string();
        }
        cells.join(",") + "\n"
    };
    fs::write(&file, text.lines().map(moved).collect::<String>()).unwrap();
    assert_eq!(bed.lines(&import)[0]["corrections"], json!(["cup-2019-20"]));
    assert_ne!(told(&[]), before);
    assert_eq!(told(&["--at", &then]), before);
    let refused = |args: &[&str], code| bed.cli.refused(&[&["dfs", "backtest"], args].concat(), code);
    assert!(refused(&["--at", "999999"], 1).contains("past the end of the log"));
    assert!(refused(&["--at", "yesterday"], 2).contains("RFC 3339"));
    assert!(refused(&["--at", &then, "--data", bed.path()], 2).contains("cannot be used with"));
}

/// The bars that published models are measured by, on seasons whose results
/// chose nothing here.
#[test]
fn real_seasons_are_predicted_better_than_by_the_grid() {
    let Some(folder) = data("nascar") else { return };
    let home = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(home.path(), &[]) else { return };
    let folder = folder.to_str().unwrap();
    let args = ["dfs", "backtest", "--data", folder, "--from", "2022", "--to", "2023", "--runs", "1000"];
    let groups = cli.json(&args, 0)["summary"]["groups"].take();
    let number = |group: &str, member: &str| groups[group][member].as_f64().unwrap();
    let rho = |group: &str| groups[group]["rho"]["value"].as_f64().unwrap();
    assert_eq!(groups["all"]["races"], 72);
    assert!(rho("all") >= 0.413 && rho("without superspeedways") >= 0.476, "{groups}");
    assert!(rho("all") > number("all", "rho_start") && rho("all") > number("all", "rho_recency"));
    assert!(groups["all"]["brier"]["value"].as_f64().unwrap() <= 0.224);
    assert!((0.77..=0.83).contains(&number("all", "within_80")));
}
