//! How long nothing came of a pair while it was active. Pure.

use krx_store::Moment;
use serde::Serialize;

use super::active::ActiveStretch;
use super::recorded::{Span, overlap_us};
use crate::time;

/// In the last minutes of the regular session prices are only collected for the closing auction: nothing is traded.
pub(crate) const CLOSING_AUCTION_US: i64 = 600_000_000;

/// A pair that has nothing for so long at the end fell silent ...
const SILENT_MIN_US: i64 = 600_000_000;
/// ... if that is so many times the longest pause before.
const SILENT_TIMES: i64 = 3;

/// A time in which nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pause {
    /// Since when.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub from_ts: Option<Moment>,
    /// Until when.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub to_ts: Option<Moment>,
    /// Its length, s.
    pub seconds: f64,
}

/// The pauses of a pair, from one row to the next within a stretch.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    stretches: Vec<ActiveStretch>,
    /// When the last row of each stretch was received; at first, when it began.
    last: Vec<Moment>,
    /// Where the last row belonged.
    at: usize,
    longest: Option<Span>,
}

impl Pauses {
    /// Those of a pair that is active in these stretches.
    pub(crate) fn new(stretches: &[ActiveStretch]) -> Self {
        Self {
            stretches: stretches.to_vec(),
            last: stretches.iter().map(|stretch| stretch.from).collect(),
            at: 0,
            longest: None,
        }
    }

    /// The stretch of a row; `None` if the pair was not active then.
    pub(crate) fn stretch(&mut self, session: u32, recv: Moment) -> Option<ActiveStretch> {
        let is_here = |stretch: &ActiveStretch| stretch.has(session, recv);
        if !self.stretches.get(self.at).is_some_and(is_here) {
            self.at = self.stretches.iter().position(is_here)?;
        }
        self.stretches.get(self.at).copied()
    }

    /// A row within the stretch that [`Pauses::stretch`] has found. Pauses count within `hours`.
    pub(crate) fn row(&mut self, recv: Moment, hours: Span) {
        if let Some(last) = self.last.get_mut(self.at) {
            longer(&mut self.longest, (*last, recv), hours);
            // Not back, even if the clock was set back.
            *last = recv.max(*last);
        }
    }

    /// The longest pause within `hours`, after all rows; and the one to their end if that is why nothing more is known.
    pub(crate) fn finish(&self, hours: Span) -> (Option<Pause>, Option<Pause>) {
        let (mut longest, mut silent) = (self.longest, None);
        for (stretch, last) in self.stretches.iter().zip(&self.last) {
            let rest = (*last, stretch.to);
            let before = longest.map_or(0, |pause| pause.1.0 - pause.0.0);
            longer(&mut longest, rest, hours);
            let length = overlap_us(rest, hours);
            let is_long = length >= SILENT_MIN_US && length >= SILENT_TIMES.saturating_mul(before);
            silent = (is_long && stretch.to >= hours.1)
                .then_some(rest)
                .map(|rest| pause(rest, hours));
        }
        (longest.map(|longest| pause(longest, hours)), silent)
    }
}

/// Keeps the part of a pause that lies in the hours if it is longer.
fn longer(longest: &mut Option<Span>, (from, to): Span, hours: Span) {
    let part = (from.max(hours.0), to.min(hours.1));
    let length = part.1.0 - part.0.0;
    if length > 0 && longest.is_none_or(|longest| longest.1.0 - longest.0.0 < length) {
        *longest = Some(part);
    }
}

fn pause((from, to): Span, hours: Span) -> Pause {
    let (from, to) = (from.max(hours.0), to.min(hours.1));
    Pause {
        from_ts: Some(from),
        to_ts: Some(to),
        seconds: (to.0 - from.0) as f64 / 1e6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: Span = (Moment(1_000_000_000), Moment(10_000_000_000));

    fn second(at: i64) -> Moment {
        Moment(at * 1_000_000)
    }

    fn stretch(session: u32, from: i64, to: i64) -> ActiveStretch {
        ActiveStretch {
            session,
            from: second(from),
            to: second(to),
        }
    }

    type Seconds = Option<(i64, i64)>;

    /// The longest pause, and the silence, after rows of these sessions and seconds.
    fn after(stretches: &[ActiveStretch], rows: &[(u32, i64)]) -> (Seconds, Seconds) {
        let mut pauses = Pauses::new(stretches);
        for (session, at) in rows {
            if pauses.stretch(*session, second(*at)).is_some() {
                pauses.row(second(*at), HOURS);
            }
        }
        let (longest, silent) = pauses.finish(HOURS);
        let seconds = |pause: Pause| {
            let at = |moment: Option<Moment>| moment.unwrap().0 / 1_000_000;
            (at(pause.from_ts), at(pause.to_ts))
        };
        (longest.map(seconds), silent.map(seconds))
    }

    #[test]
    fn a_pause_is_within_a_stretch_and_the_hours() {
        let all = [stretch(1, 0, 5000), stretch(2, 7000, 12_000)];
        // Before the hours, and between the stretches, nothing is missing.
        let rows = [
            (1, 10),
            (1, 1100),
            (1, 4900),
            (2, 7000),
            (2, 9000),
            (2, 9900),
            (2, 11_000),
        ];
        assert_eq!(after(&all, &rows), (Some((1100, 4900)), None));
        // A row of another session, or from outside, does not end one.
        let late = [(1, 1100), (2, 3000), (1, 6000)];
        assert_eq!(after(&all[..1], &late), (Some((1100, 5000)), None));
    }

    #[test]
    fn a_pair_without_rows_is_silent_from_the_beginning() {
        assert_eq!(
            after(&[stretch(1, 500, 12_000)], &[]),
            (Some((1000, 10_000)), Some((1000, 10_000)))
        );
        assert_eq!(after(&[], &[]), (None, None));
        // It was cancelled: there is an end to it.
        assert_eq!(after(&[stretch(1, 500, 9000)], &[]).1, None);
    }

    #[test]
    fn silent_is_what_is_long_and_longer_than_ever() {
        let all = [stretch(1, 0, 12_000)];
        let busy = |until: i64, every: i64| -> Vec<(u32, i64)> {
            (0..until / every).map(|at| (1, at * every)).collect()
        };
        assert_eq!(after(&all, &busy(9000, 10)).1, Some((8990, 10_000)));
        assert_eq!(after(&all, &busy(9600, 10)).1, None, "less than ten minutes");
        assert_eq!(after(&all, &busy(9000, 1000)).1, None, "it often has pauses");
        // In an earlier stretch it does not matter.
        let two = [stretch(1, 0, 8000), stretch(2, 8000, 12_000)];
        let rows = [(1, 1000), (2, 9950), (2, 10_500)];
        assert_eq!(after(&two, &rows), (Some((1000, 8000)), None));
    }
}
