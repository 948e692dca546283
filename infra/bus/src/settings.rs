//! What can be set, and the stream that follows from it.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use domain::Secret;
use domain::ports::bus::BusError;

#[derive(Debug, Clone)]
pub struct BusOptions {
    /// Comma-separated addresses; may hold passwords.
    pub url: Secret,
    /// Empty: none.
    pub credentials_file: PathBuf,
    pub stream: String,
    /// First word of the subjects.
    pub subjects: String,
    pub replicas: usize,
    /// Zero: for ever.
    pub max_age: Duration,
    /// 0: no limit.
    pub max_bytes: u64,
    pub max_messages: u64,
    pub duplicate_window: Duration,
    /// Messages that may wait for their acknowledgement.
    pub in_flight: usize,
    /// Whether what is new is also told on the gateway's live subjects.
    pub live: bool,
    /// How long an answer may take.
    pub patience: Duration,
}

impl BusOptions {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url.into()),
            credentials_file: PathBuf::new(),
            stream: "DAYBOOK_EVENTS".to_owned(),
            subjects: "events".to_owned(),
            replicas: 1,
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_bytes: 0,
            max_messages: 0,
            duplicate_window: Duration::from_secs(120),
            in_flight: 4096,
            live: false,
            patience: Duration::from_secs(5),
        }
    }

    pub(crate) fn config(&self) -> Config {
        let limit = |n: u64| if n == 0 { -1 } else { i64::try_from(n).unwrap_or(i64::MAX) };
        Config {
            name: self.stream.clone(),
            subjects: vec![format!("{}.>", self.subjects)],
            description: Some("A copy of Daybook's log: sequence = position".to_owned()),
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: self.replicas,
            max_age: self.max_age,
            max_bytes: limit(self.max_bytes),
            max_messages: limit(self.max_messages),
            max_messages_per_subject: -1,
            max_consumers: -1,
            duplicate_window: self.duplicate_window,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// A stream that keeps something else, or in another way, than was asked
    /// for is not used silently.
    pub(crate) fn check(&self, found: &Config) -> Result<(), BusError> {
        let wanted = self.config();
        let mut differences = Vec::new();
        let mut differs = |name: &str, is: String, should: String| {
            if is != should {
                differences.push(format!("{name} is {is} and not {should}"));
            }
        };
        let seconds = |d: Duration| format!("{} s", d.as_secs());
        differs("subjects", format!("{:?}", found.subjects), format!("{:?}", wanted.subjects));
        differs("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage));
        differs("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention));
        differs("discard", format!("{:?}", found.discard), format!("{:?}", wanted.discard));
        differs("replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string());
        differs("max_age", seconds(found.max_age), seconds(wanted.max_age));
        differs("max_bytes", found.max_bytes.to_string(), wanted.max_bytes.to_string());
        differs("max_messages", found.max_messages.to_string(), wanted.max_messages.to_string());
        differs("max_msgs_per_subject", found.max_messages_per_subject.to_string(), "-1".to_owned());
        differs("duplicate_window", seconds(found.duplicate_window), seconds(wanted.duplicate_window));
        for (name, set) in [
            ("a mirror", found.mirror.is_some()),
            ("sources", found.sources.as_ref().is_some_and(|s| !s.is_empty())),
            ("a subject transform", found.subject_transform.is_some()),
            ("sealed", found.sealed),
            ("without acknowledgements", found.no_ack),
        ] {
            differs(name, set.to_string(), false.to_string());
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(BusError::Settings { stream: self.stream.clone(), differences: differences.join("; ") })
    }
}
