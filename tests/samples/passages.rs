//! Passages of a sample over HTTP, and the control for register.

use daybook_tests::server::KEY;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::{Bed, OTHER, name, prose, sample};

#[tokio::test]
async fn a_passage_by_somebody_else_stands_out() {
    let Some((bed, _)) = Bed::with_samples().await else { return };
    let (own, others) = (prose(0, 55, 3_000), prose(2, 56, 1_000));
    let mixed = format!("{own}\n\n{others}");
    let (id, position) = bed.submit(&json!({"text": mixed, "title": "Mixed"})).await;
    let path = format!("/v1/samples/{id}/rolling?window=600&step=200");
    let said = bed.get(&path, position).await;
    let windows = said["windows"].as_array().unwrap();
    let nearest = |window: &Value| said["authors"][window["nearest"].as_u64().unwrap() as usize].clone();
    assert_eq!(windows.len(), 18, "{said}");
    assert_eq!(nearest(&windows[0]), name(0));
    assert_eq!(nearest(&windows[17]), name(2));
    let start = windows[17]["span"]["start"].as_u64().unwrap();
    assert!(start > own.len() as u64, "{said}");

    let (status, csv) = bed.ask(&path, KEY, "text/csv", position).await;
    assert_eq!(status, StatusCode::OK);
    let csv = csv.as_str().unwrap();
    assert!(csv.starts_with("start,end,words,nearest,distance,apart"), "{csv}");
    assert_eq!(csv.lines().count(), 19);

    assert_eq!(bed.ask(&path, OTHER, "*/*", position).await.0, StatusCode::NOT_FOUND);
    let nobody = "/v1/samples/none/rolling";
    assert_eq!(bed.ask(nobody, KEY, "*/*", position).await.0, StatusCode::NOT_FOUND);
    let narrow = format!("/v1/samples/{id}/rolling?window=5");
    let (status, said) = bed.ask(&narrow, KEY, "*/*", position).await;
    assert_eq!(
        (status, &said["errors"][0]["parameter"]),
        (StatusCode::BAD_REQUEST, &json!("window")),
        "{said}"
    );
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn verifying_an_author_of_several_genres_has_a_control() {
    let Some((bed, _)) = Bed::with_samples().await else { return };
    // Author 0 writes letters as the author does, and essays as author 3 does.
    for (number, genre, writer) in [(60, "letter", 0), (61, "letter", 0), (62, "essay", 3), (63, "essay", 3)]
    {
        let mut form = sample(writer, number);
        form["author"] = json!(name(0));
        form["genre"] = json!(genre);
        bed.submit(&form).await;
    }
    let (_, position) = bed.submit(&json!({"text": prose(0, 90, 900), "author": "Ann"})).await;
    let authors = bed.get("/v1/authors", position).await;
    let found = authors["authors"].as_array().unwrap().iter().find(|a| a["name"] == name(0)).unwrap();
    let ask = json!({"texts": [{"text": prose(0, 91, 1_600)}], "author": found["id"]});
    let (status, said) = bed.question("/v1/verify", &ask, position).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let registers = said["results"][0]["registers"].as_array().unwrap();
    let told: Vec<(&str, u64)> =
        registers.iter().map(|r| (r["genre"].as_str().unwrap(), r["known"].as_u64().unwrap())).collect();
    assert_eq!(told, [("essay", 2), ("letter", 2)], "{said}");
    // The essays are not recognised by the letters.
    let score = |at: usize| registers[at]["score"].as_f64().unwrap();
    assert!(score(0) < 0.5, "{said}");
    // Nothing is said of authors of one genre, or where nobody is named.
    let all = json!({"texts": [{"text": prose(0, 91, 1_600)}]});
    let (_, said) = bed.question("/v1/verify", &all, position).await;
    assert!(said["results"][0]["registers"].is_null(), "{said}");
    bed.server.stop().unwrap();
}
