//! Whether a date's derived rows are what the committed files give.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use chrono::NaiveDate;

use super::inputs::{Input, Inputs};
use super::kind::Derived;
use super::make::{CLOSED, SESSION, made_of, rows};
use super::session::Session;
use super::source::Halt;
use crate::dataset::DatasetSpec;
use crate::date_file;
use crate::day::Watch;
use crate::error::StoreError;
use crate::layout::DataDir;

/// The result of comparing a date's file with the committed files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// There is no file.
    Nothing,
    /// Part of the date is not sealed, so the file is about to be made again.
    NotSealed,
    /// It has the rows that the committed files give.
    Sound,
    /// Some of the files it was made of are gone; why.
    NotComparable(String),
    /// It has other rows, or was made of other files.
    Wrong(String),
}

/// Compares a date's file with what the committed files give.
///
/// # Errors
/// [`StoreError`], when the file, or one it is made of, cannot be read.
pub(crate) fn check(data: &DataDir, derived: Derived, date: NaiveDate) -> Result<Checked, StoreError> {
    let Some(file) = date_file::read(data, derived.dataset(), date)? else {
        return Ok(Checked::Nothing);
    };
    let session = file.says.get(SESSION).and_then(|text| match text.as_str() {
        CLOSED => Some(None),
        text => text.parse::<Session>().ok().map(Some),
    });
    let (Some(made_of), Some(session)) = (made_of(&file.says), session) else {
        return Ok(Checked::Wrong(
            "its footer does not say what it was made of".to_owned(),
        ));
    };
    let Some(inputs) = Inputs::of(data, derived, date)? else {
        return Ok(Checked::NotSealed);
    };
    let expired = inputs.expired(data, date, &made_of);
    if let Some(first) = expired.first() {
        return Ok(Checked::NotComparable(format!(
            "it cannot be checked: it was made of {first}, which retention has removed"
        )));
    }
    if let Some(what) = difference(&made_of, &inputs.files) {
        return Ok(Checked::Wrong(format!("{what}; `seal` makes it again")));
    }
    let made = match rows(data, derived, date, &inputs, session.as_ref(), Watch::nobody()) {
        Ok(made) => made,
        // Nobody asks it to stop.
        Err(Halt::Stopped) => return Ok(Checked::NotSealed),
        Err(Halt::Failed(error)) => return Err(error),
    };
    Ok(match differing_row(derived.dataset(), &file.batches, &made) {
        None => Checked::Sound,
        Some(row) => Checked::Wrong(format!(
            "its row {row} is not what the trades give; `rebuild` makes it again"
        )),
    })
}

/// How the files that rows were made of differ from those there are now; `None` if they do not.
fn difference(before: &[Input], now: &[Input]) -> Option<String> {
    let lacks = |of: &[Input], input: &Input| !of.iter().any(|other| other.path == input.path);
    if let Some(new) = now.iter().find(|input| lacks(before, input)) {
        return Some(format!("it was made without {}", new.path));
    }
    if let Some(old) = before.iter().find(|input| lacks(now, input)) {
        return Some(format!("it was made of {}, which is gone", old.path));
    }
    let changed = before.iter().find(|input| !now.contains(input))?;
    Some(format!("{} has changed since it was made", changed.path))
}

/// The first row in which a file differs from what was made.
fn differing_row(dataset: &DatasetSpec, found: &[RecordBatch], made: &[RecordBatch]) -> Option<usize> {
    let schema = dataset.schema();
    let (Ok(found), Ok(made)) = (concat_batches(&schema, found), concat_batches(&schema, made)) else {
        return Some(0);
    };
    if found == made {
        return None;
    }
    let rows = found.num_rows().min(made.num_rows());
    let differs = |row: &usize| found.slice(*row, 1) != made.slice(*row, 1);
    Some((0..rows).find(differs).unwrap_or(rows))
}
