//! What a client says of a text, in JSON and in a query.

use daybook_http::Problem;
use domain::sample::{Label, Submit};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Files, submission};

/// A text with what is known of it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// At most 8 MiB when it is normalised.
    text: String,
    /// `text`, `markdown` or `html`; `text` unless told.
    format: Option<Format>,
    title: Option<String>,
    /// As people write it. Absent: unknown.
    author: Option<String>,
    /// Date, `1787-11-27`.
    #[schema(value_type = Option<String>)]
    written_at: Option<jiff::civil::Date>,
    /// Genre or register: `novel`, `essay`, `email`, ….
    genre: Option<String>,
    /// ISO 639 code.
    language: Option<String>,
    licence: Option<String>,
    /// The collection that it belongs to, an id.
    corpus: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Text,
    Markdown,
    Html,
}

/// What is known of a text that is the body itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Described {
    title: Option<String>,
    /// As people write it. Absent: unknown.
    author: Option<String>,
    /// Date, `1787-11-27`.
    #[param(value_type = Option<String>)]
    written_at: Option<jiff::civil::Date>,
    /// Genre or register: `novel`, `essay`, `email`, ….
    genre: Option<String>,
    /// ISO 639 code.
    language: Option<String>,
    licence: Option<String>,
    /// The collection that it belongs to, an id.
    corpus: Option<String>,
}

impl Form {
    pub fn read(self, files: &dyn Files) -> Result<Submit, Problem> {
        let Self { text, format, title, author, written_at, genre, language, licence, corpus } = self;
        let label = Label { author, written_at, genre, language, licence, corpus };
        // What is JSON is text already: only its marks are taken out.
        let text = match format.unwrap_or(Format::Text) {
            Format::Text => (text, "text"),
            Format::Markdown => file(files, "text.md", text.as_bytes())?,
            Format::Html => file(files, "text.html", text.as_bytes())?,
        };
        Ok(submission(title, label, text))
    }
}

impl Described {
    pub fn label(&self) -> Label {
        let Self { title: _, author, written_at, genre, language, licence, corpus } = self.clone();
        Label { author, written_at, genre, language, licence, corpus }
    }

    pub fn read(&self, files: &dyn Files, name: &str, bytes: &[u8]) -> Result<Submit, Problem> {
        Ok(submission(self.title.clone(), self.label(), file(files, name, bytes)?))
    }
}

fn file(files: &dyn Files, name: &str, bytes: &[u8]) -> Result<(String, &'static str), Problem> {
    files.text(name, bytes).map_err(|reason| Problem::field("", reason))
}
