//! The configuration file: TOML, every key known, every value checked before anything starts.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;
use krx_calendar::Calendar;
use krx_store::service::FULL_MARKET;
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

pub use key::{ApiKey, KeySources, Keys};
pub use problem::ConfigError;

use file::{Connection, Feed, FeedSchedule, File, Journal, Koscom, Log, Rotate, ScheduleTable, parse};
use log::{LogConfig, Target, check_filter};
use problem::{Problems, check_path};
use proxy::{ProxySetting, has_odd_port};

/// A configuration that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything is recorded.
    pub data_dir: PathBuf,
    /// Where the key is that feeds have in common, when not in the environment or a credential.
    pub api_key_file: Option<PathBuf>,
    /// The feeds, at least one.
    pub feeds: Vec<FeedConfig>,
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

/// One configured connection.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedConfig {
    /// Its name.
    pub name: FeedName,
    /// The service's URL.
    pub url: Uri,
    /// The name that `init` carries.
    pub member_name: String,
    /// Where its own key is, if it has one in a file.
    pub api_key_file: Option<PathBuf>,
    /// When to be connected.
    pub schedule: Schedule,
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
    /// `--base-url`: for every feed.
    pub base_url: Option<String>,
    /// `--member-name`: for every feed.
    pub member_name: Option<String>,
    /// `--always`: every feed.
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

    /// The key of each feed, from the sources of this process.
    #[must_use]
    pub fn keys(&self) -> Vec<FeedKey> {
        let common = KeySources::of_process(self.api_key_file.clone());
        let key_of = |feed: &FeedConfig| {
            let own = KeySources::of_feed(&feed.name, feed.api_key_file.clone());
            let is_own = own.is_set();
            let sources = if is_own { &own } else { &common };
            FeedKey {
                key: ApiKey::read(sources),
                is_own,
                file: sources.file.clone(),
            }
        };
        self.feeds.iter().map(key_of).collect()
    }
}

