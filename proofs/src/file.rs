//! Proof files (`.tlog-proof`): an event, its place, the way to the root and
//! the checkpoint with that root. With the log's key it is all that it takes.

use domain::envelope::RecordedEvent;
use domain::ports::tree::SignedCheckpoint;
use domain::tree::Hash;
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, Opened, Trust};
use crate::prove::{MAX_PATH, ProofError, check_inclusion, inclusion};
use crate::text::{base64, from_base64, hash, size};
use crate::tiles::Tiles;

/// An event of the largest payload fits.
pub const MAX_PROOF_BYTES: usize = 3 << 20;
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// The event's canonical bytes. Checked with the rest; they may be left out.
    pub extra: Option<Vec<u8>>,
    /// The event's position − 1.
    pub index: u64,
    pub path: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

/// What a proof file proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub opened: Opened,
    pub position: u64,
    /// The event's leaf: SHA-256 of its canonical bytes.
    pub entry: Hash,
    pub canonical_bytes: Vec<u8>,
}

impl ProofFile {
    /// That an event is in the log, by a checkpoint that covers it.
    pub async fn of(
        event: &RecordedEvent,
        checkpoint: SignedCheckpoint,
        tiles: &dyn Tiles,
    ) -> Result<Self, ProofError> {
        let SignedCheckpoint { size, root, note, .. } = checkpoint;
        let index = event.position.checked_sub(1).ok_or(ProofError::Range { size, asked: 0 })?;
        let path = inclusion(tiles, size, &root, index).await?.path;
        Ok(Self { extra: Some(event.canonical_bytes()), index, path, checkpoint: note })
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", base64(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        self.path.iter().for_each(|hash| text.push_str(&(base64(hash) + "\n")));
        text + "\n" + &self.checkpoint
    }

