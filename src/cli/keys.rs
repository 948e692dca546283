//! `daybook keys`: API keys, written to the log directly. Whoever may open the
//! database may issue keys for any tenant.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use commands::Outcome;
use commands::execute::{Call, Services, execute, load};
use daybook_http::Principal;
use daybook_http::auth::NewKey;
use domain::api_key::{self, ApiKey, Command, Role};
use domain::ports::log::ReadFilter;
use domain::target_url::UrlPolicy;
use domain::{StreamId, TenantId};
use jiff::Timestamp;
use serde_json::json;

use super::exit;
use super::output::Output;

const PAGE: usize = 1_000;

#[derive(Args)]
pub struct Keys {
    #[command(subcommand)]
    what: What,
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
}

#[derive(Subcommand)]
enum What {
    /// Issue a key; it is printed once and kept as a hash
    Create {
        /// What the key is for
        #[arg(long)]
        name: String,
        /// writer, reader, operator, auditor, admin or ingest; may be repeated
        #[arg(id = "key_roles", long = "role", required = true, value_parser = role)]
        roles: Vec<Role>,
        /// RFC 3339 time
        #[arg(long, value_name = "TIME")]
        expires: Option<Timestamp>,
        /// The only app whose signals it may send; with --role ingest alone
        #[arg(long)]
        app: Option<String>,
    },
    /// The tenant's keys, without their secrets
    List,
    /// Refuse a key from now on
    Revoke { id: String },
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "is no role: writer, reader, operator, auditor, admin or ingest".into())
}

pub async fn run(args: Keys, services: &Services, out: &mut Output) -> Result<u8> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    match args.what {
        What::Create { name, roles, expires, app } => {
            let new = NewKey::generate();
            let secret_sha256 = new.secret_sha256.clone();
            let command = Command::Issue { name, roles, expires_at: expires, app, secret_sha256 };
            let outcome = write(services, &tenant, &new.id, command).await?;
            out.line(&if out.json {
                json!({"id": new.id, "key": new.text.reveal(), "tenant": tenant, "position": outcome.position})
                    .to_string()
            } else {
                format!("{}\n(shown once; send it as X-API-Key)", new.text.reveal())
            })?;
        }
        What::List => list(services, &tenant, out).await?,
        What::Revoke { id } => {
            let outcome = write(services, &tenant, &id, Command::Revoke).await?;
            out.line(&if out.json {
                json!({"id": id, "revoked": true, "position": outcome.position}).to_string()
            } else {
                format!("{id} is refused from now on")
            })?;
        }
    }
    Ok(exit::OK)
}

async fn write(services: &Services, tenant: &TenantId, id: &str, command: Command) -> Result<Outcome> {
    let call = Call {
        principal: Principal::new(tenant.clone(), "cli", &[Role::Admin]),
        actor: super::actor(),
        role: Role::Admin,
        id: id.to_owned(),
        if_match: None,
        idempotency: None,
        correlation_id: None,
        urls: UrlPolicy::default(),
    };
    Ok(execute::<ApiKey>(services, &call, command).await?)
}

async fn list(services: &Services, tenant: &TenantId, out: &mut Output) -> Result<()> {
    let filter = ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types([api_key::ISSUED]) };
    let mut after = 0;
    loop {
        let page = services.log.read(after, PAGE, &filter).await?;
        for event in &page.events {
            print(services, &event.stream, out).await?;
        }
        if page.through <= after {
            return Ok(());
        }
        after = page.through;
    }
}

async fn print(services: &Services, stream: &StreamId, out: &mut Output) -> Result<()> {
    let key = load::<ApiKey>(services, stream).await?.state;
    let roles: Vec<_> = key.roles.iter().map(|r| r.as_str()).collect();
    let expired = key.expires_at.is_some_and(|at| at <= services.clock.now());
    if out.json {
        let object = json!({"id": stream.id, "name": key.name, "roles": roles, "app": key.app, "expires_at": key.expires_at,
            "expired": expired, "revoked": key.revoked});
        return out.line(&object.to_string());
    }
    let state = match (key.revoked, expired) {
        (true, _) => "revoked",
        (_, true) => "expired",
        _ => "good",
    };
    out.line(&format!("{}  {state:<8} {:<24} {}", stream.id, roles.join("+"), key.name))
}
