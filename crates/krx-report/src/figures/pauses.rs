//! How long nothing came of a pair while it was active. Pure.

use krx_store::Moment;
use serde::Serialize;

use super::active::ActiveStretch;
use super::recorded::Span;
use crate::time;

/// A pair that has had nothing for so long at the end fell silent ...
const SILENT_MIN_US: i64 = 600_000_000;
/// ... if that is so many times the longest pause that ended.
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
    /// For how long of that the pair was active, s.
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
    /// The longest one that a row has ended.
    longest: Option<Span>,
    /// When the last row of all up to the end of the hours was received.
    last_row: Option<Moment>,
}

impl Pauses {
    /// Those of a pair that is active in these stretches.
    pub(crate) fn new(stretches: &[ActiveStretch]) -> Self {
        Self {
            stretches: stretches.to_vec(),
            last: stretches.iter().map(|stretch| stretch.from).collect(),
            at: 0,
            longest: None,
            last_row: None,
        }
    }

    /// The stretch of a row; `None` if the pair was not active then.
    pub(crate) fn stretch(&mut self, session: u32, recv: Moment) -> Option<ActiveStretch> {
        let here = self.stretches.get(self.at).filter(|of| of.has(session, recv));
        if let Some(here) = here {
            return Some(*here);
        }
        // One may end when the next begins; which of them it is, the session says.
        let begun = self.stretches.partition_point(|stretch| stretch.from <= recv);
        let before = self.stretches[..begun].iter().enumerate().rev();
        let mut not_over = before.take_while(|(_, stretch)| recv <= stretch.to);
        let (place, stretch) = not_over.find(|(_, stretch)| stretch.session == session)?;
        self.at = place;
        Some(*stretch)
    }

    /// A row within the stretch that [`Pauses::stretch`] has found. Pauses count within `hours`.
    pub(crate) fn row(&mut self, recv: Moment, hours: Span) {
        if let Some(last) = self.last.get_mut(self.at) {
            longer(&mut self.longest, (*last, recv), hours);
            // Not back, even if the clock was set back.
            *last = recv.max(*last);
            if recv <= hours.1 {
                self.last_row = self.last_row.max(Some(*last));
            }
        }
    }

    /// The longest pause within `hours`, after all rows; and the time since the last row, if that is a silence.
    pub(crate) fn finish(&self, hours: Span) -> (Option<Pause>, Option<Pause>) {
        let mut longest = self.longest;
        for (stretch, last) in self.stretches.iter().zip(&self.last) {
            longer(&mut longest, (*last, stretch.to), hours);
        }
        let longest = longest.map(|(from, to)| Pause {
            from_ts: Some(from),
            to_ts: Some(to),
            seconds: seconds(to.0 - from.0),
        });
        (longest, self.silence(hours))
    }

    /// Interruptions do not end a silence, and do not count. It lasts as long as the pair was active.
    fn silence(&self, hours: Span) -> Option<Pause> {
        let within = || self.stretches.iter().filter(|of| of.within(hours) > 0);
        let since = self.last_row.or(within().next().map(|first| first.from))?;
        let span = (since.max(hours.0), within().next_back()?.to.min(hours.1));
        let length: i64 = within().map(|of| of.within(span)).sum();
        let ended = self.longest.map_or(0, |(from, to)| to.0 - from.0);
        let is_silence = length >= SILENT_MIN_US && length >= SILENT_TIMES.saturating_mul(ended);
        is_silence.then_some(Pause {
            from_ts: Some(span.0),
            to_ts: Some(span.1),
            seconds: seconds(length),
        })
    }
}

fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// Keeps the part of a pause that lies in the hours if it is longer.
fn longer(longest: &mut Option<Span>, (from, to): Span, hours: Span) {
    let part = (from.max(hours.0), to.min(hours.1));
    let length = part.1.0 - part.0.0;
    if length > 0 && longest.is_none_or(|longest| longest.1.0 - longest.0.0 < length) {
        *longest = Some(part);
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
        assert_eq!(after(&all[..1], &late), (Some((1100, 5000)), Some((1100, 5000))));
    }

    #[test]
    fn a_pair_without_rows_is_silent_from_the_beginning() {
        assert_eq!(
            after(&[stretch(1, 500, 12_000)], &[]),
            (Some((1000, 10_000)), Some((1000, 10_000)))
        );
        assert_eq!(after(&[], &[]), (None, None));
        // It was cancelled: silent until then.
        assert_eq!(after(&[stretch(1, 500, 9000)], &[]).1, Some((1000, 9000)));
        assert_eq!(
            after(&[stretch(1, 500, 1500)], &[]).1,
            None,
            "too short a time to tell"
        );
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

    #[test]
    fn an_interruption_does_not_end_a_silence() {
        // Nothing all day, over a reconnect; and one more after the hours.
        let all = [
            stretch(1, 0, 5000),
            stretch(2, 5005, 11_000),
            stretch(3, 11_005, 12_000),
        ];
        assert_eq!(after(&all, &[]), (Some((5005, 10_000)), Some((1000, 10_000))));
        // What came after the hours says nothing about them; what came in them does.
        assert_eq!(after(&all, &[(3, 11_500)]).1, Some((1000, 10_000)));
        assert_eq!(after(&all, &[(1, 1500), (1, 2000)]).1, Some((2000, 10_000)));
        let mut pauses = Pauses::new(&all);
        pauses.stretch(1, second(2000)).unwrap();
        pauses.row(second(2000), HOURS);
        let silence = pauses.finish(HOURS).1.unwrap();
        assert_eq!(
            silence.seconds, 7995.0,
            "without the five seconds between two sessions"
        );
        // A minute before the end is too short a time after a reconnect, unless nothing came before, too.
        let late = [stretch(1, 0, 9900), stretch(2, 9940, 12_000)];
        let busy: Vec<_> = (0..990).map(|nth| (1, nth * 10)).collect();
        assert_eq!(after(&late, &busy).1, None);
    }

    #[test]
    fn a_row_belongs_to_its_session_where_two_stretches_meet() {
        let mut pauses = Pauses::new(&[stretch(1, 0, 50), stretch(2, 50, 100), stretch(2, 200, 300)]);
        let mut of = |session, at| {
            pauses
                .stretch(session, second(at))
                .map(|of| of.from.0 / 1_000_000)
        };
        assert_eq!(
            [of(2, 50), of(1, 50), of(1, 51), of(2, 150), of(2, 250), of(1, 0)],
            [Some(50), Some(0), None, None, Some(200), Some(0)]
        );
    }
}
