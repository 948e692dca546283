//! How an entry stands on disk. A frame is
//!
//! ```text
//! length  u32  of the body
//! crc     u32  CRC-32 of the body
//! body    version u8 (1), kind u8, offset u64, occurred_at i64 (microseconds),
//!         tenant length u8, tenant, payload
//! ```
//!
//! all little-endian. The offset stands in the body so that a reader finds its
//! way again after a damaged stretch.

use domain::TenantId;
use domain::ports::journal::{JournalEntry, MAX_ENTRY_BYTES, TapKind};
use jiff::Timestamp;

const VERSION: u8 = 1;
const HEAD: usize = 8;
const FIXED: usize = 1 + 1 + 8 + 8 + 1;
/// Shortest frame there can be: a tenant of one byte and `{}`.
pub const MIN_FRAME: usize = HEAD + FIXED + 3;
pub const MAX_FRAME: usize = HEAD + FIXED + domain::ids::MAX_TENANT_BYTES + MAX_ENTRY_BYTES;

/// Appends the frame of an entry to `out`.
pub fn encode(out: &mut Vec<u8>, offset: u64, entry: &JournalEntry) {
    let start = out.len();
    let tenant = entry.tenant.as_str();
    let length = FIXED + tenant.len() + entry.payload.len();
    out.reserve(HEAD + length);
    // Both lengths are bounded by MAX_FRAME and MAX_TENANT_BYTES.
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(VERSION);
    out.push(kind_byte(entry.kind));
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&entry.occurred_at.as_microsecond().to_le_bytes());
    out.push(tenant.len() as u8);
    out.extend_from_slice(tenant.as_bytes());
    out.extend_from_slice(entry.payload.as_bytes());
    let crc = crc32fast::hash(&out[start + HEAD..]);
    out[start + 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
}

#[derive(Debug, PartialEq)]
pub enum Decoded {
    Frame {
        offset: u64,
        entry: JournalEntry,
        size: usize,
    },
    /// The bytes end before the frame does.
    Incomplete,
    Damaged,
}

/// Reads the frame at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Decoded {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Decoded::Incomplete };
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if !(MIN_FRAME - HEAD..=MAX_FRAME - HEAD).contains(&length) {
        return Decoded::Damaged;
    }
    let Some(body) = rest.get(..length) else { return Decoded::Incomplete };
    if crc32fast::hash(body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Decoded::Damaged;
    }
    match decode_body(body) {
        Some((offset, entry)) => Decoded::Frame { offset, entry, size: HEAD + length },
        None => Decoded::Damaged,
    }
}

fn decode_body(body: &[u8]) -> Option<(u64, JournalEntry)> {
    let (&[version, kind], rest) = body.split_first_chunk::<2>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (micros, rest) = rest.split_first_chunk::<8>()?;
    let (&tenant_length, rest) = rest.split_first()?;
    let (tenant, payload) = rest.split_at_checked(tenant_length.into())?;
    if version != VERSION {
        return None;
    }
    let entry = JournalEntry {
        tenant: TenantId::new(std::str::from_utf8(tenant).ok()?).ok()?,
        kind: kind_of(kind)?,
        occurred_at: Timestamp::from_microsecond(i64::from_le_bytes(*micros)).ok()?,
        payload: std::str::from_utf8(payload).ok()?.to_owned(),
    };
    Some((u64::from_le_bytes(*offset), entry))
}

fn kind_byte(kind: TapKind) -> u8 {
    match kind {
        TapKind::Tapped => 1,
        TapKind::Previewed => 2,
    }
}

fn kind_of(byte: u8) -> Option<TapKind> {
    match byte {
        1 => Some(TapKind::Tapped),
        2 => Some(TapKind::Previewed),
        _ => None,
    }
}

/// The place of the next whole frame at or after `from` whose offset is at
/// least `offset`.
pub fn find_next(bytes: &[u8], from: usize, offset: u64) -> Option<usize> {
    (from..bytes.len().saturating_sub(MIN_FRAME - 1))
        .find(|&at| matches!(decode(&bytes[at..]), Decoded::Frame { offset: found, .. } if found >= offset))
}

/// What a segment's bytes hold.
#[derive(Debug, Default, PartialEq)]
pub struct Scan {
    /// End of the last whole frame.
    pub end: usize,
    /// The offset after the last whole frame's.
    pub next: u64,
    /// Whole frames stand behind a damaged stretch.
    pub damaged: bool,
}

/// Goes through a whole segment, over damaged stretches.
pub fn scan(bytes: &[u8], first: u64) -> Scan {
    let mut scan = Scan { end: 0, next: first, damaged: false };
    let mut at = 0;
    loop {
        match decode(&bytes[at..]) {
            Decoded::Frame { offset, size, .. } if offset >= scan.next => {
                at += size;
                scan.end = at;
                scan.next = offset + 1;
            }
            _ => match find_next(bytes, at + 1, scan.next) {
                Some(found) => {
                    scan.damaged = true;
                    at = found;
                }
                None => return scan,
            },
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn entries(most: usize) -> impl Strategy<Value = Vec<JournalEntry>> {
        let entry = ("[a-z0-9_-]{1,63}", any::<bool>(), 0i64..4_000_000_000_000_000, ".{2,300}").prop_map(
            |(tenant, tapped, micros, payload)| JournalEntry {
                tenant: TenantId::new(&tenant).unwrap(),
                kind: if tapped { TapKind::Tapped } else { TapKind::Previewed },
                occurred_at: Timestamp::from_microsecond(micros).unwrap(),
                payload,
            },
        );
        proptest::collection::vec(entry, 1..most)
    }

    fn read_all(bytes: &[u8]) -> Vec<(u64, JournalEntry)> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Decoded::Frame { offset, entry, size } = decode(&bytes[at..]) {
            found.push((offset, entry));
            at += size;
        }
        found
    }

    proptest! {
        #[test]
        fn a_cut_leaves_exactly_the_whole_frames(entries in entries(12), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for (offset, entry) in entries.iter().enumerate() {
                encode(&mut bytes, offset as u64, entry);
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            let scan = scan(&bytes[..cut], 0);
            prop_assert_eq!(scan, Scan { end: ends[whole], next: whole as u64, damaged: false });
            let expected: Vec<_> = (0u64..).zip(entries.into_iter().take(whole)).collect();
            prop_assert_eq!(read_all(&bytes[..ends[whole]]), expected);
        }

        #[test]
        fn a_flipped_bit_costs_one_entry_at_most(
            entries in entries(8), byte in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let mut bytes = Vec::new();
            let mut starts = Vec::new();
            for (offset, entry) in entries.iter().enumerate() {
                starts.push(bytes.len());
                encode(&mut bytes, offset as u64, entry);
            }
            let byte = byte.index(bytes.len());
            bytes[byte] ^= 1 << bit;
            let hit = starts.iter().filter(|start| **start <= byte).count() - 1;
            let last = hit + 1 == entries.len();
            let scan = scan(&bytes, 0);
            prop_assert_eq!(scan.damaged, !last);
            prop_assert_eq!(scan.end, if last { starts[hit] } else { bytes.len() });
            let readable = matches!(decode(&bytes[starts[hit]..]), Decoded::Frame { .. });
            prop_assert!(!readable);
            prop_assert_eq!(find_next(&bytes, starts[hit] + 1, 0), starts.get(hit + 1).copied());
        }

        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let scan = scan(&bytes, 0);
            prop_assert!(scan.end <= bytes.len());
        }
    }
}
