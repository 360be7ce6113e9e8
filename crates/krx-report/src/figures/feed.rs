//! A per-issue feed's part of the day: what came of each preset, in which state each pair was, and for how long nothing
//! came of it. Pure.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use krx_protocol::per_issue::{Pair, Preset, RegistrationState};
use krx_store::Moment;
use krx_store::coverage::{Interval, State};
use krx_store::read::{Push, QuarantineRow, Stretch};
use serde::Serialize;

use super::active::{Active, ActiveStretch};
use super::exchange::ExchangeDay;
use super::fold::MINUTES;
use super::lag::Lags;
use super::pauses::{Pause, Pauses};
use super::quarantine::{self, ByReason};
use super::received::{Counted, Received};
use super::recorded::{Span, overlap, until_then};
use crate::time;

const MINUTE_US: i64 = 60_000_000;

/// A pair that was active for a smaller part of what its feed recorded was not active all along.
const PART_MIN: f64 = 0.99;
/// The time that answers take at the start of a session: no shortfall.
const SHORT_MIN_US: i64 = 10_000_000;

/// A per-issue feed's figures for the day.
#[derive(Clone, Debug, Serialize)]
pub struct FeedFacts {
    /// Its name.
    pub feed: String,
    /// Its day in outline.
    #[serde(flatten)]
    pub received: Received,
    /// What came of each preset of which something was wanted or came, in the order of the protocol.
    pub presets: Vec<PresetFacts>,
    /// What was wanted, and what became of it.
    pub registrations: RegistrationFacts,
}

/// What came of a preset.
#[derive(Clone, Debug, Serialize)]
pub struct PresetFacts {
    /// The preset.
    pub preset: Preset,
    /// Issues for which it was wanted.
    pub wanted: u64,
    /// Rows, snapshots among them.
    pub records: u64,
    /// Rows with the state that answered a registration.
    pub snapshots: u64,
    /// The minute with the most rows, from midnight in Korea; `None` without any.
    pub busiest_minute: Option<usize>,
    /// Rows in that minute.
    pub busiest_minute_records: u64,
    /// Rows by the minute of `recv_ts`, 1,440 of them.
    pub records_by_minute: Vec<u64>,
}

/// What was wanted of a feed.
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationFacts {
    /// Whether anything says what was registered.
    pub known: bool,
    /// Until when: on a day in progress, until files were committed.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub known_to: Option<Moment>,
    /// The pairs that were wanted at any time.
    pub wanted: u64,
    /// Pairs that were active and recorded at the beginning of each minute, 1,440 of them.
    pub active_by_minute: Vec<u64>,
    /// Each pair, by preset and code.
    pub pairs: Vec<PairFacts>,
}

/// A pair's day, as the macro `recorded_issues` of `krx.sql` has it, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct PairFacts {
    /// The preset.
    pub preset: Preset,
    /// The issue code.
    pub code: String,
    /// Its last state in a session.
    pub state: RegistrationState,
    /// What the server said of that, if anything.
    pub detail: Option<String>,
    /// Since when it was active and recorded.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub active_from: Option<Moment>,
    /// Until when.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub active_to: Option<Moment>,
    /// For how long in all, s.
    pub active_seconds: f64,
    /// The share of the regular hours so far in which it was; `None` if there have been none.
    pub share: Option<f64>,
    /// Whether it was active in less than 99 % of what its feed recorded of the regular hours while it was wanted.
    pub is_short: bool,
    /// How often the recorder found it silent and registered it again.
    pub asked_again: u64,
    /// Rows, snapshots among them.
    pub records: u64,
    /// Rows with the state that answered a registration.
    pub snapshots: u64,
    /// The longest time in the regular hours before the closing auction in which it was active and nothing came.
    pub longest_pause: Option<Pause>,
    /// Since when nothing came of it, if it was silent for the last ten minutes of those hours, and for three times as long as
    /// ever before; until its end. The issue may have been suspended. Never of `change`, whose items may seldom change.
    pub silent: Option<Pause>,
}

/// A feed's day so far.
#[derive(Debug)]
pub(crate) struct FeedFold {
    midnight_us: i64,
    hours: FeedHours,
    active: Active,
    places: HashMap<Box<str>, usize>,
    issues: Vec<[Option<PairDay>; Preset::ALL.len()]>,
    minutes: [Option<Vec<u64>>; Preset::ALL.len()],
    first: Option<(u64, Moment)>,
    last: Option<(u64, Moment)>,
    lags: Lags,
    quarantine: ByReason,
}

/// KRX's hours, as far as they are over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedHours {
    until: Moment,
    regular: Option<Span>,
    /// Of these, as far as it is known what was registered.
    known: Option<Span>,
    /// Of these, until the closing auction, in which nothing trades.
    continuous: Option<Span>,
    known_to: Option<Moment>,
}

