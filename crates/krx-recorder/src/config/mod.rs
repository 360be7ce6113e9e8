//! The configuration file: TOML, every key known, every value checked before anything starts.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;
use krx_calendar::Calendar;
use krx_store::{ExportConfig, FeedName, JournalConfig, Retention};
use tokio_tungstenite::tungstenite::http::Uri;
use toml::Spanned;

use crate::hours::absence::Absence;
use crate::hours::schedule::{Daily, Schedule};

pub(crate) mod ca_file;
pub(crate) mod calendar_file;
mod document;
mod file;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod problem;
pub(crate) mod proxy;

pub use key::{ApiKey, KeySources};
pub use problem::ConfigError;

use file::{Connection, Feed, File, Journal, Log, Rotate, ScheduleTable, parse};
use log::{LogConfig, Target, check_filter};
use problem::{Problems, check_path};
use proxy::{ProxySetting, has_odd_port};

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

/// One feed's feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Its name.
    pub name: FeedName,
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
    /// [`ConfigError`], with all that is wrong.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let (file, mut problems) = read(path)?;
        let calendar = take_calendar(&file, &mut problems);
        look_into_files(&file.connection, &mut problems);
        let config = check(file, overrides, calendar, &mut problems);
        problems.finish(config)
    }
}

/// What is wrong with files that are read for each connection only is told before the first.
fn look_into_files(connection: &Connection, problems: &mut Problems) {
    type Look = fn(&Path) -> Result<(), String>;
    let files: [(_, _, Look); 2] = [
        ("ca_file", &connection.ca_file, ca_file::check),
        (
            "proxy_credentials_file",
            &connection.proxy_credentials_file,
            proxy::check_credentials_file,
        ),
    ];
    for (key, written, look) in files {
        let key = format!("connection.{key}");
        if let Some(Some(path)) = problems.path(&key, written.as_deref()) {
            problems.take(look(&path).map_err(|problem| ConfigError::invalid(&key, problem)));
        }
    }
}

/// The calendar alone, as a configuration has it that need not have anything else.
///
/// # Errors
/// [`ConfigError`], with all that is wrong.
pub fn load_calendar(path: Option<&Path>) -> Result<Calendar, ConfigError> {
    let (file, mut problems) = read(path)?;
    let calendar = take_calendar(&file, &mut problems);
    problems.finish(calendar)
}

/// What it takes to know on which trading days no recorder ran, and the feeds that are asked about.
///
/// # Errors
/// [`ConfigError`], with all that is wrong.
pub fn load_absence(path: Option<&Path>) -> Result<(Absence, Vec<FeedName>), ConfigError> {
    let (file, mut problems) = read(path)?;
    let calendar = take_calendar(&file, &mut problems).unwrap_or_default();
    let calendar = Arc::new(calendar);
    let feeds = if file.feed.is_empty() {
        default_feeds()
    } else {
        file.feed
    };
    let mut names = Vec::new();
    for feed in feeds {
        let name = problems.needed(&feed.span(), "feed", "market", feed.get_ref().market.clone());
        names.extend(name.and_then(|name| check_name(&name, &mut problems)));
    }
    let schedule = check_schedule(&file.schedule, &calendar, &mut problems);
    let absence = schedule.map(|schedule| Absence { schedule, calendar });
    problems.finish(absence.map(|absence| (absence, names)))
}

fn take_calendar(file: &File, problems: &mut Problems) -> Option<Calendar> {
    let path = problems.path("schedule.calendar_file", file.schedule.calendar_file.as_deref())?;
    let overrides = path.map(|path| calendar_file::read(&path)).transpose();
    let overrides = problems.take(overrides)?;
    Some(Calendar::with_overrides(overrides.unwrap_or_default()))
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
    /// [`ConfigError`], with all that is wrong.
    pub fn load(path: Option<&Path>, data_dir: Option<&Path>) -> Result<Self, ConfigError> {
        let (file, mut problems) = read(path)?;
        let data_dir = problems.take(check_data_dir(data_dir, file.data_dir.as_deref()));
        let export = check_rotate(&file.rotate, &file.journal, &mut problems);
        let config = (|| {
            Some(Self {
                data_dir: data_dir?,
                export: export?,
                warn_free_bytes: file.disk.warn_free_bytes,
            })
        })();
        problems.finish(config)
    }
}

