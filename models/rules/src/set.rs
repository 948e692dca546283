//! All rules in force, found by what an event is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::rule::Definition;
use serde_json::Value;

use super::compiled::{Compiled, Invalid, Outcome};

/// What of an event decides which rules it concerns, and its body.
#[derive(Debug, Clone, Copy)]
pub struct Signal<'a> {
    /// The application that sent it
    pub app: &'a str,
    /// Its category; empty where it has none
    pub category: &'a str,
    /// Its type
    pub event_type: &'a str,
    /// The event as JSON: what conditions are asked of
    pub body: &'a Value,
}

/// A rule that an event matches, or whose expression failed over it.
#[derive(Debug, Clone)]
pub struct Matched {
    /// The rule's id
    pub rule: Arc<str>,
    /// What it said at the time
    pub version: u32,
    /// Why its expression could not be evaluated, if so: then it does not match
    pub failed: Option<String>,
}

/// 0 stands for any.
type Key = [u32; 3];

#[derive(Debug)]
struct Entry {
    id: Arc<str>,
    version: u32,
    priority: i32,
    key: Key,
    compiled: Arc<Compiled>,
}

/// The rules in force. Fed with facts in the order of the log, it answers for
/// each event with the rules that were in force at its position.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: BTreeMap<Arc<str>, Arc<Entry>>,
    by_key: HashMap<Key, Vec<Arc<Entry>>>,
    numbers: [HashMap<String, u32>; 3],
}

impl RuleSet {
    /// Puts a rule in force, in place of what it said before.
    pub fn put(&mut self, id: &str, version: u32, definition: &Definition) -> Result<(), Invalid> {
        let compiled = Arc::new(Compiled::new(definition)?);
        self.remove(id);
        let key = [
            self.number(0, definition.app.as_deref()),
            self.number(1, definition.category.as_deref()),
            self.number(2, definition.event_type.as_deref()),
        ];
        let id: Arc<str> = id.into();
        let priority = definition.priority;
        let entry = Arc::new(Entry { id: id.clone(), version, priority, key, compiled });
        self.by_key.entry(key).or_default().push(entry.clone());
        self.rules.insert(id, entry);
        Ok(())
    }

    /// Takes a rule out of force: disabled or archived.
    pub fn remove(&mut self, id: &str) {
        let Some(entry) = self.rules.remove(id) else { return };
        if let Some(list) = self.by_key.get_mut(&entry.key) {
            list.retain(|e| !Arc::ptr_eq(e, &entry));
            if list.is_empty() {
                self.by_key.remove(&entry.key);
            }
        }
    }

    /// How many rules are in force.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The conditions of a rule in force.
    pub fn get(&self, id: &str) -> Option<&Arc<Compiled>> {
        self.rules.get(id).map(|entry| &entry.compiled)
    }

    /// The rules that an event matches, by priority and then id, and those
    /// that failed over it.
    pub fn matching(&self, signal: &Signal<'_>) -> Vec<Matched> {
        let mut found: Vec<(&Arc<Entry>, Option<String>)> = Vec::new();
        for entry in self.concerned(signal) {
            match entry.compiled.judge(signal.body) {
                Outcome::Matches => found.push((entry, None)),
                Outcome::Fails(reason) => found.push((entry, Some(reason))),
                Outcome::Differs => {}
            }
        }
        found.sort_by(|(a, _), (b, _)| (Reverse(a.priority), &a.id).cmp(&(Reverse(b.priority), &b.id)));
        let matched = |(entry, failed): (&Arc<Entry>, Option<String>)| Matched {
            rule: entry.id.clone(),
            version: entry.version,
            failed,
        };
        found.into_iter().map(matched).collect()
    }

    /// The rules whose filters let an event through: with each of its three
    /// properties asked for, or any.
    fn concerned<'s>(&'s self, signal: &Signal<'_>) -> impl Iterator<Item = &'s Arc<Entry>> {
        let properties = [signal.app, signal.category, signal.event_type];
        let own: Key = std::array::from_fn(|i| self.numbers[i].get(properties[i]).copied().unwrap_or(0));
        (0..8u32)
            // What no rule asks for has no number: any, and only once.
            .filter(move |mask| (0..3).all(|i| mask & (1 << i) == 0 || own[i] != 0))
            .map(move |mask| std::array::from_fn(|i| if mask & (1 << i) == 0 { 0 } else { own[i] }))
            .filter_map(|key: Key| self.by_key.get(&key))
            .flatten()
    }

    fn number(&mut self, property: usize, text: Option<&str>) -> u32 {
        let Some(text) = text else { return 0 };
        let numbers = &mut self.numbers[property];
        let next = numbers.len() as u32 + 1;
        *numbers.entry(text.to_owned()).or_insert(next)
    }
}
