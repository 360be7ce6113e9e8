//! The oracle of the per-issue service is proved first: each way in which a recording can be wrong is tried, and must be
//! detected.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use arrow_select::take::{take, take_record_batch};
use krx_harness::issues::dataset_names;
use krx_harness::tree::files_under;
use krx_harness::{IssueList, Mode, RecorderConfig, Simulator, compare_issues};
use krx_tests::issues::{
    accepted, everything, listed, recorder_of, wait_for_refusal_again, wait_for_registrations,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

const LIMIT: Duration = Duration::from_secs(60);

/// Those that a recording of everything has.
fn datasets() -> impl Iterator<Item = &'static str> {
    dataset_names().chain(["quarantine"])
}

const BOTH: [Mode; 2] = [Mode::Exact, Mode::Prefix];

/// A recording of everything, in which all datasets have rows.
struct Recording {
    _folder: tempfile::TempDir,
    ledger: PathBuf,
    data: PathBuf,
    list: IssueList,
}

impl Recording {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = [
            &listed(folder.path()).unwrap(),
            "--market",
            "KOSPI",
            "--trades-per-day=400000",
            "--start=10:00",
            "--rate=100",
            "--per-issue-rate=800",
            "--fault=garbage@every:80:badrecord,service=per_issue",
            "--fault=disconnect@750,service=per_issue",
        ];
        let mut simulator = Simulator::start(folder.path(), &options).unwrap();
        let list = everything();
        let config = RecorderConfig {
            rows_max: 1_000,
            rotate_interval: "1h".to_owned(),
            ..recorder_of(folder.path(), &simulator.url, &list)
        };
        let mut recorder = config.start().unwrap();
        wait_for_registrations(&mut recorder, 2, accepted(&list), LIMIT).unwrap();
        wait_for_refusal_again(&mut recorder, LIMIT).unwrap();
        simulator.finish(&mut recorder, 2).unwrap();
        recorder.stop().unwrap();
        Self {
            ledger: simulator.ledger.clone(),
            data: config.data_dir,
            list,
            _folder: folder,
        }
    }

    fn verdict(&self, mode: Mode) -> String {
        match compare_issues(&self.ledger, &self.data, &self.list, mode) {
            Ok(report) => format!("equal: {} rows", report.total()),
            Err(difference) => format!("{difference:#}"),
        }
    }

    /// The verdicts in these modes while `change` is in force; then all is as it was.
    fn verdicts<const N: usize>(
        &self,
        modes: [Mode; N],
        files: &[PathBuf],
        change: impl FnOnce(),
    ) -> [String; N] {
        let before: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        change();
        let verdicts = modes.map(|mode| self.verdict(mode));
        for (path, bytes) in files.iter().zip(before) {
            fs::write(path, bytes).unwrap();
        }
        verdicts
    }

    /// The feed's files of a dataset.
    fn files(&self, dataset: &str) -> Vec<PathBuf> {
        let mut files = files_under(&self.data.join(dataset)).unwrap();
        files.retain(|path| path.to_string_lossy().contains("/feed=ISSUES/"));
        files
    }

    /// The largest file of a dataset, with those of the same frames.
    fn largest(&self, dataset: &str) -> (PathBuf, Vec<PathBuf>) {
        let files = self.files(dataset);
        let size = |path: &&PathBuf| fs::metadata(path).unwrap().len();
        let largest = files.iter().max_by_key(size).unwrap().clone();
        let name = largest.file_name().unwrap().to_string_lossy().into_owned();
        let siblings = datasets().flat_map(|other| {
            let name = name.replacen(dataset, other, 1);
            let files = self.files(other).into_iter();
            files.filter(move |path| path.ends_with(&name))
        });
        let siblings = siblings.collect();
        (largest, siblings)
    }
}

/// A file taken apart.
struct Parts {
    path: PathBuf,
    batch: RecordBatch,
    footer: Vec<KeyValue>,
}

