//! `krx-recorder sql`: DuckDB views over a data directory that know about its gaps.
//!
//! The only source is `deploy/krx.sql`, whose paths are relative. Here they are made absolute, and each dataset is read as the
//! directory has it.

use std::fs::DirEntry;
use std::io::Write;
use std::path::{Path, PathBuf};

use krx_store::DataDir;
use krx_store::dataset::{ColumnType, Dataset};

use crate::process::exit::Failure;
use crate::process::out;

const VIEWS: &str = include_str!("../../../../deploy/krx.sql");

/// What stands before each path in the source.
const CALLS: [&str; 2] = ["read_parquet('", "glob('"];

/// Prints the views over the data directory at `data_dir`.
///
/// # Errors
/// [`Failure`], if there is no such directory, DuckDB cannot name it, or standard output cannot be written.
pub(super) fn print(data_dir: &Path) -> Result<(), Failure> {
    let failed = |doing: String| |source| Failure::System { doing, source };
    let absolute = data_dir.canonicalize().map_err(failed(format!(
        "looking for the data directory {}; is it the right --data-dir?",
        data_dir.display()
    )))?;
    let data = DataDir::new(&absolute);
    let found = data
        .datasets()
        .into_iter()
        .map(|dataset| (dataset, Found::of(&data, dataset)));
    let views = absolute.to_str().and_then(|dir| views(dir, found)).ok_or_else(|| {
        Failure::Usage(format!(
            "DuckDB cannot name {}: it contains a backslash or is not UTF-8; load krx.sql from inside the \
             directory instead",
            absolute.display()
        ))
    })?;
    out::print("printing the views", |out| out.write_all(views.as_bytes()))
}

/// What a data directory has of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Files. A pattern for them alone is the best: DuckDB guesses from the first file how many rows there are.
    Files,
    /// The file without rows that a recorder keeps. Its pattern finds the dataset's files when they come.
    Empty,
    /// Nothing that a pattern could match, and DuckDB rejects such a pattern.
    Nothing,
}

impl Found {
    fn of(data: &DataDir, dataset: Dataset) -> Self {
        if has_files(&data.dataset_dir(dataset), dataset) {
            Self::Files
        } else if data.empty_file(dataset).exists() {
            Self::Empty
        } else {
            Self::Nothing
        }
    }
}

/// Whether a dataset's directory has a file that its pattern matches.
fn has_files(dir: &Path, dataset: Dataset) -> bool {
    let below = |dir: PathBuf, begin: &str, end: &str| {
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let matches = |entry: &DirEntry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(begin) && name.ends_with(end)
        };
        let found: Vec<_> = names.filter(matches).map(|entry| entry.path()).collect();
        found
    };
    let partition = format!("{}=", dataset.partition_key);
    let file = match dataset.partition_key {
        "market" => String::new(),
        _ => format!("{}-", dataset.name),
    };
    let dates = below(dir.to_owned(), "date=", "").into_iter();
    let mut partitions = dates.flat_map(|date| below(date, &partition, ""));
    partitions.any(|partition| !below(partition, &file, ".parquet").is_empty())
}

/// The views with paths below `data_dir`, in which this was found; `None` if DuckDB's patterns cannot express it.
fn views(data_dir: &str, found: impl Iterator<Item = (Dataset, Found)>) -> Option<String> {
    if data_dir.contains('\\') {
        return None;
    }
    let mut quoted = String::with_capacity(data_dir.len());
    for character in data_dir.trim_end_matches('/').chars() {
        match character {
            '\'' => quoted.push_str("''"),
            // A class of one character is that character.
            '[' | '*' | '?' => quoted.extend(['[', character, ']']),
            _ => quoted.push(character),
        }
    }
    let fitting = found.fold(VIEWS.to_owned(), |views, (dataset, found)| {
        fitting(views, dataset, found)
    });
    let absolute = |views: String, call: &str| views.replace(call, &format!("{call}{quoted}/"));
    Some(CALLS.into_iter().fold(fitting, absolute))
}

