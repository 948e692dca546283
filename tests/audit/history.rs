//! The history on the command line: of a server, and of the database itself.

use daybook_tests::server::KEY;
use serde_json::{Value, json};

use super::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_what_the_api_tells() {
    let Some(bed) = Bed::sqlite() else { return };
    let server = bed.cli.serve();
    let retired = server.post("/v1/bands/first-7/retire", &json!({})).await.unwrap();
    let (position, event) = (retired["position"].as_u64().unwrap(), &retired["events"][0]["event_id"]);
    let command = server.get("/v1/audit/streams/band/first-7?from=2", position).await.unwrap();
    let command = command["events"][0]["command_id"].as_str().unwrap().to_owned();
    let there = |args: &[&str]| {
        bed.cli.json(&[&["audit"], args, &["--server", &server.url, "--key", KEY]].concat(), 0)
    };
    // The index is not behind it any more.
    while there(&["events", "--actor", "nobody"])["upto"].as_u64() < Some(position) {
        tokio::task::yield_now().await;
    }
    let of_command = format!("/v1/audit/commands/{command}");
    let asked: [(&[&str], &str); 4] = [
        (&["history", "band/first-7", "--limit", "2"], "/v1/audit/streams/band/first-7?limit=2"),
        (&["diff", "band/first-7", "1", "2"], "/v1/audit/streams/band/first-7/diff?from=1&to=2"),
        (
            &["events", "--type", "band.retired", "--type", "band.restored"],
            "/v1/audit/events?type=band.retired,band.restored",
        ),
        (&["trace", "--command", &command], &of_command),
    ];
    let mut told = Vec::new();
    for (args, path) in &asked {
        let answer = there(args);
        let api = server.get(path, 0).await.unwrap();
        assert_eq!(settled(&answer), settled(&api), "{args:?}");
        told.push(answer);
    }
    assert_eq!(told[0]["events"][1]["state"]["retired"], true, "{}", told[0]);
    let changes = told[1]["changes"].as_array().unwrap();
    assert!(changes.contains(&json!({"pointer": "/retired", "before": false, "after": true})), "{changes:?}");
    assert_eq!(told[2]["events"][0]["event_id"], *event);
    assert_eq!(told[3]["commands"][0]["events"][0]["event_id"], *event, "{}", told[3]);
    server.stop().unwrap();

    for ((args, _), there) in asked.iter().zip(&told) {
        let here = bed.cli.json(&[&["audit"], *args].concat(), 0);
        assert_eq!(settled(&here), settled(there), "{args:?}");
    }
    let refused: [(&[&str], i32); 9] = [
        (&["history", "band/nobody"], 3),
        (&["history", "band"], 1),
        (&["history", "band/first-7", "--from", "0"], 2),
        (&["diff", "band/first-7", "1", "9"], 2),
        (&["events", "--type", "nothing"], 2),
        (&["events", "--since", "yesterday"], 2),
        (&["trace"], 2),
        (&["trace", "--command", "x"], 2),
        (&["trace", "--correlation", "nobody's"], 3),
    ];
    for (args, code) in refused {
        bed.cli.refused(&[&["audit"], args].concat(), code);
    }
}

/// Without how far the log is, which moves.
fn settled(told: &Value) -> Value {
    let mut told = told.clone();
    for name in ["through", "upto", "position"] {
        told.as_object_mut().unwrap().remove(name);
    }
    told
}
