//! The router of the HTTP API, and what it is framed with.

use std::sync::Arc;

use ::audit::AuditState;
use ::audit::export::Exports;
use ::audit::recording::{Recorder, record_query};
use anyhow::Result;
use axum::Router;
use axum::middleware::from_fn_with_state;
use commands::samples::{self, Samples};
use commands::signals::schemas::Schemas;
use commands::signals::{self, Gateway};
use commands::{BulkLimits, SchemaState, Subjects};
use daybook_http::address::TrustedProxies;
use daybook_http::auth::{Authenticator, Failures, KeyRing};
use daybook_http::extract::BodyLimits;
use daybook_http::health::{Health, Status};
use daybook_http::layers::{self, Cors, Routes};
use daybook_http::limits::{Rate, RateLimits};
use daybook_http::{openapi, problem_pages};
use domain::ports::log::EventLog;
use domain::ports::rows::RowStore;
use domain::ports::sql::Sql;
use infra_runtime::Config;
use infra_runtime::config::Role;
use infra_runtime::telemetry::Metrics;
use racing::Racing;
use read_api::ReadState;
use read_api::hub::Hub;
use read_api::routes::tlog::{self, TreeState};
use rewriting::{Rewriting, Sender};
use tokio::sync::Semaphore;
use workers::Signer;

/// Races that are drawn at once.
const DRAWING: usize = 2;
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn router(
    config: &Config,
    subjects: &Subjects,
    (state, tree): (ReadState, TreeState),
    (engine, exports, recorder): (replays::Engine, Exports, Arc<Recorder>),
    (sql, desk, sender): (Option<Arc<dyn Sql>>, Option<runs::Desk>, Option<Sender>),
    ring: Arc<KeyRing>,
    health: Arc<Health>,
) -> Result<Router> {
    let services = &subjects.services;
    let stop = state.stop.clone();
    let mut routes = Routes { health: health.routes(), ..Routes::default() };
    let mut parts = Vec::new();
    let rewriting = Rewriting::new(services.clone(), state.rows.clone(), sender);
    if config.roles.has(Role::Commands) {
        let commanded = commanded(config, subjects, (&ring, &state.rows))?;
        routes.api = routes.api.merge(commanded).merge(rewriting::router(rewriting.clone()));
        parts.extend([commands::openapi(), racing::openapi(), rewriting::openapi()]);
    }
    if config.roles.has(Role::ReadApi) {
        // Auditors are told what is recorded, with personal data sealed.
        let history = AuditState::new(engine.clone(), tree.log.clone()).with_exports(exports);
        let auditing = ::audit::router(history).merge(tlog::router(tree.clone()));
        routes.api = routes.api.merge(read_api::router(state)).merge(auditing);
        routes.api = routes.api.merge(rewriting::reads(rewriting));
        let read = [read_api::openapi(), ::audit::openapi(), tlog::openapi(), rewriting::reads_openapi()];
        parts.extend(read);
        if config.audit.public {
            parts.push(tlog::public_openapi());
        }
    }
    if config.roles.has(Role::Commands) {
        routes.api = routes.api.merge(replays::routes::router(engine));
        parts.push(<replays::routes::Doc as utoipa::OpenApi>::openapi());
    }
    if let Some(mut desk) = desk {
        desk.stop = stop;
        let served = runs::routes::Served {
            commands: config.roles.has(Role::Commands),
            reads: config.roles.has(Role::ReadApi),
        };
        routes.api = routes.api.merge(runs::routes::router(desk, served));
        parts.push(runs::routes::openapi());
    }
    if !parts.is_empty() {
        if config.roles.has(Role::Hub) {
            parts.push(read_api::hub::openapi());
        }
        if let Some(sql) = sql {
            let recorded = from_fn_with_state(recorder.clone(), record_query);
            routes.api = routes.api.merge(read_api::routes::sql::router(sql).route_layer(recorded));
            parts.push(read_api::routes::sql::openapi());
        }
        let document =
            openapi::document(VERSION, "One append-only log; every ledger is posted from it.", parts);
        routes.open = openapi::routes(&document)?.merge(problem_pages::routes());
    }
    if config.roles.has(Role::ReadApi) && config.audit.public {
        routes.open = routes.open.merge(tlog::public_router(tree));
    }
    let auth = Authenticator {
        ring,
        clock: services.clock.clone(),
        failures: Arc::new(Failures::new(config.auth.failures_per_minute)),
        seen: Some(recorder.seen()),
    };
    let limits = &config.limits;
    let origins = &config.http.cors_allowed_origins;
    let framed = layers::Config {
        auth,
        rates: RateLimits::new(
            Rate::new(limits.rate_per_second, limits.rate_burst),
            Rate::new(limits.global_rate_per_second, limits.global_rate_burst),
        ),
        body: BodyLimits { bytes: limits.body_bytes, depth: limits.json_depth },
        timeout: config.http.timeout(),
        concurrency: config.http.concurrency,
        cors: Cors::parse(origins).map_err(|e| config.invalid("http.cors_allowed_origins", e))?,
        proxies: proxies(config)?,
        ids: services.ids.clone(),
    };
    Ok(layers::apply(routes, framed))
}

