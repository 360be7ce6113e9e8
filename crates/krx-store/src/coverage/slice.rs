//! What one committed file adds to its date's ledger, as stored in its footer; and the ledger, rebuilt from the footers
//! of all files.
//!
//! ```text
//!   ledger:   idle │ start │ connected ······················ │ reset │ connected ···
//!   slices:   ├──── file 1 ─────────┤├─────── file 2 ────────┤├──── file 3 ────┤        (frames of file 4 to come)
//! ```
//!
//! A slice begins where the one before it ends. It may take back the end of that one, since a lost session is noticed
//! only some time later. Where a file's slice is missing, its stretch of time is a gap: what a ledger calls live, the
//! files hold (I8).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::interval::{Interval, Reason, State};
use super::ledger::Ledger;
use super::state::{LedgerState, Told, bounds};
use crate::dataset::Footer;
use crate::moment::Moment;

/// The version in which [`Slice`] and [`LedgerState`] are stored.
pub(super) const VERSION: u32 = 1;

/// What a committed file adds to its date's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    version: u32,
    rows: Vec<Row>,
    /// How many intervals at the end of the ledger were still open then.
    open_rows: usize,
    /// The ledger's state after the file, without what the rows say.
    state: LedgerState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    interval: Interval,
    /// Whether it continues an interval that began in earlier slices.
    continues: bool,
}

impl Slice {
    /// As JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a slice is plain data")
    }

    /// The slice in a file's footer; `None` when there is none, or it is damaged or of another version.
    pub(crate) fn of(footer: &Footer) -> Option<Self> {
        Self::parse(footer.slice.as_deref()?)
    }

    /// Parses a slice; `None` when it is damaged or of another version.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json)
            .ok()
            .filter(|slice: &Self| slice.version == VERSION)
    }

    /// The number of the last journal segment that is folded in; 0 when unknown.
    pub(crate) fn segment(&self) -> u32 {
        self.state
            .position()
            .map_or(0, |position| position.segment.number)
    }

    /// The intervals of the slice.
    pub(crate) fn intervals(&self) -> impl Iterator<Item = &Interval> {
        self.rows.iter().map(|row| &row.interval)
    }

    /// One slice in place of several consecutive ones.
    pub(crate) fn merge(date: NaiveDate, slices: &[Self]) -> Option<Self> {
        let last = slices.last()?;
        let merged = Merged::of(date, slices);
        let rows = merged.rows.into_iter().map(|interval| Row {
            interval,
            continues: false,
        });
        Some(Self {
            version: VERSION,
            rows: rows.collect(),
            open_rows: last.open_rows.min(merged.whole_rows),
            state: last.state.clone(),
        })
    }
}

impl Ledger {
    /// What a file that is about to be committed adds; from here on the ledger counts it as stored.
    pub(crate) fn commit(&mut self) -> Slice {
        let all = self.intervals();
        let told = std::mem::take(&mut self.state_mut().told);
        let rows = news(&told.open, &all[told.closed.min(all.len())..]);
        let closed = self.closed_len();
        self.state_mut().told = Told {
            closed,
            open: all[closed..].to_vec(),
        };
        let open_rows = all.len() - closed;
        Slice {
            version: VERSION,
            rows,
            open_rows,
            state: self.parts().1.without_rows(open_rows > 0),
        }
    }

    /// The ledger according to the footers of a date's files, in order of their frames; `None` without any.
    pub(crate) fn of_slices(date: NaiveDate, slices: &[Slice]) -> Option<Self> {
        let last = slices.last()?;
        let merged = Merged::of(date, slices);
        let open_rows = last.open_rows.min(merged.whole_rows);
        let mut ledger = Self::from_rows(date, merged.rows, open_rows, last.state.clone());
        let (closed, open) = (ledger.closed_len(), ledger.intervals());
        ledger.state_mut().told = Told {
            closed,
            open: open[closed..].to_vec(),
        };
        Some(ledger)
    }

    /// Takes over what `later`, a ledger of the same frames, has after this one: events only.
    pub(crate) fn graft(&mut self, later: &Self) {
        let (closed, state) = later.parts();
        let all = later.intervals();
        let known = self.intervals();
        let mut merged = Merged {
            whole_rows: known.len(),
            rows: known,
        };
        for row in news(&state.told.open, &all[state.told.closed.min(all.len())..]) {
            merged.push(row, bounds(self.date()).0);
        }
        let open_rows = (all.len() - closed.len()).min(merged.whole_rows);
        let told = self.parts().1.told.clone();
        *self = Self::from_rows(self.date(), merged.rows, open_rows, state.clone());
        self.state_mut().told = told;
    }
}

