//! The state of each wanted pair, from the events alone.

use std::collections::BTreeMap;

use super::registration::Pair;
use super::registration_event::{RegistrationEvent, RegistrationState};
use super::wish::Wish;

/// The events of a feed, folded: in which state each wanted pair is. This is what the events mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationStates {
    pairs: BTreeMap<Pair, (Wish, RegistrationState)>,
}

impl RegistrationStates {
    /// Takes the next event.
    pub fn apply(&mut self, event: &RegistrationEvent) {
        match event {
            RegistrationEvent::Wanted { wishes } => {
                let mut before = std::mem::take(&mut self.pairs);
                for wish in wishes {
                    // What is wanted as before stays as it is; another wish for the same pair has to be asked for.
                    let state = match before.remove(&wish.pair) {
                        Some((same, state)) if same == *wish => state,
                        _ => RegistrationState::Requested,
                    };
                    self.pairs.insert(wish.pair.clone(), (wish.clone(), state));
                }
            }
            RegistrationEvent::Subscribe(registration) => {
                self.set(&registration.pair, RegistrationState::Requested);
            }
            RegistrationEvent::State { pair, state, .. } => self.set(pair, *state),
            // What it cancels is either no longer wanted or about to be asked for again.
            RegistrationEvent::Unsubscribe { .. } => {}
        }
    }

    /// The session is over, and all registrations with it: what is wanted is to be asked for again.
    pub fn session_over(&mut self) {
        for (_, state) in self.pairs.values_mut() {
            *state = RegistrationState::Requested;
        }
    }

    fn set(&mut self, pair: &Pair, state: RegistrationState) {
        if let Some((_, current)) = self.pairs.get_mut(pair) {
            *current = state;
        }
    }

    /// The state of a pair; `None` if it is not wanted.
    #[must_use]
    pub fn of(&self, pair: &Pair) -> Option<RegistrationState> {
        self.pairs.get(pair).map(|(_, state)| *state)
    }

    /// What is wanted, in the order of the pairs.
    pub fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.pairs.values().map(|(wish, _)| wish)
    }

    /// What is wanted and the state of each, in the order of the pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&Wish, RegistrationState)> {
        self.pairs.values().map(|(wish, state)| (wish, *state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::per_issue::{Preset, WishGroup, WishList};

    fn wanted(codes: &[&str], items: &[&str]) -> RegistrationEvent {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let group = WishGroup {
            presets: vec![Preset::Change],
            codes: owned(codes),
            items: owned(items),
            ..WishGroup::default()
        };
        RegistrationEvent::Wanted {
            wishes: WishList::of(&[group]).unwrap().iter().cloned().collect(),
        }
    }

    fn event(text: &str, code: &str) -> RegistrationEvent {
        let place = format!(r#","id":2,"preset":"change","code":"{code}"}}"#);
        serde_json::from_str(&text.replace('}', &place)).unwrap()
    }

    fn told(states: &RegistrationStates) -> Vec<String> {
        let words = states
            .iter()
            .map(|(wish, state)| format!("{} {state}", wish.pair.code));
        words.collect()
    }

    #[test]
    fn each_wanted_pair_is_in_one_state() {
        let mut states = RegistrationStates::default();
        states.apply(&wanted(&["a", "b"], &["x"]));
        assert_eq!(told(&states), ["a requested", "b requested"]);
        states.apply(&event(r#"{"registration":"subscribe"}"#, "a"));
        states.apply(&event(r#"{"registration":"state","state":"active"}"#, "a"));
        states.apply(&event(r#"{"registration":"state","state":"active"}"#, "c"));
        assert_eq!(told(&states), ["a active", "b requested"]);
        states.apply(&wanted(&["a", "c"], &["x"]));
        states.apply(&event(r#"{"registration":"unsubscribe"}"#, "b"));
        assert_eq!(told(&states), ["a active", "c requested"]);
        states.apply(&event(r#"{"registration":"state","state":"refused"}"#, "c"));
        states.apply(&wanted(&["a"], &["x", "y"]));
        assert_eq!(told(&states), ["a requested"]);
        states.apply(&event(r#"{"registration":"state","state":"active"}"#, "a"));
        states.session_over();
        assert_eq!(told(&states), ["a requested"]);
    }
}
