//! Making a date's derived rows, and putting them in place.

use std::collections::BTreeSet;
use std::fs;

use arrow_array::RecordBatch;
use chrono::{Days, NaiveDate};
use tracing::info;

use super::inputs::{Input, Inputs};
use super::kind::Derived;
use super::session::{Session, Sessions};
use super::source::Halt;
use super::{bars, daily};
use crate::catalog;
use crate::date_file::{self, KeyValues};
use crate::day::{Sealing, Watch};
use crate::error::{StoreError, at};
use crate::layout::DataDir;

/// The key under which a footer has the files that its rows are made of.
const DERIVED_FROM: &str = "derived_from";

/// The key under which it has the regular session that its rows cover.
pub(super) const SESSION: &str = "regular_session";

/// Its value on a day on which KRX is closed.
pub(super) const CLOSED: &str = "closed";

/// The result of making a date's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are no trades of this date.
    Nothing,
    /// The date is not sealed.
    NotSealed,
    /// There is a file, made of the same committed files and hours.
    UpToDate,
    /// There is a file, but retention has removed files that it was made of.
    Kept,
    /// Retention has removed the file.
    Expired,
    /// The rows were made.
    Made(Made),
    /// The caller asked it to stop; nothing has changed.
    Stopped,
}

/// A file of derived rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The file, relative to the data directory.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Makes a date's rows, unless there is a file made of the same committed files and hours; with `anew` it makes them in any
/// case. If it is killed at any point, either the file from before is there or the new one.
///
/// # Errors
/// [`StoreError`], when a file they are made of cannot be read, or the disk refuses: what was there stays.
pub fn derive(
    sealing: &Sealing,
    derived: Derived,
    date: NaiveDate,
    sessions: &Sessions,
    anew: bool,
    watch: Watch<'_>,
) -> Result<Outcome, StoreError> {
    let (data, session) = (sealing.data(), derived.session(sessions));
    let inputs = match plan(data, derived, date, sessions, anew)? {
        Plan::Make(inputs) => inputs,
        Plan::Done(outcome) => return Ok(outcome),
    };
    let batches = match rows(data, derived, date, &inputs, session.as_ref(), watch) {
        Ok(batches) => batches,
        Err(Halt::Stopped) => return Ok(Outcome::Stopped),
        Err(Halt::Failed(error)) => return Err(error),
    };
    // A recorder may have added files meanwhile, or replaced coverage.
    if Inputs::of(data, derived, date)?.is_none_or(|now| now.files != inputs.files) {
        return Ok(Outcome::NotSealed);
    }
    sealing.look_for_room(0)?;
    let says = says(&inputs, session.as_ref());
    let path = date_file::replace(data, derived.dataset(), date, &batches, &says)?;
    let bytes = fs::metadata(&path)
        .map_err(at("reading the size of", &path))?
        .len();
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    info!(dataset = derived.dataset().name, %date, rows, bytes, "made of the sealed date");
    Ok(Outcome::Made(Made {
        path: data.relative(&path),
        rows,
        bytes,
    }))
}

/// What is to be made in the `days` dates up to and including `last`, earliest first. Without `bars`, minute bars are only
/// kept up to date where there are some already. Dates that are not sealed are left out.
///
/// # Errors
/// [`StoreError`], when a directory cannot be listed.
pub fn due(
    data: &DataDir,
    last: NaiveDate,
    days: u64,
    sessions: &dyn Fn(NaiveDate) -> Sessions,
    bars: bool,
) -> Result<Vec<(NaiveDate, Derived)>, StoreError> {
    let first = last.checked_sub_days(Days::new(days.saturating_sub(1)));
    let mut found = Vec::new();
    for derived in Derived::ALL {
        let mut dates = BTreeSet::new();
        for dataset in derived.sources() {
            dates.append(&mut catalog::dates(data, dataset)?);
        }
        dates.retain(|date| *date <= last && first.is_none_or(|first| first <= *date));
        for date in dates {
            if is_wanted(data, derived, date, bars) {
                // What cannot be examined is tried, so that the reason is reported.
                let plan = plan(data, derived, date, &sessions(date), false);
                if !matches!(plan, Ok(Plan::Done(_))) {
                    found.push((date, derived));
                }
            }
        }
    }
    found.sort_by_key(|(date, _)| *date);
    Ok(found)
}

/// Whether the rows of a date are wanted at all: minute bars only with `bars`, or where there are some already.
pub(crate) fn is_wanted(data: &DataDir, derived: Derived, date: NaiveDate, bars: bool) -> bool {
    derived != Derived::Bars || bars || date_file::path(data, derived.dataset(), date).exists()
}

/// What is to be done about a date.
pub(crate) enum Plan {
    /// Nothing.
    Done(Outcome),
    /// Its rows are to be made of these files.
    Make(Inputs),
}

/// Decides what is to be done about a date.
pub(crate) fn plan(
    data: &DataDir,
    derived: Derived,
    date: NaiveDate,
    sessions: &Sessions,
    anew: bool,
) -> Result<Plan, StoreError> {
    let dataset = derived.dataset();
    let is_there = date_file::path(data, dataset, date).exists();
    if !is_there && data.expired(dataset, date).exists() {
        return Ok(Plan::Done(Outcome::Expired));
    }
    let Some(inputs) = Inputs::of(data, derived, date)? else {
        return Ok(Plan::Done(Outcome::NotSealed));
    };
    let before = match date_file::says(data, dataset, date) {
        // Damaged: it is made again.
        Err(StoreError::Unsound { .. }) => None,
        says => says?,
    };
    let made_of = before.as_ref().and_then(made_of);
    if made_of.is_some_and(|made_of| !inputs.expired(data, date, &made_of).is_empty()) {
        return Ok(Plan::Done(Outcome::Kept));
    }
    if inputs.is_empty() {
        return Ok(Plan::Done(Outcome::Nothing));
    }
    let says = says(&inputs, derived.session(sessions).as_ref());
    let is_same = |before: &KeyValues| says.iter().all(|(key, value)| before.get(key) == Some(value));
    if !anew && before.as_ref().is_some_and(is_same) {
        return Ok(Plan::Done(Outcome::UpToDate));
    }
    Ok(Plan::Make(inputs))
}

/// The rows that committed files give.
pub(super) fn rows(
    data: &DataDir,
    derived: Derived,
    date: NaiveDate,
    inputs: &Inputs,
    session: Option<&Session>,
    watch: Watch<'_>,
) -> Result<Vec<RecordBatch>, Halt> {
    let (dataset, parts) = (derived.dataset(), inputs.parts(data, date)?);
    match derived {
        Derived::Daily => Ok(vec![daily::rows::<i64>(dataset, &parts, session, watch)?]),
        Derived::DailyDerivatives => Ok(vec![daily::rows::<f64>(dataset, &parts, session, watch)?]),
        Derived::Bars => bars::rows(dataset, &parts, session, watch),
    }
}

/// What the footer says about the rows.
fn says(inputs: &Inputs, session: Option<&Session>) -> KeyValues {
    let session = session.map_or_else(|| CLOSED.to_owned(), ToString::to_string);
    [(DERIVED_FROM, inputs.text()), (SESSION, session)]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// The files that a file was made of; `None` if its footer does not say.
pub(super) fn made_of(says: &KeyValues) -> Option<Vec<Input>> {
    serde_json::from_str(says.get(DERIVED_FROM)?).ok()
}
