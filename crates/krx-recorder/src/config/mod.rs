//! The configuration file: TOML, every key known, every value checked before anything starts.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;
use krx_calendar::Calendar;
use krx_store::{ExportConfig, JournalConfig, Market, Retention};
use thiserror::Error;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::absence::Absence;
use crate::connect::ProxySetting;
use crate::logging::{self, LogConfig, Target};
use crate::schedule::{Daily, Schedule};

pub(crate) mod calendar_file;
mod file;

use file::{Connection, Feed, File, Journal, Log, Rotate, ScheduleTable, parse};

/// What is wrong with the configuration, where, and what to write instead.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not TOML, or a value has the wrong type.
    #[error("the configuration {path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// The calendar file.
    #[error("the calendar file {path}: {problem}")]
    CalendarFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`; {hint}")]
    UnknownKey {
        /// Its path.
        key: String,
        /// The nearest key that does.
        hint: String,
    },
    /// A value that cannot be.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key's path, or the source of the value.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(key: &str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}

/// A configuration that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything is recorded.
    pub data_dir: PathBuf,
    /// The name that `init` carries.
    pub member_name: String,
    /// Where the key is, when not in the environment or a credential.
    pub api_key_file: Option<PathBuf>,
    /// The feeds, at least one.
    pub feeds: Vec<FeedConfig>,
    /// When to be connected.
    pub schedule: Schedule,
    /// Where days are written that the operator knows better than the built-in calendar.
    pub calendar_file: Option<PathBuf>,
    /// The built-in calendar below that file.
    pub calendar: Arc<Calendar>,
    /// How to be connected.
    pub connection: ConnectionConfig,
    /// How to journal.
    pub journal: JournalConfig,
    /// How to export.
    pub export: ExportConfig,
    /// Whether each day is made one file after its close.
    pub seal_after_close: bool,
    /// For how long to keep what is recorded.
    pub retention: Retention,
    /// Free space below which to warn, bytes.
    pub warn_free_bytes: u64,
    /// Where to answer for the status, if anywhere.
    pub status_listen: Option<SocketAddr>,
    /// How to log.
    pub log: LogConfig,
}

/// One market's feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// The market.
    pub market: Market,
    /// The service's URL.
    pub url: Uri,
}

/// How to be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// The proxy, unless the environment names it.
    pub proxy: ProxySetting,
    /// Where the proxy's `user:password` is.
    pub proxy_credentials_file: Option<PathBuf>,
    /// Certificates to trust beside this machine's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// For TCP, TLS and the WebSocket handshake together.
    pub connect_timeout: Duration,
    /// Between our heartbeats.
    pub heartbeat_interval: Duration,
    /// Silence that makes us connect anew.
    pub stall_timeout: Duration,
    /// The first wait before connecting again.
    pub backoff_initial: Duration,
    /// The longest one.
    pub backoff_max: Duration,
    /// The longest message that is taken; a longer one ends the connection.
    pub message_bytes_max: usize,
}

/// Values of the command line that stand above the file's.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--base-url`.
    pub base_url: Option<String>,
    /// `--member-name`.
    pub member_name: Option<String>,
    /// `--always`.
    pub always: bool,
}

impl Config {
    /// Reads the file, if one is named, and puts the command line's values above it.
    ///
    /// # Errors
    /// [`ConfigError`], for the first thing that is wrong.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let file = read(path)?;
        let calendar = read_calendar(file.schedule.calendar_file.as_deref())?;
        check(file, overrides, calendar)
    }
}

/// The calendar alone, as a configuration has it that need not have anything else.
///
/// # Errors
/// [`ConfigError`], for the first thing that is wrong.
pub fn load_calendar(path: Option<&Path>) -> Result<Calendar, ConfigError> {
    read_calendar(read(path)?.schedule.calendar_file.as_deref())
}

/// What it takes to know on which trading days no recorder ran, and the feeds that are asked about.
///
/// # Errors
/// [`ConfigError`], for the first thing that is wrong.
pub fn load_absence(path: Option<&Path>) -> Result<(Absence, Vec<Market>), ConfigError> {
    let file = read(path)?;
    let calendar = Arc::new(read_calendar(file.schedule.calendar_file.as_deref())?);
    let feeds = if file.feed.is_empty() {
        default_feeds()
    } else {
        file.feed
    };
    let markets = feeds.iter().map(|feed| feed.market.parse());
    let absence = Absence {
        schedule: check_schedule(&file.schedule, &calendar)?,
        calendar,
    };
    let markets = markets.collect::<Result<_, _>>();
    Ok((
        absence,
        markets.map_err(|error| ConfigError::invalid("feed.market", format!("{error}")))?,
    ))
}