/// Where a recorder with this configuration answers for its status. Needs no server and no key.
///
/// # Errors
/// [`ConfigError`], also when it answers nowhere.
pub fn status_listen(path: &Path) -> Result<SocketAddr, ConfigError> {
    let (file, mut problems) = read(Some(path))?;
    let listen = match file.status {
        Some(status) => check_listen("status.listen", &status.listen),
        None => Err(ConfigError::invalid(
            "status.listen",
            "is missing, so there is no status to ask for; write: [status] and below it listen = \"127.0.0.1:9464\", and \
             start the recorder again",
        )),
    };
    let listen = problems.take(listen);
    problems.finish(listen)
}

/// A loopback address, as `--listen` has it.
///
/// # Errors
/// [`ConfigError`], when it is none.
pub fn listen_option(text: &str) -> Result<SocketAddr, ConfigError> {
    check_listen("--listen", text)
}

fn read(path: Option<&Path>) -> Result<(File, Problems), ConfigError> {
    let Some(path) = path else {
        return Ok((File::default(), Problems::default()));
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let (file, problems) = parse(&text);
    Ok((file, problems.of_configuration(path)))
}

/// The configuration, when all of it is good; what is not is noted.
fn check(
    file: File,
    overrides: &Overrides,
    calendar: Option<Calendar>,
    problems: &mut Problems,
) -> Option<Config> {
    let calendar = Arc::new(calendar.unwrap_or_default());
    let feeds = if file.feed.is_empty() {
        default_feeds()
    } else {
        file.feed
    };
    let data_dir = check_data_dir(overrides.data_dir.as_deref(), file.data_dir.as_deref());
    let data_dir = problems.take(data_dir);
    let base_url = check_base_url(
        overrides.base_url.as_deref(),
        file.koscom.base_url.as_deref(),
        file.koscom.allow_plaintext,
    );
    let base_url = problems.take(base_url);
    let member_name = check_member_name(
        overrides.member_name.as_deref(),
        file.koscom.member_name.as_deref(),
    );
    let member_name = problems.take(member_name);
    let api_key_file = problems.path("koscom.api_key_file", file.koscom.api_key_file.as_deref());
    let calendar_file = problems.path("schedule.calendar_file", file.schedule.calendar_file.as_deref());
    let feeds = check_feeds(base_url.as_deref(), feeds, problems);
    let schedule = if overrides.always {
        Some(Schedule::Always)
    } else {
        check_schedule(&file.schedule, &calendar, problems)
    };
    let connection = check_connection(&file.connection, problems);
    let journal = check_journal(&file.journal, problems);
    let export = check_rotate(&file.rotate, &file.journal, problems);
    let retention = check_retention(&file.retention, problems);
    let listen = file
        .status
        .map(|status| check_listen("status.listen", &status.listen));
    let status_listen = problems.take(listen.transpose());
    let log = check_log(file.log, problems);
    Some(Config {
        data_dir: data_dir?,
        member_name: member_name?,
        api_key_file: api_key_file?,
        feeds: feeds?,
        schedule: schedule?,
        calendar_file: calendar_file?,
        calendar,
        connection: connection?,
        journal: journal?,
        export: export?,
        seal_after_close: file.seal.after_close,
        retention: retention?,
        warn_free_bytes: file.disk.warn_free_bytes,
        status_listen: status_listen?,
        log: log?,
    })
}

/// The value from the command line, or else from the file, with the name of its source.
fn chosen<'a, T: ?Sized>(
    (flag, given): (&'a str, Option<&'a T>),
    (key, written): (&'a str, Option<&'a T>),
) -> Result<(&'a str, &'a T), ConfigError> {
    match (given, written) {
        (Some(given), _) => Ok((flag, given)),
        (None, Some(written)) => Ok((key, written)),
        (None, None) => Err(ConfigError::invalid(
            key,
            format!("is missing: write it into the configuration, or give {flag}"),
        )),
    }
}

