//! A dataset is added by its spec and its decoder. Everything else follows from the spec.

use std::fs;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use krx_store::dataset::{Column, ColumnType, DatasetSpec, Encoding, QUARANTINE};
use krx_store::day::{Layout, Outcome, Sealing, State, Watch, seal, state, unsealed};
use krx_store::rebuild::{Access, rebuild};
use krx_store::retention::expire;
use krx_store::service::{FULL_MARKET, FrameDecoder, FrameFacts, FrameRows, Rejects, Service, TRADES};
use krx_store::verify::{Kind, verify};
use krx_store::{DataDir, Event, ExportConfig, Exporter, Moment, Retention, catalog};

use crate::support::*;

// From here on ──────────────────────────────────────────────────────────────────────────────────────────────

const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    Column::new(name, column_type, Encoding::Dictionary, meaning)
}

static LENGTHS: DatasetSpec = DatasetSpec::new(
    "lengths",
    "feed",
    "One row for each message.",
    &[
        column(
            "parity",
            ColumnType::Text,
            "whether its length is `odd` or `even`",
        ),
        column("bytes", ColumnType::Int64, "its length"),
        column("recv_ts", ColumnType::Micros, "when it was read"),
        column("frame", ColumnType::Int64, "its number"),
        column("item", ColumnType::Int16, "always 0"),
        column("session", ColumnType::Int32, "the connection"),
    ],
)
.sealed_by("parity");

static TOY: Service = Service {
    name: "toy",
    datasets: &[&LENGTHS, &TRADES],
    has_registrations: false,
    decoder: || Box::new(Toy::new()),
};

struct Toy(Box<dyn FrameDecoder>, Vec<(i64, FrameFacts)>);

impl Toy {
    fn new() -> Self {
        Self((FULL_MARKET.decoder)(), Vec::new())
    }
}

impl FrameDecoder for Toy {
    fn decode(&mut self, facts: &FrameFacts, payload: &[u8], rejects: &mut dyn Rejects) -> FrameRows {
        self.1.push((i64::try_from(payload.len()).unwrap(), *facts));
        let decoded = self.0.decode(facts, payload, rejects);
        FrameRows {
            rows: decoded.rows + 1,
            ..decoded
        }
    }

    fn waiting(&self, dataset: usize) -> usize {
        if dataset == 0 {
            self.1.len()
        } else {
            self.0.waiting(0)
        }
    }

    fn take(&mut self, dataset: usize) -> RecordBatch {
        if dataset == 1 {
            return self.0.take(0);
        }
        let rows = std::mem::take(&mut self.1);
        let parity = rows.iter().map(|row| if row.0 % 2 == 0 { "even" } else { "odd" });
        let micros = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1.recv.0));
        let columns: [(&str, ArrayRef); 6] = [
            ("item", Arc::new(Int16Array::from(vec![0; rows.len()]))),
            ("parity", Arc::new(StringArray::from_iter_values(parity))),
            (
                "bytes",
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
            ),
            ("recv_ts", Arc::new(micros.with_timezone("Asia/Seoul"))),
            (
                "frame",
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1.frame))),
            ),
            (
                "session",
                Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1.session))),
            ),
        ];
        LENGTHS.batch(columns)
    }
}

// ────────────────────────────────────────────────────────────────────────────────────────── to here it is added.

fn data(dir: &std::path::Path) -> DataDir {
    static SERVICES: [&Service; 1] = [&TOY];
    DataDir::new(dir).with_services(&SERVICES)
}

