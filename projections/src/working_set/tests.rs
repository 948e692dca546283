use serde::{Deserialize, Serialize};

use super::*;
use crate::testing::MemoryRows;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    n: u64,
    note: String,
}

impl Row for Count {
    fn sort_key(&self) -> Option<String> {
        Some(format!("{:08}", self.n))
    }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn rows(store: &MemoryRows, max: usize) -> Rows {
    Rows::new(Box::new(store.clone()), Bounds { rows: max, bytes: usize::MAX })
}

fn save(rows: &mut Rows, store: &MemoryRows) {
    let changes = rows.changes().unwrap();
    store.store(&changes);
    rows.committed();
}

#[test]
fn what_a_batch_changes_is_written_once_and_read_back() {
    let store = MemoryRows::default();
    let t = tenant();
    let mut set = rows(&store, 10);
    for _ in 0..3 {
        set.entry_or_default::<Count>("counts", &t, "a").unwrap().n += 1;
    }
    set.put("counts", &t, "b", Count { n: 7, note: "x".into() }).unwrap();
    let changes = set.changes().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].puts.len(), 2);
    assert_eq!(changes[0].puts[0].sort.as_deref(), Some("00000003"));
    save(&mut set, &store);
    assert!(set.changes().unwrap().is_empty());
    let mut fresh = rows(&store, 10);
    assert_eq!(fresh.get::<Count>("counts", &t, "a").unwrap().unwrap().n, 3);
    fresh.delete("counts", &t, "a").unwrap();
    assert_eq!(fresh.get::<Count>("counts", &t, "a").unwrap(), None);
    save(&mut fresh, &store);
    assert_eq!(store.table::<Count>("counts", &t).len(), 1);
}

#[test]
fn a_discarded_batch_leaves_no_trace() {
    let store = MemoryRows::default();
    let t = tenant();
    let mut set = rows(&store, 10);
    set.put("counts", &t, "a", Count { n: 1, note: String::new() }).unwrap();
    save(&mut set, &store);
    set.get_mut::<Count>("counts", &t, "a").unwrap().unwrap().n = 9;
    set.delete("counts", &t, "b").unwrap();
    set.discard();
    assert!(set.changes().unwrap().is_empty());
    assert_eq!(set.get::<Count>("counts", &t, "a").unwrap().unwrap().n, 1);
}

#[test]
fn memory_stays_bounded_and_forgotten_rows_come_back() {
    let store = MemoryRows::default();
    let t = tenant();
    let mut set = rows(&store, 100);
    for i in 0..1_000u64 {
        set.entry_or_default::<Count>("counts", &t, &format!("k{i}")).unwrap().n += i;
        save(&mut set, &store);
        assert!(set.len() <= 100);
    }
    assert_eq!(set.get::<Count>("counts", &t, "k3").unwrap().unwrap().n, 3);
}

#[test]
fn a_nul_becomes_a_replacement_character() {
    let store = MemoryRows::default();
    let t = tenant();
    let mut set = rows(&store, 10);
    set.put("counts", &t, "a", Count { n: 1, note: "a\0b\\u0000".into() }).unwrap();
    save(&mut set, &store);
    assert_eq!(set.get::<Count>("counts", &t, "a").unwrap().unwrap().note, "a\u{fffd}b\\u0000");
    assert!(set.put("counts", &t, "a\0", Count::default()).is_err());
}

#[test]
fn a_row_has_one_type() {
    #[derive(Default, Serialize, Deserialize)]
    struct Other {}
    impl Row for Other {}
    let t = tenant();
    let mut set = rows(&MemoryRows::default(), 10);
    set.put("counts", &t, "a", Count::default()).unwrap();
    assert!(set.get::<Other>("counts", &t, "a").is_err());
}
