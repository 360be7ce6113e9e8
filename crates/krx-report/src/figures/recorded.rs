//! How much of the day was recorded: the ledger's intervals against the regular hours. Pure.

use krx_store::Moment;
use krx_store::coverage::{Interval, State};
use serde::Serialize;

/// From and to.
pub(crate) type Span = (Moment, Moment);

/// Gaps: how many, and how long in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gaps {
    /// How many.
    pub count: u64,
    /// Their total length, s.
    pub seconds: f64,
}

/// How much of a feed's day was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Recorded {
    /// Whether there is a ledger at all.
    pub known: bool,
    /// The length of the regular hours so far, s; 0 on a date without trading.
    pub regular_seconds: f64,
    /// How much of that was recorded, s.
    pub regular_recorded_seconds: f64,
    /// The recorded share of it; `None` if there have been none yet.
    pub regular_recorded_share: Option<f64>,
    /// All gaps of the day: no session, although data was expected.
    pub gaps: Gaps,
    /// The part of them within the regular hours.
    pub gaps_in_regular_hours: Gaps,
    /// Regular hours in which nothing was expected and nothing recorded (`idle`), s: the recorder's schedule did not
    /// match the exchange's, or the recorder had not been started yet.
    pub idle_in_regular_hours_seconds: f64,
}

impl Recorded {
    /// Adds up `intervals`. Of the `regular` hours, whatever is after `until` has not happened yet.
    #[must_use]
    pub fn of(intervals: &[Interval], regular: Option<Span>, until: Moment) -> Self {
        let regular = until_then(regular, until);
        let regular_us = regular.map_or(0, |(from, to)| to.0 - from.0);
        let (mut live_us, mut idle_us) = (0, 0);
        let (mut gaps, mut within) = ((0, 0), (0, 0));
        for interval in intervals {
            let here = regular.map_or(0, |hours| overlap(interval, hours));
            match interval.state {
                State::Live => live_us += here,
                State::Idle => idle_us += here,
                State::Gap => {
                    gaps = (gaps.0 + 1, gaps.1 + interval.to.0 - interval.from.0);
                    if here > 0 {
                        within = (within.0 + 1, within.1 + here);
                    }
                }
            }
        }
        let of = |(count, us): (u64, i64)| Gaps {
            count,
            seconds: seconds(us),
        };
        Self {
            known: !intervals.is_empty(),
            regular_seconds: seconds(regular_us),
            regular_recorded_seconds: seconds(live_us),
            regular_recorded_share: (regular_us > 0).then(|| live_us as f64 / regular_us as f64),
            gaps: of(gaps),
            gaps_in_regular_hours: of(within),
            idle_in_regular_hours_seconds: seconds(idle_us),
        }
    }
}

/// The part of some hours that is over at an instant, if they have begun.
#[must_use]
pub(crate) fn until_then(hours: Option<Span>, then: Moment) -> Option<Span> {
    hours
        .map(|(from, to)| (from, to.min(then)))
        .filter(|(from, to)| from < to)
}

/// The part of an interval that lies in a span, µs.
#[must_use]
pub(crate) fn overlap(interval: &Interval, span: Span) -> i64 {
    overlap_us((interval.from, interval.to), span)
}

/// The part of one span that lies in another, µs.
#[must_use]
pub(crate) fn overlap_us(one: Span, other: Span) -> i64 {
    (one.1.min(other.1).0 - one.0.max(other.0).0).max(0)
}

fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use krx_store::coverage::Reason;

    /// An interval between two seconds.
    pub(crate) fn interval(from: i64, to: i64, state: State, reason: &str) -> Interval {
        Interval {
            from: Moment(from * 1_000_000),
            to: Moment(to * 1_000_000),
            state,
            reason: Reason::parse(reason).unwrap(),
            session: (state == State::Live).then_some(1),
            frames: 1,
            rows: 2,
            detail: None,
        }
    }

    fn span(from: i64, to: i64) -> Option<Span> {
        Some((Moment(from * 1_000_000), Moment(to * 1_000_000)))
    }

    #[test]
    fn only_what_lies_in_the_regular_hours_counts_there() {
        let day = [
            interval(0, 50, State::Idle, "not_running"),
            interval(50, 95, State::Gap, "start"),
            interval(95, 150, State::Live, "connected"),
            interval(150, 152, State::Gap, "reset"),
            interval(152, 195, State::Live, "connected"),
            interval(195, 210, State::Gap, "stalled"),
            interval(210, 300, State::Live, "connected"),
        ];
        let found = Recorded::of(&day, span(100, 200), Moment(i64::MAX));
        assert_eq!(found.regular_seconds, 100.0);
        assert_eq!(found.regular_recorded_seconds, 93.0);
        assert_eq!(found.regular_recorded_share, Some(0.93));
        assert_eq!(
            found.gaps,
            Gaps {
                count: 3,
                seconds: 62.0
            }
        );
        assert_eq!(
            found.gaps_in_regular_hours,
            Gaps {
                count: 2,
                seconds: 7.0
            }
        );
        assert_eq!(found.idle_in_regular_hours_seconds, 0.0);
        assert!(found.known);
    }

    #[test]
    fn hours_that_are_not_over_count_up_to_now_and_idle_is_no_gap() {
        let day = [
            interval(0, 120, State::Idle, "not_running"),
            interval(120, 160, State::Live, "connected"),
        ];
        let found = Recorded::of(&day, span(100, 200), Moment(160_000_000));
        assert_eq!(
            (found.regular_seconds, found.regular_recorded_share),
            (60.0, Some(40.0 / 60.0))
        );
        assert_eq!((found.gaps.count, found.idle_in_regular_hours_seconds), (0, 20.0));
        // Before they begin, and on a date without trading, there is no share.
        assert_eq!(
            Recorded::of(&day, span(100, 200), Moment(90_000_000)).regular_recorded_share,
            None
        );
        assert_eq!(
            Recorded::of(&day, None, Moment(i64::MAX)).regular_recorded_share,
            None
        );
        assert!(!Recorded::of(&[], None, Moment(0)).known);
    }
}
