//! Whether coverage agrees with what is recorded: every instant of a date has a row, every frame is in a live row of
//! its session, and there is a gap between any two sessions (I4). The same is checked of the coverage files alone,
//! which must cover exactly the frames that the other files have (I8).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::oracle::MARKETS;
use crate::recorded::Frames;
use crate::recorder::RecorderConfig;

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Row {
    date: NaiveDate,
    feed: String,
    from_ts: String,
    to_ts: String,
    state: String,
    reason: String,
    session: Option<i32>,
    frames: Option<u64>,
    rows: Option<u64>,
}

#[derive(Debug)]
struct Interval {
    from_us: i64,
    to_us: i64,
    row: Row,
    found_frames: u64,
    found_rows: u64,
}

/// What was found to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Intervals by state and reason.
    pub intervals: BTreeMap<(String, String), u64>,
}

impl Coverage {
    /// Gaps with this reason.
    #[must_use]
    pub fn gaps(&self, reason: &str) -> u64 {
        let key = ("gap".to_owned(), reason.to_owned());
        self.intervals.get(&key).copied().unwrap_or(0)
    }
}

/// Whether the recorder can report its coverage.
///
/// # Errors
/// When it cannot be run.
pub fn is_told(config: &RecorderConfig) -> Result<bool> {
    let config = RecorderConfig {
        wrapper: Vec::new(),
        variables: Vec::new(),
        ..config.clone()
    };
    let help = config.run_bare(&["coverage", "--help"], LIMIT)?;
    Ok(help.code == Some(0))
}

/// Compares the coverage of every date with the committed files of a data directory that nobody is writing to.
///
/// # Errors
/// The first difference.
pub fn check(config: &RecorderConfig) -> Result<Coverage> {
    let mut coverage = Coverage::default();
    let data_dir = config.data_dir.display().to_string();
    let mut frames: BTreeMap<&str, Vec<crate::recorded::Frame>> = BTreeMap::new();
    let mut dates = BTreeSet::new();
    let mut last_frames: BTreeMap<(&str, NaiveDate), u64> = BTreeMap::new();
    for market in MARKETS {
        let mut recorded = Frames::open(&config.data_dir, market)?;
        while let Some(frame) = recorded.next()? {
            dates.insert(frame.date);
            let mut bare = frame.clone();
            // Only counts are needed: the records themselves would fill the memory.
            (bare.trades, bare.quarantine) = (Vec::new(), Vec::new());
            bare.position = (frame.trades.len() + frame.quarantine.len()).try_into()?;
            frames.entry(market).or_default().push(bare);
        }
        for (date, last) in recorded.last_frames() {
            last_frames.insert((market, date), last.unsigned_abs());
        }
    }
    for date in dates {
        let told = config.run_bare(
            &["coverage", &date.to_string(), "--data-dir", &data_dir, "--json"],
            LIMIT,
        )?;
        ensure!(told.code == Some(0), "I4: coverage {date}: {}", told.stderr);
        let rows: Vec<Row> = serde_json::from_str(&told.stdout).context("reading the coverage")?;
        for market in MARKETS {
            let Some(recorded) = frames.get(market) else {
                continue;
            };
            let of_market = rows.iter().filter(|row| row.feed == market && row.date == date);
            let mut intervals: Vec<Interval> = of_market.map(Interval::of).collect::<Result<_>>()?;
            let of_date = recorded.iter().filter(|frame| frame.date == date);
            check_market(&mut intervals, of_date, last_frames.get(&(market, date)).copied())
                .with_context(|| format!("I4: coverage of {market} on {date}"))?;
            for Interval { row, .. } in intervals {
                *coverage.intervals.entry((row.state, row.reason)).or_default() += 1;
            }
            let mut of_file = file_intervals(&config.data_dir, market, date)
                .with_context(|| format!("I8: the coverage file of {market} on {date}"))?;
            let of_date = recorded.iter().filter(|frame| frame.date == date);
            check_market(&mut of_file, of_date, last_frames.get(&(market, date)).copied())
                .with_context(|| format!("I8: the coverage file of {market} on {date}"))?;
        }
    }
    Ok(coverage)
}

