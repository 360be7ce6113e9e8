//! Where a segment of the datasets ends: a function of the journal's content alone, never of the clock.

use crate::journal::Event;
use crate::moment::Moment;

/// The limits of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The length of a time partition, µs; partitions are counted from midnight in Korea.
    pub(crate) interval_us: i64,
    /// A segment ends before the first record received later than the frame that reaches this number of rows. Frames of
    /// the same microsecond stay together, because coverage calls the instant at which a file ends live.
    pub(crate) rows_max: u64,
}

/// What a segment holds so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The start of its time partition.
    pub(crate) partition: Moment,
    /// Its rows, across all datasets.
    pub(crate) rows: u64,
    /// When its last frame was received.
    pub(crate) last_recv: Moment,
}

/// Why a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitReason {
    /// It has reached its number of rows.
    Rows,
    /// Its time partition is over.
    Interval,
    /// Its date is over.
    Day,
    /// The recorder started again after it; the previous run did not stop cleanly.
    Start,
    /// Someone asked for it.
    Asked,
    /// The day's hours are over.
    SessionEnd,
    /// The recorder stopped.
    Stop,
    /// The journal after it is damaged: the missing frames should fall between two files, not within one.
    Damage,
}

impl CommitReason {
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
    /// Whether a segment ends before something that happens at `at`.
    pub(crate) fn before(&self, held: Held, at: Moment) -> Option<CommitReason> {
        if at.partition(self.interval_us) > held.partition {
            return Some(CommitReason::Interval);
        }
        // The clock may have been set back, so any other partition will do.
        (held.rows >= self.rows_max && at != held.last_recv).then_some(CommitReason::Rows)
    }

    /// Whether an event ends the segment.
    pub(crate) fn at_event(&self, held: Held, at: Moment, event: &Event) -> Option<CommitReason> {
        match event {
            Event::Start { .. } | Event::Date { .. } => Some(CommitReason::Start),
            Event::DateEnd | Event::DateLeft => Some(CommitReason::Day),
            Event::CommitNow => Some(CommitReason::Asked),
            Event::SessionEnd => Some(CommitReason::SessionEnd),
            Event::Stop => Some(CommitReason::Stop),
            // It repeats what is known: where the journal's files begin makes no difference to those of the datasets.
            Event::Segment { .. } => None,
            Event::TimeMark
            | Event::Hours { .. }
            | Event::Connected { .. }
            | Event::Continued
            | Event::ConnectFailed { .. }
            | Event::Disconnected { .. }
            | Event::DiskWait { .. }
            | Event::Paused { .. }
            | Event::Registration(_)
            | Event::ClockStep { .. } => self.before(held, at),
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

    fn held(rows: u64, last_recv: i64) -> Held {
        Held {
            partition: Moment(0).partition(LIMITS.interval_us),
            rows,
            last_recv: Moment(last_recv),
        }
    }

    #[test]
    fn a_segment_ends_with_its_partition_its_rows_or_an_event() {
        let few = held(99, 5);
        assert_eq!(LIMITS.before(few, Moment(299_999_999)), None);
        assert_eq!(
            LIMITS.before(few, Moment(300_000_000)),
            Some(CommitReason::Interval)
        );
        // The clock was set back: the segment continues.
        assert_eq!(LIMITS.before(few, Moment(-1)), None);
        assert_eq!(LIMITS.at_event(few, Moment(6), &Event::TimeMark), None);
        assert_eq!(
            LIMITS.at_event(few, Moment(300_000_001), &Event::TimeMark),
            Some(CommitReason::Interval)
        );
        assert_eq!(
            LIMITS.at_event(few, Moment(6), &Event::Stop),
            Some(CommitReason::Stop)
        );
        assert_eq!(
            LIMITS.at_event(few, Moment(6), &Event::CommitNow),
            Some(CommitReason::Asked)
        );
    }

    #[test]
    fn i8_frames_of_one_microsecond_are_not_parted() {
        let full = held(100, 5);
        assert_eq!(LIMITS.before(full, Moment(5)), None);
        assert_eq!(LIMITS.before(full, Moment(6)), Some(CommitReason::Rows));
        assert_eq!(
            LIMITS.before(full, Moment(4)),
            Some(CommitReason::Rows),
            "the clock was set back"
        );
        assert_eq!(
            LIMITS.at_event(full, Moment(6), &Event::TimeMark),
            Some(CommitReason::Rows)
        );
    }
}
