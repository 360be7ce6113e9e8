//! What a feed registers, as it is shown: how many pairs are in which state, and those that are not recorded.

use krx_protocol::per_issue::{Pair, RegistrationState, WishList};
use krx_store::Moment;
use serde::{Deserialize, Serialize};

use super::kst::Kst;
use crate::feed::registrations::Registrations;
use crate::pipeline::feed_view::FeedView;

/// How many troubled pairs are listed. All are counted, and the log has them all.
const TROUBLED_MAX: usize = 20;

/// How long a session may take to have an answer for each pair. The pace of requests and the time for an answer are
/// far below it.
const SETTLED_US: i64 = 60_000_000;

/// What a feed of the per-issue service registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegistrationsSnapshot {
    /// Pairs that the configuration lists.
    pub wanted: usize,
    /// `registrations_max` in the configuration.
    pub max: usize,
    /// How many of the wanted pairs are active.
    pub active: usize,
    /// How many are to be asked for, or have not been answered yet; without a session all of them.
    pub requested: usize,
    /// How many the server refuses.
    pub refused: usize,
    /// How many the server has not answered in time.
    pub unanswered: usize,
    /// How many have fallen silent.
    pub silent: usize,
    /// How many have been neither active nor refused for a minute of the session that is open.
    pub overdue: usize,
    /// Those that are not active, the longest first, 20 at most.
    pub troubled: Vec<TroubledSnapshot>,
}

/// A wanted pair that is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TroubledSnapshot {
    /// The preset.
    pub preset: String,
    /// The issue code.
    pub code: String,
    /// Its state.
    pub state: RegistrationState,
    /// Since when it has not been active, in µs since the Unix epoch; `null` if no session has wanted it yet.
    pub since_us: Option<i64>,
    /// The same instant.
    pub since: Option<Kst>,
    /// What is known about it, perhaps in the server's words; `null` if nothing is.
    pub detail: Option<String>,
}

impl RegistrationsSnapshot {
    /// What a feed registers now; `None` for a service without registrations.
    pub(super) fn take(view: &FeedView, live_since: Option<Moment>, now: Moment) -> Option<Self> {
        let registered = view.registered.as_ref()?;
        let registrations = view.status.registrations();
        let (wanted, max) = (registered.wanted.borrow(), *registered.max.borrow());
        Some(Self::of((&wanted, max), &registrations, live_since, now))
    }

    /// `live_since` is when the session was opened, if one is open.
    fn of(
        (wanted, max): (&WishList, usize),
        registrations: &Registrations,
        live_since: Option<Moment>,
        now: Moment,
    ) -> Self {
        let mut found = Self {
            wanted: wanted.len(),
            max,
            ..Self::default()
        };
        for pair in wanted.iter().map(|wish| &wish.pair) {
            // What no session has wanted yet is to be asked for.
            let state = registrations.of(pair).unwrap_or(RegistrationState::Requested);
            *found.count_mut(state) += 1;
            if state == RegistrationState::Active {
                continue;
            }
            let troubled = TroubledSnapshot::of(pair, state, registrations);
            let waits_since = live_since
                .zip(troubled.since_us)
                .map(|(live, since)| live.0.max(since));
            let waits_long = waits_since.is_some_and(|since| now.0 - since >= SETTLED_US);
            found.overdue += usize::from(waits_long && state != RegistrationState::Refused);
            found.troubled.push(troubled);
        }
        // Stable: what is as old stays in the order of the configuration.
        found
            .troubled
            .sort_by_key(|troubled| troubled.since_us.unwrap_or(i64::MAX));
        found.troubled.truncate(TROUBLED_MAX);
        found
    }

    /// How many pairs are in a state.
    pub(crate) fn count(&self, state: RegistrationState) -> usize {
        match state {
            RegistrationState::Requested => self.requested,
            RegistrationState::Active => self.active,
            RegistrationState::Refused => self.refused,
            RegistrationState::Unanswered => self.unanswered,
            RegistrationState::Silent => self.silent,
        }
    }

    fn count_mut(&mut self, state: RegistrationState) -> &mut usize {
        match state {
            RegistrationState::Requested => &mut self.requested,
            RegistrationState::Active => &mut self.active,
            RegistrationState::Refused => &mut self.refused,
            RegistrationState::Unanswered => &mut self.unanswered,
            RegistrationState::Silent => &mut self.silent,
        }
    }
}

