//! Commands of webhook endpoints and of deliveries. Role writer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use daybook_http::{Id, Json, JsonBody, Path, Problem};
use domain::api_key::Role;
use domain::decide::stream_of;
use domain::delivery::{self, Delivery};
use domain::endpoint::address::Guard;
use domain::endpoint::{Change, Command, Definition, Headers, NewKey, WebhookEndpoint};
use domain::ports::log::ReadFilter;
use domain::target_url::UrlPolicy;
use domain::{Secret, TenantId};
use serde::{Deserialize, Serialize};
use signatures::{Key, SEED_BYTES, Scheme};
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use super::NoFields;
use crate::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody, problem};
use crate::execute::{Services, execute, load};
use crate::reply::Outcome;

const DEFAULT_OVERLAP_SECONDS: u32 = 86_400;
const PAGE: usize = 500;
/// One request asks for so many deliveries again, and takes so long.
const MAX_AGAIN: usize = 1_000;
const MAX_TIME: Duration = Duration::from_secs(20);

/// Where webhooks may lead to, and whether their secrets can be kept.
#[derive(Clone)]
pub struct Webhooks {
    pub services: Services,
    /// Personal data is sealed, secrets with it.
    pub seals: bool,
    pub urls: UrlPolicy,
    pub guard: Arc<Guard>,
}

pub fn router(webhooks: Webhooks) -> Router {
    Router::new()
        .route("/v1/webhooks/endpoints/{id}/create", post(create))
        .route("/v1/webhooks/endpoints/{id}/change", post(change))
        .route("/v1/webhooks/endpoints/{id}/rotate", post(rotate))
        .route("/v1/webhooks/endpoints/{id}/pause", post(pause))
        .route("/v1/webhooks/endpoints/{id}/resume", post(resume))
        .route("/v1/webhooks/endpoints/{id}/test", post(test))
        .route("/v1/webhooks/endpoints/{id}/delete", post(delete))
        .route("/v1/webhooks/deliveries/{id}/redeliver", post(redeliver))
        .route("/v1/webhooks/redeliver", post(redeliver_many))
        .with_state(webhooks)
}

#[derive(OpenApi)]
#[openapi(paths(create, change, rotate, pause, resume, test, delete, redeliver, redeliver_many))]
pub struct Doc;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookSigning)]
enum Signing {
    /// HMAC-SHA256 with a shared secret
    #[default]
    V1,
    /// Ed25519: the endpoint needs the public key alone
    V1a,
}

/// What an endpoint says, with its secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeWebhook)]
struct Says {
    definition: Definition,
    /// Password, token or key of `auth`. Never given out again
    #[schema(value_type = Option<String>)]
    credential: Option<Secret>,
    /// Sent with every request. Never given out again
    headers: Option<Headers>,
}

impl Says {
    fn change(self) -> Change {
        Change { definition: self.definition, credential: self.credential, headers: self.headers }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWebhook)]
struct Create {
    definition: Definition,
    /// Password, token or key of `auth`. Never given out again
    #[schema(value_type = Option<String>)]
    credential: Option<Secret>,
    /// Sent with every request. Never given out again
    headers: Option<Headers>,
    #[serde(default)]
    signing: Signing,
    /// A key of one's own, `whsec_…` or `whsk_…`, instead of a new one
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateWebhook)]
struct Rotate {
    #[serde(default)]
    signing: Signing,
    /// A key of one's own instead of a new one
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
    /// How long the keys before sign along; a day unless told
    overlap_seconds: Option<u32>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PauseWebhook)]
struct Pause {
    /// Kept with the decision.
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignedWebhook)]
struct Signed {
    /// The key that requests are signed with, shown this once. Absent where it
    /// was brought along, or an answer is repeated for an Idempotency-Key.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// What `v1a` is checked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Webhooks {
    async fn run(
        &self,
        caller: Caller,
        id: &str,
        hash: [u8; 32],
        command: Command,
    ) -> Result<Outcome, Problem> {
        let call = caller.call(Role::Writer, id, hash, self.urls.clone());
        let done = execute::<WebhookEndpoint>(&self.services, &call, command).await;
        done.map_err(|e| problem(e, call.names_version()))
    }

