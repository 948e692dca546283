//! Proof files from the command line.

use serde_json::json;

use super::bed::{Bed, CLICKS, ORIGIN, flip};

fn holds(bed: &Bed) {
    let signed = bed.sign("checkpoint");
    let (size, key) = (signed["size"].as_u64().unwrap(), bed.file("key"));
    assert!(size > CLICKS as u64);
    for position in [1, 256, 257, size] {
        let proof = bed.file("proof");
        bed.cli.output(&["audit", "prove", &position.to_string(), "--out", &proof]);
        let checked = bed.cli.json(&["audit", "check", &proof, "--key", &key], 0);
        assert_eq!((&checked["holds"], &checked["position"]), (&json!(true), &json!(position)));
        assert_eq!((&checked["origin"], &checked["root"]), (&json!(ORIGIN), &signed["root"]));
        let event = checked["event"].as_str().unwrap();
        assert!(event.starts_with(&format!("daybook-event/1\nposition {position}\n")), "{event}");
    }
    let verdict = bed.verify(&[], 0);
    assert_eq!((&verdict["last"], &verdict["signed"]), (&json!(size), &json!(size)));
    assert_eq!(verdict["root"], signed["root"]);
}

#[test]
fn an_event_is_proved_on_sqlite() {
    let Some(bed) = Bed::sqlite() else { return };
    holds(&bed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_proved_on_postgres() {
    let Some(bed) = Bed::postgres().await else { return };
    holds(&bed);
}

#[test]
fn what_does_not_hold_is_told_and_nothing_panics() {
    let Some(bed) = Bed::sqlite() else { return };
    bed.sign("checkpoint");
    let (proof, key, bad) = (bed.file("proof"), bed.file("key"), bed.file("bad"));
    bed.cli.output(&["audit", "prove", "300", "--out", &proof]);
    let length = std::fs::metadata(&proof).unwrap().len() as usize;
    for at in (0..length).step_by(length / 23) {
        std::fs::write(&bad, flip(proof.as_ref(), at)).unwrap();
        let checked = bed.cli.json(&["audit", "check", &bad, "--key", &key], 4);
        assert_eq!(checked["holds"], json!(false), "byte {at}");
    }
    bed.cli.json(&["audit", "keys", "generate", ORIGIN, "--out", &bed.file("other.key")], 0);
    let other = bed.cli.json(&["audit", "keys", "show", &bed.file("other.key")], 0);
    std::fs::write(bed.file("other"), other["key"].as_str().unwrap()).unwrap();
    let checked = bed.cli.json(&["audit", "check", &proof, "--key", &bed.file("other")], 4);
    assert!(checked["reason"].as_str().unwrap().contains("no key that is trusted"), "{checked}");

    for (position, code) in [("0", 3), ("9999999", 3), ("-1", 2), ("99999999999999999999", 2)] {
        let said = bed.cli.output(&["audit", "prove", position]);
        assert_eq!(said.status.code(), Some(code), "{position}");
    }
    for (text, code) in [("", 1), ("PeterNeumann+c74f20a3+AAAA", 1)] {
        std::fs::write(&bad, text).unwrap();
        bed.cli.refused(&["audit", "check", &proof, "--key", &bad], code);
    }
    bed.cli.refused(&["audit", "check", &proof, "--key", "/nowhere"], 1);
    bed.cli.refused(&["audit", "check", &proof], 1);
}

#[test]
fn keys_are_private_files_and_bad_ones_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let Some(bed) = Bed::sqlite() else { return };
    let key = bed.file("again.key");
    bed.cli.json(&["audit", "keys", "generate", "log.example/again", "--out", &key], 0);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    bed.cli.refused(&["audit", "keys", "generate", "log.example/again", "--out", &key], 1);
    bed.cli.refused(&["audit", "keys", "generate", "has space", "--out", &bed.file("b.key")], 1);

    let used = |file: &str| {
        let mut command = bed.cli.command(&["audit", "checkpoint"]);
        let output = command.env("AUDIT_SIGNING_KEYS", file).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = used(&key);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("chmod 600"), "{said}");
    for (name, text) in [("short", "PRIVATE+KEY+a+00000000+AQ=="), ("empty", ""), ("public", "a+b+c")] {
        let file = bed.file(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (code, said) = used(&file);
        assert_eq!(code, Some(2), "{said}");
    }
    assert_eq!(used("/nowhere/key").0, Some(2));
}

#[test]
fn an_old_event_is_proved_with_a_new_key() {
    let Some(bed) = Bed::sqlite() else { return };
    bed.sign("checkpoint");
    bed.import("more", 10);
    let (new, public, proof) = (bed.file("new.key"), bed.file("new"), bed.file("proof"));
    let made = bed.cli.json(&["audit", "keys", "generate", ORIGIN, "--out", &new], 0);
    std::fs::write(&public, made["key"].as_str().unwrap()).unwrap();
    let run = |args: &[&str]| {
        let output = bed.cli.command(args).env("AUDIT_SIGNING_KEYS", &new).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["audit", "checkpoint"]);
    run(&["audit", "prove", "300", "--out", &proof]);
    bed.cli.json(&["audit", "check", &proof, "--key", &public], 0);
}

#[test]
fn who_only_reads_makes_no_key() {
    let Some(bed) = Bed::sqlite() else { return };
    let signed = bed.sign("checkpoint")["size"].as_u64().unwrap();
    let own = bed.cli.data.join("audit.key");
    let prove = |position: &str| {
        let mut command = bed.cli.command(&["audit", "prove", position, "--out", &bed.file("proof")]);
        command.env_remove("AUDIT_SIGNING_KEYS").env("AUDIT_ORIGIN", ORIGIN).output().unwrap()
    };
    let output = prove("300");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    bed.cli.json(&["audit", "check", &bed.file("proof"), "--key", &bed.file("key")], 0);
    assert!(!own.exists());
    // Past the newest checkpoint somebody has to sign.
    bed.import("more", 10);
    let output = prove(&(signed + 5).to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(own.exists());
}

#[test]
fn a_key_is_not_named_twice() {
    let Some(bed) = Bed::sqlite() else { return };
    let (one, two) = (bed.file("one.key"), bed.file("two.key"));
    bed.cli.json(&["audit", "keys", "generate", ORIGIN, "--out", &one], 0);
    std::fs::copy(&one, &two).unwrap();
    for args in [&["audit", "checkpoint"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let mut command = bed.cli.command(args);
        let output = command.env("AUDIT_SIGNING_KEYS", format!("{one},{two}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("AUDIT_SIGNING_KEYS") && said.contains("twice"), "{said}");
    }
}

/// Whoever starts at the same time gets the same key.
#[test]
fn one_key_is_made_however_many_begin() {
    let data = tempfile::tempdir().unwrap();
    let mut config = infra_runtime::Config::defaults().unwrap();
    config.data_dir = data.path().to_owned();
    let name = || daybook::wiring::audit::signing_keys(&config).unwrap()[0].public().to_string();
    let names: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(name)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(names.iter().all(|n| *n == names[0]), "{names:?}");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1);
}
