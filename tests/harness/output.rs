//! What the programs print for people: a reader that goes away ends them quietly, and a full disk with a message.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

/// Standard output accepted nothing.
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
/// [`Printing`], when standard output does not accept it.
pub fn say(words: Arguments<'_>) -> Result<(), Printing> {
    let mut out = io::stdout().lock();
    writeln!(out, "{words}")
        .and_then(|()| out.flush())
        .map_err(Printing)
}

/// How a program ends: 0 when it is done, even if nobody reads its output any more; 74 when standard output accepts
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

/// Handles arguments other than those with which the program is meant to be called.
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
