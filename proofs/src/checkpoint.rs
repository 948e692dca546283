//! Checkpoints: who says that the log of this origin has this size and root.

use domain::tree::Hash;

use crate::cosignature;
use crate::key::{PublicKey, SigningKey};
use crate::note::{self, NoteError, Signed};
use crate::text::{base64, hash, size};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Whose word counts.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The log's keys; the signature of one is enough.
    pub keys: Vec<PublicKey>,
    /// The origin that checkpoints must have. Without it, that of the name of
    /// the key that signed.
    pub origin: Option<String>,
    pub witnesses: Vec<PublicKey>,
    /// How many of them must have signed.
    pub quorum: usize,
}

/// A checkpoint whose signatures have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub checkpoint: Checkpoint,
    /// Keys of the log that have signed.
    pub signed: Vec<PublicKey>,
    pub cosigned: Vec<Cosigned>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    pub witness: PublicKey,
    /// Since 1970, by the witness's clock.
    pub seconds: u64,
}

impl Trust {
    pub fn of(key: PublicKey) -> Self {
        Self { keys: vec![key], ..Self::default() }
    }
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64(self.root))
    }

    /// A note with the signatures of these keys.
    pub fn sign(&self, keys: &[SigningKey]) -> String {
        note::sign(&self.text(), keys)
    }

    /// Reads a checkpoint from a note without looking at its signatures.
    pub fn peek(note: &[u8]) -> Result<Self, NoteError> {
        read(note::split(note)?.0)
    }

    pub fn open(note: &[u8], trust: &Trust) -> Result<Opened, NoteError> {
        let known: Vec<&PublicKey> = trust.keys.iter().chain(&trust.witnesses).collect();
        let (text, signatures) = note::open(note, &known)?;
        let checkpoint = read(text)?;
        let (mut signed, mut cosigned) = (Vec::new(), Vec::<Cosigned>::new());
        for Signed { key, signature } in signatures {
            if trust.keys.contains(&key) {
                signed.push(key);
            } else if let Some(seconds) = cosignature::seconds(&signature)
                // One key under two names is one witness.
                && !cosigned.iter().any(|c| c.witness.bytes() == key.bytes())
            {
                cosigned.push(Cosigned { witness: key, seconds });
            }
        }
        let Some(first) = signed.first() else { return Err(NoteError::Unsigned) };
        let expected = trust.origin.as_deref().unwrap_or(first.name());
        if checkpoint.origin != expected {
            return Err(NoteError::Origin { expected: expected.to_owned(), found: checkpoint.origin });
        }
        if cosigned.len() < trust.quorum {
            return Err(NoteError::Quorum { counted: cosigned.len(), quorum: trust.quorum });
        }
        Ok(Opened { checkpoint, signed, cosigned })
    }
}

