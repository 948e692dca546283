//! What the versions of the model have in common, and what only the second has.

use proptest::prelude::*;

use super::rows::*;
use super::tests::{any_tap, history_of, tap, tapped, tenant};
use super::*;
use crate::testing::fold;
use domain::tap::Tap;

fn with_sessions(gap_seconds: u32) -> TapAnalytics {
    TapAnalytics::new(2, Parameters { session_gap_seconds: Some(gap_seconds), ..Parameters::of(2) })
}

/// Generation 1 was written by version 1; whoever folds it today must write
/// the same bytes.
#[test]
fn rows_of_the_first_version_keep_their_bytes() {
    let t = tap("b1", Some("show"));
    let rows = fold(&TapAnalytics::default(), &[tapped(1, "2026-07-01T19:00:01Z", &t)], 1).unwrap().all();
    let doc = |table: &str| {
        rows.iter().find(|((t, _), _)| t == table).map(|(_, (_, doc))| doc.as_str()).unwrap_or_default()
    };
    assert_eq!(doc(VISITORS), "{}");
    assert_eq!(
        doc(SUMMARY),
        concat!(
            r#"{"event_id":"show","taps":1,"bots":0,"previews":0,"unique_bands":1,"repeat_bands":0,"#,
            r#""unique_visitors":1,"first_tap_at":"2026-07-01T19:00:01Z","last_tap_at":"2026-07-01T19:00:01Z","#,
            r#""peak_minute":{"start":"2026-07-01T19:00:00Z","taps":1},"modes":{"live":1},"#,
            r#""windows":{"(none)":1},"devices":{"mobile":1},"os":{"iOS":1},"browsers":{"Safari":1},"#,
            r#""countries":{"US":1},"languages":{"en":1},"bot_classes":{}}"#
        )
    );
}

#[test]
fn visits_end_with_a_long_pause_and_are_of_people_only() {
    let t = tap("b1", Some("show"));
    let bot = Tap { user_agent: Some("Googlebot/2.1".into()), ..t.clone() };
    let stranger = Tap { visitor: None, ..t.clone() };
    let rows = fold(
        &with_sessions(600),
        &[
            tapped(1, "2026-07-01T19:00:00Z", &t),
            tapped(2, "2026-07-01T19:30:00Z", &t),
            tapped(3, "2026-07-01T19:05:00Z", &bot),
            tapped(4, "2026-07-01T19:05:00Z", &stranger),
            // Late, and joins nothing yet; the next one joins it to the first.
            tapped(5, "2026-07-01T19:15:00Z", &t),
            tapped(6, "2026-07-01T19:07:00Z", &t),
        ],
        2,
    )
    .unwrap();
    let summary: Summary = rows.get(SUMMARY, &tenant(), "show").unwrap();
    let sessions = summary.sessions.unwrap();
    assert_eq!((sessions.count, sessions.single, sessions.taps), (2, 1, 4));
    assert_eq!((sessions.seconds, sessions.longest_seconds), (900, 900));
    assert_eq!((summary.taps, summary.unique_visitors), (5, 1));
}

#[test]
fn views_of_the_second_version_have_columns_of_the_documents() {
    let rows =
        fold(&with_sessions(60), &[tapped(1, "2026-07-01T19:00:00Z", &tap("b1", Some("show")))], 1).unwrap();
    let spec = tables::WITH_SESSIONS.iter().find(|t| t.name == SUMMARY).unwrap();
    let doc = rows.all().into_iter().find(|((t, _), _)| t == SUMMARY).unwrap().1.1;
    let doc: serde_json::Value = serde_json::from_str(&doc).unwrap();
    for column in spec.columns {
        let pointer = format!("/{}", column.path.replace('.', "/"));
        assert!(!doc.pointer(&pointer).unwrap().is_null(), "{}", column.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn order_and_batches_change_nothing_of_the_second_version(
        taps in prop::collection::vec(any_tap(), 1..60),
        batch in 1usize..20,
        seed in any::<u64>(),
    ) {
        let events = history_of(&taps);
        let model = with_sessions(60);
        let expected = fold(&model, &events, 3).unwrap().all();
        prop_assert_eq!(&fold(&model, &events, batch).unwrap().all(), &expected);
        let mut shuffled = events.clone();
        shuffled.sort_by_key(|e| (e.position + 1).wrapping_mul(seed | 1).rotate_left(17));
        prop_assert_eq!(&fold(&model, &shuffled, batch).unwrap().all(), &expected);
        // Beside the visits, both versions see the same.
        let mut second = expected;
        for ((table, _), (_, doc)) in &mut second {
            if table == SUMMARY {
                let mut row: Summary = serde_json::from_str(doc).unwrap();
                row.sessions = None;
                *doc = serde_json::to_string(&row).unwrap();
            }
            if table == VISITORS {
                *doc = "{}".into();
            }
        }
        prop_assert_eq!(&fold(&TapAnalytics::default(), &events, 3).unwrap().all(), &second);
    }
}
