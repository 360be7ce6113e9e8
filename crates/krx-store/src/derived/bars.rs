//! A row for each minute of the regular session in which an issue traded, or in which it is not known whether it did.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Int64Builder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};

use super::candle::Candle;
use super::fold::{Part, issues, minutes};
use super::names::Names;
use super::session::Session;
use super::source::Halt;
use crate::dataset::{Dataset, ZONE};
use crate::day::Watch;

/// The most bars made at a time, which take 110 MB: if a feed's issues need more, its files are read again for the rest.
const BARS_MAX: usize = 1 << 19;

/// The rows of a date, by feed, code and minute.
pub(super) fn rows(
    dataset: Dataset,
    parts: &[Part],
    session: Option<&Session>,
    watch: Watch<'_>,
) -> Result<Vec<RecordBatch>, Halt> {
    let Some(session) = session else {
        return Ok(Vec::new());
    };
    let minutes_of_day = session.minutes();
    let mut batches = Vec::new();
    for part in parts {
        let issues = issues::<i64>(part, Some(session), watch)?;
        let traded: Vec<&str> = issues
            .iter()
            .filter(|(_, issue)| issue.traded)
            .map(|(code, _)| code.as_str())
            .collect();
        for codes in traded.chunks((BARS_MAX / minutes_of_day.len()).max(1)) {
            let places: BTreeMap<&str, usize> = codes.iter().copied().zip(0..).collect();
            let cells = minutes::<i64>(part, &places, session, watch)?;
            let mut columns = Columns::default();
            for (code, cells) in codes.iter().zip(cells.chunks(minutes_of_day.len())) {
                for (minute, cell) in minutes_of_day.iter().zip(cells) {
                    let complete = part.recorded.has_all(code, *minute);
                    if cell.is_some() || !complete {
                        columns.push(part, code, minute.0.0, cell.as_ref(), complete);
                    }
                }
            }
            batches.push(columns.finish(dataset));
        }
    }
    Ok(batches)
}

#[derive(Default)]
struct Columns {
    names: Names,
    ts: TimestampMicrosecondBuilder,
    /// `open`, `high`, `low`, `close`, `volume` and `value`.
    figures: [Int64Builder; 6],
    records: Int64Builder,
    complete: BooleanBuilder,
}

impl Columns {
    /// `cell` is what was recorded in the minute.
    fn push(&mut self, part: &Part, code: &str, ts: i64, cell: Option<&Candle<i64>>, complete: bool) {
        self.names.push(part, code);
        self.ts.append_value(ts);
        let figures = [
            cell.map(Candle::open),
            cell.map(|candle| candle.high),
            cell.map(|candle| candle.low),
            cell.map(Candle::close),
            cell.and_then(|candle| candle.volume),
            cell.and_then(Candle::value),
        ];
        for (builder, figure) in self.figures.iter_mut().zip(figures) {
            builder.append_option(figure);
        }
        self.records.append_value(cell.map_or(0, |candle| candle.records));
        self.complete.append_value(complete);
    }

    fn finish(mut self, dataset: Dataset) -> RecordBatch {
        let [open, high, low, close, volume, value] = self
            .figures
            .each_mut()
            .map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let figures: [(_, ArrayRef); 9] = [
            ("ts", Arc::new(self.ts.finish().with_timezone(ZONE))),
            ("open", open),
            ("high", high),
            ("low", low),
            ("close", close),
            ("volume", volume),
            ("value", value),
            ("records", Arc::new(self.records.finish())),
            ("complete", Arc::new(self.complete.finish())),
        ];
        dataset.batch(self.names.finish().into_iter().chain(figures))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use krx_protocol::per_issue::Preset::Tick;

    use super::*;
    use crate::dataset::BARS_1M;
    use crate::derived::made_up::ticks;
    use crate::derived::recorded::Recorded;
    use crate::moment::{DAY_US, Moment};

    #[test]
    fn more_issues_than_bars_are_made_of_at_a_time_have_theirs_too() {
        let session = Session::new(Moment(0), Moment(DAY_US), Moment(DAY_US)).unwrap();
        let at_a_time = BARS_MAX / session.minutes().len();
        let codes: Vec<String> = (0..=at_a_time).map(|number| format!("{number:06}")).collect();
        let trades: Vec<_> = codes.iter().map(|code| (code.as_str(), Tick, 60_000)).collect();
        let dir = tempfile::tempdir().unwrap();
        let all_day = [vec![(Moment(0), Moment(DAY_US))], Vec::new()];
        let recorded = codes.iter().map(|code| (code.clone(), all_day.clone()));
        let part = Part {
            source: ticks(dir.path(), &trades),
            recorded: Recorded::Issues(recorded.collect()),
        };
        let batches = rows(&BARS_1M, &[part], Some(&session), Watch::nobody()).unwrap();
        assert_eq!(batches.len(), 2);
        let found = batches.iter().flat_map(|batch| {
            let codes = batch.column_by_name("code").unwrap().as_string::<i32>();
            codes.iter().flatten()
        });
        assert!(found.eq(&codes));
    }
}
