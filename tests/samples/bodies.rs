//! The forms that a text comes in, and what is refused.

use std::io::Write;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::bed::{Bed, OTHER, answer, prose};

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn docx(text: &str) -> Vec<u8> {
    let document = format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\">\
        <w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
    );
    archive(&[("word/document.xml", document.as_bytes())])
}

#[tokio::test]
async fn the_same_text_is_the_same_sample_however_it_comes() {
    let Some(bed) = Bed::new() else { return };
    let words = "It is a truth universally acknowledged, that a text is the same in every form.";
    let (id, position) = bed.submit(&json!({"text": words, "author": "Jane Austen", "title": "P"})).await;
    let query = "/v1/samples?author=Jane%20Austen&title=P";
    for (media_type, body) in [
        ("text/plain; charset=utf-8", words.as_bytes().to_vec()),
        ("text/markdown", format!("{}\n", words.replace("truth", "*truth*")).into_bytes()),
        ("text/html", format!("<html><body><p>{words}</p></body></html>").into_bytes()),
        (DOCX, docx(words)),
    ] {
        let (status, said) = bed.send(query, media_type, body).await;
        assert_eq!(status, StatusCode::OK, "{media_type}: {said}");
        assert_eq!(
            (said["stream"]["id"].as_str().unwrap(), &said["events"]),
            (&*id, &json!([])),
            "{media_type}"
        );
    }
    let (status, said) = bed.send("/v1/samples?author=Bob", "text/plain", words).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(said["detail"].as_str().unwrap().contains("by Jane Austen"), "{said}");

    let sample = bed.get(&format!("/v1/samples/{id}"), position).await;
    assert_eq!(
        (&sample["state"], &sample["words"], &sample["label"]["author"]),
        (&json!("recorded"), &json!(15), &json!("Jane Austen"))
    );
    assert_eq!(sample["flags"], json!(["too_short"]));
    assert!(!sample.to_string().contains("universally"), "no text is in rows");
    // Nobody else sees it.
    for path in ["/v1/samples", "/v1/authors", "/v1/corpora"] {
        let (status, said) = bed.ask(path, OTHER, "application/json", position).await;
        let list = &said[path.trim_start_matches("/v1/")];
        assert_eq!((status, list), (StatusCode::OK, &json!([])), "{path}: {said}");
    }
    for path in [format!("/v1/samples/{id}"), format!("/v1/samples/{id}/analysis")] {
        assert_eq!(
            bed.ask(&path, OTHER, "application/json", position).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn many_texts_are_answered_one_by_one() {
    let Some(bed) = Bed::new() else { return };
    let lines = [
        json!({"text": "One text of Ann's.", "author": "Ann", "corpus": "letters"}).to_string(),
        "{".into(),
        json!({"text": "One text of Ann's.", "author": "Ann", "corpus": "letters"}).to_string(),
        json!({"text": "One text of Ann's.", "author": "Bob"}).to_string(),
        json!({"text": "Two", "corpus": "all"}).to_string(),
        json!({"text": "Three", "wrong": 1}).to_string(),
    ];
    let (status, said) = bed.send("/v1/samples/bulk", "application/x-ndjson", lines.join("\n")).await;
    assert_eq!(status, StatusCode::OK);
    let lines: Vec<Value> =
        said.as_str().unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |name: &str| lines.iter().map(|l| l[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("status"), ["submitted", "rejected", "known", "rejected", "rejected", "rejected"]);
    assert_eq!(of("line"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(lines[4]["problem"]["errors"][0]["pointer"], "/corpus");
    assert_eq!(lines[5]["problem"]["errors"][0]["pointer"], "/wrong");

    let (long, labels) = (
        prose(1, 1, 300),
        "path,author,corpus,written_at\na/one.txt,Ann,novels,1990-01-01\ntwo.md,Bob,novels,\n",
    );
    let files: [(&str, &[u8]); 4] = [
        ("labels.csv", labels.as_bytes()),
        ("a/one.txt", long.as_bytes()),
        ("two.md", b"# Two\n\nA second text."),
        ("three.txt", b"nobody says whose"),
    ];
    let (status, said) = bed.send("/v1/samples/bulk", "application/zip", archive(&files)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let lines: Vec<Value> =
        said.as_str().unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let told: Vec<(&str, &str)> =
        lines.iter().map(|l| (l["file"].as_str().unwrap(), l["status"].as_str().unwrap())).collect();
    assert_eq!(told, [("a/one.txt", "submitted"), ("three.txt", "rejected"), ("two.md", "submitted")]);
    let position = lines.iter().filter_map(|l| l["position"].as_u64()).max().unwrap();
    let novels = bed.get("/v1/samples?corpus=novels", position).await;
    assert_eq!(novels["samples"].as_array().unwrap().len(), 2);
    let authors = bed.get("/v1/authors", position).await;
    let names: Vec<&str> =
        authors["authors"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn what_is_no_text_is_refused_and_named() {
    let Some(bed) = Bed::new() else { return };
    let long = "word ".repeat(2 << 20);
    let bomb = archive(&[("x.txt", &vec![b' '; 30 << 20])]);
    let broken = {
        let mut bytes = docx("A text.");
        let middle = bytes.len() / 2;
        bytes[middle..].fill(7);
        bytes
    };
    let plain = "/v1/samples";
    let cases: Vec<(&str, &str, Vec<u8>, StatusCode, &str)> = vec![
        (plain, "text/plain", vec![], StatusCode::UNPROCESSABLE_ENTITY, "empty"),
        (
            plain,
            "text/plain",
            b"a\0\x01\x02\x00binary".to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "The body is no text",
        ),
        (plain, "text/plain", b"%PDF-1.4 x".to_vec(), StatusCode::UNPROCESSABLE_ENTITY, "PDF"),
        (plain, DOCX, broken, StatusCode::UNPROCESSABLE_ENTITY, "The body is a broken DOCX"),
        (plain, "application/rtf", b"x".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain"),
        (plain, "text/plain", long.into_bytes(), StatusCode::UNPROCESSABLE_ENTITY, "of at most 8388608"),
        (
            plain,
            "application/json",
            br#"{"text": " \n "}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/text",
        ),
        (
            plain,
            "application/json",
            br#"{"text": "x", "written_at": "soon"}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/written_at",
        ),
        (
            plain,
            "application/json",
            br#"{"text": "x", "corpus": "a b"}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/corpus",
        ),
        (
            "/v1/samples?author=x",
            "application/json",
            br#"{"text": "x"}"#.to_vec(),
            StatusCode::BAD_REQUEST,
            "query",
        ),
        ("/v1/samples?corpus=all", "text/plain", b"x".to_vec(), StatusCode::BAD_REQUEST, "corpus"),
        ("/v1/samples?writer=x", "text/plain", b"x".to_vec(), StatusCode::BAD_REQUEST, "writer"),
        ("/v1/samples/bulk", "application/zip", bomb, StatusCode::UNPROCESSABLE_ENTITY, "no honest archive"),
        (
            "/v1/samples/bulk",
            "application/zip",
            archive(&[("../x.txt", b"x")]),
            StatusCode::UNPROCESSABLE_ENTITY,
            "out of the archive",
        ),
        ("/v1/samples/bulk", "application/zip", b"PK".to_vec(), StatusCode::UNPROCESSABLE_ENTITY, "ZIP"),
        ("/v1/samples/bulk", "text/csv", b"x".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "ndjson"),
        (
            "/v1/attribute",
            "application/json",
            br#"{"texts": []}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/texts",
        ),
        (
            "/v1/attribute",
            "application/json",
            br#"{"texts": [{"sample": "nobody"}]}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/texts/0/sample",
        ),
        (
            "/v1/attribute",
            "application/json",
            br#"{"texts": [{"sample": "a", "text": "b"}]}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/texts/0",
        ),
        (
            "/v1/verify",
            "application/json",
            br#"{"texts": [{"text": "b"}], "author": "nobody"}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/author",
        ),
        (
            "/v1/compare",
            "application/json",
            br#"{"texts": [{"text": "b"}]}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/texts",
        ),
        // There is nobody to compare with.
        (
            "/v1/attribute",
            "application/json",
            br#"{"texts": [{"text": "b"}]}"#.to_vec(),
            StatusCode::CONFLICT,
            "two authors",
        ),
    ];
    for (path, media_type, body, status, named) in cases {
        let told = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let (got, said) = bed.send(path, media_type, body).await;
        assert_eq!(got, status, "{path} {told}: {said}");
        assert!(said.to_string().contains(named), "{path} {told}: {said}");
        assert!(said["type"].as_str().is_some_and(|t| t.starts_with("/problems/")), "{said}");
    }
    // Odd texts that are texts all the same.
    for (odd, words) in [
        ("Word", 1),
        ("…!?—«»", 0),
        ("שלום עולם، مرحبا بالعالم", 4),
        (&*format!("{} end.", "word ".repeat(100_000)), 100_001),
    ] {
        let (id, position) = bed.submit(&json!({"text": odd, "author": "Odd"})).await;
        let sample = bed.get(&format!("/v1/samples/{id}"), position).await;
        assert_eq!((&sample["state"], &sample["words"]), (&json!("recorded"), &json!(words)), "{sample}");
        let analysis = bed.get(&format!("/v1/samples/{id}/analysis"), position).await;
        assert_eq!(analysis["report"], Value::Null);
    }
    let request = Client::new().get(format!("{}/v1/samples/none/analysis", bed.server.url));
    let (status, _) = answer(request.header("X-API-Key", daybook_tests::server::KEY)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    bed.server.stop().unwrap();
}
