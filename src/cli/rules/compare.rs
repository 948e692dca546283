//! A changed rule beside what it says in the log: which matches, or windows,
//! appear and which vanish over the recorded history. Writes nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use domain::decide::Decide;
use domain::ports::log::{EventLog, ReadFilter};
use domain::rule::{self, Definition, Rule};
use domain::rule_match::TICKED;
use domain::{RecordedEvent, StreamId, TenantId, registry, signal};
use models_rules::watched::{Place, Told, Watched, body, instant};
use models_rules::{Compiled, Outcome};
use serde_json::{Value, json};

use super::{PAGE, Unusable};
use crate::cli::output::Output;

/// Findings of one kind that are named; the others are counted.
const MAX_NAMED: usize = 1_000;

pub struct Span {
    pub tenant: TenantId,
    pub from: u64,
    pub to: Option<u64>,
    /// Findings shown of each kind and rule.
    pub show: usize,
}

pub async fn run(
    log: &dyn EventLog,
    rules: BTreeMap<String, Definition>,
    span: &Span,
    out: &mut Output,
) -> Result<()> {
    let mut compared = Vec::new();
    for (id, definition) in rules {
        let before = in_force(log, &span.tenant, &id).await?;
        compared.push(Compared::new(id, before, definition)?);
    }
    let mut types: Vec<&'static str> = compared.iter().flat_map(Compared::types).collect();
    types.sort_unstable();
    types.dedup();
    let filter = ReadFilter { tenant: Some(span.tenant.clone()), ..ReadFilter::types(types) };
    let until = span.to.unwrap_or(u64::MAX).min(log.head().await?.position);
    let mut after = super::begin(log, span.from, &filter).await?;
    while after < until {
        let page = log.read(after, PAGE, &filter).await?;
        for event in page.events.iter().filter(|event| event.position <= until) {
            let body = body(event)?;
            compared.iter_mut().for_each(|rule| rule.event(event, &body));
        }
        after = page.through.max(after + 1);
    }
    compared.iter_mut().for_each(Compared::end);
    print(&compared, span.show, out)
}

/// What the rule says in the log, if it is in force.
async fn in_force(log: &dyn EventLog, tenant: &TenantId, id: &str) -> Result<Option<Definition>> {
    let stream = StreamId::new(tenant, rule::KIND, id).context("a rule's id")?;
    let (mut said, mut version) = (Rule::default(), 1);
    loop {
        let events = log.read_stream(&stream, version, PAGE).await?;
        for event in &events {
            said.evolve(registry::decode(event)?);
        }
        if events.len() < PAGE {
            return Ok(said.definition.filter(|_| said.enabled && !said.archived));
        }
        version += events.len() as u64;
    }
}

/// One rule, as it is and as it would be.
struct Compared {
    id: String,
    before: Option<Side>,
    after: Side,
    same: u64,
    appear: Findings,
    vanish: Findings,
}

#[derive(Default)]
struct Findings {
    count: u64,
    named: Vec<Value>,
}

/// What a rule says, asked of one fact after the other.
struct Side {
    definition: Definition,
    compiled: Compiled,
    watched: Option<Watched>,
    asked: u64,
    found: u64,
    failed: u64,
    windows: BTreeMap<(String, u64), Window>,
}

struct Window {
    start: i64,
    end: i64,
    peak: f64,
}

impl Findings {
    fn add(&mut self, what: Value) {
        self.count += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(what);
        }
    }
}

impl Compared {
    fn new(id: String, before: Option<Definition>, after: Definition) -> Result<Self> {
        let side = |definition| Side::new(&id, definition);
        let (before, after) = (before.map(side).transpose()?, side(after)?);
        Ok(Self { id, before, after, same: 0, appear: Findings::default(), vanish: Findings::default() })
    }

    fn types(&self) -> Vec<&'static str> {
        self.before.iter().chain([&self.after]).flat_map(Side::types).collect()
    }

    fn event(&mut self, event: &RecordedEvent, body: &Value) {
        let before = self.before.as_mut().is_some_and(|side| side.event(event, body));
        let what = || {
            json!({"position": event.position, "app": body["app"], "type": body["type"], "source": body["source"],
                "id": body["id"]})
        };
        match (before, self.after.event(event, body)) {
            (true, true) => self.same += 1,
            (false, true) => self.appear.add(what()),
            (true, false) => self.vanish.add(what()),
            (false, false) => {}
        }
    }

    /// Windows of a series that overlap are the same one.
    fn end(&mut self) {
        let none = BTreeMap::new();
        let before = self.before.as_ref().map_or(&none, |side| &side.windows);
        let (same, appear) = split(&self.after.windows, before);
        self.same += same;
        appear.into_iter().for_each(|window| self.appear.add(window));
        let (_, vanish) = split(before, &self.after.windows);
        vanish.into_iter().for_each(|window| self.vanish.add(window));
    }

    fn found(&self) -> (u64, u64) {
        (self.before.as_ref().map_or(0, Side::found), self.after.found())
    }

    fn json(&self) -> Value {
        let (before, after) = self.found();
        json!({"rule": self.id, "in_force": self.before.is_some(), "asked": self.after.asked, "before": before,
            "after": after, "failed": self.after.failed, "same": self.same, "appear": self.appear.count,
            "vanish": self.vanish.count, "appeared": self.appear.named, "vanished": self.vanish.named})
    }
}

