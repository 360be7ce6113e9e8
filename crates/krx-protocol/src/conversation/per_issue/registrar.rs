//! Asks for what is wanted, and keeps a record of what became of each request.
//!
//! ```text
//!                    ┌──────────── ok, snapshot or push ───────────┐
//!   Requested ───────┼─▶ Unanswered (after a while: again)         ├─▶ Active ─▶ Silent (again)
//!       ▲            └─▶ Refused (again only if the server was     ┘
//!       │                 in trouble)
//!       └─ each `subscribe`
//! ```
//!
//! A request is known by its id, and each `subscribe` has a new one. Answers for an id that is not in force any more
//! change nothing; that covers the answers to our `unsubscribe` too, which has the id of what it cancels.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::pace::{Pace, Turn, retry_delay};
use super::peers::Peers;
use super::said::Subject;
use super::settings::PerIssueSettings;
use super::wanted::{Entry, Sent, Wanted};
use crate::control::ServerError;
use crate::conversation::machine::Request;
use crate::conversation::request::{subscribe, unsubscribe};
use crate::per_issue::{Pair, Preset, Registration, RegistrationEvent, RegistrationState, WishList};

/// The id of our first `subscribe`; `init` and heartbeats have 1.
const FIRST_ID: u64 = 2;

/// How long registrations wait for an answer to `init`. Sent at once they would lose nothing with a server that reads
/// one request after the other; but one that is still looking up the key might refuse them all, and what is refused is
/// not tried again. The answer takes a round trip; a server that sends none costs this once in a session.
const INIT_PATIENCE: Duration = Duration::from_secs(1);

/// How often active registrations are looked at; more often if they may be silent for less time than this.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The shortest time between two looks.
const LOOK_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The least time between two times that a registration is found silent. If it was a mistake, it is a rare one.
const BELIEVED: Duration = Duration::from_secs(300);

/// Longer words of the server are replaced by what their code means. They cannot be cut: the key may stand in them, and
/// half a key is not found where keys are masked.
const WORDS_MAX: usize = 4_096;

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concern {
    /// The `subscribe` with this id, which is in force.
    Registration(u64),
    /// A request of ours that is not in force any more.
    Past,
    /// Nothing that is known.
    Unknown,
}

/// The registrations of a session.
#[derive(Clone, Debug)]
pub(super) struct Registrar {
    answer_timeout: Duration,
    silent_after: Duration,
    look_interval: Duration,
    open_max: usize,
    list: WishList,
    wanted: Wanted,
    /// What was sent and not cancelled since.
    by_id: BTreeMap<u64, Pair>,
    next_id: u64,
    /// Until when each unanswered request is waited for: in the order of ids, and so of time.
    open: BTreeMap<u64, Instant>,
    to_cancel: VecDeque<Registration>,
    to_subscribe: VecDeque<Pair>,
    /// What is to be asked for again, by the ids under which it was asked for before.
    again: VecDeque<u64>,
    again_later: BTreeSet<(Instant, u64)>,
    turn: Turn,
    start: Instant,
    next_look: Instant,
    peers: Peers,
    events: Vec<RegistrationEvent>,
}

