//! Ids in the order of their bytes, as rows are stored.

use background::Steps;

/// Places of the ids, which belong to groups: by group, then by id. Most are
/// told apart by the first bytes in which any of them differ, which are kept
/// beside them: the texts themselves lie anywhere in memory.
pub fn order<'t>(ids: &[(u32, &'t str)]) -> Vec<usize> {
    let same = shared(ids);
    let first = |id: &'t str| {
        let rest = &id.as_bytes()[same..];
        let mut bytes = [0; 8];
        let len = rest.len().min(8);
        bytes[..len].copy_from_slice(&rest[..len]);
        u64::from_be_bytes(bytes)
    };
    let mut all: Vec<_> =
        ids.iter().enumerate().map(|(place, (group, id))| (*group, first(id), place)).collect();
    let mut steps = Steps::of_nanos(20);
    all.sort_unstable_by(|a, b| {
        steps.step();
        (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| ids[a.2].1.cmp(ids[b.2].1)).then(a.2.cmp(&b.2))
    });
    all.into_iter().map(|(_, _, place)| place).collect()
}

/// Bytes that all ids begin with.
fn shared(ids: &[(u32, &str)]) -> usize {
    let Some((_, first)) = ids.first() else { return 0 };
    ids.iter().fold(first.len(), |same, (_, id)| {
        let pairs = first.as_bytes()[..same].iter().zip(id.as_bytes());
        pairs.take_while(|(a, b)| a == b).count()
    })
}

/// The rank of each value among all of them.
pub fn ranks<T: Ord>(values: &[T]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by_key(|i| &values[*i]);
    let mut ranks = vec![0; values.len()];
    for (rank, i) in (0..).zip(order) {
        ranks[i] = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_order_of_the_texts(ids: Vec<(u32, String)>, prefix in "[a-zé0]{0,20}") {
            let ids: Vec<_> = ids.into_iter().map(|(g, id)| (g % 3, format!("{prefix}{id}"))).collect();
            let ids: Vec<_> = ids.iter().map(|(group, id)| (*group, &**id)).collect();
            let mut expected: Vec<usize> = (0..ids.len()).collect();
            expected.sort_by_key(|i| ids[*i]);
            prop_assert_eq!(order(&ids), expected);
        }

        #[test]
        fn long_ids_that_differ_late_are_in_order(ids in prop::collection::vec("[ab]{0,12}[ab\\x00]", 0..40)) {
            let ids: Vec<_> = ids.iter().map(|id| (0, &**id)).collect();
            let mut expected: Vec<usize> = (0..ids.len()).collect();
            expected.sort_by_key(|i| ids[*i]);
            prop_assert_eq!(order(&ids), expected);
        }

        #[test]
        fn ranks_are_places_in_order(values: std::collections::BTreeSet<u32>, seed: u64) {
            let mut values: Vec<u32> = values.into_iter().collect();
            values.sort_by_key(|v| u64::from(*v).wrapping_mul(seed | 1));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            for (value, rank) in values.iter().zip(ranks(&values)) {
                prop_assert_eq!(sorted[rank as usize], *value);
            }
        }
    }
}
