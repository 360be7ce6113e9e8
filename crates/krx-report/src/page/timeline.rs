//! A market's day as a chart: records and messages per minute, with the ledger on the same axis. Pure.

use std::fmt::Write as _;

use krx_store::Moment;
use krx_store::coverage::{Interval, State};

use super::svg::{Anchor, Number, Svg, nice, short};
use crate::figures::fold::MINUTES;
use crate::time::{self, count, length, plural};

/// A market's day. Minutes are counted from midnight in Korea.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline<'a> {
    pub(crate) market: &'a str,
    pub(crate) midnight: Moment,
    pub(crate) records: &'a [u64],
    pub(crate) messages: &'a [u64],
    pub(crate) ledger: &'a [Interval],
    /// The regular hours.
    pub(crate) regular: Option<(Moment, Moment)>,
}

/// The width of a chart: of a wide screen or paper, of half of that beside a table, or of a phone. A chart scales along
/// with its text, so the page contains it more than once and shows the one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Wide,
    Half,
    Narrow,
}

impl Size {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Wide | Self::Half => "chart wide",
            Self::Narrow => "chart narrow",
        }
    }

    pub(crate) fn width(self) -> f64 {
        match self {
            Self::Wide => 920.0,
            Self::Half => 520.0,
            Self::Narrow => 380.0,
        }
    }

    /// How many minutes share a tooltip.
    fn minutes_told(self) -> usize {
        match self {
            Self::Wide => 5,
            Self::Half | Self::Narrow => 15,
        }
    }
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const RECORDS_TOP: f64 = 20.0;
const RECORDS: f64 = 120.0;
const MESSAGES_TOP: f64 = RECORDS_TOP + RECORDS + 24.0;
const MESSAGES: f64 = 56.0;
const BAND: f64 = 16.0;
const BAND_TOP: f64 = MESSAGES_TOP + MESSAGES + 6.0;
const HEIGHT: f64 = BAND_TOP + BAND + 22.0;
const HOUR: usize = 60;
/// The width of an hour's name on the axis.
const HOUR_NAME: f64 = 44.0;

/// Stretches of one state that are no further apart than this are drawn as one: nobody could see what is between them,
/// and a session that breaks every second must not make a page of megabytes.
const APART: f64 = 0.5;

/// A stretch of the ledger as drawn; several in the same place become one.
#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    state: State,
    left: f64,
    right: f64,
    title: String,
    gaps: u64,
    us: i64,
    from: Moment,
}

