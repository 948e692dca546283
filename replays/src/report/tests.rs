use domain::ports::rows::{GenerationStatus, ModelId};
use serde_json::json;

use super::*;
use crate::compare::*;

fn side(generation: u32) -> Side {
    Side {
        generation,
        model: ModelId { parameters: json!({"bots": ["<curl>"]}), ..ModelId::new("bots", generation) },
        status: GenerationStatus::Ready,
        position: 1_234_567,
        dead_letters: 0,
        rows: 4_321,
        checksum: "ab".repeat(32),
    }
}

const EVIL: &str = "<script>alert(1)</script>\u{1b}[31m\u{202e}\"'&";

fn comparison() -> Comparison {
    let change = Change {
        old: Some(json!(10)),
        new: Some(json!(8)),
        difference: Some((-2).into()),
        relative: Some(-0.2),
    };
    let text = Change { old: None, new: Some(json!(EVIL)), ..Change::default() };
    let example =
        |change: &Change| Example { tenant: "acme".into(), key: EVIL.into(), change: change.clone() };
    let total = Total {
        old: 1_000_000.into(),
        new: 800.into(),
        difference: (-999_200).into(),
        relative: Some(-0.9992),
    };
    let fields = vec![
        FieldDifference {
            field: format!("modes.{EVIL}"),
            changed: 3,
            total: Some(total),
            largest: vec![example(&change)],
            examples: vec![],
        },
        FieldDifference {
            field: "name".into(),
            changed: 1,
            examples: vec![example(&text)],
            ..FieldDifference::default()
        },
    ];
    let row = RowDifference {
        table: "sums".into(),
        tenant: "acme".into(),
        key: EVIL.into(),
        change: Kind::Changed,
        fields: vec![FieldChange { field: EVIL.into(), change: text }],
        fields_left_out: 2,
        events: Some(Behind { positions: vec![5, 9], count: 7 }),
    };
    let series = Series {
        tenant: "acme".into(),
        name: EVIL.into(),
        step: 60.0,
        points: vec![(0.0, 1.0, 2.0), (60.0, 3.0, 3.0), (600.0, 5.0, 0.0)],
    };
    Comparison {
        projection: "taps".into(),
        old: side(1),
        new: side(2),
        same: false,
        added: 1,
        removed: 0,
        changed: 3,
        elsewhere: Some(Elsewhere { changed: 2, ..Elsewhere::default() }),
        tables: vec![TableDifference {
            table: "sums".into(),
            fields,
            changed: 3,
            ..TableDifference::default()
        }],
        rows: vec![row],
        rows_left_out: 12_345,
        chart: Some(Charted {
            title: EVIL.into(),
            y: "taps".into(),
            time: true,
            series: vec![series],
            series_left_out: 1,
        }),
    }
}

#[test]
fn nothing_of_the_rows_is_markup_or_steers_a_terminal() {
    let (page, text) = (html(&comparison()), text(&comparison()));
    assert!(!page.contains("<script") && !page.contains("alert(1)</script"), "{page}");
    assert!(page.contains("&lt;script&gt;"));
    for told in [&page, &text] {
        assert!(!told.contains(['\u{1b}', '\u{202e}']));
        assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told}");
    }
    assert!(text.contains("by 7 events: 5, 9, …"), "{text}");
    assert!(text.contains("… and 12\u{202f}345 more rows"), "{text}");
}

#[test]
fn the_page_stands_alone_and_every_element_is_closed() {
    let page = html(&comparison());
    for elsewhere in ["http:", "https:", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    for element in
        ["table", "tr", "td", "th", "div", "details", "summary", "svg", "figure", "p", "pre", "ul", "li"]
    {
        let opened =
            page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn a_gap_in_a_line_is_zero() {
    let page = html(&comparison());
    let line = page.split("class=\"new-line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(line.matches(['M', 'L']).count(), 5, "{line}");
}

#[test]
fn the_same_is_said_in_one_line() {
    let same = Comparison {
        same: true,
        added: 0,
        changed: 0,
        elsewhere: None,
        tables: vec![],
        rows: vec![],
        rows_left_out: 0,
        chart: None,
        ..comparison()
    };
    assert!(text(&same).ends_with("The same: every row of every table.\n"), "{}", text(&same));
    assert!(html(&same).contains("verdict same"));
}
