//! A row of the dataset: a stretch of time in which a pair was in one state.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Pair, RegistrationState};

use crate::moment::Moment;

/// After `from`, up to and including `to`, a wanted pair was in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What was wanted.
    pub pair: Pair,
    /// When the state began.
    pub from: Moment,
    /// When it ended, or how far the file goes.
    pub to: Moment,
    /// The state.
    pub state: RegistrationState,
    /// The session; `None` while there was none.
    pub session: Option<u32>,
    /// In words, perhaps the server's; without a session the reason why there was none.
    pub detail: Option<String>,
}

/// The first stretch that begins before an earlier one of its pair has ended: a pair is in one state at a time (I11).
pub(crate) fn overlap(stretches: &[Stretch]) -> Option<&Stretch> {
    let mut ends: BTreeMap<&Pair, Moment> = BTreeMap::new();
    stretches.iter().find(|stretch| {
        let end = ends.insert(&stretch.pair, stretch.to);
        stretch.to < stretch.from || end.is_some_and(|end| end > stretch.from)
    })
}
