//! The command's options.

use std::net::SocketAddr;

use chrono::{NaiveTime, Timelike};
use clap::Args;
use krx_exchange::{Key, Pace, TimeOfDay};
use krx_store::FeedName;

/// The options of `replay` other than date and data directory.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Serve only this feed (repeatable); without it, all recorded feeds.
    #[arg(long, alias = "market", value_name = "NAME")]
    pub feed: Vec<FeedName>,
    /// Loopback address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9887")]
    pub listen: SocketAddr,
    /// Recorded seconds per real second, or max: as fast as the client reads. With a number, the day continues while
    /// nobody is connected; with max, it waits.
    #[arg(long, value_name = "X|max", default_value = "1")]
    pub speed: Pace,
    /// Time of day (KST) to start at, instead of the first message's.
    #[arg(long, value_name = "HH:MM", value_parser = parse_time)]
    pub from: Option<TimeOfDay>,
    /// Key to accept (repeatable); without one, any non-empty key is accepted.
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub key: Vec<Key>,
    /// Exit when every feed's day has been sent and the clients have left, or a minute later.
    #[arg(long)]
    pub exit_at_end: bool,
    /// Write events to standard output as JSON objects, one per line.
    #[arg(long)]
    pub json: bool,
}

fn parse_key(text: &str) -> Result<Key, String> {
    Key::new(text).ok_or_else(|| "a key must not be empty".to_owned())
}

fn parse_time(text: &str) -> Result<TimeOfDay, String> {
    let time = NaiveTime::parse_from_str(text, "%H:%M");
    let time = time.map_err(|_| "a time is HH:MM, such as 08:55".to_owned())?;
    Ok(TimeOfDay(u64::from(time.num_seconds_from_midnight()) * 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_of_day_is_accepted() {
        assert_eq!(parse_time("08:55"), Ok(TimeOfDay((8 * 60 + 55) * 60_000_000)));
        assert_eq!(parse_time("00:00"), Ok(TimeOfDay(0)));
        for bad in ["24:00", "9", "09:60", "x:1", ""] {
            parse_time(bad).unwrap_err();
        }
    }
}
