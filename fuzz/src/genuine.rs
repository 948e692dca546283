//! What the real thing looks like: inputs to begin with, and what a changed
//! proof is compared with.

use std::path::Path;

use domain::tree::{Frontier, leaf_hash};
use proofs::{
    Checkpoint, Opened, ProofFile, PublicKey, SigningKey, TilePath, Trust, Verified, add_lines, cosign,
    encode_entries,
};
use sha2::{Digest, Sha256};

/// A tree of two events with a cosigned checkpoint.
pub struct Tree {
    pub proof: String,
    pub verified: Verified,
    pub note: String,
    pub opened: Opened,
    pub log: Trust,
    pub trust: Trust,
    pub witness: PublicKey,
    pub line: String,
}

pub fn tree() -> Tree {
    let log = SigningKey::generate("log.example", &[1; 32]).unwrap();
    let witness = SigningKey::generate_witness("witness.example", &[2; 32]).unwrap();
    let (event, beside) = (b"daybook-event/1\nposition 1\n\n{\"a\":1}", [5; 32]);
    let mut frontier = Frontier::default();
    frontier.push(&Sha256::digest(event).into(), &mut Vec::new());
    frontier.push(&beside, &mut Vec::new());
    let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: 2, root: frontier.root() };
    let note = checkpoint.sign(std::slice::from_ref(&log));
    let line = cosign(&note, &witness, 1_700_000_000).unwrap();
    let cosigned = add_lines(&note, [line.as_str()]).unwrap();
    let file = ProofFile {
        extra: Some(event.to_vec()),
        index: 0,
        path: vec![leaf_hash(&beside)],
        checkpoint: cosigned,
    };
    let witness = witness.public().clone();
    let trust = Trust { witnesses: vec![witness.clone()], quorum: 1, ..Trust::of(log.public().clone()) };
    let proof = file.to_text();
    let verified = ProofFile::parse(proof.as_bytes()).unwrap().check(&trust, None).unwrap();
    let log = Trust::of(log.public().clone());
    let opened = Checkpoint::open(note.as_bytes(), &log).unwrap();
    Tree { proof, verified, note, opened, log, trust, witness, line }
}

const CLICKS: [(&str, &str); 3] = [
    (
        "bitly",
        r#"{"a":"Mozilla/5.0","c":"US","g":"1abc","r":"direct","u":"http://a.example/","t":1331923247,"al":"en"}"#,
    ),
    (
        "combined",
        r#"h - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "http://b.example/" "Mozilla""#,
    ),
    ("tsv", "h\t-\t804571201\tGET\t/history/apollo/\t200\t6245"),
];

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/a","type":"t","appid":"shop","time":"2026-01-02T03:04:05Z","datacontenttype":"application/json","data":{"a":[1,{"b":2.5}]}}"#;
const ENVELOPE: &str = r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000007","source":"/daybook","type":"band.tagged","subject":"band/b1","time":"2026-07-01T19:00:00.5Z","datacontenttype":"application/json","tenant":"acme","position":"12","streamversion":"3","schema":2,"recordedat":"2026-07-01T19:00:00.5Z","occurredat":"2026-07-01T19:00:00.000001Z","actor":"key:a","commandid":"00000000-0000-0000-0000-000000000008","correlationid":"c 1","causationid":"00000000-0000-0000-0000-000000000009","leaf":"00","data":{"n": 1.50}}"#;
const APP: &str = r#"{"appId":"shop","deviceId":"d","timestamp":1700000000000,"idempotencyKey":"k","purchaseComplete":{"orderId":"o","totalCents":100,"currency":"USD"}}"#;
const RULES: [&str; 2] = [
    r#"{"name":"a","conditions":[{"path":"$.data.a[?@.b>1]","operator":"regex","value":"^a+b?$"}]}"#,
    r#"{"name":"b","cel":"data.a.exists(x, x > 1 && size('é') == 1) ? true : type.startsWith('t')"}"#,
];

/// Writes them into a folder for each target.
pub fn write(folder: &str) {
    let tree = tree();
    let key = tree.log.keys[0].to_string();
    let mut seeds: Vec<(&str, Vec<u8>)> = vec![
        ("proof", tree.proof.into_bytes()),
        ("note", tree.note.into_bytes()),
        ("witness", tree.line.into_bytes()),
        ("key", key.into_bytes()),
        ("path", TilePath::hashes(1, 1_234_067).to_string().into_bytes()),
        ("path", TilePath::entries(273).partial(17).to_string().into_bytes()),
        ("entries", encode_entries(&[[7; 32], [8; 32]]).to_vec()),
        ("envelope", ENVELOPE.as_bytes().to_vec()),
        ("signal", EVENT.as_bytes().to_vec()),
        ("signal", APP.as_bytes().to_vec()),
        ("text", b"\x00# Heading\n\n*one* [two](http://a.example)".to_vec()),
        ("text", b"\x01<html><body><p>one &amp; two<script>x</script></p></body></html>".to_vec()),
        (
            "text",
            b"\x02PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                .to_vec(),
        ),
        ("labels", b"file,author,title,words\na.txt,Austen,Emma,12\n".to_vec()),
    ];
    seeds.extend(CLICKS.map(|(name, line)| (name, line.as_bytes().to_vec())));
    seeds.extend(RULES.map(|rule| ("rule", rule.as_bytes().to_vec())));
    for (number, (target, bytes)) in seeds.into_iter().enumerate() {
        let folder = Path::new(folder).join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(number.to_string()), bytes).unwrap();
    }
}