impl Timeline<'_> {
    /// The range in which there is anything to see: whole hours, at least one, in minutes.
    fn span(&self) -> (usize, usize) {
        let minutes = (0..MINUTES).filter(|minute| self.records_at(*minute) + self.messages_at(*minute) > 0);
        let told = self
            .ledger
            .iter()
            .filter(|interval| interval.state != State::Idle);
        let edges = told.flat_map(|interval| {
            [
                self.minute_of(interval.from, false),
                self.minute_of(interval.to, true),
            ]
        });
        let hours = self
            .regular
            .into_iter()
            .flat_map(|(from, to)| [self.minute_of(from, false), self.minute_of(to, true)]);
        let times: Vec<usize> = minutes
            .flat_map(|minute| [minute, minute + 1])
            .chain(edges)
            .chain(hours)
            .collect();
        let from = times.iter().min().map_or(8 * HOUR, |first| first / HOUR * HOUR);
        let to = times
            .iter()
            .max()
            .map_or(20 * HOUR, |last| last.div_ceil(HOUR) * HOUR);
        let from = from.min(MINUTES - HOUR);
        (from, to.clamp(from + HOUR, MINUTES))
    }

    fn minute_of(&self, moment: Moment, round_up: bool) -> usize {
        let us = (moment.0 - self.midnight.0).max(0) + if round_up { 59_999_999 } else { 0 };
        usize::try_from(us / 60_000_000).map_or(MINUTES, |minute| minute.min(MINUTES))
    }

    fn records_at(&self, minute: usize) -> u64 {
        self.records.get(minute).copied().unwrap_or(0)
    }

    fn messages_at(&self, minute: usize) -> u64 {
        self.messages.get(minute).copied().unwrap_or(0)
    }

    /// What it shows, in a sentence.
    fn label(&self) -> String {
        let most = (0..MINUTES).max_by_key(|minute| (self.records_at(*minute), MINUTES - minute));
        let most = most.filter(|minute| self.records_at(*minute) > 0).map_or_else(
            || "none".to_owned(),
            |minute| {
                format!(
                    "at most {}, at {}",
                    count(self.records_at(minute)),
                    time::minute(minute)
                )
            },
        );
        let gaps = self
            .ledger
            .iter()
            .filter(|interval| interval.state == State::Gap)
            .count() as u64;
        format!(
            "Records and messages of {} a minute: {most}. {}. Tables follow.",
            self.market,
            plural(gaps, "gap")
        )
    }

    /// Draws it.
    pub(crate) fn draw(&self, size: Size) -> String {
        let (from, to) = self.span();
        let plot = size.width() - LEFT - RIGHT;
        let x = |minute: f64| LEFT + (minute - from as f64) / (to - from) as f64 * plot;
        let mut svg = Svg::new(size.class(), size.width(), HEIGHT, &self.label());
        if let Some((open, close)) = self.regular {
            let (left, right) = (x(self.minutes(open)), x(self.minutes(close)));
            let height = MESSAGES_TOP + MESSAGES - RECORDS_TOP;
            svg.rect("regular", (left, RECORDS_TOP), (right - left, height), None);
        }
        axis(&mut svg, (from, to), size, x);
        let stretches = self.stretches((from, to), x);
        for gap in stretches.iter().filter(|stretch| stretch.state == State::Gap) {
            let height = MESSAGES_TOP + MESSAGES - RECORDS_TOP;
            svg.rect(
                "shade",
                (gap.left, RECORDS_TOP),
                (gap.right - gap.left, height),
                None,
            );
        }
        panel(
            &mut svg,
            "records a minute",
            self.records,
            (from, to),
            size,
            (RECORDS_TOP, RECORDS),
            x,
        );
        panel(
            &mut svg,
            "messages a minute",
            self.messages,
            (from, to),
            size,
            (MESSAGES_TOP, MESSAGES),
            x,
        );
        for start in (from..to).step_by(size.minutes_told()) {
            let end = (start + size.minutes_told()).min(to);
            let sum = |of: &[u64]| {
                of.get(start..end)
                    .map_or(0, |minutes| minutes.iter().sum::<u64>())
            };
            let title = format!(
                "{} to {}: {}, {}",
                time::minute(start),
                time::minute(end),
                plural(sum(self.records), "record"),
                plural(sum(self.messages), "message")
            );
            let (left, right) = (x(start as f64), x(end as f64));
            let height = MESSAGES_TOP + MESSAGES - RECORDS_TOP;
            svg.rect("hit", (left, RECORDS_TOP), (right - left, height), Some(&title));
        }
        for stretch in &stretches {
            let (class, thick) = match stretch.state {
                State::Live => ("live", 4.0),
                State::Gap => ("gap", BAND),
                State::Idle => ("idle", 2.0),
            };
            let top = BAND_TOP + (BAND - thick) / 2.0;
            let wide = (stretch.right - stretch.left).max(0.5);
            svg.rect(class, (stretch.left, top), (wide, thick), Some(&stretch.title));
        }
        svg.finish()
    }

    fn minutes(&self, moment: Moment) -> f64 {
        (moment.0 - self.midnight.0) as f64 / 60e6
    }

    /// The ledger as stretches of the chart: gaps last, so that they are drawn on top.
    fn stretches(&self, (from, to): (usize, usize), x: impl Fn(f64) -> f64) -> Vec<Stretch> {
        let (mut others, mut gaps): (Vec<Stretch>, Vec<Stretch>) = (Vec::new(), Vec::new());
        for interval in self.ledger {
            let begin = self.minutes(interval.from).max(from as f64);
            let end = self.minutes(interval.to).min(to as f64);
            if end < begin {
                continue;
            }
            let is_gap = interval.state == State::Gap;
            let us = interval.to.0 - interval.from.0;
            let stretch = Stretch {
                state: interval.state,
                left: x(begin),
                right: x(end).max(x(begin) + if is_gap { 2.0 } else { 0.0 }),
                title: title(interval),
                gaps: 1,
                us,
                from: interval.from,
            };
            let among = if is_gap { &mut gaps } else { &mut others };
            match among.last_mut() {
                Some(last) if last.state == stretch.state && stretch.left <= last.right + APART => {
                    last.right = last.right.max(stretch.right);
                    last.gaps += 1;
                    last.us += us;
                    let (since, until) = (time::second(last.from), time::second(interval.to));
                    last.title = format!(
                        "{} {}s from {since} to {until}, {} in total",
                        last.gaps,
                        state_word(last.state),
                        length(last.us as f64 / 1e6)
                    );
                }
                _ => among.push(stretch),
            }
        }
        others.extend(gaps);
        others
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Live => "session",
        State::Gap => "gap",
        State::Idle => "idle time",
    }
}

fn title(interval: &Interval) -> String {
    let word = match interval.state {
        State::Live => "recorded",
        State::Gap => "gap",
        State::Idle => "outside the hours",
    };
    let long = length((interval.to.0 - interval.from.0) as f64 / 1e6);
    let (from, to) = (time::clock(interval.from), time::clock(interval.to));
    format!(
        "{word} from {from} to {to} ({long}): {}",
        interval.reason.as_str()
    )
}

