//! Commands of rules, and what a rule would have matched.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem, Query};
use domain::RecordedEvent;
use domain::anomaly_window::Detected;
use domain::api_key::Role;
use domain::ports::log::{EventLog, ReadFilter};
use domain::rule::{Anomaly, Command, Definition, Rule};
use domain::rule_match::TICKED;
use domain::target_url::UrlPolicy;
use domain::{StreamId, rule, signal};
use jiff::Timestamp;
use models_rules::watched::{Place, Told, Watched, body as body_of};
use models_rules::{Compiled, Outcome as Judged};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{NoFields, write};
use crate::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody, problem};
use crate::execute::{Services, load};
use crate::reply::Outcome;

const PAGE: usize = 1_000;
/// A dry run answers with what it has after so long.
const MAX_TIME: Duration = Duration::from_secs(20);
const MAX_NAMED: usize = 1_000;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Disable {
    /// Kept with the decision.
    reason: Option<String>,
}

pub fn router() -> Router<Services> {
    Router::new()
        .route("/v1/rules/{id}/define", post(define))
        .route("/v1/rules/{id}/change", post(change))
        .route("/v1/rules/{id}/enable", post(enable))
        .route("/v1/rules/{id}/disable", post(disable))
        .route("/v1/rules/{id}/archive", post(archive))
        .route("/v1/rules/{id}/dry-run", post(dry_run))
}

#[derive(OpenApi)]
#[openapi(paths(define, change, enable, disable, archive, dry_run))]
pub struct Doc;

/// Compiles what the rule says, so that nothing is kept that can't be asked.
fn compiled(definition: &Definition) -> Result<Compiled, Problem> {
    definition.check()?;
    watched(definition)?;
    Compiled::new(definition).map_err(|e| Problem::field(e.pointer, e.reason))
}

fn watched(definition: &Definition) -> Result<Option<Watched>, Problem> {
    let watched = definition.anomaly.as_ref().map(Watched::new).transpose();
    watched.map_err(|e| Problem::field(e.pointer, e.reason))
}

/// Define a rule, in force for the signals after it.
#[utoipa::path(post, path = "/v1/rules/{id}/define", tag = "Rules", params(("id" = String, Path), CommandHeaders), request_body = Definition, responses(CommandAnswers))]
async fn define(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Definition>,
) -> Result<Outcome, Problem> {
    compiled(&body.value)?;
    say(&services, caller, &id, body.hash, Command::Define(body.value)).await
}

/// Replace all that a rule says, for the signals after it.
#[utoipa::path(post, path = "/v1/rules/{id}/change", tag = "Rules", params(("id" = String, Path), CommandHeaders), request_body = Definition, responses(CommandAnswers))]
async fn change(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Definition>,
) -> Result<Outcome, Problem> {
    compiled(&body.value)?;
    say(&services, caller, &id, body.hash, Command::Change(body.value)).await
}

/// Put a rule in force again.
#[utoipa::path(post, path = "/v1/rules/{id}/enable", tag = "Rules", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn enable(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    say(&services, caller, &id, body.hash, Command::Enable).await
}

/// Take a rule out of force.
#[utoipa::path(post, path = "/v1/rules/{id}/disable", tag = "Rules", params(("id" = String, Path), CommandHeaders), request_body = Disable, responses(CommandAnswers))]
async fn disable(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Disable>,
) -> Result<Outcome, Problem> {
    say(&services, caller, &id, body.hash, Command::Disable { reason: body.value.reason }).await
}

/// Take a rule out of force for good.
#[utoipa::path(post, path = "/v1/rules/{id}/archive", tag = "Rules", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn archive(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    say(&services, caller, &id, body.hash, Command::Archive).await
}

