//! `daybook style` and `daybook import texts`.

use std::fs;
use std::path::Path;

use daybook_tests::{data, files};
use serde_json::Value;

use super::{daybook, json_lines, text};

const WORDS: &str = "the of and to a in that it is was for on you he be with as by at have are this not but had his \
    they from she which or we an there her were one do been all their has would will what if can when so no out said \
    could don't it's very upon whilst though garden river captain morning letter people country council member window";

/// Words in an order that the seed decides, with the author's habits.
pub fn prose(author: u64, text: u64, words: usize) -> String {
    let all: Vec<&str> = WORDS.split_whitespace().collect();
    let mut state = author * 7_919 + 1;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut pool = Vec::new();
    for word in &all {
        let times = 1 + next(12);
        pool.extend(std::iter::repeat_n(*word, times));
    }
    for _ in 0..text * 13 + 5 {
        next(9);
    }
    let mut prose = String::new();
    for i in 0..words {
        prose.push_str(pool[next(pool.len())]);
        prose.push_str(if i % 11 == 10 { ".\n" } else { " " });
    }
    prose
}

/// Four authors, four known texts each, and a text of the third to ask about.
fn folder(root: &Path) {
    let known = root.join("known");
    fs::create_dir(&known).unwrap();
    let mut labels = "path,author\n".to_owned();
    for author in 0..4 {
        for work in 0..4 {
            let name = format!("a{author}_{work}.txt");
            fs::write(known.join(&name), prose(author, work, 1_600)).unwrap();
            labels += &format!("{name},Author {author}\n");
        }
    }
    fs::write(root.join("labels.csv"), labels).unwrap();
    fs::write(root.join("asked.txt"), prose(2, 77, 1_800)).unwrap();
    fs::write(root.join("short.txt"), prose(2, 78, 200)).unwrap();
}

const KNOWN: [&str; 4] = ["--known", "known", "--labels", "labels.csv"];

fn style(root: &Path, what: &str, more: &[&str]) -> Option<std::process::Output> {
    daybook(root, &[&["style", what][..], more].concat())
}

#[test]
fn every_candidate_has_a_distance_and_a_probability() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let asked = [&KNOWN[..], &["asked.txt", "short.txt", "--explain", "--json"]].concat();
    let Some(output) = style(root.path(), "attribute", &asked) else { return };
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let candidates = line["candidates"].as_array().unwrap();
        assert_eq!(candidates.len(), 4);
        let of = |c: &Value, name: &str| c[name].as_f64().unwrap();
        let total: f64 = candidates.iter().map(|c| of(c, "probability")).sum();
        assert!((total - 1.0).abs() < 1e-9);
        assert!(candidates.is_sorted_by(|a, b| of(a, "distance") <= of(b, "distance")));
        assert_eq!(candidates[0]["author"], "Author 2");
        for delta in ["burrows", "cosine", "eder", "argamon", "min_max"] {
            assert!(candidates[0]["deltas"][delta].is_f64(), "{line}");
        }
    }
    assert_eq!((&lines[0]["verdict"], &lines[0]["author"]), (&"attributed".into(), &"Author 2".into()));
    assert_eq!((&lines[1]["verdict"], &lines[1]["author"]), (&"no_verdict".into(), &Value::Null));
    assert!(lines[1]["warnings"].to_string().contains("too_short"));
    let why = &lines[0]["explanation"];
    assert!(why["lead"].as_f64().unwrap() > 0.0 && !why["sentences"].as_array().unwrap().is_empty());

    let table = text(&style(root.path(), "attribute", &[&KNOWN[..], &["asked.txt"]].concat()).unwrap());
    for author in 0..4 {
        assert!(table.contains(&format!("Author {author}")), "{table}");
    }
    let again = style(root.path(), "attribute", &asked).unwrap();
    assert_eq!(again.stdout, output.stdout, "the same texts, the same figures");
}

