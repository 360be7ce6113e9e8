//! When the pairs of a per-issue feed were active and recorded: its registrations against its ledger, as the view
//! `active` of `krx.sql` has it. Pure.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Pair, RegistrationState};
use krx_store::Moment;
use krx_store::coverage::{Interval, State};
use krx_store::read::Stretch;

use super::recorded::{Span, overlap_us};

/// A stretch within one session: what was sent of the pair then is in the files, beginning with a row at `from` and ending
/// with one at `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActiveStretch {
    pub(crate) session: u32,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

impl ActiveStretch {
    /// Whether a row belongs to it.
    pub(crate) fn has(&self, session: u32, recv: Moment) -> bool {
        self.session == session && self.from <= recv && recv <= self.to
    }

    /// The part of it within a span, µs.
    pub(crate) fn within(&self, span: Span) -> i64 {
        overlap_us((self.from, self.to), span)
    }
}

/// The active stretches of each pair of a feed, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Active(BTreeMap<Pair, Vec<ActiveStretch>>);

impl Active {
    /// Of a day. `registrations` are in order within each pair, as their file has them, and so is the ledger.
    pub(crate) fn of(registrations: &[Stretch], ledger: &[Interval]) -> Self {
        let live = live(ledger);
        let mut registered: BTreeMap<&Pair, Vec<ActiveStretch>> = BTreeMap::new();
        for stretch in registrations {
            let (RegistrationState::Active, Some(session)) = (stretch.state, stretch.session) else {
                continue;
            };
            let (from, to) = (stretch.from, stretch.to);
            let stretches = registered.entry(&stretch.pair).or_default();
            // What a session is told meanwhile divides a stretch, and ends nothing.
            match stretches.last_mut() {
                Some(last) if last.to == from && last.session == session => last.to = to,
                _ => stretches.push(ActiveStretch { session, from, to }),
            }
        }
        let cut = |of: Vec<ActiveStretch>| -> Vec<ActiveStretch> {
            let parts = of.into_iter().flat_map(|stretch| {
                let first = live.partition_point(|(_, to)| *to <= stretch.from);
                let overlapping = live[first..]
                    .iter()
                    .take_while(move |(from, _)| *from < stretch.to);
                overlapping.map(move |(from, to)| ActiveStretch {
                    session: stretch.session,
                    from: stretch.from.max(*from),
                    to: stretch.to.min(*to),
                })
            });
            parts.filter(|part| part.from < part.to).collect()
        };
        let pairs = registered.into_iter().map(|(pair, of)| (pair.clone(), cut(of)));
        Self(pairs.filter(|(_, of)| !of.is_empty()).collect())
    }

    /// The stretches of a pair, in order.
    pub(crate) fn pair(&self, pair: &Pair) -> &[ActiveStretch] {
        self.0.get(pair).map_or(&[], Vec::as_slice)
    }

    /// Whether a pair was active at an instant: after the beginning of a stretch, up to its end.
    pub(crate) fn has(&self, pair: &Pair, at: Moment) -> bool {
        let stretches = self.pair(pair);
        let begun = stretches.partition_point(|stretch| stretch.from < at);
        begun > 0 && at <= stretches[begun - 1].to
    }

    /// All pairs that have any.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Pair, &[ActiveStretch])> {
        self.0.iter().map(|(pair, of)| (pair, of.as_slice()))
    }
}

/// The recorded stretches of a ledger, those that touch each other as one.
fn live(ledger: &[Interval]) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for interval in ledger.iter().filter(|interval| interval.state == State::Live) {
        match found.last_mut() {
            Some((_, to)) if *to == interval.from => *to = interval.to,
            _ => found.push((interval.from, interval.to)),
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::figures::recorded::tests::interval;
    use krx_protocol::per_issue::Preset;

    pub(crate) fn pair(preset: Preset, code: &str) -> Pair {
        Pair {
            preset,
            code: code.to_owned(),
        }
    }

    /// A pair's state between two seconds.
    pub(crate) fn stretch(
        preset: Preset,
        code: &str,
        (from, to): (i64, i64),
        state: RegistrationState,
        session: Option<u32>,
    ) -> Stretch {
        Stretch {
            pair: pair(preset, code),
            from: Moment(from * 1_000_000),
            to: Moment(to * 1_000_000),
            state,
            session,
            detail: None,
        }
    }

    #[test]
    fn active_is_what_was_registered_and_recorded_within_a_session() {
        use RegistrationState::{Active as On, Requested};
        let of = |from, to, state, session| stretch(Preset::Tick, "005930", (from, to), state, session);
        let registrations = [
            of(0, 10, Requested, Some(1)),
            of(10, 20, On, Some(1)),
            // The server said something: no end.
            of(20, 40, On, Some(1)),
            // Another session, and it lost the pair at once.
            of(40, 50, On, Some(2)),
            of(50, 60, Requested, None),
            of(70, 90, On, Some(3)),
        ];
        let ledger = [
            interval(0, 15, State::Live, "connected"),
            // A disk that refused, within the session.
            interval(15, 18, State::Gap, "disk"),
            interval(18, 30, State::Live, "connected"),
            interval(30, 45, State::Live, "connected"),
            interval(60, 80, State::Live, "connected"),
        ];
        let active = Active::of(&registrations, &ledger);
        let found: Vec<_> = active
            .pair(&pair(Preset::Tick, "005930"))
            .iter()
            .map(|of| (of.session, of.from.0 / 1_000_000, of.to.0 / 1_000_000))
            .collect();
        assert_eq!(found, [(1, 10, 15), (1, 18, 40), (2, 40, 45), (3, 70, 80)]);
        assert_eq!(active.pair(&pair(Preset::Quote, "005930")), []);
        assert_eq!(active.pairs().count(), 1);
    }
}
