//! Whether a sealed day's rows lie as its footer says.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int16Type, Int32Type, Int64Type};

/// Looks at rows as they lie in the file: sorted by (`code`, `frame`, `item`) within each run, (`frame`, `item`) never
/// twice, and the frames of a run behind those of the run before it. It holds the places of one run.
pub(crate) struct RunOrder {
    /// The rows of the runs that are still to come, the next one last.
    runs: Vec<u64>,
    /// Of the run at hand.
    left: u64,
    last_code: String,
    last_place: Option<(i64, i16)>,
    places: Vec<(i64, i16)>,
    /// The last frame of the run before.
    behind: i64,
    row: u64,
}

impl RunOrder {
    pub(crate) fn new(runs: &[u64]) -> Self {
        let mut runs = runs.to_vec();
        runs.reverse();
        Self {
            left: runs.pop().unwrap_or(0),
            runs,
            last_code: String::new(),
            last_place: None,
            places: Vec::new(),
            behind: 0,
            row: 0,
        }
    }

    /// The next rows; what is wrong with them, if anything.
    pub(crate) fn rows(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let column = |name: &str| {
            let found = batch.column_by_name(name);
            found.ok_or_else(|| format!("it has no column {name}"))
        };
        let code = column("code")?;
        let (keyed, plain) = (code.as_dictionary_opt::<Int32Type>(), code.as_string_opt::<i32>());
        let texts = keyed.map_or(plain, |keyed| keyed.values().as_string_opt::<i32>());
        let texts = texts.ok_or("its issue codes are no texts")?;
        let text = |row: usize| match keyed {
            Some(keyed) => keyed.key(row).map_or("", |key| texts.value(key)),
            None => texts.value(row),
        };
        let frames = column("frame")?.as_primitive_opt::<Int64Type>();
        let items = column("item")?.as_primitive_opt::<Int16Type>();
        let (Some(frames), Some(items)) = (frames, items) else {
            return Err("its frames and items are no integers".to_owned());
        };
        for (row, place) in frames
            .values()
            .iter()
            .copied()
            .zip(items.values().iter().copied())
            .enumerate()
        {
            while self.left == 0 {
                self.end_run()?;
                self.left = self.runs.pop().ok_or("it has more rows than its runs")?;
            }
            let code = text(row);
            let is_behind = self
                .last_place
                .is_none_or(|last| (self.last_code.as_str(), last) < (code, place));
            if !is_behind {
                let (row, frame) = (self.row, place.0);
                return Err(format!(
                    "row {row}, of frame {frame}, is not behind the row before it"
                ));
            }
            if self.last_code != code {
                code.clone_into(&mut self.last_code);
            }
            self.last_place = Some(place);
            self.places.push(place);
            self.left -= 1;
            self.row += 1;
        }
        Ok(())
    }

    /// All rows were given.
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
            return Err(format!("frame {first} is in two of its runs"));
        }
        self.behind = self.places.last().map_or(self.behind, |place| place.0);
        self.places.clear();
        self.last_code.clear();
        self.last_place = None;
        Ok(())
    }
}
