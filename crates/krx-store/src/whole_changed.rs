//! Files that somebody has changed, for the tests of what is replaced as a whole.

use std::fs::{self, File};
use std::path::Path;

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

use super::Whole;

/// Changes a sound file in one way after another, as someone who edits it would, and asserts that it is believed only when
/// nothing was changed. `edit` turns some text of the state into another that could be genuine.
pub(crate) fn assert_no_change_is_believed(
    file: &Whole,
    path: &Path,
    edit: (&str, &str),
    is_believed: impl Fn() -> bool,
) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let metadata = builder.metadata().file_metadata();
    let pairs = metadata.key_value_metadata().unwrap().clone();
    let rows = builder.build().unwrap().next().unwrap().unwrap();
    let write = |columns: &[ArrayRef], pairs: &[KeyValue]| write_again(file, path, columns, pairs);
    write(rows.columns(), &pairs);
    assert!(is_believed(), "nothing was changed");

    // Each column gets a different value, of a kind that it may hold.
    let last = rows.num_rows() - 1;
    for (index, field) in file.dataset.schema().fields().iter().enumerate() {
        let column = rows.column(index);
        let is_other = |row: &usize| column.slice(*row, 1).to_data() != column.slice(last, 1).to_data();
        let other = (0..last).find(is_other);
        let other = other.unwrap_or_else(|| panic!("all rows have the same {}", field.name()));
        let pieces = [column.slice(0, last), column.slice(other, 1)];
        let mut columns = rows.columns().to_vec();
        columns[index] = arrow_select::concat::concat(&[&*pieces[0], &*pieces[1]]).unwrap();
        write(&columns, &pairs);
        assert!(!is_believed(), "{} was changed", field.name());
    }
    write(rows.slice(0, last).columns(), &pairs);
    assert!(!is_believed(), "a row is gone");

    let mut edited = pairs.clone();
    let key = format!("krx.{}", file.state_key);
    let state = edited.iter_mut().find(|pair| pair.key == key).unwrap();
    let text = state.value.take().unwrap();
    state.value = Some(text.replace(edit.0, edit.1));
    assert_ne!(state.value.as_ref(), Some(&text));
    write(rows.columns(), &edited);
    assert!(!is_believed(), "the state was changed");
    for key in [file.state_key, file.checksum_key] {
        let key = format!("krx.{key}");
        let without = pairs.iter().filter(|pair| pair.key != key);
        write(rows.columns(), &without.cloned().collect::<Vec<_>>());
        assert!(!is_believed(), "without {key}");
    }
    fs::write(path, "PAR1").unwrap();
    assert!(!is_believed(), "it is not Parquet");
}

fn write_again(file: &Whole, path: &Path, columns: &[ArrayRef], pairs: &[KeyValue]) {
    let batch = RecordBatch::try_new(file.dataset.schema(), columns.to_vec()).unwrap();
    let output = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(output, file.dataset.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    for pair in pairs.iter().filter(|pair| pair.key.starts_with("krx.")) {
        writer.append_key_value_metadata(pair.clone());
    }
    writer.close().unwrap();
}
