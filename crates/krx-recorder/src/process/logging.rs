//! The log, written to standard error as text or JSON, or to the systemd journal with its fields; and its filter, which
//! can be replaced while the recorder runs.

use std::io::{self, IsTerminal};
use std::os::linux::fs::MetadataExt as _;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::log::{LogConfig, Target, filter_of};
use crate::process::journald::Journald;
use crate::process::out;

/// Lines that may wait for standard error's reader; any more are dropped.
const LINES_MAX: usize = 4096;

/// Replaces the log's filter. The default belongs to no log and does nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<reload::Handle<Targets, Registry>>);

impl Filter {
    /// Uses this configuration's filter from now on. `$KRX_LOG` overrides it.
    pub fn set(&self, config: &LogConfig) {
        if let Some(handle) = &self.0 {
            // Fails only if the log is gone.
            let _ = handle.reload(filter(config));
        }
    }
}

/// A started log.
#[derive(Debug)]
pub(crate) struct Log {
    /// Its filter.
    pub filter: Filter,
    /// Writes the last lines when dropped.
    pub writer: Option<WorkerGuard>,
}

/// Starts a recorder's log. `json`: one object per line to standard error, wherever the log would go otherwise.
///
/// Logging never waits for the log's reader: a stuck journal or pipe must not stop a recording.
pub(crate) fn start(config: &LogConfig, json: bool) -> Log {
    let (filter, handle) = reload::Layer::new(filter(config));
    let to_journal = match config.target {
        Target::Journald => true,
        Target::Stderr => false,
        Target::Auto => stderr_is_the_journal(),
    };
    let journald = (to_journal && !json)
        .then(|| {
            Journald::connect().map_err(|error| {
                out::tell(format_args!(
                    "krx-recorder: the systemd journal is not available ({error}); logging to standard error"
                ));
            })
        })
        .and_then(Result::ok);
    let (layer, writer) = match journald {
        Some(journald) => (journald.boxed(), None),
        None => {
            let (writer, guard) = NonBlockingBuilder::default()
                .lossy(true)
                .buffered_lines_limit(LINES_MAX)
                .finish(io::stderr());
            let text = fmt::layer()
                .with_writer(writer)
                .with_target(false)
                .log_internal_errors(false);
            let layer = if json {
                text.json().flatten_event(true).boxed()
            } else {
                text.with_ansi(io::stderr().is_terminal()).boxed()
            };
            (layer, Some(guard))
        }
    };
    Registry::default().with(filter).with(layer).init();
    Log {
        filter: Filter(Some(handle)),
        writer,
    }
}

/// Starts the log of a command whose output is something else: warnings, to standard error.
pub(crate) fn warnings() {
    let filter = wanted(None, LevelFilter::WARN);
    let text = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // They would go to standard error, the very stream that failed, and panic.
        .log_internal_errors(false);
    Registry::default().with(filter).with(text).init();
}

/// What `$KRX_LOG` says if it is set and valid, else what `configured` says, else this `level`.
fn wanted(configured: Option<&str>, level: LevelFilter) -> Targets {
    let from_environment = std::env::var("KRX_LOG").ok().filter(|text| !text.is_empty());
    from_environment
        .and_then(|text| {
            let ignored = |error| {
                out::tell(format_args!(
                    "krx-recorder: ignoring $KRX_LOG = {text:?}: {error}"
                ));
            };
            filter_of(&text).map_err(ignored).ok()
        })
        // The configuration was checked.
        .or_else(|| configured.and_then(|text| filter_of(text).ok()))
        .unwrap_or_else(|| Targets::new().with_default(level))
}

fn filter(config: &LogConfig) -> Targets {
    wanted(config.filter.as_deref(), LevelFilter::INFO)
}

/// systemd says which stream it connected to a service's standard error: `$JOURNAL_STREAM` is `device:inode`
/// (systemd.exec(5)). A child whose standard error is redirected inherits the variable too, so the stream itself is
/// compared.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
}

/// What `what` logs, as text.
#[cfg(test)]
pub(crate) fn logged(what: impl FnOnce()) -> String {
    use std::io::{Read, Seek};
    let file = std::sync::Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::sync::Arc::clone(&file))
        .finish();
    tracing::subscriber::with_default(subscriber, what);
    let (mut file, mut text) = (&*file, String::new());
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
