//! The oracle is proved first: each way in which a recording can be wrong is applied to a copy, and must be detected.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use krx_harness::ledger::Ledger;
use krx_harness::oracle::{MARKETS, compare_over_dates};
use krx_harness::tree::{copy_tree, files_under, partition};
use krx_harness::{Mode, RecorderConfig, Simulator, compare};
use krx_store::journal::What;
use krx_store::{DataDir, Entry, Event, ExportConfig, Exporter, FeedName, JournalConfig, Moment};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

/// A file with one row group, taken apart.
struct Parts {
    path: PathBuf,
    batch: RecordBatch,
    footer: Vec<KeyValue>,
}

impl Parts {
    fn read(path: &Path) -> Self {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let footer = builder
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .unwrap()
            .clone();
        let footer = footer
            .into_iter()
            .filter(|pair| pair.key.starts_with("krx."))
            .collect();
        let schema = builder.schema().clone();
        let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
        Self {
            path: path.to_owned(),
            batch: concat_batches(&schema, &batches).unwrap(),
            footer,
        }
    }

    /// Rewrites the file with a footer whose number of rows is correct.
    fn write(mut self) {
        if !self.footer.iter().any(|pair| pair.key == "tampered") {
            let rows = self.batch.num_rows().to_string();
            if self.path.to_string_lossy().contains("quarantine-") {
                let mut other = Self::read(&sibling(&self.path, "quarantine", "trades"));
                other.set("krx.quarantined", &rows);
                other.write_as_it_is();
                self.set("krx.quarantined", &rows);
            }
            self.set("krx.rows", &rows);
        }
        self.write_as_it_is();
    }

    fn write_as_it_is(self) {
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(self.footer))
            .build();
        let file = File::create(&self.path).unwrap();
        let mut writer = ArrowWriter::try_new(file, self.batch.schema(), Some(properties)).unwrap();
        writer.write(&self.batch).unwrap();
        writer.close().unwrap();
    }

    fn set(&mut self, key: &str, value: &str) {
        self.footer.iter_mut().find(|pair| pair.key == key).unwrap().value = Some(value.to_owned());
    }

    fn take(&mut self, rows: impl IntoIterator<Item = usize>) {
        let rows: UInt32Array = rows.into_iter().map(|row| u32::try_from(row).unwrap()).collect();
        self.batch = take_record_batch(&self.batch, &rows).unwrap();
    }

    /// Changes one value by as little as its type allows.
    fn change(&mut self, column: &str, row: usize) {
        let index = self.batch.schema().index_of(column).unwrap();
        let mut columns = self.batch.columns().to_vec();
        columns[index] = changed(&columns[index], row);
        self.batch = RecordBatch::try_new(self.batch.schema(), columns).unwrap();
    }

    fn rows(&self) -> usize {
        self.batch.num_rows()
    }
}

/// The file of the same name in another dataset.
fn sibling(path: &Path, from: &str, to: &str) -> PathBuf {
    let path = path.to_str().unwrap();
    [
        (format!("/{from}/"), format!("/{to}/")),
        (
            format!("/{}/", partition(from, "KOSPI")),
            format!("/{}/", partition(to, "KOSPI")),
        ),
        (format!("/{from}-"), format!("/{to}-")),
    ]
    .iter()
    .fold(path.to_owned(), |path, (from, to)| path.replace(from, to))
    .into()
}

