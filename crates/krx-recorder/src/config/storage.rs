//! `data_dir`, `[journal]`, `[rotate]` and `[retention]`: where and how everything is recorded, and how long it is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use krx_store::{ExportConfig, JournalConfig, Retention};

use super::file::{self, RETENTION_KEYS};
use super::overrides::chosen;
use super::problem::{ConfigError, Problems, check_path};
use super::values::{DAY, MILLISECOND, SECOND, duration};

/// What folders begin with that readers take for partitions.
static PARTITION_KEYS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let keys = RETENTION_KEYS
        .iter()
        .filter_map(|(dataset, _)| dataset.partition_key);
    keys.chain(["date"]).collect()
});

pub(super) fn check_data_dir(given: Option<&Path>, written: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let (key, path) = chosen(("--data-dir", given), ("data_dir", written))?;
    let path = check_path(key, path)?;
    if given.is_none() && path.is_relative() {
        let problem = format!(
            "{path:?} depends on the directory that the recorder is started in: write the whole path, such as \
             \"/var/lib/krx-recorder\""
        );
        return Err(ConfigError::invalid(key, problem));
    }
    // Symbolic links on the way count too, so the real folders are checked as well. What cannot be resolved does not exist yet.
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let real = absolute.ancestors().find_map(|path| path.canonicalize().ok());
    let folders = absolute.iter().chain(real.iter().flat_map(|real| real.iter()));
    let mut folders = folders.map(|folder| folder.to_string_lossy());
    let partition = folders.find(|folder| {
        let key = folder.split_once('=').map(|(key, _)| key.to_ascii_lowercase());
        key.is_some_and(|key| PARTITION_KEYS.contains(key.as_str()))
    });
    if let Some(partition) = partition {
        let keys: Vec<_> = PARTITION_KEYS.iter().map(|key| format!("{key}=…")).collect();
        let problem = format!(
            "{path:?} is in the directory `{partition}`, which DuckDB and other readers would take for a partition, and \
             then read wrong dates or feeds: choose a path without a directory named {}",
            keys.join(" or ")
        );
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(path)
}

pub(super) fn check_journal(table: &file::Journal, problems: &mut Problems) -> Option<JournalConfig> {
    const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (4 << 20)..=(4 << 30);
    let segment_bytes = if SEGMENT_BYTES.contains(&table.segment_bytes) {
        Ok(table.segment_bytes)
    } else {
        let problem = format!(
            "{} must lie between 4 MiB and 4 GiB (4194304 to 4294967296)",
            table.segment_bytes
        );
        Err(ConfigError::invalid("journal.segment_bytes", problem))
    };
    let segment_bytes = problems.take(segment_bytes);
    let sync_interval = duration(
        "journal.sync_interval",
        &table.sync_interval,
        MILLISECOND,
        60 * SECOND,
    );
    let sync_interval = problems.take(sync_interval);
    Some(JournalConfig {
        sync_interval: sync_interval?,
        segment_bytes: segment_bytes?,
    })
}

const KEEP_DAYS_MAX: u32 = 36_500;

pub(super) fn check_rotate(
    table: &file::Rotate,
    journal: &file::Journal,
    problems: &mut Problems,
) -> Option<ExportConfig> {
    let keep_days = if journal.keep_days <= KEEP_DAYS_MAX {
        Ok(journal.keep_days)
    } else {
        let problem = format!(
            "{} must lie between 0 and {KEEP_DAYS_MAX} (a hundred years)",
            journal.keep_days
        );
        Err(ConfigError::invalid("journal.keep_days", problem))
    };
    let keep_days = problems.take(keep_days);
    let rotate_interval = duration("rotate.interval", &table.interval, SECOND, DAY).and_then(|interval| {
        if interval.subsec_nanos() == 0 {
            return Ok(interval);
        }
        Err(ConfigError::invalid(
            "rotate.interval",
            "must be whole seconds, because file names have no fractions",
        ))
    });
    let rotate_interval = problems.take(rotate_interval);
    let rows_max = if (1000..=10_000_000).contains(&table.rows_max) {
        Ok(table.rows_max)
    } else {
        Err(ConfigError::invalid(
            "rotate.rows_max",
            format!("{} must lie between 1000 and 10000000", table.rows_max),
        ))
    };
    let rows_max = problems.take(rows_max);
    Some(ExportConfig {
        rotate_interval: rotate_interval?,
        rows_max: rows_max?,
        keep_days: keep_days?,
        // The journal's next segment: recording goes on as long as there is room for it.
        reserve_bytes: journal.segment_bytes,
    })
}

/// Whether minute bars are made of sealed days.
pub(super) fn check_seal(table: &file::Seal, problems: &mut Problems) -> Option<bool> {
    let bars = match table.bars.as_deref() {
        None => Ok(false),
        Some("1m") => Ok(true),
        Some(other) => Err(ConfigError::invalid(
            "seal.bars",
            format!(
                "{other:?} is not a supported length of bars: write \"1m\", or leave the key out for no bars"
            ),
        )),
    };
    problems.take(bars)
}

pub(super) fn check_retention(table: &file::Retention, problems: &mut Problems) -> Option<Retention> {
    let (mut retention, mut good) = (Retention::default(), true);
    for (dataset, key, days) in table.days() {
        if (1..=KEEP_DAYS_MAX).contains(&days) {
            retention = retention.keeping(dataset, days);
            continue;
        }
        let problem = format!(
            "{days} must lie between 1 and {KEEP_DAYS_MAX}; leave it out to keep everything for ever"
        );
        problems.take::<()>(Err(ConfigError::invalid(&format!("retention.{key}"), problem)));
        good = false;
    }
    good.then_some(retention)
}
