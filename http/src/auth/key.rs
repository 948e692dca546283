//! The text form of API keys.
//!
//! An issued key reads `dbk_<id>_<secret>`. The secret has 256 random bits,
//! so its plain SHA-256 can be stored. Keys from the environment may have any
//! form and are compared as a whole.

use std::fmt;

use domain::api_key::Role;
use domain::{Secret, TenantId};
use rand::{CryptoRng, RngExt};
use sha2::{Digest, Sha256};

const PREFIX: &str = "dbk_";

/// A key that has just been made. `text` is shown to its owner once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub id: String,
    /// What `api_key.issued` stores.
    pub secret_sha256: String,
    pub text: Secret,
}

impl NewKey {
    /// From the operating system's randomness.
    pub fn generate() -> Self {
        Self::generate_with(&mut rand::rng())
    }

    pub fn generate_with(rng: &mut impl CryptoRng) -> Self {
        let id = hex::encode(rng.random::<[u8; 8]>());
        let secret = hex::encode(rng.random::<[u8; 32]>());
        let text = Secret::new(format!("{PREFIX}{id}_{secret}"));
        Self { secret_sha256: hex::encode(hash(&secret)), id, text }
    }
}

/// Id and secret of an issued key's text.
pub fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(PREFIX)?.split_once('_')
}

pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A key that the operator put into the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticKey {
    /// `env-1`, `env-2`, …: says nothing about the key.
    pub id: String,
    pub sha256: [u8; 32],
    pub tenant: TenantId,
    pub roles: Vec<Role>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidKey {
    /// 1 for the first key of the list.
    pub number: usize,
    pub reason: String,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of the list: {}", self.number, self.reason)
    }
}

impl std::error::Error for InvalidKey {}

/// Reads a comma-separated list of `key` (an admin of `default_tenant`),
/// `key:tenant` or `key:tenant:role+role`. Errors don't quote the keys.
pub fn parse_static(list: &str, default_tenant: &TenantId) -> Result<Vec<StaticKey>, InvalidKey> {
    let texts = list.split(',').map(str::trim).filter(|t| !t.is_empty());
    texts
        .enumerate()
        .map(|(i, text)| {
            let number = i + 1;
            parse_one(text, number, default_tenant).map_err(|reason| InvalidKey { number, reason })
        })
        .collect()
}

fn parse_one(text: &str, number: usize, default_tenant: &TenantId) -> Result<StaticKey, String> {
    let mut parts = text.split(':');
    let secret = parts.next().unwrap_or_default();
    if secret.is_empty() || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be visible ASCII characters".into());
    }
    let tenant = match parts.next() {
        Some(tenant) => TenantId::new(tenant).map_err(|e| format!("the tenant {e}"))?,
        None => default_tenant.clone(),
    };
    let roles = match parts.next() {
        Some(roles) => roles
            .split('+')
            .map(|r| Role::parse(r).ok_or_else(|| format!("there is no role {r:?}")))
            .collect::<Result<_, _>>()?,
        None => vec![Role::Admin],
    };
    if parts.next().is_some() {
        return Err("has more than key:tenant:roles".into());
    }
    Ok(StaticKey { id: format!("env-{number}"), sha256: hash(secret), tenant, roles })
}
