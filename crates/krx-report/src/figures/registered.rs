//! What in a day's registrations deserves a look, in sentences. Pure.

use krx_protocol::per_issue::RegistrationState;

use super::feed::{FeedFacts, PairFacts};
use super::quotes::QuoteFacts;
use super::shares::SharesFacts;
use super::worry::{Level, Worry};
use crate::time::{count, length, plural};

/// How many pairs a sentence names.
const NAMED_MAX: usize = 5;

/// What a day's registrations mean for the answer whether it is complete: names of feeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registered {
    /// Of these nothing says what was registered.
    pub(crate) unknown: Vec<String>,
    /// Of these nothing was active in the regular hours, though they were recorded.
    pub(crate) inactive: Vec<String>,
}

/// What it means for the answer. Before the first files of a day in progress nothing is known.
pub(crate) fn registered(feeds: &[FeedFacts], goes_on: bool) -> Registered {
    let mut of = Registered::default();
    for feed in feeds {
        let registrations = &feed.registrations;
        let is_recorded = feed.received.recorded.regular_recorded_share.unwrap_or(0.0) > 0.0;
        let is_active = |pair: &PairFacts| pair.share.unwrap_or(0.0) > 0.0;
        if !registrations.known {
            of.unknown.extend((!goes_on).then(|| feed.feed.clone()));
        } else if is_recorded && !registrations.pairs.iter().any(is_active) {
            of.inactive.push(feed.feed.clone());
        }
    }
    of
}

/// The sentences about all per-issue feeds. In the full-market feeds sums mean nothing if `trdVol` `is_cumulative`.
pub(crate) fn worries(
    feeds: &[FeedFacts],
    (shares, quotes): (&SharesFacts, &QuoteFacts),
    is_cumulative: bool,
    goes_on: bool,
) -> Vec<Worry> {
    let mut found: Vec<Worry> = feeds.iter().flat_map(|feed| of_feed(feed, goes_on)).collect();
    found.extend(of_shares(shares, is_cumulative));
    let crossed = quotes.issues.iter().filter(|issue| issue.crossed > 0);
    let (issues, seconds) = crossed.fold((0, 0.0), |(issues, seconds), issue| {
        (issues + 1, seconds + issue.crossed_seconds)
    });
    if issues > 0 {
        found.push(look(format!(
            "Books of {} were crossed in continuous trading, for {} in all: an auction of the issue, or a wrong message.",
            plural(issues, "issue"),
            length(seconds)
        )));
    }
    found
}

fn of_shares(shares: &SharesFacts, is_cumulative: bool) -> Vec<Worry> {
    let mut found = Vec::new();
    let unexplained = shares
        .issues
        .iter()
        .filter_map(|issue| issue.missing_unexplained.filter(|missing| *missing > 0));
    let (issues, missing) = unexplained.fold((0, 0_i64), |(issues, sum), missing| {
        (issues + 1, sum.saturating_add(missing))
    });
    if issues > 0 {
        found.push(look(format!(
            "Ticks of {} lack {} although nothing was interrupted: these trades were not sent, or are in quarantine.",
            plural(issues, "stock"),
            plural(missing.unsigned_abs(), "share")
        )));
    }
    let more = shares.issues.iter().filter(|issue| {
        issue
            .trades
            .zip(issue.traded)
            .is_some_and(|(trades, traded)| trades > traded)
    });
    let more = more.count() as u64;
    if more > 0 && !is_cumulative {
        found.push(look(format!(
            "The full-market feeds have more shares of {} than the accumulated volumes that were pushed: pushes ended before \
             trading did.",
            plural(more, "stock")
        )));
    }
    found
}

fn look(words: String) -> Worry {
    Worry {
        level: Level::Look,
        words,
    }
}

