//! Registrations: what was asked for, and how what comes is told apart by it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::preset::{Instruments, Preset};

/// A preset of an issue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// The preset.
    pub preset: Preset,
    /// The issue code, as it is sent in `isuSrtCd`.
    pub code: String,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.preset, self.code)
    }
}

/// A `subscribe` as it is sent, and what is known of its issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The request's `id`, which its answer carries. Unique within a session; `init` has 1.
    pub id: u64,
    /// What is registered.
    #[serde(flatten)]
    pub pair: Pair,
    /// What kind of issue it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instruments: Instruments,
    /// The items of preset `change`, in their order; of others none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
}

fn is_default(instruments: &Instruments) -> bool {
    *instruments == Instruments::default()
}

/// The registrations of a session that decide how its frames are read. One that was cancelled stays until the session
/// ends, since the server may have sent more of it before it read the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationBook {
    by_id: BTreeMap<u64, Registration>,
    /// Every push is looked up here, with a fast hash: only the configuration chooses the codes.
    by_preset: [HashMap<String, Instruments, foldhash::fast::RandomState>; 6],
}

impl RegistrationBook {
    /// Adds a `subscribe` that is about to be sent.
    pub fn add(&mut self, registration: Registration) {
        let Pair { preset, code } = registration.pair.clone();
        self.by_preset[preset as usize].insert(code, registration.instruments);
        self.by_id.insert(registration.id, registration);
    }

    /// Forgets everything: the session is over.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The registration that an answer with this `id` is for.
    #[must_use]
    pub fn of_id(&self, id: u64) -> Option<&Registration> {
        self.by_id.get(&id)
    }

    /// What kind of issue a registered code is; `None` if the pair was not registered in this session.
    #[inline]
    #[must_use]
    pub fn instruments(&self, preset: Preset, code: &str) -> Option<Instruments> {
        self.by_preset[preset as usize].get(code).copied()
    }

    /// All registrations, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.by_id.values()
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(id: u64, preset: Preset, code: &str) -> Registration {
        Registration {
            id,
            pair: Pair {
                preset,
                code: code.to_owned(),
            },
            instruments: Instruments::Stocks,
            items: Vec::new(),
        }
    }

    #[test]
    fn what_was_registered_is_found_by_its_id_and_by_its_pair() {
        let mut book = RegistrationBook::default();
        book.add(registration(2, Preset::Tick10, "005930"));
        book.add(registration(3, Preset::Quote10, "005930"));
        assert_eq!(book.of_id(3).unwrap().pair.preset, Preset::Quote10);
        assert_eq!(
            book.instruments(Preset::Tick10, "005930"),
            Some(Instruments::Stocks)
        );
        assert_eq!(book.instruments(Preset::Tick, "005930"), None);
        assert_eq!(book.instruments(Preset::Tick10, "000660"), None);
        book.clear();
        assert!(book.is_empty() && book.of_id(2).is_none());
    }

    #[test]
    fn the_journal_has_them_in_one_flat_object() {
        let text = r#"{"id":7,"preset":"change","code":"005930","items":["trdPrc","trdTm"]}"#;
        let parsed: Registration = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), text);
        assert_eq!(parsed.items, ["trdPrc", "trdTm"]);
        let future = r#"{"id":8,"preset":"tick10","code":"101N6000","instruments":"derivatives"}"#;
        let parsed: Registration = serde_json::from_str(future).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), future);
    }
}
