//! What is asked of each reader: that it comes back, and that what it takes
//! means what it says.

use domain::cloud_event as envelope;
use domain::decide::{Context, Decide};
use domain::rule::{Command, Definition, Rule};
use domain::signal::app_event;
use domain::signal::cloud_event::{self, Apps, Members};
use domain::target_url::UrlPolicy;
use jiff::Timestamp;
use models_rules::Compiled;
use proofs::witness::{Answer, answer, parse_request};
use proofs::{Checkpoint, ProofFile, PublicKey, SigningKey, TilePath, encode_entries, parse_entries};
use serde_json::{Value, json};

use crate::genuine::Tree;

type Target = fn(&[u8], &Tree);

pub fn named(name: &str) -> Option<Target> {
    Some(match name {
        "proof" => proof,
        "note" => note,
        "witness" => witness,
        "key" => key,
        "path" => path,
        "entries" => entries,
        "envelope" => envelope,
        "signal" => signal,
        "rule" => rule,
        "text" => text,
        "labels" => labels,
        "bitly" => |data, _| drop(crate::bitly::read(data)),
        "combined" => |data, _| drop(crate::combined::read(data)),
        "tsv" => |data, _| drop(crate::tsv::read(data)),
        _ => return None,
    })
}

fn proof(data: &[u8], tree: &Tree) {
    if let Ok(verified) = ProofFile::parse(data).and_then(|file| file.check(&tree.trust, None)) {
        assert_eq!(verified, tree.verified, "nobody signed this");
    }
}

fn note(data: &[u8], tree: &Tree) {
    let _ = Checkpoint::peek(data);
    if let Ok(opened) = Checkpoint::open(data, &tree.log) {
        assert_eq!(opened, tree.opened, "nobody signed this");
    }
}

fn witness(data: &[u8], tree: &Tree) {
    let known = std::slice::from_ref(&tree.witness);
    if let Answer::Cosigned(lines) = answer(200, "text/plain", data, &tree.note, known) {
        assert_eq!(lines, [tree.line.as_str()], "nobody cosigned this");
    }
    if let Answer::Has(size) = answer(409, "text/x.tlog.size", data, &tree.note, known) {
        assert_eq!(format!("{size}\n").as_bytes(), data);
    }
    let _ = std::str::from_utf8(data).map(|body| drop(parse_request(body)));
}

fn key(data: &[u8], _: &Tree) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = SigningKey::parse(text);
    if let Ok(key) = PublicKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}

fn path(data: &[u8], _: &Tree) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = TilePath::parse(text) {
        assert_eq!(path.to_string(), text);
    }
}

fn entries(data: &[u8], _: &Tree) {
    if let Ok(read) = parse_entries(data) {
        assert_eq!(encode_entries(&read), data);
    }
}

/// Without its payload a message only repeats what was said of it.
fn envelope(data: &[u8], _: &Tree) {
    let Some(event) = envelope::decode(data).filter(|event| !event.payload.is_empty()) else { return };
    let text = envelope::encode(&event, true);
    assert_eq!(envelope::decode(text.as_bytes()), Some(event), "{text}");
}

/// What is taken is written again as something that means the same.
fn signal(data: &[u8], _: &Tree) {
    let Ok(members) = serde_json::from_slice::<Members>(data) else { return };
    let apps = Apps { bound: None, default: Some("shop") };
    if !members.contains_key("specversion") {
        drop(app_event::decode(members, apps, "fresh"));
        return;
    }
    let Ok(signal) = cloud_event::decode(members, apps) else { return };
    let text = cloud_event::encode(&signal);
    let again = serde_json::from_str::<Members>(&text).expect("it is JSON");
    let again = cloud_event::decode(again, apps).expect("what was taken is taken again");
    let form = |signal| serde_json::to_value(signal).expect("it serialises");
    assert_eq!(form(&again), form(&signal), "{text}");
}

fn rule(data: &[u8], _: &Tree) {
    let Ok(definition) = serde_json::from_slice::<Definition>(data) else { return };
    let decided = Rule::default().decide(
        Command::Define(definition.clone()),
        &Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() },
    );
    if decided.is_err() {
        return;
    }
    let Ok(compiled) = Compiled::new(&definition) else { return };
    let body: Value =
        json!({"app": "shop", "type": "t", "id": "1", "data": {"a": [1, {"b": 2.5}], "s": "aaab"}});
    let (_, _) = (compiled.judge(&body), compiled.key(&body));
    let _ = compiled.number(&body);
}

fn text(data: &[u8], _: &Tree) {
    let Some((form, rest)) = data.split_first() else { return };
    let name = ["a.md", "a.html", "a.zip", "a.docx", "a.txt"][usize::from(*form) % 5];
    if name == "a.zip" {
        drop(infra_texts::entries(rest));
    } else {
        drop(infra_texts::extract(name, rest));
    }
}

fn labels(data: &[u8], _: &Tree) {
    let _ = std::str::from_utf8(data).map(|text| drop(infra_texts::Labels::parse(text)));
}
