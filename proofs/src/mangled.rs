//! What is read from outside, a little changed: it is refused, or means the
//! same. Texts that come near to the real ones get further into their readers
//! than texts of chance.

use domain::tree::{Frontier, leaf_hash};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::witness::{Answer, answer, request};
use crate::{
    Checkpoint, ProofFile, PublicKey, SigningKey, TilePath, Trust, add_lines, cosign, encode_entries,
    parse_entries,
};

/// One change: where (of 2^16), and what.
#[derive(Debug, Clone)]
enum Change {
    Flip(u16, u8),
    Put(u16, u8),
    Cut(u16, u8),
    /// A piece is there twice.
    Double(u16, u8),
    /// A piece is elsewhere.
    Move(u16, u8, u16),
    End(u16),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Bytes that mean something to a reader.
    let byte =
        prop_oneof![any::<u8>(), Just(b'\n'), Just(b' '), Just(b'0'), Just(b'='), Just(b'+'), Just(b'/')];
    let one = prop_oneof![
        (any::<u16>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<u16>(), byte).prop_map(|(at, byte)| Change::Put(at, byte)),
        (any::<u16>(), 1..90_u8).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<u16>(), 1..90_u8).prop_map(|(at, length)| Change::Double(at, length)),
        (any::<u16>(), 1..90_u8, any::<u16>()).prop_map(|(at, length, to)| Change::Move(at, length, to)),
        any::<u16>().prop_map(Change::End),
    ];
    prop::collection::vec(one, 1..4)
}

fn mangled(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &u16, length: usize| (usize::from(*at) * (length + 1)) >> 16;
        let piece = |at: &u16, length: &u8, bytes: &[u8]| {
            let from = place(at, bytes.len());
            from..(from + usize::from(*length)).min(bytes.len())
        };
        match change {
            Change::Flip(at, bit) => {
                let at = place(at, bytes.len());
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            Change::Put(at, byte) => bytes.insert(place(at, bytes.len()), *byte),
            Change::Cut(at, length) => drop(bytes.drain(piece(at, length, &bytes))),
            Change::Double(at, length) => {
                let range = piece(at, length, &bytes);
                let (end, copy) = (range.end, bytes[range].to_vec());
                bytes.splice(end..end, copy);
            }
            Change::Move(at, length, to) => {
                let taken: Vec<u8> = bytes.drain(piece(at, length, &bytes)).collect();
                let to = place(to, bytes.len());
                bytes.splice(to..to, taken);
            }
            Change::End(at) => bytes.truncate(place(at, bytes.len())),
        }
    }
    bytes
}

struct Made {
    proof: String,
    note: String,
    trust: Trust,
    log: PublicKey,
    witness: PublicKey,
    line: String,
}

/// A tree of two with a cosigned checkpoint.
fn made() -> Made {
    let log = SigningKey::generate("log.example", &[1; 32]).unwrap();
    let witness = SigningKey::generate_witness("witness.example", &[2; 32]).unwrap();
    let (event, beside) = (b"daybook-event/1\nposition 1\n\n{\"a\":1}", [5; 32]);
    let mut frontier = Frontier::default();
    frontier.push(&Sha256::digest(event).into(), &mut Vec::new());
    frontier.push(&beside, &mut Vec::new());
    let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: 2, root: frontier.root() };
    let signed = checkpoint.sign(std::slice::from_ref(&log));
    let line = cosign(&signed, &witness, 1_700_000_000).unwrap();
    let note = add_lines(&signed, [line.as_str()]).unwrap();
    let extra = Some(event.to_vec());
    let proof =
        ProofFile { extra, index: 0, path: vec![leaf_hash(&beside)], checkpoint: note.clone() }.to_text();
    let (log, witness) = (log.public().clone(), witness.public().clone());
    let trust = Trust { witnesses: vec![witness.clone()], quorum: 1, ..Trust::of(log.clone()) };
    Made { proof, note: signed, trust, log, witness, line }
}

#[test]
fn no_bit_of_a_proof_can_be_another() {
    let Made { proof, trust, .. } = made();
    let holds = |bytes: &[u8]| ProofFile::parse(bytes).is_ok_and(|file| file.check(&trust, None).is_ok());
    let mut bytes = proof.into_bytes();
    assert!(holds(&bytes));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(!holds(&bytes), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_proof_file(changes in changes()) {
        let Made { proof, trust, .. } = made();
        let genuine = ProofFile::parse(proof.as_bytes()).unwrap().check(&trust, None).unwrap();
        let changed = mangled(proof.into_bytes(), &changes);
        if let Ok(verified) = ProofFile::parse(&changed).and_then(|file| file.check(&trust, None)) {
            prop_assert_eq!(verified, genuine);
        }
    }

    #[test]
    fn a_note(changes in changes()) {
        let Made { note, log, .. } = made();
        let trust = Trust::of(log);
        let genuine = Checkpoint::open(note.as_bytes(), &trust).unwrap();
        let changed = mangled(note.into_bytes(), &changes);
        if let Ok(opened) = Checkpoint::open(&changed, &trust) {
            prop_assert_eq!(opened, genuine);
        }
    }

    #[test]
    fn a_witness_answer(changes in changes(), before: bool) {
        let Made { note, witness, line, .. } = made();
        let genuine = if before { format!("{line}{line}") } else { line.clone() };
        let changed = mangled(genuine.into_bytes(), &changes);
        if let Answer::Cosigned(lines) = answer(200, "text/plain", &changed, &note, &[witness]) {
            prop_assert_eq!(lines, [line]);
        }
        let sizes = mangled(b"1234567\n".to_vec(), &changes);
        if let Answer::Has(size) = answer(409, "text/x.tlog.size", &sizes, &note, &[]) {
            prop_assert_eq!(format!("{size}\n").into_bytes(), sizes);
        }
    }

    #[test]
    fn a_bundle_of_entries(changes in changes(), count in 1..=256_usize) {
        let entries: Vec<[u8; 32]> = (0..count).map(|n| Sha256::digest(n.to_be_bytes()).into()).collect();
        let changed = mangled(encode_entries(&entries).to_vec(), &changes);
        if let Ok(read) = parse_entries(&changed) {
            prop_assert_eq!(encode_entries(&read).to_vec(), changed);
        }
    }

    #[test]
    fn a_path_of_a_tile(changes in changes(), level in 0..64_u8, index in 0..1_u64 << 40) {
        let genuine = TilePath::hashes(level, index).to_string();
        let changed = mangled(genuine.into_bytes(), &changes);
        let read = String::from_utf8(changed).ok().and_then(|text| Some((TilePath::parse(&text).ok()?, text)));
        if let Some((path, text)) = read {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn a_key(changes in changes()) {
        let log = made().log.to_string();
        let changed = mangled(log.into_bytes(), &changes);
        let read = String::from_utf8(changed).ok().and_then(|text| Some((PublicKey::parse(&text).ok()?, text)));
        if let Some((key, text)) = read {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn a_request_holds_what_it_was_made_of(old in 0..1_u64 << 48, count in 0..70_usize) {
        let body = request(old, &vec![[7; 32]; count], &made().note);
        let first = format!("old {old}\n");
        prop_assert!(body.starts_with(&first) && body.ends_with(&made().note));
    }
}
