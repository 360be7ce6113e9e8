//! How the views read each dataset: as the data directory has it.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use krx_store::DataDir;
use krx_store::dataset::{COVERAGE, ColumnType, Dataset, QUARANTINE};

/// The source of the views.
pub(super) const VIEWS: &str = include_str!("../../../../../deploy/krx.sql");

/// Whether a dataset's directory has a file that a pattern matches.
pub(super) fn has_files(dir: &Path, dataset: Dataset) -> bool {
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
    let dates = below(dir.to_owned(), "date=", "").into_iter();
    let mut partitions = dates.flat_map(|date| match dataset.partition_key {
        Some(key) => below(date, &format!("{key}="), ""),
        None => vec![date],
    });
    partitions.any(|partition| !below(partition, "", ".parquet").is_empty())
}

/// The datasets that need not be there, and are read as such. Coverage always is, and quarantine is read with it.
pub(super) fn optional() -> impl Iterator<Item = Dataset> {
    let all = DataDir::new("").all_datasets().into_iter();
    all.filter(|dataset| ![&COVERAGE, &QUARANTINE].contains(dataset))
}

/// The views of a directory that has files of some datasets.
pub(super) fn as_they_are(views: &str, has_files: impl Fn(Dataset) -> bool) -> String {
    // Before the first file even coverage is missing, and the others cannot be read together with it.
    let is_begun = has_files(&COVERAGE);
    let begun = if is_begun {
        views.to_owned()
    } else {
        [
            (&COVERAGE, of_files(&COVERAGE)),
            (&QUARANTINE, OF_QUARANTINE.to_owned()),
        ]
        .into_iter()
        .fold(format!("{NOTHING_YET}{views}"), |views, (dataset, from)| {
            views.replace(&from, &nothing_of(dataset))
        })
    };
    optional().fold(begun, |views, dataset| {
        let files = of_files(dataset);
        match (dataset.partition_key, has_files(dataset)) {
            // A feed of a market may begin, but then the views must be printed again.
            (Some("market"), false) => views.replace(&files, &nothing_of(dataset)),
            (Some("market"), true) => views,
            // It is faster, and there is no need of the other.
            (_, true) => views.replace(&of_files_to_come(dataset), &files),
            (_, false) if is_begun => views,
            (_, false) => views.replace(&of_files_to_come(dataset), &nothing_of(dataset)),
        }
    })
}

/// Before the views of a directory without any file.
const NOTHING_YET: &str =
    "-- Nothing is in files yet: these views are empty. Print them again when the first file is there.\n\n";

/// How the views read quarantine, with coverage.
pub(super) const OF_QUARANTINE: &str =
    "FROM read_parquet('[cq][ou][av][er]*/**/*.parquet', union_by_name = true, hive_partitioning = true,
                      hive_types = {'date': DATE, 'feed': VARCHAR})";

/// A dataset without rows.
fn nothing_of(dataset: Dataset) -> String {
    format!("{}\nWHERE false", without_rows(dataset))
}

/// How the files of a dataset are read that has some.
pub(super) fn of_files(dataset: Dataset) -> String {
    let name = dataset.name;
    let key = dataset.partition_key;
    let key = key.map_or_else(String::new, |key| format!(", '{key}': VARCHAR"));
    format!(
        "FROM read_parquet('{name}/**/*.parquet', hive_partitioning = true, hive_types = {{'date': DATE{key}}})"
    )
}

/// How they are read where there need not be any: with coverage, since DuckDB rejects a pattern that matches nothing. The
/// columns are the dataset's, and each row has a value in its first one that coverage lacks.
///
/// DuckDB cannot read files with different partition keys together, so a dataset that is partitioned by date alone takes it from
/// its file names.
pub(super) fn of_files_to_come(dataset: Dataset) -> String {
    const DATE: &str = "TRY_CAST(regexp_extract(filename, 'date=([0-9-]+)/[^/]+$', 1) AS DATE) AS date";
    let own = |name: &str| dataset.columns.iter().any(|column| column.name == name);
    let others = COVERAGE.columns.iter().map(|column| column.name);
    let others: Vec<_> = others.filter(|name| !own(name)).collect();
    let others = others.join(", ");
    let (columns, partitions) = match dataset.partition_key {
        Some(_) => (
            format!("* EXCLUDE ({others})"),
            "hive_partitioning = true,\n                  hive_types = {'date': DATE, 'feed': VARCHAR}",
        ),
        None => (
            format!("* EXCLUDE ({others}, filename)\n       REPLACE ({DATE})"),
            "hive_partitioning = false,\n                  filename = true",
        ),
    };
    format!(
        "SELECT {columns}\nFROM (\n{}\nWHERE false\nUNION ALL BY NAME\nFROM read_parquet('{}/**/*.parquet', \
         union_by_name = true, {partitions})\n)\nWHERE {} IS NOT NULL",
        without_rows(dataset),
        with_coverage(dataset.name),
        key_column(dataset),
    )
}

/// A column that is never null, and that coverage lacks.
fn key_column(dataset: Dataset) -> &'static str {
    let of_coverage = |name: &str| COVERAGE.columns.iter().any(|column| column.name == name);
    let mut own = dataset
        .columns
        .iter()
        .filter(|column| !column.nullable && !of_coverage(column.name));
    let code = dataset.columns.iter().find(|column| column.name == "code");
    code.or_else(|| own.next()).map_or("date", |column| column.name)
}

