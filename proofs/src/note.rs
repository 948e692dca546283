//! Signed notes: a text, an empty line, and a line for each signature.

use signed_note::{Note, Signature, Verifier, VerifierList};

use crate::cosignature;
use crate::key::{Kind, PublicKey, SigningKey};

/// Longer notes are refused.
pub const MAX_NOTE_BYTES: usize = 64 << 10;
const MAX_LINES: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("this is no signed note: {0}")]
    Malformed(&'static str),
    #[error("the note has the signature of key {name}+{id:08x} twice")]
    Twice { name: String, id: u32 },
    #[error("the signature of key {name}+{id:08x} is wrong")]
    Wrong { name: String, id: u32 },
    #[error("no key that is trusted has signed the note")]
    Unsigned,
    #[error("the checkpoint is of log «{found}», not of «{expected}»")]
    Origin { expected: String, found: String },
    #[error("{counted} of the {quorum} witnesses that are required have signed")]
    Quorum { counted: usize, quorum: usize },
}

/// What follows name and id in the line of a key.
#[derive(Debug)]
pub(crate) struct Signed {
    pub key: PublicKey,
    pub signature: Vec<u8>,
}

/// A key to [`signed_note`]; a witness's signature has its time before it.
struct Known(PublicKey);

impl Verifier for Known {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn key_id(&self) -> u32 {
        self.0.id()
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        match self.0.kind() {
            Kind::Log => signature.try_into().is_ok_and(|s| self.0.verifies(text, s)),
            Kind::Witness => cosignature::verifies(&self.0, text, signature),
        }
    }
}

/// The text of a note and the signatures on it by keys that are known, each of
/// which has been found right. Others are ignored.
pub(crate) fn open<'n>(note: &'n [u8], known: &[&PublicKey]) -> Result<(&'n str, Vec<Signed>), NoteError> {
    let (text, lines) = split(note)?;
    let mut seen = Vec::new();
    for line in lines.split_terminator('\n') {
        let signature = parse_line(line)?;
        let who = |k: &&&PublicKey| k.name() == signature.name() && k.id() == signature.id();
        if known.iter().any(|k| who(&k)) {
            let key = (signature.name().to_owned(), signature.id());
            if seen.contains(&key) {
                return Err(NoteError::Twice { name: key.0, id: key.1 });
            }
            seen.push(key);
        }
    }
    let malformed = |_| NoteError::Malformed("it cannot be read");
    let verifiers = known.iter().map(|key| Box::new(Known((*key).clone())) as Box<dyn Verifier>);
    let verified = Note::from_bytes(note).map_err(malformed)?.verify(&VerifierList::new(verifiers.collect()));
    let (verified, _) = verified.map_err(|error| match error {
        signed_note::NoteError::InvalidSignature { name, id } => NoteError::Wrong { name, id },
        signed_note::NoteError::UnverifiedNote => NoteError::Unsigned,
        _ => NoteError::Malformed("its keys cannot be told apart"),
    })?;
    let signed = verified.into_iter().filter_map(|s| {
        let key = known.iter().find(|k| k.name() == s.name() && k.id() == s.id())?;
        Some(Signed { key: (*key).clone(), signature: s.signature().to_vec() })
    });
    Ok((text, signed.collect()))
}

/// Text, with its last line feed, and signature lines.
pub(crate) fn split(note: &[u8]) -> Result<(&str, &str), NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Malformed("it is longer than 64 KiB"));
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Malformed("it has control characters"));
    }
    let end = note.rfind("\n\n").ok_or(NoteError::Malformed("it has no signatures"))?;
    let (text, lines) = (&note[..=end], &note[end + 2..]);
    if !lines.ends_with('\n') {
        return Err(NoteError::Malformed("its last line has no end"));
    }
    if lines.lines().count() > MAX_LINES {
        return Err(NoteError::Malformed("it has more than 100 signatures"));
    }
    Ok((text, lines))
}

/// A signature line without its line feed.
pub(crate) fn parse_line(line: &str) -> Result<Signature, NoteError> {
    let signature = Signature::from_bytes(line.as_bytes());
    signature.map_err(|_| NoteError::Malformed("a signature cannot be read"))
}

/// The line of a key for signature bytes.
pub(crate) fn line(key: &PublicKey, signature: &[u8]) -> String {
    let id_and_signature = [&key.id().to_be_bytes(), signature].concat();
    format!("— {} {}\n", key.name(), crate::text::base64(id_and_signature))
}

/// A note with this text, signed by all these keys of logs.
pub(crate) fn sign(text: &str, keys: &[SigningKey]) -> String {
    let mut note = format!("{text}\n");
    for key in keys.iter().filter(|k| !k.public().is_witness()) {
        note.push_str(&line(key.public(), &key.sign(text.as_bytes())));
    }
    note
}

/// A note with further signature lines, each of which must end in a line feed.
/// Those that it has already are left out.
pub fn add_lines<'a>(note: &str, lines: impl IntoIterator<Item = &'a str>) -> Result<String, NoteError> {
    let (_, have) = split(note.as_bytes())?;
    let mut all = note.to_owned();
    for line in lines {
        parse_line(line.strip_suffix('\n').ok_or(NoteError::Malformed("a line has no end"))?)?;
        if !have.split_inclusive('\n').any(|l| l == line) {
            all.push_str(line);
        }
    }
    split(all.as_bytes())?;
    Ok(all)
}