impl Side {
    fn new(id: &str, definition: Definition) -> Result<Self> {
        let unusable = |e| Unusable::Invalid(id.to_owned(), e);
        let compiled = Compiled::new(&definition).map_err(unusable)?;
        let watched = definition.anomaly.as_ref().map(Watched::new).transpose().map_err(unusable)?;
        let windows = BTreeMap::new();
        Ok(Self { definition, compiled, watched, asked: 0, found: 0, failed: 0, windows })
    }

    fn types(&self) -> Vec<&'static str> {
        self.definition.anomaly.as_ref().map_or(vec![signal::RECEIVED], |anomaly| anomaly.event_types())
    }

    fn found(&self) -> u64 {
        self.found + self.windows.len() as u64
    }

    /// Whether a fact is a match. The points of a series are none.
    fn event(&mut self, event: &RecordedEvent, body: &Value) -> bool {
        if !self.types().contains(&&*event.event_type) {
            return false;
        }
        if *event.event_type == *TICKED {
            let told = self.watched.as_mut().map(|watched| watched.tick(Place::of(event)));
            self.keep(told.unwrap_or_default());
            return false;
        }
        let asks = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| body[name].as_str() == Some(wanted))
        };
        let of = &self.definition;
        if !(asks(&of.app, "app") && asks(&of.category, "category") && asks(&of.event_type, "type")) {
            return false;
        }
        self.asked += 1;
        match self.compiled.judge(body) {
            Outcome::Differs => return false,
            Outcome::Fails(_) => {
                self.failed += 1;
                return false;
            }
            Outcome::Matches => {}
        }
        let Some(watched) = &mut self.watched else {
            self.found += 1;
            return true;
        };
        let told = watched.observe(&self.compiled, body, Place::of(event));
        self.keep(told.unwrap_or_default());
        false
    }

    fn keep(&mut self, told: Vec<Told>) {
        for told in told {
            let (start, end, peak) = (told.window.start, told.window.end, told.window.peak.value);
            self.windows.insert((told.key.to_string(), told.window.number), Window { start, end, peak });
        }
    }
}

/// How many windows are in both, and those that are only here.
fn split(
    here: &BTreeMap<(String, u64), Window>,
    there: &BTreeMap<(String, u64), Window>,
) -> (u64, Vec<Value>) {
    let (mut same, mut only) = (0, Vec::new());
    for ((key, _), window) in here {
        let of_key = there.range((key.clone(), 0)..=(key.clone(), u64::MAX));
        let overlaps = |other: &Window| other.start <= window.end && window.start <= other.end;
        if of_key.into_iter().any(|(_, other)| overlaps(other)) {
            same += 1;
        } else {
            let (start, end) = (instant(window.start), instant(window.end));
            only.push(json!({"key": key, "start": start, "end": end, "peak": window.peak}));
        }
    }
    (same, only)
}

fn print(compared: &[Compared], show: usize, out: &mut Output) -> Result<()> {
    if out.json {
        return compared.iter().try_for_each(|rule| out.line(&rule.json().to_string()));
    }
    let width = compared.iter().map(|rule| rule.id.len()).max().unwrap_or(0).max(4);
    let row = |cells: [&str; 7]| {
        let [rule, rest @ ..] = cells;
        let rest: String = rest.iter().map(|cell| format!(" {cell:>9}")).collect();
        format!("{rule:<width$}{rest}")
    };
    out.line(&row(["rule", "asked", "before", "after", "same", "appear", "vanish"]))?;
    for rule in compared {
        let (before, after) = rule.found();
        let counts = [rule.after.asked, before, after, rule.same, rule.appear.count, rule.vanish.count];
        let [a, b, c, d, e, f] = counts.map(|count| count.to_string());
        out.line(&row([&rule.id, &a, &b, &c, &d, &e, &f]))?;
    }
    for rule in compared {
        for (word, findings) in [("appears", &rule.appear), ("vanishes", &rule.vanish)] {
            for what in findings.named.iter().take(show) {
                out.line(&format!("{} {word} {}", rule.id, words(what)))?;
            }
            let more = findings.count.saturating_sub(show as u64);
            if more > 0 {
                out.line(&format!("{} {word} {more} more", rule.id))?;
            }
        }
    }
    Ok(())
}

fn words(what: &Value) -> String {
    let text = |name: &str| what[name].as_str().unwrap_or("-").to_owned();
    match what["position"].as_u64() {
        Some(position) => format!("{position} {} {} {}", text("app"), text("type"), text("id")),
        None => format!("{} {} to {} peak {}", text("key"), text("start"), text("end"), what["peak"]),
    }
}
