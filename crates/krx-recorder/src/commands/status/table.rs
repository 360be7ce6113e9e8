//! The snapshot as text for a terminal. Pure.

use std::fmt::Write as _;
use std::ops::Range;

use chrono::DateTime;
use indicatif::{DecimalBytes, HumanCount};
use krx_protocol::per_issue::RegistrationState;
use krx_report::IntervalRow;
use krx_store::Moment;

use super::sparkline::{blocks, marks};
use crate::commands::coverage::length;
use crate::sanitize::clean;
use crate::status::{ClockSnapshot, FeedClockSnapshot, FeedSnapshot, Kst, RegistrationsSnapshot, Snapshot};

/// What fits between two times of day on a terminal of 80 columns.
const COLUMNS: usize = 60;

/// How many gaps are listed, newest first; `krx-recorder coverage` lists them all.
const GAPS_SHOWN: usize = 8;

/// How many registrations that are not active are listed.
const TROUBLED_SHOWN: usize = 8;

/// How many files are listed, newest first.
const FILES_SHOWN: usize = 4;

/// With less free than this the disk is full: it is what the journal's smallest file needs.
const FULL_BYTES: u64 = 256 << 10;

const MINUTE_US: i64 = 60_000_000;

/// How far behind the exporter of a running feed may be when nothing is wrong.
const USUAL_LAG_US: i64 = 1_000_000;

/// The terminal's colours, named for what they mean.
#[derive(Clone, Copy)]
enum Tone {
    Good = 32,
    Look = 33,
    Act = 31,
    Soft = 2,
    Strong = 1,
}

struct Pen {
    text: String,
    colours: bool,
}

