//! What can be asked of an endpoint, and what is decided.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{check_credential, check_headers};
use super::{Definition, DisabledBy, Event, Headers, KIND, MAX_KEYS};
use crate::decide::{Context, Decide, Decision, Rejection};
use crate::personal::PersonalText;
use crate::secret::Secret;
use crate::time::to_micros;

const MAX_REASON_BYTES: usize = 1_000;
/// Thirty days.
const MAX_OVERLAP_SECONDS: u32 = 2_592_000;

/// A key that signs from now on. That it reads as one was found out before.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub secret: Secret,
    /// Of a key pair.
    pub public: Option<String>,
}

/// What an endpoint says, with what only it may know.
#[derive(Debug, Clone)]
pub struct Change {
    pub definition: Definition,
    /// Kept as it is where it is left out of a change and the kind of
    /// authentication stays.
    pub credential: Option<Secret>,
    /// Kept as they are where they are left out of a change.
    pub headers: Option<Headers>,
}

#[derive(Debug, Clone)]
pub enum Command {
    Create {
        endpoint: String,
        change: Change,
        key: NewKey,
    },
    Change {
        endpoint: String,
        change: Change,
    },
    /// A new signing key; the ones before sign along for so long.
    Rotate {
        endpoint: String,
        key: NewKey,
        overlap_seconds: u32,
    },
    /// Deliveries wait.
    Pause {
        reason: Option<String>,
    },
    Resume,
    Disable {
        by: DisabledBy,
        since: Option<Timestamp>,
    },
    /// For good; its id is not given out again.
    Delete,
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Active,
    Paused,
    Disabled,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigningKey {
    pub secret: PersonalText,
    pub public_key: Option<String>,
    /// When it ends; the newest does not.
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WebhookEndpoint {
    /// What it says; absent before it was created.
    pub definition: Option<Definition>,
    /// Newest first.
    pub keys: Vec<SigningKey>,
    pub credential: Option<PersonalText>,
    /// [`Headers`] as JSON.
    pub headers: Option<PersonalText>,
    pub status: Status,
    pub disabled_by: Option<DisabledBy>,
}

impl Decide for WebhookEndpoint {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Create { endpoint, change, key } = command {
            return self.create(endpoint, change, key, context);
        }
        let Some(current) = &self.definition else { return Err(Rejection::NotFound) };
        if self.status == Status::Deleted {
            return match command {
                Command::Delete => Ok(Decision::nothing()),
                _ => Err(Rejection::State("the endpoint is deleted".into())),
            };
        }
        let event = match command {
            Command::Change { endpoint, change } => return self.change(endpoint, change, current, context),
            Command::Rotate { endpoint, key, overlap_seconds } => {
                self.rotate(endpoint, key, overlap_seconds, context.now)?
            }
            Command::Pause { .. } if self.status == Status::Paused => return Ok(Decision::nothing()),
            Command::Pause { .. } if self.status == Status::Disabled => {
                return Err(Rejection::State("the endpoint is disabled".into()));
            }
            Command::Pause { reason } => {
                if reason.as_ref().is_some_and(|r| r.len() > MAX_REASON_BYTES) {
                    let reason = format!("must have at most {MAX_REASON_BYTES} bytes");
                    return Err(Rejection::field("/reason", reason));
                }
                Event::Paused { reason }
            }
            Command::Resume if self.status == Status::Active => return Ok(Decision::nothing()),
            Command::Resume => Event::Resumed {},
            Command::Disable { .. } if self.status == Status::Disabled => return Ok(Decision::nothing()),
            Command::Disable { by, since } => Event::Disabled { by, since },
            Command::Delete => Event::Deleted {},
            Command::Test if self.status == Status::Active => Event::Tested {},
            Command::Test => return Err(Rejection::State("the endpoint is not active".into())),
            // Handled above.
            Command::Create { .. } => return Ok(Decision::nothing()),
        };
        Ok(Decision::events(vec![event]))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Created { definition, secret, public_key, credential, headers, .. } => {
                *self = Self {
                    definition: Some(definition),
                    keys: vec![SigningKey { secret, public_key, until: None }],
                    credential,
                    headers,
                    ..Self::default()
                };
            }
            Event::Changed { definition, credential, headers, .. } => {
                (self.definition, self.credential, self.headers) = (Some(definition), credential, headers);
            }
            Event::SecretRotated { secret, public_key, overlap_until, .. } => {
                for key in &mut self.keys {
                    key.until = Some(key.until.map_or(overlap_until, |until| until.min(overlap_until)));
                }
                self.keys.insert(0, SigningKey { secret, public_key, until: None });
                self.keys.truncate(MAX_KEYS);
            }
            Event::Paused { .. } => self.status = Status::Paused,
            Event::Resumed {} => (self.status, self.disabled_by) = (Status::Active, None),
            Event::Disabled { by, .. } => (self.status, self.disabled_by) = (Status::Disabled, Some(by)),
            Event::Deleted {} => {
                self.status = Status::Deleted;
                self.keys.clear();
                (self.credential, self.headers) = (None, None);
            }
            Event::Tested {} => {}
        }
    }
}

