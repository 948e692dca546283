//! A memory of which level follows which context, and how surprising the next
//! one is. Written from the published description of contextual detection
//! over open-ended series of facts.
//!
//! A value becomes one of eight levels, a level three facts (one for each of
//! its bits). What was just seen, together with the contexts that were just
//! confirmed, is the *left* side; what comes next is the *right* side. Every
//! new pair is remembered whole, and so is what it has in common with the
//! pairs before it. A point surprises if contexts whose left side was there
//! are not confirmed, and if what it has in common with the past is new.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Range, bounded};

/// Most used confirmed contexts that become facts of the next left side.
const CONFIRMED: usize = 15;
/// Longest left side that two pairs may have in common to be remembered.
const COMMON: usize = 7;
/// Facts from here on are contexts.
const CONTEXT: u32 = 1 << 31;
/// When there are more contexts than this, the half that was not seen for
/// longest is forgotten.
const CONTEXTS: usize = 12_000;
const BITS: u32 = 3;
/// Points that the levels are cut by.
const WARM: usize = 240;

/// Surprise of each point of a series, 0 to 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Surprise {
    memory: Memory,
    levels: Option<Levels>,
    first: Vec<f64>,
}

impl Surprise {
    /// With the range of the whole series, or to be cut by its first points.
    pub fn new(range: Option<Range>) -> Self {
        let levels = range.map(|r| Levels::Even { min: bounded(r.min), step: r.width() / 7.0 });
        Self { memory: Memory::default(), levels, first: Vec::new() }
    }