fn read_calendar(path: Option<&Path>) -> Result<Calendar, ConfigError> {
    let overrides = path.map(calendar_file::read).transpose()?;
    Ok(Calendar::with_overrides(overrides.unwrap_or_default()))
}

/// What a command needs that works on recorded data: no server, no key.
#[derive(Clone, Debug)]
pub struct DataConfig {
    /// Where everything is recorded.
    pub data_dir: PathBuf,
    /// How it was exported; the defaults, without a file.
    pub export: ExportConfig,
    /// Below this the disk is nearly full.
    pub warn_free_bytes: u64,
}

impl DataConfig {
    /// Reads the file, if one is named; `data_dir` stands above its own.
    ///
    /// # Errors
    /// [`ConfigError`], for the first thing that is wrong.
    pub fn load(path: Option<&Path>, data_dir: Option<&Path>) -> Result<Self, ConfigError> {
        let file = read(path)?;
        let data_dir = data_dir.map(Path::to_owned).or(file.data_dir);
        Ok(Self {
            data_dir: required("data_dir", "--data-dir", data_dir)?,
            export: check_rotate(&file.rotate, &file.journal)?,
            warn_free_bytes: file.disk.warn_free_bytes,
        })
    }
}

/// Where a recorder with this configuration answers for its status. Needs no server and no key.
///
/// # Errors
/// [`ConfigError`], also when it answers nowhere.
pub fn status_listen(path: &Path) -> Result<SocketAddr, ConfigError> {
    let Some(status) = read(Some(path))?.status else {
        let problem = format!(
            "is missing in {}, so there is no status to ask for; write there: [status] and below it listen = \
             \"127.0.0.1:9464\", and start the recorder again",
            path.display()
        );
        return Err(ConfigError::invalid("status.listen", problem));
    };
    check_listen("status.listen", &status.listen)
}

/// A loopback address, as `--listen` has it.
///
/// # Errors
/// [`ConfigError`], when it is none.
pub fn listen_option(text: &str) -> Result<SocketAddr, ConfigError> {
    check_listen("--listen", text)
}

fn read(path: Option<&Path>) -> Result<File, ConfigError> {
    let Some(path) = path else {
        return Ok(File::default());
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|error| match error {
        ConfigError::Syntax { message, .. } => ConfigError::Syntax {
            path: path.to_owned(),
            message,
        },
        other => other,
    })
}

fn check(file: File, overrides: &Overrides, calendar: Calendar) -> Result<Config, ConfigError> {
    let base_url = overrides.base_url.clone().or(file.koscom.base_url);
    let base_url = required("koscom.base_url", "--base-url", base_url)?;
    let calendar = Arc::new(calendar);
    let feeds = if file.feed.is_empty() {
        default_feeds()
    } else {
        file.feed
    };
    Ok(Config {
        data_dir: required(
            "data_dir",
            "--data-dir",
            overrides.data_dir.clone().or(file.data_dir),
        )?,
        member_name: required(
            "koscom.member_name",
            "--member-name",
            overrides.member_name.clone().or(file.koscom.member_name),
        )?,
        api_key_file: file.koscom.api_key_file,
        feeds: check_feeds(&base_url, feeds, file.koscom.allow_plaintext)?,
        schedule: if overrides.always {
            Schedule::Always
        } else {
            check_schedule(&file.schedule, &calendar)?
        },
        calendar_file: file.schedule.calendar_file,
        calendar,
        connection: check_connection(&file.connection)?,
        journal: check_journal(&file.journal)?,
        export: check_rotate(&file.rotate, &file.journal)?,
        seal_after_close: file.seal.after_close,
        retention: check_retention(&file.retention)?,
        warn_free_bytes: file.disk.warn_free_bytes,
        status_listen: file
            .status
            .map(|status| check_listen("status.listen", &status.listen))
            .transpose()?,
        log: check_log(file.log)?,
    })
}

fn required<T>(key: &str, flag: &str, value: Option<T>) -> Result<T, ConfigError> {
    value.ok_or_else(|| {
        ConfigError::invalid(
            key,
            format!("is missing: write it into the configuration, or give {flag}"),
        )
    })
}