/// The views with what fits in place of a dataset's pattern.
fn fitting(views: String, dataset: Dataset, found: Found) -> String {
    let end_of_pattern = end_of_pattern(dataset);
    let places = views.split_once(&end_of_pattern).and_then(|(before, after)| {
        let end = views.len() - after.len() + after.find(");")? + 1;
        Some((before.rfind(CALLS[0])?, end))
    });
    let Some((start, end)) = places else { return views };
    let call = &views[start..end];
    let instead = match found {
        Found::Empty => call.to_owned(),
        Found::Files => {
            let first = call.find("/date=").unwrap_or_default();
            format!("{}{}{}", CALLS[0], dataset.name, &call[first..])
        }
        Found::Nothing => table_without_rows(dataset),
    };
    format!("{}{instead}{}", &views[..start], &views[end..])
}

fn table_without_rows(dataset: Dataset) -> String {
    let columns = dataset
        .columns
        .iter()
        .map(|column| (column.name, type_of(column.column_type)));
    let columns: Vec<_> = columns
        .chain([("date", "DATE"), (dataset.partition_key, "VARCHAR")])
        .map(|(name, of)| format!("NULL::{of} AS {name}"))
        .collect();
    format!("(SELECT {} WHERE false)", columns.join(", "))
}

/// How the pattern of a dataset's files ends in the source.
fn end_of_pattern(dataset: Dataset) -> String {
    match dataset.partition_key {
        "market" => "/market=*/*.parquet'".to_owned(),
        key => format!("/{key}=*/{}-*.parquet'", dataset.name),
    }
}

/// As DuckDB reads it.
fn type_of(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text | ColumnType::Word => "VARCHAR",
        ColumnType::Bytes => "BLOB",
        ColumnType::Int16 => "SMALLINT",
        ColumnType::Int32 => "INTEGER",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Float64 => "DOUBLE",
        ColumnType::Millis | ColumnType::Micros => "TIMESTAMPTZ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datasets() -> Vec<Dataset> {
        // All but coverage, which always exists, and quarantine, which is read with it.
        let all = DataDir::new("").datasets().into_iter();
        all.filter(|dataset| VIEWS.contains(&end_of_pattern(dataset)))
            .collect()
    }

    fn views(data_dir: &str, found: Found) -> Option<String> {
        super::views(data_dir, datasets().into_iter().map(|dataset| (dataset, found)))
    }

    #[test]
    fn every_path_is_replaced_and_quoted() {
        let views = |dir| views(dir, Found::Empty);
        let quoted = views("/data/it's [here]*").unwrap();
        for call in CALLS {
            let absolute = format!("{call}/data/it''s [[]here][*]/");
            let found = [call, &absolute].map(|text| quoted.matches(text).count());
            assert_eq!(found, [VIEWS.matches(call).count(); 2], "{call}");
        }
        assert_eq!(views("/data\\here"), None);
        assert!(views("/").unwrap().contains("read_parquet('/coverage/**"));
    }

    #[test]
    fn each_dataset_is_read_as_it_was_found() {
        assert_eq!(datasets().len(), 10);
        let patterns = |text: &str| text.matches(CALLS[0]).count();
        let nothing = views("/data", Found::Nothing).unwrap();
        assert_eq!(nothing.matches("WHERE false);").count(), 10);
        assert_eq!(patterns(&nothing), patterns(VIEWS) - 10);
        assert!(nothing.contains("NULL::BIGINT AS bid_size_10, "));
        let files = views("/data", Found::Files).unwrap();
        assert_eq!(patterns(&files), patterns(VIEWS));
        assert!(files.contains("read_parquet('/data/trades/date=*/market=*/*.parquet', hive"));
        assert!(files.contains(
            "read_parquet('/data/derivative_books/date=*/feed=*/derivative_books-*.parquet', hive"
        ));
        assert!(
            !files.contains("[.") && VIEWS.contains("[."),
            "only the file of views itself needs them"
        );
    }

    #[test]
    fn a_directory_has_files_if_its_pattern_matches_one() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let all = datasets();
        let books = *all.iter().find(|dataset| dataset.name == "books").unwrap();
        let found = || Found::of(&data, books);
        assert_eq!(found(), Found::Nothing);
        let partition = data.dataset_dir(books).join("date=2026-11-20/feed=A");
        std::fs::create_dir_all(&partition).unwrap();
        std::fs::write(partition.join("other.parquet"), "").unwrap();
        assert_eq!(found(), Found::Nothing);
        krx_store::empty::settle(&data).unwrap();
        assert_eq!(found(), Found::Empty);
        std::fs::write(partition.join("books-1.parquet"), "").unwrap();
        assert_eq!(found(), Found::Files);
    }
}
