//! What becomes of samples: labelled, withdrawn, erased.

use std::time::{Duration, Instant};

use daybook_tests::server::KEY;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::{Bed, prose, sample};

#[tokio::test]
async fn a_label_and_a_withdrawal_are_seen_in_every_answer() {
    let Some((bed, position)) = Bed::with_samples().await else { return };
    let first = bed.get("/v1/samples?limit=1", position).await;
    let id = first["samples"][0]["id"].as_str().unwrap().to_owned();
    let label = json!({"author": "Somebody Else", "genre": "letter"});
    let said = bed.server.post(&format!("/v1/samples/{id}/label"), &label).await.unwrap();
    let position = said["position"].as_u64().unwrap();
    let authors = bed.get("/v1/authors", position).await;
    let names: Vec<&str> =
        authors["authors"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"Somebody Else"), "{names:?}");
    let (status, said) =
        bed.send(&format!("/v1/samples/{id}/label"), "application/json", r#"{"genre": ""}"#).await;
    assert_eq!((status, &said["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/genre")));

    let path = format!("/v1/samples/{id}/withdraw");
    let said = bed.server.post(&path, &json!({"reason": "by mistake"})).await.unwrap();
    let position = said["position"].as_u64().unwrap();
    assert_eq!(bed.get(&format!("/v1/samples/{id}"), position).await["state"], "withdrawn");
    let authors = bed.get("/v1/authors", position).await;
    assert!(!authors.to_string().contains("Somebody Else"), "{authors}");
    let (status, _) = bed.ask(&format!("/v1/samples/{id}/analysis"), KEY, "*/*", position).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, said) = bed.question("/v1/attribute", &json!({"texts": [{"sample": id}]}), position).await;
    assert_eq!(
        (status, &said["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/texts/0/sample"))
    );
    bed.server.stop().unwrap();
}

/// Every answer about an author and the author's samples, as it is sent.
async fn told(bed: &Bed, author: &str, position: u64) -> Vec<String> {
    let mut all = Vec::new();
    let samples = bed.get(&format!("/v1/samples?author={author}"), position).await;
    let mut paths = vec![format!("/v1/authors/{author}/fingerprint"), format!("/v1/authors/{author}/drift")];
    for sample in samples["samples"].as_array().unwrap() {
        paths.push(format!("/v1/samples/{}", sample["id"].as_str().unwrap()));
    }
    for path in paths {
        let (status, said) = bed.ask(&path, KEY, "application/json", position).await;
        assert_eq!(status, StatusCode::OK, "{path}: {said}");
        all.push(said.to_string());
    }
    all
}

/// The eraser works beside the requests; its certificate says when it is done.
pub async fn erased(bed: &Bed, author: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let path = format!("/v1/privacy/subjects/author:{author}");
    while bed.get(&path, 0).await["certificates"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "{author} is not erased");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_erased_author_is_gone_and_the_others_are_the_same_to_the_byte() {
    let Some((bed, position)) = Bed::with_samples().await else { return };
    let authors = bed.get("/v1/authors", position).await;
    let ids: Vec<String> =
        authors["authors"].as_array().unwrap().iter().map(|a| a["id"].as_str().unwrap().to_owned()).collect();
    let mut before = Vec::new();
    for id in &ids[1..] {
        before.push(told(&bed, id, position).await);
    }
    let theirs = bed.get(&format!("/v1/samples?author={}", ids[0]), position).await;
    let sample_id = theirs["samples"][0]["id"].as_str().unwrap().to_owned();

    let path = format!("/v1/privacy/subjects/author:{}/erase", ids[0]);
    bed.server.post(&path, &json!({"reason": "asked"})).await.unwrap();
    erased(&bed, &ids[0]).await;
    let (gone, _) = bed.ask(&format!("/v1/authors/{}/fingerprint", ids[0]), KEY, "*/*", position).await;
    assert_eq!(gone, StatusCode::NOT_FOUND);
    let stub = bed.get(&format!("/v1/samples/{sample_id}"), position).await;
    assert_eq!(
        (&stub["state"], &stub["title"], &stub["label"]),
        (&json!("erased"), &Value::Null, &json!({}))
    );
    let (status, said) =
        bed.question("/v1/attribute", &json!({"texts": [{"text": prose(0, 99, 900)}]}), position).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!said.to_string().contains("Author 0"), "{said}");
    for (id, before) in ids[1..].iter().zip(before) {
        assert_eq!(told(&bed, id, position).await, before, "{id}");
    }
    // The same text may come again.
    let (again, position) = bed.submit(&sample(0, 0)).await;
    assert_eq!(bed.get(&format!("/v1/samples/{again}"), position).await["state"], "recorded");
    bed.server.stop().unwrap();
}
