//! JSONPath (RFC 9535) within bounds: a path selects at most about as many
//! nodes as the event has.

use serde_json::Value;
use serde_json_path::JsonPath;

/// Segments that look at everything below.
const DESCENTS: usize = 1;
/// Filters.
const FILTERS: usize = 2;
/// How many selectors there are in a way through the path: `[0,1][2,3]` has 4.
const SELECTORS: usize = 64;
const NESTING: usize = 8;

/// A path, compiled.
#[derive(Debug)]
pub struct Path(JsonPath);

impl Path {
    /// Compiles a path, or says why it can't be used.
    pub fn compile(text: &str) -> Result<Self, String> {
        bounded(text)?;
        JsonPath::parse(text).map(Self).map_err(|e| e.to_string())
    }

    /// What it finds.
    pub fn find<'a>(&self, body: &'a Value) -> Vec<&'a Value> {
        self.0.query(body).all()
    }
}

fn bounded(text: &str) -> Result<(), String> {
    let (mut descents, mut filters, mut selectors, mut nesting) = (0, 0, 1usize, 0usize);
    let mut commas = vec![0usize];
    let mut characters = text.chars().peekable();
    let mut plain = String::new();
    while let Some(c) = characters.next() {
        match c {
            '\'' | '"' => skip_quoted(c, &mut characters),
            '.' if characters.peek() == Some(&'.') => descents += 1,
            '?' => filters += 1,
            ',' => *commas.last_mut().unwrap_or(&mut 0) += 1,
            '[' | '(' => {
                nesting += 1;
                commas.push(0);
            }
            ']' | ')' => {
                nesting = nesting.saturating_sub(1);
                selectors = selectors.saturating_mul(commas.pop().unwrap_or(0) + 1);
            }
            _ => {}
        }
        if nesting > NESTING {
            return Err(format!("is nested more than {NESTING} deep"));
        }
        plain.push(c);
    }
    if plain.contains("match(") || plain.contains("search(") {
        return Err("must not use match or search; there is the operator regex".into());
    }
    let limits = [
        (descents, DESCENTS, "segments with .."),
        (filters, FILTERS, "filters"),
        (selectors, SELECTORS, "selectors"),
    ];
    match limits.into_iter().find(|(count, most, _)| count > most) {
        Some((_, most, what)) => Err(format!("must have at most {most} {what}")),
        None => Ok(()),
    }
}

fn skip_quoted(quote: char, characters: &mut impl Iterator<Item = char>) {
    while let Some(c) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return;
        }
    }
}
