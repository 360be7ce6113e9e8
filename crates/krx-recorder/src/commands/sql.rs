//! `krx-recorder sql`: DuckDB views over a data directory that know about its gaps.
//!
//! The only source is `deploy/krx.sql`, whose paths are relative. Here they are made absolute, each dataset that need not
//! be there is read as the directory has it, the configuration's calendar gives the hours, and tails are added.

mod datasets;
mod hours;
mod tail;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use krx_calendar::Calendar;
use krx_store::DataDir;

use self::datasets::VIEWS;
use self::tail::TailFile;
use crate::process::exit::Failure;
use crate::process::out;

/// What precedes each path in the source.
const CALLS: [&str; 2] = ["read_parquet('", "glob('"];

/// What the views show besides the files.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// A file that `krx-recorder tail --output` wrote: the view of its dataset then has these records too, each once.
    /// Repeatable, with one file for each dataset.
    #[arg(long, value_name = "FILE.parquet")]
    tail: Vec<PathBuf>,
}

/// Prints the views over the data directory at `data_dir`, with the hours of `calendar`.
///
/// # Errors
/// [`Failure`], if the directory does not exist or holds no recorder's data, a file is not a tail, DuckDB cannot name a path,
/// the journals cannot be listed for a tail, or standard output cannot be written.
pub(super) fn print(data_dir: &Path, calendar: &Calendar, options: &Options) -> Result<(), Failure> {
    let failed = |doing: String| |source| Failure::System { doing, source };
    let absolute = data_dir.canonicalize().map_err(failed(format!(
        "looking for the data directory {}; is it the right --data-dir?",
        data_dir.display()
    )))?;
    let data = DataDir::new(&absolute);
    // Views of a mistyped directory would find nothing, and not say so.
    let is_one = data.internal().is_dir()
        || data
            .all_datasets()
            .into_iter()
            .any(|of| data.dataset_dir(of).is_dir());
    if !is_one {
        return Err(Failure::NothingRecorded {
            data_dir: absolute,
            date: None,
            dates: Vec::new(),
        });
    }
    let tails = TailFile::find(&options.tail, &data)?;
    let views = hours::with_calendar(VIEWS, calendar);
    let views = datasets::as_they_are(&views, |of| datasets::has_files(&data.dataset_dir(of), of));
    let views = tail::with_tails(views, &tails, &data)?;
    let views = with_paths(&views, &absolute, &tails)?;
    out::print("printing the views", |out| out.write_all(views.as_bytes()))
}

/// The views with absolute paths.
///
/// # Errors
/// [`Failure::Usage`], if DuckDB's patterns cannot express one.
fn with_paths(views: &str, data_dir: &Path, tails: &[TailFile]) -> Result<String, Failure> {
    let directory = quoted(data_dir).map(|directory| directory.trim_end_matches('/').to_owned());
    let directory = directory.ok_or_else(|| {
        Failure::Usage(format!(
            "DuckDB cannot name {}: it contains a backslash or is not UTF-8; load krx.sql from inside the \
             directory instead",
            data_dir.display()
        ))
    })?;
    // In two passes, since a path may contain anything, even the text of a call, but no NUL.
    let mut views = CALLS.into_iter().fold(views.to_owned(), |views, call| {
        views.replace(call, &format!("{call}\0/"))
    });
    for tail in tails {
        let path = quoted(&tail.path).ok_or_else(|| {
            Failure::Usage(format!(
                "DuckDB cannot name {}: it contains a backslash or is not UTF-8",
                tail.path.display()
            ))
        })?;
        views = views.replace(&tail.marker(), &path);
    }
    Ok(views.replace('\0', &directory))
}

/// A path as DuckDB's patterns express it within quotes; `None` if they cannot.
fn quoted(path: &Path) -> Option<String> {
    let path = path.to_str().filter(|path| !path.contains('\\'))?;
    let mut quoted = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '\'' => quoted.push_str("''"),
            // A class of one character is that character.
            '[' | '*' | '?' => quoted.extend(['[', character, ']']),
            _ => quoted.push(character),
        }
    }
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use krx_store::dataset::Rows;

    use super::*;

    #[test]
    fn every_path_is_replaced_and_quoted() {
        let views = |dir: &str| with_paths(VIEWS, Path::new(dir), &[]);
        let quoted = views("/data/it's [here]*").unwrap();
        for call in CALLS {
            let absolute = format!("{call}/data/it''s [[]here][*]/");
            let found = [call, &absolute].map(|text| quoted.matches(text).count());
            assert_eq!(found, [VIEWS.matches(call).count(); 2], "{call}");
        }
        assert!(views("/data\\here").is_err());
        assert!(
            views("/glob('z")
                .unwrap()
                .contains("read_parquet('/glob(''z/coverage/**")
        );
        assert!(views("/").unwrap().contains("read_parquet('/coverage/**"));
    }

    #[test]
    fn a_tail_is_in_the_view_of_all_rows() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        for dataset in data.datasets() {
            if dataset.rows != Rows::OfFrames {
                continue;
            }
            let view = match dataset.name {
                "trades" | "quarantine" | "indices" | "changes" => dataset.name.to_owned(),
                name => format!("recorded_{name}"),
            };
            let tails = [TailFile {
                dataset,
                path: "/glob('it's.parquet".into(),
            }];
            let views = tail::with_tails(VIEWS.to_owned(), &tails, &data).unwrap();
            let views = with_paths(&views, Path::new("/data"), &tails).unwrap();
            assert!(
                views.contains(&format!("TEMP VIEW {view} AS\nWITH tail AS")),
                "{dataset}"
            );
            let path = "parquet_scan('/glob(''it''s.parquet'";
            assert_eq!(views.matches(path).count(), 1, "{dataset}");
            assert!(!views.contains('\0'));
        }
    }
}
