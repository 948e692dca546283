//! What is said to a witness and how it answers (`POST …/add-checkpoint`).

use domain::tree::Hash;

use crate::key::PublicKey;
use crate::note::{MAX_NOTE_BYTES, NoteError, add_lines, open};
use crate::prove::MAX_PATH;
use crate::text::{base64, hash, size};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Lines for the note, by keys that are known, checked.
    Cosigned(Vec<String>),
    /// It has seen a checkpoint of this size. If that is not larger than the
    /// log, a proof from there on will do.
    Has(u64),
    /// It has seen another size, or another tree of this size, and does not say
    /// which.
    Conflict,
    /// The proof does not lead here from what it has seen.
    Inconsistent,
    /// It will not sign this, now or later.
    Refused(String),
    /// It may sign later.
    Later(String),
}

/// The body of a request: the size that the witness has seen, the proof from
/// there to the note's size, and the note.
pub fn request(old: u64, proof: &[Hash], note: &str) -> String {
    let proof: String = proof.iter().take(MAX_PATH).map(|hash| base64(hash) + "\n").collect();
    format!("old {old}\n{proof}\n{note}")
}

/// Old size, proof and note of a request, for who answers it.
pub fn parse_request(body: &str) -> Option<(u64, Vec<Hash>, &str)> {
    let (head, note) = body.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old = size(lines.next()?.strip_prefix("old ")?)?;
    let proof: Vec<Hash> = lines.map(hash).take(MAX_PATH + 1).collect::<Option<_>>()?;
    (proof.len() <= MAX_PATH).then_some((old, proof, note))
}

/// Reads an answer to [`request`]; `known` are keys of witnesses.
pub fn answer(status: u16, content_type: &str, body: &[u8], note: &str, known: &[PublicKey]) -> Answer {
    let text = std::str::from_utf8(body).ok().filter(|_| body.len() <= MAX_NOTE_BYTES);
    match status {
        200 => cosigned(text, note, known),
        409 if content_type == "text/x.tlog.size" => {
            let has = text.and_then(|t| size(t.strip_suffix('\n')?));
            has.map_or(Answer::Refused("it answers with a size that cannot be read".to_owned()), Answer::Has)
        }
        409 => Answer::Conflict,
        422 => Answer::Inconsistent,
        400..500 if status != 429 && status != 408 => {
            Answer::Refused(format!("it answers with status {status}"))
        }
        _ => Answer::Later(format!("it answers with status {status}")),
    }
}

/// Those of the witnesses that have signed a note. None, if a line of one of
/// them is wrong: nobody who trusts that one opens such a note.
pub fn cosigners(note: &str, witnesses: &[PublicKey]) -> Result<Vec<PublicKey>, NoteError> {
    let known: Vec<&PublicKey> = witnesses.iter().filter(|k| k.is_witness()).collect();
    let mut all = Vec::<PublicKey>::new();
    match open(note.as_bytes(), &known) {
        Err(NoteError::Unsigned) => {}
        opened => {
            for signed in opened?.1 {
                // One key under two names is one witness.
                if !all.iter().any(|key| key.bytes() == signed.key.bytes()) {
                    all.push(signed.key);
                }
            }
        }
    }
    Ok(all)
}

