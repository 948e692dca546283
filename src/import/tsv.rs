//! Access logs as tab-separated text: host, logname, time (seconds since
//! 1970), method, url, response, bytes, and perhaps referrer and user agent.
//! The path of the url is the link, as in the combined log format.

use domain::tap::{MAX_REFERRER_BYTES, MAX_USER_AGENT_BYTES};
use jiff::Timestamp;

use super::click::{Click, Line, clean, followed, plausible};

const HEADING: &str = "host\tlogname\ttime\t";

pub fn read(line: &[u8]) -> Line {
    let line = String::from_utf8_lossy(line);
    if line.trim().is_empty() || line.starts_with(HEADING) {
        return Line::Blank;
    }
    parse(&line).unwrap_or(Line::Broken)
}

fn parse(line: &str) -> Option<Line> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [_host, _logname, time, method, url, response, _bytes, more @ ..] = fields.as_slice() else {
        return None;
    };
    let at = plausible(Timestamp::from_second(time.parse().ok()?).ok()?)?;
    response.parse::<u16>().ok()?;
    let text = |i: usize, max| more.get(i).and_then(|text| clean(text, max));
    followed(method, url, |link, preview| Click {
        link,
        at,
        preview,
        url: None,
        user_agent: text(1, MAX_USER_AGENT_BYTES),
        referrer: text(0, MAX_REFERRER_BYTES),
        language: None,
        country: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let Line::Click(click) = read(b"host.example\t-\t804571201\tGET\t/history/?a\t200\t6245\t\t") else {
            panic!()
        };
        assert_eq!((click.link.as_str(), click.user_agent), ("/history/", None));
        assert_eq!(click.at.to_string(), "1995-07-01T04:00:01Z");
        assert_eq!(read(b"h\t-\t804571201\tPOST\t/x\t200\t1"), Line::OtherMethod);
        assert_eq!(read(b"host\tlogname\ttime\tmethod\turl\tresponse\tbytes"), Line::Blank);
        for broken in [&b"h\t-\tsoon\tGET\t/x\t200\t1"[..], b"h\t-\t804571201\tGET\t\t200\t1", b"h\t-"] {
            assert_eq!(read(broken), Line::Broken);
        }
    }
}
