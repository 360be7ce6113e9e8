//! What a command prints. Standard output may be a pipe whose reader goes away, and either of the two streams a file on a
//! full disk: neither must end a command in any other way than what it found.

use std::fmt::Display;
use std::io::{self, Write};

use crate::process::exit::Failure;

/// Writes to standard output. A reader that has gone away has read what it wanted.
///
/// # Errors
/// [`Failure::System`], when standard output takes it not: a disk that is full, for instance.
pub(crate) fn print(
    doing: &'static str,
    write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    // What is not flushed here would be tried at the end of the process, where nobody looks whether it succeeds.
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Failure::System {
            doing: format!("{doing}: writing to standard output"),
            source,
        }),
    }
}

/// Writes a line to standard output, if it is taken: for what is said beside a command's work.
pub(crate) fn mention(words: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{words}").and_then(|()| out.flush());
}

/// Writes a line to standard error, if it is taken.
pub(crate) fn tell(words: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}