    /// Executes a command that brings a key, and shows the key if it is the one
    /// that was recorded.
    async fn run_with_key(
        &self,
        caller: Caller,
        id: &str,
        hash: [u8; 32],
        (key, new): (NewKey, bool),
        command: impl FnOnce(NewKey) -> Command,
    ) -> Result<Response, Problem> {
        self.can_keep_secrets()?;
        let tenant = caller.principal.tenant.clone();
        let outcome = self.run(caller, id, hash, command(key.clone())).await?;
        let state = self.endpoint(&tenant, id).await?;
        let recorded = state.keys.first().is_some_and(|k| k.secret.clear() == Some(key.secret.reveal()));
        let signed = Signed {
            secret: (new && recorded).then(|| key.secret.reveal().to_owned()),
            public_key: state.keys.first().and_then(|k| k.public_key.clone()),
            outcome,
        };
        let mut response = Json(signed).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    async fn endpoint(&self, tenant: &TenantId, id: &str) -> Result<WebhookEndpoint, Problem> {
        let stream = stream_of::<WebhookEndpoint>(tenant, id).map_err(Problem::internal)?;
        let loaded = load::<WebhookEndpoint>(&self.services, &stream).await;
        Ok(loaded.map_err(|e| problem(e, false))?.state)
    }

    fn can_keep_secrets(&self) -> Result<(), Problem> {
        match self.seals {
            true => Ok(()),
            false => Err(Problem::new(
                daybook_http::Kind::Conflict,
                "This installation records personal data in clear (privacy.encrypt), and secrets of endpoints with it.",
            )),
        }
    }

    /// An address that stands in the URL itself. Names are looked up when
    /// something is sent.
    fn check_host(&self, definition: &Definition) -> Result<(), Problem> {
        let host = definition.url.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        match host.parse() {
            Ok(address) if !self.guard.permits(address) => {
                Err(Problem::field("/definition/url", "must not name a private address"))
            }
            _ => Ok(()),
        }
    }
}

/// The key that was brought along, or a new one, and whether it is new.
fn key(given: Option<Secret>, signing: Signing) -> Result<(NewKey, bool), Problem> {
    let new = given.is_none();
    let key = match given {
        Some(text) => Key::parse(text.reveal()).map_err(|e| Problem::field("/secret", e))?,
        None => {
            let scheme = match signing {
                Signing::V1 => Scheme::V1,
                Signing::V1a => Scheme::V1a,
            };
            Key::new(scheme, &rand::random::<[u8; SEED_BYTES]>())
        }
    };
    Ok((NewKey { secret: Secret::new(key.text().as_str()), public: key.public() }, new))
}

/// Create an endpoint. The answer is the only time its key is shown.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/create", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = Create, responses((status = 200, body = Signed), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn create(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Create>,
) -> Result<Response, Problem> {
    let Create { definition, credential, headers, signing, secret } = body.value;
    webhooks.check_host(&definition)?;
    let change = Change { definition, credential, headers };
    let made = key(secret, signing)?;
    let named = id.to_string();
    let command = |key| Command::Create { endpoint: named, change, key };
    webhooks.run_with_key(caller, &id, body.hash, made, command).await
}

/// Replace all that an endpoint says. Secrets that are left out stay.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/change", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = Says, responses(CommandAnswers))]
async fn change(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Says>,
) -> Result<Outcome, Problem> {
    webhooks.can_keep_secrets()?;
    webhooks.check_host(&body.value.definition)?;
    let command = Command::Change { endpoint: id.to_string(), change: body.value.change() };
    webhooks.run(caller, &id, body.hash, command).await
}

/// Sign with a new key; the keys before sign along for a while. The answer is
/// the only time the key is shown.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/rotate", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = Rotate, responses((status = 200, body = Signed), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn rotate(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Rotate>,
) -> Result<Response, Problem> {
    let Rotate { signing, secret, overlap_seconds } = body.value;
    let overlap_seconds = overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    let made = key(secret, signing)?;
    let endpoint = id.to_string();
    let command = |key| Command::Rotate { endpoint, key, overlap_seconds };
    webhooks.run_with_key(caller, &id, body.hash, made, command).await
}

