//! Cosignatures (`cosignature/v1`): a witness says that it saw a checkpoint at
//! a time, and nothing that contradicts it.

use crate::key::{PublicKey, SigningKey};
use crate::note::{NoteError, line, split};

/// Seconds, then the signature.
const BYTES: usize = 8 + 64;

/// The line of a witness for a note.
pub fn cosign(note: &str, key: &SigningKey, seconds: u64) -> Result<String, NoteError> {
    let (text, _) = split(note.as_bytes())?;
    let signature = key.sign(&message(seconds, text.as_bytes()));
    Ok(line(key.public(), &[&seconds.to_be_bytes()[..], &signature].concat()))
}

/// When a cosignature was made, in seconds since 1970.
pub(crate) fn seconds(signature: &[u8]) -> Option<u64> {
    let seconds = signature.first_chunk().map(|s| u64::from_be_bytes(*s))?;
    (signature.len() == BYTES && i64::try_from(seconds).is_ok()).then_some(seconds)
}

pub(crate) fn verifies(key: &PublicKey, text: &[u8], signature: &[u8]) -> bool {
    match (seconds(signature), signature.last_chunk()) {
        (Some(seconds), Some(of_key)) => key.verifies(&message(seconds, text), of_key),
        _ => false,
    }
}

fn message(seconds: u64, text: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {seconds}\n").as_bytes(), text].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checkpoint and cosignature that the specification shows.
    const EXAMPLE: &str = "\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

    #[test]
    fn the_time_stands_before_the_signature() {
        let (_, lines) = split(EXAMPLE.as_bytes()).unwrap();
        let line = crate::note::parse_line(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(seconds(line.signature()), Some(1_679_315_147));
        assert_eq!(seconds(&line.signature()[1..]), None);
        assert_eq!(seconds(&[0xff; BYTES]), None);
    }

    #[test]
    fn a_cosignature_is_of_one_text_and_one_time() {
        let witness = SigningKey::generate_witness("w", &[1; 32]).unwrap();
        let made = cosign(EXAMPLE, &witness, 7).unwrap();
        let signature = crate::note::parse_line(made.trim_end()).unwrap().signature().to_vec();
        let (text, _) = split(EXAMPLE.as_bytes()).unwrap();
        assert!(verifies(witness.public(), text.as_bytes(), &signature));
        assert!(!verifies(witness.public(), &text.as_bytes()[1..], &signature));
        let mut later = signature;
        later[7] = 8;
        assert!(!verifies(witness.public(), text.as_bytes(), &later));
    }
}
