//! Making a date's derived rows again.

use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;

use super::access::Access;
use super::report::Lost;
use crate::date_file;
use crate::day::Watch;
use crate::derived::{Checked, Derived, Outcome, Plan, Sessions, check, derive, is_wanted, plan};
use crate::error::StoreError;
use crate::layout::DataDir;

/// What was done, or would be done, to the derived datasets of a date.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Remade {
    /// Files that have the rows that the committed files give.
    pub identical: u64,
    /// Files that were missing, damaged or wrong, and have been made again; paths relative to the data directory.
    pub restored: Vec<String>,
    /// Files that cannot be checked, because the date is not sealed or retention has removed files they were made of.
    pub unchecked: u64,
    /// Files that cannot be made, and why.
    pub lost: Vec<Lost>,
}

/// Compares the derived rows of a date with what its committed files give, and makes again what is missing or wrong; with
/// `dry_run` it only reports. Without `bars`, minute bars are only looked at where there are some already.
///
/// # Errors
/// [`StoreError`], when the disk refuses.
pub fn rebuild_derived(
    data: &DataDir,
    date: NaiveDate,
    access: &Access,
    sessions: &Sessions,
    bars: bool,
    dry_run: bool,
) -> Result<Remade, StoreError> {
    let mut remade = Remade::default();
    for derived in Derived::ALL {
        if !is_wanted(data, derived, date, bars) {
            continue;
        }
        let path = date_file::path(data, derived.dataset(), date);
        let relative = data.relative(&path);
        match one(access, data, derived, date, sessions, dry_run, &path) {
            Ok(Outcome::UpToDate) => remade.identical += 1,
            Ok(Outcome::Made(_)) => remade.restored.push(relative),
            Ok(Outcome::Kept) => remade.unchecked += 1,
            Ok(Outcome::NotSealed) if path.exists() => remade.unchecked += 1,
            Ok(_) => {}
            Err(error @ StoreError::Unsound { .. }) => remade.lost.push(Lost {
                path: relative,
                detail: format!("it cannot be made: {error}"),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(remade)
}

fn one(
    access: &Access,
    data: &DataDir,
    derived: Derived,
    date: NaiveDate,
    sessions: &Sessions,
    dry_run: bool,
    path: &Path,
) -> Result<Outcome, StoreError> {
    let anew = match check(data, derived, date) {
        Ok(checked) => matches!(checked, Checked::Wrong(_)),
        Err(StoreError::Unsound { path: of, .. }) => of == *path,
        Err(error) => return Err(error),
    };
    if dry_run {
        return Ok(match plan(data, derived, date, sessions, anew)? {
            Plan::Done(outcome) => outcome,
            Plan::Make(_) => Outcome::Made(crate::derived::Made::default()),
        });
    }
    derive(&access.sealing, derived, date, sessions, anew, Watch::nobody())
}