/// A journal of two files, with a piece in quarantine, exported and kept in the archive.
fn recorded(dir: &std::path::Path) -> DataDir {
    let entries = [
        connected(NINE),
        frame(NINE + 1, &batch(3, 1)),
        frame(NINE + 2, "[1]"),
        event(NINE + 3, Event::CommitNow),
        frame(NINE + 4, &batch(2, 10)),
        event(NINE + 5, Event::Stop),
    ];
    let data = data(dir);
    let writer = krx_store::open_writer(&data, &feed(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&TOY);
    writer.append(&entries).unwrap();
    writer.close().unwrap();
    let config = ExportConfig {
        keep_days: 36_500,
        ..config(60, 1000)
    };
    Exporter::new(&data, &feed(), config, None, Arc::default())
        .run()
        .unwrap();
    data
}

fn date() -> chrono::NaiveDate {
    Moment(NINE).date()
}

fn findings(data: &DataDir) -> Vec<(Kind, String)> {
    let report = verify(data, &[date()].into(), &|_| ()).unwrap();
    let findings = report.findings.into_iter();
    findings.map(|finding| (finding.kind, finding.path)).collect()
}

fn seal_all(data: &DataDir) {
    let sealing = Sealing::take(data, 0).unwrap();
    for (date, dataset, feed) in unsealed(data, date(), 1).unwrap() {
        let watch = Watch::nobody();
        let outcome = seal(&sealing, dataset, &feed, date, &Layout::default(), watch).unwrap();
        assert!(matches!(outcome, Outcome::Sealed(_)), "{dataset}: {outcome:?}");
    }
    sealing.finish().unwrap();
}

#[test]
fn a_dataset_of_a_spec_and_a_decoder_is_recorded_verified_sealed_rebuilt_and_expired() {
    let dir = tempfile::tempdir().unwrap();
    let data = recorded(dir.path());
    assert_eq!(findings(&data), []);
    let files = |dataset| catalog::files(&data, dataset, &feed(), date()).unwrap();
    let counts = [
        files(&LENGTHS).len(),
        files(&TRADES).len(),
        files(&QUARANTINE).len(),
    ];
    assert_eq!(
        counts,
        [2, 2, 1],
        "each segment has a file of each dataset that it has rows for"
    );
    let path = |dataset: krx_store::dataset::Dataset, index: usize| {
        data.partition(dataset, date(), &feed())
            .join(files(dataset)[index].to_string())
    };
    let lost = path(&LENGTHS, 1);
    let before = fs::read(&lost).unwrap();

    // A lost file is reported, through the primary file of its frames, and restored.
    fs::remove_file(&lost).unwrap();
    let found = findings(&data);
    assert!(
        found
            .iter()
            .all(|(kind, path)| *kind == Kind::Missing && path.starts_with("lengths/")),
        "{found:?}"
    );
    assert!(!found.is_empty());
    let again = |data: &DataDir| {
        let access = Access::take(data, date()).unwrap();
        rebuild(data, &feed(), date(), config(60, 1000), &access, false).unwrap()
    };
    assert_eq!(again(&data).restored.len(), 1);
    assert_eq!(fs::read(&lost).unwrap(), before, "byte for byte");
    assert_eq!(findings(&data), []);

    // The day is one file for each dataset that is sealed.
    seal_all(&data);
    assert_eq!(findings(&data), []);
    for dataset in [&LENGTHS, &TRADES] {
        assert_eq!(
            state(&data, dataset, &feed(), date()).unwrap(),
            State::Sealed,
            "{dataset}"
        );
    }
    let day = path(&LENGTHS, 0);
    let sealed = fs::read(&day).unwrap();
    fs::write(&day, &sealed[..sealed.len() - 1]).unwrap();
    assert_eq!(findings(&data)[0].0, Kind::Digest);
    assert_eq!(again(&data).restored.len(), 1);
    assert_eq!(fs::read(&day).unwrap(), sealed);
    assert_eq!(findings(&data), []);

    // A sealed day that has lost rows of one dataset is detected by the other's footer.
    let today = date() + chrono::Days::new(1);
    for days in 1..=5 {
        let recent = data.date_dir(&TRADES, today - chrono::Days::new(days));
        fs::create_dir_all(recent).unwrap();
    }
    fs::remove_dir_all(data.journal(&feed())).unwrap();
    expire(&data, &Retention::default().keeping(&LENGTHS, 0), today).unwrap();
    assert!(!data.date_dir(&LENGTHS, date()).exists());
    assert!(files(&TRADES).len() == 1);
    assert_eq!(findings(&data), [], "what retention took is missing nowhere");
}

#[test]
fn a_dataset_documents_itself() {
    let table = LENGTHS.to_markdown();
    assert!(
        table.contains("| `parity` | text | whether its length is `odd` or `even` |\n"),
        "{table}"
    );
    let document = serde_json::to_value(LENGTHS.document()).unwrap();
    assert_eq!(document["columns"][2]["type"], "timestamp[us, Asia/Seoul]");
    assert_eq!(document["sealed_by"], "parity");
}

/// docs/reading-the-data.md has the tables that the specs give.
#[test]
fn the_documents_tables_are_those_of_the_specs() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reading-the-data.md");
    let text = fs::read_to_string(path).unwrap();
    for dataset in DataDir::new("/").all_datasets() {
        let table = dataset.to_markdown();
        assert!(
            text.contains(&table),
            "docs/reading-the-data.md lacks this table of {dataset}:\n{table}"
        );
        assert!(
            text.contains(dataset.summary),
            "docs/reading-the-data.md lacks: {}",
            dataset.summary
        );
    }
}
