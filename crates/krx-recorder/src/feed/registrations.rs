//! What others see of a feed's registrations: their states, since when, and why.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Pair, RegistrationEvent, RegistrationState, RegistrationStates, Wish};
use krx_store::Moment;

/// Why a wanted pair is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when it has not been active. A new attempt that fails too changes nothing here.
    pub since: Moment,
    /// What is known about its current state, perhaps in the server's words: bounded, and without a key. Often empty.
    pub detail: String,
}

/// The state of each wanted pair, and what is wrong with those that are not active. By default nothing is wanted.
#[derive(Clone, Debug, Default)]
pub struct Registrations {
    states: RegistrationStates,
    troubles: BTreeMap<Pair, Trouble>,
}

impl Registrations {
    /// Takes an event that happened at `at`.
    pub(super) fn apply(&mut self, at: Moment, event: &RegistrationEvent) {
        self.states.apply(event);
        match event {
            RegistrationEvent::Wanted { .. } => self.look_at_all(at),
            RegistrationEvent::Subscribe(registration) => self.look_at(at, &registration.pair, ""),
            RegistrationEvent::State { pair, detail, .. } => self.look_at(at, pair, detail),
            RegistrationEvent::Unsubscribe { .. } => {}
        }
    }

    /// The session is over, and all registrations with it.
    pub(super) fn session_over(&mut self, at: Moment) {
        self.states.session_over();
        for trouble in self.troubles.values_mut() {
            trouble.detail.clear();
        }
        self.look_at_all(at);
    }

    fn look_at_all(&mut self, at: Moment) {
        let inactive =
            |(wish, state): (&Wish, _)| (state != RegistrationState::Active).then(|| wish.pair.clone());
        let mut before = std::mem::take(&mut self.troubles);
        for pair in self.states.iter().filter_map(inactive) {
            let trouble = before.remove(&pair).unwrap_or_else(|| Trouble {
                since: at,
                detail: String::new(),
            });
            self.troubles.insert(pair, trouble);
        }
    }

    fn look_at(&mut self, at: Moment, pair: &Pair, detail: &str) {
        match self.states.of(pair) {
            None | Some(RegistrationState::Active) => {
                self.troubles.remove(pair);
            }
            Some(_) => {
                let begins = || Trouble {
                    since: at,
                    detail: String::new(),
                };
                let trouble = self.troubles.entry(pair.clone()).or_insert_with(begins);
                detail.clone_into(&mut trouble.detail);
            }
        }
    }

    /// The state of a pair; `None` if no session has wanted it yet.
    #[must_use]
    pub fn of(&self, pair: &Pair) -> Option<RegistrationState> {
        self.states.of(pair)
    }

    /// What is wrong with a pair; `None` if it is active, or no session has wanted it yet.
    #[must_use]
    pub fn trouble(&self, pair: &Pair) -> Option<&Trouble> {
        self.troubles.get(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> RegistrationEvent {
        serde_json::from_str(text).unwrap()
    }

    fn wanted(codes: &[&str]) -> RegistrationEvent {
        let wishes = codes
            .iter()
            .map(|code| format!(r#"{{"preset":"tick10","code":"{code}"}}"#));
        let wishes: Vec<_> = wishes.collect();
        event(&format!(
            r#"{{"registration":"wanted","wishes":[{}]}}"#,
            wishes.join(",")
        ))
    }

    fn state(code: &str, state: &str, detail: &str) -> RegistrationEvent {
        event(&format!(
            r#"{{"registration":"state","id":2,"preset":"tick10","code":"{code}","state":"{state}","detail":"{detail}"}}"#
        ))
    }

    fn subscribe(code: &str) -> RegistrationEvent {
        event(&format!(
            r#"{{"registration":"subscribe","id":2,"preset":"tick10","code":"{code}"}}"#
        ))
    }

    fn told(registrations: &Registrations) -> Vec<(String, i64, String)> {
        let troubles = registrations.troubles.iter();
        let told = troubles.map(|(pair, trouble)| {
            let state = registrations.of(pair).unwrap();
            (
                format!("{} {state}", pair.code),
                trouble.since.0,
                trouble.detail.clone(),
            )
        });
        told.collect()
    }

    fn trouble(words: &str, since: i64, detail: &str) -> (String, i64, String) {
        (words.to_owned(), since, detail.to_owned())
    }

    #[test]
    fn a_pair_is_in_trouble_from_when_it_is_wanted_or_was_last_active() {
        let mut registrations = Registrations::default();
        let mut apply = |at, event: &RegistrationEvent| {
            registrations.apply(Moment(at), event);
            told(&registrations)
        };
        assert_eq!(
            apply(1, &wanted(&["a", "b"])),
            [trouble("a requested", 1, ""), trouble("b requested", 1, "")]
        );
        assert_eq!(apply(2, &subscribe("a")).len(), 2);
        assert_eq!(
            apply(3, &state("a", "active", "")),
            [trouble("b requested", 1, "")]
        );
        // Each attempt fails, and the trouble is as old as before; only the words are new.
        assert_eq!(
            apply(4, &state("b", "unanswered", "no answer")),
            [trouble("b unanswered", 1, "no answer")]
        );
        assert_eq!(apply(60, &subscribe("b")), [trouble("b requested", 1, "")]);
        assert_eq!(
            apply(61, &state("b", "refused", "error 10040")),
            [trouble("b refused", 1, "error 10040")]
        );
        assert_eq!(
            apply(70, &state("a", "silent", "quiet for 60 s")),
            [
                trouble("a silent", 70, "quiet for 60 s"),
                trouble("b refused", 1, "error 10040")
            ]
        );
        assert_eq!(
            apply(71, &state("a", "active", "")),
            [trouble("b refused", 1, "error 10040")]
        );
        // What is not wanted is in no trouble, whatever is said of it.
        assert_eq!(apply(80, &wanted(&["a", "c"])), [trouble("c requested", 80, "")]);
        assert_eq!(
            apply(81, &state("b", "refused", "")),
            [trouble("c requested", 80, "")]
        );
    }

    #[test]
    fn without_a_session_nothing_is_active() {
        let mut registrations = Registrations::default();
        registrations.apply(Moment(1), &wanted(&["a", "b"]));
        registrations.apply(Moment(2), &state("a", "active", ""));
        registrations.apply(Moment(3), &state("b", "refused", "error 10040"));
        registrations.session_over(Moment(9));
        assert_eq!(
            told(&registrations),
            [trouble("a requested", 9, ""), trouble("b requested", 1, "")]
        );
        let of = |code: &str| Pair {
            code: code.to_owned(),
            preset: krx_protocol::per_issue::Preset::Tick10,
        };
        assert_eq!(registrations.of(&of("c")), None);
        assert_eq!(registrations.trouble(&of("c")), None);
        assert_eq!(registrations.trouble(&of("a")).unwrap().since, Moment(9));
    }
}
