//! What a replay prints before it begins.

use std::net::SocketAddr;

use chrono::NaiveDate;
use indicatif::HumanCount;
use krx_exchange::{Endpoint, Pace, TimeOfDay};
use serde_json::{Value, json};

use super::options::Options;
use super::recording::Recording;
use crate::process::out;

/// Prints what is served and how to read it to standard output, and what is not served to standard error.
pub(super) fn begin(
    date: NaiveDate,
    recordings: &[Recording],
    address: SocketAddr,
    start: TimeOfDay,
    options: &Options,
) {
    let text = if options.json {
        format!("{}\n", event(date, recordings, address, start, options.speed))
    } else {
        words(date, recordings, address, start, options.speed)
    };
    // Serve even if nobody reads this.
    out::mention(text.trim_end());
    for recording in recordings.iter().filter(|recording| recording.uncommitted > 0) {
        out::tell(format_args!(
            "{}: {} frames of {date} have been received but not committed yet: they are not \
             served, nor is anything received from now on",
            recording.feed,
            HumanCount(recording.uncommitted)
        ));
    }
}

fn url(recording: &Recording, address: SocketAddr) -> String {
    format!("ws://{address}{}", recording.endpoint.path())
}

/// The word for its rows.
fn rows_of(recording: &Recording) -> &'static str {
    match recording.endpoint {
        Endpoint::FullMarket(_) => "trades",
        Endpoint::PerIssue => "rows",
    }
}

fn speed(pace: Pace) -> String {
    match pace {
        Pace::Max => "as fast as it is read".to_owned(),
        Pace::Speed(speed) => format!("at speed {speed}, starting with the first session"),
        Pace::Rate(rate) => format!("at {rate} records a second"),
    }
}

fn words(
    date: NaiveDate,
    recordings: &[Recording],
    address: SocketAddr,
    start: TimeOfDay,
    pace: Pace,
) -> String {
    let mut text = format!("replaying {date} from {start} KST, {}\n", speed(pace));
    for recording in recordings {
        text += &format!(
            "  {:<8} {}  {} {} in {} frames\n",
            recording.feed.as_str(),
            url(recording, address),
            HumanCount(recording.rows),
            rows_of(recording),
            HumanCount(recording.last_frame)
        );
    }
    text += &format!(
        "read it with another recorder, into another data directory:\n  \
         KRX_API_KEY=any krx-recorder run --base-url ws://{address} --data-dir DIR --member-name replay --always\n"
    );
    if recordings
        .iter()
        .any(|recording| recording.endpoint == Endpoint::PerIssue)
    {
        text += "a per-issue feed needs a configuration that says what to register\n";
    }
    text
}

fn event(
    date: NaiveDate,
    recordings: &[Recording],
    address: SocketAddr,
    start: TimeOfDay,
    pace: Pace,
) -> Value {
    let feeds: Vec<_> = recordings
        .iter()
        .map(|recording| {
            json!({
                "feed": recording.feed.as_str(),
                "url": url(recording, address),
                rows_of(recording): recording.rows,
                "frames": recording.last_frame,
                "frames_not_committed": recording.uncommitted,
            })
        })
        .collect();
    let speed = match pace {
        Pace::Speed(speed) => json!(speed),
        _ => json!("max"),
    };
    json!({"event": "replaying", "date": date, "from": start.to_string(), "speed": speed, "feeds": feeds})
}
