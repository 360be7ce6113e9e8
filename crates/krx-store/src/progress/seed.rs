//! What is already committed of a date, for a recorder that starts in the middle of it: so that the status shows the
//! whole date.

use std::fs;
use std::time::SystemTime;

use chrono::NaiveDate;
use tracing::warn;

use super::board::CommittedFile;
use super::figures::Progress;
use crate::catalog::{self, read_footer, stretches};
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;

/// How many of the newest files are read. A date has some 140 with the default `rotate.interval`, and a footer takes a
/// fraction of a millisecond.
const FILES_LOOKED_AT_MAX: usize = 4096;

/// Shows what is committed of the date, from the footers of the primary dataset's files. Call it before the feed's
/// exporter starts, on a thread that may wait for the disk. A file that cannot be read is left out.
///
/// # Errors
/// [`StoreError`], when the date's directory cannot be listed.
pub fn seed(progress: &Progress, data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<(), StoreError> {
    let Some(primary) = catalog::primary_of(data, feed, date) else {
        return Ok(());
    };
    let dir = data.partition(primary, date, feed);
    let names = catalog::files(data, primary, feed, date)?;
    if let Some(last) = names.last() {
        progress.exported(date, last.last_frame);
    }
    for name in &names[names.len().saturating_sub(FILES_LOOKED_AT_MAX)..] {
        let path = dir.join(name.to_string());
        let looked = read_footer(&path).and_then(|footer| {
            let metadata = fs::metadata(&path).map_err(at("reading the size of", &path))?;
            // A segment is short; a sealed day's runs say what came when.
            let whole = (footer.first_recv, footer.last_recv, footer.rows());
            let received = match &footer.day {
                Some(_) => stretches(&path)?,
                None => vec![whole],
            };
            Ok((footer, metadata, received))
        });
        let (footer, metadata, received) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                warn!(%feed, %error, "the status leaves a committed file out");
                continue;
            }
        };
        let mut board = progress.board();
        if let Some(chart) = board.chart_of(date) {
            for (first, last, records) in received {
                chart.spread(first, last, records);
            }
        }
        board.committed(CommittedFile {
            date,
            name: *name,
            rows: footer.rows_of(primary),
            quarantined: footer.quarantined(),
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
