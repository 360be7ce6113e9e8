//! The file as written: tables, keys and defaults. [`super`] checks what the values mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use krx_store::dataset::{COMMON, Dataset, WHOLE_DATE};
use krx_store::service::SERVICES;
use serde::Deserialize;
use toml::Spanned;

use super::document::{self, Shape};
use super::problem::Problems;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) data_dir: Option<PathBuf>,
    #[serde(default)]
    pub(super) koscom: Koscom,
    #[serde(default)]
    pub(super) feed: Vec<Spanned<Feed>>,
    #[serde(default)]
    pub(super) schedule: ScheduleTable,
    #[serde(default)]
    pub(super) connection: Connection,
    #[serde(default)]
    pub(super) journal: Journal,
    #[serde(default)]
    pub(super) rotate: Rotate,
    #[serde(default)]
    pub(super) seal: Seal,
    #[serde(default)]
    pub(super) retention: Retention,
    #[serde(default)]
    pub(super) clock: Clock,
    #[serde(default)]
    pub(super) disk: Disk,
    pub(super) status: Option<Status>,
    #[serde(default)]
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Koscom {
    pub(super) base_url: Option<String>,
    pub(super) member_name: Option<String>,
    pub(super) api_key_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) allow_plaintext: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Feed {
    pub(super) name: Option<Spanned<String>>,
    pub(super) service: Option<Spanned<String>>,
    pub(super) market: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) base_url: Option<Spanned<String>>,
    pub(super) member_name: Option<Spanned<String>>,
    pub(super) api_key_file: Option<Spanned<PathBuf>>,
    pub(super) allow_plaintext: Option<bool>,
    #[serde(default)]
    pub(super) schedule: FeedSchedule,
    pub(super) registrations_max: Option<Spanned<u64>>,
    pub(super) register_file: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) register: Vec<Spanned<Register>>,
}

/// A list in which each text has its place.
pub(super) type Texts = Spanned<Vec<Spanned<String>>>;

/// `[[feed.register]]`: each preset of each code.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    pub(super) presets: Option<Texts>,
    pub(super) instruments: Option<Spanned<String>>,
    pub(super) codes: Option<Texts>,
    pub(super) codes_file: Option<Spanned<PathBuf>>,
    pub(super) items: Option<Texts>,
}

