//! The configuration file: TOML, every key known, every value checked before anything starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use krx_calendar::Calendar;
use krx_store::{ExportConfig, FeedName, JournalConfig, Retention};
use toml::Spanned;

use crate::hours::absence::Absence;

// The file, and what is wrong with it.
mod document;
mod file;
pub(crate) mod problem;
mod values;

// Its tables.
mod connection;
mod feed_hours;
mod feeds;
pub(crate) mod log;
mod overrides;
pub(crate) mod proxy;
mod registrations;
mod storage;

// What it names.
pub(crate) mod ca_file;
pub(crate) mod calendar_file;
mod codes;
mod codes_file;
pub(crate) mod key;
mod list_file;
mod lists;
mod register_file;
mod words;

pub use codes::odd_codes;
pub use connection::ConnectionConfig;
pub use feeds::{FeedConfig, FeedService};
pub use key::{ApiKey, KeySources, Keys};
pub use overrides::Overrides;
pub use problem::ConfigError;
pub(crate) use register_file::{Draft, Edit, edit, list_text, parse_pair, wish};
pub use registrations::PerIssueConfig;
pub(crate) use words::instruments_of;

use connection::{check_connection, look_into_files};
use feed_hours::check_schedule;
use feeds::{Common, check_name, feeds_of, is_per_issue};
use file::{File, parse};
use lists::Lists;
use log::{LogConfig, check_log};
use problem::Problems;
use storage::{check_data_dir, check_journal, check_retention, check_rotate, check_seal};
use values::{check_clock, check_listen};

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything is recorded.
    pub data_dir: PathBuf,
    /// The file of the key that feeds share, unless the environment or a credential has it.
    pub api_key_file: Option<PathBuf>,
    /// The feeds, at least one.
    pub feeds: Vec<FeedConfig>,
    /// The file in which the operator overrides days of the built-in calendar.
    pub calendar_file: Option<PathBuf>,
    /// The built-in calendar with that file's days applied.
    pub calendar: Arc<Calendar>,
    /// How to be connected.
    pub connection: ConnectionConfig,
    /// How to journal.
    pub journal: JournalConfig,
    /// How to export.
    pub export: ExportConfig,
    /// Whether each day is sealed after its close.
    pub seal_after_close: bool,
    /// Whether minute bars are made of sealed days.
    pub bars: bool,
    /// How long to keep what is recorded.
    pub retention: Retention,
    /// How much later than its trade a record may come.
    pub lag_max: Duration,
    /// Free space below which to warn, bytes.
    pub warn_free_bytes: u64,
    /// The address of the status server, if there is one.
    pub status_listen: Option<SocketAddr>,
    /// How to log.
    pub log: LogConfig,
}
impl Config {
    /// Reads the file, if one is named, and applies the command line's values.
    ///
    /// # Errors
    /// [`ConfigError`], with everything that is wrong.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load_with(path, overrides, None)
    }

    /// The same with a draft in place of one list of registrations.
    pub(crate) fn load_with(
        path: Option<&Path>,
        overrides: &Overrides,
        draft: Option<&Draft>,
    ) -> Result<Self, ConfigError> {
        let (file, mut problems) = read(path)?;
        let calendar = take_calendar(&file, &mut problems);
        look_into_files(&file.connection, &mut problems);
        let lists = read_lists(&file, draft, &mut problems);
        let config = check(file, overrides, calendar, &lists, &mut problems);
        problems.finish(config)
    }

    /// Each feed's key, from this process's sources.
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

/// A feed's key and its source.
#[derive(Debug)]
pub struct FeedKey {
    /// The key.
    pub key: Result<ApiKey, ConfigError>,
    /// Whether the feed has a source of its own.
    pub is_own: bool,
    /// The file that the configuration names for it.
    pub file: Option<PathBuf>,
}
/// The calendar alone; the configuration need not have anything else.
///
/// # Errors
/// [`ConfigError`], with everything that is wrong.
pub fn load_calendar(path: Option<&Path>) -> Result<Calendar, ConfigError> {
    let (file, mut problems) = read(path)?;
    let calendar = take_calendar(&file, &mut problems);
    problems.finish(calendar)
}

/// The feeds, each with what tells on which trading days no recorder ran.
///
/// # Errors
/// [`ConfigError`], with everything that is wrong.
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

