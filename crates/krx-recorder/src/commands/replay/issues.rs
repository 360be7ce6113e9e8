//! A recorded day of the per-issue service, as the exchange serves it: what can be registered, with which answer, and what
//! is pushed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_exchange::{Issues, Next, Push, PushMessage, Subscription, Supply, Welcome};
use krx_protocol::per_issue::{Pair, Table};
use krx_store::read::{active_pairs, pairs, snapshots};
use krx_store::{DataDir, FeedName, StoreError};

use super::push::StateBuilder;

/// How many of the states that answered a pair's registrations are kept: one for each session of an ordinary day.
const STATES_MAX: usize = 8;

/// At full speed, how long after a registration the day goes on without those that have not been asked for: a client asks
/// for one after the other, some milliseconds apart.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What can be registered: the pairs that were active or have rows, each with the states that answered its registrations,
/// in their order.
#[derive(Debug, Default)]
pub(super) struct Known {
    pairs: BTreeMap<Pair, Vec<String>>,
}

impl Known {
    /// Finds it in what is committed.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read, or is gone because the day is being sealed.
    pub(super) fn of(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        let mut states: BTreeMap<Pair, StateBuilder> = BTreeMap::new();
        let mut found: BTreeSet<Pair> = active_pairs(data, feed, date)?;
        for table in Table::ALL {
            found.extend(pairs(data, table, feed, date)?);
            snapshots(data, table, feed, date, &mut |row| {
                let pair = Pair {
                    preset: row.preset,
                    code: row.code.to_owned(),
                };
                states.entry(pair).or_default().row(row, STATES_MAX);
            })?;
        }
        let with_states = |pair: Pair| {
            let states = states.remove(&pair).map(StateBuilder::finish);
            (pair, states.unwrap_or_default())
        };
        Ok(Self {
            pairs: found.into_iter().map(with_states).collect(),
        })
    }

    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }
}

/// One client's day.
pub(super) struct RecordedIssues {
    known: Arc<Known>,
    supply: Supply<PushMessage>,
    registered: HashMap<u64, Registered>,
    /// How many states of each pair have been given.
    given: HashMap<Pair, usize>,
    settling: Option<Settling>,
}

struct Registered {
    pair: Pair,
    /// Which of the pair's states answers it.
    state: Option<usize>,
}

impl RecordedIssues {
    /// The day from its beginning. At full speed (`waits`) it waits until the client has asked for all that it wants.
    pub(super) fn new(known: Arc<Known>, supply: Supply<PushMessage>, waits: bool) -> Self {
        Self {
            known,
            supply,
            registered: HashMap::new(),
            given: HashMap::new(),
            settling: waits.then(Settling::default),
        }
    }
}

impl Issues for RecordedIssues {
    fn register(&mut self, number: u64, subscription: &Subscription) -> Welcome {
        let pair = &subscription.pair;
        let Some(states) = self.known.pairs.get(pair) else {
            return Welcome::NoSuchIssue;
        };
        let given = self.given.entry(pair.clone()).or_default();
        let state = (*given < states.len()).then_some(*given);
        *given += 1;
        let pair = pair.clone();
        self.registered.insert(number, Registered { pair, state });
        if let Some(settling) = &mut self.settling {
            settling.asked(Instant::now());
        }
        if state.is_some() {
            Welcome::WithState
        } else {
            Welcome::Plain
        }
    }

    fn cancel(&mut self, number: u64) {
        self.registered.remove(&number);
        if let (true, Some(settling)) = (self.registered.is_empty(), &mut self.settling) {
            *settling = Settling::default();
        }
    }

    fn state(&self, number: u64) -> Option<String> {
        let Registered { pair, state } = self.registered.get(&number)?;
        let states = self.known.pairs.get(pair)?;
        states.get((*state)?).cloned()
    }