/// A pattern that fits a dataset's name and that of coverage, and no other dataset's: it has their first two and their last
/// three characters.
fn with_coverage(name: &str) -> String {
    let class = |pair: (char, char)| match pair {
        (one, other) if one == other => one.to_string(),
        (one, other) => format!("[{one}{other}]"),
    };
    let coverage = COVERAGE.name;
    let first = coverage.chars().zip(name.chars()).take(2).map(class);
    let last = coverage[coverage.len() - 3..]
        .chars()
        .zip(name[name.len() - 3..].chars());
    let last: String = last.map(class).collect();
    format!("{}*{last}", first.collect::<String>())
}

/// `SELECT` of a dataset's columns, from nothing.
fn without_rows(dataset: Dataset) -> String {
    const WIDTH_MAX: usize = 118;
    let columns = dataset
        .columns
        .iter()
        .map(|column| (column.name, type_of(column.column_type)));
    let mut text = "SELECT".to_owned();
    let mut width = text.len();
    let key = dataset.partition_key.map(|key| (key, "VARCHAR"));
    for (name, of) in columns.chain([("date", "DATE")]).chain(key) {
        let column = format!("NULL::{of} AS {name},");
        if width + 1 + column.len() > WIDTH_MAX {
            text.push_str("\n      ");
            width = 6;
        }
        width += 1 + column.len();
        text.push(' ');
        text.push_str(&column);
    }
    text.truncate(text.len() - 1);
    text
}

/// As DuckDB reads it.
fn type_of(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text | ColumnType::Code | ColumnType::Word => "VARCHAR",
        ColumnType::Bytes => "BLOB",
        ColumnType::Int16 => "SMALLINT",
        ColumnType::Int32 => "INTEGER",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Float64 => "DOUBLE",
        ColumnType::Bool => "BOOLEAN",
        ColumnType::Millis | ColumnType::Micros => "TIMESTAMPTZ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a recorder writes and the file of views says are the same.
    #[test]
    fn the_file_of_views_reads_each_dataset_by_its_description() {
        assert!(optional().count() > 10);
        for dataset in optional() {
            let text = match dataset.partition_key {
                Some("market") => of_files(dataset),
                _ => of_files_to_come(dataset),
            };
            assert_eq!(
                VIEWS.matches(&text).count(),
                1,
                "{dataset} should be read by\n{text};"
            );
        }
    }

    #[test]
    fn a_pattern_fits_coverage_and_one_dataset() {
        let fits = |pattern: &str, name: &str| {
            let (first, last) = pattern.split_once('*').unwrap();
            let classes = |text: &str| -> Vec<String> {
                let text = text.replace(['[', ']'], "|");
                let parts = text.split('|').filter(|part| !part.is_empty());
                // Outside a class, each character is a class of its own.
                parts
                    .flat_map(|part| {
                        if part.len() == 2 {
                            vec![part.to_owned()]
                        } else {
                            part.chars().map(String::from).collect()
                        }
                    })
                    .collect()
            };
            let (first, last) = (classes(first), classes(last));
            let all: Vec<char> = name.chars().collect();
            let begins = first.iter().zip(&all).all(|(class, one)| class.contains(*one));
            let ends = last
                .iter()
                .rev()
                .zip(all.iter().rev())
                .all(|(class, one)| class.contains(*one));
            begins && ends && all.len() >= first.len() + last.len()
        };
        for dataset in optional().filter(|dataset| dataset.partition_key != Some("market")) {
            let pattern = with_coverage(dataset.name);
            let all = DataDir::new("").all_datasets().into_iter();
            let fitting: Vec<_> = all
                .map(|one| one.name)
                .filter(|name| fits(&pattern, name))
                .collect();
            assert_eq!(fitting.len(), 2, "{pattern} {fitting:?}");
            assert!(
                fitting.contains(&dataset.name) && fitting.contains(&COVERAGE.name),
                "{pattern}"
            );
        }
    }

    #[test]
    fn before_the_first_file_nothing_is_read() {
        let none = as_they_are(VIEWS, |_| false);
        assert!(none.starts_with("-- Nothing is in files yet"), "{none}");
        assert_eq!(none.matches("read_parquet(").count(), 0);
        assert_eq!(VIEWS.matches(OF_QUARANTINE).count(), 1);
        // From then on coverage is there.
        let begun = as_they_are(VIEWS, |dataset| dataset == &COVERAGE);
        assert!(begun.starts_with("-- DuckDB views") && begun.contains("'coverage/**"));
    }

    #[test]
    fn a_dataset_that_has_files_is_read_alone() {
        let all = as_they_are(VIEWS, |_| true);
        assert!(all.contains("FROM read_parquet('derivative_books/**/*.parquet', hive"));
        assert_eq!(all.matches("union_by_name").count(), 1, "quarantine");
        let none = as_they_are(VIEWS, |dataset| dataset == &COVERAGE);
        assert_eq!(none.matches("union_by_name").count(), optional().count());
        assert!(!none.contains("'trades/**/*.parquet', hive"));
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let books = optional().find(|dataset| dataset.name == "books").unwrap();
        let has_files = || has_files(&data.dataset_dir(books), books);
        let partition = data.dataset_dir(books).join("date=2026-11-20/feed=A");
        std::fs::create_dir_all(&partition).unwrap();
        assert!(!has_files());
        std::fs::write(partition.join("books.parquet"), "").unwrap();
        assert!(has_files());
    }
}
