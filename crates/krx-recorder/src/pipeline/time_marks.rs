//! Time marks: when a feed falls silent, a mark in the journal says that time has passed, so that the last rows are
//! committed without waiting for the next frame.

use krx_store::Moment;

/// Whether a mark is due at `now`: the last frame's time partition is over, and neither a frame nor a mark has come
/// since.
#[must_use]
pub(super) fn mark_due(last_frame: Moment, last_mark: Moment, now: Moment, interval_us: i64) -> bool {
    // A frame stamped earlier may still be in the queue: the mark waits until it cannot overtake one.
    const GRACE_US: i64 = 500_000;
    let partition_end = last_frame.partition(interval_us).0 + interval_us;
    last_frame.0 > 0 && now.0 >= partition_end + GRACE_US && last_mark < last_frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_for_each_silence() {
        let interval = 60_000_000;
        let start = Moment(1_795_100_400_000_000);
        let (frame, later) = (Moment(start.0 + 59_000_000), Moment(start.0 + 60_600_000));
        assert!(
            !mark_due(Moment(0), Moment(0), later, interval),
            "no frame, no mark"
        );
        assert!(!mark_due(
            frame,
            Moment(0),
            Moment(start.0 + 59_999_999),
            interval
        ));
        assert!(mark_due(frame, Moment(0), later, interval));
        assert!(
            !mark_due(frame, later, Moment(later.0 + interval), interval),
            "it was marked already"
        );
        assert!(mark_due(
            Moment(later.0 + 1),
            later,
            Moment(later.0 + 2 * interval),
            interval
        ));
    }
}
