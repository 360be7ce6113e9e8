//! Whether the day is complete, in one sentence, and what somebody should look at. Pure.

use serde::Serialize;

use super::clock::ClockFacts;
use super::exchange::ExchangeDay;
use super::oddities::Oddity;
use super::received::Received;
use super::registered::Registered;
use super::worry::{Level, Worry};
use crate::time::{count, length, percent, plural};

/// With a smaller share of the regular hours recorded, a day is not complete "but for" some gaps: it is incomplete.
const SHARE_MIN: f64 = 0.99;

/// Whether all of the regular hours was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Complete {
    /// All of it.
    Yes,
    /// At least 99 % in each feed.
    YesBut,
    /// Less.
    No,
    /// KRX was closed, or its session has not begun.
    NoSession,
    /// A feed has no ledger.
    Unknown,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In one word.
    pub complete: Complete,
    /// How serious it is.
    pub level: Level,
    /// In one sentence.
    pub words: String,
    /// What else to look at, worst first.
    pub worries: Vec<Worry>,
}

/// Judges the feeds of a day. Of registrations there is what they mean for the answer, and `more` that is worth a look.
#[must_use]
pub(crate) fn verdict(
    day: &ExchangeDay,
    feeds: &[&Received],
    (registered, more): (&Registered, Vec<Worry>),
    oddities: &[Oddity],
    goes_on: bool,
) -> Verdict {
    let (complete, level, answer) = complete(day, feeds, registered);
    let mut worries: Vec<Worry> = feeds.iter().flat_map(|feed| of_feed(feed, goes_on)).collect();
    worries.extend(more);
    worries.extend(
        oddities
            .iter()
            .filter(|odd| odd.count > 0 && odd.kind.is_worry())
            .map(|odd| Worry {
                level: Level::Look,
                words: format!("{}: {}.", odd.kind.title(), plural(odd.count, odd.kind.noun())),
            }),
    );
    if let Some(first) = day.unrecorded_before.first() {
        let words = match day.unrecorded_before.len() {
            1 => format!("The previous trading day, {first}, was not recorded."),
            count => format!("The previous {count} trading days, from {first} on, were not recorded."),
        };
        worries.push(Worry {
            level: Level::Act,
            words,
        });
    }
    worries.sort_by_key(|worry| worry.level);
    let words = if goes_on {
        format!("The day is still in progress. So far: {answer}")
    } else {
        answer
    };
    Verdict {
        complete,
        level,
        words,
        worries,
    }
}

impl Verdict {
    /// The same with what is known of the clock.
    #[must_use]
    pub(crate) fn with_clock(mut self, clock: &ClockFacts) -> Self {
        if let Some(headline) = clock.headline() {
            self.words = format!("{}; {headline}", self.words);
            self.level = Level::Act;
        }
        self.worries.extend(clock.worries());
        self.worries.sort_by_key(|worry| worry.level);
        self
    }
}

fn complete(day: &ExchangeDay, feeds: &[&Received], registered: &Registered) -> (Complete, Level, String) {
    if !day.trading {
        let note = day
            .note
            .as_deref()
            .map_or_else(String::new, |note| format!(" ({note})"));
        let words = format!("KRX was closed on this date{note}; this is what arrived anyway");
        return (Complete::NoSession, Level::None, words);
    }
    let unknown: Vec<&str> = names(feeds, |feed| !feed.recorded.known);
    if !unknown.is_empty() || feeds.is_empty() {
        let words = format!(
            "Complete: unknown; nothing says when {} was recorded",
            unknown.join(" and ")
        );
        return (Complete::Unknown, Level::Act, words);
    }
    let shares: Vec<f64> = feeds
        .iter()
        .filter_map(|feed| feed.recorded.regular_recorded_share)
        .collect();
    if shares.is_empty() {
        let words = "the regular session has not begun".to_owned();
        return (Complete::NoSession, Level::None, words);
    }
    if !registered.inactive.is_empty() {
        let words = format!(
            "Complete: no; no registration of {} was active in the regular hours",
            registered.inactive.join(" and ")
        );
        return (Complete::No, Level::Act, words);
    }
    if !registered.unknown.is_empty() {
        let words = format!(
            "Complete: unknown; nothing says what was registered of {}",
            registered.unknown.join(" and ")
        );
        return (Complete::Unknown, Level::Act, words);
    }
    let (mut gaps, mut seconds) = (0, 0.0);
    for feed in feeds {
        gaps += feed.recorded.gaps_in_regular_hours.count;
        seconds += feed.recorded.gaps_in_regular_hours.seconds;
    }
    let least = shares.iter().copied().fold(1.0, f64::min);
    if least < SHARE_MIN {
        let parts = feeds.iter().map(|feed| {
            let share = feed.recorded.regular_recorded_share.unwrap_or(0.0);
            format!("{} {}", feed.name, percent(share))
        });
        let words = format!(
            "Complete: no; recorded of the regular hours: {}",
            parts.collect::<Vec<_>>().join(", ")
        );
        (Complete::No, Level::Act, words)
    } else if gaps > 0 || least < 1.0 {
        let what = if gaps > 0 {
            format!(
                "{} totalling {} in the regular hours",
                plural(gaps, "gap"),
                length(seconds)
            )
        } else {
            "part of the regular hours, when nothing was expected".to_owned()
        };
        (
            Complete::YesBut,
            Level::Look,
            format!("Complete: yes, but for {what}"),
        )
    } else {
        let words = "Complete: yes, all of the regular hours were recorded".to_owned();
        (Complete::Yes, Level::Good, words)
    }
}