    pub fn parse(file: &[u8]) -> Result<Self, ProofError> {
        let malformed = ProofError::Malformed;
        if file.len() > MAX_PROOF_BYTES {
            return Err(malformed("it is longer than 3 MiB"));
        }
        let text = std::str::from_utf8(file).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(malformed("it has no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("its first line is another"));
        }
        let extra = match lines.next_if(|l| l.starts_with("extra ")) {
            Some(line) => Some(from_base64(&line[6..]).ok_or(malformed("its event cannot be read"))?),
            None => None,
        };
        let index = lines.next().and_then(|l| l.strip_prefix("index ")).and_then(size);
        let index = index.ok_or(malformed("its index cannot be read"))?;
        let path: Option<Vec<Hash>> = lines.map(hash).take(MAX_PATH + 1).collect();
        let path = path.filter(|p| p.len() <= MAX_PATH).ok_or(malformed("its hashes cannot be read"))?;
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Checks everything: signatures, path, and that the event is the one. Its
    /// canonical bytes may come from elsewhere.
    pub fn check(&self, trust: &Trust, event: Option<&[u8]>) -> Result<Verified, ProofError> {
        let opened = Checkpoint::open(self.checkpoint.as_bytes(), trust)?;
        let bytes = match (event, &self.extra) {
            (Some(given), Some(held)) if given != held => return Err(ProofError::OtherEvent),
            (Some(given), _) => given,
            (None, Some(held)) => held,
            (None, None) => return Err(ProofError::NoEvent),
        };
        let entry = Sha256::digest(bytes).into();
        let Checkpoint { size, root, .. } = &opened.checkpoint;
        check_inclusion(*size, root, self.index, &entry, &self.path)?;
        Ok(Verified { position: self.index + 1, entry, canonical_bytes: bytes.to_vec(), opened })
    }
}

#[cfg(test)]
mod tests {
    use domain::tree::{Frontier, leaf_hash};
    use proptest::prelude::*;

    use super::*;
    use crate::note::add_lines;
    use crate::{SigningKey, cosign};

    /// A tree of two: an event and something beside it.
    fn made(event: &[u8]) -> (ProofFile, Trust) {
        let log = SigningKey::generate("log.example", &[1; 32]).unwrap();
        let witness = SigningKey::generate_witness("witness.example", &[2; 32]).unwrap();
        let (mut frontier, beside) = (Frontier::default(), [5; 32]);
        frontier.push(&Sha256::digest(event).into(), &mut Vec::new());
        frontier.push(&beside, &mut Vec::new());
        let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: 2, root: frontier.root() };
        let note = checkpoint.sign(std::slice::from_ref(&log));
        let line = cosign(&note, &witness, 1_700_000_000).unwrap();
        let checkpoint = add_lines(&note, [line.as_str()]).unwrap();
        let extra = Some(event.to_vec());
        let trust =
            Trust { witnesses: vec![witness.public().clone()], quorum: 1, ..Trust::of(log.public().clone()) };
        (ProofFile { extra, index: 0, path: vec![leaf_hash(&beside)], checkpoint }, trust)
    }

    fn check(file: &[u8], trust: &Trust) -> Result<Verified, ProofError> {
        ProofFile::parse(file)?.check(trust, None)
    }

    #[test]
    fn a_proof_file_holds() {
        let (proof, trust) = made(b"daybook-event/1\nposition 1\n");
        let text = proof.to_text();
        assert_eq!(ProofFile::parse(text.as_bytes()), Ok(proof.clone()));
        let verified = check(text.as_bytes(), &trust).unwrap();
        assert_eq!((verified.position, verified.opened.cosigned.len()), (1, 1));
        assert_eq!(verified.canonical_bytes, b"daybook-event/1\nposition 1\n");

        let without = ProofFile { extra: None, ..proof.clone() };
        let without = ProofFile::parse(without.to_text().as_bytes()).unwrap();
        assert_eq!(without.check(&trust, None), Err(ProofError::NoEvent));
        assert_eq!(without.check(&trust, proof.extra.as_deref()).unwrap(), verified);
        assert_eq!(without.check(&trust, Some(b"another")), Err(ProofError::Wrong));
        assert_eq!(proof.check(&trust, Some(b"another")), Err(ProofError::OtherEvent));
    }

    #[test]
    fn no_bit_can_be_changed() {
        let (proof, trust) = made(b"daybook-event/1\nposition 1\n\n{\"a\":1}");
        let file = proof.to_text().into_bytes();
        check(&file, &trust).unwrap();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                let outcome = check(&changed, &trust);
                assert!(outcome.is_err(), "byte {at} bit {bit}: {}", String::from_utf8_lossy(&changed));
            }
            let mut shorter = file.clone();
            shorter.remove(at);
            assert!(check(&shorter, &trust).is_err(), "without byte {at}");
            assert!(check(&file[..at], &trust).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_signed_size_and_the_key_count() {
        let (proof, trust) = made(b"event");
        let past = ProofFile { index: 2, ..proof.clone() };
        assert_eq!(past.check(&trust, None), Err(ProofError::Range { size: 2, asked: 2 }));
        let beside = ProofFile { index: 1, ..proof.clone() };
        assert_eq!(beside.check(&trust, None), Err(ProofError::Wrong));
        let other = SigningKey::generate("log.example", &[9; 32]).unwrap();
        let other = Trust::of(other.public().clone());
        assert_eq!(proof.check(&other, None), Err(ProofError::Note(crate::NoteError::Unsigned)));
    }

    #[test]
    fn bad_files_are_refused() {
        let (proof, _) = made(b"event");
        let text = proof.to_text();
        let hash = base64(proof.path[0]);
        let bad = [
            String::new(),
            "\n\n".to_owned(),
            text.replace("@v1", "@v2"),
            text.replace("index 0", "index 00"),
            text.replace("index 0", "index -1"),
            text.replace("index 0", "index 18446744073709551616"),
            text.replace("index 0\n", ""),
            text.replace("extra ", "extra  "),
            text.replace(&hash, &hash[1..]),
            text.replace(&hash, &format!("{hash}\r")),
            text.replace(&hash, &[hash.as_str(); 64].join("\n")),
            text.replacen('\n', "\r\n", 1),
            format!("{text}{}", "x".repeat(MAX_PROOF_BYTES)),
        ];
        for file in bad {
            let refused = ProofFile::parse(file.as_bytes());
            assert!(matches!(refused, Err(ProofError::Malformed(_))), "{refused:?} {file:.80}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_printed_the_same(
            extra in prop::option::of("[A-Za-z0-9+/=]{0,12}"), index in "[0-9]{1,3}", rest in "(?s).{0,60}",
        ) {
            let extra = extra.map(|e| format!("extra {e}\n")).unwrap_or_default();
            let text = format!("{FIRST_LINE}\n{extra}index {index}\n\n{rest}");
            if let Ok(proof) = ProofFile::parse(text.as_bytes()) {
                prop_assert_eq!(proof.to_text(), text);
            }
        }

        #[test]
        fn anything_is_read_without_harm(file: Vec<u8>, text in "(?s).{0,200}") {
            prop_assert!(ProofFile::parse(&file).is_err());
            let _ = ProofFile::parse(format!("{FIRST_LINE}\n{text}").as_bytes());
        }
    }
}
