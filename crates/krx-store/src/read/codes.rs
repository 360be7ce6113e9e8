//! The issue codes of a date, and nothing else.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use chrono::NaiveDate;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::file::{not_ours, undecodable};
use crate::catalog;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::service::TRADES;

const CODE: &str = "code";

/// The issue codes in a feed's trades of a date. If the column is stored as a dictionary, as the recorder does, only
/// the dictionaries are read: a few kilobytes from each row group.
///
/// # Errors
/// [`StoreError`], when a file cannot be read or is not a trades file. If the day is sealed into one file in the
/// meantime, a file vanishes: ask again.
pub fn codes(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    for path in catalog::paths(data, &TRADES, feed, date)? {
        of_file(&path, &mut found)?;
    }
    Ok(found)
}

fn of_file(path: &Path, found: &mut BTreeSet<String>) -> Result<(), StoreError> {
    let reading = || undecodable(path);
    let file = File::open(path).map_err(at("opening", path))?;
    let reader = SerializedFileReader::new(file).map_err(reading())?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let column = (0..schema.num_columns())
        .find(|column| schema.column(*column).path().string() == CODE)
        .ok_or_else(|| not_ours(path, "it has no issue codes"))?;
    let mut plain = Vec::new();
    for group in 0..reader.num_row_groups() {
        let stored = reader.metadata().row_group(group).column(column);
        let by_dictionary = stored
            .page_encoding_stats_mask()
            .is_some_and(|pages| pages.is_only(Encoding::RLE_DICTIONARY));
        let mut pages = reader
            .get_row_group(group)
            .and_then(|group| group.get_column_page_reader(column))
            .map_err(reading())?;
        match pages.get_next_page().map_err(reading())? {
            Some(Page::DictionaryPage { buf, .. }) if by_dictionary => {
                of_dictionary(&buf, found).ok_or_else(|| not_ours(path, "its issue codes are not text"))?;
            }
            // A group without rows.
            None => {}
            Some(_) => plain.push(group),
        }
    }
    if plain.is_empty() {
        return Ok(());
    }
    of_rows(path, plain, found)
}

/// Texts one after another, each preceded by its length; `None` when they are not.
fn of_dictionary(mut bytes: &[u8], found: &mut BTreeSet<String>) -> Option<()> {
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        let text = std::str::from_utf8(text).ok()?;
        if !found.contains(text) {
            found.insert(text.to_owned());
        }
        bytes = rest;
    }
    bytes.is_empty().then_some(())
}

/// Codes of row groups that are stored in another way.
fn of_rows(path: &Path, groups: Vec<usize>, found: &mut BTreeSet<String>) -> Result<(), StoreError> {
    let reading = || undecodable(path);
    let file = File::open(path).map_err(at("opening", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(reading())?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [CODE]);
    let reader = builder.with_projection(mask).with_row_groups(groups).build();
    for batch in reader.map_err(reading())? {
        let batch = batch
            .map_err(parquet::errors::ParquetError::from)
            .map_err(reading())?;
        let Some(column) = batch.column(0).as_string_opt::<i32>() else {
            return Err(not_ours(path, "its issue codes are not text"));
        };
        for code in column.iter().flatten() {
            if !found.contains(code) {
                found.insert(code.to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    fn write(dir: &Path, first_frame: u64, codes: &[String], dictionary: bool) {
        let name = format!("trades-20261120T090000-{first_frame:012}-{first_frame:012}.parquet");
        let column: ArrayRef = Arc::new(StringArray::from(codes.to_vec()));
        let other: ArrayRef = Arc::new(StringArray::from(vec!["other"; codes.len()]));
        let batch = RecordBatch::try_from_iter([("other", other), (CODE, column)]).unwrap();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(dictionary)
            .set_max_row_group_row_count(Some(100))
            .build();
        let file = File::create(dir.join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn codes_are_found_however_they_are_stored() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let feed: FeedName = "KOSPI".parse().unwrap();
        assert!(codes(&data, &feed, date()).unwrap().is_empty(), "no file");
        let dir = data.partition(&TRADES, date(), &feed);
        std::fs::create_dir_all(&dir).unwrap();
        let many: Vec<String> = (0..1000).map(|number| format!("{:06}", number % 300)).collect();
        write(&dir, 1, &many, true);
        write(&dir, 2, &["00088K".to_owned(), "000001".to_owned()], false);
        write(&dir, 3, &[], true);
        let found = codes(&data, &feed, date()).unwrap();
        let mut expected: BTreeSet<String> = many.into_iter().collect();
        expected.insert("00088K".to_owned());
        assert_eq!(found, expected);

        std::fs::write(
            dir.join("trades-20261120T090000-000000000004-000000000004.parquet"),
            b"no parquet",
        )
        .unwrap();
        let error = codes(&data, &feed, date()).unwrap_err().to_string();
        assert!(error.contains("000000000004.parquet"), "{error}");
    }

    #[test]
    fn a_dictionary_that_ends_within_a_text_is_refused() {
        let mut found = BTreeSet::new();
        assert_eq!(
            of_dictionary(&[2, 0, 0, 0, b'A', b'B', 1, 0, 0, 0, b'C'], &mut found),
            Some(())
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["AB", "C"]);
        for broken in [&[9, 0, 0, 0, b'A'][..], &[1, 0, 0], &[1, 0, 0, 0, 0xff]] {
            assert_eq!(of_dictionary(broken, &mut BTreeSet::new()), None, "{broken:?}");
        }
    }
}
