//! What the person in charge says.

use std::net::SocketAddr;

use chrono::{NaiveTime, Timelike};
use clap::Args;
use krx_exchange::{Key, Pace, TimeOfDay};
use krx_store::FeedName;

/// The options of `replay` beside date and data directory.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// This feed only, repeatable; without it all that are recorded.
    #[arg(long, alias = "market", value_name = "NAME")]
    pub feed: Vec<FeedName>,
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9887")]
    pub listen: SocketAddr,
    /// Recorded seconds per real second, or max: as fast as the client reads. With a number the day goes on while nobody
    /// is connected; with max it waits.
    #[arg(long, value_name = "X|max", default_value = "1")]
    pub speed: Pace,
    /// Time of day (KST) to begin at, instead of the first message's.
    #[arg(long, value_name = "HH:MM", value_parser = parse_time)]
    pub from: Option<TimeOfDay>,
    /// Accepted key, repeatable; without one every key that is not empty is accepted.
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub key: Vec<Key>,
    /// Exit when every feed's day was sent and the clients have left, or a minute later.
    #[arg(long)]
    pub exit_at_end: bool,
    /// Write events to standard output as JSON objects, one a line.
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
    fn times_are_of_the_whole_day() {
        assert_eq!(parse_time("08:55"), Ok(TimeOfDay((8 * 60 + 55) * 60_000_000)));
        assert_eq!(parse_time("00:00"), Ok(TimeOfDay(0)));
        for bad in ["24:00", "9", "09:60", "x:1", ""] {
            parse_time(bad).unwrap_err();
        }
    }
}
