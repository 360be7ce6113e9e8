//! The log: to standard error, as text or JSON, or to the systemd journal with its fields; and its filter, which can be
//! replaced while the recorder runs.

use std::io::{self, IsTerminal};
use std::os::linux::fs::MetadataExt as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::journald::Journald;

/// Where the log goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// To the journal where standard error goes there too, as under systemd; to standard error otherwise.
    #[default]
    Auto,
    /// To standard error.
    Stderr,
    /// To the journal.
    Journald,
}

/// What to log, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Where to.
    pub target: Target,
    /// What, where `$KRX_LOG` does not say it; checked.
    pub filter: Option<String>,
}

/// Replaces the filter of the log; the default is that of no log.
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<reload::Handle<EnvFilter, Registry>>);

impl Filter {
    /// Logs by the filter of this configuration from now on. `$KRX_LOG` stands above it.
    pub fn set(&self, config: &LogConfig) {
        if let Some(handle) = &self.0 {
            // Fails only when there is no log any more.
            let _ = handle.reload(filter(config, "info"));
        }
    }
}

/// Begins to log. `json`: one object a line to standard error, wherever the log would go otherwise.
pub fn start(config: &LogConfig, json: bool, otherwise: &str) -> Filter {
    let (filter, handle) = reload::Layer::new(filter(config, otherwise));
    let registry = Registry::default().with(filter);
    let to_journal = match config.target {
        Target::Journald => true,
        Target::Stderr => false,
        Target::Auto => stderr_is_the_journal(),
    };
    let journald = if to_journal && !json {
        Journald::connect()
            .map_err(|error| {
                eprintln!(
                    "krx-recorder: the systemd journal takes no log ({error}); logging to standard error"
                );
            })
            .ok()
    } else {
        None
    };
    let text = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match journald {
        Some(journald) => journald.boxed(),
        None if json => text.json().flatten_event(true).boxed(),
        None => text.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    registry.with(layer).init();
    Filter(Some(handle))
}

/// Whether this is a filter that can be read; why not.
///
/// # Errors
/// In words.
pub fn check_filter(text: &str) -> Result<(), String> {
    EnvFilter::try_new(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn filter(config: &LogConfig, otherwise: &str) -> EnvFilter {
    let wanted = std::env::var("KRX_LOG").ok().or_else(|| config.filter.clone());
    let wanted = wanted.unwrap_or_else(|| otherwise.to_owned());
    EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
        eprintln!("krx-recorder: $KRX_LOG = {wanted:?} is no filter ({error}); logging at level info");
        EnvFilter::new("info")
    })
}

/// systemd says to which stream it has connected a service's standard error: `$JOURNAL_STREAM` is `device:inode`
/// (systemd.exec(5)). A child that redirects it has the variable too, so the stream itself is looked at.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
}
