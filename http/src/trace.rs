//! W3C trace context, version 00.

use rand::RngExt;

pub const TRACEPARENT: &str = "traceparent";

/// The trace a request belongs to and this server's span in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: String,
    /// The caller's span, if it sent one.
    pub parent_id: Option<String>,
    pub span_id: String,
    pub flags: String,
}

impl TraceContext {
    /// A child of the given `traceparent`, or a new trace if that is absent or
    /// unreadable.
    pub fn child_of(header: Option<&str>) -> Self {
        let span_id = hex::encode(rand::rng().random::<[u8; 8]>());
        match header.and_then(parse) {
            Some((trace_id, parent_id, flags)) => Self {
                trace_id: trace_id.into(),
                parent_id: Some(parent_id.into()),
                span_id,
                flags: flags.into(),
            },
            None => Self {
                trace_id: hex::encode(rand::rng().random::<[u8; 16]>()),
                parent_id: None,
                span_id,
                flags: "00".into(),
            },
        }
    }

    /// For the answer and for requests made on behalf of this one.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)
    }
}

fn parse(header: &str) -> Option<(&str, &str, &str)> {
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
    // Later versions may append fields; version ff is forbidden.
    let shape = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let ids = is_hex(trace, 32) && !is_zero(trace) && is_hex(span, 16) && !is_zero(span);
    (shape && ids && is_hex(flags, 2)).then_some((trace, span, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_header_is_continued_and_a_bad_one_replaced() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let child = TraceContext::child_of(Some(given));
        assert_eq!(child.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(child.parent_id.as_deref(), Some("00f067aa0ba902b7"));
        assert!(child.traceparent().ends_with("-01"));
        assert!(parse(&child.traceparent()).is_some());
        for bad in [
            "",
            "00-4bf9-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
            assert_eq!(TraceContext::child_of(Some(bad)).parent_id, None);
        }
    }
}