fn changed(column: &ArrayRef, row: usize) -> ArrayRef {
    assert!(row < column.len(), "there is no row {row}");
    let at = |index: usize| i64::from(index == row);
    match column.data_type() {
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().values();
            Arc::new(
                values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| value + at(index))
                    .collect::<Int64Array>(),
            )
        }
        DataType::Int32 => {
            let values = column.as_primitive::<Int32Type>().values();
            Arc::new(
                values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| value + i32::from(index == row))
                    .collect::<Int32Array>(),
            )
        }
        DataType::Int16 => {
            let values = column.as_primitive::<Int16Type>();
            let changed = values
                .iter()
                .enumerate()
                .map(|(index, value)| value.map(|value| value + i16::from(index == row)));
            Arc::new(changed.collect::<Int16Array>())
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            let values = column
                .as_primitive::<TimestampMillisecondType>()
                .iter()
                .enumerate();
            let values = values.map(|(index, value)| {
                if index == row {
                    Some(value.unwrap_or(0) + 10)
                } else {
                    value
                }
            });
            Arc::new(
                values
                    .collect::<TimestampMillisecondArray>()
                    .with_timezone_opt(zone.clone()),
            )
        }
        DataType::Timestamp(_, zone) => {
            // The receive time is the one column that the ledger does not know to the last digit.
            let values = column
                .as_primitive::<TimestampMicrosecondType>()
                .values()
                .iter()
                .enumerate();
            let values = values.map(|(index, value)| value - at(index) * 3_600_000_000);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone_opt(zone.clone()))
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>().iter().enumerate();
            let values = values.map(|(index, value)| if index == row { Some("0") } else { value });
            Arc::new(values.collect::<StringArray>())
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>().iter().enumerate();
            Arc::new(
                values
                    .map(|(index, value)| if index == row { Some(&b"0"[..]) } else { value })
                    .collect::<BinaryArray>(),
            )
        }
        DataType::Dictionary(_, _) => {
            let words = column
                .as_dictionary::<Int32Type>()
                .downcast_dict::<StringArray>()
                .unwrap();
            let words: Vec<_> = words.into_iter().collect();
            let words = words
                .iter()
                .enumerate()
                .map(|(index, word)| if index == row { Some("block_after") } else { *word });
            Arc::new(words.collect::<DictionaryArray<Int32Type>>())
        }
        other => panic!("no change for {other}"),
    }
}

/// The recording from which all tampering starts, and a copy of it.
struct Recording {
    folder: tempfile::TempDir,
    ledger: PathBuf,
    data: PathBuf,
}

impl Recording {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "--speed",
            "max",
            "--trades-per-day",
            "60000",
            "--fault",
            "garbage@every:40:badrecord",
            "--fault",
            "disconnect@15000",
        ];
        let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
        let config = RecorderConfig {
            rows_max: 10_000,
            rotate_interval: "1h".to_owned(),
            ..RecorderConfig::new(folder.path(), &simulator.url)
        };
        let mut recorder = config.start().unwrap();
        simulator
            .finish_day(&mut recorder, 2, Duration::from_secs(60))
            .unwrap();
        recorder.stop().unwrap();
        Self {
            ledger: simulator.ledger.clone(),
            data: config.data_dir,
            folder,
        }
    }

    /// Tampers with a copy, and returns the oracle's verdict.
    fn verdict(&self, mode: Mode, tamper: impl FnOnce(&Path)) -> String {
        let copy = self.folder.path().join("copy");
        for dataset in ["trades", "quarantine"] {
            copy_tree(&self.data.join(dataset), &copy.join(dataset)).unwrap();
        }
        tamper(&copy);
        let verdict = compare(&self.ledger, &copy, mode);
        fs::remove_dir_all(&copy).unwrap();
        match verdict {
            Ok(report) => format!("equal: {} records", report.trades()),
            Err(difference) => format!("{difference:#}"),
        }
    }
}

/// A file of a dataset in KOSPI with files before and after it: for `trades` the largest of these, which is a full one,
/// or the file in `quarantine` that belongs to it.
fn middle(data: &Path, dataset: &str) -> PathBuf {
    let mut files = files_under(&data.join("trades")).unwrap();
    files.retain(|path| path.parent().unwrap().ends_with(partition("trades", "KOSPI")));
    let inner = &files[1..files.len() - 1];
    let trades = inner.iter().max_by_key(|path| fs::metadata(path).unwrap().len());
    sibling(trades.unwrap(), "trades", dataset)
}

fn edit(data: &Path, dataset: &str, edit: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::read(&middle(data, dataset));
    edit(&mut parts);
    parts.write();
}

#[test]
fn i1_no_tampering_escapes_the_oracle() {
    let recording = Recording::make();
    let untouched = recording.verdict(Mode::Exact, |_| ());
    assert!(untouched.starts_with("equal: "), "{untouched}");
    let rewritten = recording.verdict(Mode::Exact, |data| edit(data, "trades", |_| ()));
    assert_eq!(rewritten, untouched, "rewriting a file is not tampering");

    for mode in [Mode::Exact, Mode::Prefix] {
        let caught = |what: &str, words: &str, tamper: &dyn Fn(&Path)| {
            let verdict = recording.verdict(mode, tamper);
            println!("{mode:?}, {what}: {verdict:.160}");
            assert!(verdict.contains(words), "{what}: {verdict}");
        };
        rows_are_watched(&caught);
        values_are_watched(&caught);
        files_are_watched(&caught);
    }
    the_end_may_be_missing_in_prefix_mode(&recording);
}

