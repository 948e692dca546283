//! Another set of features: defined, built beside the live one, compared,
//! promoted.

use std::fs;

use daybook_tests::server::KEY;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::Bed;

const NAME: &str = "style_fingerprints";

#[tokio::test]
async fn a_changed_feature_set_is_built_compared_and_promoted() {
    let Some((bed, position)) = Bed::with_samples().await else { return };
    let parameters = bed.cli.data.join("p.json");
    fs::write(&parameters, r#"{"function_words": false, "gram_buckets": 2, "figures": false}"#).unwrap();
    let file = parameters.display().to_string();
    bed.cli.json(&["model", "set", NAME, "fingerprint@1", "--params", &file], 0);
    fs::write(&parameters, r#"{"gram_length": 9}"#).unwrap();
    let said = bed.cli.refused(&["model", "set", NAME, "fingerprint@1", "--params", &file], 2);
    assert!(said.contains("/gram_length"), "{said}");
    bed.cli.json(&["replay", "build", NAME], 0);
    // They differ.
    let compared = bed.cli.json(&["replay", "compare", NAME], 4);
    assert!(compared.to_string().contains("vector"), "{compared}");

    let live = bed.get("/v1/corpora/all/attributions", position).await;
    assert_eq!((&live["right"], &live["labelled"]), (&json!(16), &json!(16)));
    let (status, built) = bed.ask("/v1/corpora/all/attributions?generation=2", KEY, "*/*", position).await;
    assert_eq!((status, &built["parameters"]["gram_buckets"]), (StatusCode::OK, &json!(2)), "{built}");
    // Two numbers do not tell four authors apart.
    assert!(built["right"].as_u64() < live["right"].as_u64(), "{built}");

    let flips = bed.cli.json(&["style", "flips", "--generation", "2"], 0);
    let right = json!([live["right"], built["right"]]);
    assert_eq!((&flips["samples"], &flips["right"]), (&json!(16), &right), "{flips}");
    let flip = &flips["flips"][0];
    assert_ne!(flip["live"]["nearest"], flip["built"]["nearest"]);
    assert!(!flip["live"]["features"].as_array().unwrap().is_empty(), "{flip}");

    bed.cli.json(&["replay", "promote", NAME], 0);
    let now = bed.get("/v1/corpora/all/attributions", position).await;
    assert_eq!(now["attributions"], built["attributions"]);
    let fingerprint = |authors: &Value| authors["authors"][0]["id"].as_str().unwrap().to_owned();
    let id = fingerprint(&bed.get("/v1/authors", position).await);
    let said = bed.get(&format!("/v1/authors/{id}/fingerprint"), position).await;
    assert_eq!(said["features"].as_array().unwrap().len(), 2);
    bed.server.stop().unwrap();
}
