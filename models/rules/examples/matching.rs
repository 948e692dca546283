//! Events judged in a second, with more and more rules of which ever as many
//! concern an event: `cargo run --release -p models-rules --example matching`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use domain::rule::{Condition, Definition, Operator};
use models_rules::{RuleSet, Signal};
use serde_json::json;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn main() {
    let body = json!({"app": "app-1", "type": "purchase_complete", "category": "commerce", "id": "1",
        "data": {"order_id": "o-1", "total_cents": 12_000, "currency": "EUR", "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}});
    println!("{:>8}{:>12}{:>14}{:>12}", "rules", "concerned", "events/s", "us/event");
    for (rules, concerned) in [(10, 10), (1_000, 10), (10_000, 10), (1_000, 100), (10_000, 1_000)] {
        let mut set = RuleSet::default();
        for i in 0..rules {
            // Every other one is in CEL.
            let list = Condition {
                path: "$.data.total_cents".into(),
                operator: Operator::Gte,
                value: Some(json!(10_000 + i)),
            };
            let cel = format!("event.data.total_cents >= {} && event.data.currency == 'EUR'", 10_000 + i);
            let app = if i < concerned { "app-1".to_owned() } else { format!("app-{}", 2 + i % 100) };
            let definition = Definition {
                name: "r".into(),
                app: Some(app),
                conditions: if i % 2 == 0 { vec![list] } else { vec![] },
                cel: (i % 2 == 1).then_some(cel),
                ..Definition::default()
            };
            set.put(&i.to_string(), 1, &definition).unwrap();
        }
        let signal =
            Signal { app: "app-1", category: "commerce", event_type: "purchase_complete", body: &body };
        let start = Instant::now();
        let mut events = 0u32;
        while start.elapsed().as_millis() < 1_000 {
            for _ in 0..100 {
                assert_eq!(set.matching(&signal).len(), concerned.min(2_001));
            }
            events += 100;
        }
        let each = start.elapsed().as_secs_f64() / f64::from(events);
        println!("{rules:>8}{concerned:>12}{:>14.0}{:>12.1}", 1.0 / each, each * 1e6);
    }
}
