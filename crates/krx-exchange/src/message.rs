//! A day's data messages, and where they come from.

use std::fmt;
use std::time::Duration;

use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A time of the day in microseconds since midnight, Korea Standard Time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(pub u64);

impl TimeOfDay {
    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: TimeOfDay) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000;
        write!(
            formatter,
            "{:02}:{:02}:{:02}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

/// A message and when it is due.
#[derive(Debug, Clone)]
pub struct TimedMessage {
    /// When it is sent. If it is earlier than the previous one, it is sent right after that.
    pub at: TimeOfDay,
    /// How many records it holds.
    pub records: u32,
    /// The text of the message.
    pub text: Utf8Bytes,
}

/// A market's messages in sending order, one day after another.
pub trait Messages: Send {
    /// The next message, if there is one yet.
    fn next(&mut self) -> Next;
}

/// What comes next in [`Messages`], or in another day that consists of `T`.
#[derive(Debug)]
pub enum Next<T = TimedMessage> {
    /// A message.
    Message(T),
    /// Something from before the day's start: it is not sent.
    PassedOver,
    /// Nothing yet; more will come.
    NotYet,
    /// Nothing: the day is over.
    DayOver {
        /// How much later than this day's the clock of the next day starts. Without it, no day follows.
        another_after: Option<Duration>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_to_the_second() {
        let time = TimeOfDay((8 * 3_600 + 30 * 60 + 5) * 1_000_000 + 999_999);
        assert_eq!(time.to_string(), "08:30:05");
        assert_eq!(TimeOfDay(5).since(TimeOfDay(9)), Duration::ZERO);
    }
}
