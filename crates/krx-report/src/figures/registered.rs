//! What deserves a look of a day's registrations, in sentences. Pure.

use krx_protocol::per_issue::RegistrationState;

use super::feed::{FeedFacts, PairFacts};
use super::shares::SharesFacts;
use super::verdict::{Level, Worry};
use crate::time::{count, length, plural};

/// A pair that was active for a smaller part of what its feed recorded of the regular hours was not active all along.
const PART_MIN: f64 = 0.99;
/// How many pairs a sentence names.
const NAMED_MAX: usize = 5;

/// The sentences about all per-issue feeds.
pub(crate) fn worries(feeds: &[FeedFacts], shares: &SharesFacts, goes_on: bool) -> Vec<Worry> {
    let mut found: Vec<Worry> = feeds.iter().flat_map(|feed| of_feed(feed, goes_on)).collect();
    let unexplained = shares.issues.iter().filter(|issue| issue.missing_unexplained > 0);
    let (issues, missing) = unexplained.fold((0, 0_i64), |(issues, missing), issue| {
        (issues + 1, missing.saturating_add(issue.missing_unexplained))
    });
    if issues > 0 {
        found.push(look(format!(
            "{} of {} were traded that ticks lack although nothing was interrupted: the server did not send these trades.",
            plural(missing.unsigned_abs(), "share"),
            plural(issues, "issue")
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
    let mut found = Vec::new();
    let mut add = |pairs: Vec<&PairFacts>, what: &str| {
        if !pairs.is_empty() {
            let pairs_in_all = plural(pairs.len() as u64, "registration");
            found.push(look(format!("{name}: {pairs_in_all} {what}: {}.", named(&pairs))));
        }
    };
    let all = || registrations.pairs.iter();
    add(
        all()
            .filter(|pair| pair.state == RegistrationState::Refused)
            .collect(),
        "refused",
    );
    add(
        all()
            .filter(|pair| pair.state == RegistrationState::Unanswered)
            .collect(),
        "not answered",
    );
    add(
        all()
            .filter(|pair| pair.active_seconds > 0.0 && is_short(feed, pair))
            .collect(),
        "not active for all of the regular hours that were recorded",
    );
    add(
        all()
            .filter(|pair| pair.silent.is_some() && pair.records == 0)
            .collect(),
        "active, of which nothing came",
    );
    let silent: Vec<&PairFacts> = all()
        .filter(|pair| pair.silent.is_some() && pair.records > 0)
        .collect();
    let longest = silent
        .iter()
        .filter_map(|pair| pair.silent)
        .map(|silent| silent.seconds)
        .fold(0.0, f64::max);
    add(
        silent,
        &format!("that fell silent, for up to {}", length(longest)),
    );
    found
}

/// Whether a pair was not active although its feed was recorded: for the rest, the gaps are what to look at.
pub(crate) fn is_short(feed: &FeedFacts, pair: &PairFacts) -> bool {
    let recorded = feed.received.recorded.regular_recorded_share;
    let both = pair.share.zip(recorded);
    both.is_some_and(|(share, recorded)| share < PART_MIN * recorded)
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
