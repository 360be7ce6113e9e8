//! The newest records, from files that `krx-recorder tail` wrote, in the views of their datasets.

use std::io;
use std::path::PathBuf;

use chrono::NaiveDate;
use krx_store::dataset::{Dataset, Rows};
use krx_store::tail::dataset_in;
use krx_store::{DataDir, Moment, StoreError, catalog};

use crate::process::exit::Failure;

/// A file with the tail of a dataset.
#[derive(Debug)]
pub(super) struct TailFile {
    /// The dataset.
    pub dataset: Dataset,
    /// Its absolute path.
    pub path: PathBuf,
}

impl TailFile {
    /// Finds out which dataset each of the tails at `paths` is of.
    ///
    /// # Errors
    /// [`Failure::System`], if a file cannot be read; [`Failure::Usage`], if it is not a tail, or two are of the same dataset.
    pub(super) fn find(paths: &[PathBuf], data: &DataDir) -> Result<Vec<Self>, Failure> {
        let mut found: Vec<Self> = Vec::new();
        for path in paths {
            let failed = |source: io::Error| Failure::System {
                doing: format!(
                    "reading the tail {}; write it with krx-recorder tail --output",
                    path.display()
                ),
                source,
            };
            let absolute = path.canonicalize().map_err(failed)?;
            let name = dataset_in(&absolute).map_err(failed)?;
            let of_frames = data.datasets().into_iter().filter(|of| of.rows == Rows::OfFrames);
            let dataset = of_frames.into_iter().find(|of| name.as_deref() == Some(of.name));
            let dataset = dataset.ok_or_else(|| {
                Failure::Usage(format!(
                    "{} is not a file that krx-recorder tail --output wrote",
                    path.display()
                ))
            })?;
            if let Some(other) = found.iter().find(|tail| tail.dataset == dataset) {
                return Err(Failure::Usage(format!(
                    "{} and {} are both of {dataset}: a view takes one; a tail can have all feeds",
                    other.path.display(),
                    path.display()
                )));
            }
            found.push(Self {
                dataset,
                path: absolute,
            });
        }
        Ok(found)
    }

    /// Stands for the path in the SQL until all other paths are in place: no path contains a NUL.
    pub(super) fn marker(&self) -> String {
        format!("\0{}\0", self.dataset)
    }
}

/// `views` with the rows of all tails. Without any, the journals are not looked at.
///
/// # Errors
/// [`StoreError`], if the journals cannot be listed.
pub(super) fn with_tails(views: String, tails: &[TailFile], data: &DataDir) -> Result<String, StoreError> {
    if tails.is_empty() {
        return Ok(views);
    }
    let first = first_date(data)?;
    Ok(tails
        .iter()
        .fold(views, |views, tail| united(&views, tail, first)))
}

/// The first date that a tail can have records of, today at the latest: earlier dates are in files as a whole.
fn first_date(data: &DataDir) -> Result<NaiveDate, StoreError> {
    let mut first = Moment::now().date();
    for feed in catalog::journal_feeds(data)? {
        let segments = catalog::segments(&data.journal(&feed))?;
        first = segments.first().map_or(first, |name| first.min(name.date));
    }
    Ok(first)
}

/// `views` with the rows of a tail in the view of its dataset, each record once, whatever has been committed since the tail
/// was written. From the date `first` on, what the tail has is taken from it, and the rest from files.
///
/// The tail is read once in a query, and all files of a date are listed once: so a file that is committed at this moment is
/// seen as a whole or not at all.
fn united(views: &str, tail: &TailFile, first: NaiveDate) -> String {
    let dataset = tail.dataset;
    let key = dataset.partition_key.unwrap_or("feed");
    // The views without snapshots and copies are made of those with all rows.
    let place = [format!("recorded_{dataset}"), dataset.name.to_owned()]
        .into_iter()
        .find_map(|name| {
            let begin = format!("CREATE OR REPLACE TEMP VIEW {name} AS\n");
            let from = views.find(&begin)? + begin.len();
            Some((from, from + views[from..].find(";\n")?))
        });
    let Some((from, to)) = place else {
        return views.to_owned();
    };
    let [before, files, after] = [&views[..from], &views[from..to], &views[to..]];
    let marker = tail.marker();
    format!(
        "{before}WITH tail AS MATERIALIZED (
    FROM parquet_scan('{marker}', hive_partitioning = false) WHERE date >= DATE '{first}'
), file AS NOT MATERIALIZED (
{files}
)
SELECT * FROM file WHERE date < DATE '{first}'
UNION ALL BY NAME
SELECT file.*
FROM file LEFT JOIN (SELECT date, {key}, frame, item, true AS is_in_tail FROM tail) AS newest
  ON newest.date = file.date AND newest.{key} = file.{key} AND newest.frame = file.frame
 AND newest.item IS NOT DISTINCT FROM file.item
WHERE file.date >= DATE '{first}' AND is_in_tail IS NULL
UNION ALL BY NAME
FROM tail{after}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tails_no_journal_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        std::fs::create_dir_all(data.internal()).unwrap();
        // A link to itself cannot be listed, not even by root.
        std::os::unix::fs::symlink(data.journals(), data.journals()).unwrap();
        assert!(first_date(&data).is_err());
        assert_eq!(with_tails("views".to_owned(), &[], &data).unwrap(), "views");
    }
}