impl FeedHours {
    /// Those of a day, until an instant. What was registered is known until the end of the last stretch.
    pub(crate) fn of(day: &ExchangeDay, registrations: &[Stretch], until: Moment) -> Self {
        let known_to = registrations.iter().map(|stretch| stretch.to).max();
        let known = known_to.map_or(until, |known| known.min(until));
        Self {
            until,
            regular: day.regular(),
            known: until_then(day.regular(), known),
            continuous: until_then(day.continuous(), known),
            known_to,
        }
    }
}

/// A pair's rows so far.
#[derive(Debug)]
struct PairDay {
    pair: Pair,
    records: u64,
    snapshots: u64,
    pauses: Pauses,
}

impl FeedFold {
    /// A feed's day before its first row.
    pub(crate) fn new(date: NaiveDate, active: Active, hours: FeedHours) -> Self {
        Self {
            midnight_us: Moment::midnight(date).0,
            hours,
            active,
            places: HashMap::new(),
            issues: Vec::new(),
            minutes: Default::default(),
            first: None,
            last: None,
            lags: Lags::default(),
            quarantine: ByReason::new(),
        }
    }

    /// When its pairs were active.
    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    /// Lags of trades.
    pub(crate) fn lags(&self) -> &Lags {
        &self.lags
    }

    /// The same, when the rest is no longer needed.
    pub(crate) fn into_active(self) -> Active {
        self.active
    }

    /// Counts a row; those of each pair come in order. Returns the pair, and the stretch in which it was active then.
    pub(crate) fn row(&mut self, push: &Push<'_>) -> (&Pair, Option<ActiveStretch>) {
        self.received(push.frame, push.recv);
        let minute = time::minute_of(self.midnight_us, push.recv);
        self.minutes[push.preset as usize].get_or_insert_with(|| vec![0; MINUTES])[minute] += 1;
        if let Some(ms) = push.trade_ts.filter(|_| push.kind == "trade") {
            self.lags.trade(push.recv, ms);
        }
        let place = match self.places.get(push.code) {
            Some(place) => *place,
            None => {
                self.places.insert(push.code.into(), self.issues.len());
                self.issues.push(Default::default());
                self.issues.len() - 1
            }
        };
        let of = self.issues[place][push.preset as usize].get_or_insert_with(|| {
            let pair = Pair {
                preset: push.preset,
                code: push.code.to_owned(),
            };
            PairDay {
                records: 0,
                snapshots: 0,
                pauses: Pauses::new(self.active.pair(&pair)),
                pair,
            }
        });
        of.records += 1;
        of.snapshots += u64::from(push.is_snapshot());
        let stretch = of.pauses.stretch(push.session, push.recv);
        // A state that was asked for is no sign that anything is sent.
        if let Some(hours) = self
            .hours
            .continuous
            .filter(|_| stretch.is_some() && !push.is_snapshot())
        {
            of.pauses.row(push.recv, hours);
        }
        (&of.pair, stretch)
    }

    /// Counts a row of quarantine.
    pub(crate) fn quarantined(&mut self, row: &QuarantineRow) {
        self.received(row.frame, row.recv);
        quarantine::add(&mut self.quarantine, row);
    }

    fn received(&mut self, frame: u64, recv: Moment) {
        if self.first.is_none_or(|(first, _)| frame < first) {
            self.first = Some((frame, recv));
        }
        if self.last.is_none_or(|(last, _)| frame > last) {
            self.last = Some((frame, recv));
        }
    }

    /// The figures after all rows. `registrations` are `None` when nothing says what was registered.
    pub(crate) fn facts(
        &self,
        feed: &str,
        registrations: Option<&[Stretch]>,
        ledger: Vec<Interval>,
    ) -> FeedFacts {
        let counted = Counted {
            records: self.minutes.iter().flatten().flatten().sum(),
            issues: self.issues.len() as u64,
            first: self.first.map(|(_, recv)| recv),
            last: self.last.map(|(_, recv)| recv),
            lags: &self.lags,
            quarantine: &self.quarantine,
        };
        let registrations = self.registrations(registrations, &ledger);
        FeedFacts {
            feed: feed.to_owned(),
            received: Received::new(feed, counted, ledger, self.hours.regular, self.hours.until),
            presets: self.presets(&registrations),
            registrations,
        }
    }

    fn rows_of(&self, pair: &Pair) -> Option<&PairDay> {
        let place = self.places.get(&*pair.code)?;
        self.issues[*place][pair.preset as usize].as_ref()
    }

