//! Small made-up files.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use daybook::import::Format;
use domain::tap::{Mode, Tap};
use domain::{band, live_event, registry, tap};

use super::{all_events, import, importer, memory};

const CLICKS: &str = concat!(
    r#"{"g":"one","t":1357964100,"u":"https://example.com/1","a":"Mozilla/5.0","c":"TH","r":"direct"}"#,
    "\n",
    r#"{"_heartbeat_":1357964101}"#,
    "\n",
    r#"{"g":"two","t":1357964099,"u":"https://example.com/2"}"#,
    "\n",
    r#"{"g":"one","t":1357964100,"u":"https://example.com/1","a":"Mozilla/5.0","c":"TH","r":"direct"}"#,
    "\n",
    "{ broken\n",
    "\n",
    r#"{"g":"one","t":1357967700,"u":"https://example.com/1"}"#,
    "\n",
);

#[tokio::test]
async fn a_file_becomes_a_show_with_bands_and_taps() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed_2013.jsonl");
    fs::write(&file, CLICKS).unwrap();
    let log = memory();
    let report = import(&log, Format::BitlyJsonl, std::slice::from_ref(&file)).await;

    let counts = &report.total;
    assert_eq!((counts.lines, counts.taps, counts.duplicates), (7, 3, 1));
    assert_eq!((counts.heartbeats, counts.broken, counts.blank), (1, 1, 1));
    assert_eq!((counts.bands_new, counts.previews, counts.other_methods), (2, 0, 0));
    assert_eq!(report.files[0].broken_lines, [5]);
    assert_eq!(report.files[0].event_id, "feed_2013");
    assert!(report.files[0].scheduled);

    let events = all_events(&log).await;
    assert_eq!(report.position, events.len() as u64);
    let live_event::Event::Scheduled(details) = registry::decode(&events[0]).unwrap() else { panic!() };
    assert_eq!(details.starts_at.to_string(), "2013-01-12T04:00:00Z");
    assert_eq!(details.ends_at.to_string(), "2013-01-12T06:00:00Z");
    assert_eq!(&*events[1].event_type, band::REGISTERED);

    let first = events.iter().find(|e| &*e.event_type == tap::TAPPED).unwrap();
    assert_eq!(first.occurred_at.unwrap().to_string(), "2013-01-12T04:15:00Z");
    let payload: Tap = registry::decode_payload(first).unwrap();
    let expected = Tap {
        band_id: "one".into(),
        event_id: Some("feed_2013".into()),
        window_id: None,
        mode: Mode::None,
        url: Some("https://example.com/1".into()),
        user_agent: Some("Mozilla/5.0".into()),
        referrer: None,
        language: None,
        country: Some("TH".into()),
        visitor: None,
        source: "import:bitly".into(),
    };
    assert_eq!(payload, expected);
}

#[tokio::test]
async fn a_second_import_changes_nothing_packed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("feed.jsonl"), folder.path().join("feed.jsonl.gz"));
    fs::write(&plain, CLICKS).unwrap();
    let mut encoder =
        flate2::write::GzEncoder::new(fs::File::create(&packed).unwrap(), flate2::Compression::default());
    encoder.write_all(CLICKS.as_bytes()).unwrap();
    encoder.finish().unwrap();

    let log = memory();
    import(&log, Format::BitlyJsonl, &[plain]).await;
    let before = all_events(&log).await;
    let again = import(&log, Format::BitlyJsonl, &[packed]).await;
    assert_eq!(all_events(&log).await, before);
    assert_eq!((again.total.taps, again.total.bands_new, again.total.duplicates), (0, 0, 4));
    assert!(!again.files[0].scheduled);
    assert_eq!(again.position, 0);
}