fn of_feed(feed: &FeedFacts, goes_on: bool) -> Vec<Worry> {
    let name = &feed.feed;
    let registrations = &feed.registrations;
    if !registrations.known {
        let words = format!("{name}: nothing says what was registered; see krx-recorder verify.");
        // While the first file is being written, there are no registrations either.
        let level = if goes_on { Level::None } else { Level::Act };
        return vec![Worry { level, words }];
    }
    let some = |is: &dyn Fn(&PairFacts) -> bool| -> Vec<&PairFacts> {
        registrations.pairs.iter().filter(|pair| is(pair)).collect()
    };
    let mut found = Vec::new();
    let mut add = |pairs: &[&PairFacts], singular: &str, many: &str| {
        let sentence = match pairs.len() as u64 {
            0 => return,
            1 => singular.to_owned(),
            count_of => many.replace("{}", &count(count_of)),
        };
        found.push(look(format!("{name}: {sentence}: {}.", named(pairs))));
    };
    add(
        &some(&|pair| pair.state == RegistrationState::Refused),
        "1 registration was refused",
        "{} registrations were refused",
    );
    add(
        &some(&|pair| pair.state == RegistrationState::Unanswered),
        "1 registration was not answered",
        "{} registrations were not answered",
    );
    add(
        &some(&|pair| pair.active_seconds > 0.0 && pair.is_short),
        "1 registration was not active for all that was recorded of the regular hours",
        "{} registrations were not active for all that was recorded of the regular hours",
    );
    // A snapshot is an answer, not data that was asked for.
    add(
        &some(&|pair| pair.silent.is_some() && pair.records == pair.snapshots),
        "nothing came for 1 active registration",
        "nothing came for {} active registrations",
    );
    let silent = some(&|pair| pair.silent.is_some() && pair.records > pair.snapshots);
    let lengths = silent
        .iter()
        .filter_map(|pair| pair.silent)
        .map(|silent| silent.seconds);
    let longest = length(lengths.fold(0.0, f64::max));
    add(
        &silent,
        &format!("1 registration fell silent, for {longest}"),
        &format!("{{}} registrations fell silent, for up to {longest}"),
    );
    found
}