#[test]
fn verification_compares_with_imposters_and_says_nothing_of_short_texts() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let asked = [&KNOWN[..], &["asked.txt", "short.txt", "--json"]].concat();
    let Some(output) = style(root.path(), "verify", &asked) else { return };
    let lines = json_lines(&output);
    assert_eq!(
        (&lines[0]["candidates"][0]["author"], &lines[0]["candidates"][0]["verdict"]),
        (&"Author 2".into(), &"same".into())
    );
    assert_eq!(lines[0]["candidates"][3]["verdict"], "different");
    assert_eq!(lines[1]["candidates"][0]["verdict"], Value::Null);
    let one = [&KNOWN[..], &["asked.txt", "--author", "Author 1", "--json"]].concat();
    let lines = json_lines(&style(root.path(), "verify", &one).unwrap());
    assert_eq!(lines[0]["candidates"].as_array().unwrap().len(), 1);
    let nobody = [&KNOWN[..], &["asked.txt", "--author", "Nobody"]].concat();
    assert_eq!(style(root.path(), "verify", &nobody).unwrap().status.code(), Some(3));
}

#[test]
fn texts_are_compared_with_and_without_known_ones() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let texts = ["asked.txt", "known/a2_0.txt", "known/a0_0.txt", "--json"];
    let Some(output) = style(root.path(), "compare", &texts) else { return };
    let alone = json_lines(&output);
    assert_eq!(alone.len(), 3);
    assert!(alone[0]["min_max"].as_f64().unwrap() < alone[1]["min_max"].as_f64().unwrap());
    assert_eq!(alone[0]["deltas"], Value::Null);
    let with = json_lines(&style(root.path(), "compare", &[&KNOWN[..], &texts].concat()).unwrap());
    assert!(with[0]["deltas"]["cosine"].as_f64().unwrap() < with[1]["deltas"]["cosine"].as_f64().unwrap());
    assert!(
        with[0]["same_author"]["score"].as_f64().unwrap() > with[1]["same_author"]["score"].as_f64().unwrap()
    );
}

#[test]
fn texts_are_grouped_and_passages_found() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let names = ["known/a0_0.txt", "known/a1_0.txt", "known/a0_1.txt", "known/a1_1.txt", "known/a0_2.txt"];
    let Some(output) = style(root.path(), "cluster", &[&names[..], &["--groups", "2", "--json"]].concat())
    else {
        return;
    };
    let found = &json_lines(&output)[0];
    let groups: Vec<u64> = (0..5).map(|i| found["texts"][i]["group"].as_u64().unwrap()).collect();
    assert_eq!(groups, [0, 1, 0, 1, 0]);
    let mixed = prose(0, 50, 2_000) + &prose(3, 51, 2_000);
    fs::write(root.path().join("mixed.txt"), mixed).unwrap();
    let rolled = style(root.path(), "rolling", &[&KNOWN[..], &["mixed.txt", "--json"]].concat()).unwrap();
    let rolled = &json_lines(&rolled)[0];
    let windows = rolled["windows"].as_array().unwrap();
    assert_eq!((&windows[0]["nearest"], &windows[windows.len() - 1]["nearest"]), (&0.into(), &3.into()));
}

#[test]
fn indicators_abstain_and_are_never_proof() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let Some(output) = style(root.path(), "indicators", &["short.txt", "asked.txt", "--json"]) else {
        return;
    };
    for line in json_lines(&output) {
        // Random words are like nothing that anybody writes.
        assert_eq!((&line["probability"], &line["interval"]), (&Value::Null, &Value::Null), "{line}");
        assert!(line["warnings"].to_string().contains("not proof"));
        assert_eq!(line["indicators"].as_array().unwrap().len(), 18);
    }
}

