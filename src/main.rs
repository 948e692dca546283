//! The `daybook` binary.

use std::process::ExitCode;

/// Taps, batches and folds are many small allocations on several threads,
/// some of them freed by another; the system's allocator takes a third of a
/// fold's time with that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    daybook::cli::main()
}
