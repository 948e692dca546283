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

/// A witness that we did not write, on a free port. Ended when dropped.
struct TheirWitness {
    python: std::ffi::OsString,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<std::process::Child>,
}

impl TheirWitness {
    fn new() -> Option<(Self, String)> {
        let Some(python) = std::env::var_os("DAYBOOK_TEST_PYTHON") else {
            daybook_tests::skip("DAYBOOK_TEST_PYTHON is not set");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let made = Self { python, folder: tempfile::tempdir().unwrap(), port, child: None };
        let listen = format!("127.0.0.1:{port}");
        let key = made.run(&["init", "--name", "witness.example/theirs", "--listen", &listen]);
        Some((made, key))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "aics_witness"]).args(args).args(["--config", "witness.json"]);
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Serves for a log once it listens, which it says.
    fn serve(&mut self, key: &str) {
        self.run(&["add-log", "--origin", super::bed::ORIGIN, "--vkey", key]);
        let mut child = self.command(&["serve"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut lines = std::io::BufRead::lines(said);
        assert!(lines.any(|line| line.unwrap().contains("listening on")));
        // Read on, or it could not say more.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }
}

impl Drop for TheirWitness {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// It cosigns what we sign, continues from what it has seen, and refuses a log
/// that was set back.
#[test]
fn a_witness_that_we_did_not_write_cosigns() {
    let Some((mut theirs, witness)) = TheirWitness::new() else { return };
    let setting = format!("{witness} http://127.0.0.1:{}", theirs.port);
    let Some(bed) = Bed::set(&[("AUDIT_WITNESSES", &setting), ("AUDIT_QUORUM", "1")]) else { return };
    theirs.serve(&std::fs::read_to_string(bed.file("key")).unwrap());
    let (key, proof, early) = (bed.file("key"), bed.file("proof"), bed.file("early"));
    let check = ["audit", "check", &proof, "--key", &key, "--witness", &witness];
    bed.cli.output(&["audit", "prove", "1", "--out", &proof]);
    assert_eq!(bed.cli.json(&check, 0)["witnesses"], 1);
    let database = bed.cli.data.join("daybook.db");
    std::fs::copy(&database, &early).unwrap();
    // The next checkpoint continues the one that it has seen.
    bed.import("more", 300);
    bed.sign("checkpoint");
    bed.cli.output(&["audit", "prove", "700", "--out", &proof]);
    assert_eq!(bed.cli.json(&check, 0)["witnesses"], 1);

    // Yesterday's database, and nothing of ours remembers what was signed.
    std::fs::copy(&early, &database).unwrap();
    for name in ["audit.checkpoint", "daybook.db-wal", "daybook.db-shm"] {
        let _ = std::fs::remove_file(bed.cli.data.join(name));
    }
    bed.import("other", 10);
    let said = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(said.contains("set back") && said.contains("witness.example/theirs"), "{said}");
    let refused = bed.cli.refused(&["audit", "checkpoint"], 1);
    assert!(refused.contains("audit.refused"), "{refused}");
}
