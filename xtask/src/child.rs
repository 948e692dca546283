//! Runs one command in the foreground. Ctrl-C and SIGTERM end that command,
//! so that its caller goes on to stop what it started.

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Process id of the command in the foreground; 0 if there is none.
static FOREGROUND: AtomicU32 = AtomicU32::new(0);

pub fn catch_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        let pid = FOREGROUND.load(Ordering::SeqCst);
        if pid != 0 {
            signal(pid, "TERM");
        }
    })
    .context("cannot catch signals")
}

pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Sends a signal to one process. The shell's own `kill`, because small
/// machines have no other.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid} 2>/dev/null")).status();
    if let Err(error) = sent {
        eprintln!("xtask: cannot signal process {pid}: {error}");
    }
}

/// Runs the command to its end and answers its exit code.
pub fn run(command: &mut Command) -> Result<ExitCode> {
    ensure!(!interrupted(), "interrupted");
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    FOREGROUND.store(child.id(), Ordering::SeqCst);
    let status = child.wait();
    FOREGROUND.store(0, Ordering::SeqCst);
    let code = status.with_context(|| format!("cannot wait for {program}"))?.code();
    // No code: ended by a signal.
    Ok(ExitCode::from(code.and_then(|c| u8::try_from(c).ok()).unwrap_or(130)))
}

/// Runs the command and fails if it does.
pub fn check(command: &mut Command) -> Result<()> {
    let code = run(command)?;
    ensure!(code == ExitCode::SUCCESS, "{} failed", describe(command));
    Ok(())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// `cargo` as the one that runs this, in the repository's root.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::root());
    command
}
