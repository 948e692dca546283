use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::TenantId;
use domain::ports::rows::*;
use serde_json::json;

use super::*;

/// Rows in order, handed out a few at a time.
struct Fake {
    generation: Generation,
    tables: Vec<String>,
    rows: BTreeMap<(String, RowKey), (Option<String>, String)>,
    most: usize,
}

impl Fake {
    fn new(number: u32, rows: &[(&str, &str, serde_json::Value)]) -> Self {
        let mut tables: Vec<String> = rows.iter().map(|r| r.0.to_owned()).collect();
        tables.dedup();
        let rows = rows
            .iter()
            .map(|(table, key, doc)| (((*table).to_owned(), row("acme", key)), (None, doc.to_string())));
        Self { generation: generation(number), tables, rows: rows.collect(), most: usize::MAX }
    }
}

fn generation(number: u32) -> Generation {
    Generation {
        id: GenerationId { projection: "taps".into(), number },
        model: ModelId::new("m", number),
        status: GenerationStatus::Ready,
        position: 9,
        dead_letters: 0,
        held: None,
    }
}

fn row(tenant: &str, key: &str) -> RowKey {
    RowKey { tenant: TenantId::new(tenant).unwrap(), key: key.into() }
}

#[async_trait]
impl RowsSnapshot for Fake {
    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn tables(&self) -> &[String] {
        &self.tables
    }

