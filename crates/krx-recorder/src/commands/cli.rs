//! The command line.

use std::io;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use krx_store::{DataDir, FeedName, Moment, format};

use super::calendar::{self, Period};
use super::{
    check, coverage, rebuild, register, replay, report, run, schema, seal, sessions, sql, status, tail,
    verify,
};
use crate::config::{self, Config, ConfigError, DataConfig, Draft, Overrides};
use crate::process::exit::{Exit, Failure};
use crate::process::runtime::in_runtime;
use crate::process::{limits, logging, out};

/// Records Koscom's full KOSPI and KOSDAQ trade feeds to Parquet.
#[derive(Debug, Parser)]
#[command(name = "krx-recorder", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
The API key is read from koscom.api_key_file, $KRX_API_KEY, or the systemd credential api-key.
A feed's own key takes precedence: feed.api_key_file, $KRX_API_KEY_NAME, or the credential
api-key-NAME.
$KRX_LOG filters the log, as in KRX_LOG=krx_store=debug,info; it overrides log.filter (default:
info).

Exit codes: 0 done, 64 usage, 65 recorded data is damaged or has another layout, 69 service
unavailable, 70 a bug, 74 I/O, 75 another process holds the data directory or the command was
interrupted, 77 key refused, 78 bad configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Record: the daemon. SIGTERM stops it cleanly, SIGUSR1 commits the current segments, SIGHUP reloads the schedule,
    /// the calendar, the lists of registrations and the log filter.
    Run {
        #[command(flatten)]
        source: Source,
        /// Record until today's close, then exit. Waits for today's opening; exits at once if today is closed or its
        /// session is over.
        #[arg(long)]
        until_close: bool,
        /// Log as JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show what was recorded on a date, what was not, and why. Works during recording and after a crash.
    Coverage {
        /// The date, as 2026-11-20; default: the latest on record.
        date: Option<NaiveDate>,
        #[command(flatten)]
        source: DataSource,
        /// Record the past trading days on which no recorder ran, as a starting recorder does, and print them.
        #[arg(long, conflicts_with = "date")]
        complete: bool,
        /// Print the intervals as a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Show the state of the running recorder: sessions, rates, gaps, lag, files, disk.
    Status {
        /// The configuration file, for its status.listen.
        #[arg(long, value_name = "FILE", required_unless_present = "listen")]
        config: Option<PathBuf>,
        /// Where to ask, instead of status.listen in the configuration.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        /// Print status.json as it is.
        #[arg(long)]
        json: bool,
    },
    /// Show the newest records, which are in no file yet: what the journal has, as far as it is on disk. Takes no lock;
    /// works while a recorder runs, and after a crash.
    Tail {
        #[command(flatten)]
        options: tail::Options,
        #[command(flatten)]
        source: DataSource,
        /// The status port of the running recorder, instead of status.listen in the configuration.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
    },
    /// Change what a per-issue feed registers: edit its register_file, and have the running recorder read it. Only the
    /// difference is registered or cancelled, and the session goes on. A list that would be wrong changes nothing.
    Register {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        changes: register::Changes,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show trading days and hours: which days are closed and why, which have other hours, and the next session.
    Calendar {
        /// A year (2026) or a month (2026-11); default: this month and the next.
        #[arg(value_name = "YEAR|MONTH")]
        period: Option<Period>,
        /// Show instead when the recorder would connect, expect data and close, on the next N trading days.
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = sessions::DEFAULT, conflicts_with = "period",
              value_parser = clap::value_parser!(u16).range(1..=sessions::MAX))]
        sessions: Option<u16>,
        /// The configuration file, for its schedule.calendar_file, and for the hours of its feeds with --sessions.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print a JSON array with one object per date; with --sessions, per date and feed.
        #[arg(long)]
        json: bool,
    },
    /// Check configuration, key, clock, disk and endpoints before recording.
    Check {
        #[command(flatten)]
        source: Source,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reread committed files and journal, and report what is missing, damaged or changed. Safe while a recorder runs.
    Verify {
        /// The date, as 2026-11-20; default: all dates.
        date: Option<NaiveDate>,
        #[command(flatten)]
        source: DataSource,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make each feed's day one file, which answers questions about one issue several times faster. The recorder
    /// does so by itself after the close (seal.after_close). Safe while a recorder runs. If interrupted, each day is either
    /// untouched or sealed; run it again to continue.
    Seal {
        /// The date, as 2026-11-20; default: all dates before today that are not sealed yet.
        date: Option<NaiveDate>,
        #[command(flatten)]
        source: DataSource,
        /// This feed only.
        #[arg(long, alias = "market", value_name = "NAME")]
        feed: Option<FeedName>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Describe the datasets: their columns, types and meaning.
    Schema {
        /// This dataset only.
        dataset: Option<String>,
        /// Print JSON: an array of the datasets, or the one named.
        #[arg(long)]
        json: bool,
    },
    /// Print DuckDB views of the data directory that account for its gaps: trades, coverage, gaps, bars, completeness and
    /// resent; ticks, quotes, books, spread, depth, book_at and others of the per-issue service.
    Sql {
        #[command(flatten)]
        source: DataSource,
        #[command(flatten)]
        options: sql::Options,
    },
    /// Write a report of a date: one HTML file with charts of records, gaps, lag, quarantine and oddities. The file
    /// needs no network. For a date still in progress it covers what is committed so far.
    Report {
        /// The date, as 2026-11-20.
        date: NaiveDate,
        #[command(flatten)]
        source: DataSource,
        /// Where to write it; default: krx-report-DATE.html in the current directory; - for standard output. An existing
        /// file is replaced.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        output: Option<PathBuf>,
        /// Print the figures as one JSON object, and write no file.
        #[arg(long)]
        json: bool,
    },
    /// Export a date again from the archived journal (journal.keep_days), and restore what is missing or damaged.
    Rebuild {
        /// The date, as 2026-11-20.
        date: NaiveDate,
        #[command(flatten)]
        source: DataSource,
        /// This feed only.
        #[arg(long, alias = "market", value_name = "NAME")]
        feed: Option<FeedName>,
        /// Only report what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Serve a recorded date as the exchange would, on loopback, for testing programs that read the feed. SIGTERM stops
    /// it.
    Replay {
        /// The date, as 2026-11-20.
        date: NaiveDate,
        #[command(flatten)]
        source: DataSource,
        #[command(flatten)]
        options: replay::Options,
    },
}

/// Where recorded data is: all that a command needs that does not record.
#[derive(Debug, Args)]
struct DataSource {
    /// The configuration file.
    #[arg(long, value_name = "FILE", required_unless_present = "data_dir")]
    config: Option<PathBuf>,
    /// The data directory, instead of data_dir in the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataSource {
    /// Reads the configuration; a data directory of another layout is refused here, for all commands that read one.
    fn load(&self) -> Result<DataConfig, Failure> {
        let config = DataConfig::load(self.config.as_deref(), self.data_dir.as_deref())?;
        limits::enough_to_read()?;
        format::check(&DataDir::new(&config.data_dir))?;
        Ok(config)
    }
}

/// Where and from whom to record.
#[derive(Clone, Debug, Args)]
struct Source {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to record, instead of data_dir in the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server of every feed, instead of those in the configuration.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The member name of every feed, instead of those in the configuration.
    #[arg(long, value_name = "NAME")]
    member_name: Option<String>,
    /// Record every feed at all times, instead of the hours in the configuration.
    #[arg(long)]
    always: bool,
}

impl Source {
    fn load(&self) -> Result<Config, ConfigError> {
        self.load_with(None)
    }

    /// The same with a draft in place of one list of registrations.
    fn load_with(&self, draft: Option<&Draft>) -> Result<Config, ConfigError> {
        let overrides = Overrides {
            data_dir: self.data_dir.clone(),
            base_url: self.base_url.clone(),
            member_name: self.member_name.clone(),
            always: self.always,
        };
        Config::load_with(self.config.as_deref(), &overrides, draft)
    }
}

/// Runs the program; its exit code.
#[must_use]
pub fn main() -> Exit {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return explain(&error),
    };
    refuse_core_dumps();
    limits::prepare(matches!(command, Command::Run { .. }));
    // `run` starts its own log, and `check` says what it found by itself.
    if !matches!(command, Command::Run { .. } | Command::Check { .. }) {
        logging::warnings();
    }
    match execute(command) {
        Ok(()) => Exit::Done,
        Err(failure) => limits::fail(&failure),
    }
}

/// Prints what clap has to say: the help or the version that was asked for, or what is wrong with the command line.
fn explain(error: &clap::Error) -> Exit {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match error.print() {
        _ if !asked_for => Exit::Usage,
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            out::tell(format_args!(
                "krx-recorder: printing the help: writing to standard output: {error}"
            ));
            Exit::Io
        }
        _ => Exit::Done,
    }
}

// One arm for each command, and nothing in it but what the command takes: longer than a function should be otherwise.
fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run {
            source,
            until_close,
            json,
        } => run::start(move || source.load(), until_close, json),
        Command::Coverage {
            date,
            source,
            complete,
            json,
        } => {
            let data = DataDir::new(source.load()?.data_dir);
            let feeds = config::load_absence(source.config.as_deref())?;
            if complete {
                coverage::complete(&data, &feeds, json)
            } else {
                coverage::print(&data, &feeds, date, json)
            }
        }
        Command::Status { config, listen, json } => {
            let address = match (listen, config) {
                (Some(listen), _) => config::listen_option(&listen)?,
                (None, Some(config)) => config::status_listen(&config)?,
                (None, None) => return Err(Failure::Usage("--config or --listen is needed".into())),
            };
            in_runtime(status::print(address, json))
        }
        Command::Tail {
            options,
            source,
            listen,
        } => {
            let data_dir = source.load()?.data_dir;
            let address = match (&listen, &source.config) {
                (Some(listen), _) => Some(config::listen_option(listen)?),
                // Without a status port there is nothing to ask; whether that is needed, the command knows.
                (None, Some(config)) => config::status_listen(config).ok(),
                (None, None) => None,
            };
            tail::tail(&data_dir, address, &options)
        }
        Command::Register {
            source,
            changes,
            json,
        } => {
            let needed = || Failure::Usage("--config is needed: it names the list".into());
            let config = source.config.clone().ok_or_else(needed)?;
            register::register(&config, |draft| source.load_with(Some(draft)), &changes, json)
        }
        Command::Calendar {
            sessions: Some(count),
            config,
            json,
            ..
        } => {
            let feeds = config::load_absence(config.as_deref())?;
            sessions::print(&feeds, count.into(), Moment::now(), json)
        }
        Command::Calendar {
            period, config, json, ..
        } => {
            let calendar = config::load_calendar(config.as_deref())?;
            calendar::print(&calendar, period, Moment::now(), json)
        }
        Command::Check { source, json } => check::run(source.load(), json),
        Command::Verify { date, source, json } => {
            let config = source.load()?;
            let feeds = config::load_absence(source.config.as_deref())?;
            verify::verify(&config.data_dir, &feeds, date, json)
        }
        Command::Seal {
            date,
            source,
            feed,
            json,
        } => seal::seal(&source.load()?, date, feed, json),
        Command::Schema { dataset, json } => schema::print(dataset.as_deref(), json),
        Command::Sql { source, options } => {
            let config = source.load()?;
            let calendar = config::load_calendar(source.config.as_deref())?;
            sql::print(&config.data_dir, &calendar, &options)
        }
        Command::Report {
            date,
            source,
            output,
            json,
        } => {
            let config = source.load()?;
            let calendar = config::load_calendar(source.config.as_deref())?;
            report::report(&config, &calendar, date, output.as_deref(), json)
        }
        Command::Rebuild {
            date,
            source,
            feed,
            dry_run,
            json,
        } => rebuild::rebuild(&source.load()?, date, feed, dry_run, json),
        Command::Replay {
            date,
            source,
            options,
        } => in_runtime(replay::replay(&source.load()?.data_dir, date, &options)),
    }
}

/// A core dump would hold the API key (I7).
fn refuse_core_dumps() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Where even that is not allowed, nothing is lost but this precaution.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}
