//! Whether a sealed day's rows are laid out as its footer says.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};

use crate::dataset::{Dataset, DayFooter};

/// Checks rows in the order in which they lie in the file. Within a row group (`frame`, `item`) rises; the codes of a
/// run's row groups ascend; no (`frame`, `item`) occurs twice in a run; and a run's frames come after those of the run
/// before it. Only the places of one run are held in memory.
pub(crate) struct RunOrder {
    /// The column that divides the day.
    key: &'static str,
    /// The number of rows in the runs still to come, the next one last; the same for the row groups.
    runs: Vec<u64>,
    groups: Vec<u64>,
    /// Rows still to come in the current run and row group.
    left: u64,
    group_left: u64,
    /// The last row of the current row group.
    last_place: Option<(i64, i16)>,
    /// The greatest code of the current row group, and of the one before it in the run.
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
            let code = text(row);
            if code < self.greatest_before.as_str() {
                let row = self.row;
                return Err(format!(
                    "row {row}, with code {code}, comes after a row group of greater codes"
                ));
            }
            if code > self.greatest.as_str() {
                code.clone_into(&mut self.greatest);
            }
            if self.last_place.is_some_and(|last| last >= place) {
                let (row, frame) = (self.row, place.0);
                return Err(format!(
                    "row {row}, of frame {frame}, does not come after the row before it"
                ));
            }
            self.last_place = Some(place);
            self.places.push(place);
            self.left -= 1;
            self.group_left -= 1;
            self.row += 1;
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
            self.last_place = None;
            self.greatest_before = std::mem::take(&mut self.greatest);
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
        Ok(())
    }
}