/// What a feed sets instead of `[schedule]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedSchedule {
    pub(super) mode: Option<Spanned<String>>,
    pub(super) open: Option<Spanned<String>>,
    pub(super) close: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScheduleTable {
    pub(super) mode: String,
    pub(super) open: String,
    pub(super) close: String,
    pub(super) calendar_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Connection {
    pub(super) proxy: Option<String>,
    pub(super) proxy_credentials_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) connect_timeout: String,
    pub(super) answer_timeout: String,
    pub(super) silent_after: String,
    pub(super) heartbeat_interval: String,
    pub(super) stall_timeout: String,
    pub(super) backoff_initial: String,
    pub(super) backoff_max: String,
    pub(super) message_bytes_max: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Journal {
    pub(super) sync_interval: String,
    pub(super) segment_bytes: u64,
    pub(super) keep_days: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotate {
    pub(super) interval: String,
    pub(super) rows_max: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Seal {
    pub(super) after_close: bool,
    pub(super) bars: Option<String>,
}

impl Default for Seal {
    fn default() -> Self {
        Self {
            after_close: true,
            bars: None,
        }
    }
}

/// `DATASET_days` for each dataset; [`RETENTION_KEYS`] has them all.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Retention(BTreeMap<String, u32>);

/// Each dataset with its key in `[retention]`.
pub(super) static RETENTION_KEYS: LazyLock<Vec<(Dataset, String)>> = LazyLock::new(|| {
    let of_services = SERVICES
        .iter()
        .flat_map(|service| service.datasets.iter().rev().copied());
    let datasets = of_services.chain(COMMON).chain(WHOLE_DATE);
    datasets
        .map(|dataset| (dataset, format!("{dataset}_days")))
        .collect()
});

impl Retention {
    /// The datasets named in it, with their keys and days.
    pub(super) fn days(&self) -> impl Iterator<Item = (Dataset, &'static str, u32)> {
        RETENTION_KEYS.iter().filter_map(|(dataset, key)| {
            let days = self.0.get(key)?;
            Some((*dataset, key.as_str(), *days))
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Clock {
    pub(super) lag_max: String,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            lag_max: "10s".into(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Disk {
    pub(super) warn_free_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    pub(super) listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) target: String,
    pub(super) filter: Option<String>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            target: "auto".into(),
            filter: None,
        }
    }
}

impl Default for ScheduleTable {
    fn default() -> Self {
        Self {
            mode: "calendar".into(),
            open: "08:20".into(),
            close: "20:10".into(),
            calendar_file: None,
        }
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            proxy: None,
            proxy_credentials_file: None,
            ca_file: None,
            connect_timeout: "10s".into(),
            answer_timeout: "5s".into(),
            silent_after: "60s".into(),
            heartbeat_interval: "10s".into(),
            stall_timeout: "30s".into(),
            backoff_initial: "250ms".into(),
            backoff_max: "15s".into(),
            message_bytes_max: 1 << 20,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            sync_interval: "50ms".into(),
            segment_bytes: 64 << 20,
            keep_days: 0,
        }
    }
}

impl Default for Rotate {
    fn default() -> Self {
        Self {
            interval: "5m".into(),
            rows_max: 1_000_000,
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        // Room for a full day and more: a peak day's journal is about 2.5 GB, its files 0.2 GB.
        Self {
            warn_free_bytes: 10 << 30,
        }
    }
}

/// The keys of each table except `[retention]`, for hints about mistyped ones. A test compares them with the tables
/// above.
const KEYS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "data_dir",
            "koscom",
            "feed",
            "schedule",
            "connection",
            "journal",
            "rotate",
            "seal",
            "retention",
            "clock",
            "disk",
            "status",
            "log",
        ],
    ),
    (
        "koscom",
        &["base_url", "member_name", "api_key_file", "allow_plaintext"],
    ),
    (
        "feed",
        &[
            "name",
            "service",
            "market",
            "path",
            "base_url",
            "member_name",
            "api_key_file",
            "allow_plaintext",
            "schedule",
            "registrations_max",
            "register_file",
            "register",
        ],
    ),
    (
        "feed.register",
        &["presets", "instruments", "codes", "codes_file", "items"],
    ),
    ("feed.schedule", &["mode", "open", "close"]),
    ("schedule", &["mode", "open", "close", "calendar_file"]),
    (
        "connection",
        &[
            "proxy",
            "proxy_credentials_file",
            "ca_file",
            "connect_timeout",
            "answer_timeout",
            "silent_after",
            "heartbeat_interval",
            "stall_timeout",
            "backoff_initial",
            "backoff_max",
            "message_bytes_max",
        ],
    ),
    ("journal", &["sync_interval", "segment_bytes", "keep_days"]),
    ("rotate", &["interval", "rows_max"]),
    ("seal", &["after_close", "bars"]),
    ("clock", &["lag_max"]),
    ("disk", &["warn_free_bytes"]),
    ("status", &["listen"]),
    ("log", &["target", "filter"]),
];

/// The tables and keys that the file may have.
pub(super) fn shape() -> Shape {
    let tables = KEYS.iter().map(|(table, keys)| (*table, keys.to_vec()));
    let retention = RETENTION_KEYS.iter().map(|(_, key)| key.as_str()).collect();
    Shape {
        keys: tables.chain([("retention", retention)]).collect(),
        arrays: &[("feed", "feeds"), ("feed.register", "groups")],
    }
}

/// What could be read, and what is wrong with it.
pub(super) fn parse(text: &str) -> (File, Problems) {
    document::read(&shape(), text)
}
