//! `daybook sql` on the stores themselves.

use serde_json::{Value, json};

use super::{daybook, json_lines, text};

#[test]
fn events_are_asked_about_at_the_machine() {
    let data = tempfile::tempdir().unwrap();
    for (name, tenant) in [("one", "acme"), ("two", "acme"), ("three", "other")] {
        let create = ["keys", "create", "--name", name, "--role", "reader", "--tenant", tenant];
        let Some(created) = daybook(data.path(), &create) else { return };
        assert!(created.status.success());
    }
    let run = |args: &[&str]| daybook(data.path(), &[&["sql"], args].concat()).unwrap();
    let count = "select count(*) n from api_key_issued";
    let answer: Value = json_lines(&run(&[count, "--json"])).remove(0);
    assert_eq!((&answer["rows"], &answer["position"]), (&json!([[3]]), &json!(3)));
    assert_eq!(text(&run(&[count, "--format", "csv", "--tenant", "acme"])), "n\r\n2\r\n");
    assert_eq!(text(&run(&[count, "--format", "csv", "--at", "1"])), "n\r\n1\r\n");
    let table = run(&["select p_name from api_key_issued order by position", "--limit", "1"]);
    assert!(text(&table).contains("| one    |"), "{}", text(&table));
    assert!(String::from_utf8_lossy(&table.stderr).contains("there are more"));
    let refused = run(&["drop table events"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Only one statement"));
}

/// From the configured archive and the log, and from the archive alone.
#[test]
fn the_archive_is_asked_with_the_log_and_without() {
    let data = tempfile::tempdir().unwrap();
    let create = |name: &str| daybook(data.path(), &["keys", "create", "--name", name, "--role", "reader"]);
    if create("one").is_none() {
        return;
    }
    assert!(daybook(data.path(), &["archive", "run"]).unwrap().status.success());
    create("two").unwrap();
    let count = "select count(*) n, max(p_name) last from api_key_issued";
    let run = |args: &[&str]| {
        text(&daybook(data.path(), &[&["sql", count, "--format", "csv"], args].concat()).unwrap())
    };
    assert_eq!(run(&[]), "n,last\r\n2,two\r\n");
    assert_eq!(run(&["--archive", "archive"]), "n,last\r\n1,one\r\n");
}
