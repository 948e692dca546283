//! PDF files as texts, each read by a process of its own: the reader may panic
//! or run out of stack on a file made for that, and no thread outlives the
//! latter. The process has nothing but the file, and limits of time and memory.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use infra_texts::{MAX_TEXT_BYTES, TextError, pdf_text};
use rustix::process::{Resource, Rlimit, setrlimit};

/// What the process is called by.
pub const COMMAND: &str = "pdf-text";
/// How long one file is read.
const TIME: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
/// Address space of the process.
const MEMORY: u64 = 3 << 30;
/// Exit codes of the process, in the order of its errors.
const ENCRYPTED: u8 = 11;
const PAGES: u8 = 12;
const LARGE: u8 = 13;
const NO_TEXT: u8 = 14;
const BROKEN: u8 = 15;

fn broken(reason: &str) -> TextError {
    TextError::Broken { format: "PDF", reason: reason.to_owned() }
}

/// The text of a PDF file. Blocks until the process has ended.
pub fn text(bytes: &[u8]) -> Result<String, TextError> {
    let mut child = start().map_err(|_| broken("no process to read it could be started"))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A process that has seen enough reads no further.
            stdin.map(|mut stdin| stdin.write_all(bytes))
        });
        let reading = scope.spawn(move || {
            let mut text = Vec::new();
            let read = stdout.map(|out| out.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut text));
            read.is_some_and(|read| read.is_ok()).then_some(text)
        });
        let ended = waited(&mut child);
        let text = reading.join().ok().flatten();
        match (ended, text) {
            (Some(status), Some(text)) => answer(status, text),
            _ => Err(broken("it took too long to read")),
        }
    })
}

fn start() -> std::io::Result<Child> {
    // The file itself, also if another one stands at its path by now.
    let own = PathBuf::from("/proc/self/exe");
    let own = if own.exists() { own } else { std::env::current_exe()? };
    let mut command = Command::new(own);
    command.arg(COMMAND).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn()
}

/// `None` if it had to be ended.
fn waited(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + TIME;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(PAUSE),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn answer(status: ExitStatus, text: Vec<u8>) -> Result<String, TextError> {
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0) if text.len() > MAX_TEXT_BYTES => {
            Err(TextError::TooLarge { found: text.len(), most: MAX_TEXT_BYTES })
        }
        Some(0) => String::from_utf8(text).map_err(|_| broken("its text is not UTF-8")),
        Some(ENCRYPTED) => Err(TextError::Unsupported("PDF that is encrypted")),
        Some(PAGES) => Err(TextError::Bomb(format!("{} pages", infra_texts::MAX_PAGES))),
        Some(LARGE) => Err(TextError::TooLarge { found: MAX_TEXT_BYTES + 1, most: MAX_TEXT_BYTES }),
        Some(NO_TEXT) => Err(TextError::Unsupported("PDF without text, such as a scan")),
        Some(BROKEN) => Err(broken("its objects or pages do not read")),
        // It panicked, ran out of stack, memory or time.
        _ => Err(broken("it cannot be read")),
    }
}

/// The process: a file in, its text out. Gives the exit code.
pub fn process() -> u8 {
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    // A dump would hold the text.
    if setrlimit(Resource::Core, limit(0)).is_err()
        || setrlimit(Resource::As, limit(MEMORY)).is_err()
        || setrlimit(Resource::Cpu, limit(TIME.as_secs())).is_err()
    {
        return BROKEN;
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(infra_texts::MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes);
    if read.is_err() {
        return BROKEN;
    }
    match pdf_text(&bytes) {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => 0,
            Err(_) => BROKEN,
        },
        Err(TextError::Unsupported(what)) if what.contains("encrypted") => ENCRYPTED,
        Err(TextError::Unsupported(_)) => NO_TEXT,
        Err(TextError::Bomb(_)) => PAGES,
        Err(TextError::TooLarge { .. }) => LARGE,
        Err(_) => BROKEN,
    }
}
