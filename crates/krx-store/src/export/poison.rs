//! Frames that make the exporter panic. None is known; if one ever does, it must cost no more than itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;

/// After this many panics over the same frame, it is quarantined whole.
const PANICS_MAX: u32 = 2;

/// What outlives an exporter that panicked: the frame in hand, and how often each frame has caused a panic.
#[derive(Debug, Default)]
pub struct Poison {
    suspects: Mutex<Suspects>,
}

#[derive(Debug, Default)]
struct Suspects {
    in_hand: Option<(NaiveDate, u64)>,
    panics: BTreeMap<(NaiveDate, u64), u32>,
}

impl Poison {
    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame is about to be decoded. Returns whether it must be skipped instead.
    pub(crate) fn take_in_hand(&self, date: NaiveDate, frame: u64) -> bool {
        let mut suspects = self.suspects();
        suspects.in_hand = Some((date, frame));
        !suspects.panics.is_empty()
            && suspects
                .panics
                .get(&(date, frame))
                .is_some_and(|panics| *panics >= PANICS_MAX)
    }

    /// The frame in hand was decoded or skipped.
    pub(crate) fn put_down(&self) {
        self.suspects().in_hand = None;
    }

    /// Frames up to this one are committed.
    pub(crate) fn committed(&self, date: NaiveDate, frame: u64) {
        let mut suspects = self.suspects();
        suspects.panics = suspects.panics.split_off(&(date, frame + 1));
    }

    /// The exporter panicked. Returns whether it had a frame in hand, so that another attempt at once makes sense.
    pub fn panicked(&self) -> bool {
        let mut suspects = self.suspects();
        let Some(frame) = suspects.in_hand.take() else {
            return false;
        };
        *suspects.panics.entry(frame).or_default() += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_passed_over_after_their_second_panic_and_no_others_are() {
        let (poison, date) = (Poison::default(), NaiveDate::MIN);
        assert!(!poison.panicked(), "no frame was in hand");
        for expected in [false, false, true, true] {
            for frame in [7, 9] {
                assert!(!poison.take_in_hand(date, frame - 1));
                poison.put_down();
                assert_eq!(poison.take_in_hand(date, frame), expected);
                assert!(poison.panicked());
            }
        }
        poison.committed(date, 7);
        assert!(!poison.take_in_hand(date, 7));
        assert!(poison.take_in_hand(date, 9));
    }
}
