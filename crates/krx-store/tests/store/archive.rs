//! The archive of exported segments: what goes in comes out, and nothing is removed too early.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::support::{
    self, NINE, SECOND, SMALL_SEGMENTS, batch, config, event, export, feed, frame, journal, segments,
};
use chrono::Days;
use krx_store::disk::{Disk, Gate, Op};
use krx_store::{DataDir, Event, ExportConfig, Exporter, Moment, archive};

fn record(dir: &Path) {
    let mut entries: Vec<_> = (0..20).map(|index| frame(NINE + index, &batch(8, 1))).collect();
    entries.push(event(NINE + SECOND, Event::Stop));
    journal(dir, SMALL_SEGMENTS, &entries);
}

#[test]
fn what_is_archived_is_restored_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let names = krx_store::catalog::segments(&data.journal(&feed())).unwrap();
    for name in &names {
        let raw = fs::read(data.journal(&feed()).join(name.to_string())).unwrap();
        let bytes = archive::keep(&data, &feed(), *name).unwrap();
        assert!(bytes < raw.len() as u64 / 2);
        // A crash before the segment was removed: it is archived again.
        assert_eq!(archive::keep(&data, &feed(), *name).unwrap(), bytes);
        let target = dir.path().join("restored");
        archive::restore(&data, &feed(), *name, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), raw);
        fs::remove_file(target).unwrap();
    }
    assert_eq!(krx_store::catalog::archived(&data, &feed()).unwrap(), names);
    assert_eq!(fs::read_dir(data.staging()).unwrap().count(), 0);
}

#[test]
fn no_damage_goes_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let name = krx_store::catalog::segments(&data.journal(&feed())).unwrap()[0];
    archive::keep(&data, &feed(), name).unwrap();
    let path = archive::path(&data, &feed(), name);
    let whole = fs::read(&path).unwrap();
    let raw = fs::read(data.journal(&feed()).join(name.to_string())).unwrap();
    let restored = || {
        let target = dir.path().join("restored");
        let _ = fs::remove_file(&target);
        archive::restore(&data, &feed(), name, &target).unwrap();
        fs::read(target).unwrap()
    };
    let damaged = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        archive::check(&path).is_err()
    };
    for byte in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << bit;
            // Some bits of the frame's header change nothing, such as a larger window.
            assert!(damaged(&bytes) || restored() == raw, "bit {bit} of byte {byte}");
        }
        assert!(damaged(&whole[..byte]), "{byte} bytes");
    }
    assert!(damaged(&[&whole[..], b"x"].concat()));
    assert!(damaged(&[&whole[..], &whole[..]].concat()));
    assert!(!damaged(&whole));
}

#[test]
fn archived_segments_go_when_their_days_are_over() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let names = krx_store::catalog::segments(&data.journal(&feed())).unwrap();
    for name in &names {
        archive::keep(&data, &feed(), *name).unwrap();
    }
    let later = |days| Moment(NINE).date().checked_add_days(Days::new(days)).unwrap();
    assert_eq!(archive::expire(&data, &feed(), later(3), 3).unwrap(), 0);
    assert_eq!(archive::expire(&data, &feed(), later(4), 3).unwrap(), names.len());
    assert_eq!(krx_store::catalog::archived(&data, &feed()).unwrap(), []);
    assert_eq!(
        segments(dir.path()).len(),
        names.len(),
        "the journal is not the archive's to clear"
    );
}

#[test]
fn the_exporter_archives_all_but_the_newest_and_expires_what_is_old() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let names = krx_store::catalog::segments(&data.journal(&feed())).unwrap();
    let keep = |keep_days| ExportConfig {
        keep_days,
        ..config(60, 1000)
    };
    export(dir.path(), keep(36_500));
    assert_eq!(
        krx_store::catalog::archived(&data, &feed()).unwrap(),
        names[..names.len() - 1]
    );
    assert_eq!(
        krx_store::catalog::segments(&data.journal(&feed())).unwrap(),
        names[names.len() - 1..]
    );
    // These are the days of the test's journal, which lies years before or after the clock's.
    if Moment(NINE).date() < Moment::now().date() {
        export(dir.path(), keep(0));
        assert_eq!(krx_store::catalog::archived(&data, &feed()).unwrap(), []);
    }
}

#[test]
fn a_segment_that_cannot_be_archived_stays_and_recording_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let before = segments(dir.path());
    fs::create_dir_all(data.internal()).unwrap();
    fs::write(data.internal().join("archive"), "in the way").unwrap();
    let keep = ExportConfig {
        keep_days: 1,
        ..config(60, 1000)
    };
    export(dir.path(), keep);
    assert_eq!(segments(dir.path()), before);
    assert_eq!(support::trades(dir.path()).len(), 20 * 8);
    fs::remove_file(data.internal().join("archive")).unwrap();
    export(dir.path(), keep);
    assert_eq!(segments(dir.path()).len(), 1);
}

/// Writes other bytes to the file in staging when it is to be synced.
struct Swaps<F>(F);

impl<F> std::fmt::Debug for Swaps<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Swaps")
    }
}

impl<F: Fn(Vec<u8>) -> Vec<u8> + Send + Sync> Gate for Swaps<F> {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        if op == Op::Sync && path.to_str().unwrap().contains("archive-") {
            fs::write(path, self.0(fs::read(path)?))?;
        }
        Ok(())
    }
}

/// How the bytes of an archived segment come to differ from those that were written.
type Change = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

#[test]
fn a_segment_is_archived_only_when_it_reads_back_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let names = krx_store::catalog::segments(&data.journal(&feed())).unwrap();
    archive::keep(&data, &feed(), names[1]).unwrap();
    let of_another = fs::read(archive::path(&data, &feed(), names[1])).unwrap();
    fs::remove_dir_all(data.archive(&feed())).unwrap();
    let before = segments(dir.path());
    let changes: [(&str, Change); 4] = [
        (
            "a flipped bit",
            Box::new(|mut bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                bytes
            }),
        ),
        ("cut off", Box::new(|bytes| bytes[..bytes.len() - 9].to_vec())),
        (
            "something behind it",
            Box::new(|bytes| [&bytes[..], b"x"].concat()),
        ),
        (
            "a sound one of another segment",
            Box::new(move |_| of_another.clone()),
        ),
    ];
    let keep = ExportConfig {
        keep_days: 36_500,
        ..config(60, 1000)
    };
    for (what, change) in changes {
        let changing = DataDir::on(Disk::behind(Arc::new(Swaps(change))), dir.path());
        assert!(archive::keep(&changing, &feed(), names[0]).is_err(), "{what}");
        // The exporter keeps the segment, which is the only copy of what was received.
        Exporter::new(&changing, &feed(), keep, None, Arc::default())
            .run()
            .unwrap();
        assert_eq!(
            krx_store::catalog::archived(&data, &feed()).unwrap(),
            [],
            "{what}"
        );
        assert_eq!(segments(dir.path()), before, "{what}");
    }
    export(dir.path(), keep);
    assert_eq!(
        krx_store::catalog::archived(&data, &feed()).unwrap(),
        names[..names.len() - 1]
    );
}