/// Folders of these names make readers take them for partitions.
const PARTITION_KEYS: [&str; 3] = ["date", "market", "feed"];

fn check_data_dir(given: Option<&Path>, written: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let (key, path) = chosen(("--data-dir", given), ("data_dir", written))?;
    let path = check_path(key, path)?;
    if given.is_none() && path.is_relative() {
        let problem = format!(
            "{path:?} would be another directory with each folder that the recorder is started in: write the whole path, \
             such as \"/var/lib/krx-recorder\""
        );
        return Err(ConfigError::invalid(key, problem));
    }
    // Also the folders that it really lies in, when there are links on the way. What cannot be looked at is not there yet.
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let real = absolute.ancestors().find_map(|path| path.canonicalize().ok());
    let folders = absolute.iter().chain(real.iter().flat_map(|real| real.iter()));
    let mut folders = folders.map(|folder| folder.to_string_lossy());
    let partition = folders.find(|folder| {
        let key = folder.split_once('=').map(|(key, _)| key.to_ascii_lowercase());
        key.is_some_and(|key| PARTITION_KEYS.contains(&key.as_str()))
    });
    if let Some(partition) = partition {
        let problem = format!(
            "{path:?} lies in the folder `{partition}`, which DuckDB and others would take for a partition of the data, so \
             that they read wrong dates or feeds: choose a directory that is in no folder named date=…, market=… or feed=…"
        );
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(path)
}

fn check_member_name(given: Option<&str>, written: Option<&str>) -> Result<String, ConfigError> {
    let key = "koscom.member_name";
    let (key, name) = chosen(("--member-name", given), (key, written))?;
    if name.trim().is_empty() {
        let problem = "is empty: write your company's name as it is registered with Koscom";
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(name.to_owned())
}

/// Koscom's two full-feed services.
fn default_feeds() -> Vec<Spanned<Feed>> {
    let default = |text: &str| Some(Spanned::new(0..0, text.to_owned()));
    let feed = |market, path| {
        let (market, path) = (default(market), default(path));
        Spanned::new(0..0, Feed { market, path })
    };
    vec![feed("KOSPI", "/ws_ksp"), feed("KOSDAQ", "/ws_kdq")]
}

/// The server's URL without a slash at its end.
fn check_base_url(
    given: Option<&str>,
    written: Option<&str>,
    allow_plaintext: bool,
) -> Result<String, ConfigError> {
    let (key, base_url) = chosen(("--base-url", given), ("koscom.base_url", written))?;
    if base_url.trim().is_empty() {
        let problem = "is empty: write the server's address, such as \"wss://…\"";
        return Err(ConfigError::invalid(key, problem));
    }
    // Before anything that shows it.
    if base_url.contains('@') {
        let problem = "must not have a user or a password in it: the API key is all that Koscom wants";
        return Err(ConfigError::invalid(key, problem));
    }
    let base: Uri = base_url
        .parse()
        .map_err(|error| ConfigError::invalid(key, format!("{base_url:?}: {error}")))?;
    let host = base
        .host()
        .ok_or_else(|| ConfigError::invalid(key, format!("{base_url:?} names no host")))?;
    if base.authority().is_some_and(has_odd_port) {
        let problem = format!("{base_url:?} has a port that is not one: write 1 to 65535");
        return Err(ConfigError::invalid(key, problem));
    }
    if base_url.contains(['?', '#']) {
        let problem =
            format!("{base_url:?} must end with the host, its port or a path: feed.path comes behind it");
        return Err(ConfigError::invalid(key, problem));
    }
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
    Ok(base_url.trim_end_matches('/').to_owned())
}

fn check_name(feed: &Spanned<String>, problems: &mut Problems) -> Option<FeedName> {
    match feed.get_ref().parse() {
        Ok(feed) => Some(feed),
        Err(error) => {
            problems.note(&feed.span(), format!("feed.market: {error}"));
            None
        }
    }
}

/// The feeds, when all are good; without a server their paths alone are looked at.
fn check_feeds(
    base_url: Option<&str>,
    feeds: Vec<Spanned<Feed>>,
    problems: &mut Problems,
) -> Option<Vec<FeedConfig>> {
    let (mut checked, wanted) = (Vec::<FeedConfig>::new(), feeds.len());
    let mut seen = Vec::new();
    for table in feeds {
        let (span, Feed { market, path }) = (table.span(), table.into_inner());
        let name = problems.needed(&span, "feed", "market", market);
        let feed = name.as_ref().and_then(|name| check_name(name, problems));
        let is_double = feed.as_ref().is_some_and(|feed| seen.contains(feed));
        if let Some(name) = name.filter(|_| is_double) {
            let words = format!("feed.market: {} stands twice", name.get_ref());
            problems.note(&name.span(), words);
        }
        seen.extend(feed.clone());
        let Some(path) = problems.needed(&span, "feed", "path", path) else {
            continue;
        };
        let (at, path) = (path.span(), path.into_inner());
        if !path.starts_with('/') {
            problems.note(&at, format!("feed.path: {path:?} must begin with a slash"));
            continue;
        }
        let url = format!("{}{path}", base_url.unwrap_or("wss://localhost"));
        match (url.parse(), feed) {
            (Ok(url), Some(feed)) if !is_double => checked.push(FeedConfig { name: feed, url }),
            (Ok(_), _) => {}
            (Err(error), _) => problems.note(&at, format!("feed.path: {url:?}: {error}")),
        }
    }
    (checked.len() == wanted).then_some(checked)
}

fn check_schedule(
    table: &ScheduleTable,
    calendar: &Arc<Calendar>,
    problems: &mut Problems,
) -> Option<Schedule> {
    let time = |key: &str, text: &str| {
        NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| {
            ConfigError::invalid(key, format!("{text:?} is no time of day such as \"08:20\" (KST)"))
        })
    };
    let open = problems.take(time("schedule.open", &table.open));
    let close = problems.take(time("schedule.close", &table.close));
    let mode = match table.mode.as_str() {
        "always" => Ok(Schedule::Always),
        "calendar" => {
            let (open, close) = (open?, close?);
            if open < close {
                Ok(Schedule::Calendar(Daily {
                    open,
                    close,
                    calendar: Arc::clone(calendar),
                }))
            } else {
                Err(ConfigError::invalid(
                    "schedule.close",
                    "must be later than schedule.open",
                ))
            }
        }
        other => Err(ConfigError::invalid(
            "schedule.mode",
            format!("{other:?} must be \"calendar\" or \"always\""),
        )),
    };
    problems.take(mode)
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

fn check_connection(table: &Connection, problems: &mut Problems) -> Option<ConnectionConfig> {
    /// A full message has 3.5 KB. The journal takes a record of 16 MiB at most.
    const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(8 << 20);
    let message_bytes_max = table.message_bytes_max;
    let message_bytes_max = if MESSAGE_BYTES.contains(&message_bytes_max) {
        Ok(usize::try_from(message_bytes_max).unwrap_or(usize::MAX))
    } else {
        let problem = format!("{message_bytes_max} must lie between 64 KiB and 8 MiB (65536 to 8388608)");
        Err(ConfigError::invalid("connection.message_bytes_max", problem))
    };
    let message_bytes_max = problems.take(message_bytes_max);
    let proxy = problems.take(ProxySetting::parse(table.proxy.as_deref()));
    let ca_file = problems.path("connection.ca_file", table.ca_file.as_deref());
    let proxy_credentials_file = problems.path(
        "connection.proxy_credentials_file",
        table.proxy_credentials_file.as_deref(),
    );
    let mut up_to = |max, key: &str, text: &str| {
        problems.take(duration(&format!("connection.{key}"), text, MILLISECOND, max))
    };
    let connect_timeout = up_to(HOUR, "connect_timeout", &table.connect_timeout);
    let heartbeat_interval = up_to(HOUR, "heartbeat_interval", &table.heartbeat_interval);
    let stall_timeout = up_to(DAY, "stall_timeout", &table.stall_timeout);
    let backoff_initial = up_to(HOUR, "backoff_initial", &table.backoff_initial);
    let backoff_max = up_to(HOUR, "backoff_max", &table.backoff_max);
    let mut config = ConnectionConfig {
        proxy: proxy?,
        proxy_credentials_file: proxy_credentials_file?,
        ca_file: ca_file?,
        connect_timeout: connect_timeout?,
        heartbeat_interval: heartbeat_interval?,
        stall_timeout: stall_timeout?,
        backoff_initial: backoff_initial?,
        backoff_max: backoff_max?,
        message_bytes_max: message_bytes_max?,
    };
    if config.stall_timeout <= config.heartbeat_interval {
        let (stall, heartbeat) = (&table.stall_timeout, &table.heartbeat_interval);
        let why = "or every quiet moment is taken for a stall";
        // At the line that is there.
        let wrong = if problems.is_written("connection.stall_timeout") {
            let problem = format!("must be longer than connection.heartbeat_interval ({heartbeat}), {why}");
            ConfigError::invalid("connection.stall_timeout", problem)
        } else {
            let problem = format!("must be shorter than connection.stall_timeout ({stall}), {why}");
            ConfigError::invalid("connection.heartbeat_interval", problem)
        };
        return problems.take(Err(wrong));
    }
    if config.backoff_initial > config.backoff_max {
        let both = ["connection.backoff_initial", "connection.backoff_max"];
        if both.iter().all(|key| problems.is_written(key)) {
            let initial = &table.backoff_initial;
            let problem = format!("must not be shorter than connection.backoff_initial ({initial})");
            return problems.take(Err(ConfigError::invalid("connection.backoff_max", problem)));
        }
        // Whichever is written is meant; the other one is a default.
        let written = if problems.is_written("connection.backoff_max") {
            config.backoff_max
        } else {
            config.backoff_initial
        };
        (config.backoff_initial, config.backoff_max) = (written, written);
    }
    Some(config)
}

fn check_journal(table: &Journal, problems: &mut Problems) -> Option<JournalConfig> {
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

fn check_rotate(table: &Rotate, journal: &Journal, problems: &mut Problems) -> Option<ExportConfig> {
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
            "must be whole seconds: file names have no others",
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
        // The journal's next segment: as long as it can be made, recording goes on.
        reserve_bytes: journal.segment_bytes,
    })
}

fn check_retention(table: &file::Retention, problems: &mut Problems) -> Option<Retention> {
    let (mut retention, mut good) = (Retention::default(), true);
    for (dataset, days) in table.days() {
        let Some(days) = days else { continue };
        if (1..=KEEP_DAYS_MAX).contains(&days) {
            retention = retention.keeping(dataset, days);
            continue;
        }
        let problem =
            format!("{days} must lie between 1 and {KEEP_DAYS_MAX}; leave it out to keep all for ever");
        let key = format!("retention.{dataset}_days");
        problems.take::<()>(Err(ConfigError::invalid(&key, problem)));
        good = false;
    }
    good.then_some(retention)
}

fn check_log(table: Log, problems: &mut Problems) -> Option<LogConfig> {
    let filter = match &table.filter {
        Some(filter) => check_filter(filter).map_err(|error| {
            let problem =
                format!("{filter:?} is no filter such as \"info\" or \"krx_store=debug,info\": {error}");
            ConfigError::invalid("log.filter", problem)
        }),
        None => Ok(()),
    };
    let filter = problems.take(filter);
    let target = match table.target.as_str() {
        "auto" => Ok(Target::Auto),
        "stderr" => Ok(Target::Stderr),
        "journald" => Ok(Target::Journald),
        other => {
            let problem = format!("{other:?} must be \"auto\", \"stderr\" or \"journald\"");
            Err(ConfigError::invalid("log.target", problem))
        }
    };
    let target = problems.take(target);
    filter?;
    Some(LogConfig {
        target: target?,
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
