//! Bodies that were compressed on their way, within bounds.

use std::io::Read;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use daybook_http::extract::too_large;
use daybook_http::{Kind, Problem};
use flate2::read::MultiGzDecoder;

/// A frame that wants more memory to be read is refused: 8 MiB.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// The body as it was before `Content-Encoding`, at most `max` bytes of it.
pub fn decoded(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Bytes, Problem> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let (encoding, more) = (encodings.next(), encodings.next());
    let name = match (encoding.map(|v| v.to_str().unwrap_or_default().trim()), more) {
        (None | Some("identity"), None) => return Ok(body),
        (Some(name), None) => name.to_ascii_lowercase(),
        _ => return Err(unknown()),
    };
    match name.as_str() {
        "gzip" => read(MultiGzDecoder::new(&*body), &name, max),
        "zstd" => {
            let mut decoder = zstd::Decoder::with_buffer(&*body).map_err(|_| broken(&name))?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(|_| broken(&name))?;
            read(decoder, &name, max)
        }
        _ => Err(unknown()),
    }
}

fn read(decoder: impl Read, name: &str, max: usize) -> Result<Bytes, Problem> {
    let mut out = Vec::new();
    decoder.take(max as u64 + 1).read_to_end(&mut out).map_err(|_| broken(name))?;
    if out.len() > max {
        return Err(too_large(max));
    }
    Ok(out.into())
}

fn broken(name: &str) -> Problem {
    Problem::header("Content-Encoding", format!("is {name}, which the body is not"))
}

fn unknown() -> Problem {
    Problem::new(Kind::UnsupportedMediaType, "Send the body as it is, or in gzip or zstd alone.")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;

    use super::*;

    fn named(encoding: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        headers
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn both_encodings_are_read() {
        let text = b"{\"a\": 1}".repeat(1_000);
        let zstd = zstd::encode_all(&*text, 3).unwrap().into();
        assert_eq!(decoded(&named("gzip"), gzip(&text), 1 << 20).unwrap(), text);
        assert_eq!(decoded(&named("zstd"), zstd, 1 << 20).unwrap(), text);
        assert_eq!(decoded(&HeaderMap::new(), text.clone().into(), 1).unwrap(), text);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0; 8 << 20];
        let zstd: Bytes = zstd::encode_all(&*zeros, 19).unwrap().into();
        for (name, body) in [("gzip", gzip(&zeros)), ("zstd", zstd)] {
            assert!(body.len() < 16 << 10);
            let problem = decoded(&named(name), body, 1 << 20).unwrap_err();
            assert_eq!(problem.kind(), Kind::BodyTooLarge, "{name}");
        }
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        for name in ["gzip", "zstd"] {
            let problem = decoded(&named(name), Bytes::from_static(b"{}"), 99).unwrap_err();
            assert_eq!(problem.kind(), Kind::InvalidHeader, "{name}");
        }
        let problem = decoded(&named("br"), Bytes::new(), 99).unwrap_err();
        assert_eq!(problem.kind(), Kind::UnsupportedMediaType);
    }
}
