//! The states of a feed's registrations over one date, folded from its journal. Pure: no clock, no disk.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use krx_protocol::per_issue::{Pair, RegistrationEvent, RegistrationState, RegistrationStates, Wish};
use serde::{Deserialize, Serialize};

use super::stretch::Stretch;
use crate::coverage::{Connection, Ledger, Reason, bounds};
use crate::event::{Event, fold_states};
use crate::journal::Position;
use crate::moment::Moment;

/// The most stretches of a feed and date: a thousand for each of 200 registrations. Only a server that accepts all and hangs
/// up, over and over, brings more.
const STRETCHES_MAX: usize = 200_000;

/// The detail of each pair's last stretch when there is no room for more.
const FULL: &str = "later states are unknown: there were more changes of state on this date than are kept";

/// The detail of the first stretches after a time of which nothing is known.
pub(super) const LOST: &str = "earlier states are unknown: the registrations file was lost";

/// The stretches of one date, as far as its journal has been folded in.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationLog {
    date: NaiveDate,
    /// The stretches that have ended, in the order of their ends.
    closed: Vec<Stretch>,
    /// The stretches that have not.
    open: BTreeMap<Pair, Open>,
    /// What the events add up to.
    states: RegistrationStates,
    connection: Connection,
    /// Up to where the open stretches are known.
    until: Moment,
    folded: Option<Position>,
    /// Whether the journal has records that are not folded in here, but are in the ledger.
    is_behind: bool,
    /// How many closed intervals of the ledger are followed.
    followed: usize,
    /// Whether the file lacks something.
    is_changed: bool,
}

/// A stretch that has not ended. Its session, and without one its detail, are the connection's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    #[serde(flatten)]
    wish: Wish,
    state: RegistrationState,
    from: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<String>,
}

/// What a log needs in order to continue, besides the stretches that have ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogState {
    open: Vec<Open>,
    connection: Connection,
    until: Moment,
    folded: Option<Position>,
}

impl RegistrationLog {
    /// The log of a date of which nothing is known yet.
    pub(crate) fn new(date: NaiveDate) -> Self {
        let midnight = bounds(date).0;
        Self {
            date,
            closed: Vec::new(),
            open: BTreeMap::new(),
            states: RegistrationStates::default(),
            connection: Connection {
                from: midnight,
                session: None,
                reason: Reason::NotRunning,
            },
            until: midnight,
            folded: None,
            is_behind: false,
            followed: 0,
            is_changed: false,
        }
    }

    /// The log in a file.
    pub(super) fn of_parts(date: NaiveDate, closed: Vec<Stretch>, state: LogState) -> Self {
        let mut states = RegistrationStates::default();
        states.apply(&RegistrationEvent::Wanted {
            wishes: state.open.iter().map(|open| open.wish.clone()).collect(),
        });
        for open in &state.open {
            states.apply(&RegistrationEvent::State {
                id: 0,
                pair: open.wish.pair.clone(),
                state: open.state,
                detail: String::new(),
            });
        }
        let open = state.open.into_iter();
        Self {
            closed,
            open: open.map(|open| (open.wish.pair.clone(), open)).collect(),
            states,
            connection: state.connection,
            until: state.until,
            folded: state.folded,
            ..Self::new(date)
        }
    }

    /// The log as a file has it.
    pub(super) fn parts(&self) -> (&[Stretch], LogState) {
        let state = LogState {
            open: self.open.values().cloned().collect(),
            connection: self.connection,
            until: self.until,
            folded: self.folded,
        };
        (&self.closed, state)
    }

    pub(crate) fn date(&self) -> NaiveDate {
        self.date
    }

    /// How far the journal is folded in.
    pub(crate) fn folded(&self) -> Option<Position> {
        self.folded
    }

    /// All stretches: those that have ended, then the others up to where they are known.
    pub(crate) fn stretches(&self) -> Vec<Stretch> {
        let open = self.open.values().filter(|open| open.from < self.until);
        let open = open.map(|open| self.stretch(open, self.until));
        self.closed.iter().cloned().chain(open).collect()
    }

    /// Whether there is something that its file lacks.
    pub(crate) fn is_to_be_saved(&self) -> bool {
        self.is_changed && !self.is_behind && !(self.closed.is_empty() && self.open.is_empty())
    }

    /// Its file has it all now.
    pub(crate) fn saved(&mut self) {
        self.is_changed = false;
    }

    /// The log continues from where `ledger` is.
    pub(super) fn at(mut self, ledger: &Ledger) -> Self {
        self.followed = ledger.closed_len();
        if self.folded < ledger.folded() && !self.is_full() {
            self.fall_behind();
        }
        self
    }

    /// The ledger has records that are not folded in here. What was open is not known from here on, until the log takes
    /// up again with the first record that is new to the ledger too.
    fn fall_behind(&mut self) {
        self.is_behind = true;
        self.close_all(self.until);
        self.states = RegistrationStates::default();
    }

    /// Takes an event that only the ledger has, for what it says of the time after it.
    pub(crate) fn catch_up(&mut self, event: &Event) {
        if self.is_behind {
            fold_states(&mut self.states, event);
        }
    }

    /// Takes a record that `ledger` has just folded in: its position, and the event with its time, if it is one.
    pub(crate) fn fold(&mut self, position: Position, ledger: &Ledger, event: Option<(Moment, &Event)>) {
        if self.is_full() {
            self.folded = self.folded.max(Some(position));
            return;
        }
        if self.is_behind {
            self.take_up(ledger);
        } else if self.folded.is_some_and(|folded| position <= folded) {
            self.followed = ledger.closed_len();
            return;
        }
        self.follow(ledger);
        if let Some((at, event)) = event {
            self.event(at, event, ledger);
        }
        self.folded = Some(position);
        self.end_if_full();
    }