/// What is new in `now`; `before` are the rows of the interval that was open, as they were stored.
fn news(before: &[Interval], now: &[Interval]) -> Vec<Row> {
    let mut rows = Vec::new();
    // True while rows are what was stored, or continuations of it.
    let mut same = true;
    for (index, row) in now.iter().enumerate() {
        let is_last = index + 1 == before.len();
        let told = before.get(index).filter(|told| same && is_one(told, row));
        let told = told.filter(|told| !is_reworded(told, row, is_last));
        let Some(told) = told else {
            same = false;
            rows.push(Row {
                interval: row.clone(),
                continues: false,
            });
            continue;
        };
        // A row that was cut short shows it by the row after it, which begins before the stored one ends. Without such
        // a row, as when a session resumed a microsecond ago, it replaces the stored one.
        same = row.to >= told.to;
        if !same && index + 1 == now.len() && row.frames == 0 {
            rows.push(Row {
                interval: row.clone(),
                continues: false,
            });
        } else if row.to > told.to || row.frames > told.frames {
            rows.push(Row {
                interval: Interval {
                    from: told.to,
                    frames: row.frames - told.frames,
                    rows: row.rows - told.rows,
                    ..row.clone()
                },
                continues: true,
            });
        }
    }
    rows
}

/// Whether a stored row now says something else that appending would not show: failed attempts to connect are counted
/// in the detail of every piece of a gap, including those before the opening.
fn is_reworded(told: &Interval, now: &Interval, is_last: bool) -> bool {
    told.detail != now.detail && now.reason != Reason::Unknown && !(is_last && now.to > told.to)
}

/// Whether two rows belong to the same interval.
fn is_one(a: &Interval, b: &Interval) -> bool {
    (a.from, a.state, a.reason, a.session) == (b.from, b.state, b.reason, b.session)
}

/// Slices being joined.
struct Merged {
    rows: Vec<Interval>,
    /// Rows after the last stretch that is in no slice.
    whole_rows: usize,
}

impl Merged {
    fn of(date: NaiveDate, slices: &[Slice]) -> Self {
        let mut merged = Self {
            rows: Vec::new(),
            whole_rows: 0,
        };
        let midnight = bounds(date).0;
        // A gap is noticed later than it began, but never begins before a frame that was present.
        let mut floor = midnight;
        for slice in slices {
            for row in &slice.rows {
                let end = merged.rows.last().map_or(midnight, |last| last.to);
                if row.interval.from > end {
                    merged.rows.push(hole(end, row.interval.from));
                    merged.whole_rows = 0;
                }
                merged.push(row.clone(), floor);
            }
            floor = floor.max(slice.state.last_frame_at());
        }
        merged
    }

    /// Adds a row of a file whose earlier files have frames up to `floor`: a file exported while those were missing
    /// calls their time a gap.
    fn push(&mut self, row: Row, floor: Moment) {
        let Row {
            mut interval,
            continues,
        } = row;
        if interval.from < floor {
            interval.from = floor;
            if interval.to <= floor && interval.frames == 0 {
                return;
            }
            interval.to = interval.to.max(floor);
        }
        let end = self.rows.last().map_or(interval.from, |last| last.to);
        if interval.reason == Reason::Unknown && interval.from < end {
            // What another file knows takes precedence.
            interval.from = end;
            if interval.to <= end {
                return;
            }
        }
        while let Some(last) = self.rows.last_mut().filter(|last| last.to > interval.from) {
            if last.from < interval.from || last.frames > 0 {
                last.to = interval.from.max(last.from);
                interval.from = last.to;
                interval.to = interval.to.max(interval.from);
                break;
            }
            self.rows.pop();
            self.whole_rows = self.whole_rows.saturating_sub(1);
        }
        match self.rows.last_mut() {
            Some(last)
                if continues
                    && (last.state, last.reason, last.session)
                        == (interval.state, interval.reason, interval.session) =>
            {
                last.to = interval.to;
                last.frames += interval.frames;
                last.rows += interval.rows;
                last.detail = interval.detail;
            }
            _ => {
                self.rows.push(interval);
                self.whole_rows += 1;
            }
        }
    }
}

fn hole(from: Moment, to: Moment) -> Interval {
    Interval {
        from,
        to,
        state: State::Gap,
        reason: Reason::Unknown,
        session: None,
        frames: 0,
        rows: 0,
        detail: Some("a file that held it is missing or damaged".to_owned()),
    }
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
