//! What the programs for people print: a reader that goes away ends them calmly, and a full disk with a sentence.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

/// Standard output took nothing.
#[derive(Debug)]
pub struct Printing(io::Error);

impl std::fmt::Display for Printing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "writing to standard output: {}", self.0)
    }
}

impl std::error::Error for Printing {}

/// Prints a line.
///
/// # Errors
/// [`Printing`], when standard output does not take it.
pub fn say(words: Arguments<'_>) -> Result<(), Printing> {
    let mut out = io::stdout().lock();
    writeln!(out, "{words}")
        .and_then(|()| out.flush())
        .map_err(Printing)
}

/// How a program ends: 0 when it is done, also when nobody reads any more what it prints; 74 when standard output takes
/// nothing for another reason; and 1, with the reason on standard error.
pub fn end(program: &str, result: &Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let printing = error.downcast_ref::<Printing>();
    if printing.is_some_and(|printing| printing.0.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "{program}: {error:#}");
    match printing {
        Some(_) => ExitCode::from(74),
        None => ExitCode::FAILURE,
    }
}

/// What the arguments of a program ask for, when they are not what it is called with.
///
/// # Errors
/// The exit code: 0 after `--help`, 64 after anything else.
pub fn usage(program: &str, help: &str, asked: bool) -> ExitCode {
    if asked {
        return end(program, &say(format_args!("{help}")).map_err(Into::into));
    }
    let _ = writeln!(io::stderr(), "{help}");
    ExitCode::from(64)
}