async fn say(
    services: &Services,
    caller: Caller,
    id: &str,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    write::<Rule>(services, caller, id, body_hash, UrlPolicy::default(), command).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Span {
    /// Signals past this position; 0 unless told. `through` of an answer that
    /// is not complete goes on there.
    #[serde(default)]
    after: u64,
    /// Signals up to this position; all unless told.
    upto: Option<u64>,
    /// Received at or after this RFC 3339 time.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Received before this RFC 3339 time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
}

/// Nothing, for the rule as it is, or what it might say instead.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Instead {
    definition: Option<Definition>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct DryRun {
    #[serde(skip)]
    rule: String,
    #[serde(skip)]
    version: u32,
    /// Signals that the rule was asked of.
    signals: u64,
    matched: u64,
    /// Its expression could not be evaluated.
    failed: u64,
    /// The first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Positions of the first 1,000 matches.
    positions: Vec<u64>,
    /// Of a rule with `anomaly`, how often a window was opened, extended or
    /// closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<u64>,
    /// The first 1,000 of these, as they would have been recorded. Nothing is
    /// muted or held back by a throttle, so nothing is said of acting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Detected>,
    /// Every signal up to this position was looked at.
    through: u64,
    /// False if time ran out: ask again with `after=<through>`.
    complete: bool,
}

/// What the rule, or what it might say instead, would have matched. Reads
/// history and records nothing. Role writer.
#[utoipa::path(
    post, path = "/v1/rules/{id}/dry-run", tag = "Rules", params(("id" = String, Path), Span), request_body = Instead,
    responses((status = 200, body = DryRun), (status = "4XX", content_type = "application/problem+json", body = ProblemBody))
)]
async fn dry_run(
    State(services): State<Services>,
    Path(id): Path<Id>,
    Query(span): Query<Span>,
    principal: Principal,
    body: JsonBody<Instead>,
) -> Result<Json<DryRun>, Problem> {
    principal.require(Role::Writer)?;
    let mut begun = DryRun { rule: id.to_string(), through: span.after, ..DryRun::default() };
    let definition = match body.value.definition {
        Some(definition) => definition,
        None => {
            let stream = StreamId::new(&principal.tenant, rule::KIND, &id).map_err(Problem::internal)?;
            let rule = load::<Rule>(&services, &stream).await.map_err(|e| problem(e, false))?.state;
            begun.version = rule.version;
            rule.definition.ok_or_else(Problem::not_found)?
        }
    };
    let rule = compiled(&definition)?;
    let types = definition.anomaly.as_ref().map_or(vec![signal::RECEIVED], Anomaly::event_types);
    let filter = ReadFilter { tenant: Some(principal.tenant.clone()), ..ReadFilter::types(types) };
    run(&*services.log, &filter, &span, &definition, &rule, begun).await.map(Json)
}

async fn run(
    log: &dyn EventLog,
    filter: &ReadFilter,
    span: &Span,
    definition: &Definition,
    rule: &Compiled,
    mut done: DryRun,
) -> Result<DryRun, Problem> {
    let deadline = Instant::now() + MAX_TIME;
    let end = match span.upto {
        Some(upto) => upto,
        None => log.head().await?.position,
    };
    let mut watched = watched(definition)?;
    done.changes = watched.as_ref().map(|_| 0);
    while done.through < end {
        let page = log.read(done.through, PAGE, filter).await?;
        for event in page.events.iter().filter(|e| e.position <= end) {
            let at = event.recorded_at;
            if span.from.is_some_and(|from| at < from) || span.to.is_some_and(|to| at >= to) {
                continue;
            }
            if *event.event_type == *TICKED {
                if let Some(watched) = &mut watched {
                    let told = watched.tick(Place::of(event));
                    done.tell(&told, definition.app.as_deref().unwrap_or_default(), event.position);
                }
                continue;
            }
            let Ok(signal) = body_of(event) else { continue };
            let matched = done.judge(definition, rule, &signal, event.position);
            if let Some(watched) = watched.as_mut().filter(|_| matched) {
                done.watch(watched, definition, rule, &signal, event);
            }
        }
        if page.through <= done.through {
            break;
        }
        done.through = page.through.min(end);
        if Instant::now() >= deadline {
            return Ok(done);
        }
    }
    done.complete = true;
    Ok(done)
}

impl DryRun {
    fn watch(
        &mut self,
        watched: &mut Watched,
        definition: &Definition,
        rule: &Compiled,
        signal: &Value,
        event: &RecordedEvent,
    ) {
        let told = watched.observe(rule, signal, Place::of(event)).unwrap_or_default();
        let app = definition.app.as_deref().or_else(|| signal["app"].as_str()).unwrap_or_default();
        self.tell(&told, app, event.position);
    }

    fn tell(&mut self, told: &[Told], app: &str, position: u64) {
        self.changes = self.changes.map(|changes| changes + told.len() as u64);
        let room = MAX_NAMED.saturating_sub(self.windows.len());
        let detected = |told: &Told| told.detected(&self.rule, self.version, app, position);
        self.windows.extend(told.iter().take(room).map(detected).collect::<Vec<_>>());
    }

    /// Whether the signal matches.
    fn judge(&mut self, definition: &Definition, rule: &Compiled, signal: &Value, position: u64) -> bool {
        let asks = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| signal[name].as_str() == Some(wanted))
        };
        let concerned = asks(&definition.app, "app")
            && asks(&definition.category, "category")
            && asks(&definition.event_type, "type");
        if !concerned {
            return false;
        }
        self.signals += 1;
        match rule.judge(signal) {
            Judged::Matches => {
                self.matched += 1;
                if self.positions.len() < MAX_NAMED {
                    self.positions.push(position);
                }
                return true;
            }
            Judged::Fails(reason) => {
                self.failed += 1;
                self.failure.get_or_insert(reason);
            }
            Judged::Differs => {}
        }
        false
    }
}