fn read_lists(file: &File, draft: Option<&Draft>, problems: &mut Problems) -> Lists {
    let feeds = file.feed.iter().map(Spanned::get_ref);
    Lists::read(feeds.filter(|feed| is_per_issue(feed)), draft, problems)
}

/// The per-issue feeds, each with its file of registrations if it has one. The file itself may be wrong or missing.
///
/// # Errors
/// [`ConfigError`], with what is wrong with the feeds' names and these paths.
pub(crate) fn register_files(path: &Path) -> Result<Vec<(FeedName, Option<PathBuf>)>, ConfigError> {
    let (file, mut problems) = read(Some(path))?;
    let mut found = Vec::new();
    for table in file.feed.iter().filter(|table| is_per_issue(table.get_ref())) {
        let feed = table.get_ref();
        let name = check_name(&table.span(), feed, &mut problems);
        let list = problems.path_at("feed.register_file", feed.register_file.as_ref());
        found.extend(name.zip(list));
    }
    problems.finish(Some(found))
}

/// What a command that works on recorded data needs: no server, no key.
#[derive(Clone, Debug)]
pub struct DataConfig {
    /// Where everything is recorded.
    pub data_dir: PathBuf,
    /// How it was exported; the defaults if there is no file.
    pub export: ExportConfig,
    /// How much later than its trade a record may come.
    pub lag_max: Duration,
    /// Free space below which the disk counts as nearly full, bytes.
    pub warn_free_bytes: u64,
    /// The hours in which stocks trade on a date.
    pub calendar: Arc<Calendar>,
    /// Whether minute bars are made of sealed days.
    pub bars: bool,
}

impl DataConfig {
    /// Reads the file, if one is named; `data_dir` overrides the file's.
    ///
    /// # Errors
    /// [`ConfigError`], with everything that is wrong.
    pub fn load(path: Option<&Path>, data_dir: Option<&Path>) -> Result<Self, ConfigError> {
        let (file, mut problems) = read(path)?;
        let data_dir = problems.take(check_data_dir(data_dir, file.data_dir.as_deref()));
        let export = check_rotate(&file.rotate, &file.journal, &mut problems);
        let lag_max = check_clock(&file.clock, &mut problems);
        let calendar = take_calendar(&file, &mut problems);
        let bars = check_seal(&file.seal, &mut problems);
        let config = (|| {
            Some(Self {
                data_dir: data_dir?,
                export: export?,
                lag_max: lag_max?,
                warn_free_bytes: file.disk.warn_free_bytes,
                calendar: Arc::new(calendar?),
                bars: bars?,
            })
        })();
        problems.finish(config)
    }
}

/// Where a recorder with this configuration serves its status. Needs no server and no key.
///
/// # Errors
/// [`ConfigError`], also if it serves none.
pub fn status_listen(path: &Path) -> Result<SocketAddr, ConfigError> {
    let (file, mut problems) = read(Some(path))?;
    let listen = match file.status {
        Some(status) => check_listen("status.listen", &status.listen),
        None => Err(ConfigError::invalid(
            "status.listen",
            "is missing, so there is no status to ask for; write [status], with listen = \"127.0.0.1:9464\" below it, and \
             restart the recorder",
        )),
    };
    let listen = problems.take(listen);
    problems.finish(listen)
}

/// The loopback address that `--listen` gives.
///
/// # Errors
/// [`ConfigError`], if it is not one.
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

/// The configuration, if all of it is good; what is wrong is noted in `problems`.
fn check(
    file: File,
    overrides: &Overrides,
    calendar: Option<Calendar>,
    lists: &Lists,
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
        lists,
    };
    let feeds = common.check_feeds(feeds_of(file.feed), problems);
    let connection = check_connection(&file.connection, problems);
    let journal = check_journal(&file.journal, problems);
    let export = check_rotate(&file.rotate, &file.journal, problems);
    let bars = check_seal(&file.seal, problems);
    let retention = check_retention(&file.retention, problems);
    let lag_max = check_clock(&file.clock, problems);
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
        bars: bars?,
        retention: retention?,
        lag_max: lag_max?,
        warn_free_bytes: file.disk.warn_free_bytes,
        status_listen: status_listen?,
        log: log?,
    })
}

#[cfg(test)]
mod lists_tests;
#[cfg(test)]
mod registrations_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod written_files_tests;