/// The first pairs by name, and how many more there are.
fn named(pairs: &[&PairFacts]) -> String {
    let names = pairs
        .iter()
        .take(NAMED_MAX)
        .map(|pair| format!("{}:{}", pair.preset, pair.code));
    let names: Vec<String> = names.collect();
    match pairs.len().saturating_sub(NAMED_MAX) {
        0 => names.join(", "),
        more => format!("{} and {} more", names.join(", "), count(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::Preset;
    use krx_store::Moment;

    use super::*;
    use crate::figures::active::Active;
    use crate::figures::exchange::ExchangeDay;
    use crate::figures::feed::{FeedFold, FeedHours};
    use crate::figures::pauses::Pause;

    fn feed(pairs: Vec<PairFacts>) -> FeedFacts {
        let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let closed = ExchangeDay {
            trading: false,
            note: None,
            regular_from: None,
            regular_to: None,
            continuous_to: None,
            unrecorded_before: Vec::new(),
        };
        let fold = FeedFold::new(date, Active::default(), FeedHours::of(&closed, &[], Moment(0)));
        let mut feed = fold.facts("ISSUES", Some(&[]), Vec::new());
        feed.registrations.pairs = pairs;
        feed
    }

    fn pair(code: &str) -> PairFacts {
        PairFacts {
            preset: Preset::Tick10,
            code: code.to_owned(),
            state: RegistrationState::Active,
            detail: None,
            active_from: None,
            active_to: None,
            active_seconds: 100.0,
            share: Some(1.0),
            is_short: false,
            asked_again: 0,
            records: 10,
            snapshots: 1,
            longest_pause: None,
            silent: None,
        }
    }

    fn silent(code: &str, seconds: f64, records: u64) -> PairFacts {
        PairFacts {
            records,
            silent: Some(Pause {
                from_ts: None,
                to_ts: None,
                seconds,
            }),
            ..pair(code)
        }
    }

    fn words(feed: &FeedFacts, goes_on: bool) -> Vec<String> {
        let none = (SharesFacts::default(), QuoteFacts::default());
        let all = worries(std::slice::from_ref(feed), (&none.0, &none.1), false, goes_on);
        all.into_iter().map(|worry| worry.words).collect()
    }

    #[test]
    fn each_kind_of_trouble_has_a_sentence_with_names() {
        assert_eq!(words(&feed(vec![pair("005930")]), false), Vec::<String>::new());
        let refused = PairFacts {
            state: RegistrationState::Refused,
            active_seconds: 0.0,
            is_short: true,
            ..pair("999999")
        };
        let unanswered = PairFacts {
            state: RegistrationState::Unanswered,
            ..refused.clone()
        };
        let short = PairFacts {
            is_short: true,
            ..pair("000660")
        };
        // A snapshot is an answer, not data that was asked for.
        let never = silent("000020", 6000.0, 1);
        let pairs = vec![refused, unanswered, short, never, silent("000040", 1200.0, 50)];
        assert_eq!(
            words(&feed(pairs), false),
            [
                "ISSUES: 1 registration was refused: tick10:999999.",
                "ISSUES: 1 registration was not answered: tick10:999999.",
                "ISSUES: 1 registration was not active for all that was recorded of the regular hours: tick10:000660.",
                "ISSUES: nothing came for 1 active registration: tick10:000020.",
                "ISSUES: 1 registration fell silent, for 20 min 0 s: tick10:000040.",
            ]
        );
    }

    #[test]
    fn of_many_the_first_are_named() {
        let many = (0..1206).map(|nth| silent(&format!("{nth:06}"), 900.0, 50));
        assert_eq!(
            words(&feed(many.collect()), false),
            [
                "ISSUES: 1,206 registrations fell silent, for up to 15 min 0 s: tick10:000000, tick10:000001, \
              tick10:000002, tick10:000003, tick10:000004 and 1,201 more."
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_serious_once_the_day_is_over() {
        let mut unknown = feed(Vec::new());
        unknown.registrations.known = false;
        let level = |goes_on| {
            let none = (SharesFacts::default(), QuoteFacts::default());
            worries(std::slice::from_ref(&unknown), (&none.0, &none.1), false, goes_on)[0].level
        };
        assert_eq!((level(true), level(false)), (Level::None, Level::Act));
        assert!(words(&unknown, false)[0].contains("nothing says what was registered"));
    }

    #[test]
    fn a_feed_without_an_active_registration_is_not_complete() {
        let mut refused = feed(vec![PairFacts {
            state: RegistrationState::Refused,
            share: Some(0.0),
            ..pair("999999")
        }]);
        let of = |feed: &FeedFacts, goes_on| registered(std::slice::from_ref(feed), goes_on);
        assert_eq!(
            of(&refused, false),
            Registered::default(),
            "it was not recorded either"
        );
        refused.received.recorded.regular_recorded_share = Some(1.0);
        assert_eq!(of(&refused, false).inactive, ["ISSUES"]);
        assert_eq!(of(&feed(vec![pair("005930")]), false), Registered::default());
        refused.registrations.known = false;
        assert_eq!(
            (of(&refused, false).unknown, of(&refused, true)),
            (vec!["ISSUES".to_owned()], Registered::default())
        );
    }

    #[test]
    fn shares_that_no_push_knows_and_crossed_books_have_a_sentence() {
        let mut shares = SharesFacts::default();
        shares.issues.push(crate::figures::shares::IssueShares {
            code: "005930".to_owned(),
            traded: Some(100),
            registered: true,
            ticks: Some(90),
            ticks_share: Some(0.9),
            trades: Some(101),
            trades_share: Some(1.01),
            holes: Some(1),
            missing: Some(10),
            missing_unexplained: Some(10),
        });
        let quotes = QuoteFacts::default();
        let told = |is_cumulative| -> Vec<String> {
            let all = worries(&[], (&shares, &quotes), is_cumulative, false);
            all.into_iter().map(|worry| worry.words).collect()
        };
        let lacks = "Ticks of 1 stock lack 10 shares although nothing was interrupted: these trades were not sent, or are in quarantine.";
        assert_eq!(told(true), [lacks]);
        assert_eq!(
            told(false)[1],
            "The full-market feeds have more shares of 1 stock than the accumulated volumes that were pushed: pushes ended before \
             trading did."
        );
    }
}
