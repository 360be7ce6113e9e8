//! When messages are received.

use chrono::NaiveDate;
use krx_simulator::HalfSecond;
use krx_store::Moment;

/// From the end of a half second to its first message, and between its messages; each is late by up to `JITTER_US`.
const FIRST_US: i64 = 2_000;
const NEXT_US: i64 = 150;
const JITTER_US: u64 = 140;

/// When messages are received: some milliseconds after the half second that they are of, one after another.
pub(crate) struct Pace {
    midnight: Moment,
    /// Since midnight, µs.
    due: i64,
    next: Moment,
    /// Of a linear congruential generator (Knuth, MMIX): the same days again for the same options.
    state: u64,
}

impl Pace {
    pub(crate) fn new(date: NaiveDate) -> Self {
        Self {
            midnight: at(date, 0),
            due: 0,
            next: Moment::default(),
            state: 1,
        }
    }

    /// When a message of the full-market service is received, which is of a half second.
    pub(crate) fn receive(&mut self, of: HalfSecond) -> Moment {
        let since = of.since(HalfSecond::at(0, 0, 0)).as_micros();
        self.receive_at(i64::try_from(since).unwrap_or(0) + FIRST_US)
    }

    /// When a message is received that was due at this time of the day, µs.
    pub(crate) fn receive_at(&mut self, due: i64) -> Moment {
        if due != self.due {
            self.due = due;
            self.next = Moment((self.midnight.0 + due).max(self.next.0));
        }
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let late = i64::try_from((self.state >> 33) % JITTER_US).unwrap_or(0);
        let received = Moment(self.next.0 + late);
        self.next.0 += NEXT_US;
        received
    }
}

/// A time of the day, µs, on a date.
pub(crate) fn at(date: NaiveDate, micros_of_day: i64) -> Moment {
    Moment(Moment::midnight(date).0 + micros_of_day)
}
