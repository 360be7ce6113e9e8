//! What happens to registrations, as the journal has it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::registration::{Pair, Registration};
use super::wish::Wish;

/// How far the registration of a wanted pair has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationState {
    /// It is to be asked for, or has been, and the server has not answered yet.
    Requested,
    /// The server accepts it, or pushes what was asked for.
    Active,
    /// The server refuses it.
    Refused,
    /// No answer came in time.
    Unanswered,
    /// It was active, and brings nothing though it should; it is about to be asked for again.
    Silent,
}

impl RegistrationState {
    /// All of them, in the order of the column's dictionary: `ALL[state as usize] == state`.
    pub const ALL: [Self; 5] = [
        Self::Requested,
        Self::Active,
        Self::Refused,
        Self::Unanswered,
        Self::Silent,
    ];

    /// The word in the journal and in the dataset.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Silent => "silent",
        }
    }
}

impl fmt::Display for RegistrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that happened to registrations. [`super::RegistrationStates`] says what each means for the pairs' states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "registration", rename_all = "snake_case")]
pub enum RegistrationEvent {
    /// From here on exactly these are wanted.
    Wanted {
        /// All of them.
        wishes: Vec<Wish>,
    },
    /// A `subscribe` is about to be sent. Its pair is `requested`.
    Subscribe(Registration),
    /// An `unsubscribe` is about to be sent.
    Unsubscribe {
        /// The id of the registration that it cancels.
        id: u64,
        /// The pair of that registration.
        #[serde(flatten)]
        pair: Pair,
    },
    /// The state of a wanted pair is another now.
    State {
        /// The id of the registration.
        id: u64,
        /// Its pair.
        #[serde(flatten)]
        pair: Pair,
        /// The state.
        state: RegistrationState,
        /// Why, in words, perhaps the server's: they may hold anything, the key too.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
}

impl RegistrationEvent {
    /// The words that may be the server's, to mask what must not be written.
    pub fn detail_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::State { detail, .. } => Some(detail),
            Self::Wanted { .. } | Self::Subscribe(_) | Self::Unsubscribe { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_place_and_its_word() {
        for (place, state) in RegistrationState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, place);
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
    }

    #[test]
    fn the_journal_has_each_event_in_one_flat_object() {
        for text in [
            r#"{"registration":"wanted","wishes":[{"preset":"tick","code":"005930"}]}"#,
            r#"{"registration":"subscribe","id":7,"preset":"change","code":"101N6000","instruments":"derivatives","items":["trdPrc"]}"#,
            r#"{"registration":"unsubscribe","id":7,"preset":"tick10","code":"005930"}"#,
            r#"{"registration":"state","id":18446744073709551615,"preset":"tick10","code":"005930","state":"active"}"#,
            r#"{"registration":"state","id":7,"preset":"tick10","code":"999999","state":"refused","detail":"error 10040: x"}"#,
        ] {
            let event: RegistrationEvent = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
        }
    }

    #[test]
    fn an_event_can_stand_within_another_that_has_a_tag_of_its_own() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "event", rename_all = "snake_case")]
        enum Event {
            Registration(RegistrationEvent),
        }
        let text = r#"{"event":"registration","registration":"unsubscribe","id":7,"preset":"tick10","code":"005930"}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn only_a_state_has_words_of_the_server() {
        let text =
            r#"{"registration":"state","id":7,"preset":"tick","code":"1","state":"refused","detail":"KEY"}"#;
        let mut event: RegistrationEvent = serde_json::from_str(text).unwrap();
        "***".clone_into(event.detail_mut().unwrap());
        assert!(serde_json::to_string(&event).unwrap().contains("***"));
        let text = r#"{"registration":"unsubscribe","id":7,"preset":"tick10","code":"005930"}"#;
        let mut event: RegistrationEvent = serde_json::from_str(text).unwrap();
        assert_eq!(event.detail_mut(), None);
    }
}
