//! A comparison for people: text for terminals and a page for browsers.

mod bars;
mod html;
mod lines;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use html::html;
pub use text::text;
