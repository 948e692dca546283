#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// What a server does once it has read the head of a request.
#[derive(Clone, Copy)]
enum Then {
    Says(&'static str),
    SaysForEver(&'static str),
    /// And nothing more, with the connection open.
    SaysAndHangs(&'static str),
    Hangs,
}

/// A server of its own and how many connections it had.
async fn serve(then: Then) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut read, mut buffer) = (Vec::new(), [0; 4_096]);
                // Who begins TLS sends no head.
                while read.first() != Some(&0x16) && !read.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(n) if n > 0 => read.extend_from_slice(&buffer[..n]),
                        _ => return,
                    }
                }
                match then {
                    Then::Says(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    Then::SaysForEver(head) => {
                        stream.write_all(head.as_bytes()).await.unwrap();
                        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
                    }
                    Then::SaysAndHangs(head) => {
                        stream.write_all(head.as_bytes()).await.unwrap();
                        std::future::pending().await
                    }
                    Then::Hangs => std::future::pending().await,
                }
            });
        }
    });
    (address, count)
}

fn guard(allowed: &[&str]) -> Guard {
    let allowed: Vec<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
    Guard::new(&allowed).unwrap()
}

fn sender(allowed: &[&str]) -> HttpSender {
    HttpSender::new(guard(allowed), "test").unwrap()
}

fn request(url: &str) -> Request {
    Request {
        method: Method::Post,
        url: url.to_owned(),
        headers: vec![("x-team".into(), "ops".into())],
        body: b"{}".to_vec(),
        timeout: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn an_answer_is_read_with_what_it_asks_for() {
    let (address, _) =
        serve(Then::Says("HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nlater")).await;
    let answer = sender(&["127.0.0.1"]).send(request(&format!("http://{address}/"))).await.unwrap();
    let expected = Answer { status: 503, retry_after: Some("7".into()), body: b"later".to_vec() };
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let (address, _) = serve(Then::SaysForEver("HTTP/1.1 200 OK\r\ncontent-length: 209715200\r\n\r\n")).await;
    let answer = sender(&["127.0.0.1"]).send(request(&format!("http://{address}/"))).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, MAX_ANSWER_BYTES));
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let moved = "HTTP/1.1 307 Moved\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n";
    let (address, count) = serve(Then::Says(moved)).await;
    let answer = sender(&["127.0.0.1"]).send(request(&format!("http://{address}/"))).await.unwrap();
    assert_eq!((answer.status, count.load(Ordering::SeqCst)), (307, 1));
}

#[tokio::test]
async fn what_is_private_is_not_connected_to() {
    let (address, count) = serve(Then::Hangs).await;
    let port = address.port();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "169.254.169.254"]
    {
        let failure = sender(&[]).send(request(&format!("http://{host}:{port}/"))).await.unwrap_err();
        assert_eq!(failure.error, Trouble::Refused, "{host}: {}", failure.detail);
    }
    let failure = sender(&["10.0.0.0/8"]).send(request(&format!("http://localhost:{port}/"))).await;
    assert_eq!(failure.unwrap_err().error, Trouble::Refused);
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// A name server that says something else at each lookup.
struct Fickle(Vec<&'static [&'static str]>, AtomicUsize);

impl Resolve for Fickle {
    fn resolve(&self, _: Name) -> Resolving {
        let said = self.0[self.1.fetch_add(1, Ordering::SeqCst)];
        let addresses = said.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
        Box::pin(async { Ok(Box::new(addresses) as Addrs) })
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_where_it_is_connected_to() {
    let gone = "HTTP/1.1 204 Done\r\nconnection: close\r\n\r\n";
    let (address, count) = serve(Then::Says(gone)).await;
    let names: Vec<&[&str]> =
        vec![&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1", "127.0.0.2"], &[], &["127.0.0.1"]];
    let names = Arc::new(Fickle(names, AtomicUsize::new(0)));
    let here = HttpSender::with_names(guard(&["127.0.0.1"]), "test", names).unwrap();
    let url = format!("http://hooks.example:{}/", address.port());
    let mut came = Vec::new();
    for _ in 0..5 {
        came.push(here.send(request(&url)).await.map(|answer| answer.status).map_err(|f| f.error));
    }
    let refused = Err(Trouble::Refused);
    assert_eq!(came, [Ok(204), refused, refused, Err(Trouble::Resolve), Ok(204)]);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn who_drips_is_given_up() {
    let (address, _) = serve(Then::SaysAndHangs("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")).await;
    let slow = Request { timeout: Duration::from_millis(300), ..request(&format!("http://{address}/")) };
    assert_eq!(sender(&["127.0.0.1"]).send(slow).await.unwrap_err().error, Trouble::Timeout);
}

#[tokio::test]
async fn what_does_not_answer_is_told_apart() {
    let (address, _) = serve(Then::Hangs).await;
    let slow = Request { timeout: Duration::from_millis(100), ..request(&format!("http://{address}/")) };
    let here = sender(&["127.0.0.1"]);
    assert_eq!(here.send(slow).await.unwrap_err().error, Trouble::Timeout);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(here.send(request(&format!("http://{free}/"))).await.unwrap_err().error, Trouble::Connect);
    let unknown = here.send(request("http://nobody.invalid/")).await.unwrap_err();
    assert_eq!(unknown.error, Trouble::Resolve);
    let (address, _) = serve(Then::Says("no http\r\n\r\n")).await;
    assert_eq!(here.send(request(&format!("http://{address}/"))).await.unwrap_err().error, Trouble::Broken);
    let tls = here.send(request(&format!("https://{address}/"))).await.unwrap_err();
    assert_eq!(tls.error, Trouble::Tls, "{tls:?}");
}
