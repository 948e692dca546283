//! The `daybook` binary.

use std::process::ExitCode;

/// Taps, batches and folds are many small allocations on several threads,
/// some of them freed by another; in a profile of a fold the system's
/// allocator took about 30 %.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    daybook::cli::main()
}