impl Pen {
    /// Colours the words. They may come from a server and contain anything, so control characters are removed first: a
    /// terminal must not take them for commands.
    fn tone(&self, tone: Tone, words: &str) -> String {
        let words = clean(words);
        if self.colours {
            format!("\x1b[{}m{words}\x1b[0m", tone as u8)
        } else {
            words
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn entry(&mut self, name: &str, words: &str) {
        let name = self.tone(Tone::Soft, &format!("{name:<13}"));
        self.line(&format!("  {name}{words}"));
    }
}

/// The whole table.
pub(super) fn table(snapshot: &Snapshot, colours: bool) -> String {
    let mut pen = Pen {
        text: String::new(),
        colours,
    };
    head(&mut pen, snapshot);
    for feed in &snapshot.feeds {
        feed_lines(&mut pen, snapshot, feed);
    }
    pen.text
}

fn head(pen: &mut Pen, snapshot: &Snapshot) {
    let up = length(snapshot.now.0.0 - snapshot.started_at.0.0);
    let name = pen.tone(Tone::Strong, &format!("krx-recorder {}", snapshot.version));
    let now = format!("{} {} KST", snapshot.date, clock(snapshot.now));
    pen.line(&format!("{name}, process {}, up for {up}; {now}", snapshot.pid));
    let schedule = &snapshot.schedule;
    let session = match (schedule.session_expected, schedule.opens_at, schedule.closes_at) {
        (true, _, Some(closes)) => format!("a session is expected until {}", short(snapshot, closes)),
        (true, _, None) => "a session is expected at all times".to_owned(),
        (false, Some(opens), _) => format!("closed; the next session opens {}", short(snapshot, opens)),
        (false, None, _) => "closed".to_owned(),
    };
    let disk = format!(
        "{} of disk free, warns below {}",
        DecimalBytes(snapshot.disk_free_bytes),
        DecimalBytes(snapshot.disk_warn_free_bytes)
    );
    if snapshot.disk_low && snapshot.disk_free_bytes < FULL_BYTES {
        pen.line(&pen.tone(Tone::Act, &format!("THE DISK IS FULL, make room: {disk}")));
        pen.line(&session);
    } else if snapshot.disk_low {
        let disk = pen.tone(Tone::Act, &format!("LOW: {disk}"));
        pen.line(&format!("{session}; {disk}"));
    } else {
        pen.line(&format!("{session}; {disk}"));
    }
    if let Some(of_machine) = &snapshot.clock {
        machine_clock(pen, snapshot, of_machine);
    }
    if let Some(complaint) = &snapshot.complaint {
        let words = pen.tone(
            Tone::Act,
            &format!("part of the recorder does not work: {complaint}"),
        );
        pen.line(&words);
    }
}

/// Whether this machine's clock can be trusted.
fn machine_clock(pen: &mut Pen, snapshot: &Snapshot, of_machine: &ClockSnapshot) {
    let mut words = match (of_machine.synchronised, of_machine.max_error_us) {
        (Some(true), Some(error_us)) => format!("clock synchronised, at most {} off", length(error_us)),
        (Some(true), None) => "clock synchronised".to_owned(),
        (Some(false), _) => pen.tone(Tone::Look, "CLOCK NOT SYNCHRONISED: nothing keeps it in step"),
        (None, _) => format!("clock {}", clean(&of_machine.source)),
    };
    if let (1.., Some(at), Some(seconds)) = (
        of_machine.steps,
        of_machine.last_step_at,
        of_machine.last_step_seconds,
    ) {
        let direction = if seconds < 0.0 { "back" } else { "forward" };
        let (by, at) = (length(us(seconds.abs())), short(snapshot, at));
        let step = format!(
            "set {direction} by {by} at {at}, {} in this run",
            times(of_machine.steps)
        );
        words = format!("{words}; {}", pen.tone(Tone::Look, &step));
    }
    pen.line(&words);
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{} times", HumanCount(count)),
    }
}

/// What the records of a feed show of the clock.
fn feed_clock(pen: &mut Pen, of_feed: &FeedClockSnapshot) {
    let lag = of_feed.lag_seconds.map(|seconds| length(us(seconds.abs())));
    let lag = lag.unwrap_or_else(|| "some time".to_owned());
    let words = match of_feed.verdict.as_str() {
        "good" => format!("good: records come {lag} after their trades"),
        "early" => pen.tone(
            Tone::Act,
            &format!("WRONG: records come {lag} before their trades, so the clock is slow"),
        ),
        "late" => pen.tone(
            Tone::Act,
            &format!("WRONG, or the feed is behind: records come {lag} after their trades"),
        ),
        _ => "not known yet".to_owned(),
    };
    pen.entry("clock", &words);
}

fn feed_lines(pen: &mut Pen, snapshot: &Snapshot, feed: &FeedSnapshot) {
    pen.line("");
    let expected = feed.schedule.session_expected;
    let tone = match feed.state.as_str() {
        "live" => Tone::Good,
        "waiting" if !expected => Tone::Soft,
        "connecting" => Tone::Look,
        _ => Tone::Act,
    };
    let since = feed
        .state_since
        .map_or_else(String::new, |at| format!(" since {}", short(snapshot, at)));
    let name = pen.tone(Tone::Strong, &format!("{:<8}", feed.feed));
    let state = pen.tone(tone, &format!("{}{since}", feed.state));
    pen.line(&format!("{name} {state}"));
    let last = feed.seconds_since_last_frame.map_or_else(
        || "none yet".to_owned(),
        |seconds| format!("the last {} ago", length(us(seconds))),
    );
    let frames = format!("{} today, {last}", HumanCount(feed.date_frames));
    pen.entry("messages", &frames);
    let rates = feed.rates;
    let records = format!(
        "{} today; {:.0} records/s and {}/s in the last minute",
        HumanCount(feed.date_records),
        rates.records_per_s,
        DecimalBytes(whole(rates.bytes_per_s))
    );
    pen.entry("records", &records);
    if let Some(registrations) = &feed.registrations {
        registered(pen, snapshot, feed, registrations);
    }
    chart(pen, snapshot, feed);
    let lag = match feed.frames_behind {
        0 => "none".to_owned(),
        behind => {
            let lag = us(feed.lag_seconds);
            let text = format!("{}, {} messages behind", length(lag), HumanCount(behind));
            if lag < USUAL_LAG_US {
                text
            } else {
                pen.tone(Tone::Look, &text)
            }
        }
    };
    pen.entry("export lag", &lag);
    if let Some(of_feed) = &feed.clock {
        feed_clock(pen, of_feed);
    }
    trouble(pen, feed);
    gaps(pen, feed);
    files(pen, snapshot, feed);
    if let Some(problem) = &feed.last_problem {
        let words = clean(&format!("{}: {}", problem.reason, problem.detail));
        pen.entry(
            "last problem",
            &format!("{}, {words}", short(snapshot, problem.at)),
        );
    }
}

/// How many registrations are active; and while a session is open, which are not.
fn registered(
    pen: &mut Pen,
    snapshot: &Snapshot,
    feed: &FeedSnapshot,
    registrations: &RegistrationsSnapshot,
) {
    let states = [
        RegistrationState::Requested,
        RegistrationState::Refused,
        RegistrationState::Unanswered,
        RegistrationState::Silent,
    ];
    let others: String = states
        .into_iter()
        .map(|state| (state, registrations.count(state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!(", {count} {state}"))
        .collect();
    let RegistrationsSnapshot {
        wanted, max, active, ..
    } = registrations;
    let is_live = feed.state == "live";
    let words = format!("{active} of {wanted} active{others}");
    let words = match (registrations.overdue, registrations.refused) {
        (1.., _) => pen.tone(Tone::Act, &words),
        (_, 1..) => pen.tone(Tone::Look, &words),
        _ => words,
    };
    pen.entry("registered", &format!("{words}; {max} at most"));
    let shown = if is_live { TROUBLED_SHOWN } else { 0 };
    for troubled in registrations.troubled.iter().take(shown) {
        let since = troubled
            .since
            .map_or_else(String::new, |at| format!(" since {}", short(snapshot, at)));
        let pair = clean(&format!("{}:{}", troubled.preset, troubled.code));
        let state = pen.tone(Tone::Look, &format!("{}{since}", troubled.state));
        let detail = pen.tone(Tone::Soft, troubled.detail.as_deref().unwrap_or_default());
        pen.line(&format!("    {pair:<20}  {state}  {detail}"));
    }
    let more = (wanted - active.min(wanted)).saturating_sub(TROUBLED_SHOWN);
    if is_live && more > 0 {
        pen.line(&format!("    {more} more: the dataset registrations has them"));
    }
}

/// Lines that only appear when something is wrong.
fn trouble(pen: &mut Pen, feed: &FeedSnapshot) {
    if !feed.quarantined_by_reason.is_empty() {
        let reasons: Vec<_> = feed
            .quarantined_by_reason
            .iter()
            .map(|(reason, count)| format!("{reason} {}", HumanCount(*count)))
            .collect();
        pen.entry("quarantined", &clean(&reasons.join(", ")));
    }
    let counts = [
        ("stretches of journal that could not be read", feed.journal_damage),
        ("times that the disk refused the journal", feed.journal_renewals),
        ("messages that the exporter could not process", feed.poison_frames),
    ];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let words = pen.tone(Tone::Act, &format!("{count} {what}"));
        pen.entry("journal", &words);
    }
    // It is normal for a message or two to be under way.
    if feed.queue_bytes > 1 << 20 {
        let words = format!("{} wait for the disk", DecimalBytes(feed.queue_bytes));
        let words = pen.tone(Tone::Act, &words);
        pen.entry("queue", &words);
    }
}

/// The day so far, from the first hour with anything in it, and below it where the gaps are.
fn chart(pen: &mut Pen, snapshot: &Snapshot, feed: &FeedSnapshot) {
    let gaps: Vec<Range<usize>> = feed
        .intervals
        .iter()
        .filter(|interval| interval.state == "gap")
        .filter_map(|interval| minutes_of(snapshot, interval))
        .collect();
    let records = feed.minutes.iter().position(|records| *records > 0);
    let first = records.into_iter().chain(gaps.iter().map(|gap| gap.start)).min();
    let Some(first) = first.map(|minute| minute / 60 * 60) else {
        return;
    };
    let busy = feed.minutes.iter().rposition(|records| *records > 0);
    let last = busy.into_iter().chain(gaps.iter().map(|gap| gap.end - 1)).max();
    let to = (last.unwrap_or(first) + 1).clamp(first + 1, feed.minutes.len());
    let minutes = &feed.minutes[first..to];
    let name = |minute: usize| format!("{:02}:{:02}", minute / 60, minute % 60);
    let line = blocks(minutes, COLUMNS);
    pen.line(&format!("  {} {line} {}", name(first), name(to)));
    if !gaps.is_empty() {
        let gaps: Vec<_> = gaps
            .iter()
            .map(|gap| gap.start - first..gap.end - first)
            .collect();
        let marks = marks(&gaps, minutes.len(), COLUMNS);
        let marks = pen.tone(Tone::Act, &marks);
        pen.line(&format!("   gaps {marks}"));
    }
}

/// The minutes of the date that an interval touches.
fn minutes_of(snapshot: &Snapshot, interval: &IntervalRow) -> Option<Range<usize>> {
    let midnight = Moment::midnight(snapshot.date).0;
    let minute = |at: Moment| {
        usize::try_from((at.0 - midnight).max(0) / MINUTE_US)
            .unwrap_or(0)
            .min(1439)
    };
    Some(minute(moment(&interval.from_ts)?)..minute(moment(&interval.to_ts)?) + 1)
}

fn gaps(pen: &mut Pen, feed: &FeedSnapshot) {
    if feed.gaps.count == 0 {
        pen.entry("gaps", "none today");
        return;
    }
    let sum = format!(
        "{} today, {} in all",
        feed.gaps.count,
        length(us(feed.gaps.seconds))
    );
    pen.entry("gaps", &sum);
    let gaps = feed
        .intervals
        .iter()
        .rev()
        .filter(|interval| interval.state == "gap");
    let width = gaps
        .clone()
        .take(GAPS_SHOWN)
        .map(|gap| gap.reason.len())
        .max()
        .unwrap_or(0);
    for gap in gaps.take(GAPS_SHOWN) {
        let (Some(from), Some(to)) = (moment(&gap.from_ts), moment(&gap.to_ts)) else {
            continue;
        };
        let reason = pen.tone(Tone::Look, &format!("{:<width$}", gap.reason));
        let detail = pen.tone(Tone::Soft, gap.detail.as_deref().unwrap_or_default());
        let (at, length) = (clock(Kst(from)), length(to.0 - from.0));
        pen.line(&format!("    {at} {length:>10}  {reason}  {detail}"));
    }
    let more = feed.gaps.count.saturating_sub(GAPS_SHOWN as u64);
    if more > 0 {
        pen.line(&format!("    {more} more: krx-recorder coverage shows them"));
    }
}

fn files(pen: &mut Pen, snapshot: &Snapshot, feed: &FeedSnapshot) {
    if feed.files.is_empty() {
        pen.entry("files", "none committed today");
        return;
    }
    for (index, file) in feed.files.iter().take(FILES_SHOWN).enumerate() {
        let words = format!(
            "{} {:>9} rows {:>10}  {}",
            short(snapshot, file.committed_at),
            HumanCount(file.rows).to_string(),
            DecimalBytes(file.bytes).to_string(),
            clean(&file.name)
        );
        pen.entry(if index == 0 { "last files" } else { "" }, &words);
    }
}

fn moment(text: &str) -> Option<Moment> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Moment(time.timestamp_micros()))
}

/// The time of day.
fn clock(at: Kst) -> String {
    let seconds = at.0.micros_of_day() / 1_000_000;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The time of day, with the date unless it is today.
fn short(snapshot: &Snapshot, at: Kst) -> String {
    let mut text = String::new();
    if at.0.date() != snapshot.date {
        let _ = write!(text, "{} ", at.0.date().format("%a %Y-%m-%d"));
    }
    text + &clock(at)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a figure for people, bounded by what a float holds"
)]
fn us(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as for `us`"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
