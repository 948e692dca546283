//! The document of the API.

#[test]
fn every_route_is_documented() {
    let doc = serde_json::to_value(read_api::routes::style::openapi()).unwrap();
    let paths: Vec<_> = doc["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths.len(), 15, "{paths:?}");
    for (path, item) in doc["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            assert!(operation["summary"].is_string(), "{path}");
            assert!(operation["responses"]["200"]["content"].is_object(), "{path}");
        }
    }
}