    fn next(&mut self) -> Next<Push> {
        let has_all = self.registered.len() >= self.known.len();
        if let Some(settling) = &mut self.settling
            && !settling.is_over(has_all, Instant::now())
        {
            return Next::NotYet;
        }
        match self.supply.take() {
            Next::Message(message) => Next::Message(Push::Message(message)),
            Next::PassedOver => Next::PassedOver,
            Next::NotYet => Next::NotYet,
            Next::DayOver { another_after } => Next::DayOver { another_after },
        }
    }
}

/// Whether a client has asked for all that it wants.
#[derive(Debug, Default)]
struct Settling {
    last: Option<Instant>,
    over: bool,
}

impl Settling {
    fn asked(&mut self, now: Instant) {
        self.last = Some(now);
    }

    fn is_over(&mut self, has_all: bool, now: Instant) -> bool {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        self.over |= since.is_some_and(|since| has_all || since >= SETTLED_AFTER);
        self.over
    }
}

#[cfg(test)]
mod tests {
    use krx_exchange::{PushFrame, PushPart, TimeOfDay, supply};
    use krx_protocol::per_issue::Preset;

    use super::*;

    fn subscription(code: &str) -> Subscription {
        Subscription {
            pair: Pair {
                preset: Preset::Tick10,
                code: code.to_owned(),
            },
            items: Vec::new(),
        }
    }

    fn issues(waits: bool) -> RecordedIssues {
        let known = Known {
            pairs: [("005930", vec!["{1}", "{2}"]), ("000660", vec![])]
                .map(|(code, states)| {
                    let states = states.into_iter().map(str::to_owned).collect();
                    (subscription(code).pair, states)
                })
                .into(),
        };
        let (mut supplier, supply) = supply();
        let part = PushPart {
            pair: None,
            text: "x".to_owned(),
        };
        supplier
            .give(PushMessage {
                at: TimeOfDay(0),
                parts: vec![part],
                frame: PushFrame::Bare,
            })
            .unwrap();
        supplier.finish().unwrap();
        RecordedIssues::new(Arc::new(known), supply, waits)
    }

    #[test]
    fn each_registration_of_a_pair_is_answered_by_the_next_state_that_is_recorded() {
        let mut issues = issues(false);
        assert_eq!(issues.register(1, &subscription("999999")), Welcome::NoSuchIssue);
        assert_eq!(issues.register(2, &subscription("000660")), Welcome::Plain);
        for (number, state) in [(3, "{1}"), (4, "{2}")] {
            assert_eq!(
                issues.register(number, &subscription("005930")),
                Welcome::WithState
            );
            assert_eq!(issues.state(number).as_deref(), Some(state));
            issues.cancel(number);
        }
        assert_eq!(issues.register(5, &subscription("005930")), Welcome::Plain);
        assert_eq!(
            (issues.state(5), issues.state(2), issues.state(1)),
            (None, None, None)
        );
        assert!(matches!(issues.next(), Next::Message(Push::Message(_))));
        assert!(matches!(issues.next(), Next::DayOver { .. }));
    }

    #[test]
    fn at_full_speed_the_day_begins_when_everything_is_registered() {
        let mut issues = issues(true);
        assert!(matches!(issues.next(), Next::NotYet));
        issues.register(1, &subscription("000660"));
        assert!(matches!(issues.next(), Next::NotYet), "the other may follow");
        issues.register(2, &subscription("005930"));
        assert!(matches!(issues.next(), Next::Message(_)));
    }

    #[test]
    fn it_begins_a_second_after_the_last_registration_if_not_all_are_wanted() {
        let (mut settling, now) = (Settling::default(), Instant::now());
        assert!(!settling.is_over(false, now + SETTLED_AFTER));
        settling.asked(now);
        assert!(!settling.is_over(false, now + SETTLED_AFTER / 2));
        settling.asked(now + SETTLED_AFTER / 2);
        assert!(!settling.is_over(false, now + SETTLED_AFTER));
        assert!(settling.is_over(false, now + SETTLED_AFTER * 2));
        settling.asked(now + SETTLED_AFTER * 2);
        assert!(
            settling.is_over(false, now + SETTLED_AFTER * 2),
            "it does not stop again"
        );
    }
}
