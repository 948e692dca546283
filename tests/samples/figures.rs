//! The HTTP API and the command line answer the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use daybook_tests::server::{KEY, binary};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::{AUTHORS, Bed, EACH, name, prose, sample};

/// The same texts as files with labels.
fn folder(root: &Path) {
    let known = root.join("known");
    fs::create_dir(&known).unwrap();
    let mut labels = "path,author\n".to_owned();
    for author in 0..AUTHORS {
        for work in 0..EACH {
            let file = format!("a{author}_{work}.txt");
            fs::write(known.join(&file), prose(author, work, 1_600)).unwrap();
            labels += &format!("{file},{}\n", name(author));
        }
    }
    fs::write(root.join("labels.csv"), labels).unwrap();
    fs::write(root.join("asked"), prose(2, 77, 1_800)).unwrap();
    fs::write(root.join("short"), prose(2, 78, 200)).unwrap();
}

fn one_shot(root: &Path, args: &[&str]) -> Vec<Value> {
    let known = ["--known", "known", "--labels", "labels.csv", "--json"];
    let output = Command::new(binary().unwrap())
        .arg("style")
        .args(args)
        .args(known)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test]
async fn the_api_and_the_command_line_answer_the_same() {
    let Some((bed, position)) = Bed::with_samples().await else { return };
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let texts =
        json!([{"text": prose(2, 77, 1_800), "name": "asked"}, {"text": prose(2, 78, 200), "name": "short"}]);

    let body = json!({"texts": texts, "explain": true});
    let (status, said) = bed.question("/v1/attribute", &body, position).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(said["results"], json!(one_shot(root.path(), &["attribute", "--explain", "asked", "short"])));
    assert_eq!(
        (&said["results"][0]["verdict"], &said["results"][0]["author"]),
        (&json!("attributed"), &json!("Author 2"))
    );
    // Under 500 words there is no verdict.
    assert_eq!(
        (&said["results"][1]["verdict"], &said["results"][1]["author"]),
        (&json!("no_verdict"), &Value::Null)
    );

    let (_, said) = bed.question("/v1/verify", &json!({"texts": texts}), position).await;
    assert_eq!(said["results"], json!(one_shot(root.path(), &["verify", "asked", "short"])));
    assert_eq!(said["results"][1]["candidates"][0]["verdict"], Value::Null);
    let authors = bed.get("/v1/authors", position).await;
    let author = authors["authors"][1]["id"].as_str().unwrap();
    let (_, said) = bed.question("/v1/verify", &json!({"texts": texts, "author": author}), position).await;
    assert_eq!(
        said["results"],
        json!(one_shot(root.path(), &["verify", "--author", "Author 1", "asked", "short"]))
    );

    let (_, said) = bed.question("/v1/compare", &json!({"texts": texts}), position).await;
    assert_eq!(said["pairs"], json!(one_shot(root.path(), &["compare", "asked", "short"])));
    let body = json!({"texts": texts, "authors": [author]});
    let (_, said) = bed.question("/v1/compare", &body, position).await;
    assert_eq!((said["pairs"].as_array().unwrap().len(), said["authors"].as_array().unwrap().len()), (0, 2));
    assert_eq!(said["authors"][0]["author"], "Author 1");
    assert_eq!(said["authors"][1]["verification"]["verdict"], Value::Null);

    let (id, position) = bed.submit(&json!({"text": prose(2, 77, 1_800), "title": "asked"})).await;
    let analysis = bed.get(&format!("/v1/samples/{id}/analysis"), position).await;
    assert_eq!(json!([analysis["report"]]), json!(one_shot(root.path(), &["report", "asked"])));
    let one = bed.question("/v1/attribute", &json!({"texts": [{"sample": id}]}), position).await.1;
    assert_eq!(one["results"], json!(one_shot(root.path(), &["attribute", "asked"])));
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn tables_and_pages_hold_what_the_json_does() {
    let Some((bed, position)) = Bed::with_samples().await else { return };
    let csv = |path: &'static str| bed.ask(path, KEY, "text/csv", position);
    let json_of = |path: &'static str| bed.ask(path, KEY, "application/json", position);
    let lines = |said: &Value| said.as_str().unwrap().lines().map(str::to_owned).collect::<Vec<_>>();

    let matrix = json_of("/v1/corpora/all/matrix").await.1;
    assert_eq!(matrix["texts"].as_array().unwrap().len(), 16);
    let table = lines(&csv("/v1/corpora/all/matrix").await.1);
    let first = matrix["order"][0].as_u64().unwrap() as usize;
    let cell: f64 = table[1].split(',').nth(2).unwrap().parse().unwrap();
    assert_eq!(json!(cell), matrix["distances"][first][matrix["order"][1].as_u64().unwrap() as usize]);
    assert_eq!(table.len(), 17);

    let found = json_of("/v1/corpora/all/clusters?groups=4").await.1;
    let of = |author: u64| -> Vec<u64> {
        let texts = found["texts"].as_array().unwrap().iter();
        texts
            .filter(|t| t["text"].as_str().unwrap().starts_with(&name(author)))
            .map(|t| t["group"].as_u64().unwrap())
            .collect()
    };
    for author in 0..AUTHORS {
        assert!(of(author).iter().all(|g| *g == of(author)[0]), "{found}");
    }
    assert_eq!(
        bed.ask("/v1/corpora/all/clusters?groups=17", KEY, "*/*", position).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(bed.ask("/v1/corpora/none/clusters", KEY, "*/*", position).await.0, StatusCode::NOT_FOUND);

    let authors = json_of("/v1/authors").await.1;
    assert_eq!(lines(&csv("/v1/authors").await.1).len(), 5);
    let id = authors["authors"][0]["id"].as_str().unwrap();
    let path = format!("/v1/authors/{id}/fingerprint");
    let fingerprint = bed.get(&path, position).await;
    assert_eq!(fingerprint["model"], "fingerprint@1");
    let features = fingerprint["features"].as_array().unwrap();
    let the = features.iter().find(|f| f["name"] == "the").unwrap();
    assert!(
        the["low"].as_f64() < the["mean"].as_f64() && the["mean"].as_f64() < the["high"].as_f64(),
        "{the}"
    );
    let table = lines(&bed.ask(&path, KEY, "text/csv", position).await.1);
    assert_eq!(table.len(), features.len() + 1);

    let samples = bed.get("/v1/samples?limit=3", position).await;
    let next = samples["next"].as_str().unwrap();
    let second = bed.get(&format!("/v1/samples?limit=3&cursor={next}"), position).await;
    assert_ne!(samples["samples"], second["samples"]);
    let sample = samples["samples"][0]["id"].as_str().unwrap();
    let (status, page) = bed.ask(&format!("/v1/samples/{sample}/analysis"), KEY, "text/html", position).await;
    let page = page.as_str().unwrap();
    assert_eq!(status, StatusCode::OK);
    for part in ["<polygon", "class=heat", "<h2>Distances</h2>", "Could it be theirs?"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        bed.ask("/v1/corpora/all/clusters", KEY, "text/html", position)
            .await
            .1
            .as_str()
            .unwrap()
            .contains("<svg")
    );
    let placed = json_of("/v1/corpora/all/attributions").await.1;
    assert_eq!((&placed["right"], &placed["labelled"]), (&json!(16), &json!(16)), "{placed}");
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn suggestions_lead_to_the_author_s_fingerprint() {
    let Some((bed, position)) = Bed::with_samples().await else { return };
    let authors = bed.get("/v1/authors", position).await;
    let id = |author: u64| {
        let mut all = authors["authors"].as_array().unwrap().iter();
        all.find(|a| a["name"] == name(author)).unwrap()["id"].clone()
    };
    let asked = |author: u64| json!({"text": {"text": prose(1, 90, 1_500)}, "author": id(author)});
    let own = bed.question("/v1/suggest", &asked(1), position).await.1;
    let other = bed.question("/v1/suggest", &asked(3), position).await.1;
    assert!(own["distance"].as_f64().unwrap() < other["distance"].as_f64().unwrap(), "{own} {other}");
    let suggested = other["suggestions"].as_array().unwrap();
    assert!(!suggested.is_empty());
    for one in suggested {
        let (text, target) = (one["text"].as_f64().unwrap(), one["target"].as_f64().unwrap());
        assert_eq!(one["change"], if text < target { "more" } else { "less" }, "{one}");
    }
    let short = json!({"text": {"text": "Too short."}, "author": id(1)});
    let (status, said) = bed.question("/v1/suggest", &short, position).await;
    assert_eq!((status, &said["distance"]), (StatusCode::OK, &Value::Null));
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn a_corpus_is_compared_with_itself_alone() {
    let Some((bed, _)) = Bed::with_samples().await else { return };
    let mut position = 0;
    for author in 0..2 {
        for work in 20..22 {
            let mut form = sample(author, work);
            form["corpus"] = json!("small");
            position = bed.submit(&form).await.1;
        }
    }
    let body = json!({"texts": [{"text": prose(1, 77, 900)}], "corpus": "small"});
    let said = bed.question("/v1/attribute", &body, position).await.1;
    let candidates = said["results"][0]["candidates"].as_array().unwrap();
    assert_eq!((candidates.len(), &candidates[0]["author"]), (2, &json!("Author 1")));
    assert_eq!(bed.get("/v1/corpora", position).await["corpora"].as_array().unwrap().len(), 2);
    bed.server.stop().unwrap();
}