/// Let deliveries wait.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/pause", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = Pause, responses(CommandAnswers))]
async fn pause(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Pause>,
) -> Result<Outcome, Problem> {
    webhooks.run(caller, &id, body.hash, Command::Pause { reason: body.value.reason }).await
}

/// Send again what waits, to an endpoint that was paused or disabled.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/resume", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn resume(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    webhooks.run(caller, &id, body.hash, Command::Resume).await
}

/// Send a ping: a delivery like any other, of type `webhook.ping`.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/test", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn test(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    webhooks.run(caller, &id, body.hash, Command::Test).await
}

/// Send nothing more, for good.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/delete", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn delete(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    webhooks.run(caller, &id, body.hash, Command::Delete).await
}

/// Ask for a delivery again that has ended; its schedule begins anew.
#[utoipa::path(post, path = "/v1/webhooks/deliveries/{id}/redeliver", tag = "Webhooks", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn redeliver(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    let call = caller.call(Role::Writer, &id, body.hash, UrlPolicy::default());
    let done = execute::<Delivery>(&webhooks.services, &call, delivery::Command::RequestAgain).await;
    done.map_err(|e| problem(e, call.names_version()))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookEnd)]
enum Ended {
    #[default]
    Dead,
    Delivered,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RedeliverWebhooks)]
struct Which {
    endpoint: String,
    /// `dead` unless told.
    #[serde(default)]
    ended: Ended,
    /// Deliveries that ended past this position; 0 unless told. `through` of an
    /// answer that is not complete goes on there.
    #[serde(default)]
    after: u64,
    /// Deliveries that ended up to this position; all unless told.
    upto: Option<u64>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct AskedAgain {
    /// Deliveries that were asked for again.
    requested: usize,
    /// Every delivery that ended up to this position was looked at.
    through: u64,
    /// False after 1,000 deliveries, or if time ran out: ask again with
    /// `after=<through>`.
    complete: bool,
}

/// Ask for all deliveries again of an endpoint that ended so, oldest first.
#[utoipa::path(post, path = "/v1/webhooks/redeliver", tag = "Webhooks", request_body = Which, responses((status = 200, body = AskedAgain), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn redeliver_many(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    body: JsonBody<Which>,
) -> Result<Json<AskedAgain>, Problem> {
    caller.principal.require(Role::Writer)?;
    let (which, deadline) = (body.value, Instant::now() + MAX_TIME);
    let services = &webhooks.services;
    let tenant = caller.principal.tenant.clone();
    let kind = match which.ended {
        Ended::Dead => delivery::DEAD,
        Ended::Delivered => delivery::DELIVERED,
    };
    let filter = ReadFilter { tenant: Some(tenant), ..ReadFilter::types([kind]) };
    let upto = which.upto.unwrap_or(u64::MAX).min(services.log.head().await?.position);
    let mut call = caller.call(Role::Writer, "", body.hash, UrlPolicy::default());
    (call.idempotency, call.if_match) = (None, None);
    let mut done = AskedAgain { through: which.after, ..AskedAgain::default() };
    while done.through < upto {
        let page = services.log.read(done.through, PAGE, &filter).await?;
        for event in page.events.iter().filter(|e| e.position <= upto) {
            if done.requested >= MAX_AGAIN || Instant::now() >= deadline {
                return Ok(Json(done));
            }
            done.through = event.position;
            let ended: delivery::Event = domain::registry::decode(event).map_err(Problem::internal)?;
            let (delivery::Event::Dead { endpoint, .. } | delivery::Event::Delivered { endpoint, .. }) =
                ended
            else {
                continue;
            };
            if endpoint != which.endpoint {
                continue;
            }
            call.id = event.stream.id.to_string();
            let command = delivery::Command::RequestAgain;
            let outcome =
                execute::<Delivery>(services, &call, command).await.map_err(|e| problem(e, false))?;
            done.requested += usize::from(!outcome.events.is_empty());
        }
        if page.through <= done.through && page.events.is_empty() {
            break;
        }
        done.through = page.through.min(upto).max(done.through);
    }
    done.complete = true;
    Ok(Json(done))
}