impl Parts {
    fn read(path: &Path) -> Self {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap();
        let of_recorder = pairs.iter().filter(|pair| pair.key.starts_with("krx."));
        let footer = of_recorder.cloned().collect();
        let schema = builder.schema().clone();
        let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
        Self {
            path: path.to_owned(),
            batch: concat_batches(&schema, &batches).unwrap(),
            footer,
        }
    }

    /// Writes it back; any column may hold nulls.
    fn write(self) {
        let schema = self.batch.schema();
        let fields = schema
            .fields()
            .iter()
            .map(|field| Field::clone(field).with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), self.batch.columns().to_vec()).unwrap();
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(self.footer))
            .build();
        let mut writer =
            ArrowWriter::try_new(File::create(&self.path).unwrap(), schema, Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    fn set(&mut self, key: &str, change: impl FnOnce(&str) -> String) {
        let pair = self.footer.iter_mut().find(|pair| pair.key == key).unwrap();
        pair.value = Some(change(pair.value.as_deref().unwrap()));
    }

    fn put(&mut self, column: usize, cells: ArrayRef) {
        let mut columns = self.batch.columns().to_vec();
        columns[column] = cells;
        let schema = self.batch.schema();
        let fields = schema
            .fields()
            .iter()
            .map(|field| Field::clone(field).with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self.batch = RecordBatch::try_new(schema, columns).unwrap();
    }
}

/// The cells, but in `row` what is in `from`, or nothing.
fn replaced(cells: &ArrayRef, row: usize, from: Option<usize>) -> ArrayRef {
    let index = |at: usize| {
        let from = if at == row { from } else { Some(at) };
        from.map(|from| u32::try_from(from).unwrap())
    };
    let places: UInt32Array = (0..cells.len()).map(index).collect();
    take(cells, &places, None).unwrap()
}

/// The cells with the least possible difference in `row`; where a type has none, with nothing there.
fn nudged(cells: &ArrayRef, row: usize) -> ArrayRef {
    match cells.data_type() {
        DataType::Int64 => {
            let values = cells.as_primitive::<Int64Type>().iter().enumerate();
            let values = values.map(|(at, value)| value.map(|value| value + i64::from(at == row)));
            Arc::new(values.collect::<Int64Array>())
        }
        DataType::Float64 => {
            let values = cells.as_primitive::<Float64Type>().iter().enumerate();
            let values =
                values.map(|(at, value)| value.map(|value| if at == row { value.next_up() } else { value }));
            Arc::new(values.collect::<Float64Array>())
        }
        _ => replaced(cells, row, None),
    }
}

fn assert_caught(what: &str, verdicts: &[String]) {
    println!("{what}: {:.200}", verdicts[0]);
    for verdict in verdicts {
        assert!(!verdict.starts_with("equal"), "{what}: {verdict}");
    }
}

#[test]
fn i1_no_tampering_with_issues_escapes_the_oracle() {
    let recording = Recording::make();
    let untouched = recording.verdict(Mode::Exact);
    assert!(untouched.starts_with("equal: "), "{untouched}");
    for dataset in datasets() {
        assert!(!recording.files(dataset).is_empty(), "{dataset} has rows");
        let (path, _) = recording.largest(dataset);
        let rewritten = recording.verdicts(BOTH, std::slice::from_ref(&path), || Parts::read(&path).write());
        assert_eq!(rewritten[0], untouched, "rewriting a file is not tampering");
        values_are_watched(&recording, dataset);
        rows_are_watched(&recording, dataset);
        files_are_watched(&recording, dataset);
    }
    the_end_may_be_missing(&recording, &untouched);
}

fn values_are_watched(recording: &Recording, dataset: &str) {
    let (path, _) = recording.largest(dataset);
    let parts = Parts::read(&path);
    let mut nudges = 0;
    for (column, field) in parts.batch.schema().fields().iter().enumerate() {
        // The ledger does not know what the recorder says about a piece in other words.
        if field.name() == "detail" {
            continue;
        }
        let cells = parts.batch.column(column);
        let rows = || (cells.len() / 2..cells.len()).chain(0..cells.len() / 2);
        let (full, empty) = (
            rows().find(|row| cells.is_valid(*row)),
            rows().find(|row| cells.is_null(*row)),
        );
        let mut try_it = |what: &str, cells: ArrayRef| {
            let what = format!("{dataset}.{} {what}", field.name());
            let verdicts = recording.verdicts([Mode::Prefix], std::slice::from_ref(&path), || {
                let mut parts = Parts::read(&path);
                parts.put(column, cells);
                parts.write();
            });
            assert_caught(&what, &verdicts);
            nudges += 1;
        };
        if let Some(row) = full {
            try_it("is another", nudged(cells, row));
        }
        if let (Some(full), Some(empty)) = (full, empty) {
            try_it("is there", replaced(cells, empty, Some(full)));
        }
    }
    assert!(nudges >= 6, "{dataset}: {nudges} columns are too few");
}

/// Which of this many rows are kept, and in which order.
type Kept = fn(usize) -> Vec<usize>;

fn rows_are_watched(recording: &Recording, dataset: &str) {
    let cases: [(&str, Kept); 4] = [
        ("the first dropped", |rows| (1..rows).collect()),
        ("one dropped", |rows| {
            (0..rows).filter(|row| *row != rows / 2).collect()
        }),
        ("the last doubled", |rows| (0..rows).chain([rows - 1]).collect()),
        ("all doubled", |rows| (0..rows).chain(0..rows).collect()),
    ];
    let (path, siblings) = recording.largest(dataset);
    for (what, kept) in cases {
        let verdicts = recording.verdicts(BOTH, &siblings, || {
            let rows = Parts::read(&path).batch.num_rows();
            let kept: Vec<_> = kept(rows)
                .iter()
                .map(|row| u32::try_from(*row).unwrap())
                .collect();
            for sibling in &siblings {
                let mut parts = Parts::read(sibling);
                let (before, now) = (format!("{dataset}={rows}"), format!("{dataset}={}", kept.len()));
                parts.set("krx.files", |files| {
                    let files = files.split(',');
                    let files: Vec<_> = files
                        .map(|file| if file == before { now.as_str() } else { file })
                        .collect();
                    files.join(",")
                });
                if *sibling == path {
                    parts.set("krx.rows", |_| kept.len().to_string());
                    parts.batch = take_record_batch(&parts.batch, &UInt32Array::from(kept.clone())).unwrap();
                }
                parts.write();
            }
        });
        assert_caught(&format!("{dataset}: {what}"), &verdicts);
    }
}

fn files_are_watched(recording: &Recording, dataset: &str) {
    // The first file: nothing of it is the end of anything.
    let files = recording.files(dataset);
    let path = &files[0];
    let verdicts = recording.verdicts(BOTH, std::slice::from_ref(path), || {
        fs::remove_file(path).unwrap();
    });
    assert_caught(&format!("{dataset}: a file removed"), &verdicts);
    let copy = path.with_file_name("again.parquet");
    let verdicts = recording.verdicts(BOTH, &[], || {
        fs::copy(path, &copy).unwrap();
    });
    assert_caught(&format!("{dataset}: another file"), &verdicts);
    fs::remove_file(copy).unwrap();
}

/// Only where that is allowed.
fn the_end_may_be_missing(recording: &Recording, untouched: &str) {
    let last = recording.files("ticks").pop().unwrap();
    let name = last
        .file_name()
        .unwrap()
        .to_string_lossy()
        .replacen("ticks", "", 1);
    let of_all = datasets().flat_map(|dataset| recording.files(dataset));
    let last: Vec<_> = of_all
        .filter(|path| path.to_string_lossy().ends_with(&name))
        .collect();
    let [exact, prefix] = recording.verdicts(BOTH, &last, || {
        last.iter().for_each(|path| fs::remove_file(path).unwrap());
    });
    assert!(!exact.starts_with("equal"), "{exact}");
    assert!(prefix.starts_with("equal"), "{prefix}");
    assert_eq!(recording.verdict(Mode::Exact), untouched, "all is as it was");
}
