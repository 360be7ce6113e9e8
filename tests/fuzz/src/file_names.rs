//! Names on disk: what is parsed formats as it was, and what is formatted parses as it was.

use std::path::Path;

use chrono::NaiveDate;
use krx_store::dataset::Dataset;
use krx_store::layout::{CommittedName, DataDir, SegmentName};
use krx_store::{FeedName, Moment};

/// Takes the bytes for a name, and for the numbers that a name is made of.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    if let Ok(name) = std::str::from_utf8(data) {
        read(name);
    }
    write(data);
}

/// All that a data directory may hold.
fn datasets() -> Vec<Dataset> {
    DataDir::new("/data").datasets()
}

fn read(name: &str) {
    for dataset in datasets() {
        if let Some(committed) = CommittedName::parse(dataset, name) {
            assert_one_component(name, &committed.to_string());
            assert_eq!(
                CommittedName::parse(dataset, &committed.to_string()),
                Some(committed)
            );
        }
    }
    if let Some(segment) = SegmentName::parse(name) {
        assert_one_component(name, &segment.to_string());
        assert_eq!(SegmentName::parse(&segment.to_string()), Some(segment));
    }
    if let Ok(feed) = name.parse::<FeedName>() {
        assert_one_component(name, feed.as_str());
        assert_eq!(feed.to_string().parse::<FeedName>().ok(), Some(feed.clone()));
        let (data, date) = (DataDir::new("/data"), NaiveDate::default());
        assert_eq!(data.journal(&feed), Path::new("/data/.krx/journal").join(name));
        for dataset in datasets() {
            let partition = data.partition(dataset, date, &feed);
            assert_eq!(
                partition.parent(),
                Some(data.dataset_dir(dataset).join("date=1970-01-01").as_path())
            );
            let last = partition.file_name().and_then(|last| last.to_str());
            assert_eq!(
                last,
                Some(&*format!("{}={name}", dataset.partition_key.unwrap_or_default()))
            );
            assert_eq!(
                last.and_then(|last| dataset.parse_partition(last)),
                Some(feed.clone())
            );
            assert_eq!(data.staged(dataset, &feed).parent(), Some(&*data.staging()));
        }
    }
}

/// What was parsed is the whole name, and the name is one that stays inside its directory.
fn assert_one_component(name: &str, formatted: &str) {
    assert_eq!(name, formatted);
    assert!(
        !name.contains(['/', '\0']) && !matches!(name, "" | "." | ".."),
        "{name:?}"
    );
}

fn write(data: &[u8]) {
    let mut bytes = [0; 29];
    for (byte, given) in bytes.iter_mut().zip(data) {
        *byte = *given;
    }
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    // From 1970 to the end of the year 9999 in Korea: the years that have four digits, as dates in names do.
    let seconds = i64::try_from(number(0) % (253_402_300_800 - 9 * 3600)).expect("below 2^63");
    let datasets = datasets();
    let dataset = datasets[usize::from(bytes[8]) % datasets.len()];
    let committed = CommittedName {
        dataset,
        partition: Moment(seconds * 1_000_000),
        first_frame: number(9),
        last_frame: number(17),
    };
    assert_eq!(
        CommittedName::parse(dataset, &committed.to_string()),
        Some(committed)
    );
    let segment = SegmentName {
        number: u32::from_le_bytes(std::array::from_fn(|index| bytes[25 + index])),
        date: committed.partition.date(),
        first_frame: committed.first_frame,
    };
    assert_eq!(SegmentName::parse(&segment.to_string()), Some(segment));
}