    /// 0 while the levels are not cut.
    pub fn push(&mut self, value: f64) -> f64 {
        let value = bounded(value);
        if let Some(levels) = &self.levels {
            return self.memory.step(&levels.facts(value));
        }
        self.first.push(value);
        if self.first.len() == WARM {
            let first = std::mem::take(&mut self.first);
            let levels = Levels::cut(&first);
            for value in first {
                self.memory.step(&levels.facts(value));
            }
            self.levels = Some(levels);
        }
        0.0
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Levels {
    /// Of equal width over a known range
    Even { min: f64, step: f64 },
    /// Around the median, wider the farther from it
    Widening { median: f64, spread: f64 },
}

impl Levels {
    fn cut(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |q: f64| sorted[((sorted.len() - 1) as f64 * q) as usize];
        let ordinary = quantile(0.95) - quantile(0.05);
        let spread = ordinary.max((quantile(1.0) - quantile(0.0)) * 0.02);
        Self::Widening { median: quantile(0.5), spread }
    }

    fn facts(&self, value: f64) -> [u32; BITS as usize] {
        let top = f64::from((1u32 << BITS) - 1);
        let level = match self {
            Self::Even { step, .. } if *step <= 0.0 => 0.0,
            Self::Even { min, step } => ((value - min) / step).floor(),
            Self::Widening { median, spread } => {
                let distance = (value - median) / spread.max(1e-12);
                ((2.0 * distance).asinh() * 1.2 + top / 2.0).round()
            }
        };
        let level = level.clamp(0.0, top) as u32;
        std::array::from_fn(|k| 2 * k as u32 + ((level >> k) & 1))
    }
}

/// Sets of facts, each once, and which sets hold a fact.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Sets {
    ids: HashMap<Vec<u32>, u32>,
    facts: Vec<Vec<u32>>,
    holding: HashMap<u32, Vec<u32>>,
}

impl Sets {
    fn id(&mut self, facts: &[u32]) -> u32 {
        if let Some(id) = self.ids.get(facts) {
            return *id;
        }
        let id = self.facts.len() as u32;
        self.ids.insert(facts.to_vec(), id);
        self.facts.push(facts.to_vec());
        for fact in facts {
            self.holding.entry(*fact).or_default().push(id);
        }
        id
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Context {
    left: u32,
    right: u32,
    /// Seen as it is, not only as what two pairs have in common
    whole: bool,
    /// How often it was confirmed
    confirmed: u32,
    /// The fact that it is while it is confirmed
    fact: u32,
    last: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Memory {
    lefts: Sets,
    rights: Sets,
    contexts: Vec<Context>,
    by_sides: HashMap<(u32, u32), u32>,
    of_left: Vec<Vec<u32>>,
    whole: Vec<u32>,
    /// What the next point is judged by
    left: Vec<u32>,
    expecting: Vec<u32>,
    counts: Vec<u32>,
    steps: u64,
    named: u32,
}

impl Memory {
    fn step(&mut self, now: &[u32]) -> f64 {
        self.steps += 1;
        let expected = self.expecting.len();
        let mut confirmed = self.confirm(now);
        let left = std::mem::take(&mut self.left);
        let (common, new) = if left.is_empty() { (0, 0) } else { self.learn(&left, now) };
        confirmed.sort_by_key(|c| std::cmp::Reverse((self.contexts[*c as usize].confirmed, *c)));
        let count = confirmed.len();
        let mut next: Vec<u32> = now.to_vec();
        next.extend(confirmed.iter().take(CONFIRMED).map(|c| self.contexts[*c as usize].fact));
        next.sort_unstable();
        if self.contexts.len() > CONTEXTS {
            self.forget();
        }
        self.expect(&next);
        self.left = next;
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        (1.0 - share(count, expected) + share(new, common)) / 2.0
    }

    /// Which of the contexts whose left side was there have their right side.
    fn confirm(&mut self, now: &[u32]) -> Vec<u32> {
        let mut confirmed = Vec::new();
        for id in &self.expecting {
            let context = &mut self.contexts[*id as usize];
            if self.rights.facts[context.right as usize].iter().all(|f| now.contains(f)) {
                context.confirmed += 1;
                context.last = self.steps;
                confirmed.push(*id);
            }
        }
        confirmed
    }

    /// Remembers a pair and what it has in common with every whole pair;
    /// answers how much that is and how much of it is new.
    fn learn(&mut self, left: &[u32], now: &[u32]) -> (usize, usize) {
        let before = self.whole.len();
        if !self.remember(left, now, true) {
            return (0, 0);
        }
        let mut common: Vec<(Vec<u32>, Vec<u32>)> = Vec::new();
        for id in &self.whole[..before] {
            let context = &self.contexts[*id as usize];
            let right = &self.rights.facts[context.right as usize];
            let right: Vec<u32> = right.iter().copied().filter(|f| now.contains(f)).collect();
            if right.is_empty() {
                continue;
            }
            let left = in_both(&self.lefts.facts[context.left as usize], left);
            if (1..=COMMON).contains(&left.len()) {
                common.push((left, right));
            }
        }
        common.sort_unstable();
        common.dedup();
        let new = common.iter().filter(|(left, right)| self.remember(left, right, false)).count();
        (common.len(), new)
    }

    /// Whether it is new.
    fn remember(&mut self, left: &[u32], right: &[u32], whole: bool) -> bool {
        let (left, right) = (self.lefts.id(left), self.rights.id(right));
        self.of_left.resize(self.lefts.facts.len(), Vec::new());
        if let Some(id) = self.by_sides.get(&(left, right)) {
            let context = &mut self.contexts[*id as usize];
            let new = whole && !context.whole;
            context.last = self.steps;
            if new {
                context.whole = true;
                self.whole.push(*id);
            }
            return new;
        }
        let fact = CONTEXT | self.named;
        self.named = (self.named + 1) % CONTEXT;
        self.add(Context { left, right, whole, confirmed: 0, fact, last: self.steps });
        true
    }

    fn add(&mut self, context: Context) {
        let id = self.contexts.len() as u32;
        self.by_sides.insert((context.left, context.right), id);
        self.of_left[context.left as usize].push(id);
        if context.whole {
            self.whole.push(id);
        }
        self.contexts.push(context);
    }

    /// Finds the contexts whose left side is wholly there.
    fn expect(&mut self, facts: &[u32]) {
        self.counts.clear();
        self.counts.resize(self.lefts.facts.len(), 0);
        self.expecting.clear();
        for set in facts.iter().filter_map(|fact| self.lefts.holding.get(fact)).flatten() {
            let count = &mut self.counts[*set as usize];
            *count += 1;
            if *count as usize == self.lefts.facts[*set as usize].len() {
                self.expecting.extend(&self.of_left[*set as usize]);
            }
        }
    }

    /// Keeps the half of the contexts that was seen last, in their order.
    fn forget(&mut self) {
        let mut seen: Vec<u64> = self.contexts.iter().map(|c| c.last).collect();
        let middle = seen.len() / 2;
        let (_, oldest, _) = seen.select_nth_unstable(middle);
        let oldest = *oldest;
        let (lefts, rights) = (std::mem::take(&mut self.lefts), std::mem::take(&mut self.rights));
        let mut contexts = std::mem::take(&mut self.contexts);
        contexts.retain(|c| c.last >= oldest);
        // All of one step: a bound is a bound.
        contexts.truncate(CONTEXTS / 2);
        self.by_sides.clear();
        self.of_left.clear();
        self.whole.clear();
        for mut context in contexts {
            context.left = self.lefts.id(&lefts.facts[context.left as usize]);
            context.right = self.rights.id(&rights.facts[context.right as usize]);
            self.of_left.resize(self.lefts.facts.len(), Vec::new());
            self.add(context);
        }
    }
}

/// Of two sorted sets.
fn in_both(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut rest = b.iter().peekable();
    let mut both = Vec::new();
    for fact in a {
        while rest.next_if(|f| *f < fact).is_some() {}
        if rest.peek() == Some(&fact) {
            both.push(*fact);
        }
    }
    both
}