type Caught<'a> = &'a dyn Fn(&str, &str, &dyn Fn(&Path));

/// Which of this many rows are kept, and in which order.
type Rows = fn(usize) -> Vec<usize>;

fn rows_are_watched(caught: Caught<'_>) {
    let cases: [(&str, &str, &str, Rows); 8] = [
        ("trades", "one dropped", "KOSPI differs", |rows| {
            (0..rows).filter(|row| *row != rows / 2).collect()
        }),
        ("trades", "the first dropped", "KOSPI differs", |rows| {
            (1..rows).collect()
        }),
        ("trades", "the last dropped", "KOSPI differs", |rows| {
            (0..rows - 1).collect()
        }),
        ("trades", "one doubled", "KOSPI differs", |rows| {
            (0..=rows / 2).chain(rows / 2..rows).collect()
        }),
        // It is the last of its message, so that no other one after it could be missed.
        ("trades", "the last doubled", "twice", |rows| {
            (0..rows).chain([rows - 1]).collect()
        }),
        ("trades", "all doubled", "follows frame", |rows| {
            (0..rows).chain(0..rows).collect()
        }),
        ("quarantine", "the first dropped", "KOSPI differs", |rows| {
            (1..rows).collect()
        }),
        ("quarantine", "the last doubled", "twice", |rows| {
            (0..rows).chain([rows - 1]).collect()
        }),
    ];
    for (dataset, what, words, rows) in cases {
        caught(&format!("{dataset}, {what}"), words, &|data| {
            edit(data, dataset, |parts| parts.take(rows(parts.rows())));
        });
    }
    caught("a frame dropped", "is missing", &|data| {
        edit(data, "trades", |parts| {
            let frames = parts.batch.column_by_name("frame").unwrap();
            let frames = frames.as_primitive::<Int64Type>().clone();
            let middle = frames.value(parts.rows() / 2);
            parts.take((0..parts.rows()).filter(|row| frames.value(*row) != middle));
        });
    });
    caught("two frames swapped", "follows frame", &|data| {
        edit(data, "trades", |parts| {
            let frames = parts.batch.column_by_name("frame").unwrap();
            let frames = frames.as_primitive::<Int64Type>().values();
            let ends: Vec<_> = (1..parts.rows())
                .filter(|row| frames[row - 1] != frames[*row])
                .collect();
            let (second, third) = (ends[0], ends[1]);
            parts.take((second..third).chain(0..second).chain(third..parts.rows()));
        });
    });
    caught("two rows of a frame swapped", "KOSPI differs", &|data| {
        edit(data, "trades", |parts| {
            let frames = parts.batch.column_by_name("frame").unwrap();
            let frames = frames.as_primitive::<Int64Type>().values();
            let first = frames.windows(2).position(|pair| pair[0] == pair[1]).unwrap();
            parts.take(
                (0..first)
                    .chain([first + 1, first])
                    .chain(first + 2..parts.rows()),
            );
        });
    });
    caught("the footer counts otherwise", "footer", &|data| {
        edit(data, "trades", |parts| {
            parts.set("krx.rows", "1");
            parts.footer.push(KeyValue::new("tampered".to_owned(), None));
        });
    });
}

fn values_are_watched(caught: Caught<'_>) {
    for column in [
        "code",
        "trade_ts",
        "price",
        "volume",
        "kind",
        "trade_time",
        "recv_ts",
        "frame",
        "item",
        "session",
        "extra",
    ] {
        for row in [0, 1234] {
            caught(
                &format!("{column} changed in row {row}"),
                "KOSPI differs",
                &|data| edit(data, "trades", |parts| parts.change(column, row)),
            );
        }
    }
    for column in ["recv_ts", "frame", "item", "session", "reason", "raw"] {
        caught(
            &format!("{column} changed in quarantine"),
            "KOSPI differs",
            &|data| edit(data, "quarantine", |parts| parts.change(column, 2)),
        );
    }
}

fn files_are_watched(caught: Caught<'_>) {
    caught("a file removed", "adjoins", &|data| {
        let files = ["trades", "quarantine"].map(|dataset| middle(data, dataset));
        files.iter().for_each(|file| fs::remove_file(file).unwrap());
    });
    caught("a trades file removed", "no trades file", &|data| {
        fs::remove_file(middle(data, "trades")).unwrap();
    });
    caught("a quarantine file removed", "quarantine is missing", &|data| {
        fs::remove_file(middle(data, "quarantine")).unwrap();
    });
    caught("a foreign file", "not a committed file", &|data| {
        fs::write(middle(data, "trades").with_file_name("notes.txt"), "hello").unwrap();
    });
    caught("a file cut short", "KOSPI differs", &|data| {
        let path = middle(data, "trades");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    });
}

