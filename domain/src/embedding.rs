//! Where language models put a sample: stream kind `embedding`, the id is the
//! sample's. A vector is kept with all that says what it may be compared with.
//! It tells of the text, so it is sealed as the text is.

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::personal::{Personal, PersonalText, Subject};
use crate::sample::SUBJECT_KIND;

pub const KIND: &str = "embedding";
pub const RECORDED: &str = "embedding.recorded";
pub const PERSONAL: Personal = Personal { kind: SUBJECT_KIND, member: "subject", fields: &["vector"] };

/// Longest vector.
pub const MAX_DIMENSION: u32 = 8_192;

/// What a vector may be compared with: others of the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Space {
    pub provider: String,
    pub model: String,
    /// Of the model's weights, where the provider says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    pub dimension: u32,
    /// How a text became one vector.
    pub normalisation: String,
}

impl Space {
    /// The first member that differs, with both values.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let none = || "none".to_owned();
        let digest = |space: &Self| space.digest.clone().unwrap_or_else(none);
        [
            ("provider", self.provider.clone(), other.provider.clone()),
            ("model", self.model.clone(), other.model.clone()),
            ("digest", digest(self), digest(other)),
            ("dimension", self.dimension.to_string(), other.dimension.to_string()),
            ("normalisation", self.normalisation.clone(), other.normalisation.clone()),
        ]
        .into_iter()
        .find(|(_, own, others)| own != others)
    }
}

/// Payload of `embedding.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Whose personal data the text is: `author:<subject>`.
    pub subject: String,
    #[serde(flatten)]
    pub space: Space,
    /// Of the sample's text.
    pub bytes: u64,
    /// A JSON array of numbers; its length as a vector is 1.
    pub vector: PersonalText,
}

impl Recorded {
    /// The numbers, while they can be read.
    pub fn numbers(&self) -> Option<Vec<f32>> {
        serde_json::from_str(self.vector.clear()?).ok()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "embedding.recorded")]
    Recorded(Recorded),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Made while nothing was decided about the text's subject past this version
    /// of its stream.
    Record(Recorded, u64),
}

/// State folded from a sample's vectors: the newest of each space, the newest
/// last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedding {
    pub vectors: Vec<Recorded>,
}

impl Decide for Embedding {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(
        &self,
        Command::Record(record, version): Command,
        _: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        let numbers = record.numbers().unwrap_or_default();
        if numbers.is_empty() || record.space.dimension > MAX_DIMENSION {
            return Err(Rejection::field("/vector", format!("must have 1 to {MAX_DIMENSION} numbers")));
        }
        if numbers.len() != record.space.dimension as usize {
            return Err(Rejection::field("/dimension", "is not the vector's length"));
        }
        if numbers.iter().any(|n| !n.is_finite()) {
            return Err(Rejection::field("/vector", "must hold finite numbers"));
        }
        let known = self.vectors.last() == Some(&record);
        if known {
            return Ok(Decision::nothing());
        }
        let subject = Subject::new(SUBJECT_KIND, &record.subject);
        let subject = subject.map_err(|e| Rejection::field("/subject", e))?;
        let mut decision = Decision::events(vec![Event::Recorded(record)]);
        decision.checks.push(subject.undecided_since(version));
        Ok(decision)
    }

    fn evolve(&mut self, Event::Recorded(recorded): Event) {
        self.vectors.retain(|known| known.space != recorded.space);
        self.vectors.push(recorded);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn sample() -> TestFramework<Embedding> {
        TestFramework::with(Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    fn recorded(model: &str, dimension: u32, vector: &str) -> Recorded {
        let (provider, digest) = ("ollama".into(), Some("d".into()));
        let space = Space { provider, model: model.into(), digest, dimension, normalisation: "n@1".into() };
        Recorded { subject: "a".into(), space, bytes: 9, vector: vector.into() }
    }

    #[test]
    fn the_newest_of_each_space_is_kept() {
        let mut state = Embedding::default();
        for (model, vector) in [("a", "[1.0]"), ("b", "[1.0]"), ("a", "[-1.0]")] {
            state.evolve(Event::Recorded(recorded(model, 1, vector)));
        }
        let kept: Vec<_> = state.vectors.iter().map(|v| (&*v.space.model, v.numbers().unwrap()[0])).collect();
        assert_eq!(kept, [("b", 1.0), ("a", -1.0)]);
    }

    #[test]
    fn the_same_again_is_no_fact_and_what_does_not_fit_is_refused() {
        let known = recorded("a", 2, "[0.6,0.8]");
        let again = Command::Record(known.clone(), 0);
        sample().given(vec![Event::Recorded(known)]).when(again).then_expect_events(vec![]);
        for (bad, field) in [
            (recorded("a", 3, "[0.6,0.8]"), "/dimension"),
            (recorded("a", 0, "[]"), "/vector"),
            (recorded("a", 1, "[1e999]"), "/vector"),
            (recorded("a", 1, "nothing"), "/vector"),
        ] {
            let refused = sample().given_no_previous_events().when(Command::Record(bad, 0)).inspect_result();
            assert!(matches!(refused, Err(Rejection::Field { field: f, .. }) if f == field), "{field}");
        }
    }

    #[test]
    fn a_difference_is_named() {
        let space = recorded("a", 2, "[]").space;
        assert_eq!(space.difference(&space), None);
        let other = Space { dimension: 3, ..space.clone() };
        assert_eq!(space.difference(&other), Some(("dimension", "2".into(), "3".into())));
        let other = Space { digest: None, ..space.clone() };
        assert_eq!(space.difference(&other), Some(("digest", "d".into(), "none".into())));
    }
}