impl TroubledSnapshot {
    fn of(pair: &Pair, state: RegistrationState, registrations: &Registrations) -> Self {
        let trouble = registrations.trouble(pair);
        let detail = trouble.map(|trouble| trouble.detail.clone());
        Self {
            preset: pair.preset.to_string(),
            code: pair.code.clone(),
            state,
            since_us: trouble.map(|trouble| trouble.since.0),
            since: trouble.map(|trouble| Kst(trouble.since)),
            detail: detail.filter(|detail| !detail.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::{Preset, RegistrationEvent, WishGroup};

    use super::*;
    use crate::feed::feed_status::FeedStatus;

    fn list(codes: impl IntoIterator<Item = String>) -> WishList {
        let group = WishGroup {
            presets: vec![Preset::Tick10],
            codes: codes.into_iter().collect(),
            ..WishGroup::default()
        };
        WishList::of(&[group]).unwrap()
    }

    fn pair(code: &str) -> Pair {
        Pair {
            preset: Preset::Tick10,
            code: code.to_owned(),
        }
    }

    fn told(status: &FeedStatus, code: &str, state: RegistrationState, detail: &str) {
        status.registration(&RegistrationEvent::State {
            id: 2,
            pair: pair(code),
            state,
            detail: detail.to_owned(),
        });
    }

    fn want(status: &FeedStatus, wanted: &WishList) {
        status.registration(&RegistrationEvent::Wanted {
            wishes: wanted.iter().cloned().collect(),
        });
    }

    #[test]
    fn each_wanted_pair_is_counted_once_and_those_not_active_are_listed() {
        let status = FeedStatus::default();
        let wanted = list(["a", "b", "c", "d", "e", "new"].map(str::to_owned));
        want(
            &status,
            &list(["a", "b", "c", "d", "e", "old"].map(str::to_owned)),
        );
        told(&status, "a", RegistrationState::Active, "");
        told(
            &status,
            "b",
            RegistrationState::Refused,
            "error 10040: no such issue",
        );
        told(&status, "c", RegistrationState::Unanswered, "");
        told(&status, "d", RegistrationState::Active, "");
        told(&status, "d", RegistrationState::Silent, "nothing for 60 s");
        let (registrations, begin) = (status.registrations(), Moment::now());
        let at = |live_since: Option<Moment>, now: i64| {
            RegistrationsSnapshot::of((&wanted, 20), &registrations, live_since, Moment(now))
        };
        let found = at(Some(begin), begin.0 + SETTLED_US - 1);
        let counts = RegistrationState::ALL.map(|state| found.count(state));
        assert_eq!((found.wanted, found.max, counts), (6, 20, [2, 1, 1, 1, 1]));
        assert_eq!(found.overdue, 0);
        let listed = found.troubled.iter().map(|troubled| {
            let detail = troubled.detail.as_deref().unwrap_or("none");
            format!("{} {} {detail}", troubled.code, troubled.state)
        });
        // `d` was active once, and nothing is known of `new` yet.
        assert_eq!(
            listed.collect::<Vec<_>>(),
            [
                "b refused error 10040: no such issue",
                "c unanswered none",
                "e requested none",
                "d silent nothing for 60 s",
                "new requested none"
            ]
        );
        assert_eq!(found.troubled[4].since_us, None);
        assert!(found.troubled[0].since_us.unwrap() <= begin.0);
        // `c`, `d` and `e` wait for an answer; `b` has one.
        assert_eq!(at(Some(begin), begin.0 + SETTLED_US).overdue, 3);
        // Only the time of the session counts.
        assert_eq!(at(None, begin.0 + 10 * SETTLED_US).overdue, 0);
        let live = Moment(begin.0 + 9 * SETTLED_US);
        assert_eq!(at(Some(live), live.0 + SETTLED_US - 1).overdue, 0);
        assert_eq!(at(Some(live), live.0 + SETTLED_US).overdue, 3);
    }

    #[test]
    fn twenty_are_listed_and_all_are_counted() {
        let status = FeedStatus::default();
        let wanted = list((0..200).map(|code| format!("{code:06}")));
        let before = RegistrationsSnapshot::of((&wanted, 200), &status.registrations(), None, Moment(1));
        assert_eq!(
            (before.wanted, before.requested, before.troubled.len()),
            (200, 200, 20)
        );
        want(&status, &wanted);
        let found = RegistrationsSnapshot::of((&wanted, 200), &status.registrations(), None, Moment(1));
        assert_eq!((found.requested, found.troubled.len()), (200, 20));
        assert_eq!(found.troubled[19].code, "000019");
    }
}