impl Registrar {
    /// `init` is sent at `now`.
    pub(super) fn begin(settings: &PerIssueSettings, list: &WishList, now: Instant) -> Self {
        let Pace { open_max, interval } = settings.pace;
        let look_interval = settings.silent_after.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL);
        let mut registrar = Self {
            answer_timeout: settings.answer_timeout,
            silent_after: settings.silent_after,
            look_interval,
            open_max: open_max.max(1),
            list: WishList::default(),
            wanted: Wanted::default(),
            by_id: BTreeMap::new(),
            next_id: FIRST_ID,
            open: BTreeMap::new(),
            to_cancel: VecDeque::new(),
            to_subscribe: VecDeque::new(),
            again: VecDeque::new(),
            again_later: BTreeSet::new(),
            turn: Turn::new(interval, now),
            start: now + INIT_PATIENCE,
            next_look: now + look_interval,
            peers: Peers::default(),
            events: Vec::new(),
        };
        registrar.put_on_record(list);
        registrar.change_to(list, now);
        registrar
    }

    /// The server has taken the key.
    pub(super) fn accepted(&mut self, now: Instant) {
        self.start = self.start.min(now);
    }

    /// From `now` on this is wanted.
    pub(super) fn want(&mut self, list: &WishList, now: Instant) {
        if !self.list.difference(list).is_empty() {
            self.put_on_record(list);
            self.change_to(list, now);
        }
    }

    fn put_on_record(&mut self, list: &WishList) {
        let wishes = list.iter().cloned().collect();
        self.events.push(RegistrationEvent::Wanted { wishes });
    }

    fn change_to(&mut self, list: &WishList, now: Instant) {
        let difference = self.list.difference(list);
        self.list = list.clone();
        for wish in difference.to_cancel {
            let Some(entry) = self.wanted.remove(&wish.pair) else {
                continue;
            };
            if let Some(id) = entry.in_force() {
                self.to_cancel.push_back(wish.with_id(id));
            }
            if let Some(Sent { id, .. }) = entry.sent {
                self.forget(id);
            }
        }
        let wanted = &self.wanted;
        self.to_subscribe.retain(|pair| wanted.get(pair).is_some());
        for wish in difference.to_add {
            self.to_subscribe.push_back(wish.pair.clone());
            self.wanted.insert(Entry::new(wish, now));
        }
    }

    /// This `subscribe` is not in force any more.
    fn forget(&mut self, id: u64) {
        self.by_id.remove(&id);
        self.open.remove(&id);
        self.do_not_ask_again(id);
    }

    fn do_not_ask_again(&mut self, id: u64) {
        self.again.retain(|other| *other != id);
        self.again_later.retain(|(_, other)| *other != id);
    }

    /// What has happened since the last call.
    pub(super) fn take_events(&mut self) -> Vec<RegistrationEvent> {
        std::mem::take(&mut self.events)
    }

    /// The next request, if one is due.
    pub(super) fn request(&mut self, now: Instant) -> Option<Request> {
        self.look_at_the_clock(now);
        if now < self.turn.next() {
            return None;
        }
        let (event, text) = self.next_request(now)?;
        self.turn.taken(now);
        self.events.push(event);
        Some(Request {
            text,
            events: self.take_events(),
        })
    }

    /// The state of each wanted pair.
    #[cfg(test)]
    pub(super) fn states(&self) -> Vec<(Pair, RegistrationState)> {
        let states = self.wanted.iter();
        states
            .map(|entry| (entry.wish.pair.clone(), entry.state))
            .collect()
    }

    /// When to ask for the next request: always later than a time at which there was none.
    pub(super) fn request_due(&self) -> Option<Instant> {
        let room = self.open.len() < self.open_max;
        let send = if !self.to_cancel.is_empty() {
            Some(self.turn.next())
        } else if (room && !self.to_subscribe.is_empty()) || (self.open.is_empty() && !self.again.is_empty())
        {
            Some(self.turn.next().max(self.start))
        } else {
            None
        };
        let answer = self.open.first_key_value().map(|(_, until)| *until);
        let again = self.again_later.first().map(|(at, _)| *at);
        let look = (!self.list.is_empty()).then_some(self.next_look);
        [send, answer, again, look].into_iter().flatten().min()
    }

    fn next_request(&mut self, now: Instant) -> Option<(RegistrationEvent, String)> {
        // First, so that the server never has more than is wanted, which may be all that it allows.
        if let Some(registration) = self.to_cancel.pop_front() {
            return Some(cancelling(registration));
        }
        if now < self.start {
            return None;
        }
        if self.open.len() < self.open_max
            && let Some(request) = self.subscribe_next(now)
        {
            return Some(request);
        }
        self.next_again(now)
    }

    fn subscribe_next(&mut self, now: Instant) -> Option<(RegistrationEvent, String)> {
        while let Some(pair) = self.to_subscribe.pop_front() {
            let Some(entry) = self.wanted.get_mut(pair.preset, &pair.code) else {
                continue;
            };
            if entry.sent.is_some() {
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            entry.sent = Some(Sent { id, refused: false });
            entry.state = RegistrationState::Requested;
            let registration = entry.wish.with_id(id);
            self.open.insert(id, now + self.answer_timeout);
            self.by_id.insert(id, pair);
            let text = subscribe(&registration);
            return Some((RegistrationEvent::Subscribe(registration), text));
        }
        None
    }

    /// What is asked for again is asked for alone, so that it is known what an error without id is about. It is
    /// cancelled first: the server may have it all the same, and count it twice.
    fn next_again(&mut self, now: Instant) -> Option<(RegistrationEvent, String)> {
        if !self.open.is_empty() {
            return None;
        }
        while let Some(id) = self.again.pop_front() {
            let Some(pair) = self.by_id.get(&id).cloned() else {
                continue;
            };
            let Some(entry) = self.wanted.get_mut(pair.preset, &pair.code) else {
                continue;
            };
            if matches!(
                entry.state,
                RegistrationState::Active | RegistrationState::Requested
            ) {
                continue;
            }
            let in_force = entry.in_force();
            entry.sent = None;
            let registration = entry.wish.with_id(id);
            self.forget(id);
            self.to_subscribe.push_front(pair);
            return match in_force {
                Some(_) => Some(cancelling(registration)),
                None => self.subscribe_next(now),
            };
        }
        None
    }

    /// The server accepts a request, perhaps with the state of an issue.
    pub(super) fn answered(&mut self, id: Option<u64>, subject: &Subject<'_>, now: Instant) {
        let Some(id) = self.id_of_answer(id, subject) else {
            return;
        };
        self.open.remove(&id);
        let Some(entry) = self
            .by_id
            .get(&id)
            .and_then(|pair| self.wanted.get_mut(pair.preset, &pair.code))
        else {
            return;
        };
        // It was accepted before: only a push shows that it is not silent.
        if entry.state == RegistrationState::Silent {
            return;
        }
        let other = subject
            .code
            .as_deref()
            .filter(|code| *code != entry.wish.pair.code);
        let detail = match other {
            Some(_) => "answered with the state of another issue".to_owned(),
            None => String::new(),
        };
        entry.activate(detail, now, &mut self.events);
    }

    /// An answer is for the request that has its id. A state without a usable id is for the only open request of its
    /// issue, if there is only one: the guide prints one with the id of `init`.
    fn id_of_answer(&self, id: Option<u64>, subject: &Subject<'_>) -> Option<u64> {
        if let Some(id) = id.filter(|id| self.is_ours(*id)) {
            return self.by_id.contains_key(&id).then_some(id);
        }
        let code = subject.code.as_deref()?;
        let mut fitting = self.open.keys().copied().filter(|id| {
            self.by_id.get(id).is_some_and(|pair| {
                let preset = subject.preset.as_deref();
                pair.code == code && preset.is_none_or(|preset| preset == pair.preset.as_str())
            })
        });
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Whether a `subscribe` of this session has or had this id.
    fn is_ours(&self, id: u64) -> bool {
        (FIRST_ID..self.next_id).contains(&id)
    }

    /// What an error is about. One without id cannot be told from others, except that only a `subscribe` can be for an
    /// issue that does not exist (10040): with one request open, it is that one. If not, an answer that accepts it, or
    /// a push, puts it right.
    pub(super) fn concern_of(&self, id: Option<u64>, error: &ServerError) -> Concern {
        const NO_SUCH_ISSUE: i64 = 10_040;
        match id {
            Some(id) if self.by_id.contains_key(&id) => Concern::Registration(id),
            Some(id) if self.is_ours(id) => Concern::Past,
            None if error.code == NO_SUCH_ISSUE && self.open.len() == 1 => {
                let open = self.open.first_key_value();
                open.map_or(Concern::Unknown, |(id, _)| Concern::Registration(*id))
            }
            _ => Concern::Unknown,
        }
    }

    /// The server refuses a request that is in force. Returns whether that is news.
    ///
    /// It is not tried again in this session, unless the server says that it has trouble of its own: to give up on all
    /// pairs that were asked for in a bad minute would cost the rest of the day.
    pub(super) fn refused(&mut self, id: u64, error: &ServerError, now: Instant) -> bool {
        let Some(pair) = self.by_id.get(&id) else {
            return false;
        };
        let Some(entry) = self.wanted.get_mut(pair.preset, &pair.code) else {
            return false;
        };
        let Some(sent) = entry.sent.as_mut().filter(|sent| !sent.refused) else {
            return false;
        };
        sent.refused = true;
        let mut words = error.words();
        if words.len() > WORDS_MAX {
            words = format!("error {}: {}", error.code, error.meaning());
        }
        entry.change(RegistrationState::Refused, words, &mut self.events);
        let passes = matches!(error.code, 10_080 | 10_090 | 20_054);
        let delay = retry_delay(entry.tries);
        entry.tries += 1;
        self.open.remove(&id);
        self.do_not_ask_again(id);
        if passes {
            self.again_later.insert((now + delay, id));
        }
        true
    }

    /// A push came: what was asked for works, whatever was answered.
    pub(super) fn pushed(&mut self, preset: Preset, code: &str, now: Instant) {
        let Some(entry) = self.wanted.get_mut(preset, code) else {
            return;
        };
        let Some(Sent { id, .. }) = entry.sent else { return };
        if entry.state != RegistrationState::Active {
            self.open.remove(&id);
            entry.activate("a push came".to_owned(), now, &mut self.events);
        }
        entry.life.brought(now);
    }

    /// The full-market feed shows that an issue traded.
    pub(super) fn traded(&mut self, code: &str, trades: u32, last: Instant) {
        for preset in Preset::ALL {
            if let Some(entry) = self.wanted.get_mut(preset, code)
                && entry.state == RegistrationState::Active
                && entry.shows_each_trade()
            {
                entry.life.traded(trades, last);
            }
        }
    }

    /// What time has brought about.
    fn look_at_the_clock(&mut self, now: Instant) {
        while let Some(first) = self.open.first_entry()
            && *first.get() <= now
        {
            let (id, _) = first.remove_entry();
            let pair = self.by_id.get(&id);
            let entry = pair.and_then(|pair| self.wanted.get_mut(pair.preset, &pair.code));
            let Some(entry) = entry else { continue };
            let detail = format!("no answer within {:?}", self.answer_timeout);
            entry.change(RegistrationState::Unanswered, detail, &mut self.events);
            self.again_later.insert((now + retry_delay(entry.tries), id));
            entry.tries += 1;
        }
        while let Some((_, id)) = self.again_later.first().copied().filter(|(at, _)| *at <= now) {
            self.again_later.pop_first();
            self.again.push_back(id);
        }
        if now >= self.next_look {
            self.next_look = now + self.look_interval;
            self.find_silent(now);
        }
    }

    fn find_silent(&mut self, now: Instant) {
        self.peers.look(&self.wanted, now);
        for entry in self.wanted.iter_mut() {
            let Some(Sent { id, .. }) = entry.sent.filter(|_| entry.state == RegistrationState::Active)
            else {
                continue;
            };
            let peers_lively_since = self.peers.lively_since(entry);
            let doubt = entry.life.look(now, self.silent_after, peers_lively_since);
            if let Some(doubt) = doubt.filter(|_| now >= entry.believed_until) {
                entry.believed_until = now + BELIEVED;
                entry.change(RegistrationState::Silent, doubt.words(), &mut self.events);
                self.again.push_back(id);
            }
        }
    }
}

/// The `unsubscribe` of a registration.
fn cancelling(registration: Registration) -> (RegistrationEvent, String) {
    let text = unsubscribe(&registration);
    let Registration { id, pair, .. } = registration;
    (RegistrationEvent::Unsubscribe { id, pair }, text)
}