/// Lines past the third are the log's own and mean nothing here.
fn read(text: &str) -> Result<Checkpoint, NoteError> {
    let mut lines = text.split('\n');
    let mut next = || lines.next().filter(|l| !l.is_empty()).ok_or(NoteError::Malformed("a line is missing"));
    let (origin, number, root) = (next()?, next()?, next()?);
    let size = size(number).ok_or(NoteError::Malformed("the size cannot be read"))?;
    let root = hash(root).ok_or(NoteError::Malformed("the root cannot be read"))?;
    Ok(Checkpoint { origin: origin.to_owned(), size, root })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cosign;
    use crate::note::{MAX_NOTE_BYTES, add_lines};

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::generate(name, &[seed; 32]).unwrap()
    }

    fn witness(seed: u8) -> SigningKey {
        SigningKey::generate_witness(&format!("witness.example/{seed}"), &[seed; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "log.example".to_owned(), size: 70_000, root: [7; 32] }
    }

    /// The signed note that the documentation of the Go module `note` shows.
    #[test]
    fn a_note_of_another_implementation_is_opened() {
        let peter = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let peter = PublicKey::parse(peter).unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let (text, signatures) = note::open(note.as_bytes(), &[&peter]).unwrap();
        assert_eq!((text.lines().count(), signatures.len()), (2, 1));
        let changed = note.replace("problem is", "problem was");
        let wrong = note::open(changed.as_bytes(), &[&peter]).unwrap_err();
        assert_eq!(wrong, NoteError::Wrong { name: "PeterNeumann".to_owned(), id: 0xc74f_20a3 });
    }

    #[test]
    fn one_trusted_key_is_enough_and_others_are_ignored() {
        let (old, new, other) = (key("log.example", 1), key("log.example", 2), key("log.example", 3));
        let note = checkpoint().sign(&[old.clone(), new.clone()]);
        for trusted in [&old, &new] {
            let opened = Checkpoint::open(note.as_bytes(), &Trust::of(trusted.public().clone())).unwrap();
            assert_eq!(opened.checkpoint, checkpoint());
            assert_eq!(opened.signed, [trusted.public().clone()]);
        }
        let trust = Trust::of(other.public().clone());
        assert_eq!(Checkpoint::open(note.as_bytes(), &trust), Err(NoteError::Unsigned));
        assert_eq!(Checkpoint::peek(note.as_bytes()), Ok(checkpoint()));
    }

    #[test]
    fn the_origin_is_the_name_of_the_key_unless_another_is_expected() {
        let own = key("somebody.else", 1);
        let note = checkpoint().sign(std::slice::from_ref(&own));
        let trust = Trust::of(own.public().clone());
        let refused = Checkpoint::open(note.as_bytes(), &trust);
        assert!(matches!(refused, Err(NoteError::Origin { .. })), "{refused:?}");
        let trust = Trust { origin: Some("log.example".to_owned()), ..trust };
        assert!(Checkpoint::open(note.as_bytes(), &trust).is_ok());
    }

    #[test]
    fn witnesses_are_counted_by_their_keys() {
        let log = key("log.example", 1);
        let note = checkpoint().sign(std::slice::from_ref(&log));
        let one = witness(2);
        let alias = SigningKey::generate_witness("witness.example/alias", &[2; 32]).unwrap();
        let two = witness(3);
        let lines = [&one, &alias].map(|w| cosign(&note, w, 1_700_000_000).unwrap());
        let note = add_lines(&note, lines.iter().map(String::as_str)).unwrap();
        let witnesses = [&one, &alias, &two].map(|w| w.public().clone()).to_vec();
        let trust = Trust { witnesses, quorum: 2, ..Trust::of(log.public().clone()) };
        let short = Checkpoint::open(note.as_bytes(), &trust);
        assert_eq!(short, Err(NoteError::Quorum { counted: 1, quorum: 2 }));
        let note = add_lines(&note, [cosign(&note, &two, 1_700_000_001).unwrap().as_str()]).unwrap();
        let opened = Checkpoint::open(note.as_bytes(), &trust).unwrap();
        assert_eq!(
            opened.cosigned.iter().map(|c| c.seconds).collect::<Vec<_>>(),
            [1_700_000_000, 1_700_000_001]
        );
        // A witness is no log.
        let trust = Trust { keys: Vec::new(), ..trust };
        assert_eq!(Checkpoint::open(note.as_bytes(), &trust), Err(NoteError::Unsigned));
    }

    #[test]
    fn a_line_counts_once() {
        let log = key("log.example", 1);
        let note = checkpoint().sign(std::slice::from_ref(&log));
        let (_, line) = note.rsplit_once("\n\n").unwrap();
        assert_eq!(add_lines(&note, [line]).unwrap(), note);
        let twice = format!("{note}{line}");
        let refused = Checkpoint::open(twice.as_bytes(), &Trust::of(log.public().clone()));
        assert!(matches!(refused, Err(NoteError::Twice { .. })), "{refused:?}");
    }

    #[test]
    fn bad_notes_are_refused() {
        let log = key("log.example", 1);
        let trust = Trust::of(log.public().clone());
        let note = checkpoint().sign(std::slice::from_ref(&log));
        let signed = |text: &str| note::sign(text, std::slice::from_ref(&log));
        let root = base64([7; 32]);
        let bad = [
            String::new(),
            "\n\n".to_owned(),
            note.trim_end().to_owned(),
            note.replace('\n', "\r\n"),
            note.replace("— ", "- "),
            format!("{note}{}", "— a AAAAAAAA\n".repeat(100)),
            format!("{}\n{note}", "x\n".repeat(MAX_NOTE_BYTES)),
            signed(&format!("log.example\n070000\n{root}\n")),
            signed(&format!("log.example\n-1\n{root}\n")),
            signed(&format!("log.example\n18446744073709551615\n{root}\n")),
            signed(&format!("log.example\n281474976710657\n{root}\n")),
            signed(&format!("log.example\n7\n{}\n", &root[1..])),
            signed("log.example\n7\n"),
            signed(&format!("\n7\n{root}\n")),
        ];
        for note in bad {
            let refused = Checkpoint::open(note.as_bytes(), &trust);
            assert!(matches!(refused, Err(NoteError::Malformed(_))), "{refused:?} {note:.80}");
        }
        let extended = signed(&format!("log.example\n70000\n{root}\nmore\n"));
        assert_eq!(Checkpoint::open(extended.as_bytes(), &trust).unwrap().checkpoint, checkpoint());
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(text in "(?s).{0,200}", bytes: Vec<u8>) {
            let trust = Trust::of(key("log.example", 1).public().clone());
            for note in [text.as_bytes(), &bytes, format!("{text}\n\n— {text}\n").as_bytes()] {
                prop_assert!(Checkpoint::open(note, &trust).is_err());
                let _ = Checkpoint::peek(note);
            }
        }
    }
}
