//! The running text of Markdown: without code, links' targets and marks.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

pub(crate) fn text(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    let mut text = String::with_capacity(markdown.len());
    let mut code = false;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Text(words) if !code => text.push_str(&words),
            Event::Code(words) => text.push_str(&words),
            Event::SoftBreak | Event::HardBreak => text.push('\n'),
            Event::Start(Tag::CodeBlock(_)) => code = true,
            Event::End(TagEnd::CodeBlock) => code = false,
            Event::Start(Tag::TableCell) => text.push(' '),
            Event::End(
                TagEnd::Paragraph
                | TagEnd::Heading(_)
                | TagEnd::Item
                | TagEnd::BlockQuote(_)
                | TagEnd::TableRow
                | TagEnd::TableHead,
            )
            | Event::Rule => text.push_str("\n\n"),
            _ => {}
        }
    }
    text
}