fn names<'a>(feeds: &[&'a Received], of: impl Fn(&Received) -> bool) -> Vec<&'a str> {
    let chosen = feeds.iter().filter(|feed| of(feed));
    chosen.map(|feed| feed.name.as_str()).collect()
}

fn of_feed(feed: &Received, goes_on: bool) -> Vec<Worry> {
    let name = &feed.name;
    let mut found = Vec::new();
    let mut add = |level, words| found.push(Worry { level, words });
    let recorded = &feed.recorded;
    let within = recorded.gaps_in_regular_hours;
    if within.count > 0 {
        let words = format!(
            "{name}: {} totalling {} in the regular hours; {} of these hours was recorded.",
            plural(within.count, "gap"),
            length(within.seconds),
            percent(recorded.regular_recorded_share.unwrap_or(0.0)),
        );
        let level = if recorded
            .regular_recorded_share
            .is_some_and(|share| share < SHARE_MIN)
        {
            Level::Act
        } else {
            Level::Look
        };
        add(level, words);
    }
    if recorded.idle_in_regular_hours_seconds > 0.0 {
        let words = format!(
            "{name}: for {} of the regular hours, nothing was recorded and nothing was expected. Check schedule in the \
             configuration, and when the recorder was started.",
            length(recorded.idle_in_regular_hours_seconds)
        );
        add(Level::Act, words);
    }
    if feed.rows_not_committed > 0 {
        let rows = plural(feed.rows_not_committed.unsigned_abs(), "record");
        if goes_on {
            add(
                Level::None,
                format!("{name}: the last {rows} are not committed yet, and not in this report."),
            );
        } else {
            add(
                Level::Look,
                format!(
                    "{name}: {rows} of the ledger are in no committed file: either the export has not finished, or see krx-recorder verify."
                ),
            );
        }
    } else if feed.rows_not_committed < 0 && recorded.known && !goes_on {
        let rows = plural(feed.rows_not_committed.unsigned_abs(), "record");
        add(
            Level::Look,
            format!("{name}: {rows} more in committed files than in the ledger; see krx-recorder verify."),
        );
    }
    if feed.quarantined > 0 {
        let reasons: Vec<_> = feed
            .quarantine
            .iter()
            .map(|(reason, of)| format!("{reason} {}", count(of.count)))
            .collect();
        let words = format!(
            "{name}: {} in quarantine: {}.",
            plural(feed.quarantined, "piece"),
            reasons.join(", ")
        );
        add(Level::Look, words);
    }
    found
}

#[cfg(test)]
mod tests {
    use krx_store::Moment;
    use krx_store::coverage::{Interval, State};

    use super::*;
    use crate::figures::clock::AtOdds;
    use crate::figures::fold::Fold;
    use crate::figures::market::MarketFacts;
    use crate::figures::recorded::tests::interval;

    const HOURS: (Moment, Moment) = (Moment(100_000_000_000), Moment(110_000_000_000));

    fn day(trading: bool) -> ExchangeDay {
        ExchangeDay {
            trading,
            note: (!trading).then(|| "Saturday".to_owned()),
            regular_from: trading.then_some(HOURS.0),
            regular_to: trading.then_some(HOURS.1),
            continuous_to: trading.then_some(HOURS.1),
            unrecorded_before: Vec::new(),
        }
    }

    fn market(name: &str, ledger: Vec<Interval>) -> Received {
        let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let mut market =
            MarketFacts::new(name, &Fold::new(name, date), ledger, Some(HOURS), HOURS.1).received;
        market.rows_not_committed = 0;
        market
    }

    /// Recorded but for gaps of these lengths in the regular hours, and one before them.
    fn with_gaps(name: &str, gaps: &[i64]) -> Received {
        let mut ledger = vec![
            interval(99_000, 99_500, State::Gap, "start"),
            interval(99_500, 101_000, State::Live, "connected"),
        ];
        let mut at = 101_000;
        for gap in gaps {
            ledger.push(interval(at, at + gap, State::Gap, "reset"));
            ledger.push(interval(at + gap, at + 2000, State::Live, "connected"));
            at += 2000;
        }
        ledger.push(interval(at, 120_000, State::Live, "connected"));
        market(name, ledger)
    }

