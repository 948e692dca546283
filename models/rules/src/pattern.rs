//! Regular expressions whose cost is bounded: linear in the text by the
//! engine, in memory by a limit on what a pattern may compile to.

use regex::{Regex, RegexBuilder};

const COMPILED_BYTES: usize = 256 * 1024;
const NESTING: u32 = 32;

/// Compiles a pattern, or says in one line why not.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let builder = |p| {
        let mut builder = RegexBuilder::new(p);
        builder.size_limit(COMPILED_BYTES).dfa_size_limit(COMPILED_BYTES).nest_limit(NESTING);
        builder
    };
    builder(pattern).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern compiles to too much".to_owned(),
        other => other.to_string().lines().last().unwrap_or("not a pattern").trim().to_owned(),
    })
}
