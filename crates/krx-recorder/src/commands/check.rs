//! `krx-recorder check`: finds out before the open what would go wrong.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use krx_clock::Discipline;
use krx_protocol::{Control, Refusal};
use krx_store::disk::free_bytes;
use krx_store::journal::GapReason;
use krx_store::{DataDir, DataDirLock, Moment, StoreError, feed_service, format, reach};
use serde::Serialize;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::commands::calendar;
use crate::config::key::{self, InitRequest, Keys};
use crate::config::{Config, ConfigError, FeedConfig, FeedKey, FeedService, PerIssueConfig, odd_codes};
use crate::feed::connect::{ConnectFailure, Connector, ProxyVariables, Route};
use crate::hours::schedule::{Hours, kst};
use crate::process::exit::Failure;
use crate::process::runtime::in_runtime;
use crate::process::{limits, out};
use crate::status;

/// How long to wait for an answer to `init`. A server that says nothing is assumed to have accepted it.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// The space for a full day, with room to spare: a peak day's journal is about 2.5 GB, its files 0.2 GB.
const FREE_BYTES_WANTED: u64 = 10_000_000_000;

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    /// What.
    pub name: String,
    /// Whether it is good.
    pub good: bool,
    /// What was found, and what to do if it is not good.
    pub detail: String,
}

impl Finding {
    /// The finding that reports a failure.
    #[must_use]
    fn bad(name: &str, failure: &Failure) -> Self {
        Self {
            name: name.to_owned(),
            good: false,
            detail: failure.to_string(),
        }
    }
}

