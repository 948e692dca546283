//! Witnesses: asked over HTTP beside the signing, and counted by auditors.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use daybook::wiring::witnesses::HttpPost;
use daybook_tests::facts::fill;
use domain::ports::tree::{SignedCheckpoint, TreeLog};
use domain::tree::{EMPTY_ROOT, Hash};
use infra_log::MemoryLog;
use infra_runtime::SystemClock;
use proofs::witness::{cosigners, parse_request};
use proofs::{Checkpoint, LogTiles, PublicKey, SigningKey, check_consistency, cosign};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::signer::witness::{Trouble, Witness};
use workers::signer::{Quorum, Sighting, SignError, SignerState};
use workers::{Signer, SignerConfig};

use super::bed::{Bed, ORIGIN};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
enum Does {
    /// What a witness should.
    Cosigns,
    Hangs,
    Says(u16, &'static str, String),
}

/// What a witness remembers, and what it was asked.
struct Seen {
    key: SigningKey,
    does: Does,
    size: u64,
    root: Hash,
    /// The old sizes in the order of the questions.
    asked: Vec<u64>,
    time: u64,
}

/// A witness on this machine.
#[derive(Clone)]
struct Served {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

fn witness_key(seed: u8) -> SigningKey {
    SigningKey::generate_witness(&format!("witness.example/{seed}"), &[seed; 32]).unwrap()
}

fn says(status: u16, kind: &'static str, text: String) -> Response {
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// As specified, but for the log's signature, which is not looked at.
fn cosigned(seen: &mut Seen, body: &str) -> Response {
    let Some((old, proof, note)) = parse_request(body) else { return says(400, "text/plain", String::new()) };
    let new = Checkpoint::peek(note.as_bytes()).unwrap();
    seen.asked.push(old);
    if old != seen.size {
        return says(409, "text/x.tlog.size", format!("{}\n", seen.size));
    }
    if old == new.size && seen.root != new.root {
        return says(409, "text/plain", String::new());
    }
    if check_consistency(old, new.size, &seen.root, &new.root, &proof).is_err() {
        return says(422, "text/plain", "these are two logs".to_owned());
    }
    (seen.size, seen.root) = (new.size, new.root);
    seen.time += 1;
    says(200, "text/plain", cosign(note, &seen.key, seen.time).unwrap())
}

impl Served {
    async fn new(seed: u8) -> Self {
        let (key, does) = (witness_key(seed), Does::Cosigns);
        let seen = Seen { key, does, size: 0, root: EMPTY_ROOT, asked: Vec::new(), time: 1_700_000_000 };
        let seen = Arc::new(Mutex::new(seen));
        let answering = seen.clone();
        let answer = move |body: String| {
            let seen = answering.clone();
            async move {
                let does = seen.lock().unwrap().does.clone();
                match does {
                    Does::Cosigns => cosigned(&mut seen.lock().unwrap(), &body),
                    Does::Hangs => std::future::pending::<Response>().await,
                    Does::Says(status, kind, text) => says(status, kind, text),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/w", listener.local_addr().unwrap());
        let router = Router::new().route("/w/add-checkpoint", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    fn does(&self, does: Does) {
        self.seen.lock().unwrap().does = does;
    }

    /// It has seen this of another history, or of one that is gone.
    fn has_seen(&self, size: u64, root: Hash) {
        let mut seen = self.seen.lock().unwrap();
        (seen.size, seen.root) = (size, root);
    }

    fn asked(&self) -> Vec<u64> {
        self.seen.lock().unwrap().asked.clone()
    }

    fn public(&self) -> PublicKey {
        self.seen.lock().unwrap().key.public().clone()
    }

    /// The way to it.
    fn witness(&self) -> Witness {
        let post = HttpPost::new(&self.url.parse().unwrap()).unwrap();
        Witness::new(self.public(), Arc::new(post))
    }

    fn has_cosigned(&self, checkpoint: &SignedCheckpoint) -> bool {
        !cosigners(&checkpoint.note, &[self.public()]).unwrap().is_empty()
    }
}

async fn log(events: usize) -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    fill(&*log, events).await;
    log
}

fn signer(log: &Arc<MemoryLog>, folder: &Path) -> Arc<Signer> {
    let config = SignerConfig {
        origin: ORIGIN.to_owned(),
        keys: vec![SigningKey::generate(ORIGIN, &[1; 32]).unwrap()],
        every: Duration::from_secs(1),
        record: folder.join("record"),
    };
    let tiles = Arc::new(LogTiles::new(log.clone()));
    Arc::new(Signer::new(log.clone(), tiles, Vec::new(), Arc::new(SystemClock), config))
}

/// Ended with the test's runtime.
fn follow(signer: &Arc<Signer>, witness: Witness) -> JoinHandle<()> {
    tokio::spawn(signer.clone().follow(witness, CancellationToken::new()))
}

async fn until(signer: &Signer, reached: impl FnMut(&SignerState) -> bool) {
    let mut state = signer.state();
    let reached = state.wait_for(reached);
    tokio::time::timeout(PATIENCE, reached).await.expect("in time").expect("the signer is there");
}

async fn signed(signer: &Signer) -> SignedCheckpoint {
    signer.sign().await.unwrap().unwrap()
}

async fn kept(log: &MemoryLog, size: u64) -> SignedCheckpoint {
    log.checkpoint(ORIGIN, Some(size)).await.unwrap().filter(|kept| kept.size == size).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_cosigned_and_kept_with_it() {
    let (folder, log, served) = (tempfile::tempdir().unwrap(), log(300).await, Served::new(2).await);
    let first = signer(&log, folder.path());
    let following = follow(&first, served.witness());
    for (size, more) in [(300, 0), (700, 400), (1_000, 300)] {
        fill(&*log, more).await;
        assert_eq!(signed(&first).await.size, size);
        until(&first, |state| state.witnesses.iter().any(|w| w.cosigned == size)).await;
        assert!(served.has_cosigned(&kept(&log, size).await));
    }
    assert_eq!(served.asked(), [0, 300, 700]);
    following.abort();

    // Another process: what has its line is not asked for again, or a note
    // would have two of them. Then the witness says itself what it has seen.
    let second = signer(&log, folder.path());
    follow(&second, served.witness());
    signed(&second).await;
    until(&second, |state| state.witnesses.iter().any(|w| w.cosigned == 1_000)).await;
    assert_eq!(served.asked().len(), 3);
    let third = signer(&log, folder.path());
    fill(&*log, 1).await;
    let newest = signed(&third).await;
    third.ask(&served.witness(), &newest).await.unwrap();
    assert!(served.has_cosigned(&kept(&log, 1_001).await));
    assert_eq!(served.asked(), [0, 300, 700, 0, 1_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_saw_more_ends_the_signing() {
    let (folder, log, served) = (tempfile::tempdir().unwrap(), log(300).await, Served::new(2).await);
    served.has_seen(400, [7; 32]);
    let first = signer(&log, folder.path());
    follow(&first, served.witness());
    signed(&first).await;
    until(&first, |state| state.error.is_some()).await;
    let refused = |error: SignError| {
        assert!(error.is_refusal());
        let SignError::Witnessed { sighting: Sighting { witness, seen, size }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((witness.as_str(), *seen, *size), ("witness.example/2", 400, 300));
    };
    refused(first.sign().await.unwrap_err());
    // Nor does the next process sign, whatever has been added meanwhile. The
    // file is written after the state is told.
    fill(&*log, 500).await;
    let file = folder.path().join("record.refused");
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    refused(signer(&log, folder.path()).sign().await.unwrap_err());
    assert_eq!(kept(&log, 300).await.size, 300);
    assert_eq!(log.checkpoint(ORIGIN, None).await.unwrap().unwrap().size, 300);
    // Until somebody has looked.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(signed(&signer(&log, folder.path())).await.size, 800);
    std::fs::write(&file, "nonsense").unwrap();
    let refused = signer(&log, folder.path()).sign().await.unwrap_err();
    assert!(matches!(refused, SignError::Record { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_saw_something_else_ends_the_signing() {
    for seen in [200, 300] {
        let (folder, log, served) = (tempfile::tempdir().unwrap(), log(300).await, Served::new(2).await);
        let signer = signer(&log, folder.path());
        let checkpoint = signed(&signer).await;
        served.has_seen(seen, [7; 32]);
        let trouble = signer.ask(&served.witness(), &checkpoint).await.unwrap_err();
        let Trouble::Contradicts(SignError::Witnessed { sighting, .. }) = &trouble else {
            panic!("{trouble}")
        };
        assert_eq!((sighting.seen, sighting.size), (seen, 300));
        assert!(trouble.to_string().contains("is not what witness witness.example/2 has seen"), "{trouble}");
        assert_eq!(served.asked(), [0, seen]);
        assert!(signer.sign().await.unwrap_err().is_refusal());
        assert!(folder.path().join("record.refused").exists());
        assert_eq!(kept(&log, 300).await, checkpoint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_may_have_seen_what_another_signer_signed() {
    let (folder, log, served) = (tempfile::tempdir().unwrap(), log(300).await, Served::new(2).await);
    let ours = signer(&log, folder.path());
    let old = signed(&ours).await;
    fill(&*log, 50).await;
    let root = log.frontier().await.unwrap().root();
    served.has_seen(350, root);
    ours.ask(&served.witness(), &old).await.unwrap();
    assert!(!served.has_cosigned(&kept(&log, 300).await));
    let new = signed(&ours).await;
    ours.ask(&served.witness(), &new).await.unwrap();
    assert!(served.has_cosigned(&kept(&log, 350).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_witnesss_word_is_not_kept() {
    let (folder, log, served) = (tempfile::tempdir().unwrap(), log(300).await, Served::new(2).await);
    let signer = signer(&log, folder.path());
    let checkpoint = signed(&signer).await;
    let elsewhere = Served::new(2).await;
    let of_another = checkpoint.note.replacen("\n300\n", "\n299\n", 1);
    let other_key = cosign(&checkpoint.note, &witness_key(3), 7).unwrap();
    let wrong = cosign(&of_another, &witness_key(2), 7).unwrap();
    let text = "text/plain";
    for (does, is_refused) in [
        (Does::Says(200, text, other_key), true),
        (Does::Says(200, text, wrong), true),
        (Does::Says(200, text, String::new()), true),
        (Does::Says(200, text, "x".repeat(100_000)), false),
        (Does::Says(409, "text/x.tlog.size", "many\n".to_owned()), true),
        // The same size each time: it answers itself.
        (Does::Says(409, "text/x.tlog.size", "200\n".to_owned()), true),
        // Who has not said what it has seen cannot say that it was something else.
        (Does::Says(409, text, String::new()), true),
        (Does::Says(422, text, String::new()), true),
        (Does::Says(403, text, String::new()), true),
        (Does::Says(404, text, String::new()), true),
        (Does::Says(429, text, String::new()), false),
        (Does::Says(500, text, String::new()), false),
        (Does::Says(503, text, String::new()), false),
        (Does::Says(307, text, String::new()), false),
    ] {
        served.does(does);
        let trouble = signer.ask(&served.witness(), &checkpoint).await.unwrap_err();
        assert_eq!(matches!(trouble, Trouble::Refused(_)), is_refused, "{trouble}");
        assert_eq!(matches!(trouble, Trouble::Away(_)), !is_refused, "{trouble}");
        assert_eq!(kept(&log, 300).await, checkpoint);
    }
    // None of that keeps the log from being signed, or others from cosigning.
    signer.ask(&elsewhere.witness(), &checkpoint).await.unwrap();
    assert!(elsewhere.has_cosigned(&signed(&signer).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_witness() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log(10).await);
    let (slow, honest, away) = (Served::new(2).await, Served::new(3).await, witness_key(4));
    slow.does(Does::Hangs);
    let signer = signer(&log, folder.path());
    follow(&signer, Witness { patience: Duration::from_millis(50), ..slow.witness() });
    follow(&signer, honest.witness());
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = HttpPost::new(&format!("http://{gone}").parse().unwrap()).unwrap();
    follow(&signer, Witness::new(away.public().clone(), Arc::new(nowhere)));
    let mut size = 10;
    for _ in 0..3 {
        assert_eq!(signed(&signer).await.size, size);
        until(&signer, |state| state.witnesses.iter().any(|w| w.cosigned == size)).await;
        size = fill(&*log, 10).await;
    }
    let has_failed = |state: &SignerState, name: &str, with: &str| {
        let error = state.witnesses.iter().find(|w| w.name == name).and_then(|w| w.error.as_deref());
        error.is_some_and(|error| error.contains(with))
    };
    until(&signer, |state| has_failed(state, "witness.example/2", "no answer in")).await;
    until(&signer, |state| has_failed(state, "witness.example/4", "cannot be asked")).await;
    // It comes back, and is asked for the newest.
    slow.does(Does::Cosigns);
    until(&signer, |state| state.witnesses.iter().all(|w| w.name.ends_with('4') || w.cosigned == 30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_with_enough_lines_is_shown() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log(100).await);
    let (one, two) = (Served::new(2).await, Served::new(3).await);
    let signer = signer(&log, folder.path());
    let shown = |quorum| Quorum::new(log.clone(), vec![one.public(), two.public()], quorum);
    let (of_one, of_two) = (shown(1), shown(2));
    let size = async |quorum: &Quorum, at_most| {
        quorum.checkpoint(ORIGIN, at_most).await.unwrap().map(|checkpoint| checkpoint.size)
    };
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(signed(&signer).await);
        assert_eq!(size(&of_one, None).await, None);
        fill(&*log, 100).await;
    }
    // Late, when others have been signed.
    signer.ask(&one.witness(), &all[1]).await.unwrap();
    assert_eq!((size(&of_one, None).await, size(&of_two, None).await), (Some(200), None));
    signer.ask(&two.witness(), &all[1]).await.unwrap();
    signer.ask(&one.witness(), &all[2]).await.unwrap();
    assert_eq!((size(&of_one, None).await, size(&of_two, None).await), (Some(300), Some(200)));
    let both = of_two.checkpoint(ORIGIN, None).await.unwrap().unwrap();
    assert!(one.has_cosigned(&both) && two.has_cosigned(&both));
    for (at_most, expected) in [(400, Some(300)), (299, Some(200)), (199, None), (0, None)] {
        assert_eq!(size(&of_one, Some(at_most)).await, expected);
        assert_eq!(size(&shown(1), Some(at_most)).await, expected, "asked for the first time");
    }
    // A second line in the one that is shown is seen.
    signer.ask(&two.witness(), &all[2]).await.unwrap();
    let newest = of_one.checkpoint(ORIGIN, None).await.unwrap().unwrap();
    assert!(newest.size == 300 && two.has_cosigned(&newest));
    assert_eq!(size(&of_two, None).await, Some(300));
    assert_eq!(of_two.checkpoint("another.example", None).await.unwrap(), None);
}

/// From the configuration to the auditor's commands.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_counts_witnesses() {
    let (one, two) = (Served::new(2).await, Served::new(3).await);
    let setting = [&one, &two].map(|w| format!("{} {}", w.public(), w.url)).join(",");
    let Some(bed) = Bed::set(&[("AUDIT_WITNESSES", &setting), ("AUDIT_QUORUM", "2")]) else { return };
    let server = bed.cli.serve();
    let signed = server.post("/v1/audit/checkpoints", &json!({})).await.unwrap();
    let note = signed["note"].as_str().unwrap();
    assert_eq!(cosigners(note, &[one.public(), two.public()]).unwrap().len(), 2);
    let health: serde_json::Value =
        reqwest::get(format!("{}/health", server.url)).await.unwrap().json().await.unwrap();
    assert!(health.to_string().contains("cosigned by witness.example/2 up to"), "{health}");
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("daybook_audit_witness_lag{witness=\"witness.example/3\"}"), "{metrics}");

    let (key, state, url) = (bed.file("key"), bed.file("state"), format!("{}/log", server.url));
    let (first, third) = (one.public().to_string(), witness_key(4).public().to_string());
    std::fs::write(bed.file("two"), two.public().to_string()).unwrap();
    let of_file = bed.file("two");
    let both = ["--witness", &first, "--witness", &of_file];
    let watch = ["audit", "watch", &url, "--key", &key, "--state", &state, "--once"];
    bed.cli.json(&[&watch[..], &both].concat(), 0);
    // It may be cosigned yet, so it is no contradiction.
    let short = bed.cli.refused(&[&watch[..], &["--witness", &third]].concat(), 1);
    assert!(short.contains("0 of the 1 witnesses"), "{short}");
    assert!(!std::fs::exists(bed.file("state.contradiction")).unwrap());
    server.stop().unwrap();

    let proof = bed.file("proof");
    bed.cli.output(&["audit", "prove", "300", "--out", &proof]);
    let check = ["audit", "check", &proof, "--key", &key];
    let checked = bed.cli.json(&[&check[..], &both].concat(), 0);
    assert_eq!(checked["witnesses"], 2);
    bed.cli.json(&[&check[..], &both, &["--witness", &third]].concat(), 4);
    bed.cli.json(&[&check[..], &both, &["--witness", &third, "--quorum", "2"]].concat(), 0);
    for wrong in [&["--witness", &third, "--quorum", "2"][..], &["--witness", &key], &["--witness", "x"]] {
        bed.cli.refused(&[&check[..], wrong].concat(), 1);
    }
    let verdict = bed.verify(&both, 0);
    assert!(verdict["signed"].as_u64() > Some(300), "{verdict}");
    assert_eq!(bed.verify(&["--witness", &third], 4)["finding"]["kind"], "unsigned");

    // Without enough of them what is newer is signed, and not shown.
    two.does(Does::Says(503, "text/plain", String::new()));
    bed.import("more", 50);
    let behind = bed.cli.refused(&["audit", "checkpoint"], 0);
    assert!(behind.contains("witness.example/3") && behind.contains("1 witnesses"), "{behind}");
    let head = verdict["last"].as_u64().unwrap() + 50;
    let refused = bed.cli.refused(&["audit", "prove", &head.to_string()], 1);
    assert!(refused.contains("too few witnesses"), "{refused}");
    bed.cli.json(&["archive", "run"], 0);
    let archive = bed.cli.data.join("archive");
    let sealed = bed.verify(&[&both[..], &["--archive", archive.to_str().unwrap()]].concat(), 0);
    assert!(sealed["signed"].as_u64() < Some(head), "{sealed}");
}

#[test]
fn settings_that_could_not_be_counted_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = [2, 3].map(|seed| witness_key(seed).public().to_string());
    let log = SigningKey::generate(ORIGIN, &[1; 32]).unwrap().public().to_string();
    let here = "http://127.0.0.1:1";
    for (witnesses, quorum, reason) in [
        (one.clone(), "1", "a space"),
        ("x https://a.example".to_owned(), "1", "no key"),
        (format!("{log} {here}"), "1", "a log's"),
        (format!("{one} http://a.example"), "1", "https"),
        (format!("{one} ftp://a.example"), "1", "https"),
        (format!("{one} https://a.example/?x=1"), "1", "a host and a path"),
        (format!("{one} {here},{one} {here}/2"), "1", "twice"),
        (format!("{one} {here},{two} {here}"), "3", "at most"),
        (String::new(), "1", "at most"),
    ] {
        let settings = [("AUDIT_WITNESSES", witnesses.as_str()), ("AUDIT_QUORUM", quorum)];
        let Some(cli) = daybook_tests::cli::Cli::new(folder.path(), &settings) else { return };
        let said = cli.refused(&["serve", "--listen", "127.0.0.1:0"], 2);
        assert!(said.contains(reason) && said.contains("AUDIT_"), "{said}");
    }
}
