//! The one way by which texts leave. What is sent to whom for whom is recorded
//! before it goes, in the tenant's ledger of the day, and refused there once the
//! day's budget is spent.

use std::sync::Arc;

use commands::caller::problem;
use commands::execute::{Call, Refusal, Services, execute};
use daybook_http::{Kind, Principal, Problem};
use domain::api_key::Role;
use domain::decide::Rejection;
use domain::language_use::{Answered, Budget, Command, LanguageUse, TextSent};
use domain::ports::language::{LanguageModel, Prompt, Trouble, Vectors, Written};
use domain::target_url::UrlPolicy;
use domain::{Subject, TenantId};
use jiff::tz::TimeZone;

/// Bytes of a token, about: more tokens than most texts have.
const TOKEN_BYTES: u64 = 3;

/// For whom and why a text is sent.
#[derive(Debug, Clone)]
pub struct Errand {
    pub tenant: TenantId,
    /// Who records it: the key, or the worker.
    pub actor: Arc<str>,
    pub asked_by: String,
    pub purpose: &'static str,
    pub sample: String,
    /// Whose text it is, and the version of what was decided about them.
    pub whose: (Subject, u64),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nothing was sent.
    #[error("{0}")]
    Budget(String),
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// Nothing was sent, or what came back is not kept.
    #[error("the sample's author was held, exported or erased meanwhile")]
    Subject,
    /// Nothing was sent. The reason is not for facts.
    #[error("what is sent could not be recorded")]
    Unrecorded(Box<Refusal>),
}

impl Unanswered {
    /// For facts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Budget(_) => "budget",
            Self::Trouble(trouble) => trouble.code(),
            Self::Subject => "subject_changed",
            Self::Unrecorded(_) => "unrecorded",
        }
    }

    /// For clients.
    pub fn problem(self) -> Problem {
        match self {
            Self::Budget(reason) => {
                Problem::new(Kind::RateLimited, format!("Nothing was sent: {reason}.")).retry_after(3_600)
            }
            Self::Trouble(trouble) => {
                let detail = format!("The language model gave no answer: {trouble}.");
                Problem::new(Kind::Unavailable, detail).with("trouble", trouble.code()).retry_after(30)
            }
            Self::Subject => Problem::new(Kind::Conflict, format!("Nothing is kept: {self}.")),
            Self::Unrecorded(refusal) => problem(*refusal, false),
        }
    }
}

/// Sends texts to one provider.
#[derive(Clone)]
pub struct Sender {
    services: Services,
    model: Arc<dyn LanguageModel>,
    budget: Budget,
}

impl Sender {
    pub fn new(services: Services, model: Arc<dyn LanguageModel>, budget: Budget) -> Self {
        Self { services, model, budget }
    }

    pub fn services(&self) -> &Services {
        &self.services
    }

    pub fn model(&self) -> &dyn LanguageModel {
        &*self.model
    }

    pub async fn write(&self, errand: &Errand, prompt: &Prompt) -> Result<Written, Unanswered> {
        let bytes = (prompt.instructions.len() + prompt.text.len()) as u64;
        let tokens = bytes.div_ceil(TOKEN_BYTES) + u64::from(prompt.max_tokens);
        let model = self.model.writer().unwrap_or_default();
        let open = self.record(errand, model, bytes, tokens).await?;
        let answer = self.model.write(prompt).await;
        self.close(errand, open, answer.as_ref().map(|written| written.tokens)).await;
        Ok(answer?)
    }

    pub async fn embed(&self, errand: &Errand, texts: &[String]) -> Result<Vectors, Unanswered> {
        let bytes = texts.iter().map(|text| text.len() as u64).sum::<u64>();
        let model = self.model.embedder().unwrap_or_default();
        let open = self.record(errand, model, bytes, bytes.div_ceil(TOKEN_BYTES)).await?;
        let answer = self.model.embed(texts).await;
        self.close(errand, open, answer.as_ref().map(|found| found.tokens)).await;
        Ok(answer?)
    }

    async fn record(
        &self,
        errand: &Errand,
        model: &str,
        bytes: u64,
        tokens: u64,
    ) -> Result<Open, Unanswered> {
        let day = self.services.clock.now().to_zoned(TimeZone::UTC).date().to_string();
        let call = self.services.ids.next().to_string();
        let sent = TextSent {
            call: call.clone(),
            purpose: errand.purpose.to_owned(),
            asked_by: errand.asked_by.clone(),
            provider: self.model.provider().to_owned(),
            model: model.to_owned(),
            sample: errand.sample.clone(),
            bytes,
            attempts: self.model.attempts(),
            // Each attempt may be answered, and only the last answer be heard.
            tokens: tokens.saturating_mul(self.model.attempts().into()),
        };
        match self.execute(errand, &day, Command::Send(sent, self.budget, errand.whose.clone())).await {
            Ok(()) => Ok(Open { day, call }),
            Err(Refusal::Rejected(Rejection::State(reason))) => Err(Unanswered::Budget(reason)),
            Err(Refusal::Rejected(Rejection::Field { field, .. })) if field == "/subject" => {
                Err(Unanswered::Subject)
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "language: what is sent is not recorded, and not sent");
                Err(Unanswered::Unrecorded(Box::new(refusal)))
            }
        }
    }

    /// What it cost. If that cannot be recorded, what was held back counts.
    async fn close(&self, errand: &Errand, open: Open, answer: Result<Option<u64>, &Trouble>) {
        let (outcome, tokens) = match answer {
            Ok(tokens) => ("answered", tokens),
            Err(trouble) => (trouble.code(), None),
        };
        metrics::counter!("daybook_language_calls_total", "outcome" => outcome).increment(1);
        // A provider's word, but not beyond reason.
        let tokens = tokens.map(|tokens| tokens.min(self.budget.tokens));
        let answered = Answered { call: open.call, outcome: outcome.to_owned(), tokens };
        if let Err(error) = self.execute(errand, &open.day, Command::Answer(answered)).await {
            tracing::warn!(%error, "language: the end of a call is not recorded");
        }
    }

    async fn execute(&self, errand: &Errand, day: &str, command: Command) -> Result<(), Refusal> {
        let call = self.call(&errand.tenant, &errand.actor, day);
        execute::<LanguageUse>(&self.services, &call, command).await.map(|_| ())
    }

    /// A command of somebody's.
    pub fn call(&self, tenant: &TenantId, actor: &Arc<str>, id: &str) -> Call {
        Call {
            principal: Principal::new(tenant.clone(), "language", &[Role::Writer]),
            actor: actor.clone(),
            role: Role::Writer,
            id: id.to_owned(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        }
    }
}

/// A call without its answer.
struct Open {
    day: String,
    call: String,
}
