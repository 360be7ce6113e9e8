//! Where a segment of the datasets ends: a function of the journal's content alone, never of the clock.

use crate::journal::Event;
use crate::moment::Moment;

/// The limits of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// A time partition's length, µs; partitions are counted from midnight in Korea.
    pub(crate) interval_us: i64,
    /// A segment ends with the frame that reaches this number of rows.
    pub(crate) rows_max: u64,
}

/// Why a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealReason {
    /// It has its rows.
    Rows,
    /// Its time partition is over.
    Interval,
    /// Its date is over.
    Day,
    /// The recorder started again after it; the run before had no clean stop.
    Start,
    /// Someone asked for it.
    Asked,
    /// The day's hours are over.
    SessionEnd,
    /// The recorder stopped.
    Stop,
    /// The journal is damaged behind it: the missing frames shall be missing between two files, not within one.
    Damage,
}

impl SealReason {
    /// The word in the logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Interval => "interval",
            Self::Day => "day",
            Self::Start => "start",
            Self::Asked => "asked",
            Self::SessionEnd => "session_end",
            Self::Stop => "stop",
            Self::Damage => "damage",
        }
    }
}

impl Limits {
    /// Whether a segment whose time partition began at `partition` ends before something that happened at `at`.
    pub(crate) fn before(&self, partition: Moment, at: Moment) -> Option<SealReason> {
        (at.partition(self.interval_us) > partition).then_some(SealReason::Interval)
    }

    /// Whether a segment ends with the frame that brought it to `rows`.
    pub(crate) fn after(&self, rows: u64) -> Option<SealReason> {
        (rows >= self.rows_max).then_some(SealReason::Rows)
    }

    /// Whether an event ends the segment.
    pub(crate) fn at_event(&self, partition: Moment, at: Moment, event: &Event) -> Option<SealReason> {
        match event {
            Event::Start { .. } | Event::Date { .. } => Some(SealReason::Start),
            Event::DateEnd => Some(SealReason::Day),
            Event::SealNow => Some(SealReason::Asked),
            Event::SessionEnd => Some(SealReason::SessionEnd),
            Event::Stop => Some(SealReason::Stop),
            Event::TimeMark
            | Event::Hours { .. }
            | Event::Connected { .. }
            | Event::Continued
            | Event::ConnectFailed { .. }
            | Event::Disconnected { .. }
            | Event::DiskWait { .. }
            | Event::Paused { .. }
            | Event::ClockStep { .. } => self.before(partition, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        interval_us: 300_000_000,
        rows_max: 100,
    };

    #[test]
    fn a_segment_ends_with_its_partition_its_rows_or_an_event() {
        let partition = Moment(0).partition(LIMITS.interval_us);
        assert_eq!(LIMITS.before(partition, Moment(299_999_999)), None);
        assert_eq!(
            LIMITS.before(partition, Moment(300_000_000)),
            Some(SealReason::Interval)
        );
        // The clock was set back: the segment goes on.
        assert_eq!(LIMITS.before(partition, Moment(-1)), None);
        assert_eq!(
            (LIMITS.after(99), LIMITS.after(100)),
            (None, Some(SealReason::Rows))
        );
        assert_eq!(LIMITS.at_event(partition, Moment(1), &Event::TimeMark), None);
        assert_eq!(
            LIMITS.at_event(partition, Moment(300_000_001), &Event::TimeMark),
            Some(SealReason::Interval)
        );
        assert_eq!(
            LIMITS.at_event(partition, Moment(1), &Event::Stop),
            Some(SealReason::Stop)
        );
        assert_eq!(
            LIMITS.at_event(partition, Moment(1), &Event::SealNow),
            Some(SealReason::Asked)
        );
    }
}