/// Without its last file a recording is merely shorter: a beginning, not all of it.
fn the_end_may_be_missing_in_prefix_mode(recording: &Recording) {
    let without_the_end = |data: &Path| {
        let files = files_under(&data.join("trades")).unwrap();
        let kospi = files
            .into_iter()
            .rfind(|path| path.parent().unwrap().ends_with("market=KOSPI"));
        let last = kospi.unwrap();
        // A short file may have nothing in quarantine.
        let quarantine = last
            .strip_prefix(data)
            .unwrap()
            .to_str()
            .unwrap()
            .replace("trades", "quarantine")
            .replace("market=", "feed=");
        let _ = fs::remove_file(data.join(quarantine));
        fs::remove_file(last).unwrap();
    };
    let (exact, prefix) = (
        recording.verdict(Mode::Exact, without_the_end),
        recording.verdict(Mode::Prefix, without_the_end),
    );
    assert!(exact.contains("was sent and is missing"), "{exact}");
    assert!(prefix.starts_with("equal"), "{prefix}");
}

/// A recording that matches the ledger, with midnight in Korea after a number of texts of each market.
fn record_across_midnight(ledger: &Path, data: &Path, texts_before: usize) {
    const DAY_US: i64 = 86_400_000_000;
    const KOREA_US: i64 = 9 * 3_600_000_000;
    fs::create_dir_all(data).unwrap();
    let data = DataDir::new(data);
    let limits = ExportConfig {
        rotate_interval: Duration::from_secs(60),
        rows_max: 10_000,
        keep_days: 0,
        reserve_bytes: 0,
    };
    for market in MARKETS {
        let mut ledger = Ledger::open(ledger, market).unwrap();
        let now = ledger.peek().unwrap().sent_us;
        // Nothing may be received before it was sent, so this is the midnight after next.
        let midnight = ((now + KOREA_US) / DAY_US + 2) * DAY_US - KOREA_US;
        let config = JournalConfig {
            sync_interval: Duration::from_millis(1),
            segment_bytes: 4 << 20,
        };
        let market: FeedName = market.parse().unwrap();
        let mut writer = krx_store::open_writer(&data, &market, config, Arc::default()).unwrap();
        let mut at = midnight - 1000 * i64::try_from(texts_before).unwrap();
        let mut session = 0;
        while let Some(sent) = ledger.pop().unwrap() {
            let mut append = |what| writer.append(&[Entry { at: Moment(at), what }]).unwrap();
            if sent.session != session {
                session = sent.session;
                append(What::Event(Event::Connected { url: String::new() }));
            }
            append(What::Frame(sent.text.into_bytes()));
            at += 1000;
        }
        writer
            .append::<Vec<u8>>(&[Entry {
                at: Moment(at),
                what: What::Event(Event::Stop),
            }])
            .unwrap();
        writer.close().unwrap();
        Exporter::new(&data, &market, limits, None, Arc::default())
            .run()
            .unwrap();
    }
}

#[test]
fn a_session_may_go_on_across_midnight() {
    let recording = Recording::make();
    let expected = compare(&recording.ledger, &recording.data, Mode::Exact).unwrap();
    // Midnight before the first record, within a session, and after a break.
    for texts_before in [1, 2, 700, 20_000] {
        let data = recording.folder.path().join(format!("midnight-{texts_before}"));
        record_across_midnight(&recording.ledger, &data, texts_before);
        let dates = fs::read_dir(data.join("trades")).unwrap().count();
        assert_eq!(dates, 2, "{texts_before}");
        for mode in [Mode::Exact, Mode::Prefix] {
            let report = compare(&recording.ledger, &data, mode).unwrap();
            assert_eq!(report.trades(), expected.trades(), "{texts_before}");
        }
        let over_dates = || compare_over_dates(&recording.ledger, &data);
        assert_eq!(
            over_dates().unwrap().trades(),
            expected.trades(),
            "{texts_before}"
        );
        edit(&data, "trades", |parts| {
            let last = parts.rows() - 1;
            parts.take((0..=last).filter(|row| *row != last / 2));
        });
        let lost = format!("{:#}", over_dates().unwrap_err());
        assert!(lost.contains("was sent and is missing"), "{texts_before}: {lost}");
    }
}
