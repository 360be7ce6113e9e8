//! `[connection]`: how every feed is connected.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::{ConfigError, Problems};
use super::proxy::{self, ProxySetting};
use super::values::{DAY, HOUR, MILLISECOND, SECOND, duration};
use super::{ca_file, file};

/// How to be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// The proxy, unless the environment names one.
    pub proxy: ProxySetting,
    /// The file with the proxy's `user:password`.
    pub proxy_credentials_file: Option<PathBuf>,
    /// A PEM file of certificates to trust in addition to this machine's.
    pub ca_file: Option<PathBuf>,
    /// For TCP, TLS and the WebSocket handshake together.
    pub connect_timeout: Duration,
    /// For the answer to a request of the per-issue service, from when it is sent.
    pub answer_timeout: Duration,
    /// How long a registration may bring nothing while a full-market feed shows its issue trading.
    pub silent_after: Duration,
    /// Between our heartbeats.
    pub heartbeat_interval: Duration,
    /// How long a silence may last before we reconnect.
    pub stall_timeout: Duration,
    /// The first wait before reconnecting.
    pub backoff_initial: Duration,
    /// The longest one.
    pub backoff_max: Duration,
    /// The longest message accepted, bytes; a longer one ends the connection.
    pub message_bytes_max: usize,
}

/// Files that are read anew for each connection are checked here, so that a bad one is reported before the first.
pub(super) fn look_into_files(connection: &file::Connection, problems: &mut Problems) {
    type Look = fn(&Path) -> Result<(), String>;
    let files: [(_, _, Look); 2] = [
        ("ca_file", &connection.ca_file, ca_file::check),
        (
            "proxy_credentials_file",
            &connection.proxy_credentials_file,
            proxy::check_credentials_file,
        ),
    ];
    for (key, written, look) in files {
        let key = format!("connection.{key}");
        if let Some(Some(path)) = problems.path(&key, written.as_deref()) {
            problems.take(look(&path).map_err(|problem| ConfigError::invalid(&key, problem)));
        }
    }
}

/// The checked table, if all of it is good.
pub(super) fn check_connection(
    table: &file::Connection,
    problems: &mut Problems,
) -> Option<ConnectionConfig> {
    let message_bytes_max = problems.take(check_message_bytes(table.message_bytes_max));
    let proxy = problems.take(ProxySetting::parse(table.proxy.as_deref()));
    let ca_file = problems.path("connection.ca_file", table.ca_file.as_deref());
    let proxy_credentials_file = problems.path(
        "connection.proxy_credentials_file",
        table.proxy_credentials_file.as_deref(),
    );
    // The full-market feed conflates half a second.
    let silent_after = duration("connection.silent_after", &table.silent_after, SECOND, HOUR);
    let silent_after = problems.take(silent_after);
    let mut up_to = |max, key: &str, text: &str| {
        problems.take(duration(&format!("connection.{key}"), text, MILLISECOND, max))
    };
    let connect_timeout = up_to(HOUR, "connect_timeout", &table.connect_timeout);
    let answer_timeout = up_to(HOUR, "answer_timeout", &table.answer_timeout);
    let heartbeat_interval = up_to(HOUR, "heartbeat_interval", &table.heartbeat_interval);
    let stall_timeout = up_to(DAY, "stall_timeout", &table.stall_timeout);
    let backoff_initial = up_to(HOUR, "backoff_initial", &table.backoff_initial);
    let backoff_max = up_to(HOUR, "backoff_max", &table.backoff_max);
    let mut config = ConnectionConfig {
        proxy: proxy?,
        proxy_credentials_file: proxy_credentials_file?,
        ca_file: ca_file?,
        connect_timeout: connect_timeout?,
        answer_timeout: answer_timeout?,
        silent_after: silent_after?,
        heartbeat_interval: heartbeat_interval?,
        stall_timeout: stall_timeout?,
        backoff_initial: backoff_initial?,
        backoff_max: backoff_max?,
        message_bytes_max: message_bytes_max?,
    };
    if config.stall_timeout <= config.heartbeat_interval {
        let (stall, heartbeat) = (&table.stall_timeout, &table.heartbeat_interval);
        let why = "or every quiet moment is taken for a stall";
        // Reported at a line that is in the file.
        let wrong = if problems.is_written("connection.stall_timeout") {
            let problem = format!("must be longer than connection.heartbeat_interval ({heartbeat}), {why}");
            ConfigError::invalid("connection.stall_timeout", problem)
        } else {
            let problem = format!("must be shorter than connection.stall_timeout ({stall}), {why}");
            ConfigError::invalid("connection.heartbeat_interval", problem)
        };
        return problems.take(Err(wrong));
    }
    if config.backoff_initial > config.backoff_max {
        let both = ["connection.backoff_initial", "connection.backoff_max"];
        if both.iter().all(|key| problems.is_written(key)) {
            let initial = &table.backoff_initial;
            let problem = format!("must not be shorter than connection.backoff_initial ({initial})");
            return problems.take(Err(ConfigError::invalid("connection.backoff_max", problem)));
        }
        // The one that is written is meant; the other is a default.
        let written = if problems.is_written("connection.backoff_max") {
            config.backoff_max
        } else {
            config.backoff_initial
        };
        (config.backoff_initial, config.backoff_max) = (written, written);
    }
    Some(config)
}

fn check_message_bytes(bytes: u64) -> Result<usize, ConfigError> {
    /// A full message has 3.5 KB. A journal record has 16 MiB at most.
    const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(8 << 20);
    if MESSAGE_BYTES.contains(&bytes) {
        return Ok(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let problem = format!("{bytes} must lie between 64 KiB and 8 MiB (65536 to 8388608)");
    Err(ConfigError::invalid("connection.message_bytes_max", problem))
}

#[cfg(test)]
mod tests {
    use super::super::registrations_tests::line_of;
    use super::super::tests::{WHOLE, load};

    #[test]
    fn a_registration_may_be_silent_for_a_minute_unless_written() {
        let silent = |text: &str| load(text).map(|config| config.connection.silent_after.as_millis());
        let written = "silent_after = \"60s\"\n";
        assert_eq!(silent(&WHOLE.replace(written, "")).unwrap(), 60_000);
        for (value, millis) in [
            ("1s", Some(1_000)),
            ("1h", Some(3_600_000)),
            ("999ms", None),
            ("61m", None),
        ] {
            let found = silent(&WHOLE.replace(written, &format!("silent_after = \"{value}\"\n")));
            assert_eq!(found.as_ref().ok().copied(), millis, "{value}: {found:?}");
        }
    }

    #[test]
    fn the_answer_timeout_is_five_seconds_unless_written() {
        let timeout = |text: &str| load(text).map(|config| config.connection.answer_timeout.as_millis());
        let written = "answer_timeout = \"5s\"\n";
        assert_eq!(timeout(&WHOLE.replace(written, "")).unwrap(), 5_000);
        for (value, millis) in [("1ms", 1), ("1h", 3_600_000)] {
            let text = WHOLE.replace(written, &format!("answer_timeout = \"{value}\"\n"));
            assert_eq!(timeout(&text).unwrap(), millis);
        }
        for value in ["0s", "61m", "soon"] {
            let text = WHOLE.replace(written, &format!("answer_timeout = \"{value}\"\n"));
            let error = timeout(&text).unwrap_err().to_string();
            let expected = format!(
                "line {}: connection.answer_timeout: ",
                line_of(&text, "answer_timeout")
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