/// Every command's route.
fn commanded(
    config: &Config,
    subjects: &Subjects,
    (ring, rows): (&Arc<KeyRing>, &Arc<dyn RowStore>),
) -> Result<Router> {
    let services = &subjects.services;
    let mut router = commands::router(services.clone(), ring.clone());
    router = router.merge(commands::subjects(subjects.clone()));
    let webhooks = super::webhooks::commanded(config, services)?;
    router = router.merge(commands::webhooks(webhooks));
    let of = &config.gateway;
    let rates = RateLimits::new(
        Rate::new(of.rate_per_second, of.rate_burst),
        Rate::new(of.global_rate_per_second, of.global_rate_burst),
    );
    let schemas = Schemas::new(services.log.clone());
    let state = SchemaState { services: services.clone(), schemas: schemas.clone() };
    router = router.merge(commands::schemas(state));
    let gateway = Gateway { services: services.clone(), schemas, rates };
    router = router.merge(signals::router(gateway));
    let samples = Samples::new(services.clone(), Arc::new(super::texts::TextFiles));
    router = router.merge(samples::router(samples));
    router = router.merge(racing::router(Racing::new(services.clone(), rows.clone(), DRAWING)));
    Ok(router)
}

pub fn bulk_limits(config: &Config) -> BulkLimits {
    BulkLimits {
        body_bytes: config.limits.bulk_body_bytes,
        rows: config.limits.bulk_rows,
        uploads: Arc::new(Semaphore::new(config.limits.bulk_uploads)),
    }
}

pub fn proxies(config: &Config) -> Result<TrustedProxies> {
    let trusted = TrustedProxies::parse(&config.http.trusted_proxies);
    Ok(trusted.map_err(|e| config.invalid("http.trusted_proxies", e))?)
}

/// Ready means: the log answers, and the rows can be read. A process with the
/// hub is ready without them, since a proxy that asks must not take it away
/// from the taps: its redirects go on without the database.
pub fn health(
    log: &Arc<dyn EventLog>,
    state: &ReadState,
    hub: Option<&Hub>,
    signer: Option<&Signer>,
    metrics: Metrics,
) -> Arc<Health> {
    let (log, rows) = (log.clone(), state.rows.clone());
    let hub_position = hub.map(|h| h.table().clone());
    let required = hub.is_none();
    let mut health = Health::new(VERSION, move || metrics.render())
        .component("log", required, {
            let log = log.clone();
            move || {
                let log = log.clone();
                async move {
                    match log.head().await {
                        Ok(head) => Status::ok(format!("head at position {}", head.position)),
                        Err(error) => unavailable(&error),
                    }
                }
            }
        })
        .component("rows", required, move || {
            let rows = rows.clone();
            async move {
                match rows.generations().await {
                    Ok(all) => Status::ok(format!("{} generations", all.len())),
                    Err(error) => unavailable(&error),
                }
            }
        });
    if let Some(table) = hub_position {
        health = health.component("hub", false, move || {
            let table = table.clone();
            async move { Status::ok(format!("table at position {}", table.position())) }
        });
    }
    if let Some(state) = signer.map(Signer::state) {
        health = health.component("signer", false, move || {
            let status = super::audit::health(&state);
            async move { status }
        });
    }
    Arc::new(health)
}

/// The page is public, so the reason goes to the log.
fn unavailable(error: &dyn std::fmt::Display) -> Status {
    tracing::warn!(%error, "health");
    Status::failed("cannot be read")
}
