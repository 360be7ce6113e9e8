//! Which service a feed's data came from, and the check, before anything is written, that it is still the same one.
//!
//! If the name was another service's, its files would stand for frames of the new feed, and one coverage would speak of
//! both.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::catalog;
use crate::dataset::REGISTRATIONS;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Event, RecordKind, Scanned, SegmentReader};
use crate::layout::DataDir;
use crate::service::{FULL_MARKET, Service};

/// Refuses the name of a feed under which another service has committed files or journal. Changes nothing.
///
/// # Errors
/// [`StoreError::OtherService`], when there are any; [`StoreError::Io`], when a directory cannot be listed.
pub fn check(data: &DataDir, feed: &FeedName, service: &'static Service) -> Result<(), StoreError> {
    let other = |path, found: &str| StoreError::OtherService {
        path,
        feed: feed.to_string(),
        found: found.to_owned(),
        wanted: service.name,
    };
    for known in data.services().iter().copied() {
        if known != service
            && let Some(path) = committed(data, feed, known)?
        {
            return Err(other(path, known.name));
        }
    }
    match of_journal(data, feed)? {
        Some(name) if name != service.name => Err(other(data.journal(feed), &name)),
        _ => Ok(()),
    }
}

/// The service that a feed has recorded on a date: by its committed files or its registrations; or by its journal, when
/// there are none. A journal that does not say is one of the full-market service.
///
/// # Errors
/// [`StoreError::Io`], when the journal cannot be listed.
pub fn of_date(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<&'static Service, StoreError> {
    if let Some(service) = catalog::service_of(data, feed, date) {
        return Ok(service);
    }
    let mut services = data.services().iter().copied();
    if data.partition(&REGISTRATIONS, date, feed).is_dir()
        && let Some(service) = services.clone().find(|service| service.has_registrations)
    {
        return Ok(service);
    }
    let name = of_journal(data, feed)?;
    let named = name.and_then(|name| services.find(|service| service.name == name));
    Ok(named.unwrap_or(&FULL_MARKET))
}

/// A partition with files of a service, if the feed has one. No two services share a dataset.
fn committed(data: &DataDir, feed: &FeedName, service: &Service) -> Result<Option<PathBuf>, StoreError> {
    for dataset in service.datasets.iter().copied() {
        for date in catalog::dates(data, dataset)? {
            if !catalog::files(data, dataset, feed, date)?.is_empty() {
                return Ok(Some(data.partition(dataset, date, feed)));
            }
        }
    }
    Ok(None)
}

/// The service of the first journal segment that says so. Each begins with its service, except those of the full-market
/// service. What is wrong with a segment is reported by whatever reads it.
fn of_journal(data: &DataDir, feed: &FeedName) -> Result<Option<String>, StoreError> {
    let dir = data.journal(feed);
    for name in catalog::segments(&dir)? {
        if let Ok(Some(service)) = of_segment(&dir.join(name.to_string())) {
            return Ok(Some(service));
        }
    }
    Ok(None)
}

fn of_segment(path: &Path) -> Result<Option<String>, StoreError> {
    let mut segment = SegmentReader::open(path)?;
    let limit = segment.file_bytes()?;
    let Scanned::Record(head) = segment.advance(limit)? else {
        return Ok(None);
    };
    let event = match head.kind {
        RecordKind::Event => serde_json::from_slice(segment.payload()).ok(),
        RecordKind::Frame => None,
    };
    Ok(Some(match event {
        Some(Event::Segment { service, .. }) => service,
        _ => FULL_MARKET.name.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::journal::{Entry, JournalConfig, What};
    use crate::moment::Moment;
    use crate::resume::open_writer;
    use crate::service::PER_ISSUE;

    fn refusal(data: &DataDir, feed: &str, service: &'static Service) -> Option<String> {
        let checked = check(data, &feed.parse().unwrap(), service);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn files_of_another_service_are_told_whichever_dataset_has_them() {
        for (file, service, other) in [
            ("trades/date=2026-11-20/market=X/trades", &FULL_MARKET, &PER_ISSUE),
            ("ticks/date=2026-11-20/feed=X/ticks", &PER_ISSUE, &FULL_MARKET),
            (
                "derivative_books/date=2026-11-20/feed=X/derivative_books",
                &PER_ISSUE,
                &FULL_MARKET,
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let data = DataDir::new(dir.path());
            let path = dir.path().join(format!(
                "{file}-20261120T090000-000000000001-000000000002.parquet"
            ));
            let partition = path.parent().unwrap();
            fs::create_dir_all(partition).unwrap();
            for service in [service, other] {
                assert_eq!(
                    refusal(&data, "X", service),
                    None,
                    "an empty directory says nothing"
                );
            }
            fs::write(&path, "").unwrap();
            assert_eq!(refusal(&data, "X", service), None);
            assert_eq!(refusal(&data, "Y", other), None);
            let words = refusal(&data, "X", other).unwrap();
            for expected in [
                partition.to_str().unwrap(),
                service.name,
                other.name,
                "another name",
                "Nothing was changed",
            ] {
                assert!(words.contains(expected), "{words}");
            }
        }
    }

    fn journal(dir: &Path, service: &'static Service) -> DataDir {
        let (data, feed) = (DataDir::new(dir), "X".parse().unwrap());
        let config = JournalConfig {
            sync_interval: Duration::from_millis(1),
            segment_bytes: 1 << 20,
        };
        let mut writer = open_writer(&data, &feed, config, Arc::default())
            .unwrap()
            .of_service(service);
        let entry: Entry<Vec<u8>> = Entry {
            at: Moment::now(),
            what: What::Event(Event::Start {
                version: "1".to_owned(),
            }),
        };
        writer.append(&[entry]).unwrap();
        writer.close().unwrap();
        data
    }

    #[test]
    fn a_journal_tells_its_service_before_anything_of_it_is_committed() {
        for (service, other) in [(&FULL_MARKET, &PER_ISSUE), (&PER_ISSUE, &FULL_MARKET)] {
            let dir = tempfile::tempdir().unwrap();
            let data = journal(dir.path(), service);
            assert_eq!(refusal(&data, "X", service), None);
            assert_eq!(refusal(&data, "Y", other), None);
            let words = refusal(&data, "X", other).unwrap();
            assert!(words.contains(".krx/journal/X"), "{words}");
            // A segment that cannot be read, or that is exported and removed meanwhile, says nothing.
            let name = catalog::segments(&data.journal(&"X".parse().unwrap())).unwrap()[0];
            let path = data.journals().join("X").join(name.to_string());
            fs::write(&path, [0; 4096]).unwrap();
            assert_eq!(refusal(&data, "X", other), None);
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("gone", &path).unwrap();
            assert_eq!(refusal(&data, "X", other), None);
        }
    }
}