fn cosigned(body: Option<&str>, note: &str, known: &[PublicKey]) -> Answer {
    let refused = |reason: &str| Answer::Refused(reason.to_owned());
    let Some(body) = body else { return refused("its answer cannot be read") };
    let (mut lines, mut keys) = (Vec::new(), Vec::new());
    for line in body.split_inclusive('\n') {
        // One at a time, so that a line of a known key that is wrong spoils
        // only itself.
        let text = note.rfind("\n\n").map(|end| format!("{}\n\n{line}", &note[..end]));
        let Some(Ok(by)) = text.map(|text| cosigners(&text, known)) else { continue };
        // A note has one line of a key.
        if !by.is_empty() && !keys.contains(&by) && add_lines(note, [line]).is_ok() {
            lines.push(line.to_owned());
            keys.push(by);
        }
    }
    if lines.is_empty() { refused("it signed with no key that is known") } else { Answer::Cosigned(lines) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Checkpoint, SigningKey, cosign};

    fn note() -> String {
        let log = SigningKey::generate("log.example", &[1; 32]).unwrap();
        Checkpoint { origin: "log.example".to_owned(), size: 9, root: [7; 32] }.sign(&[log])
    }

    #[test]
    fn a_request_reads_as_specified() {
        let body = request(3, &[[0; 32], [1; 32]], &note());
        let (zero, one) = (base64([0; 32]), base64([1; 32]));
        assert!(body.starts_with(&format!("old 3\n{zero}\n{one}\n\nlog.example\n9\n")), "{body}");
        assert!(request(0, &[], &note()).starts_with("old 0\n\nlog.example\n"));
        for proof in [&[][..], &[[0; 32], [1; 32]]] {
            let body = request(3, proof, &note());
            assert_eq!(parse_request(&body), Some((3, proof.to_vec(), note().as_str())));
        }
        for bad in ["", "old 3\n", "3\n\nnote\n", "old 03\n\nnote\n", "old 3\nhash\n\nnote\n"] {
            assert_eq!(parse_request(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_right_lines_of_known_keys_are_taken() {
        let [known, other] = [2, 3].map(|s| SigningKey::generate_witness("w.example", &[s; 32]).unwrap());
        let keys = [known.public().clone()];
        let (good, foreign) = (cosign(&note(), &known, 5).unwrap(), cosign(&note(), &other, 5).unwrap());
        let read = |body: &str| answer(200, "text/plain", body.as_bytes(), &note(), &keys);
        assert_eq!(read(&format!("{foreign}{good}{good}")), Answer::Cosigned(vec![good.clone()]));
        assert!(matches!(read(&foreign), Answer::Refused(_)));
        assert!(matches!(read(good.trim_end()), Answer::Refused(_)));
        assert!(matches!(read(""), Answer::Refused(_)));
        // At two times: a note with both cannot be opened.
        let again = cosign(&note(), &known, 6).unwrap();
        assert_eq!(read(&format!("{good}{again}")), Answer::Cosigned(vec![good.clone()]));
        let of_another = cosign(&note().replace("\n9\n", "\n8\n"), &known, 5).unwrap();
        assert!(matches!(read(&of_another), Answer::Refused(_)));
        assert_eq!(read(&format!("{of_another}{good}")), Answer::Cosigned(vec![good]));
    }

    #[test]
    fn witnesses_of_a_note_are_counted_by_their_keys() {
        let key = |name: &str, seed| SigningKey::generate_witness(name, &[seed; 32]).unwrap();
        let (one, alias, two) = (key("w.example/1", 2), key("w.example/alias", 2), key("w.example/2", 3));
        let known = [&one, &alias, &two].map(|k| k.public().clone());
        let count = |note: &str| cosigners(note, &known).map(|keys| keys.len());
        assert_eq!(count(&note()), Ok(0));
        let lines = [&one, &alias].map(|k| cosign(&note(), k, 5).unwrap());
        let signed = add_lines(&note(), lines.iter().map(String::as_str)).unwrap();
        assert_eq!(count(&signed), Ok(1));
        assert_eq!(count(&(signed.clone() + &cosign(&note(), &two, 5).unwrap())), Ok(2));
        let wrong = cosign(&note().replace("\n9\n", "\n8\n"), &two, 5).unwrap();
        assert!(matches!(count(&(signed + &wrong)), Err(NoteError::Wrong { .. })));
        // A log's key is no witness.
        let log = SigningKey::generate("log.example", &[1; 32]).unwrap();
        assert_eq!(cosigners(&note(), &[log.public().clone()]), Ok(Vec::new()));
    }

    #[test]
    fn the_status_says_what_to_do() {
        let read = |status, kind: &str, body: &str| answer(status, kind, body.as_bytes(), &note(), &[]);
        assert_eq!(read(409, "text/x.tlog.size", "600\n"), Answer::Has(600));
        for bad in ["600", "-1\n", "0600\n", "x\n", "", "18446744073709551616\n", "6\n6\n"] {
            assert!(matches!(read(409, "text/x.tlog.size", bad), Answer::Refused(_)), "{bad}");
        }
        assert_eq!(read(409, "text/plain", "600\n"), Answer::Conflict);
        assert_eq!(read(422, "text/x.tlog.size", "600\n"), Answer::Inconsistent);
        for status in [400, 403, 404] {
            assert!(matches!(read(status, "", ""), Answer::Refused(_)));
        }
        for status in [429, 500, 503, 302, 100] {
            assert!(matches!(read(status, "", ""), Answer::Later(_)));
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(status: u16, size: bool, body: Vec<u8>) {
            let kind = if size { "text/x.tlog.size" } else { "text/plain" };
            let read = answer(status, kind, &body, &note(), &[]);
            prop_assert!(!matches!(read, Answer::Cosigned(_)));
        }
    }
}
