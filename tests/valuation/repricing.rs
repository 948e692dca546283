//! Another pricing model: runs priced again beside what readers get, compared,
//! promoted and rolled back.

use std::collections::BTreeMap;

use daybook_tests::cli::Cli;
use daybook_tests::server::KEY;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::http::Bed;
use super::runs::{request, valued};
use super::{bed, book, lines, write};

const BY_POSITION: [&str; 5] = ["runs", "cube", "A", "--by", "position"];

fn work(cli: &Cli, folder: &std::path::Path, run: &str) {
    let file = write(folder, &format!("{run}.json"), &request(run));
    lines(cli, &["runs", "start", &file, "--work"]);
}

fn one(cli: &Cli, args: &[&str]) -> Value {
    lines(cli, args).remove(0)
}

/// The answer as it is sent.
fn bytes(cli: &Cli, args: &[&str]) -> Vec<u8> {
    let output = cli.output(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn compared(cli: &Cli, args: &[&str], code: i32) -> Value {
    let output = cli.output(&[&["runs", "reprice", "compare"], args].concat());
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn sum(rows: &Value) -> f64 {
    rows.as_array().unwrap().iter().map(|row| row["difference"].as_f64().unwrap()).sum()
}

#[test]
fn runs_are_priced_again_compared_promoted_and_rolled_back() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 90);
    work(&cli, folder.path(), "A");
    work(&cli, folder.path(), "B");
    let old = bytes(&cli, &BY_POSITION);
    let parameters = write(folder.path(), "parameters.json", &json!({"interpolation": "cubic_zero"}));
    let wrong = write(folder.path(), "wrong.json", &json!({"interpolation": "ruler"}));
    cli.refused(&["runs", "model", "set", "pricing@2", "--params", &wrong], 2);
    cli.refused(&["runs", "model", "set", "pricing@9"], 2);
    cli.refused(&["runs", "reprice", "build", "A"], 2);
    one(&cli, &["runs", "model", "set", "pricing@2", "--params", &parameters]);
    let model = one(&cli, &["runs", "model", "show"]);
    assert_eq!(
        [&model["model"], &model["parameters"]["interpolation"], &model["in_force"]],
        [&json!("pricing@2"), &json!("cubic_zero"), &json!("pricing@1")]
    );
    cli.refused(&["runs", "reprice", "build", "NOBODY"], 2);
    cli.refused(&["runs", "reprice", "promote"], 1);

    // Priced beside what readers get, which stays as it is.
    let built = lines(&cli, &["runs", "reprice", "build", "A", "B", "--work"]);
    assert_eq!(built[0]["generation"], 2);
    assert_eq!(bytes(&cli, &BY_POSITION), old);
    let comparison = compared(&cli, &["--top", "5"], 4);
    assert_eq!((&comparison["generation"], comparison["runs"].as_array().unwrap().len()), (&json!(2), 2));
    let of_a = &comparison["runs"][0];
    let difference = of_a["difference"].as_f64().unwrap();
    assert!(difference != 0.0, "{of_a}");
    assert!((sum(&of_a["by_product"]) - difference).abs() < 1e-6, "{of_a}");
    let by_curve = sum(&of_a["by_curve"]) + of_a["other"].as_f64().unwrap();
    assert!((by_curve - difference).abs() < 1e-6 * difference.abs().max(1.0), "{by_curve} {of_a}");
    assert!(of_a["by_curve"].to_string().contains("USD-3M"), "{of_a}");
    let largest: Vec<f64> = of_a["by_position"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["difference"].as_f64().unwrap().abs())
        .collect();
    assert!(largest.len() == 5 && largest.is_sorted_by(|a, b| a >= b), "{largest:?}");
    // The same positions hold no cash that would change.
    let cash = of_a["by_product"].as_array().unwrap().iter().find(|row| row["product_type"] == "CASH");
    assert_eq!(cash.unwrap()["changed"], 0);

    // By the same model the same bytes come out; against it nothing differs.
    lines(&cli, &["runs", "reprice", "build", "A", "--work"]);
    let status = one(&cli, &["runs", "reprice", "status"]);
    let hashes: Vec<&Value> =
        status["generations"].as_array().unwrap().iter().map(|of| &of["runs"][0]["sha256"]).collect();
    assert!(hashes.len() == 2 && hashes[0] == hashes[1] && hashes[0].is_string(), "{status}");
    assert_eq!(compared(&cli, &["3", "--against", "2"], 0)["changed"], 0);
    one(&cli, &["runs", "reprice", "abort", "3"]);
    cli.refused(&["runs", "reprice", "promote", "3"], 1);

    // Readers get the new results, and new runs the new model.
    let promoted = one(&cli, &["runs", "reprice", "promote"]);
    assert_eq!((&promoted["generation"], &promoted["changed"]), (&json!(2), &json!(true)));
    assert_eq!(one(&cli, &["runs", "reprice", "promote", "2"])["changed"], false);
    cli.refused(&["runs", "reprice", "abort", "2"], 1);
    let new: Value = serde_json::from_slice(&bytes(&cli, &BY_POSITION)).unwrap();
    assert_eq!((&new["generation"], &new["model"]), (&json!(2), &json!("pricing@2")));
    assert_ne!(new["sha256"], serde_json::from_slice::<Value>(&old).unwrap()["sha256"]);
    let total = |cube: &Value| {
        cube["rows"].as_array().unwrap().iter().filter_map(|row| row["value"].as_f64()).sum::<f64>()
    };
    let before: Value = serde_json::from_slice(&old).unwrap();
    assert!((total(&new) - total(&before) - difference).abs() < 1e-6, "{difference}");
    let first = bytes(&cli, &[&BY_POSITION[..], &["--generation", "1"]].concat());
    assert_eq!(first, old);
    cli.refused(&["runs", "summary", "A", "--generation", "7"], 2);
    assert_eq!(one(&cli, &["runs", "summary", "B"])["model"], "pricing@2");
    let explained = one(&cli, &["runs", "explain", "A", "P-000010"]);
    assert_eq!(
        (&explained["reproduced"], &explained["parameters"]["interpolation"]),
        (&json!(true), &json!("cubic_zero"))
    );
    let file = write(folder.path(), "C.json", &request("C"));
    assert_eq!(one(&cli, &["runs", "start", &file])["model_set_id"], "pricing@2");
    cli.refused(&["runs", "start", &write(folder.path(), "D.json", &request("A@2"))], 2);
    // The model alone is between a run and its re-pricing.
    let causes = one(&cli, &["runs", "compare", "A", "A@2"]);
    assert_eq!(causes["difference"], 0.0, "what is in force of A is A@2: {causes}");

    // And back, to the byte.
    assert_eq!(one(&cli, &["runs", "reprice", "rollback"])["generation"], 1);
    assert_eq!(bytes(&cli, &BY_POSITION), old);
    let causes = one(&cli, &["runs", "compare", "A", "A@2"]);
    let of = |cause: &str| causes["by_cause"][cause].as_f64().unwrap();
    assert_eq!((of("time"), of("market"), of("positions")), (0.0, 0.0, 0.0), "{causes}");
    assert!((of("model") - difference).abs() < 1e-6 * difference.abs().max(1.0), "{causes} {difference}");
    cli.refused(&["runs", "reprice", "rollback"], 1);

    // Every step is a fact, with who took it.
    let facts = lines(&cli, &["events", "stream", "repricing/pricing"]);
    let types: Vec<&str> = facts.iter().map(|fact| fact["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "repricing.requested",
            "repricing.compared",
            "repricing.requested",
            "repricing.compared",
            "repricing.aborted",
            "repricing.promoted",
            "repricing.rolled_back"
        ]
    );
    assert!(
        facts.iter().all(|fact| fact["actor"].as_str().is_some_and(|actor| !actor.is_empty())),
        "{facts:?}"
    );
}

/// A generation that is not complete is shown to nobody.
#[test]
fn only_what_is_complete_is_promoted() {
    let Some((folder, cli)) = bed() else { return };
    valued(&cli, folder.path(), 30);
    work(&cli, folder.path(), "A");
    let old = bytes(&cli, &BY_POSITION);
    one(&cli, &["runs", "reprice", "build", "A", "--model", "pricing@2"]);
    cli.refused(&["runs", "reprice", "promote"], 1);
    cli.refused(&["runs", "reprice", "compare"], 1);
    assert_eq!(one(&cli, &["runs", "reprice", "resume", "2"])["changed"], false);
    assert_eq!(one(&cli, &["runs", "reprice", "status"])["generations"][0]["status"], "building");
    assert_eq!(bytes(&cli, &BY_POSITION), old);
    one(&cli, &["runs", "reprice", "abort", "2"]);
    assert_eq!(one(&cli, &["runs", "show", "A@2"])["status"], "CANCELLED");
    let status = one(&cli, &["runs", "reprice", "status"]);
    assert_eq!(status["generations"][0]["status"], "aborted", "{status}");
    assert_eq!(bytes(&cli, &BY_POSITION), old);
}

/// A server with a completed run.
async fn served() -> Option<Bed> {
    let bed = Bed::with(&[("API_KEYS", "test-key,other-key:other")])?;
    bed.post("/v1/marketdata/snapshots", &book::market("EOD")).await;
    let positions = json!({"position_snapshot_id": "PIN", "positions": book::positions(11, 45)});
    let (status, said) = bed.post("/v1/position-snapshots", &positions).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    let (status, said) = bed.post("/v1/runs", &request("A")).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    bed.completed("A").await;
    Some(bed)
}

async fn ask(bed: &Bed, key: &str, path: &str) -> Response {
    let url = format!("{}{path}", bed.server.url);
    Client::new().get(url).header("X-API-Key", key).send().await.unwrap()
}

async fn say(bed: &Bed, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let url = format!("{}{path}", bed.server.url);
    let request = Client::new().post(url).header("X-API-Key", key).header("Idempotency-Key", "once");
    let answer = request.json(body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn another_model_is_an_operators_and_a_tenants_own() {
    let Some(bed) = served().await else { return };
    let (_, issued) = bed.post("/v1/keys", &json!({"name": "desk", "roles": ["reader", "writer"]})).await;
    let desk = issued["key"].as_str().unwrap();
    let build = json!({"runs": ["A"], "model": "pricing@2"});
    assert_eq!(ask(&bed, desk, "/v1/repricings").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(ask(&bed, desk, "/v1/models/pricing").await.status(), StatusCode::FORBIDDEN);
    for (path, body) in [
        ("/v1/models/pricing", json!({"model": "pricing@2"})),
        ("/v1/repricings/build", build.clone()),
        ("/v1/repricings/compare", json!({})),
        ("/v1/repricings/promote", json!({})),
        ("/v1/repricings/rollback", json!({})),
    ] {
        assert_eq!(say(&bed, desk, path, &body).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    // What another tenant has is not there.
    let (status, said) = say(&bed, "other-key", "/v1/repricings/build", &build).await;
    assert_eq!(
        (status, &said["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/runs/0"))
    );
    for (change, pointer) in [
        (json!({"runs": []}), "/runs"),
        (json!({"model": "pricing@7"}), "/model"),
        (json!({"model": null}), "/model"),
        (json!({"parameters": {"interpolation": 7}}), "/parameters/interpolation"),
        (
            json!({"parameters": {"short_rate": {"mean_reversion": 9.0, "volatility": 0.1}}}),
            "/parameters/short_rate/mean_reversion",
        ),
    ] {
        let mut body = build.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, said) = bed.post("/v1/repricings/build", &body).await;
        assert_eq!(
            (status, said["errors"][0]["pointer"].as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, Some(pointer)),
            "{said}"
        );
    }
    // The same key is one generation.
    let (status, first) = say(&bed, KEY, "/v1/repricings/build", &build).await;
    assert_eq!((status, &first["generation"]), (StatusCode::ACCEPTED, &json!(2)), "{first}");
    assert_eq!(say(&bed, KEY, "/v1/repricings/build", &build).await.1["generation"], 2);
    bed.completed("A@2").await;
    assert_eq!(bed.post("/v1/repricings/promote", &json!({})).await.1["generation"], 2);
    let (_, own) = bed.get("/v1/repricings").await;
    assert_eq!((own["generations"].as_array().unwrap().len(), &own["promoted"]), (1, &json!([2])), "{own}");
    assert_eq!(own["generations"][0]["status"], "live", "{own}");
    let other: Value = ask(&bed, "other-key", "/v1/repricings").await.json().await.unwrap();
    assert_eq!((&other["generations"], &other["model_in_force"]), (&json!([]), &json!("pricing@1")));
    assert_eq!(ask(&bed, "other-key", "/v1/results/A@2/cube").await.status(), StatusCode::NOT_FOUND);
    let (status, said) = bed.post("/v1/runs", &request("B@2")).await;
    assert_eq!(
        (status, &said["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/run_id"))
    );
    bed.server.stop().unwrap();
}

/// While it is promoted and rolled back, a reader gets the old answer or the new
/// one.
#[tokio::test]
async fn readers_get_all_of_the_old_or_all_of_the_new() {
    const PATH: &str = "/v1/results/A/cube?by=position&scenario=*";
    let Some(bed) = served().await else { return };
    let text = async || ask(&bed, KEY, PATH).await.text().await.unwrap();
    let old = text().await;
    bed.post("/v1/repricings/build", &json!({"runs": ["A"], "model": "pricing@2"})).await;
    bed.completed("A@2").await;
    bed.post("/v1/repricings/promote", &json!({})).await;
    let new = text().await;
    assert_ne!(old, new);
    let (mut olds, mut news) = (0, 0);
    for _ in 0..10 {
        let reading = async {
            for _ in 0..4 {
                let seen = text().await;
                assert!(seen == old || seen == new, "{seen}");
                olds += usize::from(seen == old);
                news += usize::from(seen == new);
            }
        };
        let switching = async {
            let (status, _) = bed.post("/v1/repricings/rollback", &json!({})).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(text().await, old);
            bed.post("/v1/repricings/promote", &json!({"generation": 2})).await;
            assert_eq!(text().await, new);
        };
        tokio::join!(reading, switching);
    }
    assert_eq!(olds + news, 40);
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn slices_are_arrow_and_parquet_too() {
    let Some(bed) = served().await else { return };
    let path = "/v1/results/A/cube?by=product,currency&scenario=BASE,KR:*";
    let get = async |more: &str, accept: &str| {
        let url = format!("{}{path}{more}", bed.server.url);
        let answer =
            Client::new().get(url).header("X-API-Key", KEY).header("Accept", accept).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let next = answer.headers().get("daybook-next").map(|next| next.to_str().unwrap().to_owned());
        (kind, next, answer.bytes().await.unwrap())
    };
    const ARROW: &str = "application/vnd.apache.arrow.stream";
    const PARQUET: &str = "application/vnd.apache.parquet";
    let (kind, next, parquet) = get("", PARQUET).await;
    assert_eq!(
        (kind.as_str(), next, &parquet[..4], &parquet[parquet.len() - 4..]),
        (PARQUET, None, &b"PAR1"[..], &b"PAR1"[..])
    );
    assert_eq!(get("&format=parquet", "*/*").await.2, parquet);
    let (kind, _, arrow) = get("", ARROW).await;
    assert_eq!((kind.as_str(), &arrow[..4]), (ARROW, &[0xFF; 4][..]));
    for text in [&b"by.product"[..], b"FIXED_BOND", b"sha256"] {
        assert!(arrow.windows(text.len()).any(|part| part == text));
    }
    // In pages they are the same rows.
    let (_, next, first) = get("&format=arrow&limit=1", "*/*").await;
    assert!(next.is_some() && first.len() < arrow.len());
    let (status, said) = bed.get(&format!("{path}&format=xml")).await;
    assert_eq!((status, &said["errors"][0]["parameter"]), (StatusCode::BAD_REQUEST, &json!("format")));
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn every_answer_of_results_has_rows() {
    let Some(bed) = served().await else { return };
    let text = async |path: &str| {
        let url = format!("{}/v1/results/A/{path}", bed.server.url);
        let answer = Client::new().get(url).header("X-API-Key", KEY).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.bytes().await.unwrap()
    };
    let csv = async |path: &str| {
        let bytes = text(&format!("{path}format=csv")).await;
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let of = |row: csv::StringRecord| header.iter().cloned().zip(row.iter().map(str::to_owned)).collect();
        reader.records().map(|row| of(row.unwrap())).collect::<Vec<BTreeMap<String, String>>>()
    };
    // JSON's numbers are read to the last bit but one.
    let same = |row: &BTreeMap<String, String>, name: &str, told: &Value| {
        let (ours, told) = (row[name].parse::<f64>().unwrap(), told.as_f64().unwrap());
        assert!((ours - told).abs() <= 1e-12 * told.abs(), "{name}: {ours} for {told}");
    };
    let (_, summary) = bed.get("/v1/results/A/summary").await;
    let rows = csv("summary?").await;
    assert_eq!((&rows[0]["row"], &rows[0]["currency"]), (&"total".to_owned(), &"USD".to_owned()));
    same(&rows[0], "pv", &summary["pv_sum"]);
    let products = rows.iter().filter(|row| row["row"] == "product").count();
    assert_eq!(products, summary["pv_by_product"].as_object().unwrap().len());
    let (_, risk) = bed.get("/v1/results/A/risk?by=book&level=0.9").await;
    let rows = csv("risk?by=book&level=0.9&").await;
    assert_eq!(rows.len(), 1 + risk["groups"].as_array().unwrap().len());
    assert_eq!(rows[0]["of"], "total");
    same(&rows[0], "var", &risk["total"][0]["var"]);
    assert_eq!(rows[1]["by.book"], risk["groups"][0]["by"]["book"].as_str().unwrap());
    let (_, explained) = bed.get("/v1/results/A/explain?position=P-000010").await;
    let rows = csv("explain?position=P-000010&").await;
    let flows = explained["cashflows"].as_array().unwrap();
    assert!(!flows.is_empty() && rows.len() == flows.len());
    same(&rows[0], "pv", &flows[0]["pv"]);
    let (_, compared) = bed.get("/v1/results/A/compare?other=A").await;
    let rows = csv("compare?other=A&").await;
    assert_eq!(rows.len(), compared["by_position"].as_array().unwrap().len());
    for path in ["summary?", "risk?by=book&", "explain?position=P-000010&", "compare?other=A&"] {
        assert_eq!(&text(&format!("{path}format=parquet")).await[..4], b"PAR1", "{path}");
        assert_eq!(&text(&format!("{path}format=arrow")).await[..4], &[0xFF; 4][..], "{path}");
        let (status, said) = bed.get(&format!("/v1/results/A/{path}format=xml")).await;
        assert_eq!((status, &said["errors"][0]["parameter"]), (StatusCode::BAD_REQUEST, &json!("format")));
    }
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn progress_is_told_until_the_run_is_over() {
    let Some(bed) = served().await else { return };
    let (status, said) = bed.post("/v1/runs", &request("P")).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    let mut answer = ask(&bed, KEY, "/v1/runs/P/progress").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut text, mut events) = (String::new(), Vec::<(u64, Value)>::new());
    while !events.last().is_some_and(|(_, body)| body["status"] == "COMPLETED") {
        let part = answer.chunk().await.unwrap().expect("it ends with the run");
        text.push_str(std::str::from_utf8(&part).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
            if let Some(data) = field("data:") {
                assert_eq!(field("event:"), Some("progress"));
                events.push((field("id:").unwrap().parse().unwrap(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    assert!(events.is_sorted_by(|a, b| a.0 < b.0), "{events:?}");
    let progress: Vec<f64> = events.iter().map(|(_, body)| body["progress"].as_f64().unwrap()).collect();
    assert!(progress.is_sorted() && progress.last() == Some(&1.0), "{progress:?}");
    let (_, shown) = bed.get("/v1/runs/P").await;
    assert_eq!(events.last().unwrap().1["sha256"], shown["sha256"]);
    assert_eq!(ask(&bed, "other-key", "/v1/runs/P/progress").await.status(), StatusCode::NOT_FOUND);
    bed.server.stop().unwrap();
}
