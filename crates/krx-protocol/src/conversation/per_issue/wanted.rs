//! The wanted pairs, each with how far its registration has come.

use std::collections::BTreeMap;
use std::time::Instant;

use super::life::Life;
use crate::per_issue::{Pair, Preset, RegistrationEvent, RegistrationState, Wish};

/// A wanted pair.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) wish: Wish,
    pub(super) state: RegistrationState,
    /// The `subscribe` that was sent last and not cancelled since.
    pub(super) sent: Option<Sent>,
    /// How often in a row it was asked for in vain.
    pub(super) tries: u32,
    /// What it brings, while it is active.
    pub(super) life: Life,
    /// It is not found silent before this.
    pub(super) believed_until: Instant,
}

/// A `subscribe` that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: u64,
    /// Whether an error has answered it: a second one says nothing new.
    pub(super) refused: bool,
}

impl Entry {
    pub(super) fn new(wish: Wish, now: Instant) -> Self {
        Self {
            wish,
            state: RegistrationState::Requested,
            sent: None,
            tries: 0,
            life: Life::new(now),
            believed_until: now,
        }
    }

    /// The `subscribe` that the server may have in force, if there is one.
    pub(super) fn in_force(&self) -> Option<u64> {
        let sent = self.sent?;
        (self.state != RegistrationState::Refused).then_some(sent.id)
    }

    /// Whether each trade of the issue must bring a push, or one for several trades. A trade has one of its own, and takes
    /// from the best level of the book. Of items, only the accumulated volume and value change with each trade: the next
    /// one may have the same price and volume. An index is not traded.
    pub(super) fn shows_each_trade(&self) -> bool {
        match self.wish.pair.preset {
            Preset::Tick | Preset::Quote | Preset::Tick10 | Preset::Quote10 => true,
            Preset::Change => {
                let accumulates = |item: &String| matches!(item.as_str(), "accTrdvol" | "accTrdval");
                self.wish.items.iter().any(accumulates)
            }
            Preset::Index => false,
        }
    }

    /// Takes on another state, and tells of it. Only what was sent changes its state by itself.
    pub(super) fn change(
        &mut self,
        state: RegistrationState,
        detail: String,
        events: &mut Vec<RegistrationEvent>,
    ) {
        let Some(Sent { id, .. }) = self.sent else { return };
        self.state = state;
        let pair = self.wish.pair.clone();
        events.push(RegistrationEvent::State {
            id,
            pair,
            state,
            detail,
        });
    }

    /// The server accepts it.
    pub(super) fn activate(&mut self, detail: String, now: Instant, events: &mut Vec<RegistrationEvent>) {
        if self.state != RegistrationState::Active {
            self.tries = 0;
            self.life = Life::new(now);
            self.change(RegistrationState::Active, detail, events);
        }
    }
}

/// All wanted pairs. They are found by preset and code, without a copy of the code.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    by_preset: [BTreeMap<String, Entry>; Preset::ALL.len()],
}

impl Wanted {
    pub(super) fn get(&self, pair: &Pair) -> Option<&Entry> {
        self.by_preset[pair.preset as usize].get(&pair.code)
    }

    pub(super) fn get_mut(&mut self, preset: Preset, code: &str) -> Option<&mut Entry> {
        self.by_preset[preset as usize].get_mut(code)
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let Pair { preset, code } = entry.wish.pair.clone();
        self.by_preset[preset as usize].insert(code, entry);
    }

    pub(super) fn remove(&mut self, pair: &Pair) -> Option<Entry> {
        self.by_preset[pair.preset as usize].remove(&pair.code)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_preset.iter().flat_map(BTreeMap::values)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.by_preset.iter_mut().flat_map(BTreeMap::values_mut)
    }
}
