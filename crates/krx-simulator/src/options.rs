//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use krx_simulator::{
    Answers, Config, DayConfig, EventFormat, Fault, HalfSecond, InitReply, Key, Market, Pace, PerIssueConfig,
    PerIssueRules, Preset, RefuseAll, SecondSession, SimulatorError, Universe, tls_config,
};

/// More trades than a day can hold: even every issue in every half second would be fewer.
const TRADES_MAX: u64 = 1_000_000_000;

const AFTER_HELP: &str = "\
Faults: KIND@WHEN[:ARG][,market=KOSPI|KOSDAQ or ,service=per_issue]
  WHEN  N                   once, in the first session to be sent N data messages
        every:N             after every N data messages of every session
  KIND, in every feed
        disconnect          FIN without a close frame
        close[:CODE]        close frame (1011)
        reset               RST
        stall[:SECONDS]     silence (30); heartbeats and pings go unanswered
        garbage[:WHAT]      an extra message: text (if nothing is said), badrecord, object,
                            truncated-json or poison
        half                half of a message, then FIN
  KIND, in the full-market feeds only
        resend[:MESSAGES]   FIN; the next session repeats the last data messages (20)
  KIND, in the per-issue service only
        array[:PUSHES]      the next message is a JSON array of pushes (3)
        joined[:PUSHES]     the next message is several objects, one after the other (3)
        forget[:PERCENT]    that share of the registrations is silently dropped (50)
        unregistered        a push of a code that was never registered
        error               an error without an id
        answer:HOW          what is done with a session's N-th subscribe (WHEN counts these):
          ignored               not registered, not answered
          withheld              registered, not answered
          refused               refused with error 10040
          refused-without-id    the same, and the error has no id
          late[:SECONDS]        answered that much later (7)
          overtaken             answered after the next one
          twice                 answered twice
          snapshot-after-push   answered by a snapshot after the first push
          snapshot-of-another   answered by the snapshot of another registration
          unknown-id            answered under an id that nobody sent
  e.g.  disconnect@5000  stall@every:1000:2.5,market=KOSDAQ  close@300:1001  answer@every:9:twice

The day runs from 08:30 to 20:00. An issue is sent at most once in half a second: on days with more
than some 50 million trades, the rush after the open spreads over the following hours.

Exit codes: 0 done, or stopped by SIGTERM or SIGINT; 64 usage; 74 input or output;
78 bad issues or TLS file.";

