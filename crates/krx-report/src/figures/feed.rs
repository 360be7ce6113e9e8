//! A per-issue feed's part of the day: what came of each preset, in which state each pair was, and for how long nothing
//! came of it. Pure.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use krx_protocol::per_issue::{Pair, Preset, RegistrationState};
use krx_store::Moment;
use krx_store::coverage::Interval;
use krx_store::read::{Push, QuarantineRow, Stretch};
use serde::Serialize;

use super::active::{Active, ActiveStretch};
use super::fold::MINUTES;
use super::lag::Lags;
use super::pauses::{CLOSING_AUCTION_US, Pause, Pauses};
use super::quarantine::{self, ByReason};
use super::received::{Counted, Received};
use super::recorded::Span;
use crate::time;

const MINUTE_US: i64 = 60_000_000;

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
    /// How often the recorder found it silent and asked for it again.
    pub asked_again: u64,
    /// Rows, snapshots among them.
    pub records: u64,
    /// The longest time in the regular hours before the closing auction in which it was active and nothing came.
    pub longest_pause: Option<Pause>,
    /// Since when nothing came of it, if it was active to the end of those hours and had been silent for ten minutes, and for
    /// three times as long as ever before. The issue may have been suspended.
    pub silent: Option<Pause>,
}

/// A feed's day so far.
#[derive(Debug)]
pub(crate) struct FeedFold {
    midnight_us: i64,
    /// The regular hours so far, without the closing auction.
    hours: Option<Span>,
    active: Active,
    places: HashMap<Box<str>, usize>,
    issues: Vec<[Option<PairDay>; Preset::ALL.len()]>,
    minutes: [Option<Vec<u64>>; Preset::ALL.len()],
    first: Option<(u64, Moment)>,
    last: Option<(u64, Moment)>,
    lags: Lags,
    quarantine: ByReason,
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
    /// A feed's day before its first row. `regular` are the regular hours so far.
    pub(crate) fn new(date: NaiveDate, active: Active, regular: Option<Span>, until: Moment) -> Self {
        let hours = regular.map(|(from, to)| (from, Moment(to.0 - CLOSING_AUCTION_US).min(until)));
        Self {
            midnight_us: Moment::midnight(date).0,
            hours: hours.filter(|(from, to)| from < to),
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

    /// The same, when the rest is no longer needed.
    pub(crate) fn into_active(self) -> Active {
        self.active
    }

    /// Counts a row; those of each pair come in order. Returns the pair, and the stretch in which it was active then.
    pub(crate) fn row(&mut self, push: &Push<'_>) -> (&Pair, Option<ActiveStretch>) {
        self.received(push.frame, push.recv);
        let minute = push.recv.0.saturating_sub(self.midnight_us).div_euclid(MINUTE_US);
        let minute = usize::try_from(minute).map_or(0, |minute| minute.min(MINUTES - 1));
        self.minutes[push.preset as usize].get_or_insert_with(|| vec![0; MINUTES])[minute] += 1;
        if let Some(ms) = push.trade_ts.filter(|_| push.kind == "trade") {
            self.lags.add(push.recv.0.saturating_sub(ms.saturating_mul(1000)));
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
        if let Some(hours) = self.hours.filter(|_| stretch.is_some() && !push.is_snapshot()) {
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
        regular: Option<Span>,
        until: Moment,
    ) -> FeedFacts {
        let counted = Counted {
            records: self
                .all_minutes()
                .map(|(_, minutes)| minutes.iter().sum::<u64>())
                .sum(),
            issues: self.issues.len() as u64,
            first: self.first.map(|(_, recv)| recv),
            last: self.last.map(|(_, recv)| recv),
            lags: &self.lags,
            quarantine: &self.quarantine,
        };
        let regular_so_far = regular
            .map(|(from, to)| (from, to.min(until)))
            .filter(|(from, to)| from < to);
        let registrations = self.registrations(registrations, regular_so_far);
        FeedFacts {
            feed: feed.to_owned(),
            received: Received::new(feed, counted, ledger, regular, until),
            presets: self.presets(&registrations),
            registrations,
        }
    }

    fn all_minutes(&self) -> impl Iterator<Item = (Preset, &Vec<u64>)> {
        let all = Preset::ALL.into_iter().zip(&self.minutes);
        all.filter_map(|(preset, minutes)| Some((preset, minutes.as_ref()?)))
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

    fn registrations(&self, registrations: Option<&[Stretch]>, regular: Option<Span>) -> RegistrationFacts {
        let mut wanted: BTreeMap<&Pair, Vec<&Stretch>> = BTreeMap::new();
        for stretch in registrations.unwrap_or_default() {
            wanted.entry(&stretch.pair).or_default().push(stretch);
        }
        let pairs: Vec<PairFacts> = wanted
            .into_iter()
            .filter_map(|(pair, stretches)| self.pair(pair, &stretches, regular))
            .collect();
        RegistrationFacts {
            known: registrations.is_some(),
            wanted: pairs.len() as u64,
            active_by_minute: self.active_by_minute(),
            pairs,
        }
    }

    fn pair(&self, pair: &Pair, stretches: &[&Stretch], regular: Option<Span>) -> Option<PairFacts> {
        let last = stretches
            .iter()
            .max_by_key(|stretch| (stretch.session.is_some(), stretch.from, stretch.to))?;
        let active = self.active.pair(pair);
        let us: i64 = active.iter().map(|stretch| stretch.to.0 - stretch.from.0).sum();
        let share = regular.map(|hours| {
            let within: i64 = active.iter().map(|stretch| stretch.within(hours)).sum();
            within as f64 / (hours.1.0 - hours.0.0) as f64
        });
        let rows = self.rows_of(pair);
        let (longest_pause, silent) = match (self.hours, rows) {
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
            asked_again: silent_states.count() as u64,
            records: rows.map_or(0, |rows| rows.records),
            longest_pause,
            silent,
        })
    }

    fn active_by_minute(&self) -> Vec<u64> {
        let mut minutes = vec![0; MINUTES];
        for (_, stretches) in self.active.pairs() {
            for stretch in stretches {
                // Those whose beginning lies in it.
                let from = (stretch.from.0 - self.midnight_us).max(0);
                let from = from / MINUTE_US + i64::from(from % MINUTE_US > 0);
                let to = (stretch.to.0 - self.midnight_us).max(0);
                let to = to / MINUTE_US + i64::from(to % MINUTE_US > 0);
                let place =
                    |minute: i64| usize::try_from(minute).map_or(MINUTES, |minute| minute.min(MINUTES));
                for minute in &mut minutes[place(from)..place(to).max(place(from))] {
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
