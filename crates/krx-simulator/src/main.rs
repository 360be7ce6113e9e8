//! `krx-simulator`: a simulated exchange on loopback. See `--help`.

#![cfg_attr(test, allow(clippy::unwrap_used))]
// These would panic if the stream accepts nothing.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use krx_exchange::listen;
use krx_simulator::{SimulatorError, serve, write_frames, write_pushes};
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;

/// Threads for the feeds: one per market.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return match error.print() {
                _ if !asked_for => ExitCode::from(64),
                // A user who asked for help and closed the pipe has what they wanted.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    tell(format_args!(
                        "printing the help: writing to standard output: {error}"
                    ));
                    ExitCode::from(74)
                }
                _ => ExitCode::SUCCESS,
            };
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("{error}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Writes a line to standard error if possible.
fn tell(words: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "krx-simulator: {words}");
}

/// The exit code, following sysexits.h.
fn exit_code(error: &SimulatorError) -> u8 {
    match error {
        SimulatorError::NotLoopback(_) => 64,
        SimulatorError::Issues(_) | SimulatorError::Tls { .. } => 78,
        _ => 74,
    }
}

fn run(options: &Options) -> Result<(), SimulatorError> {
    let config = options.config()?;
    if let Some(path) = &options.write_frames {
        let written = if options.pushes.is_empty() {
            write_frames(path, &config.day, &config.markets, options.records)?
        } else {
            let per_issue = config.per_issue.unwrap_or_default();
            write_pushes(path, &config.day, per_issue, &options.pushes, options.records)?
        };
        // The file was the point: it is no failure if nobody reads this.
        let _ = writeln!(
            io::stdout(),
            "{}: {} messages, {} records",
            path.display(),
            written.messages,
            written.records
        );
        return Ok(());
    }
    let system = |doing| move |source: io::Error| SimulatorError::System { doing, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(system("starting the runtime"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(system("listening for SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listening for SIGINT"))?;
        let listener = listen(options.listen).await?;
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        serve(listener, config, shutdown).await
    })
}
