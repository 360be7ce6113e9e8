//! Damage to the journal: a record with a flipped byte is never exported, and costs no other record.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use krx_harness::RecorderConfig;
use krx_harness::recorded::Frames;
use krx_store::DataDir;
use krx_store::journal::{RecordKind, Scanned, SegmentReader};
use krx_tests::tally::{Extent, Tally};

use crate::common::{Bench, CONNECT_MAX, KOSPI_ALONE, NOWHERE, look_at_logs, recover, turn};

/// A record with data.
struct Record {
    segment: PathBuf,
    bytes: Range<u64>,
    frame: i64,
}

fn records(data_dir: &Path) -> Result<Vec<Record>> {
    let dir = DataDir::new(data_dir).journal(&"KOSPI".parse()?);
    let mut records = Vec::new();
    for name in krx_store::catalog::segments(&dir)? {
        let segment = dir.join(name.to_string());
        let mut reader = SegmentReader::open(&segment)?;
        let limit = reader.file_bytes()?;
        let mut start = reader.position();
        while let Scanned::Record(head) = reader.advance(limit)? {
            if head.kind == RecordKind::Frame && reader.payload().first() == Some(&b'[') {
                records.push(Record {
                    segment: segment.clone(),
                    bytes: start..start + 32 + head.len as u64,
                    frame: head.frame.cast_signed(),
                });
            }
            start = reader.position();
        }
    }
    Ok(records)
}

/// Flips bytes of a journal and exports it; an error if anything but the damaged frames is missing, or one of them is
/// present.
pub(crate) fn flipped_bytes_are_no_rows(
    tally: &mut Tally,
    change: impl FnOnce(&mut RecorderConfig),
    flips: usize,
    seed: u64,
) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bench = Bench::new(&["--rate", "100000", "--repeat", "--market", "KOSPI"])?;
    bench.config.more = KOSPI_ALONE.to_owned();
    // Nothing is committed before the damage.
    (bench.config.rotate_interval, bench.config.rows_max) = ("1h".to_owned(), 10_000_000);
    change(&mut bench.config);
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 1, CONNECT_MAX)?;
    sleep(Duration::from_millis(1000));
    recorder.kill()?;

    let records = records(&bench.config.data_dir)?;
    ensure!(
        records.len() > 100,
        "{} frames are too few to tell",
        records.len()
    );
    let mut damaged = BTreeSet::new();
    for flip in 0..flips {
        let record = &records[random.usize(..records.len())];
        // The first one hits a price, where only the checksum can tell.
        let offset = if flip == 0 {
            price_of(record)?
        } else {
            random.u64(record.bytes.clone())
        };
        let file = OpenOptions::new().read(true).write(true).open(&record.segment)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset)?;
        byte[0] ^= 1 << if flip == 0 { 0 } else { random.u8(0..8) };
        file.write_all_at(&byte, offset)?;
        // A second flip of the same bit would repair it.
        if !damaged.insert(record.frame) {
            file.write_all_at(&[byte[0] ^ 0x55], record.bytes.start + 40)?;
        }
        tally.tried += 1;
    }
    recover(&RecorderConfig {
        base_url: NOWHERE.to_owned(),
        ..bench.config.clone()
    })?;
    look_at_logs(tally, "damage", bench.path());
    bench.simulator.stop()?;

    let mut found = BTreeSet::new();
    let mut frames = Frames::open(&bench.config.data_dir, "KOSPI")?.with_holes();
    while let Some(frame) = frames.next()? {
        ensure!(
            frame.trades.is_empty() || !damaged.contains(&frame.number),
            "I1: frame {} is damaged in the journal, and {} rows of it are in trades",
            frame.number,
            frame.trades.len()
        );
        found.insert(frame.number);
    }
    let missing = records
        .iter()
        .map(|record| record.frame)
        .find(|frame| !found.contains(frame) && !damaged.contains(frame));
    ensure!(
        missing.is_none(),
        "I1: frame {missing:?} is sound in the journal, and missing in the datasets: it is lost"
    );
    Ok(())
}

fn price_of(record: &Record) -> Result<u64> {
    let file = OpenOptions::new().read(true).open(&record.segment)?;
    let mut bytes = vec![0; usize::try_from(record.bytes.end - record.bytes.start)?];
    file.read_exact_at(&mut bytes, record.bytes.start)?;
    let key = b"\"trdPrc\":\"";
    let at = bytes.windows(key.len()).position(|window| window == key);
    Ok(record.bytes.start + (at.context("a price")? + key.len()) as u64)
}

#[test]
fn i1_a_flipped_byte_in_the_journal_is_never_a_row() {
    let _turn = turn();
    let mut tally = Tally::begin("damage to the journal");
    let rounds = if Extent::asked() == Extent::Full { 20 } else { 2 };
    for seed in 0..rounds {
        let result = flipped_bytes_are_no_rows(&mut tally, |_| {}, 10, seed);
        tally.check(format!("seed {seed}"), result);
    }
    tally.finish();
}
