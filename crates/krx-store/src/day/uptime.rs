//! A clock that nobody sets, and how long replaced files stay by it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long replaced files stay: longer than any reader is held up between opening a directory and reading its names.
pub const GRACE: Duration = Duration::from_secs(3600);

/// An instant on the clock that counts from the machine's start, including time suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(Duration);

impl Uptime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Self(Duration::new(seconds, nanos))
    }

    /// How long the machine has been running then.
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// This much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0 + by)
    }

    /// How long ago this was.
    pub(super) fn age(self, now: Self) -> Age {
        match now.0.checked_sub(self.0) {
            None => Age::Unknown,
            Some(age) if age >= GRACE => Age::Over,
            Some(_) => Age::InGrace,
        }
    }
}

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_millis())
    }
}

impl FromStr for Uptime {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Duration::from_millis(text.trim_end().parse()?)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Less than [`GRACE`] ago.
    InGrace,
    Over,
    /// Impossible by this clock.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_as_it_is_written() {
        let now = Uptime::now();
        assert_eq!(now.to_string().parse(), Ok(now));
        for text in ["", "x", " ", "-1", "1 2"] {
            assert!(text.parse::<Uptime>().is_err(), "{text:?}");
        }
    }
}