    fn presets(&self, registrations: &RegistrationFacts) -> Vec<PresetFacts> {
        let none = vec![0; MINUTES];
        let of = |preset: Preset| {
            let pairs = registrations.pairs.iter().filter(|pair| pair.preset == preset);
            let minutes = self.minutes[preset as usize].as_ref().unwrap_or(&none);
            let busiest = (0..MINUTES).max_by_key(|minute| (minutes[*minute], MINUTES - minute));
            let busiest = busiest.filter(|minute| minutes[*minute] > 0);
            let days = self.issues.iter().filter_map(|of| of[preset as usize].as_ref());
            PresetFacts {
                preset,
                wanted: pairs.count() as u64,
                records: minutes.iter().sum(),
                snapshots: days.map(|day| day.snapshots).sum(),
                busiest_minute: busiest,
                busiest_minute_records: busiest.map_or(0, |minute| minutes[minute]),
                records_by_minute: minutes.clone(),
            }
        };
        let some = |facts: &PresetFacts| facts.wanted + facts.records > 0;
        Preset::ALL.into_iter().map(of).filter(some).collect()
    }

    fn registrations(&self, registrations: Option<&[Stretch]>, ledger: &[Interval]) -> RegistrationFacts {
        let mut wanted: BTreeMap<&Pair, Vec<&Stretch>> = BTreeMap::new();
        for stretch in registrations.unwrap_or_default() {
            wanted.entry(&stretch.pair).or_default().push(stretch);
        }
        let pairs: Vec<PairFacts> = wanted
            .into_iter()
            .filter_map(|(pair, stretches)| self.pair(pair, &stretches, ledger))
            .collect();
        RegistrationFacts {
            known: registrations.is_some(),
            known_to: self.hours.known_to,
            wanted: pairs.len() as u64,
            active_by_minute: self.active_by_minute(),
            pairs,
        }
    }

    /// A pair's day.
    fn pair(&self, pair: &Pair, stretches: &[&Stretch], ledger: &[Interval]) -> Option<PairFacts> {
        let last = stretches
            .iter()
            .max_by_key(|stretch| (stretch.session.is_some(), stretch.from, stretch.to))?;
        let active = self.active.pair(pair);
        let us: i64 = active.iter().map(|stretch| stretch.to.0 - stretch.from.0).sum();
        let within = |hours: Span| -> i64 { active.iter().map(|stretch| stretch.within(hours)).sum() };
        let regular = until_then(self.hours.regular, self.hours.until);
        let share = regular.map(|hours| within(hours) as f64 / (hours.1.0 - hours.0.0) as f64);
        let wanted = self.hours.known.map(|(from, to)| {
            let first = stretches.iter().map(|stretch| stretch.from).min();
            let end = stretches.iter().map(|stretch| stretch.to).max();
            (
                first.map_or(from, |first| first.max(from)),
                end.map_or(to, |end| end.min(to)),
            )
        });
        let is_short = wanted.is_some_and(|wanted| {
            let live = ledger.iter().filter(|interval| interval.state == State::Live);
            let recorded: i64 = live.map(|interval| overlap(interval, wanted)).sum();
            let missing = recorded - within(wanted);
            missing > SHORT_MIN_US && missing as f64 > (1.0 - PART_MIN) * recorded as f64
        });
        let rows = self.rows_of(pair);
        let (longest_pause, silent) = match (self.hours.continuous, rows) {
            (None, _) => (None, None),
            (Some(hours), Some(rows)) => rows.pauses.finish(hours),
            (Some(hours), None) => Pauses::new(active).finish(hours),
        };
        let silent_states = stretches
            .iter()
            .filter(|stretch| stretch.state == RegistrationState::Silent);
        Some(PairFacts {
            preset: pair.preset,
            code: pair.code.clone(),
            state: last.state,
            detail: last.detail.clone().filter(|detail| !detail.is_empty()),
            active_from: active.first().map(|stretch| stretch.from),
            active_to: active.last().map(|stretch| stretch.to),
            active_seconds: us as f64 / 1e6,
            share,
            is_short,
            asked_again: silent_states.count() as u64,
            records: rows.map_or(0, |rows| rows.records),
            snapshots: rows.map_or(0, |rows| rows.snapshots),
            longest_pause,
            silent: silent.filter(|_| pair.preset != Preset::Change),
        })
    }

    fn active_by_minute(&self) -> Vec<u64> {
        let mut minutes = vec![0; MINUTES];
        for (_, stretches) in self.active.pairs() {
            for stretch in stretches {
                // From the first minute that begins in it to the last.
                let place = |at: Moment| {
                    let minute = (at.0 - self.midnight_us + MINUTE_US - 1).div_euclid(MINUTE_US);
                    usize::try_from(minute).map_or(0, |minute| minute.min(MINUTES))
                };
                let (from, to) = (place(stretch.from), place(stretch.to));
                for minute in &mut minutes[from..to.max(from)] {
                    *minute += 1;
                }
            }
        }
        minutes
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
