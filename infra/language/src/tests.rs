#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the server does with one request.
enum Then {
    Says(u16, &'static str),
    /// With `Retry-After: 0`.
    Later(u16),
    Hangs,
    Floods,
}

struct Provider {
    url: String,
    /// First line, headers and body of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers one request after the other as it is told, then hangs.
async fn provider(then: Vec<Then>) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = asked.clone();
    tokio::spawn(async move {
        let mut then = then.into_iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            heard.lock().unwrap().push(request);
            let next = then.next().unwrap_or(Then::Hangs);
            tokio::spawn(answer(stream, next));
        }
    });
    Provider { url, asked }
}

async fn read(stream: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |l| l.trim().parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return text,
        }
    }
}

async fn answer(mut stream: TcpStream, then: Then) {
    match then {
        Then::Says(status, body) => {
            let head =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        Then::Later(status) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
        Then::Hangs => std::future::pending().await,
        Then::Floods => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
        }
    }
}

fn settings(protocol: Protocol, url: &str) -> Settings {
    Settings {
        protocol,
        url: url.to_owned(),
        writer: "m".into(),
        embedder: "e".into(),
        key: Secret::new("k3y"),
        timeout: Duration::from_secs(5),
        attempts: 3,
        pause: Duration::from_millis(1),
        failures: 100,
        rest: Duration::from_secs(60),
    }
}

fn model(protocol: Protocol, url: &str) -> HttpModel {
    HttpModel::new(settings(protocol, url), "test").unwrap()
}

fn prompt() -> Prompt {
    Prompt { instructions: "Be brief.".into(), text: "A text.".into(), seed: 7, max_tokens: 90 }
}

const CHATTED: &str = r#"{"message":{"role":"assistant","content":"Well."},"done_reason":"stop","prompt_eval_count":20,"eval_count":3}"#;
const COMPLETED: &str =
    r#"{"choices":[{"message":{"content":"Well."},"finish_reason":"stop"}],"usage":{"total_tokens":23}}"#;

#[tokio::test]
async fn both_protocols_write() {
    let cases = [
        (Protocol::Ollama, CHATTED, "POST /api/chat ", "\"num_predict\":90"),
        (Protocol::OpenAi, COMPLETED, "POST /v1/chat/completions ", "\"max_tokens\":90"),
    ];
    for (protocol, said, path, limit) in cases {
        let server = provider(vec![Then::Says(200, said)]).await;
        let written = model(protocol, &server.url).write(&prompt()).await.unwrap();
        assert_eq!(written, Written { text: "Well.".into(), tokens: Some(23) });
        let asked = &server.asked()[0];
        assert!(asked.starts_with(path), "{asked}");
        assert!(asked.to_ascii_lowercase().contains("authorization: bearer k3y"), "{asked}");
        for part in [limit, "\"seed\":7", "Be brief.", "A text."] {
            assert!(asked.contains(part), "{asked}");
        }
    }
}

#[tokio::test]
async fn a_base_that_has_the_version_already_does_not_get_it_twice() {
    let server = provider(vec![Then::Says(200, COMPLETED)]).await;
    model(Protocol::OpenAi, &format!("{}/v1/", server.url)).write(&prompt()).await.unwrap();
    assert!(server.asked()[0].starts_with("POST /v1/chat/completions "));
}

