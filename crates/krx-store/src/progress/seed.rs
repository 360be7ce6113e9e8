//! What is sealed of a date already, for a recorder that starts within it: so that it shows the whole date.

use std::fs;
use std::time::SystemTime;

use chrono::NaiveDate;
use tracing::warn;

use super::Progress;
use super::board::SealedFile;
use crate::error::{StoreError, at};
use crate::export::{read_footer, sealed_names, stretches};
use crate::layout::{DataDir, Dataset, Market};
use crate::moment::Moment;

/// Files that are looked at, the newest. A date has some 140 with the default `rotate.interval`, and a footer takes a
/// fraction of a millisecond.
const FILES_LOOKED_AT_MAX: usize = 4096;

/// Shows what is sealed of the date, by the footers of its trades files. To be called before an exporter of the market
/// is at work, on a thread that may wait for the disk. A file that cannot be read is left out.
///
/// # Errors
/// [`StoreError`], when the date's directory cannot be listed.
pub fn seed(progress: &Progress, data: &DataDir, market: &Market, date: NaiveDate) -> Result<(), StoreError> {
    let dir = data.partition(Dataset::Trades, date, market);
    let names = sealed_names(&dir)?;
    if let Some(last) = names.last() {
        progress.exported(date, last.last_frame);
    }
    for name in &names[names.len().saturating_sub(FILES_LOOKED_AT_MAX)..] {
        let path = dir.join(name.to_string());
        let looked = read_footer(&path).and_then(|footer| {
            let metadata = fs::metadata(&path).map_err(at("reading the size of", &path))?;
            // A segment is short; of a sealed day its runs say when what came.
            let whole = (
                footer.first_recv,
                footer.last_recv,
                footer.rows + footer.quarantined,
            );
            let received = match &footer.day {
                Some(_) => stretches(&path)?,
                None => vec![whole],
            };
            Ok((footer, metadata, received))
        });
        let (footer, metadata, received) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                warn!(%market, %error, "the status leaves a sealed file out");
                continue;
            }
        };
        let mut board = progress.board();
        if let Some(chart) = board.chart_of(date) {
            for (first, last, records) in received {
                chart.spread(first, last, records);
            }
        }
        board.sealed(SealedFile {
            date,
            name: *name,
            rows: footer.rows,
            quarantined: footer.quarantined,
            bytes: metadata.len(),
            at: metadata.modified().map_or(footer.last_recv, moment_of),
        });
    }
    Ok(())
}

fn moment_of(time: SystemTime) -> Moment {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
