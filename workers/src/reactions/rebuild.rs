//! The engine as it was at a position, from the log alone: for a first start, and
//! where what was kept can't be used.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::decide::Decide;
use domain::ports::log::{EventLog, LogError, Page, ReadFilter};
use domain::registry::{decode, decode_payload};
use domain::rule::{self, Rule, Throttle};
use domain::rule_match::{MATCHED, RuleMatch, TICKED};
use domain::{RecordedEvent, TenantId, tap};

use super::engine::{Engine, RULES};
use super::{PAGE, ReactError, unreadable};

/// Of ticks the newest version is known, too: the next one has to follow it.
fn settings() -> Vec<&'static str> {
    RULES.into_iter().chain([TICKED]).collect()
}

/// What a rule's throttle was, from which position on.
type Throttles = HashMap<(TenantId, Arc<str>), BTreeMap<u64, Option<Throttle>>>;

pub async fn engine(log: &dyn EventLog, upto: u64) -> Result<Engine, ReactError> {
    let mut engine = Engine::default();
    let (mut throttles, mut states) = (Throttles::new(), HashMap::new());
    fold(
        log,
        0,
        upto,
        |_| settings(),
        &mut engine,
        |engine, event| {
            if let Err(error) = remember(event, &mut states, &mut throttles) {
                unreadable(event, &error);
            }
            engine.again(event)
        },
    )
    .await?;
    if let Some(since) = engine.watching_since() {
        engine = Engine::default();
        fold(log, 0, since, |_| settings(), &mut engine, Engine::again).await?;
        fold(log, since, upto, Engine::types, &mut engine, Engine::again).await?;
    }
    throttles.retain(|_, said| said.values().any(Option::is_some));
    if !throttles.is_empty() {
        actions(log, upto, &throttles, &mut engine).await?;
    }
    Ok(engine)
}

/// The page after a position, of what is still there: taps that were trimmed are
/// no points any more.
pub async fn page(log: &dyn EventLog, after: u64, types: &[&str]) -> Result<Page, LogError> {
    let filter = ReadFilter::types(types.iter().copied());
    match log.read(after, PAGE, &filter).await {
        Err(LogError::Trimmed { upto }) if types.contains(&tap::TAPPED) => {
            tracing::warn!(after, upto, "reactor: taps were trimmed before they were looked at");
            let rest = types.iter().copied().filter(|name| *name != tap::TAPPED);
            let mut page = log.read(after, PAGE, &ReadFilter::types(rest)).await?;
            page.events.retain(|event| event.position <= upto);
            page.through = page.through.min(upto);
            Ok(page)
        }
        page => page,
    }
}

async fn fold(
    log: &dyn EventLog,
    mut after: u64,
    upto: u64,
    types: impl Fn(&Engine) -> Vec<&'static str>,
    engine: &mut Engine,
    mut take: impl FnMut(&mut Engine, &RecordedEvent) -> Result<(), domain::registry::DecodeError>,
) -> Result<(), ReactError> {
    while after < upto {
        let wanted = types(engine);
        let page = page(log, after, &wanted).await?;
        if page.through <= after {
            break;
        }
        after = page.through;
        for event in page.events.iter().filter(|event| event.position <= upto) {
            take(engine, event).unwrap_or_else(|error| unreadable(event, &error));
            if &*event.stream.kind == rule::KIND && types(engine) != wanted {
                after = event.position;
                break;
            }
        }
    }
    Ok(())
}

fn remember(
    event: &RecordedEvent,
    states: &mut HashMap<(TenantId, Arc<str>), Rule>,
    throttles: &mut Throttles,
) -> Result<(), domain::registry::DecodeError> {
    if &*event.stream.kind != rule::KIND {
        return Ok(());
    }
    let key = (event.stream.tenant.clone(), event.stream.id.clone());
    let state = states.entry(key.clone()).or_default();
    state.evolve(decode(event)?);
    let throttle = state.definition.as_ref().and_then(|definition| definition.throttle);
    throttles.entry(key).or_default().insert(event.position, throttle);
    Ok(())
}

/// What throttled rules set off, in the order of the signals. A match is recorded
/// a while after its signal, so those past `upto` are looked at, too.
async fn actions(
    log: &dyn EventLog,
    upto: u64,
    throttles: &Throttles,
    engine: &mut Engine,
) -> Result<(), ReactError> {
    let filter = ReadFilter::types([MATCHED]);
    let mut after = 0;
    loop {
        let page = log.read(after, PAGE, &filter).await?;
        for event in &page.events {
            let found: RuleMatch = match decode_payload(event) {
                Ok(found) => found,
                Err(error) => {
                    unreadable(event, &error);
                    continue;
                }
            };
            let key = (event.stream.tenant.clone(), Arc::from(found.rule.as_str()));
            let said = throttles.get(&key).and_then(|said| said.range(..found.signal).next_back());
            if let Some((_, Some(throttle))) = said.filter(|_| found.acts && found.signal <= upto) {
                engine.acted(&key.0, &key.1, event.at(), *throttle);
            }
        }
        if page.through <= after {
            return Ok(());
        }
        after = page.through;
    }
}