/// Koscom's two full-market services.
fn default_feeds() -> Vec<Feed> {
    let feed = |market: &str, path: &str| Feed {
        market: market.into(),
        path: path.into(),
    };
    vec![feed("KOSPI", "/ws_ksp"), feed("KOSDAQ", "/ws_kdq")]
}

fn check_feeds(
    base_url: &str,
    feeds: Vec<Feed>,
    allow_plaintext: bool,
) -> Result<Vec<FeedConfig>, ConfigError> {
    let key = "koscom.base_url";
    let base: Uri = base_url
        .parse()
        .map_err(|error| ConfigError::invalid(key, format!("{base_url:?}: {error}")))?;
    let host = base
        .host()
        .ok_or_else(|| ConfigError::invalid(key, format!("{base_url:?} names no host")))?;
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match base.scheme_str() {
        Some("wss") => {}
        Some("ws") if loopback || allow_plaintext => {}
        Some("ws") => {
            return Err(ConfigError::invalid(
                key,
                "ws:// would send the API key in the clear: use wss://, or set koscom.allow_plaintext = true",
            ));
        }
        _ => {
            return Err(ConfigError::invalid(
                key,
                format!("{base_url:?} must begin with wss:// or ws://"),
            ));
        }
    }
    let mut checked: Vec<FeedConfig> = Vec::new();
    for Feed { market, path } in feeds {
        let market: Market = market
            .parse()
            .map_err(|error| ConfigError::invalid("feed.market", format!("{error}")))?;
        if checked.iter().any(|feed| feed.market == market) {
            return Err(ConfigError::invalid(
                "feed.market",
                format!("{market} stands twice"),
            ));
        }
        if !path.starts_with('/') {
            return Err(ConfigError::invalid(
                "feed.path",
                format!("{path:?} must begin with a slash"),
            ));
        }
        let url = format!("{}{path}", base_url.trim_end_matches('/'));
        let url = url
            .parse()
            .map_err(|error| ConfigError::invalid("feed.path", format!("{url:?}: {error}")))?;
        checked.push(FeedConfig { market, url });
    }
    Ok(checked)
}

fn check_schedule(table: &ScheduleTable, calendar: &Arc<Calendar>) -> Result<Schedule, ConfigError> {
    let time = |key: &str, text: &str| {
        NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| {
            ConfigError::invalid(key, format!("{text:?} is no time of day such as \"08:20\" (KST)"))
        })
    };
    let (open, close) = (
        time("schedule.open", &table.open)?,
        time("schedule.close", &table.close)?,
    );
    match table.mode.as_str() {
        "always" => Ok(Schedule::Always),
        "calendar" if open < close => Ok(Schedule::Calendar(Daily {
            open,
            close,
            calendar: Arc::clone(calendar),
        })),
        "calendar" => Err(ConfigError::invalid(
            "schedule.close",
            "must be later than schedule.open",
        )),
        other => Err(ConfigError::invalid(
            "schedule.mode",
            format!("{other:?} must be \"calendar\" or \"always\""),
        )),
    }
}

