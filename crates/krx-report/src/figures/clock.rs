//! Whether the day's time stamps can be trusted: what the kernel said of its clock, and what the records show of it. Pure.

use std::time::Duration;

use krx_store::clock::ClockRow;
use krx_store::lag::{DayVerdicts, LagVerdict};
use krx_store::{FeedName, Moment};
use serde::Serialize;

use super::worry::{Level, Worry};
use crate::time::{self, length, plural};

/// The clock's day.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClockFacts {
    /// Rows of the dataset `clock` in which the kernel said that its clock is synchronised: one each minute.
    pub synchronised_rows: u64,
    /// Rows in which it said that it is not.
    pub unsynchronised_rows: u64,
    /// Rows in which it did not say.
    pub unknown_rows: u64,
    /// The most that the clock may have been off, by what the kernel said; `None` when not known.
    pub max_error_us: Option<i64>,
    /// `clock.lag_max`.
    pub lag_max_seconds: f64,
    /// When records and clock were at odds, by feed; feeds with a good clock are left out.
    pub at_odds: Vec<AtOdds>,
}

/// A time in which a feed's records and the clock were at odds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtOdds {
    /// The feed.
    pub feed: String,
    /// `early`: records came before their trades. `late`: they came later than `clock.lag_max`.
    pub verdict: &'static str,
    /// How long after their trades they came when that was noticed; negative if before.
    pub lag_seconds: f64,
    /// When it was noticed, by this clock.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub from: Option<Moment>,
    /// Until the records showed something else, or no more came.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub to: Option<Moment>,
}

impl AtOdds {
    /// In which of the verdicts of a feed's day records and clock were at odds.
    fn of<'a>(feed: &'a str, day: &'a DayVerdicts) -> impl Iterator<Item = Self> + use<'a> {
        let ends = day.said.iter().skip(1).map(|next| next.at).chain([day.last]);
        let bad = day.said.iter().zip(ends).filter(|(lag, _)| lag.verdict.is_bad());
        bad.map(|(lag, to)| Self {
            feed: feed.to_owned(),
            verdict: lag.verdict.as_str(),
            lag_seconds: f64::from(lag.lag_ms.unwrap_or_default()) / 1000.0,
            from: lag.at,
            to,
        })
    }

    fn words(&self) -> String {
        let Self {
            feed, lag_seconds, ..
        } = self;
        let at = |at: Option<Moment>| at.map_or_else(String::new, time::second);
        let (from, to, lag) = (at(self.from), at(self.to), length(lag_seconds.abs()));
        if *lag_seconds < 0.0 {
            format!("{feed}: records came {lag} before their trades from {from} to {to}: the clock was slow.")
        } else {
            format!(
                "{feed}: records came {lag} after their trades from {from} to {to}: the clock was fast, or the feed behind."
            )
        }
    }
}

impl ClockFacts {
    /// From the rows of `clock` and the verdicts of each feed.
    #[must_use]
    pub(crate) fn of(rows: &[ClockRow], feeds: &[(FeedName, DayVerdicts)], lag_max: Duration) -> Self {
        let count = |synchronised| rows.iter().filter(|row| row.synchronised == synchronised).count() as u64;
        let at_odds = feeds
            .iter()
            .flat_map(|(feed, day)| AtOdds::of(feed.as_str(), day));
        Self {
            synchronised_rows: count(Some(true)),
            unsynchronised_rows: count(Some(false)),
            unknown_rows: count(None),
            max_error_us: rows.iter().filter_map(|row| row.max_error_us).max(),
            lag_max_seconds: lag_max.as_secs_f64(),
            at_odds: at_odds.collect(),
        }
    }

    /// What the headline says of it; `None` if nothing is wrong.
    #[must_use]
    pub(crate) fn headline(&self) -> Option<String> {
        let has = |verdict: LagVerdict| self.at_odds.iter().any(|odds| odds.verdict == verdict.as_str());
        let words = match (has(LagVerdict::Early), has(LagVerdict::Late)) {
            (false, false) => return None,
            (true, false) => "the clock was slow",
            (true, true) => "the clock was slow, and records came late",
            (false, true) => "the clock was fast, or records came late",
        };
        Some(format!("the time stamps cannot be trusted: {words}"))
    }

