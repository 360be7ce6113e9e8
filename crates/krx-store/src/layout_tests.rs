use proptest::prelude::*;

use super::*;
use crate::service::TRADES;

#[test]
fn names_are_those_of_the_design() {
    let name = "trades-20261120T090000-000000000001-000000004711.parquet";
    let parsed = CommittedName::parse(&TRADES, name).unwrap();
    assert_eq!((parsed.first_frame, parsed.last_frame), (1, 4711));
    assert_eq!(parsed.partition.micros_of_day(), 9 * 3_600_000_000);
    assert_eq!(parsed.to_string(), name);
    let data = DataDir::new("/data");
    let partition = data.partition(&TRADES, parsed.partition.date(), &"KOSPI".parse().unwrap());
    assert_eq!(partition, Path::new("/data/trades/date=2026-11-20/market=KOSPI"));
}

#[test]
fn other_files_are_not_mistaken_for_ours() {
    for name in [
        "",
        ".parquet",
        "trades.parquet",
        "trades-20261120T090000-1-4711.parquet",
        "trades-20261320T090000-000000000001-000000004711.parquet",
        "trades-20261120T090000-000000000001-000000004711.parquet.tmp",
        "other-20261120T090000-000000000001-000000004711.parquet",
        "trades-20261120T090000-000000000001-+00000004711.parquet",
    ] {
        assert_eq!(CommittedName::parse(&TRADES, name), None, "{name}");
    }
    assert_eq!(
        SegmentName::parse("00000001-20261120-000000000001.journal.torn"),
        None
    );
    assert_eq!(SegmentName::parse("spare"), None);
}

#[test]
fn paths_of_committed_files_lead_nowhere_else() {
    let name = "trades-20261120T090000-000000000001-000000004711.parquet";
    for path in [
        format!("date=2026-11-20/market=KOSPI/{name}"),
        format!("quarantine/date=2026-11-20/feed=KOSPI/{name}"),
        format!("trades/date=2026-11-20/market=../{name}"),
        format!("trades/date=2026-11-2/market=KOSPI/{name}"),
        format!("./trades/date=2026-11-20/market=KOSPI/{name}"),
        format!("trades/date=2026-11-20/market=KOSPI/{name}/x"),
    ] {
        assert_eq!(DataDir::new("/data").parse(&path), None, "{path}");
    }
}

#[test]
fn names_of_days_that_are_sealed_are_read_back() {
    for name in [
        "2026-11-20-trades-KOSPI",
        "2026-11-20-trades-KOSPI-2",
        "2026-11-20-quarantine-A_1-12",
    ] {
        assert_eq!(
            DataDir::new("/data").parse_sealing(name).unwrap().to_string(),
            name
        );
    }
    for name in [
        "",
        "2026-11-20",
        "2026-11-20-",
        "2026-11-20-trades",
        "2026-11-20-KOSPI",
        "2026-11-20-other-KOSPI",
        "2026-11-2-trades-KOSPI",
        "2026-11-20-trades-KOSPI-1",
        "2026-11-20-trades-KOSPI-02",
        "2026-11-20-trades-KOSPI-2-3",
        "2026-11-20-trades-../x",
        "probe-1",
    ] {
        assert_eq!(DataDir::new("/data").parse_sealing(name), None, "{name}");
    }
}

/// Records which directories are synced.
#[derive(Debug, Default)]
struct Porter(std::sync::Mutex<Vec<PathBuf>>);

impl crate::disk::Gate for Porter {
    fn pass(&self, op: crate::disk::Op, path: &Path) -> std::io::Result<()> {
        if op == crate::disk::Op::SyncDir {
            self.0.lock().unwrap().push(path.to_owned());
        }
        Ok(())
    }
}

#[test]
fn names_of_directories_are_on_disk_whoever_made_them() {
    let dir = tempfile::tempdir().unwrap();
    let partition = dir.path().join("trades/date=2026-11-20/market=KOSPI");
    for found in [
        "",
        "trades",
        "trades/date=2026-11-20",
        "trades/date=2026-11-20/market=KOSPI",
    ] {
        let _ = std::fs::remove_dir_all(dir.path().join("trades"));
        std::fs::create_dir_all(dir.path().join(found)).unwrap();
        let porter = std::sync::Arc::new(Porter::default());
        let data = DataDir::on(Disk::behind(porter.clone()), dir.path());
        data.create_dir(&partition).unwrap();
        assert!(partition.is_dir());
        let synced = porter.0.lock().unwrap();
        for above in partition.ancestors().skip(1).take(3) {
            assert!(
                synced.iter().any(|path| path == above),
                "with {found}: {}",
                above.display()
            );
        }
        assert!(
            synced.iter().all(|path| path.starts_with(dir.path())),
            "{synced:?}"
        );
    }
}

#[test]
fn feed_names_stay_inside_their_directory() {
    for name in [
        "",
        "..",
        "kospi",
        "KOS/PI",
        "KOSPI\0",
        "코스피",
        "ABCDEFGHIJKLMNOPQ",
    ] {
        assert!(name.parse::<FeedName>().is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn every_name_is_read_back(seconds in 0..4_000_000_000_i64, first in any::<u64>(), last in any::<u64>(), number in any::<u32>()) {
        let sealed = CommittedName { dataset: &TRADES, partition: Moment(seconds * 1_000_000), first_frame: first, last_frame: last };
        prop_assert_eq!(CommittedName::parse(&TRADES, &sealed.to_string()), Some(sealed));
        let segment = SegmentName { date: sealed.partition.date(), number, first_frame: first };
        prop_assert_eq!(SegmentName::parse(&segment.to_string()), Some(segment));
        prop_assert_eq!(SegmentName::parse_archived(&segment.archived()), Some(segment));
        let path = CommittedPath { date: segment.date, feed: "KOSPI".parse().unwrap(), name: sealed };
        prop_assert_eq!(DataDir::new("/data").parse(&path.to_string()), Some(path));
    }

    #[test]
    fn no_name_makes_it_panic(name in ".{0,60}") {
        let _ = (CommittedName::parse(&TRADES, &name), SegmentName::parse(&name), DataDir::new("/data").parse(&name));
        let _ = DataDir::new("/data").parse_sealing(&name);
    }
}
