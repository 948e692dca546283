//! Files of events with their manifests, and rows with the events behind them.

use daybook_tests::server::KEY;
use serde_json::{Value, json};

use super::bed::{Bed, CLICKS, flip};

fn check(bed: &Bed, dir: &str, code: i32) -> Value {
    bed.cli.json(&["audit", "check-export", dir, "--key", &bed.file("key")], code)
}

#[test]
fn an_export_is_what_its_manifest_says() {
    let Some(bed) = Bed::sqlite() else { return };
    for (format, magic) in [("ndjson", "{\"position\":"), ("csv", "position,tenant,"), ("parquet", "PAR1")] {
        let dir = bed.file(format);
        let types = ["--type", "band.tapped", "--type", "band.previewed"];
        let asked = ["audit", "export", "--out", &dir, "--format", format];
        let exported = bed.cli.json(&[&asked[..], &types].concat(), 0);
        assert_eq!(exported["events"], CLICKS as u64, "{exported}");
        let checked = check(&bed, &dir, 0);
        assert_eq!((&checked["exported"], &checked["holds"]), (&exported, &json!(true)));
        assert!(checked["position"].as_u64() > exported["size"].as_u64(), "{checked}");

        let file = bed.own.join(format).join(format!("events.{format}"));
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.starts_with(magic.as_bytes()), "{format}");
        let middle = bytes.len() / 2;
        for changed in [flip(&file, middle), bytes[..bytes.len() - 1].to_vec()] {
            std::fs::write(&file, changed).unwrap();
            let refused = check(&bed, &dir, 4);
            assert!(refused["reason"].as_str().unwrap().contains("is not what was exported"), "{refused}");
        }
        std::fs::write(&file, bytes).unwrap();
        check(&bed, &dir, 0);
        // Nothing is written over.
        bed.cli.refused(&asked, 1);
    }
    let manifest = bed.own.join("ndjson/manifest.tlog-proof");
    std::fs::write(&manifest, flip(&manifest, 200)).unwrap();
    assert_eq!(check(&bed, &bed.file("ndjson"), 4)["holds"], false);
    // A proof of something else is no manifest.
    bed.cli.output(&["audit", "prove", "300", "--out", manifest.to_str().unwrap()]);
    let refused = check(&bed, &bed.file("ndjson"), 4);
    assert!(refused["reason"].as_str().unwrap().contains("another event"), "{refused}");
}

#[test]
fn what_was_exported_is_asked_for_like_any_event() {
    let Some(bed) = Bed::sqlite() else { return };
    let first = bed.cli.json(&["audit", "export", "--out", &bed.file("a"), "--type", "band.tapped"], 0);
    let dir = bed.file("b");
    let second = bed.cli.json(&["audit", "export", "--out", &dir, "--type", "audit.exported"], 0);
    assert_eq!(second["events"], 1);
    let told = std::fs::read_to_string(bed.own.join("b/events.ndjson")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["payload"], &told["type"]), (&first, &json!("audit.exported")));
    assert!(told["actor"].as_str().unwrap().starts_with("cli:"), "{told}");
    for (wrong, code) in [("band.eaten", 2), ("", 2)] {
        bed.cli.refused(&["audit", "export", "--out", &bed.file("c"), "--type", wrong], code);
    }
    bed.cli.refused(&["audit", "export", "--out", &bed.file("c"), "--since", "yesterday"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_exports_and_explains() {
    let Some(bed) = Bed::postgres().await else { return };
    let server = bed.cli.serve();
    let reach = ["--server", server.url.as_str(), "--key", KEY];
    let dir = bed.file("remote");
    let asked = ["audit", "export", "--out", &dir, "--format", "parquet", "--type", "band.tapped"];
    let exported = bed.cli.json(&[&asked[..], &reach].concat(), 0);
    assert_eq!(exported["events"], CLICKS as u64, "{exported}");
    assert_eq!(check(&bed, &dir, 0)["exported"], exported);

    // From a number to a proof.
    let summary = server.get("/v1/analytics/events/show/summary", exported["size"].as_u64().unwrap()).await;
    let taps = summary.unwrap()["taps"].clone();
    let why = ["audit", "why", "tap_analytics", "summary", "show", "--limit", "3"];
    let told = bed.cli.json(&[&why[..], &reach].concat(), 0);
    assert_eq!((&told["row"]["taps"], &told["same"]), (&taps, &json!(true)), "{told}");
    assert_eq!(taps.as_u64(), Some(CLICKS as u64));
    assert_eq!(told["count"].as_u64(), Some(CLICKS as u64));
    let position = told["events"][2]["position"].as_u64().unwrap().to_string();
    bed.cli.output(&["audit", "prove", &position, "--out", &bed.file("proof")]);
    let proved = bed.cli.json(&["audit", "check", &bed.file("proof"), "--key", &bed.file("key")], 0);
    assert_eq!(proved["entry"], told["events"][2]["leaf"]);
    let unknown = ["audit", "why", "tap_analytics", "summary", "nothing"];
    bed.cli.refused(&[&unknown[..], &reach].concat(), 3);
    server.stop().unwrap();

    let direct = bed.cli.json(&why, 0);
    assert_eq!((&direct["row"], &direct["events"]), (&told["row"], &told["events"]));
    bed.cli.refused(&unknown, 3);
    let then = bed.cli.json(&[&why[..], &["--at", &position]].concat(), 0);
    assert_eq!((&then["row"]["taps"], &then["count"]), (&json!(3), &json!(3)), "{then}");
    bed.cli.refused(&[&why[..], &["--at", "yesterday"]].concat(), 2);
}
