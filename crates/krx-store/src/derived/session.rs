//! The regular session of a date, which the caller takes from the calendar. Pure.

use std::fmt;
use std::str::FromStr;

use crate::moment::{DAY_US, Moment};

/// The length of a minute bar, µs.
pub(super) const MINUTE_US: i64 = 60_000_000;

/// The regular session of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    opens: Moment,
    closes: Moment,
    ends: Moment,
}

/// The regular sessions of a date; `None` on a day on which KRX is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// The session of stocks.
    pub stocks: Option<Session>,
    /// The session of futures and options.
    pub derivatives: Option<Session>,
}

impl Session {
    /// From the opening to the close. The trades of the closing auction are stamped after the close; any trade before `ends`
    /// belongs to the session. `None` unless these follow one another within a day.
    #[must_use]
    pub fn new(opens: Moment, closes: Moment, ends: Moment) -> Option<Self> {
        let is_sound = opens < closes && closes <= ends && ends.0.checked_sub(opens.0)? <= DAY_US;
        is_sound.then_some(Self { opens, closes, ends })
    }

    /// From the opening to the close.
    pub(super) fn hours(&self) -> (Moment, Moment) {
        (self.opens, self.closes)
    }

    /// Whether a trade of this time, in ms since 1970, belongs to it.
    pub(super) fn has(&self, trade_ts: i64) -> bool {
        let us = trade_ts.saturating_mul(1000);
        (self.opens.0..self.ends.0).contains(&us)
    }

    /// The minute of a trade of the session, from 0.
    pub(super) fn minute(&self, trade_ts: i64) -> usize {
        let us = trade_ts.saturating_mul(1000).saturating_sub(self.opens.0);
        usize::try_from(us / MINUTE_US).unwrap_or_default()
    }

    /// The beginning and end of each of its minutes. The last one ends with the session.
    pub(super) fn minutes(&self) -> Vec<(Moment, Moment)> {
        let starts = (0..).map(|nth| self.opens.0 + nth * MINUTE_US);
        starts
            .take_while(|from| *from < self.ends.0)
            .map(|from| (Moment(from), Moment((from + MINUTE_US).min(self.ends.0))))
            .collect()
    }
}

/// As it is in footers: three instants, µs since 1970.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.opens.0, self.closes.0, self.ends.0)
    }
}

/// The text is not a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSession;

impl FromStr for Session {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<Self, NoSession> {
        let mut parts = text.split(',').map(|part| part.parse().map(Moment));
        let mut next = || parts.next().and_then(Result::ok).ok_or(NoSession);
        let session = Self::new(next()?, next()?, next()?).ok_or(NoSession)?;
        (session.to_string() == text).then_some(session).ok_or(NoSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_auction_belongs_to_it_and_what_follows_does_not() {
        let nine = Moment(1_795_132_800_000_000);
        let at = |minutes: i64| Moment(nine.0 + minutes * MINUTE_US);
        let session = Session::new(nine, at(390), at(400)).unwrap();
        let has = |at: Moment, ms: i64| session.has(at.0 / 1000 + ms);
        assert!(!has(nine, -1) && has(nine, 0));
        assert!(has(at(390), 30), "the closing auction");
        assert!(has(at(400), -1) && !has(at(400), 0));
        assert_eq!(session.minute(at(390).0 / 1000 + 10), 390);
        let minutes = session.minutes();
        assert_eq!((minutes.len(), minutes[399]), (400, (at(399), at(400))));
        assert_eq!(session.to_string().parse(), Ok(session));
        let short = Session::new(nine, at(1), Moment(at(1).0 + 1)).unwrap();
        assert_eq!(short.minutes()[1], (at(1), Moment(at(1).0 + 1)));
    }

    #[test]
    fn invalid_hours_are_refused() {
        let new = |opens, closes, ends| Session::new(Moment(opens), Moment(closes), Moment(ends));
        assert_eq!(new(5, 5, 9), None);
        assert_eq!(new(5, 9, 8), None);
        assert_eq!(new(i64::MIN, 9, 10), None);
        for text in ["", "closed", "1,2", "1,2,3,4", "3,2,1", "1, 2,3"] {
            assert_eq!(text.parse::<Session>(), Err(NoSession), "{text}");
        }
    }
}
