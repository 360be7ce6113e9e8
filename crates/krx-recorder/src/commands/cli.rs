//! The command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveDate;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use krx_store::{DataDir, FeedName, Moment, format};
use tracing::warn;

use super::calendar::{self, Period};
use super::{check, coverage, rebuild, replay, report, seal, sql, status, verify};
use crate::config::key::{self, ApiKey, KeySources};
use crate::config::{self, Config, DataConfig, Overrides};
use crate::hours::schedule::Schedule;
use crate::hours::schedule::kst;
use crate::process::exit::{Exit, Failure};
use crate::process::{limits, logging, out, signals};
use crate::service::{notify, reload, run};

/// Records Koscom's full KOSPI and KOSDAQ trade feeds to Parquet.
#[derive(Debug, Parser)]
#[command(name = "krx-recorder", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
The API key is read from koscom.api_key_file, $KRX_API_KEY, or the systemd credential api-key.
$KRX_LOG filters the log, as in KRX_LOG=krx_store=debug,info; it stands above log.filter (default: info).

Exit codes: 0 done, 64 usage, 65 recorded data is damaged or of another layout, 69 service unavailable, 70 our bug,
74 I/O, 75 another process holds the data directory or the command was interrupted, 77 key refused, 78 bad configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Record: the daemon. SIGTERM stops it cleanly, SIGUSR1 commits the current segments, SIGHUP reads schedule, calendar
    /// and log filter again.
    Run {
        #[command(flatten)]
        source: Source,
        /// Record until today's close, then exit. Waits for today's opening; exits at once when today is over or closed.
        #[arg(long)]
        until_close: bool,
        /// Log as JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show what of a date was recorded and what was not, and why: also while it is recorded, and after a crash.
    Coverage {
        /// The date, as 2026-11-20; without one the last that something is known of.
        date: Option<NaiveDate>,
        #[command(flatten)]
        source: DataSource,
        /// Put on record the trading days up to the last one that is over on which no recorder ran, as a recorder does that
        /// starts; and print them.
        #[arg(long, conflicts_with = "date")]
        complete: bool,
        /// Print the intervals as a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Ask the recorder at work how it stands: sessions, rates, gaps, lag, files, disk.
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
    /// Show trading days and hours: what is closed and why, what has other hours, and the next session.
    Calendar {
        /// A year as 2026, or a month as 2026-11; without one this month and the next.
        #[arg(value_name = "YEAR|MONTH")]
        period: Option<Period>,
        /// The configuration file: its schedule.calendar_file counts.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print an array with an object for every date.
        #[arg(long)]
        json: bool,
    },
    /// Look at config, key, clock, disk and endpoint: what would go wrong?
    Check {
        #[command(flatten)]
        source: Source,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read committed files and journal again: is all of it what it was? Also beside a recorder at work.
    Verify {
        /// The date, as 2026-11-20; without it all dates.
        date: Option<NaiveDate>,
        #[command(flatten)]
        source: DataSource,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make each feed's day one file, which answers questions about one issue several times faster. The recorder
    /// does so by itself after the close (seal.after_close). Also beside a recorder at work; interrupted, it leaves each
    /// day as it was or sealed, and goes on when it is called again.
    Seal {
        /// The date, as 2026-11-20; without it all dates before today that are not sealed yet.
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
    /// Print DuckDB views over the data directory that know of its gaps: trades, coverage, gaps, bars, completeness, resent.
    Sql {
        #[command(flatten)]
        source: DataSource,
    },
    /// Write a report of a date: one HTML file with charts of records, gaps, lag, quarantine and oddities. Needs no
    /// network to be read. A date that still goes on is reported as far as it is committed.
    Report {
        /// The date, as 2026-11-20.
        date: NaiveDate,
        #[command(flatten)]
        source: DataSource,
        /// Where to write it; without it krx-report-DATE.html in the current folder; - is standard output. A file of that name is replaced.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        output: Option<PathBuf>,
        /// Print the figures as one JSON object, and write no file.
        #[arg(long)]
        json: bool,
    },
    /// Export a date again from the archived journal (journal.keep_days), and put in place what is missing or damaged.
    Rebuild {
        /// The date, as 2026-11-20.
        date: NaiveDate,
        #[command(flatten)]
        source: DataSource,
        /// This feed only.
        #[arg(long, alias = "market", value_name = "NAME")]
        feed: Option<FeedName>,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Serve a recorded date as the exchange would, on loopback, to test what reads the feed. SIGTERM stops it.
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

#[derive(Clone, Debug, Args)]
struct Source {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to record, instead of data_dir in the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server, instead of koscom.base_url.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The member name, instead of koscom.member_name.
    #[arg(long, value_name = "NAME")]
    member_name: Option<String>,
    /// Record at all times, instead of the hours in `[schedule]`.
    #[arg(long)]
    always: bool,
}

/// Runs the program; its exit code.
#[must_use]
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return match error.print() {
                _ if !asked_for => Exit::Usage,
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    out::tell(format_args!(
                        "krx-recorder: printing the help: writing to standard output: {error}"
                    ));
                    Exit::Io
                }
                _ => Exit::Done,
            };
        }
    };
    refuse_core_dumps();
    limits::prepare(matches!(cli.command, Command::Run { .. }));
    let result = match cli.command {
        Command::Run {
            source,
            until_close,
            json,
        } => start(source, until_close, json),
        Command::Coverage {
            date,
            source,
            complete,
            json,
        } => {
            logging::warnings();
            source.load().and_then(|config| {
                let data = DataDir::new(config.data_dir);
                let (absence, feeds) = config::load_absence(source.config.as_deref())?;
                if complete {
                    coverage::complete(&data, &absence, &feeds, json)
                } else {
                    coverage::print(&data, &absence, &feeds, date, json)
                }
            })
        }
        Command::Status { config, listen, json } => {
            logging::warnings();
            start_status(config.as_deref(), listen.as_deref(), json)
        }
        Command::Calendar { period, config, json } => {
            logging::warnings();
            config::load_calendar(config.as_deref())
                .map_err(Failure::from)
                .and_then(|calendar| calendar::print(&calendar, period, Moment::now(), json))
        }
        Command::Check { source, json } => start_check(&source, json),
        Command::Verify { date, source, json } => {
            logging::warnings();
            source.load().and_then(|config| {
                let (absence, feeds) = config::load_absence(source.config.as_deref())?;
                verify::verify(&config.data_dir, &absence, &feeds, date, json)
            })
        }
        Command::Seal {
            date,
            source,
            feed,
            json,
        } => {
            logging::warnings();
            source
                .load()
                .and_then(|config| seal::seal(&config, date, feed, json))
        }
        Command::Sql { source } => {
            logging::warnings();
            source.load().and_then(|config| sql::print(&config.data_dir))
        }
        Command::Report {
            date,
            source,
            output,
            json,
        } => {
            logging::warnings();
            source.load().and_then(|config| {
                let calendar = config::load_calendar(source.config.as_deref())?;
                report::report(&config.data_dir, &calendar, date, output.as_deref(), json)
            })
        }
        Command::Rebuild {
            date,
            source,
            feed,
            dry_run,
            json,
        } => {
            logging::warnings();
            source
                .load()
                .and_then(|config| rebuild::rebuild(&config, date, feed, dry_run, json))
        }
        Command::Replay {
            date,
            source,
            options,
        } => {
            logging::warnings();
            source
                .load()
                .and_then(|config| in_runtime(replay::replay(&config.data_dir, date, &options))?)
        }
    };
    match result {
        Ok(()) => Exit::Done,
        Err(failure) => limits::fail(&failure),
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

impl Source {
    fn overrides(&self) -> Overrides {
        Overrides {
            data_dir: self.data_dir.clone(),
            base_url: self.base_url.clone(),
            member_name: self.member_name.clone(),
            always: self.always,
        }
    }
}

fn load(source: &Source) -> Result<Config, Failure> {
    Ok(Config::load(source.config.as_deref(), &source.overrides())?)
}

const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// Runs a command that talks to others.
fn in_runtime<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    // All sockets together take a few percent of one core: one thread serves them, and the rest is left to exporting.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(FOREVER)
        .build()
        .map_err(|source| Failure::System {
            doing: "starting the runtime".into(),
            source,
        })?;
    // tokio panics when it needs a thread for what blocks, such as looking up a name, and has none and gets none. So one
    // is started now, and stays: later ones may fail.
    limits::probe_threads()?;
    drop(runtime.spawn_blocking(|| ()));
    let result = runtime.block_on(command);
    // A resolver that hangs may keep a thread for a minute. Nothing is lost with it.
    runtime.shutdown_background();
    Ok(result)
}

fn start(source: Source, until_close: bool, json: bool) -> Result<(), Failure> {
    // Before all else: a signal that comes early must not end the process by its default.
    let (requests, _signals) = signals::listen()?;
    let config = load(&source)?;
    limits::enough_to_record(config.feeds.len(), config.journal.segment_bytes)?;
    limits::probe_threads()?;
    let logging::Log {
        filter,
        writer: _writer,
    } = logging::start(&config.log, json);
    let sources = KeySources::of_process(config.api_key_file.clone());
    let key = ApiKey::read(&sources)?;
    if let Some(exposed) = config.api_key_file.as_deref().and_then(key::exposed) {
        warn!("the API key is not well kept: {exposed}");
    }
    let credentials = config.connection.proxy_credentials_file.as_deref();
    if let Some(exposed) = credentials.and_then(key::exposed) {
        warn!("the proxy's password is not well kept: {exposed}");
    }
    if until_close {
        if config.schedule == Schedule::Always {
            let words = "--until-close needs hours: leave out --always, and set schedule.mode = \"calendar\"";
            return Err(Failure::Usage(words.into()));
        }
        let now = Moment::now();
        if let Some(opening) = config.schedule.over_until(now) {
            let why = config.schedule.why_over(now);
            out::mention(format_args!(
                "closed now: {why}; the next session opens {} KST",
                kst(opening)
            ));
            // To a service manager that waits for it, a process that ends before it was ready has failed.
            notify::ready();
            return Ok(());
        }
    }
    install_crypto();
    let again = reload::Source {
        load: Box::new(move || Config::load(source.config.as_deref(), &source.overrides())),
        filter,
        until_close,
    };
    in_runtime(run::run(config, key, until_close, again, requests))?
}

fn start_status(config: Option<&Path>, listen: Option<&str>, json: bool) -> Result<(), Failure> {
    let address = match (listen, config) {
        (Some(listen), _) => config::listen_option(listen)?,
        (None, Some(config)) => config::status_listen(config)?,
        (None, None) => return Err(Failure::Usage("--config or --listen is needed".into())),
    };
    in_runtime(status::print(address, json))?
}

fn start_check(source: &Source, json: bool) -> Result<(), Failure> {
    let (findings, failure) = match load(source) {
        Ok(config) => {
            let sources = KeySources::of_process(config.api_key_file.clone());
            let key = ApiKey::read(&sources).map_err(Failure::from);
            install_crypto();
            in_runtime(check::check(&config, key))?
        }
        // A program reads what is wrong from the findings, a person from the message.
        Err(failure) if json => (vec![check::Finding::bad("config", &failure)], Some(failure)),
        Err(failure) => return Err(failure),
    };
    out::print("printing the findings", |out| {
        if json {
            let text = serde_json::to_string_pretty(&findings).map_err(io::Error::other)?;
            return writeln!(out, "{text}");
        }
        findings.iter().try_for_each(|finding| {
            let mark = if finding.good { "ok  " } else { "BAD " };
            writeln!(out, "{mark} {:<16} {}", finding.name, finding.detail)
        })
    })?;
    failure.map_or(Ok(()), Err)
}

fn install_crypto() {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