/// A feed's key, and where it is from.
#[derive(Debug)]
pub struct FeedKey {
    /// The key.
    pub key: Result<ApiKey, ConfigError>,
    /// Whether a source of this feed alone is set.
    pub is_own: bool,
    /// The file that the configuration names for it.
    pub file: Option<PathBuf>,
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

/// The feeds, each with what it takes to know on which trading days no recorder ran.
///
/// # Errors
/// [`ConfigError`], with all that is wrong.
pub fn load_absence(path: Option<&Path>) -> Result<Vec<(FeedName, Absence)>, ConfigError> {
    let (file, mut problems) = read(path)?;
    let calendar = take_calendar(&file, &mut problems).unwrap_or_default();
    let calendar = Arc::new(calendar);
    let mut found = Vec::new();
    for table in feeds_of(file.feed) {
        let feed = table.get_ref();
        let name = check_name(&table.span(), feed, &mut problems);
        let schedule = check_schedule(&file.schedule, &feed.schedule, &calendar, &mut problems);
        if let (Some(name), Some(schedule)) = (name, schedule) {
            let calendar = Arc::clone(&calendar);
            found.push((name, Absence { schedule, calendar }));
        }
    }
    problems.finish(Some(found))
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
    let data_dir = check_data_dir(overrides.data_dir.as_deref(), file.data_dir.as_deref());
    let data_dir = problems.take(data_dir);
    let api_key_file = problems.path("koscom.api_key_file", file.koscom.api_key_file.as_deref());
    let calendar_file = problems.path("schedule.calendar_file", file.schedule.calendar_file.as_deref());
    let common = Common {
        overrides,
        koscom: &file.koscom,
        schedule: &file.schedule,
        calendar: &calendar,
    };
    let feeds = common.check_feeds(feeds_of(file.feed), problems);
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
        api_key_file: api_key_file?,
        feeds: feeds?,
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

fn check_member_name(key: &str, name: &str) -> Result<String, ConfigError> {
    if name.trim().is_empty() {
        let problem = "is empty: write your company's name as it is registered with Koscom";
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(name.to_owned())
}

/// The feeds that are configured, or Koscom's two full-market services.
fn feeds_of(configured: Vec<Spanned<Feed>>) -> Vec<Spanned<Feed>> {
    if !configured.is_empty() {
        return configured;
    }
    let default = |text: &str| Some(Spanned::new(0..0, text.to_owned()));
    let feed = |market, path| {
        let feed = Feed {
            market: default(market),
            path: default(path),
            ..Feed::default()
        };
        Spanned::new(0..0, feed)
    };
    vec![feed("KOSPI", "/ws_ksp"), feed("KOSDAQ", "/ws_kdq")]
}

/// The server's URL without a slash at its end.
fn check_base_url(key: &str, base_url: &str, allow_plaintext: bool) -> Result<String, ConfigError> {
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
                "ws:// would send the API key in the clear: use wss://, or set allow_plaintext = true",
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

/// What feeds have in common, and the command line's values above it.
struct Common<'a> {
    overrides: &'a Overrides,
    koscom: &'a Koscom,
    schedule: &'a ScheduleTable,
    calendar: &'a Arc<Calendar>,
}

impl Common<'_> {
    /// The feeds, when all are good.
    fn check_feeds(&self, feeds: Vec<Spanned<Feed>>, problems: &mut Problems) -> Option<Vec<FeedConfig>> {
        let (mut checked, wanted) = (Vec::new(), feeds.len());
        let mut seen = Vec::new();
        for table in &feeds {
            let feed = table.get_ref();
            let name = check_name(&table.span(), feed, problems);
            let is_double = name.as_ref().is_some_and(|name| seen.contains(name));
            if let Some(market) = feed.market.as_ref().filter(|_| is_double) {
                let words = format!("feed.market: {} stands twice", market.get_ref());
                problems.note(&market.span(), words);
            }
            seen.extend(name.clone());
            checked.extend(self.check_feed(name, table, problems).filter(|_| !is_double));
        }
        self.check_unused(&feeds, problems);
        (checked.len() == wanted).then_some(checked)
    }

    fn check_feed(
        &self,
        name: Option<FeedName>,
        table: &Spanned<Feed>,
        problems: &mut Problems,
    ) -> Option<FeedConfig> {
        let (span, feed) = (table.span(), table.get_ref());
        let base_url = self.base_url(feed, problems);
        let member_name = self.member_name(feed, problems);
        let api_key_file = problems.path_at("feed.api_key_file", feed.api_key_file.as_ref());
        let schedule = if self.overrides.always {
            Some(Schedule::Always)
        } else {
            check_schedule(self.schedule, &feed.schedule, self.calendar, problems)
        };
        let path = problems.needed(&span, "feed", "path", feed.path.as_ref());
        // Without a server the path alone is looked at.
        let url = path.and_then(|path| {
            let base_url = base_url.as_deref().unwrap_or("wss://localhost");
            problems.take_at(Some(&path.span()), check_path_of_url(base_url, path.get_ref()))
        });
        base_url?;
        Some(FeedConfig {
            name: name?,
            url: url?,
            member_name: member_name?,
            api_key_file: api_key_file?,
            schedule: schedule?,
        })
    }

    fn base_url(&self, feed: &Feed, problems: &mut Problems) -> Option<String> {
        let allow_plaintext = feed.allow_plaintext.unwrap_or(self.koscom.allow_plaintext);
        let check = |key: &str, text: &str| check_base_url(key, text, allow_plaintext);
        match (&self.overrides.base_url, &feed.base_url) {
            (None, Some(own)) => problems.take_at(Some(&own.span()), check("feed.base_url", own.get_ref())),
            (given, _) => {
                let given = ("--base-url", given.as_deref());
                let written = ("koscom.base_url", self.koscom.base_url.as_deref());
                problems.take(chosen(given, written).and_then(|(key, text)| check(key, text)))
            }
        }
    }

    fn member_name(&self, feed: &Feed, problems: &mut Problems) -> Option<String> {
        match (&self.overrides.member_name, &feed.member_name) {
            (None, Some(own)) => {
                let checked = check_member_name("feed.member_name", own.get_ref());
                problems.take_at(Some(&own.span()), checked)
            }
            (given, _) => {
                let given = ("--member-name", given.as_deref());
                let written = ("koscom.member_name", self.koscom.member_name.as_deref());
                problems.take(chosen(given, written).and_then(|(key, name)| check_member_name(key, name)))
            }
        }
    }

    /// What every feed has a value of its own for is wrong or right all the same.
    fn check_unused(&self, feeds: &[Spanned<Feed>], problems: &mut Problems) {
        let (given, koscom) = (self.overrides, self.koscom);
        let by_all = |has: fn(&Feed) -> bool| feeds.iter().all(|feed| has(feed.get_ref()));
        if let Some(text) = &koscom.base_url
            && (given.base_url.is_none() && by_all(|feed| feed.base_url.is_some()))
        {
            problems.take(check_base_url("koscom.base_url", text, koscom.allow_plaintext));
        }
        if let Some(name) = &koscom.member_name
            && (given.member_name.is_none() && by_all(|feed| feed.member_name.is_some()))
        {
            problems.take(check_member_name("koscom.member_name", name));
        }
        let has_hours: fn(&Feed) -> bool = |feed| {
            let FeedSchedule { mode, open, close } = &feed.schedule;
            mode.is_some() || (open.is_some() && close.is_some())
        };
        if !given.always && by_all(has_hours) {
            check_schedule(self.schedule, &FeedSchedule::default(), self.calendar, problems);
        }
    }
}

fn check_path_of_url(base_url: &str, path: &str) -> Result<Uri, ConfigError> {
    let invalid = |problem: String| ConfigError::invalid("feed.path", problem);
    if !path.starts_with('/') {
        return Err(invalid(format!("{path:?} must begin with a slash")));
    }
    let url = format!("{base_url}{path}");
    url.parse().map_err(|error| invalid(format!("{url:?}: {error}")))
}

/// The feed's name, which is its market's; a service that is not recorded is noted.
fn check_name(table: &Range<usize>, feed: &Feed, problems: &mut Problems) -> Option<FeedName> {
    if let Some(service) = feed
        .service
        .as_ref()
        .filter(|service| service.get_ref() != FULL_MARKET.name)
    {
        let words = match service.get_ref().as_str() {
            "per_issue" => {
                "this version does not record the service \"per_issue\" yet: take the table out".to_owned()
            }
            other => format!("{other:?} must be {:?}", FULL_MARKET.name),
        };
        problems.note(&service.span(), format!("feed.service: {words}"));
        return None;
    }
    let market = problems.needed(table, "feed", "market", feed.market.as_ref())?;
    let parsed: Result<FeedName, _> = market.get_ref().parse();
    let name = parsed.map_err(|error| ConfigError::invalid("feed.market", error.to_string()));
    let name = problems.take_at(Some(&market.span()), name)?;
    match feed.name.as_ref().filter(|own| own.get_ref() != name.as_str()) {
        None => Some(name),
        Some(own) => {
            let words = format!(
                "feed.name: {:?} cannot be: the feed of a whole market has the market's name; write \"{name}\", or leave the \
                 line out",
                own.get_ref()
            );
            problems.note(&own.span(), words);
            None
        }
    }
}

/// A value of `[schedule]`, or of `[feed.schedule]` above it.
struct Setting<'a> {
    key: String,
    text: &'a str,
    /// Where a feed's own stands.
    place: Option<Range<usize>>,
}

impl<'a> Setting<'a> {
    fn of(key: &str, own: Option<&'a Spanned<String>>, common: &'a str) -> Self {
        match own {
            Some(own) => Self {
                key: format!("feed.schedule.{key}"),
                text: own.get_ref(),
                place: Some(own.span()),
            },
            None => Self {
                key: format!("schedule.{key}"),
                text: common,
                place: None,
            },
        }
    }

