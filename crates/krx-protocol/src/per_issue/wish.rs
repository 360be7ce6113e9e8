//! What shall be registered: a list without duplicates, made of groups of presets and codes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::preset::{Instruments, Preset};
use super::registration::{Pair, Registration};

/// One registration that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// What is to be registered.
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

impl Wish {
    /// The `subscribe` that asks for it, with this `id`.
    #[must_use]
    pub fn with_id(&self, id: u64) -> Registration {
        Registration {
            id,
            pair: self.pair.clone(),
            instruments: self.instruments,
            items: self.items.clone(),
        }
    }
}

/// Each preset of each code: a group as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WishGroup {
    /// The presets.
    pub presets: Vec<Preset>,
    /// The issue codes, as they are sent.
    pub codes: Vec<String>,
    /// What kind of issue the codes are. Preset `index` has indices in any case.
    pub instruments: Instruments,
    /// The items of preset `change`; the other presets have no use for them.
    pub items: Vec<String>,
}

/// Why a group cannot be wished for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WishError {
    /// Nothing in the guide says what `change` without items would bring.
    #[error("preset change needs items ({code})")]
    NoItems {
        /// The first code of the group.
        code: String,
    },
    /// Indices have their own preset and no other.
    #[error("an index has preset index only, not {preset} ({code})")]
    NotForIndices {
        /// The preset.
        preset: Preset,
        /// The first code of the group.
        code: String,
    },
    /// A push does not say what kind of issue it is of, so that a pair can only have one.
    #[error("{code} is listed with {} and with {}", .first.as_str(), .second.as_str())]
    TwoKinds {
        /// The code.
        code: String,
        /// What it was first.
        first: Instruments,
        /// What it was later.
        second: Instruments,
    },
}

/// What shall be registered, each pair once, in the order in which the pairs were first mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WishList {
    wishes: Vec<Wish>,
    places: BTreeMap<Pair, usize>,
}

/// How one list differs from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is no longer wanted, or no longer in this way.
    pub to_cancel: Vec<Wish>,
    /// What is wanted now, or now in this way.
    pub to_add: Vec<Wish>,
}

impl WishList {
    /// All groups as one list.
    ///
    /// # Errors
    /// [`WishError`], when a group makes no sense, or when two contradict each other.
    pub fn of<'a>(groups: impl IntoIterator<Item = &'a WishGroup>) -> Result<Self, WishError> {
        let mut list = Self::default();
        for group in groups {
            list.add_group(group)?;
        }
        Ok(list)
    }

    /// Adds what a group asks for. A pair that is there already stays one; `change` of one code gets the items of both,
    /// in order of first mention, since a second `subscribe` of the pair might replace the first.
    fn add_group(&mut self, group: &WishGroup) -> Result<(), WishError> {
        for code in &group.codes {
            for &preset in &group.presets {
                let (instruments, items) = match preset {
                    Preset::Index => (Instruments::Indices, &[][..]),
                    _ if group.instruments == Instruments::Indices => {
                        let code = code.clone();
                        return Err(WishError::NotForIndices { preset, code });
                    }
                    Preset::Change if group.items.is_empty() => {
                        return Err(WishError::NoItems { code: code.clone() });
                    }
                    Preset::Change => (group.instruments, &group.items[..]),
                    _ => (group.instruments, &[][..]),
                };
                let code = code.clone();
                self.add(Pair { preset, code }, instruments, items)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, pair: Pair, instruments: Instruments, items: &[String]) -> Result<(), WishError> {
        let place = *self.places.entry(pair.clone()).or_insert(self.wishes.len());
        if place == self.wishes.len() {
            self.wishes.push(Wish {
                pair,
                instruments,
                items: Vec::new(),
            });
        }
        let wish = &mut self.wishes[place];
        if wish.instruments != instruments {
            return Err(WishError::TwoKinds {
                code: wish.pair.code.clone(),
                first: wish.instruments,
                second: instruments,
            });
        }
        for item in items {
            if !wish.items.contains(item) {
                wish.items.push(item.clone());
            }
        }
        Ok(())
    }

    /// The number of registrations, as the server counts them: trade and quote of one issue are two.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wishes.len()
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// What is wanted, in order of first mention.
    pub fn iter(&self) -> impl Iterator<Item = &Wish> {
        self.wishes.iter()
    }

    /// The wish for a pair.
    #[must_use]
    pub fn get(&self, pair: &Pair) -> Option<&Wish> {
        self.places.get(pair).map(|&place| &self.wishes[place])
    }

    /// What must be cancelled and added to get from this list to `other`. A pair with other items, or of another kind,
    /// is in both. The order of a list makes no difference.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Difference {
        let lacking = |from: &Self, of: &Self| {
            let wishes = of.iter().filter(|wish| from.get(&wish.pair) != Some(wish));
            wishes.cloned().collect()
        };
        Difference {
            to_cancel: lacking(other, self),
            to_add: lacking(self, other),
        }
    }
}