#[tokio::test]
async fn a_combined_log_knows_taps_from_previews() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let line = |time: &str, request: &str| {
        format!("192.0.2.7 - - [17/May/2015:{time} +0000] \"{request} HTTP/1.1\" 200 1 \"-\" \"curl/8\"\n")
    };
    let text = [
        line("10:00:00", "GET /a?x=1"),
        line("10:00:00", "HEAD /a"),
        line("10:00:01", "POST /a"),
        line("10:00:02", "GET /b/c"),
        "nonsense\n".into(),
    ];
    fs::write(&file, text.concat()).unwrap();
    let log = memory();
    let counts = import(&log, Format::CombinedLog, &[file]).await.total;
    assert_eq!((counts.taps, counts.previews, counts.other_methods, counts.broken), (2, 1, 1, 1));

    let events = all_events(&log).await;
    let bands: BTreeSet<String> = events
        .iter()
        .filter(|e| &*e.stream.kind == tap::KIND)
        .map(|e| registry::decode_payload::<Tap>(e).unwrap().band_id)
        .collect();
    assert_eq!(bands, [":a".to_owned(), ":b:c".to_owned()].into());
    // Addresses are never kept.
    assert!(events.iter().all(|e| !e.payload.contains("192.0.2.7")));
}

#[tokio::test]
async fn files_of_one_show_go_to_the_show_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
    fs::write(&files[0], "{\"g\":\"one\",\"t\":1357964100}\n").unwrap();
    fs::write(&files[1], "{\"g\":\"one\",\"t\":1357993000}\n").unwrap();
    let log = memory();
    let mut told = Vec::new();
    let report = importer(&log, Format::BitlyJsonl, Some("tour"))
        .run(&files, &mut |p| told.push((p.bytes, p.bytes_total, p.lines)))
        .await
        .unwrap();
    assert_eq!(report.files.iter().map(|f| f.scheduled).collect::<Vec<_>>(), [true, false]);
    assert_eq!(report.total.bands_new, 1);
    assert_eq!(told, [(27, 54, 1), (54, 54, 2)]);
    let live_event::Event::Scheduled(details) = registry::decode(&all_events(&log).await[0]).unwrap() else {
        panic!()
    };
    assert_eq!(details.ends_at.to_string(), "2013-01-12T13:00:00Z");
}

#[tokio::test]
async fn a_file_without_clicks_schedules_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quiet.jsonl");
    fs::write(&file, "{\"_heartbeat_\":1}\n").unwrap();
    let log = memory();
    let report = import(&log, Format::BitlyJsonl, &[file]).await;
    assert_eq!((report.total.heartbeats, report.position), (1, 0));
    assert!(all_events(&log).await.is_empty());
}

#[tokio::test]
async fn a_damaged_file_keeps_what_was_read_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.jsonl.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let clicks: String =
        (0..5_000).map(|i| format!("{{\"g\":\"l{}\",\"t\":{}}}\n", i % 9, 1357964100 + i)).collect();
    encoder.write_all(clicks.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    fs::write(&file, &packed).unwrap();
    let log = memory();
    import(&log, Format::BitlyJsonl, std::slice::from_ref(&file)).await;

    let other = memory();
    fs::write(&file, &packed[..packed.len() / 2]).unwrap();
    let first =
        importer(&other, Format::BitlyJsonl, None).run(std::slice::from_ref(&file), &mut |_| {}).await;
    assert!(first.is_err());
    fs::write(&file, &packed).unwrap();
    import(&other, Format::BitlyJsonl, &[file]).await;
    assert_eq!(all_events(&other).await.len(), all_events(&log).await.len());
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let missing = std::path::PathBuf::from("no-such-file.jsonl");
    let error = importer(&memory(), Format::BitlyJsonl, None).run(&[missing], &mut |_| {}).await.unwrap_err();
    assert!(format!("{error:#}").contains("no-such-file.jsonl"), "{error:#}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    fs::write(&file, CLICKS).unwrap();
    let error =
        importer(&memory(), Format::BitlyJsonl, Some("a/b")).run(&[file], &mut |_| {}).await.unwrap_err();
    assert!(format!("{error:#}").contains("is no id for an event"), "{error:#}");
}