#[tokio::test]
async fn both_protocols_place_texts_in_order() {
    let texts = ["one".to_owned(), "two".to_owned()];
    let cases = [
        (Protocol::Ollama, r#"{"embeddings":[[1,0],[0,1]],"prompt_eval_count":2}"#),
        (
            Protocol::OpenAi,
            r#"{"data":[{"index":1,"embedding":[0,1]},{"index":0,"embedding":[1,0]}],"usage":{"total_tokens":2}}"#,
        ),
    ];
    for (protocol, said) in cases {
        let server = provider(vec![Then::Says(200, said)]).await;
        let found = model(protocol, &server.url).embed(&texts).await.unwrap();
        assert_eq!(found, Vectors { vectors: vec![vec![1.0, 0.0], vec![0.0, 1.0]], tokens: Some(2) });
    }
}

#[tokio::test]
async fn a_digest_is_that_of_the_named_model() {
    let tags = r#"{"models":[{"name":"e:v2","digest":"b"},{"name":"e:latest","digest":"a"}]}"#;
    let server = provider(vec![Then::Says(200, tags), Then::Says(200, tags)]).await;
    let model = model(Protocol::Ollama, &server.url);
    assert_eq!(model.digest("e").await.unwrap().as_deref(), Some("a"));
    assert_eq!(model.digest("x").await.unwrap(), None);
    assert!(server.asked()[0].starts_with("GET /api/tags "));
}

#[tokio::test]
async fn what_may_be_better_later_is_tried_again() {
    let server = provider(vec![Then::Says(500, "{}"), Then::Later(429), Then::Says(200, CHATTED)]).await;
    assert_eq!(model(Protocol::Ollama, &server.url).write(&prompt()).await.unwrap().text, "Well.");
    assert_eq!(server.asked().len(), 3);
    let server = provider(vec![Then::Later(503), Then::Later(503), Then::Later(503)]).await;
    let failed = model(Protocol::Ollama, &server.url).write(&prompt()).await;
    assert_eq!((failed, server.asked().len()), (Err(Trouble::Busy(503)), 3));
    // A no is a no.
    let server = provider(vec![Then::Says(404, "{}")]).await;
    let failed = model(Protocol::Ollama, &server.url).write(&prompt()).await;
    assert_eq!((failed, server.asked().len()), (Err(Trouble::Refused(404)), 1));
}

#[tokio::test]
async fn who_is_slow_is_not_waited_for() {
    let server = provider(vec![Then::Hangs]).await;
    let short = Settings { timeout: Duration::from_millis(100), ..settings(Protocol::Ollama, &server.url) };
    let began = Instant::now();
    let failed = HttpModel::new(short, "test").unwrap().write(&prompt()).await;
    assert_eq!((failed, server.asked().len()), (Err(Trouble::Timeout), 1));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_answer_is_read_within_limits() {
    let server = provider(vec![Then::Floods]).await;
    let failed = model(Protocol::Ollama, &server.url).write(&prompt()).await;
    assert_eq!(failed, Err(Trouble::TooLong(MAX_WRITTEN_BYTES)));
}

#[tokio::test]
async fn nonsense_is_told_from_an_answer() {
    let texts = ["one".to_owned(), "two".to_owned()];
    for said in [
        "",
        "no JSON",
        "{}",
        r#"{"embeddings":[]}"#,
        r#"{"embeddings":[[1,2]]}"#,
        r#"{"embeddings":[[1,2],[1]]}"#,
        r#"{"embeddings":[[],[]]}"#,
        r#"{"embeddings":[[0,0],[1,0]]}"#,
        r#"{"embeddings":[[1e99,0],[1,0]]}"#,
        r#"{"embeddings":[["a"],["b"]]}"#,
    ] {
        let server = provider(vec![Then::Says(200, said)]).await;
        let failed = model(Protocol::Ollama, &server.url).embed(&texts).await;
        assert!(matches!(failed, Err(Trouble::Nonsense(_))), "{said}: {failed:?}");
    }
    for said in [
        r#"{"message":{"content":"  "},"done_reason":"stop"}"#,
        r#"{"message":{"content":"Cut"},"done_reason":"length"}"#,
        r#"{"error":"no"}"#,
    ] {
        let server = provider(vec![Then::Says(200, said)]).await;
        let failed = model(Protocol::Ollama, &server.url).write(&prompt()).await;
        assert!(matches!(failed, Err(Trouble::Nonsense(_))), "{said}: {failed:?}");
    }
    let twice = r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#;
    let server = provider(vec![Then::Says(200, twice)]).await;
    assert!(model(Protocol::OpenAi, &server.url).embed(&texts).await.is_err());
}

#[tokio::test]
async fn who_keeps_failing_is_left_alone() {
    let server = provider(vec![Then::Later(500), Then::Later(500), Then::Says(200, CHATTED)]).await;
    let careful = Settings { failures: 2, attempts: 2, ..settings(Protocol::Ollama, &server.url) };
    let model = HttpModel::new(careful, "test").unwrap();
    assert_eq!(model.write(&prompt()).await, Err(Trouble::Busy(500)));
    assert_eq!(model.write(&prompt()).await, Err(Trouble::Resting));
    assert_eq!(server.asked().len(), 2, "nothing was sent meanwhile");
}

#[tokio::test]
async fn nobody_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(model(Protocol::Ollama, &url).write(&prompt()).await, Err(Trouble::Unreachable));
}

#[test]
fn bad_settings_are_refused_without_the_key() {
    let refused = |settings: Settings| {
        let Err(error) = HttpModel::new(settings.clone(), "test") else { panic!("{}", settings.url) };
        assert!(!error.to_string().contains("k3y"));
        error
    };
    for url in ["", "nowhere", "ftp://a", "http://u:p@localhost", "http://localhost?k=v"] {
        refused(settings(Protocol::Ollama, url));
    }
    // A key in clear on somebody's network.
    refused(settings(Protocol::OpenAi, "http://models.example"));
    assert!(HttpModel::new(settings(Protocol::OpenAi, "https://models.example"), "test").is_ok());
    let none = Settings {
        writer: String::new(),
        embedder: String::new(),
        ..settings(Protocol::Ollama, "http://localhost")
    };
    assert_eq!(refused(none), SetupError::NoModel);
    assert!(!format!("{:?}", settings(Protocol::Ollama, "x")).contains("k3y"));
}