/// The definition is a member of what was asked.
fn within(rejection: Rejection) -> Rejection {
    match rejection {
        Rejection::Field { field, reason } => {
            Rejection::Field { field: format!("/definition{field}"), reason }
        }
        other => other,
    }
}

fn as_text(headers: Option<&Headers>) -> Option<PersonalText> {
    // A map of texts always serialises.
    headers.filter(|h| !h.is_empty()).map(|h| serde_json::to_string(h).unwrap_or_default().into())
}

fn text(secret: Option<&Secret>) -> Option<PersonalText> {
    secret.map(|s| s.reveal().into())
}

impl WebhookEndpoint {
    /// Keys that sign at this time, newest first.
    pub fn signing(&self, at: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |key| key.until.is_none_or(|until| at < until))
    }

    fn create(
        &self,
        endpoint: String,
        change: Change,
        key: NewKey,
        context: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        if self.definition.is_some() {
            return Err(Rejection::State("there is or was an endpoint of this id already".into()));
        }
        let Change { definition, credential, headers } = change;
        definition.check(&context.urls).map_err(within)?;
        check_credential(&definition.auth, credential.as_ref().map(Secret::reveal))?;
        check_headers(&headers.clone().unwrap_or_default(), &definition.auth)?;
        Ok(Decision::events(vec![Event::Created {
            endpoint,
            definition,
            secret: key.secret.reveal().into(),
            public_key: key.public,
            credential: text(credential.as_ref()),
            headers: as_text(headers.as_ref()),
        }]))
    }

    fn change(
        &self,
        endpoint: String,
        change: Change,
        current: &Definition,
        context: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        let Change { definition, credential, headers } = change;
        definition.check(&context.urls).map_err(within)?;
        let same_kind = std::mem::discriminant(&definition.auth) == std::mem::discriminant(&current.auth);
        let credential = match credential {
            None if same_kind => self.credential.clone(),
            given => {
                check_credential(&definition.auth, given.as_ref().map(Secret::reveal))?;
                text(given.as_ref())
            }
        };
        let headers = match headers {
            Some(headers) => {
                check_headers(&headers, &definition.auth)?;
                as_text(Some(&headers))
            }
            None => self.headers.clone(),
        };
        let same = *current == definition && self.credential == credential && self.headers == headers;
        if same {
            return Ok(Decision::nothing());
        }
        Ok(Decision::events(vec![Event::Changed { endpoint, definition, credential, headers }]))
    }

    fn rotate(
        &self,
        endpoint: String,
        key: NewKey,
        overlap_seconds: u32,
        now: Timestamp,
    ) -> Result<Event, Rejection> {
        if overlap_seconds > MAX_OVERLAP_SECONDS {
            let reason = format!("must be at most {MAX_OVERLAP_SECONDS}");
            return Err(Rejection::field("/overlap_seconds", reason));
        }
        if self.signing(now).count() >= MAX_KEYS {
            let reason = format!("{MAX_KEYS} keys sign already; wait until an overlap has ended");
            return Err(Rejection::State(reason));
        }
        let until = now.saturating_add(SignedDuration::from_secs(overlap_seconds.into()));
        Ok(Event::SecretRotated {
            endpoint,
            secret: key.secret.reveal().into(),
            public_key: key.public,
            // An instant out of range ends at the range.
            overlap_until: to_micros(until.unwrap_or(Timestamp::MAX)),
        })
    }
}