fn duration(key: &str, text: &str, min: Duration, max: Duration) -> Result<Duration, ConfigError> {
    let value = humantime::parse_duration(text).map_err(|error| {
        ConfigError::invalid(key, format!("{text:?} is no duration such as \"10s\": {error}"))
    })?;
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
    Err(ConfigError::invalid(
        key,
        format!("{text:?} must lie between {min} and {max}"),
    ))
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn check_connection(table: &Connection) -> Result<ConnectionConfig, ConfigError> {
    /// A full message has 3.5 KB. The journal takes a record of 16 MiB at most.
    const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(8 << 20);
    let message_bytes_max = table.message_bytes_max;
    if !MESSAGE_BYTES.contains(&message_bytes_max) {
        let problem = format!("{message_bytes_max} must lie between 64 KiB and 8 MiB (65536 to 8388608)");
        return Err(ConfigError::invalid("connection.message_bytes_max", problem));
    }
    let config = ConnectionConfig {
        proxy: ProxySetting::parse(table.proxy.as_deref())?,
        proxy_credentials_file: table.proxy_credentials_file.clone(),
        ca_file: table.ca_file.clone(),
        connect_timeout: duration(
            "connection.connect_timeout",
            &table.connect_timeout,
            MILLISECOND,
            HOUR,
        )?,
        heartbeat_interval: duration(
            "connection.heartbeat_interval",
            &table.heartbeat_interval,
            MILLISECOND,
            HOUR,
        )?,
        stall_timeout: duration("connection.stall_timeout", &table.stall_timeout, MILLISECOND, DAY)?,
        backoff_initial: duration(
            "connection.backoff_initial",
            &table.backoff_initial,
            MILLISECOND,
            HOUR,
        )?,
        backoff_max: duration("connection.backoff_max", &table.backoff_max, MILLISECOND, HOUR)?,
        message_bytes_max: usize::try_from(message_bytes_max).unwrap_or(usize::MAX),
    };
    if config.stall_timeout <= config.heartbeat_interval {
        let problem =
            "must be longer than connection.heartbeat_interval, or every quiet moment is taken for a stall";
        return Err(ConfigError::invalid("connection.stall_timeout", problem));
    }
    Ok(config)
}

fn check_journal(table: &Journal) -> Result<JournalConfig, ConfigError> {
    const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (4 << 20)..=(4 << 30);
    if !SEGMENT_BYTES.contains(&table.segment_bytes) {
        let problem = format!(
            "{} must lie between 4 MiB and 4 GiB (4194304 to 4294967296)",
            table.segment_bytes
        );
        return Err(ConfigError::invalid("journal.segment_bytes", problem));
    }
    let sync_interval = duration(
        "journal.sync_interval",
        &table.sync_interval,
        MILLISECOND,
        60 * SECOND,
    )?;
    Ok(JournalConfig {
        sync_interval,
        segment_bytes: table.segment_bytes,
    })
}

const KEEP_DAYS_MAX: u32 = 36_500;

fn check_rotate(table: &Rotate, journal: &Journal) -> Result<ExportConfig, ConfigError> {
    let keep_days = journal.keep_days;
    if keep_days > KEEP_DAYS_MAX {
        let problem = format!("{keep_days} must lie between 0 and {KEEP_DAYS_MAX} (a hundred years)");
        return Err(ConfigError::invalid("journal.keep_days", problem));
    }
    let rotate_interval = duration("rotate.interval", &table.interval, SECOND, DAY)?;
    if rotate_interval.subsec_nanos() != 0 {
        return Err(ConfigError::invalid(
            "rotate.interval",
            "must be whole seconds: file names have no others",
        ));
    }
    if !(1000..=10_000_000).contains(&table.rows_max) {
        return Err(ConfigError::invalid(
            "rotate.rows_max",
            format!("{} must lie between 1000 and 10000000", table.rows_max),
        ));
    }
    Ok(ExportConfig {
        rotate_interval,
        rows_max: table.rows_max,
        keep_days,
        // The journal's next segment: as long as it can be made, recording goes on.
        reserve_bytes: journal.segment_bytes,
    })
}

fn check_retention(table: &file::Retention) -> Result<Retention, ConfigError> {
    let days = |key: &str, days: Option<u32>| match days {
        Some(days) if !(1..=KEEP_DAYS_MAX).contains(&days) => {
            let problem =
                format!("{days} must lie between 1 and {KEEP_DAYS_MAX}; leave it out to keep all for ever");
            Err(ConfigError::invalid(key, problem))
        }
        days => Ok(days),
    };
    Ok(Retention {
        trades_days: days("retention.trades_days", table.trades_days)?,
        quarantine_days: days("retention.quarantine_days", table.quarantine_days)?,
        coverage_days: days("retention.coverage_days", table.coverage_days)?,
    })
}

fn check_log(table: Log) -> Result<LogConfig, ConfigError> {
    if let Some(filter) = &table.filter {
        logging::check_filter(filter).map_err(|error| {
            let problem =
                format!("{filter:?} is no filter such as \"info\" or \"krx_store=debug,info\": {error}");
            ConfigError::invalid("log.filter", problem)
        })?;
    }
    let target = match table.target.as_str() {
        "auto" => Target::Auto,
        "stderr" => Target::Stderr,
        "journald" => Target::Journald,
        other => {
            let problem = format!("{other:?} must be \"auto\", \"stderr\" or \"journald\"");
            return Err(ConfigError::invalid("log.target", problem));
        }
    };
    Ok(LogConfig {
        target,
        filter: table.filter,
    })
}

fn check_listen(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let address: SocketAddr = text.parse().map_err(|_| {
        ConfigError::invalid(key, format!("{text:?} is no address such as \"127.0.0.1:9464\""))
    })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(ConfigError::invalid(
        key,
        format!("{address} is not a loopback address: the status is for this machine only"),
    ))
}

#[cfg(test)]
mod tests;