/// What the coverage file of a market and date claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Frames in files.
    pub frames: u64,
    /// The last instant that is called live, µs since the Unix epoch.
    pub live_to_us: i64,
}

/// What a coverage file claims at this moment; nothing while there is none.
///
/// # Errors
/// When it cannot be read.
pub fn claim(data_dir: &Path, market: &str, date: NaiveDate) -> Result<Claim> {
    if !data_dir
        .join(format!("coverage/date={date}/feed={market}"))
        .exists()
    {
        return Ok(Claim::default());
    }
    let intervals = file_intervals(data_dir, market, date)?;
    let live = intervals.iter().filter(|interval| interval.row.state == "live");
    Ok(live.fold(Claim::default(), |claim, interval| Claim {
        frames: claim.frames + interval.row.frames.unwrap_or(0),
        live_to_us: claim.live_to_us.max(interval.to_us),
    }))
}

/// The rows of the coverage file itself, as an analyst reads them.
fn file_intervals(data_dir: &Path, market: &str, date: NaiveDate) -> Result<Vec<Interval>> {
    let dir = data_dir.join(format!("coverage/date={date}/feed={market}"));
    let mut intervals = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(entry?.path())?)?.build()?;
        for batch in reader {
            let batch = batch?;
            let column = |name: &str| batch.column_by_name(name).with_context(|| name.to_owned());
            let time = |name: &str| -> Result<_> {
                let column = column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
                column.with_context(|| name.to_owned())
            };
            let count = |name: &str| -> Result<_> {
                let column = column(name)?.as_primitive_opt::<Int64Type>();
                column.with_context(|| name.to_owned())
            };
            let text = |name: &str| -> Result<_> {
                column(name)?
                    .as_string_opt::<i32>()
                    .with_context(|| name.to_owned())
            };
            let session = column("session")?.as_primitive_opt::<Int32Type>();
            let session = session.context("session")?;
            let (from, to) = (time("from_ts")?, time("to_ts")?);
            let (frames, rows) = (count("frames")?, count("rows")?);
            let (state, reason) = (text("state")?, text("reason")?);
            intervals.extend((0..batch.num_rows()).map(|row| Interval {
                from_us: from.value(row),
                to_us: to.value(row),
                row: Row {
                    date,
                    feed: market.to_owned(),
                    from_ts: format!("{} µs", from.value(row)),
                    to_ts: format!("{} µs", to.value(row)),
                    state: state.value(row).to_owned(),
                    reason: reason.value(row).to_owned(),
                    session: session.is_valid(row).then(|| session.value(row)),
                    frames: Some(frames.value(row).unsigned_abs()),
                    rows: Some(rows.value(row).unsigned_abs()),
                },
                found_frames: 0,
                found_rows: 0,
            }));
        }
    }
    Ok(intervals)
}

impl Interval {
    fn of(row: &Row) -> Result<Self> {
        let us = |text: &str| -> Result<i64> {
            ensure!(text.ends_with("+09:00"), "{text} is not in Korean time");
            Ok(DateTime::parse_from_rfc3339(text)
                .with_context(|| text.to_owned())?
                .timestamp_micros())
        };
        Ok(Self {
            from_us: us(&row.from_ts)?,
            to_us: us(&row.to_ts)?,
            row: Row {
                feed: row.feed.clone(),
                from_ts: row.from_ts.clone(),
                to_ts: row.to_ts.clone(),
                state: row.state.clone(),
                reason: row.reason.clone(),
                ..*row
            },
            found_frames: 0,
            found_rows: 0,
        })
    }
}

