//! Two JSON documents, and what differs, by RFC 6901 pointers. Unlike the
//! comparison of generations, which adds up the numbers of a list under one
//! name, every place has an address here, so that one can be made of the other.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A place whose values differ. A value that is left out is not there.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Change {
    /// JSON pointer; empty for the whole.
    pub pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// In the order of the pointers' parts. Lists of the same length differ item by
/// item, others as a whole: an item that was put in front is not taken for a
/// change of all that follow.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(&mut String::new(), before, after, &mut changes);
    changes
}

fn walk(pointer: &mut String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                below(pointer, name, a.get(name), b.get(name), changes);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                below(pointer, &i.to_string(), Some(a), Some(b), changes);
            }
        }
        (before, after) if before != after => {
            let (before, after) = (before.cloned(), after.cloned());
            changes.push(Change { pointer: pointer.clone(), before, after });
        }
        _ => {}
    }
}

fn below(
    pointer: &mut String,
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    walk(pointer, before, after, changes);
    pointer.truncate(length);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    /// Makes the document after the changes of the one before.
    fn apply(mut document: Option<Value>, changes: &[Change]) -> Option<Value> {
        for Change { pointer, after, .. } in changes {
            let Some((parent, name)) = pointer.rsplit_once('/') else {
                document = after.clone();
                continue;
            };
            let name = name.replace("~1", "/").replace("~0", "~");
            match document.as_mut().unwrap().pointer_mut(parent).unwrap() {
                Value::Object(members) => match after {
                    Some(value) => drop(members.insert(name, value.clone())),
                    None => drop(members.remove(&name).unwrap()),
                },
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = after.clone().unwrap(),
                other => panic!("{pointer} leads into {other}"),
            }
        }
        document
    }

    fn backwards(changes: &[Change]) -> Vec<Change> {
        let turned = |c: &Change| Change { before: c.after.clone(), after: c.before.clone(), ..c.clone() };
        changes.iter().map(turned).collect()
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0_i64..4).prop_map(Value::from),
            "[ab~/]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let members = prop::collection::btree_map("[ab~/01]{0,2}", inner.clone(), 0..4);
            let members = members.prop_map(|m| Value::Object(m.into_iter().collect::<Map<_, _>>()));
            prop_oneof![members, prop::collection::vec(inner, 0..4).prop_map(Value::from)]
        })
    }

    proptest! {
        #[test]
        fn applied_to_one_document_it_gives_the_other(
            before in prop::option::of(document()),
            after in prop::option::of(document()),
        ) {
            let changes = diff(before.as_ref(), after.as_ref());
            prop_assert_eq!(changes.is_empty(), before == after);
            prop_assert_eq!(&apply(before.clone(), &changes), &after);
            prop_assert_eq!(&apply(after, &backwards(&changes)), &before);
            for change in changes {
                prop_assert_ne!(&change.before, &change.after);
                prop_assert!(change.pointer.is_empty() || change.pointer.starts_with('/'));
            }
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_null() {
        let changes = diff(Some(&json!({"a": null, "b/c": [1, 2]})), Some(&json!({"b/c": [1, 3]})));
        let told = serde_json::to_value(changes).unwrap();
        let a = json!({"pointer": "/a", "before": null});
        assert_eq!(told, json!([a, {"pointer": "/b~1c/1", "before": 2, "after": 3}]));
    }
}