    /// What to look at.
    #[must_use]
    pub(crate) fn worries(&self) -> Vec<Worry> {
        let mut found: Vec<_> = self
            .at_odds
            .iter()
            .map(|odds| Worry {
                level: Level::Act,
                words: odds.words(),
            })
            .collect();
        if self.unsynchronised_rows > 0 {
            let minutes = plural(self.unsynchronised_rows, "minute");
            found.push(Worry {
                level: Level::Look,
                words: format!(
                    "Nothing kept the clock in step in {minutes} of recording, by what the kernel said."
                ),
            });
        }
        found
    }

    /// What the kernel said, in one sentence.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let said = self.synchronised_rows + self.unsynchronised_rows;
        match (said, self.max_error_us) {
            (0, _) => "It is not known whether anything kept this clock in step.".to_owned(),
            (_, None) => "Nothing kept this clock in step, by what the kernel said.".to_owned(),
            (_, Some(error_us)) => format!(
                "The kernel said in {} of {} that its clock was kept in step, and at most {} off.",
                time::count(self.synchronised_rows),
                plural(said, "minute"),
                length(error_us as f64 / 1e6)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use krx_store::lag::FeedLag;

    use super::*;

    fn day(feed: &str, said: Vec<FeedLag>, last: Option<Moment>) -> (FeedName, DayVerdicts) {
        (feed.parse().unwrap(), DayVerdicts { said, last })
    }

    fn row(synchronised: Option<bool>, max_error_us: Option<i64>) -> ClockRow {
        ClockRow {
            ts: Moment(0),
            synchronised,
            offset_us: None,
            max_error_us,
            source: "kernel".to_owned(),
        }
    }

    /// A verdict at this second after ten o'clock.
    fn lag(second: i64, verdict: LagVerdict, lag_ms: i32) -> FeedLag {
        FeedLag {
            verdict,
            lag_ms: Some(lag_ms),
            at: Some(Moment((1_795_136_400 + second) * 1_000_000)),
        }
    }

    #[test]
    fn a_good_clock_is_no_worry() {
        let said = vec![lag(5, LagVerdict::Good, 200)];
        let facts = ClockFacts::of(
            &[
                row(Some(true), Some(1_500)),
                row(Some(true), Some(2_500)),
                row(None, None),
            ],
            &[day("KOSPI", said, None)],
            Duration::from_secs(10),
        );
        assert_eq!((facts.synchronised_rows, facts.unknown_rows), (2, 1));
        assert_eq!((facts.headline(), facts.worries()), (None, Vec::new()));
        assert_eq!(
            facts.words(),
            "The kernel said in 2 of 2 minutes that its clock was kept in step, and at most 2 ms off."
        );
        assert!(ClockFacts::default().words().contains("not known"));
    }

    #[test]
    fn a_wrong_clock_is_in_the_headline_with_its_times() {
        let said = vec![
            lag(5, LagVerdict::Good, 200),
            lag(60, LagVerdict::Early, -3_600_000),
            lag(600, LagVerdict::Good, 200),
            lag(700, LagVerdict::Late, 3_600_000),
        ];
        let last = lag(900, LagVerdict::Late, 0).at;
        let feeds = [day("KOSPI", said, last), day("KOSDAQ", Vec::new(), None)];
        let facts = ClockFacts::of(&[row(Some(false), None)], &feeds, Duration::from_secs(10));
        let headline = facts.headline().unwrap();
        assert_eq!(
            headline,
            "the time stamps cannot be trusted: the clock was slow, and records came late"
        );
        let words: Vec<_> = facts.worries().into_iter().map(|worry| worry.words).collect();
        assert_eq!(
            words,
            [
                "KOSPI: records came 1 h 0 min before their trades from 10:01:00 to 10:10:00: the clock was slow.",
                "KOSPI: records came 1 h 0 min after their trades from 10:11:40 to 10:15:00: the clock was fast, or the feed \
                 behind.",
                "Nothing kept the clock in step in 1 minute of recording, by what the kernel said.",
            ]
        );
    }
}
