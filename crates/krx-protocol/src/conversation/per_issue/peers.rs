//! Whether registrations that resemble each other bring something. When none does, silence says nothing of a single
//! one: in the auction at the close no stock trades for ten minutes, and at lunch nobody trades much.

use std::time::Instant;

use super::wanted::{Entry, Wanted};
use crate::per_issue::{Preset, RegistrationState};

/// For each preset and kind of issue, since when enough of its registrations have been lively.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peers {
    lively_since: [[Option<Instant>; 3]; Preset::ALL.len()],
}

impl Peers {
    /// Looks at all of them. One in four of those that used to be busy must be lively: more are not, when a server has
    /// forgotten half and others have come to rest; fewer are, when a session of the exchange is over and a few issues
    /// trade on.
    pub(super) fn look(&mut self, wanted: &Wanted, now: Instant) {
        let mut counts = [[(0_usize, 0_usize); 3]; Preset::ALL.len()];
        for entry in wanted.iter() {
            if entry.state == RegistrationState::Active && entry.life.is_busy() {
                let (busy, lively) = &mut counts[entry.wish.pair.preset as usize][kind_of(entry)];
                *busy += 1;
                *lively += usize::from(entry.life.is_lively(now));
            }
        }
        let groups = self.lively_since.iter_mut().flatten();
        for (since, (busy, lively)) in groups.zip(counts.into_iter().flatten()) {
            let enough = lively > 0 && lively * 4 >= busy;
            *since = enough.then(|| since.unwrap_or(now));
        }
    }

    /// Since when the peers of a registration have been lively.
    pub(super) fn lively_since(&self, entry: &Entry) -> Option<Instant> {
        self.lively_since[entry.wish.pair.preset as usize][kind_of(entry)]
    }
}

fn kind_of(entry: &Entry) -> usize {
    entry.wish.instruments as usize
}
