//! The same proofs, checked by implementations that we did not write, and
//! theirs by ours: `proofbundle` reads proof files, `aics-tlog` makes and reads
//! trees, tiles and checkpoints (both from PyPI).

use std::process::Command;

use super::bed::{Bed, flip};

/// What the program prints; `None` where there is no Python for it.
fn python(bed: &Bed, program: &str, arguments: &[&str]) -> Option<String> {
    let Some(python) = std::env::var_os("DAYBOOK_TEST_PYTHON") else {
        daybook_tests::skip("DAYBOOK_TEST_PYTHON is not set");
        return None;
    };
    let mut command = Command::new(python);
    let output = command.arg("-c").arg(program).args(arguments).current_dir(&bed.own).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

const CHECK: &str = r#"
import sys
from proofbundle.tlogproof import verify_tlog_proof
entry, key = bytes.fromhex(sys.argv[1]), open("key").read().strip()
for name in sys.argv[2:]:
    try:
        print(bool(verify_tlog_proof(open(name, newline="").read(), entry, key)["ok"]))
    except (ValueError, UnicodeError) as error:
        print(False)
"#;

#[test]
fn a_proof_file_is_checked_by_another_program() {
    let Some(bed) = Bed::sqlite() else { return };
    bed.sign("checkpoint");
    let (proof, key) = (bed.file("proof"), bed.file("key"));
    bed.cli.output(&["audit", "prove", "300", "--out", &proof]);
    let checked = bed.cli.json(&["audit", "check", &proof, "--key", &key], 0);
    let entry = checked["entry"].as_str().unwrap();

    // A byte of the index, of a hash, of the size and of the signature.
    let text = std::fs::read_to_string(&proof).unwrap();
    let index = text.find("\nindex ").unwrap();
    let size = text.rfind(super::bed::ORIGIN).unwrap();
    let size = text[..size].rfind(super::bed::ORIGIN).unwrap() + super::bed::ORIGIN.len() + 1;
    let mut names = vec!["proof".to_owned()];
    for at in [index + 7, index + 20, size, text.len() - 20] {
        let name = format!("bad-{at}");
        std::fs::write(bed.file(&name), flip(proof.as_ref(), at)).unwrap();
        bed.cli.json(&["audit", "check", &bed.file(&name), "--key", &key], 4);
        names.push(name);
    }
    let arguments: Vec<&str> = std::iter::once(entry).chain(names.iter().map(String::as_str)).collect();
    let Some(said) = python(&bed, CHECK, &arguments) else { return };
    assert_eq!(said.lines().collect::<Vec<_>>(), ["True", "False", "False", "False", "False"]);
}

const MAKE: &str = r#"
import base64, hashlib
from aics_tlog import *
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
events = [b"daybook-event/1\nposition %d\n\n{}" % (i + 1) for i in range(600)]
tree = MerkleTree([hashlib.sha256(e).digest() for e in events])
key, origin = Ed25519PrivateKey.generate(), "log.example/theirs"
note = sign_checkpoint(Checkpoint(origin, 600, tree.root()), key, origin).to_bytes().decode()
path = "".join(base64.b64encode(h).decode() + "\n" for h in tree.inclusion_proof(523))
for name, index in (("theirs", 523), ("theirs-bad", 522)):
    extra = base64.b64encode(events[523]).decode()
    open(name, "w").write(f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {index}\n{path}\n{note}")
open("their-key", "w").write(format_vkey(vkey_from_ed25519(origin, key.public_key())))
"#;

#[test]
fn a_proof_made_by_another_program_is_checked_here() {
    let Some(bed) = Bed::sqlite() else { return };
    let Some(_) = python(&bed, MAKE, &[]) else { return };
    let key = bed.file("their-key");
    let checked = bed.cli.json(&["audit", "check", &bed.file("theirs"), "--key", &key], 0);
    assert_eq!((&checked["position"], &checked["size"]), (&524.into(), &600.into()));
    bed.cli.json(&["audit", "check", &bed.file("theirs-bad"), "--key", &key], 4);
}

const AUDIT: &str = r#"
import sys
from aics_tlog import *
place = sys.argv[1]
reader = HttpTileReader([place], proxies={}) if "://" in place else FileSystemTileReader(place)
checked = verify_checkpoint(parse_note(open("checkpoint").read()), parse_vkey(open("key").read()), [], 0)
assert checked.ok, checked.error
audit_tiles(reader, checked.size, checked.root)
print(checked.size)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_served_log_is_audited_by_another_program() {
    let Some(bed) = Bed::sqlite() else { return };
    let server = bed.cli.serve();
    let signed = server.post("/v1/audit/checkpoints", &serde_json::json!({})).await.unwrap();
    std::fs::write(bed.file("checkpoint"), signed["note"].as_str().unwrap()).unwrap();
    let url = format!("{}/log", server.url);
    let Some(size) = python(&bed, AUDIT, &[&url]) else { return };
    assert_eq!(size, signed["size"].to_string());
    server.stop().unwrap();
}

/// The archive's folder is a whole log, and needs nothing but the public key.
#[test]
fn an_archive_is_audited_by_another_program_and_by_ours() {
    let Some(bed) = Bed::sqlite() else { return };
    bed.cli.json(&["archive", "run"], 0);
    bed.import("more", 700);
    bed.cli.json(&["archive", "run"], 0);
    let archive = bed.cli.data.join("archive");
    let verdict = bed.verify(&["--archive", archive.to_str().unwrap()], 0);
    assert_eq!(verdict["signed"], verdict["last"], "{verdict}");
    std::fs::copy(archive.join("tlog/checkpoint"), bed.file("checkpoint")).unwrap();
    let Some(size) = python(&bed, AUDIT, &[archive.join("tlog").to_str().unwrap()]) else { return };
    assert_eq!(size, verdict["last"].to_string());
}