    /// What the ledger says of sessions.
    pub(crate) fn follow(&mut self, ledger: &Ledger) {
        if self.is_behind || self.is_full() {
            return;
        }
        for connection in ledger.connections_from(self.followed) {
            self.connect(connection);
        }
        self.followed = ledger.closed_len();
        self.until = ledger.known_until();
        self.is_changed = true;
    }

    fn take_up(&mut self, ledger: &Ledger) {
        self.is_behind = false;
        self.followed = ledger.closed_len();
        if let Some(open) = ledger.connections_from(self.followed).next() {
            self.connection = open;
        }
        let told = self
            .states
            .iter()
            .map(|(wish, _)| (wish.pair.clone(), LOST.to_owned()));
        let told = told.collect();
        let ended = self.closed.iter().map(|stretch| stretch.to).max();
        self.settle(ended.unwrap_or_default().max(ledger.last_at()), &told);
    }

    fn event(&mut self, at: Moment, event: &Event, ledger: &Ledger) {
        match event {
            Event::Registration(registration) => {
                fold_states(&mut self.states, event);
                let told = words_of(registration).into_iter().collect();
                self.settle(ledger.last_at(), &told);
            }
            // A recorder that has just started does not know yet what is wanted.
            Event::Segment { registrations, .. } if !registrations.is_empty() => {
                fold_states(&mut self.states, event);
                let told = registrations.iter().filter_map(words_of).collect();
                let (begin, end) = bounds(self.date);
                self.settle(at.clamp(begin.max(ledger.last_at()), end), &told);
            }
            // What its first record says holds since midnight.
            Event::Date { continues: true, .. }
                if self.closed.is_empty() && self.connection.session.is_none() =>
            {
                let midnight = self.connection.from;
                self.open.values_mut().for_each(|open| open.from = midnight);
            }
            _ => {}
        }
    }

    /// Another interval of the ledger begins.
    fn connect(&mut self, new: Connection) {
        let known = self.connection;
        let is_same = match (known.session, new.session) {
            (Some(known), Some(new)) => known == new,
            (None, None) => known.reason == new.reason,
            _ => false,
        };
        // The session goes on behind what interrupts the recording.
        let is_interruption = matches!(new.reason, Reason::Disk | Reason::Paused | Reason::Damage);
        if is_same || is_interruption {
            return;
        }
        self.connection = new;
        if (known.session, known.from) == (new.session, new.from) {
            return;
        }
        let continues = new.reason == Reason::Continued;
        for open in self.open.values_mut() {
            if new.from > open.from {
                self.closed.push(stretch(open, known, new.from));
                open.from = new.from;
            }
            if !continues {
                (open.state, open.told) = (RegistrationState::Requested, None);
            }
        }
        if !continues {
            self.states.session_over();
        }
    }

    /// Brings the stretches in line with the states. `told` has the last words about pairs.
    fn settle(&mut self, at: Moment, told: &BTreeMap<Pair, String>) {
        let mut before = std::mem::take(&mut self.open);
        let states = std::mem::take(&mut self.states);
        for (wish, state) in states.iter() {
            let told = told.get(&wish.pair).filter(|words| !words.is_empty()).cloned();
            let wish = wish.clone();
            let open = match before.remove(&wish.pair) {
                // Only an event has words; without one they are as they were.
                Some(open) if open.state == state && (told.is_none() || told == open.told) => {
                    Open { wish, ..open }
                }
                Some(open) => {
                    self.close(&open, at);
                    let from = at.max(open.from);
                    Open {
                        wish,
                        state,
                        from,
                        told,
                    }
                }
                None => Open {
                    wish,
                    state,
                    from: at,
                    told,
                },
            };
            self.open.insert(open.wish.pair.clone(), open);
        }
        self.states = states;
        for gone in before.into_values() {
            self.close(&gone, at);
        }
    }

    /// There is no room for more: what is open ends here, and says why nothing follows.
    fn end_if_full(&mut self) {
        if !self.is_full() || self.open.is_empty() {
            return;
        }
        let mut ended: BTreeSet<Pair> = self.open.keys().cloned().collect();
        self.close_all(self.until);
        for stretch in self.closed.iter_mut().rev() {
            if ended.remove(&stretch.pair) {
                stretch.detail = Some(FULL.to_owned());
            }
            if ended.is_empty() {
                break;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.closed.len() >= STRETCHES_MAX
    }

    fn close_all(&mut self, at: Moment) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.close(&open, at);
        }
    }

    fn close(&mut self, open: &Open, at: Moment) {
        if at > open.from {
            let closed = self.stretch(open, at);
            self.closed.push(closed);
        }
    }

    fn stretch(&self, open: &Open, to: Moment) -> Stretch {
        stretch(open, self.connection, to)
    }
}

fn stretch(open: &Open, connection: Connection, to: Moment) -> Stretch {
    let reason = || connection.reason.as_str().to_owned();
    Stretch {
        pair: open.wish.pair.clone(),
        from: open.from,
        to,
        state: open.state,
        session: connection.session,
        detail: match connection.session {
            Some(_) => open.told.clone(),
            None => open.told.clone().or_else(|| Some(reason())),
        },
    }
}

/// The words of an event about a pair.
fn words_of(event: &RegistrationEvent) -> Option<(Pair, String)> {
    match event {
        RegistrationEvent::State { pair, detail, .. } => Some((pair.clone(), detail.clone())),
        _ => None,
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