/// Loads the configuration, checks everything that recording needs, and prints the findings.
///
/// # Errors
/// The first failure, with its exit code.
pub(super) fn run(config: Result<Config, ConfigError>, json: bool) -> Result<(), Failure> {
    let (findings, failure) = match config.map_err(Failure::from) {
        Ok(config) => in_runtime(async { Ok(check(&config).await) })?,
        // A program reads what is wrong from the findings, a person from the message.
        Err(failure) if json => (vec![Finding::bad("config", &failure)], Some(failure)),
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

/// Checks everything that recording needs. Returns the findings and the first failure.
async fn check(config: &Config) -> (Vec<Finding>, Option<Failure>) {
    let mut findings = Vec::new();
    let mut failures = Vec::new();
    let mut note = |name: &str, result: Result<String, Failure>| {
        findings.push(match &result {
            Ok(detail) => Finding {
                name: name.to_owned(),
                good: true,
                detail: detail.clone(),
            },
            Err(failure) => Finding::bad(name, failure),
        });
        failures.extend(result.err());
    };
    note("config", Ok(format!("{} feeds", config.feeds.len())));
    for feed in &config.feeds {
        if let FeedService::PerIssue(registered) = &feed.service {
            note(&format!("list {}", feed.name), Ok(list(registered)));
        }
    }
    let limits = limits::enough_to_record(config.feeds.len(), config.journal.segment_bytes);
    note("limits", limits.map(|()| "sufficient for recording".to_owned()));
    note("clock", clock(config));
    note("time source", Ok(time_source(krx_clock::read())));
    note("calendar", Ok(calendar(config)));
    let disk = disk(config);
    let recording = matches!(disk, Err(Failure::Store(StoreError::Locked { .. })));
    note("disk", disk);
    if let Some(address) = config.status_listen {
        note("status", status(address, recording));
    }
    let read = |secret: Option<&Path>| match secret.and_then(key::exposed) {
        Some(words) => format!("read, but {words}"),
        None => "read".to_owned(),
    };
    if let Some(file) = &config.connection.proxy_credentials_file {
        note("proxy password", Ok(read(Some(file))));
    }
    let (mut found, mut has_common) = (Vec::new(), false);
    for (feed, FeedKey { key, is_own, file }) in config.feeds.iter().zip(config.keys()) {
        let named = match is_own {
            true => Some(format!("key {}", feed.name)),
            // The common key is one finding, however many feeds use it.
            false => (!std::mem::replace(&mut has_common, true)).then(|| "key".to_owned()),
        };
        match key {
            Ok(key) => {
                named.inspect(|name| note(name, Ok(read(file.as_deref()))));
                found.push((feed, key));
            }
            Err(error) => drop(named.map(|name| note(&name, Err(error.into())))),
        }
    }
    if recording && !found.is_empty() {
        // A second session with the same key may end the first, so a running recorder is left alone.
        let words = "not tried: a running recorder uses this key";
        note("endpoints", Ok(words.to_owned()));
        found.clear();
    }
    let keys = Keys::of(found.iter().map(|(_, key)| key.clone()));
    for (feed, key) in found {
        let init = keys.init_request(&key, &feed.member_name);
        let name = format!("endpoint {}", feed.name);
        note(&name, endpoint(config, feed, &init).await);
    }
    (findings, failures.into_iter().next())
}

/// How many registrations there are, and which of their codes look wrong. That is only a guess, so it is never an error.
fn list(registered: &PerIssueConfig) -> String {
    let PerIssueConfig {
        registrations_max,
        wishes,
    } = registered;
    let codes: BTreeSet<_> = wishes.iter().map(|wish| &wish.pair.code).collect();
    let mut words = format!(
        "{} of {registrations_max} registrations, for {} code{}",
        wishes.len(),
        codes.len(),
        if codes.len() == 1 { "" } else { "s" }
    );
    for odd in odd_codes(wishes) {
        words = format!("{words}; but {odd}");
    }
    words
}

fn clock(config: &Config) -> Result<String, Failure> {
    let now = Moment::now();
    let date = now.date();
    if date < BUILT_IN {
        return Err(Failure::Unavailable(format!(
            "the clock says {date}, which is long past: set the clock"
        )));
    }
    let seconds = now.micros_of_day() / 1_000_000;
    let time = format!(
        "{date} {:02}:{:02}:{:02} KST",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    let words = |hours| match hours {
        Hours::Open => "recording hours".to_owned(),
        Hours::ClosedUntil(opening) => format!("closed until {} KST", kst(opening)),
    };
    let of_feeds = config
        .feeds
        .iter()
        .map(|feed| (&feed.name, words(feed.schedule.at(now))));
    let of_feeds: Vec<_> = of_feeds.collect();
    if let Some((_, first)) = of_feeds.first()
        && of_feeds.iter().all(|(_, words)| words == first)
    {
        return Ok(format!("{time}: {first}"));
    }
    let of_feeds: Vec<_> = of_feeds
        .iter()
        .map(|(feed, words)| format!("{feed} {words}"))
        .collect();
    Ok(format!("{time}: {}", of_feeds.join(", ")))
}

/// Whether something keeps the clock in step. Not an error: recording goes on with any clock.
fn time_source(kernel: io::Result<Discipline>) -> String {
    match kernel {
        Ok(Discipline::Synchronised { max_error_us, .. }) => format!(
            "the clock is synchronised, at most {:.1} ms off",
            max_error_us as f64 / 1000.0
        ),
        Ok(Discipline::Unsynchronised) => {
            "WARNING: nothing keeps the clock in step, and every record is stamped by it: set up chronyd or \
                  systemd-timesyncd"
                .to_owned()
        }
        Err(error) => format!("not known whether the clock is synchronised: {error}"),
    }
}

fn calendar(config: &Config) -> String {
    let words = calendar::check_words(&config.calendar, Moment::now().date());
    match &config.calendar_file {
        Some(path) => format!("{words}; days in {} override it", path.display()),
        None => words,
    }
}

/// A correct clock cannot show an earlier date.
const BUILT_IN: chrono::NaiveDate = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date");

fn disk(config: &Config) -> Result<String, Failure> {
    let data_dir = &config.data_dir;
    let data = DataDir::new(data_dir);
    format::check(&data)?;
    for feed in &config.feeds {
        feed_service::check(&data, &feed.name, feed.service.of_store())?;
    }
    let _lock = DataDirLock::take(&data)?;
    reach::check(&data)?;
    let free = free_bytes(data_dir)?;
    let text = format!(
        "{} is writable, {:.1} GB free",
        data_dir.display(),
        free as f64 / 1e9
    );
    Ok(if free < FREE_BYTES_WANTED {
        format!("{text}: less than the 10 GB that a peak day needs")
    } else {
        text
    })
}

fn status(address: SocketAddr, recording: bool) -> Result<String, Failure> {
    if recording {
        return Ok(format!("{address} not tried: a recorder is running"));
    }
    match status::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(source) => Err(Failure::System {
            doing: format!(
                "listening on status.listen = {address} (a recorder would record anyway, and keep trying; stop what \
                 listens there, or choose another address)"
            ),
            source,
        }),
    }
}

async fn endpoint(config: &Config, feed: &FeedConfig, init: &InitRequest) -> Result<String, Failure> {
    let name = feed.name.to_string();
    let connector = Connector::new(feed, &config.connection, &ProxyVariables::of_process())?;
    let way = match connector.route() {
        Route::Direct {
            passed_over: Some(why),
        } => format!(" (without a proxy: {why})"),
        Route::Direct { passed_over: None } => String::new(),
        through @ Route::Through(_) => format!(" ({through})"),
    };
    let mut connected = connector.connect(init).await;
    // As a recorder does: after an address that accepts connections but opens no session, try the others. A service
    // that explains its refusal has given its answer.
    let is_answer = |failure: &ConnectFailure| {
        let reason = failure.reason;
        matches!(
            reason,
            GapReason::Refused | GapReason::Throttled | GapReason::Unavailable
        )
    };
    if connected.as_ref().is_err_and(|failure| !is_answer(failure)) && connector.has_other_addresses() {
        connected = connector.connect(init).await;
    }
    let mut connection = connected.map_err(|failure| match failure.reason {
        GapReason::Refused => Failure::KeyRefused {
            feed: name.clone(),
            words: failure.detail,
        },
        GapReason::Throttled | GapReason::Unavailable => Failure::Unavailable(format!(
            "{}{way} accepts no connections for now: {}; try again later",
            feed.url, failure.detail
        )),
        GapReason::Unreachable if matches!(connector.route(), Route::Through(_)) => {
            Failure::Unavailable(format!("{} cannot be reached: {}", feed.url, failure.detail))
        }
        GapReason::Unreachable => Failure::Unavailable(format!(
            "{}{way} cannot be reached: {}; check koscom.base_url and the network",
            feed.url, failure.detail
        )),
        _ => Failure::Unavailable(format!("{}{way} opens no session: {}", feed.url, failure.detail)),
    })?;
    let answer = tokio::time::timeout(ANSWER_WAIT, answer(&mut connection)).await;
    let _ = tokio::time::timeout(ANSWER_WAIT, connection.close(None)).await;
    match answer {
        Ok(Some(Ok(Message::Text(text)))) => match Control::classify(text.as_bytes()) {
            Some(Control::Error(error)) if error.refusal() == Refusal::Key => Err(Failure::KeyRefused {
                feed: name,
                words: init.plain(&error.words()),
            }),
            Some(Control::Error(error)) => Err(Failure::Unavailable(format!(
                "{} answers with {}",
                feed.url,
                init.plain(&error.words())
            ))),
            _ => Ok(format!("{}{way} answers", feed.url)),
        },
        Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => Err(Failure::Unavailable(format!(
            "{}{way} closes the connection after init",
            feed.url
        ))),
        Ok(Some(Ok(_))) | Err(_) => Ok(format!(
            "{}{way} accepts the connection, but has said nothing yet",
            feed.url
        )),
    }
}

/// The first message other than a ping or pong, which say nothing about the key.
async fn answer(
    messages: &mut (impl Stream<Item = tungstenite::Result<Message>> + Unpin),
) -> Option<tungstenite::Result<Message>> {
    loop {
        match messages.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::{Instruments, Preset, WishGroup, WishList};

    use super::*;

    #[test]
    fn a_list_is_counted_and_odd_codes_are_named_without_being_an_error() {
        let listed = |codes: &[&str]| {
            let group = WishGroup {
                presets: vec![Preset::Tick10, Preset::Quote10],
                codes: codes.iter().map(|code| (*code).to_owned()).collect(),
                instruments: Instruments::Derivatives,
                items: Vec::new(),
            };
            list(&PerIssueConfig {
                registrations_max: 20,
                wishes: WishList::of(&[group]).unwrap(),
            })
        };
        assert_eq!(listed(&["101N6000"]), "2 of 20 registrations, for 1 code");
        assert_eq!(
            listed(&["101N6000", "005930"]),
            "4 of 20 registrations, for 2 codes; but 005930 is listed with derivatives but looks like a stock: if it \
             is, write instruments = \"stocks\""
        );
    }

    #[test]
    fn a_clock_that_nothing_keeps_in_step_is_a_warning_and_no_error() {
        let synchronised = Discipline::Synchronised {
            max_error_us: 1_250,
            offset_us: None,
        };
        assert_eq!(
            time_source(Ok(synchronised)),
            "the clock is synchronised, at most 1.2 ms off"
        );
        let unsynchronised = time_source(Ok(Discipline::Unsynchronised));
        assert!(unsynchronised.starts_with("WARNING: nothing keeps the clock in step"));
        let forbidden = time_source(Err(io::Error::from_raw_os_error(1)));
        assert!(
            forbidden.starts_with("not known whether the clock is synchronised: Operation not permitted")
        );
    }
}
