//! The examples of docs/sql.md.

use daybook_tests::repository;
use domain::registry::EVENT_TYPES;
use serde_json::Value;

use super::bed::{Bed, ask, engine, query, rows};

/// Blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().trim().to_owned()).collect()
}

#[tokio::test]
async fn every_example_is_answered() {
    let text = std::fs::read_to_string(repository().join("docs/sql.md")).unwrap();
    let bed = Bed::memory();
    bed.grow(200).await;
    let store = bed.sealed().await;
    bed.grow(200).await;
    let engine = engine(bed.sources(Some(&store)));
    let examples = blocks(&text, "sql");
    assert!(examples.len() >= 6, "{}", examples.len());
    for example in examples {
        let answer = ask(&engine, query(&example)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{example}: {error}"));
        assert!(answer["row_count"].as_u64() > Some(0), "{example}");
    }
}

#[tokio::test]
async fn every_column_and_table_is_documented() {
    let text = std::fs::read_to_string(repository().join("docs/sql.md")).unwrap();
    let engine = engine(Bed::memory().sources(None));
    for row in rows(&engine, query("describe events")).await.as_array().unwrap() {
        let name = row[0].as_str().unwrap();
        assert!(text.contains(&format!("| `{name}` |")), "{name}");
    }
    let tables = rows(&engine, query("show tables")).await;
    assert_eq!(tables.as_array().unwrap().len(), EVENT_TYPES.len() + 1);
    assert!(tables.as_array().unwrap().contains(&Value::from(vec!["band_tapped", "band.tapped"])));
}
