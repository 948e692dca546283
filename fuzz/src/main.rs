//! Readers of what comes from outside, for AFL++: one target for each, chosen
//! by its name in `DAYBOOK_FUZZ`. `cargo afl build --release`, then
//! `DAYBOOK_FUZZ=note cargo afl fuzz -i seeds/note -o out target/release/daybook-fuzz`.
//! With the argument `seeds` and a folder it writes genuine inputs for each.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a finding is a panic")]

mod genuine;
mod targets;

// The readers of log lines know nothing but each other and `domain`.
#[path = "../../src/import/bitly.rs"]
#[allow(dead_code)]
mod bitly;
#[path = "../../src/import/click.rs"]
#[allow(dead_code)]
mod click;
#[path = "../../src/import/combined.rs"]
#[allow(dead_code)]
mod combined;
#[path = "../../src/import/tsv.rs"]
#[allow(dead_code)]
mod tsv;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("seeds") {
        return genuine::write(&arguments.next().expect("a folder"));
    }
    let name = std::env::var("DAYBOOK_FUZZ").expect("DAYBOOK_FUZZ names a target");
    let target = targets::named(&name).unwrap_or_else(|| panic!("there is no target {name}"));
    let made = genuine::tree();
    afl::fuzz!(|data: &[u8]| target(data, &made));
}
