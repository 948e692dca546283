//! What an engine knows, as it is kept and gone on with. Rules are kept by
//! what they say, and compiled again.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::TenantId;
use domain::rule::{Definition, Rule};
use jiff::Timestamp;
use models_rules::watched::{Known as Watched, Watched as Series};
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Tenant, Ticked};
use super::watching::{self, Watching};

/// What is known of all tenants.
#[derive(Serialize, Deserialize)]
pub struct Known<'a>(#[serde(borrow)] Vec<KnownTenant<'a>>);

#[derive(Serialize, Deserialize)]
struct KnownTenant<'a> {
    tenant: String,
    #[serde(borrow)]
    rules: Vec<KnownRule<'a>>,
    mutes: Vec<(String, Option<String>, Timestamp)>,
    acted: Vec<(Arc<str>, VecDeque<Timestamp>)>,
    ticked: (u64, Option<Timestamp>),
}

#[derive(Serialize, Deserialize)]
struct KnownRule<'a> {
    id: Arc<str>,
    /// As JSON.
    definition: Option<String>,
    enabled: bool,
    archived: bool,
    version: u32,
    #[serde(borrow)]
    watched: Option<KnownSeries<'a>>,
}

#[derive(Serialize, Deserialize)]
struct KnownSeries<'a> {
    since: u64,
    #[serde(borrow)]
    known: Watched<'a>,
    /// Key, app, and windows that are open and whose opening acted.
    had: Vec<(Arc<str>, Arc<str>, Vec<u64>)>,
    acted: VecDeque<Timestamp>,
}

/// What was kept is not what this build makes.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("a tenant's id: {0}")]
    Tenant(#[from] domain::ids::InvalidId),
    #[error("a rule: {0}")]
    Definition(#[from] serde_json::Error),
}

impl Engine {
    /// All that it knows.
    pub fn known(&self) -> Result<Known<'_>, serde_json::Error> {
        let all = self.tenants.iter().map(|(id, tenant)| tenant.known(id));
        all.collect::<Result<_, _>>().map(Known)
    }

    /// Goes on with what was known.
    pub fn resume(known: Known<'_>) -> Result<Self, Unusable> {
        let mut engine = Self::default();
        for known in known.0 {
            let id = TenantId::new(&known.tenant)?;
            engine.tenants.insert(id, Tenant::resume(known)?);
        }
        engine.count();
        Ok(engine)
    }
}

impl Tenant {
    fn known(&self, id: &TenantId) -> Result<KnownTenant<'_>, serde_json::Error> {
        let mut rules = Vec::with_capacity(self.rules.len());
        for (id, rule) in &self.rules {
            rules.push(KnownRule {
                id: id.clone(),
                definition: rule.definition.as_ref().map(serde_json::to_string).transpose()?,
                enabled: rule.enabled,
                archived: rule.archived,
                version: rule.version,
                watched: self.watching.rules.get(id).map(watching::Rule::known),
            });
        }
        let mutes = self.watching.mutes.iter();
        Ok(KnownTenant {
            tenant: id.to_string(),
            rules,
            mutes: mutes.map(|((rule, key), until)| (rule.clone(), key.clone(), *until)).collect(),
            acted: self.acted.iter().map(|(rule, acted)| (rule.clone(), acted.clone())).collect(),
            ticked: (self.ticked.version, self.ticked.at),
        })
    }

    fn resume(known: KnownTenant<'_>) -> Result<Self, Unusable> {
        let mut tenant = Self {
            acted: known.acted.into_iter().collect(),
            ticked: Ticked { version: known.ticked.0, at: known.ticked.1 },
            ..Self::default()
        };
        tenant.watching.mutes =
            known.mutes.into_iter().map(|(rule, key, until)| ((rule, key), until)).collect();
        for rule in known.rules {
            let definition: Option<Definition> =
                rule.definition.as_deref().map(serde_json::from_str).transpose()?;
            let in_force = definition.as_ref().filter(|_| rule.enabled && !rule.archived);
            let resumed = match (in_force, rule.watched) {
                (Some(definition), Some(series)) => {
                    series.resume(&rule.id, rule.version, definition, &mut tenant.watching)
                }
                (Some(definition), None) if definition.anomaly.is_none() => {
                    tenant.set.put(&rule.id, rule.version, definition)
                }
                _ => Ok(()),
            };
            // It compiled when it was saved, by an older build.
            if let Err(invalid) = resumed {
                tracing::error!(rule = %rule.id, %invalid, "a rule does not compile");
            }
            let KnownRule { id, enabled, archived, version, .. } = rule;
            tenant.rules.insert(id, Rule { definition, enabled, archived, version });
        }
        Ok(tenant)
    }
}

impl watching::Rule {
    fn known(&self) -> KnownSeries<'_> {
        let had = self.series.iter();
        KnownSeries {
            since: self.since,
            known: self.watched.known(),
            had: had.map(|(key, s)| (key.clone(), s.app.clone(), s.acting.clone())).collect(),
            acted: self.acted.clone(),
        }
    }
}

impl KnownSeries<'_> {
    fn resume(
        self,
        id: &Arc<str>,
        version: u32,
        definition: &Definition,
        watching: &mut Watching,
    ) -> Result<(), models_rules::Invalid> {
        let Some(anomaly) = &definition.anomaly else { return Ok(()) };
        let watched = Series::resume(anomaly, self.known)?;
        watching.begin(id, version, definition, (watched, self.since))?;
        if let Some(rule) = watching.rules.get_mut(id) {
            rule.acted = self.acted;
            let had = self.had.into_iter();
            rule.series = had.map(|(key, app, acting)| (key, watching::Series { app, acting })).collect();
        }
        Ok(())
    }
}
