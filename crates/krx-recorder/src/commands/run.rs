//! `krx-recorder run`: what comes before recording. The recording itself is [`service`].

use std::collections::BTreeSet;

use krx_store::Moment;
use tracing::warn;

use crate::config::key::{self, ApiKey};
use crate::config::{Config, ConfigError, FeedKey};
use crate::hours::schedule::{Schedule, kst};
use crate::process::exit::Failure;
use crate::process::runtime::in_runtime;
use crate::process::{limits, logging, out, signals};
use crate::service::{self, notify};

/// Loads the configuration, and records until asked to stop or until the close.
///
/// # Errors
/// `Failure`, with its exit code.
pub(super) fn start(
    load: impl Fn() -> Result<Config, ConfigError> + Send + 'static,
    until_close: bool,
    json: bool,
) -> Result<(), Failure> {
    // Before all else: an early signal must not end the process by its default.
    let (requests, _signals) = signals::listen()?;
    let config = load()?;
    limits::enough_to_record(config.feeds.len(), config.journal.segment_bytes)?;
    limits::probe_threads()?;
    let logging::Log {
        filter,
        writer: _writer,
    } = logging::start(&config.log, json);
    let keys = take_keys(&config)?;
    if until_close && is_closed_now(&config)? {
        // A service manager that waits for readiness would take an earlier exit for a failure.
        notify::ready();
        return Ok(());
    }
    let again = service::Source {
        load: Box::new(load),
        filter,
        until_close,
    };
    in_runtime(service::run(config, &keys, until_close, again, requests))
}

/// The key of each feed. Warns of secrets that others on this machine can read.
fn take_keys(config: &Config) -> Result<Vec<ApiKey>, Failure> {
    let (mut keys, mut files) = (Vec::new(), BTreeSet::new());
    for FeedKey { key, file, .. } in config.keys() {
        keys.push(key?);
        files.extend(file);
    }
    for exposed in files.iter().filter_map(|file| key::exposed(file)) {
        warn!("the API key is not well protected: {exposed}");
    }
    let credentials = config.connection.proxy_credentials_file.as_deref();
    if let Some(exposed) = credentials.and_then(key::exposed) {
        warn!("the proxy's password is not well protected: {exposed}");
    }
    Ok(keys)
}

/// Whether no feed has anything left to record today; prints why, and when the next session opens.
fn is_closed_now(config: &Config) -> Result<bool, Failure> {
    let feeds = &config.feeds;
    if feeds.iter().any(|feed| feed.schedule == Schedule::Always) {
        let words =
            "--until-close needs recording hours: leave out --always, and set schedule.mode = \"calendar\"";
        return Err(Failure::Usage(words.into()));
    }
    let now = Moment::now();
    let openings: Option<Vec<_>> = feeds.iter().map(|feed| feed.schedule.over_until(now)).collect();
    let Some(opening) = openings.and_then(|openings| openings.into_iter().min()) else {
        return Ok(false);
    };
    let why = feeds.first().map(|feed| feed.schedule.why_over(now));
    let (why, opening) = (why.unwrap_or_default(), kst(opening));
    out::mention(format_args!(
        "closed now: {why}; the next session opens {opening} KST"
    ));
    Ok(true)
}