impl Difference {
    /// Whether the lists want the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to_cancel.is_empty() && self.to_add.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(presets: &[Preset], codes: &[&str], items: &[&str]) -> WishGroup {
        WishGroup {
            presets: presets.to_vec(),
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            instruments: Instruments::Stocks,
            items: items.iter().map(|item| (*item).to_owned()).collect(),
        }
    }

    fn derivatives(group: WishGroup) -> WishGroup {
        WishGroup {
            instruments: Instruments::Derivatives,
            ..group
        }
    }

    fn names(wishes: &[Wish]) -> Vec<String> {
        let name = |wish: &Wish| format!("{}:{}", wish.pair, wish.items.join("+"));
        wishes.iter().map(name).collect()
    }

    #[test]
    fn duplicates_are_one_and_items_are_united_in_order_of_first_mention() {
        let list = WishList::of(&[
            group(&[Preset::Tick10, Preset::Quote10], &["005930", "000660"], &[]),
            group(&[Preset::Tick10, Preset::Tick10], &["000660", "000660"], &[]),
            group(
                &[Preset::Change, Preset::Tick],
                &["005930"],
                &["trdTm", "trdPrc", "trdTm"],
            ),
            group(&[Preset::Change], &["005930"], &["accTrdvol", "trdPrc"]),
            group(&[Preset::Index], &["001"], &["trdPrc"]),
        ]);
        let list = list.unwrap();
        assert_eq!(
            names(&list.wishes),
            [
                "tick10:005930:",
                "quote10:005930:",
                "tick10:000660:",
                "quote10:000660:",
                "change:005930:trdTm+trdPrc+accTrdvol",
                "tick:005930:",
                "index:001:",
            ]
        );
        assert_eq!(list.len(), 7);
        assert_eq!(list.wishes[6].instruments, Instruments::Indices);
    }

    #[test]
    fn groups_that_make_no_sense_say_why() {
        let indices = WishGroup {
            instruments: Instruments::Indices,
            ..group(&[Preset::Quote], &["001"], &[])
        };
        let stock = || group(&[Preset::Tick10], &["005930"], &[]);
        let cases = [
            (
                vec![group(&[Preset::Change], &["005930"], &[])],
                "preset change needs items (005930)",
            ),
            (vec![indices], "an index has preset index only, not quote (001)"),
            (
                vec![stock(), derivatives(stock())],
                "005930 is listed with stocks and with derivatives",
            ),
        ];
        for (groups, words) in cases {
            assert_eq!(WishList::of(&groups).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn the_difference_is_what_was_changed_and_nothing_else() {
        let old = WishList::of(&[
            group(&[Preset::Tick10], &["005930", "000660", "035420"], &[]),
            group(&[Preset::Change], &["005930"], &["trdPrc"]),
        ]);
        let new = WishList::of(&[
            group(&[Preset::Tick10], &["051910", "005930"], &[]),
            group(&[Preset::Change], &["005930"], &["trdPrc", "trdTm"]),
            derivatives(group(&[Preset::Tick10], &["035420"], &[])),
        ]);
        let (old, new) = (old.unwrap(), new.unwrap());
        let difference = old.difference(&new);
        assert_eq!(
            names(&difference.to_cancel),
            ["tick10:000660:", "tick10:035420:", "change:005930:trdPrc"]
        );
        assert_eq!(
            names(&difference.to_add),
            ["tick10:051910:", "change:005930:trdPrc+trdTm", "tick10:035420:"]
        );
        assert!(new.difference(&new).is_empty());
        let all = WishList::default().difference(&new);
        assert_eq!((all.to_cancel.len(), all.to_add), (0, new.wishes));
    }

    #[test]
    fn the_journal_has_a_wish_in_one_flat_object() {
        for text in [
            r#"{"preset":"tick10","code":"005930"}"#,
            r#"{"preset":"change","code":"101N6000","instruments":"derivatives","items":["trdPrc"]}"#,
        ] {
            let parsed: Wish = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&parsed).unwrap(), text);
        }
    }
}
