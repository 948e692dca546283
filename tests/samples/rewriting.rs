//! Language models outside: what is sent, what is recorded of it, what comes of
//! it, and what happens when they fail.

use std::time::{Duration, Instant};

use daybook_tests::server::KEY;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bed::{AUTHORS, Bed, EACH, OTHER, name, prose, sample};
use super::lives::erased;
use super::provider::{Provider, Then};

/// A server that sends texts to the provider, with everybody's samples.
async fn bed(settings: &[(&str, &str)]) -> Option<(TempDir, Bed, u64)> {
    let data = tempfile::tempdir().unwrap();
    let bed = Bed::at(data.path(), settings)?;
    let mut position = 0;
    for author in 0..AUTHORS {
        for work in 0..EACH {
            position = bed.submit(&sample(author, work)).await.1;
        }
    }
    Some((data, bed, position))
}

fn ollama(url: &str) -> [(&str, &str); 3] {
    [("OLLAMA_BASE_URL", url), ("OLLAMA_MODEL", "writer"), ("DAYBOOK_LANGUAGE_EMBEDDING_MODEL", "placer")]
}

async fn ids(bed: &Bed, position: u64) -> (String, String, String) {
    let authors = bed.get("/v1/authors", position).await;
    let author = |number: u64| {
        let found = authors["authors"].as_array().unwrap().iter().find(|a| a["name"] == name(number));
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (own, target) = (author(0), author(1));
    let samples = bed.get(&format!("/v1/samples?author={own}"), position).await;
    let first = samples["samples"].as_array().unwrap().iter().find(|s| s["title"] == "Work 0.0").unwrap();
    (first["id"].as_str().unwrap().to_owned(), own, target)
}

/// The rewrite once it has ended.
async fn ended(bed: &Bed, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let said = bed.get(&format!("/v1/rewrites/{id}?wait=20"), 0).await;
        if !matches!(said["state"].as_str().unwrap(), "requested" | "started") {
            return said;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
}

async fn asked(bed: &Bed, sample: &str, body: &Value) -> Value {
    bed.server.post(&format!("/v1/samples/{sample}/rewrite"), body).await.unwrap()
}

fn id_of(outcome: &Value) -> String {
    outcome["stream"]["id"].as_str().unwrap().to_owned()
}

/// Everything that is recorded of these types.
async fn facts(bed: &Bed, types: &str) -> Vec<Value> {
    let page = bed.get(&format!("/v1/audit/events?type={types}&limit=1000"), 0).await;
    page["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_text_is_written_anew_towards_an_author_and_kept() {
    let provider = Provider::start().await;
    let Some((data, bed, position)) = bed(&ollama(&provider.url)).await else { return };
    let (sample, own, target) = ids(&bed, position).await;
    let original = prose(0, 0, 1_600);
    let near = prose(1, 77, 1_600);
    provider.then([
        Then::Text(original.replace("river", "stream")),
        Then::Text(near.clone()),
        Then::Body(r#"{"message": 5}"#.to_owned()),
    ]);
    let wish =
        json!({"author": target, "candidates": 3, "seed": 5, "formality": "formal", "avoid": ["though"]});
    let done = asked(&bed, &sample, &wish).await;
    assert_eq!(done["events"][0]["type"], "rewrite.requested");
    let id = id_of(&done);
    let said = ended(&bed, &id).await;
    assert_eq!(said["state"], "completed", "{said}");
    let result = &said["result"];
    assert_eq!((&result["chosen"], &result["meaning"]), (&json!(1), &json!("embedding_cosine@1")));
    assert_eq!(
        (&result["provider"], &result["model"], &result["digest"]),
        (&json!("ollama"), &json!("writer"), &json!("d1"))
    );
    let distance = |of: &Value| of["distance"].as_f64().unwrap();
    assert!(distance(&result["after"]) < distance(&result["before"]), "{result}");
    assert!(
        result["similarity"].as_f64().unwrap() > 0.9 && result["edits"].as_f64().unwrap() > 0.3,
        "{result}"
    );
    let candidates = result["candidates"].as_array().unwrap();
    assert!(candidates[2]["rejected"].as_str().unwrap().contains("protocol"), "{result}");
    assert!(distance(&candidates[1]["figures"]) < distance(&candidates[0]["figures"]));
    // The diff holds both texts.
    let side = |op: &str| -> String {
        let parts = result["diff"].as_array().unwrap().iter().filter(|c| c["op"] == "equal" || c["op"] == op);
        parts.map(|c| c["text"].as_str().unwrap()).collect()
    };
    assert_eq!(side("insert"), result["text"].as_str().unwrap());
    assert!(side("delete").starts_with(&original[..40]));

    // What left: the sample and numbers, nothing of the target's texts.
    let sent = provider.asked();
    let paths: Vec<&str> = sent.iter().map(|a| a.path.as_str()).collect();
    assert_eq!(paths, ["/api/chat", "/api/chat", "/api/chat", "/api/embed"]);
    let prompt = &sent[0].body;
    assert_eq!(prompt["options"]["seed"], 5);
    assert!(prompt["messages"][1]["content"].as_str().unwrap().starts_with(&original[..40]));
    let told = prompt["messages"][0]["content"].as_str().unwrap();
    assert!(told.contains("formal: no contractions") && told.contains("Do not use: though"), "{told}");
    assert!(told.contains("times in 1,000 words") && !told.contains(&prose(1, 0, 30)), "{told}");

    // Each time it was recorded before, without the text.
    let recorded = facts(&bed, "language.text_sent").await;
    assert_eq!(recorded.len(), 4);
    let first = &recorded[0];
    let payload = &first["payload"];
    assert_eq!((&payload["sample"], &payload["purpose"]), (&json!(sample), &json!("rewrite")));
    assert_eq!((&payload["provider"], &payload["model"]), (&json!("ollama"), &json!("writer")));
    assert!(payload["asked_by"].as_str().unwrap().starts_with("key:"), "{payload}");
    assert!(payload["bytes"].as_u64().unwrap() > original.len() as u64 / 2);
    assert!(!format!("{recorded:?}").contains(&original[..30]));
    assert_eq!(facts(&bed, "language.answered").await.len(), 4);

    // The same again asks nobody; another tenant sees nothing.
    let again = asked(&bed, &sample, &wish).await;
    assert_eq!((id_of(&again), &again["events"]), (id.clone(), &json!([])));
    assert_eq!(provider.asked().len(), 4);
    assert_eq!(bed.ask(&format!("/v1/rewrites/{id}"), OTHER, "*/*", 0).await.0, StatusCode::NOT_FOUND);
    let completed = facts(&bed, "rewrite.completed").await;
    assert!(!completed[0].to_string().contains(&near[..30]), "the text is sealed");
    bed.server.stop().unwrap();

    // Without a provider what was said stands, and nothing new is asked.
    let bed = Bed::at(data.path(), &[]).unwrap();
    assert_eq!(ended(&bed, &id).await, said);
    let (status, refused) =
        bed.question(&format!("/v1/samples/{sample}/rewrite"), &json!({"author": target}), 0).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("/v1/suggest"), "{refused}");

    // Who is erased is erased from rewrites.
    bed.server
        .post(&format!("/v1/privacy/subjects/author:{own}/erase"), &json!({"reason": "asked"}))
        .await
        .unwrap();
    erased(&bed, &own).await;
    let gone = ended(&bed, &id).await;
    assert_eq!((&gone["state"], &gone["result"]), (&json!("erased"), &Value::Null), "{gone}");
    assert_eq!(provider.asked().len(), 4);
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn a_provider_that_fails_is_named_and_asked_again_on_request() {
    let provider = Provider::start().await;
    let settings = [
        ("DAYBOOK_LANGUAGE_OPENAI_URL", &*provider.url),
        ("DAYBOOK_LANGUAGE_OPENAI_MODEL", "writer"),
        ("DAYBOOK_LANGUAGE_API_KEY", "k3y"),
        ("DAYBOOK_LANGUAGE_TIMEOUT_SECONDS", "1"),
        ("DAYBOOK_LANGUAGE_ATTEMPTS", "2"),
        ("DAYBOOK_LANGUAGE_CALLS_PER_DAY", "6"),
    ];
    let Some((_data, bed, position)) = bed(&settings).await else { return };
    let (sample, _, target) = ids(&bed, position).await;
    let wish = json!({"author": target, "candidates": 1});
    let cases = [
        (vec![Then::Hangs], "timeout"),
        (vec![Then::Text("Far too short.".to_owned())], "nonsense"),
        (vec![Then::Long(2 << 20)], "nonsense"),
        (vec![Then::Status(403)], "refused"),
    ];
    for (answers, code) in cases {
        provider.then(answers);
        let said = ended(&bed, &id_of(&asked(&bed, &sample, &wish).await)).await;
        assert_eq!((&said["state"], &said["failure"]["code"]), (&json!("failed"), &json!(code)), "{said}");
        assert_eq!(said["result"], Value::Null);
    }
    // A server's fault, then an answer; meaning by words, since no model makes vectors.
    provider.then([Then::Status(500), Then::Text(prose(1, 77, 1_600))]);
    let said = ended(&bed, &id_of(&asked(&bed, &sample, &wish).await)).await;
    assert_eq!(
        (&said["state"], &said["result"]["meaning"]),
        (&json!("completed"), &json!("content_words@1")),
        "{said}"
    );
    assert!(provider.asked().iter().all(|a| a.key == "Bearer k3y" && a.path == "/v1/chat/completions"));
    // Five calls are made, the sixth is the last of the day.
    let other = json!({"author": target, "candidates": 2, "seed": 1});
    provider.then([Then::Text("word ".repeat(1_600)), Then::Text("other ".repeat(1_600))]);
    let before = provider.asked().len();
    let said = ended(&bed, &id_of(&asked(&bed, &sample, &other).await)).await;
    assert_eq!(said["state"], "completed", "{said}");
    let second = &said["result"]["candidates"][1]["rejected"];
    assert!(second.as_str().unwrap().contains("budget of 6 calls"), "{said}");
    assert_eq!(provider.asked().len(), before + 1);
    let last = json!({"author": target, "candidates": 1, "seed": 2});
    let said = ended(&bed, &id_of(&asked(&bed, &sample, &last).await)).await;
    assert_eq!(said["failure"]["code"], "budget", "{said}");
    assert_eq!(provider.asked().len(), before + 1);
    assert_eq!(facts(&bed, "language.text_sent").await.len(), 6);
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn vectors_are_kept_with_their_space_and_never_mixed() {
    let provider = Provider::start().await;
    let Some((_data, bed, position)) = bed(&ollama(&provider.url)).await else { return };
    let (sample, own, _) = ids(&bed, position).await;
    let all = bed.get(&format!("/v1/samples?author={own}"), position).await;
    let other = all["samples"].as_array().unwrap().iter().find(|s| s["id"] != sample.as_str()).unwrap();
    let other = other["id"].as_str().unwrap().to_owned();
    let pair = json!({"samples": [sample, other]});
    let embed = |id: String| format!("/v1/samples/{id}/embed");

    let (status, said) = bed.question("/v1/similarity", &pair, 0).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    for id in [&sample, &other] {
        bed.server.post(&embed(id.clone()), &json!({})).await.unwrap();
    }
    let (status, said) = bed.question("/v1/similarity", &pair, 0).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert!(said["similarity"].as_f64().unwrap() > 0.9, "{said}");
    assert_eq!(
        said["space"],
        json!({"provider": "ollama", "model": "placer", "digest": "d2", "dimension": 16, "normalisation": "passages@1"})
    );
    let sent = provider.asked();
    let inputs = sent[0].body["input"].as_array().unwrap();
    assert!(inputs.len() > 3, "long texts go in passages");
    assert_eq!(sent[0].body["truncate"], false);

    // The model answers in other dimensions from now on.
    provider.dimension(24);
    bed.server.post(&embed(other.clone()), &json!({})).await.unwrap();
    let (status, said) = bed.question("/v1/similarity", &pair, 0).await;
    assert_eq!((status, &said["differs"]), (StatusCode::CONFLICT, &json!("dimension")), "{said}");
    let kept = bed.get(&format!("/v1/samples/{other}/embeddings"), 0).await;
    let dimensions: Vec<u64> =
        kept["embeddings"].as_array().unwrap().iter().map(|e| e["dimension"].as_u64().unwrap()).collect();
    assert_eq!(dimensions, [24, 16]);

    // Nonsense is no vector.
    provider.dimension(0);
    let (status, said) = bed.question(&embed(sample.clone()), &json!({}), 0).await;
    assert_eq!((status, &said["trouble"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("nonsense")), "{said}");

    // Vectors tell of the text: they are sealed, and erased with it.
    let recorded = facts(&bed, "embedding.recorded").await;
    assert_eq!(recorded.len(), 3);
    assert!(recorded.iter().all(|e| e["payload"]["vector"].is_null()), "{}", recorded[0]);
    assert_eq!(
        bed.ask(&format!("/v1/samples/{sample}/embeddings"), OTHER, "*/*", 0).await.0,
        StatusCode::NOT_FOUND
    );
    bed.server
        .post(&format!("/v1/privacy/subjects/author:{own}/erase"), &json!({"reason": "asked"}))
        .await
        .unwrap();
    erased(&bed, &own).await;
    let (status, _) = bed.question("/v1/similarity", &pair, 0).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn bad_wishes_are_refused_before_anything_leaves() {
    let provider = Provider::start().await;
    let Some((_data, bed, position)) = bed(&ollama(&provider.url)).await else { return };
    let (sample, _, target) = ids(&bed, position).await;
    let (long, _) = bed.submit(&json!({"text": "word ".repeat(6_000), "author": "Long"})).await;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let cases = [
        (&*sample, json!({"author": "nobody"}), unprocessable, "/author"),
        (&*sample, json!({"author": target, "candidates": 9}), unprocessable, "/candidates"),
        (&*sample, json!({"author": target, "avoid": ["a b"]}), unprocessable, "/avoid/0"),
        (&*sample, json!({"author": target, "sentence_words": 500}), unprocessable, "/sentence_words"),
        (&*sample, json!({"author": target, "tone": "odd"}), unprocessable, "tone"),
        (&*sample, json!({}), unprocessable, "author"),
        ("none", json!({"author": target}), StatusCode::NOT_FOUND, "not-found"),
        (&*long, json!({"author": target}), StatusCode::CONFLICT, "24576"),
    ];
    for (id, body, status, named) in cases {
        let (got, said) = bed.question(&format!("/v1/samples/{id}/rewrite"), &body, 0).await;
        assert_eq!(got, status, "{body}: {said}");
        assert!(said.to_string().contains(named), "{body}: {said}");
    }
    let (status, _) = bed.question("/v1/similarity", &json!({"samples": [sample]}), 0).await;
    assert_eq!(status, unprocessable);
    assert_eq!(bed.ask("/v1/rewrites/none?wait=99", KEY, "*/*", 0).await.0, StatusCode::BAD_REQUEST);
    assert!(provider.asked().is_empty());
    bed.server.stop().unwrap();
}