/// The hours on the axis, with their lines through the whole chart.
fn axis(svg: &mut Svg, (from, to): (usize, usize), size: Size, x: impl Fn(f64) -> f64) {
    let room = size.width() - LEFT - RIGHT;
    let hours = (to - from) / HOUR;
    let step = if hours <= 1 {
        HOUR / 4
    } else {
        let fits = |every: &usize| (hours / every) as f64 * HOUR_NAME < room;
        [1, 2, 3, 6].into_iter().find(fits).unwrap_or(6) * HOUR
    };
    for minute in (from.div_ceil(step) * step..=to).step_by(step) {
        let at = x(minute as f64);
        svg.line((at, RECORDS_TOP), (at, BAND_TOP + BAND + 3.0));
        let anchor = if minute == to { Anchor::End } else { Anchor::Middle };
        svg.text((at, HEIGHT - 5.0), anchor, &time::minute(minute));
    }
    svg.text((0.0, HEIGHT - 5.0), Anchor::Start, "KST");
}

/// One of the two curves: a filled line by minute, with its own axis.
fn panel(
    svg: &mut Svg,
    unit: &str,
    values: &[u64],
    (from, to): (usize, usize),
    size: Size,
    (top, height): (f64, f64),
    x: impl Fn(f64) -> f64,
) {
    let minutes = values.get(from..to).unwrap_or_default();
    let most = nice(minutes.iter().copied().max().unwrap_or(0).max(10) as f64);
    let base = top + height;
    let y = |value: f64| base - value / most * height;
    for level in [most, most / 2.0, 0.0] {
        svg.line((LEFT, y(level)), (size.width() - RIGHT, y(level)));
        svg.text((LEFT - 6.0, y(level) + 4.0), Anchor::End, &short(level));
    }
    svg.text((LEFT, top - 7.0), Anchor::Start, unit);
    let mut line = String::new();
    for (index, value) in minutes.iter().enumerate() {
        let mark = if index == 0 { 'M' } else { 'L' };
        let (left, right) = (x((from + index) as f64), x((from + index + 1) as f64));
        let _ = write!(
            line,
            "{mark}{},{}H{}",
            Number(left),
            Number(y(*value as f64)),
            Number(right)
        );
    }
    if !line.is_empty() {
        svg.path(
            "area",
            &format!("{line}V{}H{}Z", Number(base), Number(x(from as f64))),
        );
        svg.path("rate", &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::recorded::tests::interval;

    fn minutes(of: &[(usize, u64)]) -> Vec<u64> {
        let mut all = vec![0; MINUTES];
        of.iter().for_each(|(minute, value)| all[*minute] = *value);
        all
    }

    #[test]
    fn it_shows_whole_hours_with_all_that_there_is() {
        let (records, messages) = (minutes(&[(545, 120), (560, 30)]), minutes(&[(545, 9), (560, 3)]));
        let ledger = [
            interval(0, 30_000, State::Idle, "not_running"),
            interval(30_000, 32_700, State::Gap, "start"),
            interval(32_700, 40_000, State::Live, "connected"),
        ];
        let timeline = Timeline {
            market: "KOSPI",
            midnight: Moment(0),
            records: &records,
            messages: &messages,
            ledger: &ledger,
            regular: None,
        };
        assert_eq!(
            timeline.span(),
            (8 * 60, 12 * 60),
            "from the gap on; idle time is not shown"
        );
        let wide = timeline.draw(Size::Wide);
        assert!(wide.contains("aria-label=\"Records and messages of KOSPI a minute: at most 120, at 09:05. 1 gap. Tables follow.\""), "{wide}");
        assert!(wide.contains("<title>09:05 to 09:10: 120 records, 9 messages</title>"));
        assert!(
            wide.contains(">KST</text>")
                && wide.contains(">12:00</text>")
                && wide.contains(">records a minute</text>")
        );
        assert_eq!(wide.matches("class=\"gap\"").count(), 1);
        assert!(timeline.draw(Size::Narrow).len() < wide.len());
        assert_eq!(
            Timeline {
                records: &[],
                messages: &[],
                ledger: &[],
                ..timeline
            }
            .span(),
            (480, 1200)
        );
    }

    #[test]
    fn a_thousand_gaps_are_no_more_than_there_is_room_for() {
        let ledger: Vec<_> = (0..20_000)
            .map(|second| {
                let (state, reason) = if second % 2 == 0 {
                    (State::Gap, "reset")
                } else {
                    (State::Live, "connected")
                };
                interval(32_400 + second, 32_401 + second, state, reason)
            })
            .collect();
        let timeline = Timeline {
            market: "KOSPI",
            midnight: Moment(0),
            records: &[],
            messages: &[],
            ledger: &ledger,
            regular: None,
        };
        let text = timeline.draw(Size::Wide);
        assert!(text.matches("class=\"gap\"").count() < 10, "they touch");
        assert!(
            text.contains("<title>10000 gaps from 18:00:00 to 23:33:19, 2 h 46 min in total</title>"),
            "{text}"
        );
        assert!(text.len() < 100_000, "{}", text.len());
    }
}
