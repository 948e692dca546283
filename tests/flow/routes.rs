//! The API document against what is served.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use daybook_tests::server::{KEY, Server, binary};
use daybook_tests::{files, repository, skip};
use reqwest::StatusCode;
use serde_json::Value;

/// Pages about the API that are no part of it.
const PAGES: [&str; 4] = ["/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css"];

/// The paths that the sources under `folder` give to a router.
fn routed(folder: &Path, found: &mut BTreeSet<String>) {
    for path in files(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let after = text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
        // The rest of a path is an ordinary parameter in the document.
        found.extend(after.map(|path| path.replace("{*", "{")));
    }
}

/// Every documented path with its methods, in capitals.
fn documented(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let methods = |item: &Value| item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
    document["paths"].as_object().unwrap().iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[tokio::test]
async fn the_document_names_what_is_served_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let Ok(binary) = binary() else { return skip("the daybook binary is not built") };
    let server = Server::start(&binary, data.path(), &[]).unwrap();
    let document = server.get("/openapi.json", 0).await.unwrap();
    let documented = documented(&document);

    let mut paths = BTreeSet::from(["/e".to_owned()]);
    for folder in [
        "audit/src",
        "commands/src",
        "racing/src",
        "read-api/src",
        "replays/src",
        "http/src",
        "runs/src",
        "rewriting/src",
    ] {
        routed(&repository().join(folder), &mut paths);
    }
    paths.retain(|path| !PAGES.contains(&path.as_str()));
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), paths);

    // A method that no path takes is answered with those that it does.
    for (path, mut methods) in documented {
        let url = format!("{}{}", server.url, path.replace(['{', '}'], ""));
        let answer = reqwest::Client::new().patch(url).header("X-API-Key", KEY).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = answer.headers()["allow"].to_str().unwrap();
        // Who answers GET answers HEAD.
        if methods.contains("GET") {
            methods.insert("HEAD".into());
        }
        assert_eq!(
            allowed.split(',').map(|m| m.trim().to_owned()).collect::<BTreeSet<_>>(),
            methods,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_document_is_one_that_generators_take() {
    let data = tempfile::tempdir().unwrap();
    let Ok(binary) = binary() else { return skip("the daybook binary is not built") };
    let server = Server::start(&binary, data.path(), &[]).unwrap();
    let document = server.get("/openapi.json", 0).await.unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{method} {path}: {id} is taken");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let described = response["$ref"].is_string() || response["description"].is_string();
                assert!(described, "{method} {path}: {status} has no description");
            }
        }
    }
    let pointers: Vec<String> = references(&document);
    assert!(!pointers.is_empty());
    for reference in pointers {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
