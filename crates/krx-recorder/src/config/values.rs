//! Values that several tables have, and tables with a single one: durations, and addresses to listen on.

use std::net::SocketAddr;
use std::time::Duration;

use super::file;
use super::problem::{ConfigError, Problems};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A duration from `min` to `max`.
pub(super) fn duration(key: &str, text: &str, min: Duration, max: Duration) -> Result<Duration, ConfigError> {
    let value = humantime::parse_duration(text).map_err(|error| {
        ConfigError::invalid(
            key,
            format!("{text:?} is not a duration such as \"10s\": {error}"),
        )
    })?;
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
    Err(ConfigError::invalid(
        key,
        format!("{text:?} must lie between {min} and {max}"),
    ))
}

/// How much later than its trade a record may come.
pub(super) fn check_clock(table: &file::Clock, problems: &mut Problems) -> Option<Duration> {
    problems.take(duration("clock.lag_max", &table.lag_max, SECOND, HOUR))
}

/// A loopback address.
pub(super) fn check_listen(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let address: SocketAddr = text.parse().map_err(|_| {
        ConfigError::invalid(
            key,
            format!("{text:?} is not an address such as \"127.0.0.1:9464\""),
        )
    })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(ConfigError::invalid(
        key,
        format!("{address} is not a loopback address: the status is for this machine only"),
    ))
}
