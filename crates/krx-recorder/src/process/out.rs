//! What a command prints. Standard output may be a pipe whose reader leaves, and either stream may be a file on a full
//! disk: neither may change how a command ends beyond what it found.

use std::fmt::Display;
use std::io::{self, Write};

use crate::process::exit::Failure;

/// Writes to standard output. A reader that has left has read what it wanted.
///
/// # Errors
/// [`Failure::System`], if standard output cannot be written, for instance because a disk is full.
pub(crate) fn print(
    doing: &'static str,
    write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    // Anything not flushed here would be flushed when the process exits, where nobody checks whether that succeeds.
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Failure::System {
            doing: format!("{doing}: writing to standard output"),
            source,
        }),
    }
}

/// Writes a line to standard output, and ignores failures: for remarks that are not a command's result.
pub(crate) fn mention(words: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{words}").and_then(|()| out.flush());
}

/// Writes a line to standard error, and ignores failures.
pub(crate) fn tell(words: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}
