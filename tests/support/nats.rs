//! The NATS server that `NATS_URL` names.

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

/// The server's URL, once it has greeted. `None` (after a line that says so)
/// where none is named; a failure where servers are required.
pub async fn url() -> Option<String> {
    let Ok(url) = std::env::var("NATS_URL") else {
        crate::skip("NATS_URL names no NATS server");
        return None;
    };
    let address = url.strip_prefix("nats://").unwrap_or(&url);
    let stream = TcpStream::connect(address).await.unwrap_or_else(|e| panic!("no server at {url}: {e}"));
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).await.expect("the server sends a line");
    assert!(greeting.starts_with("INFO {"), "{url} does not speak NATS: {greeting:?}");
    Some(url)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_server_greets() {
        super::url().await;
    }
}