    fn take<T>(&self, checked: Result<T, String>, problems: &mut Problems) -> Option<T> {
        let checked = checked.map_err(|problem| ConfigError::invalid(&self.key, problem));
        problems.take_at(self.place.as_ref(), checked)
    }

    fn time(&self, problems: &mut Problems) -> Option<NaiveTime> {
        let time = NaiveTime::parse_from_str(self.text, "%H:%M");
        let time = time.map_err(|_| format!("{:?} is no time of day such as \"08:20\" (KST)", self.text));
        self.take(time, problems)
    }
}

/// A feed's hours.
fn check_schedule(
    table: &ScheduleTable,
    own: &FeedSchedule,
    calendar: &Arc<Calendar>,
    problems: &mut Problems,
) -> Option<Schedule> {
    let mode = Setting::of("mode", own.mode.as_ref(), &table.mode);
    let opening = Setting::of("open", own.open.as_ref(), &table.open);
    let closing = Setting::of("close", own.close.as_ref(), &table.close);
    let (open, close) = (opening.time(problems), closing.time(problems));
    match mode.text {
        "always" => open.and(close).map(|_| Schedule::Always),
        "calendar" => {
            let (open, close) = (open?, close?);
            if open < close {
                return Some(Schedule::Calendar(Daily {
                    open,
                    close,
                    calendar: Arc::clone(calendar),
                }));
            }
            // At the line that the feed itself has.
            let (wrong, words) = match (&opening.place, &closing.place) {
                (Some(_), None) => (
                    &opening,
                    format!("must be earlier than {} ({})", closing.key, closing.text),
                ),
                _ => (&closing, format!("must be later than {}", opening.key)),
            };
            wrong.take(Err(words), problems)
        }
        other => mode.take(
            Err(format!("{other:?} must be \"calendar\" or \"always\"")),
            problems,
        ),
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
    for (dataset, key, days) in table.days() {
        if (1..=KEEP_DAYS_MAX).contains(&days) {
            retention = retention.keeping(dataset, days);
            continue;
        }
        let problem =
            format!("{days} must lie between 1 and {KEEP_DAYS_MAX}; leave it out to keep all for ever");
        problems.take::<()>(Err(ConfigError::invalid(&format!("retention.{key}"), problem)));
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
