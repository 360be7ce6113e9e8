//! What decides how the frames of a feed are read: the registrations in force.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{
    Pair, RegistrationBook, RegistrationEvent, RegistrationState, RegistrationStates,
};

use super::kinds::Event;

/// Folds an event into the states of registrations.
pub(crate) fn fold_states(states: &mut RegistrationStates, event: &Event) {
    match event {
        Event::Segment { registrations, .. } => {
            *states = RegistrationStates::default();
            for registration in registrations {
                states.apply(registration);
            }
        }
        Event::Registration(registration) => states.apply(registration),
        event if ends_registrations(event) => states.session_over(),
        _ => {}
    }
}

/// Registrations end with their session, and a crash ends one without an event.
fn ends_registrations(event: &Event) -> bool {
    matches!(
        event,
        Event::Start { .. } | Event::Connected { .. } | Event::Disconnected { .. } | Event::Stop
    )
}

/// The registrations in force, from the events alone. A feed of a service without registrations has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InForce {
    book: RegistrationBook,
    states: RegistrationStates,
    /// The last words about each pair.
    told: BTreeMap<Pair, (u64, String)>,
}

impl InForce {
    /// Takes the next event.
    pub(crate) fn apply(&mut self, event: &Event) {
        fold_states(&mut self.states, event);
        match event {
            Event::Segment { registrations, .. } => {
                self.forget();
                registrations
                    .iter()
                    .for_each(|registration| self.note(registration));
            }
            Event::Registration(registration) => self.note(registration),
            event if ends_registrations(event) => self.forget(),
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.book.clear();
        self.told.clear();
    }

    fn note(&mut self, event: &RegistrationEvent) {
        match event {
            RegistrationEvent::Subscribe(registration) => self.book.add(registration.clone()),
            RegistrationEvent::State { id, pair, detail, .. } => {
                self.told.insert(pair.clone(), (*id, detail.clone()));
            }
            RegistrationEvent::Wanted { .. } | RegistrationEvent::Unsubscribe { .. } => {}
        }
    }

    /// The registrations by which frames are read.
    #[must_use]
    pub(crate) fn book(&self) -> &RegistrationBook {
        &self.book
    }

    /// What, from nothing, leads to this.
    #[must_use]
    pub(crate) fn to_events(&self) -> Vec<RegistrationEvent> {
        let wishes: Vec<_> = self.states.wishes().cloned().collect();
        if wishes.is_empty() && self.book.is_empty() {
            return Vec::new();
        }
        let wanted = RegistrationEvent::Wanted { wishes };
        let subscribed = self.book.iter().cloned().map(RegistrationEvent::Subscribe);
        let answered = self
            .states
            .iter()
            .filter(|(_, state)| *state != RegistrationState::Requested);
        let answered = answered.map(|(wish, state)| {
            let pair = wish.pair.clone();
            let (id, detail) = self.told.get(&pair).cloned().unwrap_or_default();
            RegistrationEvent::State {
                id,
                pair,
                state,
                detail,
            }
        });
        std::iter::once(wanted)
            .chain(subscribed)
            .chain(answered)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        let text = format!(r#"{{"event":"registration","registration":{text}}}"#);
        let event = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            text,
            "as it is in the journal"
        );
        event
    }

    fn after(events: &[Event]) -> InForce {
        let mut in_force = InForce::default();
        for event in events {
            in_force.apply(event);
        }
        in_force
    }

    fn session() -> Vec<Event> {
        vec![
            event(
                r#""wanted","wishes":[{"preset":"tick10","code":"005930"},{"preset":"change","code":"1","items":["trdPrc"]}]"#,
            ),
            Event::Connected { url: String::new() },
            event(r#""subscribe","id":2,"preset":"tick10","code":"005930""#),
            event(r#""subscribe","id":3,"preset":"change","code":"1","items":["trdPrc"]"#),
            event(r#""subscribe","id":4,"preset":"quote","code":"000660""#),
            event(r#""state","id":2,"preset":"tick10","code":"005930","state":"active""#),
            event(r#""state","id":3,"preset":"change","code":"1","state":"refused","detail":"error 10040""#),
            event(r#""unsubscribe","id":4,"preset":"quote","code":"000660""#),
        ]
    }

    #[test]
    fn what_is_written_at_the_beginning_of_a_file_leads_to_the_same() {
        let mut events = Vec::new();
        for event in session() {
            events.push(event);
            let now = after(&events);
            let segment = Event::Segment {
                service: "per_issue".to_owned(),
                registrations: now.to_events(),
            };
            let text = serde_json::to_string(&segment).unwrap();
            assert_eq!(after(&[serde_json::from_str(&text).unwrap()]), now, "{text}");
            assert_eq!(after(&[segment.clone(), segment]), now, "{text}");
        }
    }

    #[test]
    fn a_session_ends_with_its_registrations_and_not_with_what_is_wanted() {
        let ends = [
            Event::Start {
                version: String::new(),
            },
            Event::Connected { url: String::new() },
            Event::Disconnected {
                reason: crate::event::GapReason::Reset,
                detail: String::new(),
            },
            Event::Stop,
        ];
        for end in ends {
            let mut events = session();
            assert!(!after(&events).book().is_empty());
            events.push(end);
            let now = after(&events);
            assert!(now.book().is_empty());
            assert!(
                matches!(&now.to_events()[..], [RegistrationEvent::Wanted { wishes }] if wishes.len() == 2)
            );
        }
    }
}