    fn of(feeds: &[Received]) -> Verdict {
        let feeds: Vec<&Received> = feeds.iter().collect();
        verdict(
            &day(true),
            &feeds,
            (&Registered::default(), Vec::new()),
            &[],
            false,
        )
    }

    #[test]
    fn the_first_sentence_is_the_answer() {
        let whole = of(&[with_gaps("KOSPI", &[]), with_gaps("KOSDAQ", &[])]);
        assert_eq!((whole.complete, whole.level), (Complete::Yes, Level::Good));
        assert_eq!(whole.worries, []);

        let but = of(&[with_gaps("KOSPI", &[4, 3]), with_gaps("KOSDAQ", &[5])]);
        assert_eq!((but.complete, but.level), (Complete::YesBut, Level::Look));
        assert_eq!(
            but.words,
            "Complete: yes, but for 3 gaps totalling 12 s in the regular hours"
        );
        assert_eq!(but.worries.len(), 2);

        let no = of(&[with_gaps("KOSPI", &[4]), with_gaps("KOSDAQ", &[1800])]);
        assert_eq!((no.complete, no.level), (Complete::No, Level::Act));
        assert_eq!(
            no.words,
            "Complete: no; recorded of the regular hours: KOSPI 99.96 %, KOSDAQ 82.0 %"
        );
        assert_eq!(no.worries[0].level, Level::Act, "worst first");

        let closed = verdict(
            &day(false),
            &[&with_gaps("KOSPI", &[4])],
            (&Registered::default(), Vec::new()),
            &[],
            false,
        );
        assert_eq!(closed.complete, Complete::NoSession);
        assert!(closed.words.contains("Saturday"));

        let unknown = of(&[with_gaps("KOSPI", &[]), market("KOSDAQ", vec![])]);
        assert_eq!((unknown.complete, unknown.level), (Complete::Unknown, Level::Act));
        assert!(unknown.words.ends_with("when KOSDAQ was recorded"));
    }

    #[test]
    fn without_registrations_a_recorded_feed_is_not_complete() {
        let feed = with_gaps("ISSUES", &[]);
        let answer = |registered| verdict(&day(true), &[&feed], (&registered, Vec::new()), &[], false);
        let names = || vec!["ISSUES".to_owned()];
        let inactive = answer(Registered {
            inactive: names(),
            ..Registered::default()
        });
        assert_eq!((inactive.complete, inactive.level), (Complete::No, Level::Act));
        assert_eq!(
            inactive.words,
            "Complete: no; no registration of ISSUES was active in the regular hours"
        );
        let unknown = answer(Registered {
            unknown: names(),
            ..Registered::default()
        });
        assert_eq!((unknown.complete, unknown.level), (Complete::Unknown, Level::Act));
        assert_eq!(
            unknown.words,
            "Complete: unknown; nothing says what was registered of ISSUES"
        );
    }

    #[test]
    fn idle_in_the_regular_hours_is_no_gap_and_yet_missing() {
        let late = market(
            "KOSPI",
            vec![
                interval(0, 105_000, State::Idle, "start"),
                interval(105_000, 120_000, State::Live, "connected"),
            ],
        );
        let found = of(&[late]);
        assert_eq!(found.complete, Complete::No);
        assert!(
            found.worries[0]
                .words
                .contains("for 1 h 23 min of the regular hours"),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_not_committed_is_no_worry_while_the_day_goes_on() {
        let mut some = with_gaps("KOSPI", &[]);
        some.rows_not_committed = 12;
        let on = verdict(
            &day(true),
            &[&some],
            (&Registered::default(), Vec::new()),
            &[],
            true,
        );
        assert!(
            on.words
                .starts_with("The day is still in progress. So far: Complete: yes"),
            "{}",
            on.words
        );
        assert_eq!(on.worries[0].level, Level::None);
        assert_eq!(of(&[some]).worries[0].level, Level::Look);
    }

    #[test]
    fn a_wrong_clock_is_in_the_headline_and_the_most_serious() {
        let all = of(&[with_gaps("KOSPI", &[])]);
        assert_eq!(all.clone().with_clock(&ClockFacts::default()), all);
        let odds = AtOdds {
            feed: "KOSPI".to_owned(),
            verdict: "early",
            lag_seconds: -3600.0,
            from: None,
            to: None,
        };
        let clock = ClockFacts {
            at_odds: vec![odds],
            ..ClockFacts::default()
        };
        let wrong = all.with_clock(&clock);
        assert_eq!((wrong.complete, wrong.level), (Complete::Yes, Level::Act));
        assert_eq!(
            wrong.words,
            "Complete: yes, all of the regular hours were recorded; the time stamps cannot be trusted: the clock was slow"
        );
        assert_eq!(wrong.worries[0].level, Level::Act);
    }
}
