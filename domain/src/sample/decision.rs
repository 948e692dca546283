//! What a sample decides.

use super::{ALL, Command, Event, Label, Part, Sample, Submit, Submitted, id_of, subject_of};
use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;

/// Largest normalised text.
pub const MAX_TEXT_BYTES: usize = 8 << 20;
/// Longest author, title, genre, language, licence or reason.
pub const MAX_NAME_BYTES: usize = 256;
/// A part of a text as JSON is about as long, so that it fits a payload when
/// it is sealed.
pub const PART_BYTES: usize = 500 << 10;
/// Most of a text as JSON, so that it fits one append when it is sealed.
pub const MAX_ENCODED_BYTES: usize = 11 << 20;

impl Decide for Sample {
    const KIND: &'static str = super::KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::Submit(submit) => self.submit(submit),
            _ if self.submitted.is_none() => Err(Rejection::NotFound),
            Command::Withdraw { reason } => {
                check_name("/reason", &reason, true)?;
                let events = if self.withdrawn { vec![] } else { vec![Event::Withdrawn { reason }] };
                Ok(Decision::events(events))
            }
            _ if self.withdrawn => {
                Err(Rejection::State("the sample is withdrawn; submit it again first".into()))
            }
            Command::Label(label) => {
                let label = check_label(label)?;
                let events = if label == self.label { vec![] } else { vec![Event::Labelled(label)] };
                Ok(Decision::events(events))
            }
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Submitted(submitted) => {
                self.label = submitted.label.clone();
                self.submitted = Some(submitted);
                (self.withdrawn, self.erased) = (false, false);
            }
            Event::PartRecorded(part) => self.erased |= part.text.clear().is_none(),
            Event::Labelled(label) => self.label = label,
            Event::Withdrawn { .. } => self.withdrawn = true,
        }
    }
}

impl Sample {
    fn submit(&self, submit: Submit) -> Result<Decision<Event>, Rejection> {
        let Submit { title, label, format, normalisation, text } = submit;
        let label = check_label(label)?;
        if let Some(title) = &title {
            check_name("/title", title, true)?;
        }
        check_name("/format", &format, true)?;
        check_name("/normalisation", &normalisation, true)?;
        if text.trim().is_empty() {
            return Err(Rejection::field("/text", "holds no text"));
        }
        if text.len() > MAX_TEXT_BYTES {
            let reason = format!("is {} bytes long, of at most {MAX_TEXT_BYTES}", text.len());
            return Err(Rejection::field("/text", reason));
        }
        if let Some(known) = self.submitted.as_ref().filter(|_| !self.withdrawn && !self.erased) {
            return match label == self.label && same_title(known, title.as_deref()) {
                true => Ok(Decision::nothing()),
                false => Err(Rejection::State(format!(
                    "this text is there already, by {}; give it another label instead",
                    self.label.author.as_deref().unwrap_or("an unknown author")
                ))),
            };
        }
        let sha256 = id_of(&text);
        let subject = match &label.author {
            Some(author) => subject_of(author),
            None => format!("unknown-{}", &sha256[..32]),
        };
        let parts = parts(&text)?;
        let submitted = Submitted {
            subject: subject.clone(),
            title: title.map(Into::into),
            label,
            format,
            normalisation,
            sha256,
            bytes: text.len() as u64,
            // Bounded by the length of the text.
            parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        };
        let mut events = vec![Event::Submitted(submitted)];
        for (number, text) in (1..).zip(parts) {
            let part = Part { subject: subject.clone(), part: number, text: text.into() };
            events.push(Event::PartRecorded(part));
        }
        Ok(Decision::events(events))
    }
}

fn same_title(known: &Submitted, title: Option<&str>) -> bool {
    known.title.as_ref().and_then(|t| t.clear()) == title
}

fn check_name(field: &str, text: &str, required: bool) -> Result<(), Rejection> {
    if text.len() > MAX_NAME_BYTES {
        return Err(Rejection::field(field, format!("must be at most {MAX_NAME_BYTES} bytes long")));
    }
    if text.chars().any(char::is_control) {
        return Err(Rejection::field(field, "must hold no control characters"));
    }
    if required && text.trim().is_empty() {
        return Err(Rejection::field(field, "must not be empty"));
    }
    Ok(())
}

fn check_label(label: Label) -> Result<Label, Rejection> {
    let named = [
        ("/label/author", &label.author),
        ("/label/genre", &label.genre),
        ("/label/language", &label.language),
        ("/label/licence", &label.licence),
    ];
    for (field, text) in named {
        if let Some(text) = text {
            check_name(field, text, true)?;
        }
    }
    if let Some(corpus) = &label.corpus {
        check_id(corpus).map_err(|e| Rejection::field("/label/corpus", e))?;
        if corpus == ALL {
            return Err(Rejection::field("/label/corpus", "is the corpus that every sample is in"));
        }
    }
    Ok(label)
}

/// Cut so that each part fits a payload, at white space where there is some.
fn parts(text: &str) -> Result<Vec<&str>, Rejection> {
    let mut parts = Vec::new();
    let (mut rest, mut total) = (text, 0);
    while !rest.is_empty() {
        let (mut cut, mut blank, mut encoded) = (rest.len(), None, 0);
        for (at, c) in rest.char_indices() {
            encoded += encoded_bytes(c);
            if encoded > PART_BYTES {
                cut = blank.unwrap_or(at);
                break;
            }
            if c == ' ' || c == '\n' {
                blank = Some(at + 1);
            }
        }
        total += encoded.min(PART_BYTES);
        if total > MAX_ENCODED_BYTES {
            let reason = format!("takes more than {MAX_ENCODED_BYTES} bytes as JSON");
            return Err(Rejection::field("/text", reason));
        }
        let (part, after) = rest.split_at(cut);
        parts.push(part);
        rest = after;
    }
    Ok(parts)
}

fn encoded_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    }
}
