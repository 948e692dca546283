//! The walk of `docs/auditors.md`: an audit from nothing but a public key, a
//! checkpoint that was kept, and a copy of the archive.

use daybook_tests::cli::Cli;
use daybook_tests::copy_folder;
use serde_json::{Value, json};

use super::bed::{Bed, ORIGIN, flip};

#[test]
fn an_audit_needs_a_public_key_and_an_archive() {
    let Some(bed) = Bed::sqlite() else { return };
    // What the auditor kept last time, and what the operator gives today.
    bed.sign("seen");
    bed.import("more", 100);
    bed.cli.json(&["archive", "run"], 0);
    bed.cli.json(&["audit", "export", "--out", &bed.file("given"), "--type", "band.registered"], 0);
    copy_folder(&bed.cli.data.join("archive"), &bed.own.join("archive"));
    let (key, seen, archive) = (bed.file("key"), bed.file("seen"), bed.file("archive"));

    let own = bed.own.join("own");
    std::fs::create_dir(&own).unwrap();
    let auditor = Cli::new(&own, &[("AUDIT_ORIGIN", ORIGIN), ("ARCHIVE_URL", &archive)]).unwrap();
    let verify = ["audit", "verify", "--key", &key, "--checkpoint", &seen];
    let sealed = auditor.json(&[&verify[..], &["--archive", &archive]].concat(), 0);
    let asked = ["sql", "select count(*) n from events", "--archive", &archive];
    let counted: Value = serde_json::from_slice(&auditor.output(&asked).stdout).unwrap();
    assert_eq!(counted["rows"][0][0], sealed["last"]);

    auditor.json(&["restore", "--from", &archive], 0);
    let restored = auditor.json(&verify, 0);
    assert_eq!((&restored["root"], &restored["signed"]), (&sealed["root"], &sealed["signed"]));
    assert_eq!(restored["checkpoints"], 2, "the one that was kept and that of the archive");

    auditor.json(&["replay", "build", "bands"], 0);
    let why = auditor.json(&["audit", "why", "bands", "bands", "first-7"], 0);
    assert_eq!((&why["same"], &why["count"]), (&json!(true), &json!(1)), "{why}");
    let position = why["events"][0]["position"].to_string();
    let proof = bed.file("proof");
    auditor.output(&["audit", "prove", &position, "--out", &proof]);
    let proved = auditor.json(&["audit", "check", &proof, "--key", &key], 0);
    assert_eq!((&proved["entry"], &proved["origin"]), (&why["events"][0]["leaf"], &json!(ORIGIN)));
    std::fs::write(bed.file("bad"), flip(proof.as_ref(), 60)).unwrap();
    auditor.json(&["audit", "check", &bed.file("bad"), "--key", &key], 4);
    assert!(!own.join("audit.key").exists(), "nothing was signed by the auditor");

    auditor.json(&["audit", "check-export", &bed.file("given"), "--key", &key], 0);

    // Next time: another history does not continue what was kept.
    let other = Bed::sqlite().unwrap();
    other.cli.json(&["archive", "run"], 0);
    let foreign = other.cli.data.join("archive");
    let verify = ["audit", "verify", "--checkpoint", &seen, "--archive", foreign.to_str().unwrap()];
    auditor.json(&verify, 4);
}
