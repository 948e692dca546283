//! When the next attempt is due. Pure: what looks random is made of the
//! delivery's id and the attempt's number.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::time::to_micros;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// After the first attempt, the second and so on; there is one attempt more
    /// than there are delays.
    pub delays: Vec<Duration>,
    /// A delay grows by up to so much of itself, in percent.
    pub jitter_percent: u32,
    /// What `Retry-After` may ask for at most.
    pub max_retry_after: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        let (minute, hour) = (60, 3_600);
        let delays =
            [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour];
        Self {
            delays: delays.map(Duration::from_secs).into(),
            jitter_percent: 10,
            max_retry_after: Duration::from_secs(24 * hour),
        }
    }
}

impl Schedule {
    /// When attempt `attempt` failed at `now` as the `round`-th of its
    /// schedule: the time of the next, or `None` if that was the last.
    pub fn next(
        &self,
        id: &str,
        attempt: u32,
        round: u32,
        now: Timestamp,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let delay = *self.delays.get(usize::try_from(round).ok()?.checked_sub(1)?)?;
        let jittered = delay.saturating_add(delay.mul_f64(self.jitter(id, attempt)));
        let asked = retry_after.unwrap_or_default().min(self.max_retry_after);
        let wait = SignedDuration::try_from(jittered.max(asked)).unwrap_or(SignedDuration::MAX);
        Some(to_micros(now.saturating_add(wait).unwrap_or(Timestamp::MAX)))
    }

    /// From 0 to the configured part of a delay.
    fn jitter(&self, id: &str, attempt: u32) -> f64 {
        let mut hash = Sha256::new();
        hash.update(id.as_bytes());
        hash.update(attempt.to_be_bytes());
        let digest = hash.finalize();
        let drawn = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        f64::from(drawn) / f64::from(u32::MAX) * f64::from(self.jitter_percent.min(100)) / 100.0
    }
}

/// What a `Retry-After` header asks for: seconds, or a date of HTTP.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let text = header.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_end() {
        let (schedule, now) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        let wait = |round| Some(schedule.next("d", round, round, now, None)?.as_millisecond());
        let plain = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map(|s| s * 1_000);
        for (round, least) in (1..).zip(plain) {
            let waited = wait(round).unwrap();
            assert!((least..=least + least / 10).contains(&waited), "{round}: {waited}");
            assert_eq!(wait(round), wait(round));
        }
        assert_eq!(wait(10), None);
        assert_eq!(wait(0), None);
        let others = |id: &str| schedule.next(id, 1, 1, now, None);
        assert_ne!(others("a"), others("b"));
    }

    #[test]
    fn retry_after_lengthens_within_bounds() {
        let (schedule, now) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        let asked = |text| retry_after(text, now);
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:10:00 GMT"), Some(Duration::from_secs(600)));
        for bad in ["", "soon", "-5", "1.5", "Wed, 31 Dec 1969 23:00:00 GMT"] {
            assert_eq!(asked(bad), None, "{bad}");
        }
        let next = |asked| schedule.next("d", 1, 1, now, asked).unwrap().as_second();
        assert_eq!(next(asked("120")), 120);
        assert_eq!(next(asked("99999999999999999999999")), 86_400);
        assert_eq!(next(asked("1")), next(None));
    }
}
