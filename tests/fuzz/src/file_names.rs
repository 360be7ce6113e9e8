//! Names on disk: what is parsed formats as it was, and what is formatted parses as it was.

use std::path::Path;

use chrono::NaiveDate;
use krx_store::layout::{DataDir, Dataset, Market, SealedName, SegmentName};
use krx_store::moment::Moment;

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

fn read(name: &str) {
    if let Some(sealed) = SealedName::parse(name) {
        assert_one_component(name, &sealed.to_string());
        assert_eq!(SealedName::parse(&sealed.to_string()), Some(sealed));
    }
    if let Some(segment) = SegmentName::parse(name) {
        assert_one_component(name, &segment.to_string());
        assert_eq!(SegmentName::parse(&segment.to_string()), Some(segment));
    }
    if let Ok(market) = name.parse::<Market>() {
        assert_one_component(name, market.as_str());
        assert_eq!(market.to_string().parse::<Market>().ok(), Some(market.clone()));
        let (data, date) = (DataDir::new("/data"), NaiveDate::default());
        assert_eq!(data.journal(&market), Path::new("/data/.krx/journal").join(name));
        let partition = data.partition(Dataset::Trades, date, &market);
        assert_eq!(
            partition.parent(),
            Some(Path::new("/data/trades/date=1970-01-01"))
        );
        assert_eq!(
            partition.file_name().and_then(|last| last.to_str()),
            Some(&*format!("market={name}"))
        );
        assert_eq!(
            data.staged(Dataset::Trades, &market).parent(),
            Some(&*data.staging())
        );
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
    let sealed = SealedName {
        dataset: if bytes[8] % 2 == 0 {
            Dataset::Trades
        } else {
            Dataset::Quarantine
        },
        partition: Moment(seconds * 1_000_000),
        first_frame: number(9),
        last_frame: number(17),
    };
    assert_eq!(SealedName::parse(&sealed.to_string()), Some(sealed));
    let segment = SegmentName {
        number: u32::from_le_bytes(std::array::from_fn(|index| bytes[25 + index])),
        date: sealed.partition.date(),
        first_frame: sealed.first_frame,
    };
    assert_eq!(SegmentName::parse(&segment.to_string()), Some(segment));
}
