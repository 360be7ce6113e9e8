//! A place in a feed's frames, which one thread sets and others compare.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use chrono::{Datelike, NaiveDate};

/// Bits for the frame's number. The rest holds its date, so that both change at once. A date has far fewer frames than
/// this.
const FRAME_BITS: u32 = 40;
const FRAME_MAX: u64 = (1 << FRAME_BITS) - 1;

/// A date and the number of a frame on it; 0 before the first. Later places have larger words.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU64);

impl Place {
    pub(crate) fn set(&self, date: NaiveDate, frame: u64) {
        let day = u64::try_from(date.num_days_from_ce()).unwrap_or(0);
        self.0.store(day << FRAME_BITS | frame.min(FRAME_MAX), Release);
    }

    /// How many frames lie between `other` and here; if it is on an earlier date, a lower bound: those of this date.
    pub(crate) fn ahead_of(&self, other: &Self) -> u64 {
        // In this order: the one behind may catch up in between, and must not appear to be ahead.
        let theirs = other.0.load(Acquire);
        let ours = self.0.load(Acquire);
        let (our_day, our_frame) = (ours >> FRAME_BITS, ours & FRAME_MAX);
        match our_day.cmp(&(theirs >> FRAME_BITS)) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => our_frame.saturating_sub(theirs & FRAME_MAX),
            std::cmp::Ordering::Greater => our_frame.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_a_later_date_is_ahead_whatever_the_numbers() {
        let (friday, monday) = (
            NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
            NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(),
        );
        let (ours, theirs) = (Place::default(), Place::default());
        assert_eq!(ours.ahead_of(&theirs), 0);
        let cases = [
            ((friday, 7), (friday, 5), 2),
            ((friday, 7), (friday, 7), 0),
            ((monday, 3), (friday, 900), 3),
            ((monday, 0), (friday, 900), 1),
            ((friday, 900), (monday, 3), 0),
            ((friday, u64::MAX), (friday, FRAME_MAX), 0),
        ];
        for ((our_date, our_frame), (their_date, their_frame), expected) in cases {
            ours.set(our_date, our_frame);
            theirs.set(their_date, their_frame);
            assert_eq!(
                ours.ahead_of(&theirs),
                expected,
                "{our_date} {our_frame}, {their_date} {their_frame}"
            );
        }
    }
}