/// A simulated exchange: serves a believable trading day over WebSocket, on loopback.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9887")]
    pub(crate) listen: SocketAddr,

    /// Certificate chain (PEM): serve wss:// instead of ws://.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Accepted key, repeatable; without one, every non-empty key is accepted.
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    key: Vec<Key>,

    /// Refuse every client: by a JSON-RPC error after init, or by HTTP 401 at the upgrade.
    #[arg(long, value_enum)]
    refuse: Option<Refuse>,

    /// When to answer init: before the first data message, after it, or never.
    #[arg(long, value_enum, default_value = "answered")]
    init_reply: Reply,

    /// What happens to a second session at the same path with the same key: it displaces the first, or is refused.
    #[arg(long, value_enum, default_value = "displace")]
    second_session: Second,

    /// How often the exchange sends its own heartbeats, as 30s or 500ms of real time; 0 means never.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    heartbeat_interval: Duration,

    /// Serve or write only this market's full-market feed, repeatable; without it, both.
    #[arg(long, value_parser = parse_market)]
    market: Vec<Market>,

    /// The same seed and options give the same messages.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Trades of the whole day in both markets together, not counting signals.
    #[arg(long, value_name = "N", default_value_t = 12_000_000, value_parser = clap::value_parser!(u64).range(..=TRADES_MAX))]
    trades_per_day: u64,

    /// CSV file of listed issues with the columns code and market, and optionally base_price, prev_volume, halted and
    /// etp; without it, about 4,400 made-up issues.
    #[arg(long, value_name = "FILE")]
    issues: Option<PathBuf>,

    /// Simulated time of day to start at; anything earlier is skipped.
    #[arg(long, value_name = "HH:MM", default_value = "08:30", value_parser = parse_time)]
    start: HalfSecond,

    /// Simulated seconds per real second, or max: as fast as the client reads. With a number the day continues while
    /// nobody is connected; with max it waits.
    #[arg(long, value_name = "X|max", default_value = "1", value_parser = parse_speed, conflicts_with = "rate")]
    speed: Pace,

    /// Instead of a speed: records per real second, for all markets together; waits while nobody is connected.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU64>,

    /// Start another day, with the next seed, at the end of each.
    #[arg(long, conflicts_with = "exit_at_end")]
    repeat: bool,

    /// Exit once every market's day, and that of the per-issue service if it was used, has been sent and the clients have
    /// left, or a minute later.
    #[arg(long)]
    exit_at_end: bool,

    /// Serve only the full-market feeds, without the per-issue service at /ws/.
    #[arg(long)]
    no_per_issue: bool,

    /// Per-issue: how many registrations a session may have; the sandbox allows 20.
    #[arg(long, value_name = "N", default_value_t = PerIssueRules::default().registrations_max)]
    registrations_max: usize,

    /// Per-issue: messages per real second to each client. Without it --speed or --rate applies, and a rate counts
    /// messages. At a rate, and at speed max, the day waits while nothing is registered.
    #[arg(long, value_name = "N")]
    per_issue_rate: Option<NonZeroU64>,

    /// Per-issue: answer a subscribe with ok, with the current state, or with the state for tick10, quote10 and index only.
    #[arg(long, value_name = "KIND", value_enum, default_value = "mixed")]
    per_issue_answers: SubscribeAnswers,

    /// Per-issue: print trdTm with its leading zero, as in 09450155, which is not valid JSON.
    #[arg(long)]
    leading_zeros: bool,

    /// Write everything that is sent to this file, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,

    /// Script a fault; repeatable, see below.
    #[arg(long, value_name = "KIND@WHEN")]
    fault: Vec<Fault>,

    /// Write events to standard output as JSON objects, one per line.
    #[arg(long)]
    json: bool,

    /// Serve nothing: write the day's data messages to this file, one per line, and exit.
    #[arg(long, value_name = "FILE")]
    pub(crate) write_frames: Option<PathBuf>,

    /// With --write-frames, write the per-issue pushes of these presets for the 100 busiest stocks (index: all indices)
    /// instead of full-market messages: tick, quote, tick10, quote10, index.
    #[arg(long, value_name = "PRESET,…", requires = "write_frames", value_delimiter = ',', value_parser = parse_preset)]
    pub(crate) pushes: Vec<Preset>,

    /// Stop writing after this many records.
    #[arg(long, value_name = "N", requires = "write_frames")]
    pub(crate) records: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Refuse {
    Json,
    Http,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reply {
    Answered,
    Silent,
    Late,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Second {
    Displace,
    Refuse,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SubscribeAnswers {
    Ok,
    Snapshot,
    Mixed,
}

impl Options {
    /// The configuration given by the options; files are read.
    pub(crate) fn config(&self) -> Result<Config, SimulatorError> {
        let universe = match &self.issues {
            Some(path) => Universe::load(path)?,
            None => Universe::synthetic(),
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(key)) => Some(tls_config(certificates, key)?),
            _ => None,
        };
        let markets = Market::ALL
            .into_iter()
            .filter(|one| self.market.is_empty() || self.market.contains(one))
            .collect();
        Ok(Config {
            day: DayConfig {
                universe,
                seed: self.seed,
                trades_per_day: self.trades_per_day,
                start: self.start,
            },
            markets,
            per_issue: (!self.no_per_issue).then(|| self.per_issue()),
            pace: self.rate.map_or(self.speed, Pace::Rate),
            repeat: self.repeat,
            exit_at_end: self.exit_at_end,
            keys: self.key.clone(),
            refuse: self.refuse.map(|refuse| match refuse {
                Refuse::Json => RefuseAll::Json,
                Refuse::Http => RefuseAll::Http,
            }),
            init_reply: match self.init_reply {
                Reply::Answered => InitReply::Answered,
                Reply::Silent => InitReply::Silent,
                Reply::Late => InitReply::Late,
            },
            second_session: match self.second_session {
                Second::Displace => SecondSession::Displace,
                Second::Refuse => SecondSession::Refuse,
            },
            heartbeat_interval: Some(self.heartbeat_interval).filter(|interval| !interval.is_zero()),
            faults: self.fault.clone(),
            ledger: self.ledger.clone(),
            tls,
            events: if self.json {
                EventFormat::Json
            } else {
                EventFormat::Text
            },
        })
    }
}

impl Options {
    fn per_issue(&self) -> PerIssueConfig {
        PerIssueConfig {
            rules: PerIssueRules {
                registrations_max: self.registrations_max,
            },
            pace: self.per_issue_rate.map(Pace::Rate),
            answers: match self.per_issue_answers {
                SubscribeAnswers::Ok => Answers::Ok,
                SubscribeAnswers::Snapshot => Answers::Snapshot,
                SubscribeAnswers::Mixed => Answers::Mixed,
            },
            leading_zeros: self.leading_zeros,
        }
    }
}

fn parse_key(text: &str) -> Result<Key, String> {
    Key::new(text).ok_or_else(|| "a key must not be empty".to_owned())
}

fn parse_market(text: &str) -> Result<Market, String> {
    Market::named(text).ok_or_else(|| "the markets are KOSPI and KOSDAQ".to_owned())
}

fn parse_preset(text: &str) -> Result<Preset, String> {
    match text.parse() {
        Ok(Preset::Change) | Err(()) => {
            Err("the presets are tick, quote, tick10, quote10 and index".to_owned())
        }
        Ok(preset) => Ok(preset),
    }
}

fn parse_speed(text: &str) -> Result<Pace, String> {
    text.parse()
}

fn parse_time(text: &str) -> Result<HalfSecond, String> {
    let parts = text
        .split_once(':')
        .and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
    match parts {
        Some((hour @ 0..24, minute @ 0..60)) => {
            let time = HalfSecond::at(hour, minute, 0);
            if (HalfSecond::DAY_START..HalfSecond::DAY_END).contains(&time) {
                Ok(time)
            } else {
                Err("the day is from 08:30 to 20:00".to_owned())
            }
        }
        _ => Err("a time is HH:MM, such as 08:55".to_owned()),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .ok_or_else(|| "a duration is a number of seconds such as 30s, or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn values_are_understood_or_refused() {
        assert_eq!(parse_speed("max").unwrap(), Pace::Max);
        assert_eq!(parse_speed("0.5").unwrap(), Pace::Speed(0.5));
        for bad in ["0", "-1", "NaN", "inf", "fast"] {
            parse_speed(bad).unwrap_err();
        }
        assert_eq!(parse_time("15:20").unwrap(), HalfSecond::at(15, 20, 0));
        for bad in ["07:00", "20:01", "9", "09:60", "x:1"] {
            parse_time(bad).unwrap_err();
        }
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("0").unwrap(), Duration::ZERO);
        parse_duration("-1s").unwrap_err();
    }
}
