//! The running text of an HTML page. Tokens only: no tree is built, so that
//! nesting costs nothing.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer};

#[derive(Default)]
struct Text {
    text: String,
    /// The element whose content is left out, until it ends.
    hidden: Option<String>,
}

struct Sink(RefCell<Text>);

const HIDDEN: &[&str] = &["script", "style", "head", "noscript", "template", "svg", "nav", "textarea"];
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
    "var", "wbr", "img",
];

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut text = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(characters) if text.hidden.is_none() => {
                // A page's line ends are blanks.
                text.text.extend(characters.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }));
            }
            Token::TagToken(tag) => {
                let name = &*tag.name;
                match (&text.hidden, tag.kind) {
                    (Some(hidden), TagKind::EndTag) if hidden == name => text.hidden = None,
                    (Some(hidden), TagKind::StartTag) if hidden == "head" && name == "body" => {
                        text.hidden = None
                    }
                    (None, TagKind::StartTag) if HIDDEN.contains(&name) && !tag.self_closing => {
                        text.hidden = Some(name.to_owned());
                    }
                    (None, _) if name == "br" => text.text.push('\n'),
                    (None, _) if !INLINE.contains(&name) => text.text.push_str("\n\n"),
                    _ => {}
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

pub(crate) fn text(page: &str) -> String {
    let tokenizer = Tokenizer::new(Sink(RefCell::default()), Default::default());
    let input = BufferQueue::default();
    // A tendril holds 4 GiB; files are limited to far less.
    input.push_back(StrTendril::from_slice(page));
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner().text
}