    async fn scan(
        &mut self,
        table: &str,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<ScannedRow>, RowsError> {
        assert!(limit <= self.most, "{limit} rows at once");
        let mine = self.rows.iter().filter(|((t, row), _)| t == table && after.is_none_or(|a| row > a));
        let scanned = |((_, row), (sort, doc)): (&(String, RowKey), &(Option<String>, String))| ScannedRow {
            row: row.clone(),
            sort: sort.clone(),
            doc: doc.clone(),
        };
        Ok(mine.take(limit).map(scanned).collect())
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn lines(&self) -> Vec<RowDifference> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn compared(old: &mut Fake, new: &mut Fake, options: Options) -> (Comparison, Vec<RowDifference>) {
    let buffer = Buffer::default();
    let found = compare(old, new, options, Some(Box::new(buffer.clone()))).await.unwrap();
    let through_json: Comparison = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(through_json, found);
    (found, buffer.lines())
}

fn field<'a>(table: &'a TableDifference, name: &str) -> &'a FieldDifference {
    table.fields.iter().find(|f| f.field == name).unwrap_or_else(|| panic!("{name}: {:?}", table.fields))
}

#[tokio::test]
async fn the_same_rows_are_the_same_however_they_are_written() {
    let mut old = Fake::new(1, &[("a", "k", json!({"x": 1, "y": [1, "z"], "w": {}})), ("b", "k", json!({}))]);
    let mut new = Fake::new(2, &[("a", "k", json!(null)), ("b", "k", json!({}))]);
    new.rows.insert(("a".into(), row("acme", "k")), (None, r#"{"w":{},"y":[1.0,"z"],"x":1e0}"#.into()));
    let (found, lines) = compared(&mut old, &mut new, Options::default()).await;
    assert!(found.same && lines.is_empty(), "{found:?}");
    assert_eq!(found.old.checksum, found.new.checksum);
    assert_eq!((found.old.rows, found.tables.len()), (2, 2));
    assert!(found.tables.iter().all(|t| t.fields.is_empty()));
}

#[tokio::test]
async fn rows_and_members_that_differ_are_told() {
    let mut old = Fake::new(
        1,
        &[
            ("sums", "a", json!({"taps": 10, "modes": {"live": 7, "post": 3}, "name": "A"})),
            ("sums", "b", json!({"taps": 5, "modes": {"live": 5}, "name": "B"})),
            ("sums", "gone", json!({"taps": 100})),
            ("sums", "same", json!({"taps": 1})),
        ],
    );
    let mut new = Fake::new(
        2,
        &[
            ("sums", "a", json!({"taps": 8, "modes": {"live": 8}, "name": "A"})),
            ("sums", "b", json!({"taps": 5, "modes": {"live": 5}, "name": "Bee", "more": null})),
            ("sums", "came", json!({"taps": 2})),
            ("sums", "same", json!({"taps": 1})),
        ],
    );
    let (found, lines) = compared(&mut old, &mut new, Options::default()).await;
    assert_eq!((found.same, found.added, found.removed, found.changed), (false, 1, 1, 2));
    assert_ne!(found.old.checksum, found.new.checksum);
    let table = &found.tables[0];
    assert_eq!((table.old_rows, table.new_rows), (4, 4));
    let taps = field(table, "taps");
    assert_eq!(taps.changed, 1);
    let total = taps.total.as_ref().unwrap();
    assert_eq!([&total.old, &total.new, &total.difference], [&116.into(), &16.into(), &(-100).into()]);
    assert_eq!(taps.largest[0].key, "a");
    assert_eq!(taps.largest[0].change.relative, Some(-0.2));
    let post = field(table, "modes.post");
    assert_eq!(post.largest[0].change.difference, Some((-3).into()));
    assert_eq!((post.largest[0].change.new.as_ref(), post.changed), (None, 1));
    let name = field(table, "name");
    assert_eq!((name.changed, &name.examples[0].change.new), (1, &Some(json!("Bee"))));
    // A null that came is a change, and nothing else.
    assert_eq!(field(table, "more").examples[0].change.new, Some(json!(null)));
    assert_eq!(table.fields[0].field, "taps", "the largest total first");

    let rows: Vec<_> = found.rows.iter().map(|r| (r.key.as_str(), r.change)).collect();
    assert_eq!(
        rows,
        [("gone", Kind::Removed), ("a", Kind::Changed), ("came", Kind::Added), ("b", Kind::Changed)]
    );
    assert_eq!(lines.iter().map(|l| l.key.as_str()).collect::<Vec<_>>(), ["a", "b", "came", "gone"]);
}

#[tokio::test]
async fn of_other_tenants_rows_only_their_number_is_told() {
    let mine = ("sums", "a", json!({"taps": 1}));
    let (mut old, mut new) =
        (Fake::new(1, std::slice::from_ref(&mine)), Fake::new(2, std::slice::from_ref(&mine)));
    let sums = |tenant: &str, key: &str| ("sums".to_owned(), row(tenant, key));
    old.rows.insert(sums("rival", "secret"), (None, r#"{"taps":5}"#.into()));
    new.rows.insert(sums("rival", "secret"), (None, r#"{"taps":7}"#.into()));
    new.rows.insert(sums("rival", "more"), (None, r#"{"taps":1}"#.into()));
    let acme = Options { tenant: Some(TenantId::new("acme").unwrap()), ..Options::default() };
    let (found, lines) = compared(&mut old, &mut new, acme).await;
    assert_eq!(found.elsewhere, Some(Elsewhere { added: 1, removed: 0, changed: 1 }));
    assert!(!found.same && found.changed + found.added + found.removed == 0 && lines.is_empty());
    assert_eq!((found.tables[0].new_rows, found.new.rows), (1, 3));
    assert!(!serde_json::to_string(&found).unwrap().contains("secret"));
    let rival = Options { tenant: Some(TenantId::new("rival").unwrap()), ..Options::default() };
    let (found, lines) = compared(&mut old, &mut new, rival).await;
    assert_eq!((found.added, found.changed, found.elsewhere), (1, 1, Some(Elsewhere::default())));
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_sort_key_that_differs_is_a_change() {
    let mut old = Fake::new(1, &[("a", "k", json!({"x": 1}))]);
    let mut new = Fake::new(2, &[("a", "k", json!({"x": 1}))]);
    new.rows.values_mut().for_each(|r| r.0 = Some("7".into()));
    let (found, _) = compared(&mut old, &mut new, Options::default()).await;
    assert_eq!((found.same, found.changed), (false, 1));
    assert_eq!(found.tables[0].fields[0].field, SORT);
}

#[tokio::test]
async fn lists_of_numbers_add_up_and_others_are_one_value() {
    let mut old = Fake::new(1, &[("a", "k", json!({"tens": [[1, 2], [3, 4]], "last": [1, "x"]}))]);
    let mut new = Fake::new(2, &[("a", "k", json!({"tens": [[1, 5], [3, 0]], "last": [2, "x"]}))]);
    let (found, _) = compared(&mut old, &mut new, Options::default()).await;
    let tens = field(&found.tables[0], "tens[][]");
    let total = tens.total.as_ref().unwrap();
    assert_eq!((tens.changed, &total.old, &total.new), (1, &10.into(), &9.into()));
    assert_eq!(tens.largest[0].change.difference, Some((-4).into()));
    let last = field(&found.tables[0], "last");
    assert_eq!((last.total.as_ref(), &last.examples[0].change.new), (None, &Some(json!([2, "x"]))));
}

#[tokio::test]
async fn a_table_on_one_side_only_was_added_or_removed() {
    let mut old = Fake::new(1, &[("a", "k", json!({"x": 1})), ("old", "k", json!({"x": 1}))]);
    let mut new = Fake::new(2, &[("a", "k", json!({"x": 1})), ("visits", "k", json!({"x": 1}))]);
    let (found, _) = compared(&mut old, &mut new, Options::default()).await;
    let tables: Vec<_> = found.tables.iter().map(|t| (t.table.as_str(), t.added, t.removed)).collect();
    assert_eq!(tables, [("a", 0, 0), ("old", 0, 1), ("visits", 1, 0)]);
}

#[tokio::test]
async fn everything_told_has_a_bound() {
    let doc = |i: usize, n: u64| json!({format!("host-{i}"): n, "text": format!("{n:04}").repeat(250)});
    let rows = |n: u64| -> Vec<(&str, String, serde_json::Value)> {
        (0..1_500).map(|i| ("t", format!("k{i:05}"), doc(i, n + i as u64))).collect()
    };
    let fake = |number: u32, n: u64| {
        let rows = rows(n);
        let rows: Vec<_> = rows.iter().map(|(t, k, d)| (*t, k.as_str(), d.clone())).collect();
        Fake { most: 5_000, ..Fake::new(number, &rows) }
    };
    let options = Options { top: 7, examples: 2, ..Options::default() };
    let (found, lines) = compared(&mut fake(1, 0), &mut fake(2, 3), options).await;
    assert_eq!((found.changed, lines.len()), (1_500, 1_500));
    assert_eq!((found.rows.len(), found.rows_left_out), (7, 1_493));
    let fields = &found.tables[0].fields;
    assert!(fields.len() <= 1_001, "{}", fields.len());
    let other = field(&found.tables[0], "(other)");
    assert_eq!(other.total.as_ref().unwrap().difference, (501 * 3).into());
    let text = field(&found.tables[0], "text");
    assert_eq!((text.changed, text.examples.len()), (1_500, 2));
    let told = serde_json::to_string(&found).unwrap().len();
    assert!(told < 500_000, "{told}");
    // The lines leave out nothing.
    assert!(lines[0].fields.iter().any(|f| f.change.new.as_ref().unwrap().to_string().len() > 990));
}

#[tokio::test]
async fn the_lines_of_a_chart_are_gathered() {
    let minute = |event: &str, m: u32, taps: u64| {
        let start = format!("2026-07-01T19:{m:02}:00Z");
        let key: &'static str = Box::leak(format!("{event}/{start}").into_boxed_str());
        ("minutes", key, json!({"event_id": event, "start": start, "taps": taps}))
    };
    let mut old = Fake::new(1, &[minute("a", 0, 5), minute("a", 1, 6), minute("b", 0, 1), minute("c", 0, 9)]);
    let mut new =
        Fake::new(2, &[minute("a", 0, 4), minute("b", 0, 1), minute("c", 0, 9), minute("c", 2, 90)]);
    let chart = projections::tap_analytics::TapAnalytics::default();
    let chart = projections::Projection::chart(&chart);
    let (found, _) = compared(&mut old, &mut new, Options { chart, ..Options::default() }).await;
    let charted = found.chart.unwrap();
    assert!(charted.time);
    let names: Vec<_> = charted.series.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["c", "a"], "those that differ, most first");
    let at = 1_782_932_400.0;
    assert_eq!(charted.series[1].points, [(at, 5.0, 4.0), (at + 60.0, 6.0, 0.0)]);
}

#[tokio::test]
async fn a_writer_that_fails_ends_the_comparison() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut old = Fake::new(1, &[("a", "k", json!({"x": 1}))]);
    let mut new = Fake::new(2, &[("a", "k", json!({"x": 2}))]);
    let ended = compare(&mut old, &mut new, Options::default(), Some(Box::new(Full))).await;
    assert!(matches!(ended, Err(CompareError::Write(_))), "{ended:?}");
}
