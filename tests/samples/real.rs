//! The Federalist papers, where they are at hand.

use std::fs;

use daybook_tests::data;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::Bed;

/// Papers that are asked about, and who wrote them.
const ASKED: [(u32, &str); 4] = [(11, "Hamilton"), (14, "Madison"), (4, "Jay"), (79, "Hamilton")];
fn authors(folder: &std::path::Path) -> Option<Vec<(u32, String)>> {
    let table = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "csv"))?;
    let text = fs::read_to_string(table).ok()?;
    let mut lines = text.lines();
    let head: Vec<String> = lines.next()?.split(',').map(str::to_ascii_lowercase).collect();
    let (no, author) =
        (head.iter().position(|h| h == "no")?, head.iter().position(|h| h.starts_with("author"))?);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Some((cells.get(no)?.trim().parse().ok()?, cells.get(author)?.trim().to_owned()))
    };
    Some(lines.filter_map(row).collect())
}

#[tokio::test]
async fn federalist_papers_are_attributed_over_http() {
    let Some(folder) = data("stylometry/federalist") else { return };
    let authors = authors(&folder).expect("the table of authors");
    let Some(bed) = Bed::new() else { return };
    let paper = |no: u32| fs::read_to_string(folder.join(format!("federalist_{no:02}.txt"))).ok();
    let (mut position, mut known) = (0, 0);
    for (no, author) in authors.iter().filter(|(no, _)| ASKED.iter().all(|(asked, _)| asked != no)) {
        let Some(text) = paper(*no).filter(|_| !author.is_empty()) else { continue };
        let form =
            json!({"text": text, "author": author, "title": format!("No. {no}"), "corpus": "federalist"});
        position = bed.submit(&form).await.1;
        known += 1;
    }
    assert!(known > 40, "{known}");
    let mut asked = Vec::new();
    for (no, author) in ASKED {
        let Some(text) = paper(no) else { continue };
        let (id, at) = bed.submit(&json!({"text": text, "title": format!("No. {no}")})).await;
        position = at;
        asked.push((id, author));
    }
    let texts: Vec<Value> = asked.iter().map(|(id, _)| json!({"sample": id})).collect();
    let body = json!({"texts": texts, "corpus": "federalist"});
    let (status, said) = bed.question("/v1/attribute", &body, position).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert!(!asked.is_empty());
    for ((_, author), found) in asked.iter().zip(said["results"].as_array().unwrap()) {
        let first = &found["candidates"][0];
        assert!(first["author"].as_str().unwrap().to_lowercase().contains(&author.to_lowercase()), "{found}");
    }
    bed.server.stop().unwrap();
}
