//! Whether a sealed day's rows are laid out as its footer says.

use std::cmp::Ordering::{Greater, Less};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};

use crate::dataset::{Dataset, DayFooter, GroupOrder};

/// Checks rows in the order in which they lie in the file. Within a row group (`frame`, `item`) rises, and the codes of a
/// run's row groups ascend; or, in a dataset that is sorted, (code, `frame`, `item`) rises within a run. No (`frame`, `item`)
/// occurs twice in a run, and a run's frames come after those of the run before it. Only the places of one run are held
/// in memory.
pub(crate) struct RunOrder {
    /// The column that divides the day.
    key: &'static str,
    group_order: GroupOrder,
    /// The number of rows in the runs still to come, the next one last; the same for the row groups.
    runs: Vec<u64>,
    groups: Vec<u64>,
    /// Rows still to come in the current run and row group.
    left: u64,
    group_left: u64,
    /// The last row of the current row group, or of the current run if it is sorted.
    last_place: Option<(i64, i16)>,
    /// The greatest code of the current row group, and of the one before it in the run. If the run is sorted, that of the
    /// run so far, and nothing.
    greatest: String,
    greatest_before: String,
    places: Vec<(i64, i16)>,
    /// The last frame of the run before, or the frame before the first that the day covers.
    behind: i64,
    /// The last frame that the day covers.
    last: i64,
    row: u64,
}

impl RunOrder {
    /// For a day whose row groups have this many rows each.
    pub(crate) fn new(dataset: Dataset, day: &DayFooter, groups: &[u64]) -> Self {
        let next_last = |rows: &[u64]| rows.iter().rev().copied().collect::<Vec<_>>();
        let first = day.frames.first().map_or(1, |range| range.0.cast_signed());
        Self {
            key: dataset.sealed_by.unwrap_or("frame"),
            group_order: dataset.group_order,
            runs: next_last(&day.runs),
            groups: next_last(groups),
            left: 0,
            group_left: 0,
            last_place: None,
            greatest: String::new(),
            greatest_before: String::new(),
            places: Vec::new(),
            behind: first - 1,
            last: day.frames.last().map_or(0, |range| range.1.cast_signed()),
            row: 0,
        }
    }

    /// Checks the next rows; returns what is wrong with them.
    pub(crate) fn rows(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let column = |name: &str| {
            let found = batch.column_by_name(name);
            found.ok_or_else(|| format!("it has no column {name}"))
        };
        let code = column(self.key)?;
        let (keyed, plain) = (code.as_dictionary_opt::<Int32Type>(), code.as_string_opt::<i32>());
        let texts = keyed.map_or(plain, |keyed| keyed.values().as_string_opt::<i32>());
        let texts = texts.ok_or_else(|| format!("its column {} does not hold text", self.key))?;
        let text = |row: usize| match keyed {
            Some(keyed) => keyed.key(row).map_or("", |key| texts.value(key)),
            None => texts.value(row),
        };
        let frames = column("frame")?.as_primitive_opt::<Int64Type>();
        let items = column("item")?.as_primitive_opt::<Int16Type>();
        let (Some(frames), Some(items)) = (frames, items) else {
            return Err("its frames and items are not integers".to_owned());
        };
        let places = frames
            .values()
            .iter()
            .copied()
            .zip(items.values().iter().copied());
        for (row, place) in places.enumerate() {
            self.begin()?;
            self.follow(text(row), place)?;
            self.last_place = Some(place);
            self.places.push(place);
            self.left -= 1;
            self.group_left -= 1;
            self.row += 1;
        }
        Ok(())
    }

    /// Whether a row of this code and place may come next.
    fn follow(&mut self, code: &str, place: (i64, i16)) -> Result<(), String> {
        let (row, frame) = (self.row, place.0);
        if code < self.greatest_before.as_str() {
            return Err(format!(
                "row {row}, with code {code}, comes after a row group of greater codes"
            ));
        }
        let with_greatest = code.cmp(self.greatest.as_str());
        let follows_last = self.last_place.is_none_or(|last| last < place);
        let follows = match self.group_order {
            GroupOrder::Arrival => follows_last,
            GroupOrder::Sorted => {
                with_greatest.then_with(|| if follows_last { Greater } else { Less }) == Greater
            }
        };
        if !follows {
            return Err(format!(
                "row {row}, of frame {frame}, does not come after the row before it"
            ));
        }
        if with_greatest == Greater {
            code.clone_into(&mut self.greatest);
        }
        Ok(())
    }