fn check_market<'a>(
    intervals: &mut [Interval],
    frames: impl Iterator<Item = &'a crate::recorded::Frame>,
    last_frame: Option<u64>,
) -> Result<()> {
    ensure!(!intervals.is_empty(), "there is no row: a gap is unreported");
    let mut last_session: Option<(i32, bool)> = None;
    for index in 0..intervals.len() {
        let Interval {
            from_us, to_us, row, ..
        } = &intervals[index];
        ensure!(
            from_us <= to_us,
            "the row at {} ends before it begins, at {}",
            row.from_ts,
            row.to_ts
        );
        if let Some(next) = intervals.get(index + 1) {
            ensure!(
                *to_us == next.from_us,
                "a row ends at {} and the next begins at {}: they overlap, or a gap is unreported",
                row.to_ts,
                next.row.from_ts
            );
        }
        match row.state.as_str() {
            "live" => {
                let session = row.session.context("a live row has a session")?;
                if let Some((last, gap_since)) = last_session {
                    ensure!(
                        session == last || (session > last && gap_since),
                        "session {session} at {} follows session {last}, and the gap between them is unreported",
                        row.from_ts
                    );
                }
                last_session = Some((session, false));
            }
            "gap" | "idle" => last_session = last_session.map(|(session, _)| (session, true)),
            other => anyhow::bail!("{other:?} is no state"),
        }
    }
    for frame in frames {
        // The clock may have been set: a frame may lie in any row of its session.
        let place = intervals.iter_mut().find(|interval| {
            interval.row.state == "live"
                && interval.row.session == Some(frame.session)
                && interval.from_us < frame.recv_us
                && frame.recv_us <= interval.to_us
        });
        let interval = place.with_context(|| {
            format!(
                "frame {} of session {}, received at {} µs, is in no live row of its session",
                frame.number, frame.session, frame.recv_us
            )
        })?;
        interval.found_frames += 1;
        interval.found_rows += frame.position.unsigned_abs();
    }
    let mut all_frames = 0;
    for Interval {
        row,
        found_frames,
        found_rows,
        ..
    } in intervals
    {
        let (frames, rows) = (row.frames.unwrap_or(0), row.rows.unwrap_or(0));
        all_frames += frames;
        ensure!(
            *found_frames <= frames && *found_rows == rows,
            "the row at {} has {frames} frames and {rows} rows, and {found_frames} frames with {found_rows} rows are \
             recorded in it",
            row.from_ts
        );
    }
    if let Some(last) = last_frame {
        ensure!(
            all_frames == last,
            "the rows have {all_frames} frames, and {last} are recorded"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::Frame;

    fn interval(from_us: i64, to_us: i64, state: &str, session: Option<i32>, frames: u64) -> Interval {
        let row = Row {
            date: NaiveDate::MIN,
            feed: String::new(),
            from_ts: String::new(),
            to_ts: String::new(),
            state: state.to_owned(),
            reason: "connected".to_owned(),
            session,
            frames: Some(frames),
            rows: Some(frames),
        };
        Interval {
            from_us,
            to_us,
            row,
            found_frames: 0,
            found_rows: 0,
        }
    }

    fn frame(session: i32, number: i64, recv_us: i64) -> Frame {
        Frame {
            date: NaiveDate::MIN,
            number,
            position: 1,
            session,
            recv_us,
            trades: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    #[test]
    fn i4_every_kind_of_disagreement_is_found() {
        let rows = || {
            vec![
                interval(0, 10, "idle", None, 0),
                interval(10, 20, "live", Some(1), 2),
                interval(20, 30, "gap", None, 0),
                interval(30, 40, "live", Some(2), 1),
            ]
        };
        let frames = [frame(1, 1, 11), frame(1, 2, 20), frame(2, 3, 31)];
        let check =
            |mut rows: Vec<Interval>, frames: &[Frame]| check_market(&mut rows, frames.iter(), Some(3));
        assert!(check(rows(), &frames).is_ok(), "all agrees");

        let mut hole = rows();
        hole[2].to_us = 29;
        let mut backwards = rows();
        (backwards[2].from_us, backwards[2].to_us) = (30, 20);
        let mut no_gap = rows();
        no_gap[2].row.state = "live".to_owned();
        no_gap[2].row.session = Some(1);
        let mut same_session = rows();
        same_session[3].row.session = Some(1);
        let mut miscounted = rows();
        miscounted[1].row.frames = Some(3);
        for (name, rows) in [
            ("hole", hole),
            ("backwards", backwards),
            ("no gap", no_gap),
            ("wrong session", same_session),
            ("miscounted", miscounted),
            ("no rows", Vec::new()),
        ] {
            assert!(check(rows, &frames).is_err(), "{name}");
        }
        assert!(
            check(rows(), &[frame(1, 1, 25), frame(1, 2, 20), frame(2, 3, 31)]).is_err(),
            "a frame in a gap"
        );
    }
}