#[test]
fn a_report_is_one_page_that_escapes_what_it_shows() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let asked = fs::read_to_string(root.path().join("asked.txt")).unwrap();
    fs::write(root.path().join("asked.txt"), format!("<script>alert(1)</script> & so on.\n\n{asked}"))
        .unwrap();
    let report = [&KNOWN[..], &["asked.txt", "-o", "report.html"]].concat();
    let Some(output) = style(root.path(), "report", &report) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(root.path().join("report.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; so on."));
    assert!(!page.contains("<script") && page.matches("<svg").count() >= 3);
    let json = style(root.path(), "report", &[&KNOWN[..], &["asked.txt", "--json"]].concat()).unwrap();
    let json: Value = serde_json::from_str(&text(&json)).unwrap();
    assert_eq!(json["matrix"]["names"].as_array().unwrap().len(), 5);
    assert!(json["features"]["mtld"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_is_wrong_with_files_and_labels_is_said() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let refused = |labels: &str, asked: &[u8]| {
        fs::write(root.path().join("labels.csv"), labels).unwrap();
        fs::write(root.path().join("asked.txt"), asked).unwrap();
        let output = style(root.path(), "attribute", &[&KNOWN[..], &["asked.txt"]].concat())?;
        Some((output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap()))
    };
    let good = "path,author\na0_0.txt,A\na1_0.txt,B\n";
    let prose = prose(0, 9, 700);
    let Some((code, said)) = refused("path,author\na0_0.txt\n", prose.as_bytes()) else { return };
    assert_eq!(code, 2);
    assert!(said.contains("labels.csv: line 2: 1 fields, the header has 2"), "{said}");
    let told = |labels: &str, asked: &[u8], code: i32, message: &str| {
        let (found, said) = refused(labels, asked).unwrap();
        assert!(found == code && said.contains(message), "{found}: {said}");
    };
    told("path,author\nno.txt,A\n", prose.as_bytes(), 1, "line 2: there is no file no.txt");
    told("path,author\na0_0.txt,A\n", prose.as_bytes(), 1, "at least two authors are needed, there are 1");
    told(good, b"", 1, "asked.txt: it is empty");
    told(good, b"ab\0cd", 1, "it is no text");
    told(good, b"PK\x03\x04broken", 1, "it is a broken DOCX");
    told(good, b"_ _ \xc2\xad", 1, "/text: holds no text");
    for odd in ["word", "... !!! ???", "שלום עולם, זה טקסט קצר מאוד.", "Смешанный text из двух scripts."]
    {
        let (code, said) = refused(good, odd.as_bytes()).unwrap();
        assert_eq!(code, 0, "{odd}: {said}");
    }
    // One sentence of a hundred thousand words, by authors with a text each.
    let (code, said) = refused(good, "word and ".repeat(50_000).as_bytes()).unwrap();
    assert_eq!(code, 0, "{said}");
    // All known texts are the same.
    for name in ["a0_0.txt", "a1_0.txt"] {
        fs::write(root.path().join("known").join(name), &prose).unwrap();
    }
    let (code, said) = refused(good, b"Some other words.").unwrap();
    assert_eq!(code, 1);
    assert!(said.contains("already, by A"), "{said}");
}

#[test]
fn imported_texts_are_sealed_and_known_the_second_time() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let import = ["import", "texts", "known", "--labels", "labels.csv", "--json"];
    let Some(output) = daybook(root.path(), &import) else { return };
    let done = &json_lines(&output)[0];
    assert_eq!((&done["submitted"], &done["known"]), (&16.into(), &0.into()));
    let again = &json_lines(&daybook(root.path(), &import).unwrap())[0];
    assert_eq!((&again["submitted"], &again["known"]), (&0.into(), &16.into()));
    let shown = text(&daybook(root.path(), &["events", "tail", "--json"]).unwrap());
    assert!(shown.contains("sample.part_recorded") && shown.contains("\"sealed\""), "{shown}");
    let prose = prose(0, 0, 12);
    let start = prose.split('\n').next().unwrap();
    for entry in files(root.path()).into_iter().filter(|p| !p.starts_with(root.path().join("known"))) {
        let bytes = fs::read(&entry).unwrap();
        let found = bytes.windows(start.len()).any(|w| w == start.as_bytes());
        assert!(!found, "{} holds a text in clear", entry.display());
    }
}

#[test]
fn published_frequencies_go_the_same_way() {
    let Some(folder) = data("stylometry/galbraith") else { return };
    let root = tempfile::tempdir().unwrap();
    let table = folder.join("galbraith_mfw1000.csv");
    let asked = ["--known", table.to_str().unwrap(), "galbraith_cuckoos", "--json"];
    let Some(output) = style(root.path(), "attribute", &asked) else { return };
    let judged = &json_lines(&output)[0];
    assert_eq!(judged["author"], "rowling");
    assert_eq!(judged["candidates"].as_array().unwrap().len(), 4);
}