    /// Moves on to the run and the row group of the next row.
    fn begin(&mut self) -> Result<(), String> {
        while self.left == 0 {
            self.end_run()?;
            self.left = self.runs.pop().ok_or("it has more rows than its runs")?;
            if self.group_left > 0 {
                return Err("one of its row groups has rows of two runs".to_owned());
            }
        }
        while self.group_left == 0 {
            self.group_left = self.groups.pop().ok_or("it has more rows than its row groups")?;
            if self.group_order == GroupOrder::Arrival {
                self.last_place = None;
                self.greatest_before = std::mem::take(&mut self.greatest);
            }
        }
        Ok(())
    }

    /// All rows have been checked.
    pub(crate) fn end(mut self) -> Result<(), String> {
        if self.left > 0 || self.runs.iter().any(|rows| *rows > 0) {
            return Err("it has fewer rows than its runs".to_owned());
        }
        self.end_run()
    }

    fn end_run(&mut self) -> Result<(), String> {
        self.places.sort_unstable();
        if let Some(pair) = self.places.windows(2).find(|pair| pair[0] == pair[1]) {
            let (frame, item) = pair[0];
            return Err(format!("item {item} of frame {frame} is there twice"));
        }
        let first = self.places.first().map_or(i64::MAX, |place| place.0);
        if first <= self.behind {
            return Err(format!(
                "frame {first} is in two of its runs, or the file does not cover it"
            ));
        }
        self.behind = self.places.last().map_or(self.behind, |place| place.0);
        if self.behind > self.last {
            let frame = self.behind;
            return Err(format!("it has rows of frame {frame}, which it does not cover"));
        }
        self.places.clear();
        self.greatest.clear();
        self.last_place = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int16Array, Int64Array, StringArray};

    use super::*;
    use crate::service::{BOOKS, TRADES};

    /// What is wrong with rows of (code, frame), in runs and row groups of so many rows.
    fn fault(dataset: Dataset, rows: &[(&str, i64)], runs: &[u64], groups: &[u64]) -> Option<String> {
        let frames = rows.iter().map(|(_, frame)| frame.unsigned_abs());
        let day = DayFooter {
            runs: runs.to_vec(),
            frames: vec![(1, frames.max().unwrap_or(1))],
        };
        let columns: [(&str, ArrayRef); 3] = [
            (
                "code",
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
            ),
            (
                "frame",
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            ),
            (
                "item",
                Arc::new(Int16Array::from_iter_values(rows.iter().map(|_| 0))),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut order = RunOrder::new(dataset, &day, groups);
        order.rows(&batch).and_then(|()| order.end()).err()
    }

    #[test]
    fn a_sorted_run_rises_by_code_and_then_by_frame_across_its_row_groups() {
        let sorted = [("A", 1), ("A", 3), ("A", 4), ("B", 2), ("A", 5), ("B", 6)];
        assert_eq!(fault(&BOOKS, &sorted, &[4, 2], &[2, 2, 2]), None);
        // A code's rows may lie in two row groups, and must then go on rising.
        let back = [("A", 1), ("A", 4), ("A", 3), ("B", 2)];
        let expected = "row 2, of frame 3, does not come after the row before it";
        assert_eq!(fault(&BOOKS, &back, &[4], &[2, 2]).as_deref(), Some(expected));
        let smaller = [("A", 1), ("B", 2), ("A", 3)];
        let expected = "row 2, of frame 3, does not come after the row before it";
        assert_eq!(fault(&BOOKS, &smaller, &[3], &[3]).as_deref(), Some(expected));
        let twice = [("A", 1), ("B", 1)];
        let expected = "item 0 of frame 1 is there twice";
        assert_eq!(fault(&BOOKS, &twice, &[2], &[2]).as_deref(), Some(expected));
    }

    #[test]
    fn a_run_that_is_not_sorted_rises_by_frame_within_each_row_group() {
        let ranges = [("B", 1), ("A", 3), ("B", 2), ("C", 4)];
        assert_eq!(fault(&TRADES, &ranges, &[4], &[2, 2]), None);
        assert!(fault(&BOOKS, &ranges, &[4], &[2, 2]).is_some());
        let expected = "row 2, with code A, comes after a row group of greater codes";
        let smaller = [("B", 1), ("B", 3), ("A", 2)];
        assert_eq!(fault(&TRADES, &smaller, &[3], &[2, 1]).as_deref(), Some(expected));
    }
}
