//! A feed's day as a chart: counts by minute, such as records and messages, with the ledger on the same axis. Pure.

use std::fmt::Write as _;

use krx_store::Moment;
use krx_store::coverage::{Interval, State};

use super::svg::{Anchor, Number, Svg, nice, short};
use crate::figures::fold::MINUTES;
use crate::time::{self, count, length, plural};

/// A feed's day. Minutes are counted from midnight in Korea.
#[derive(Clone, Debug)]
pub(crate) struct Timeline<'a> {
    /// What it shows, in a few words.
    pub(crate) name: String,
    pub(crate) midnight: Moment,
    /// One below the other; the first of them is described in words.
    pub(crate) panels: Vec<Panel<'a>>,
    pub(crate) ledger: &'a [Interval],
    /// The regular hours.
    pub(crate) regular: Option<(Moment, Moment)>,
}

/// Counts by the minute, with an axis of their own.
#[derive(Clone, Debug)]
pub(crate) struct Panel<'a> {
    /// What is counted, above the panel.
    pub(crate) unit: String,
    /// What a minute's count is of, in a tooltip: `record` for `12 records`.
    pub(crate) noun: &'static str,
    /// The same as the name of a table's column.
    pub(crate) column: &'static str,
    pub(crate) minutes: &'a [u64],
    /// How high it is drawn.
    pub(crate) height: f64,
    /// How several minutes make one count in a tooltip.
    pub(crate) together: Together,
}

/// How the counts of several minutes make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    /// Of what happened.
    Sum,
    /// Of what there was: the most.
    Most,
}

impl Panel<'_> {
    fn at(&self, minute: usize) -> u64 {
        self.minutes.get(minute).copied().unwrap_or(0)
    }

    /// The count of several minutes.
    pub(crate) fn of(&self, (start, end): (usize, usize)) -> u64 {
        let minutes = (start..end).map(|minute| self.at(minute));
        match self.together {
            Together::Sum => minutes.sum(),
            Together::Most => minutes.max().unwrap_or(0),
        }
    }
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
const TOP: f64 = 20.0;
/// Between two panels, where the second one's unit is.
const BETWEEN: f64 = 24.0;
const BAND: f64 = 16.0;
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
        let minutes = (0..MINUTES).filter(|minute| self.panels.iter().any(|panel| panel.at(*minute) > 0));
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

    /// What it shows, in a sentence.
    fn label(&self) -> String {
        let first = self.panels.first();
        let at = |minute: usize| first.map_or(0, |panel| panel.at(minute));
        let most = (0..MINUTES).max_by_key(|minute| (at(*minute), MINUTES - minute));
        let most = most.filter(|minute| at(*minute) > 0).map_or_else(
            || "none".to_owned(),
            |minute| format!("at most {}, at {}", count(at(minute)), time::minute(minute)),
        );
        let gaps = self
            .ledger
            .iter()
            .filter(|interval| interval.state == State::Gap)
            .count() as u64;
        let unit = first.map_or("records a minute", |panel| &panel.unit);
        format!(
            "{}; {unit}: {most}. {}. Tables follow.",
            self.name,
            plural(gaps, "gap")
        )
    }

    /// Where each panel begins, and where they end.
    fn tops(&self) -> (Vec<f64>, f64) {
        let (mut tops, mut end) = (Vec::new(), TOP - BETWEEN);
        for panel in &self.panels {
            tops.push(end + BETWEEN);
            end += BETWEEN + panel.height;
        }
        (tops, end.max(TOP))
    }

    /// Draws it.
    pub(crate) fn draw(&self, size: Size) -> String {
        let (from, to) = self.span();
        let plot = size.width() - LEFT - RIGHT;
        let x = |minute: f64| LEFT + (minute - from as f64) / (to - from) as f64 * plot;
        let (tops, end) = self.tops();
        let band_top = end + 6.0;
        let height = band_top + BAND + 22.0;
        let mut svg = Svg::new(size.class(), size.width(), height, &self.label());
        if let Some((open, close)) = self.regular {
            let (left, right) = (x(self.minutes(open)), x(self.minutes(close)));
            svg.rect("regular", (left, TOP), (right - left, end - TOP), None);
        }
        axis(&mut svg, (from, to), size, (band_top + BAND + 3.0, height), x);
        let stretches = self.stretches((from, to), x);
        for gap in stretches.iter().filter(|stretch| stretch.state == State::Gap) {
            svg.rect("shade", (gap.left, TOP), (gap.right - gap.left, end - TOP), None);
        }
        for (panel, top) in self.panels.iter().zip(tops) {
            curve(&mut svg, panel, (from, to), size, top, x);
        }
        for start in (from..to).step_by(size.minutes_told()) {
            let until = (start + size.minutes_told()).min(to);
            let told = self
                .panels
                .iter()
                .map(|panel| plural(panel.of((start, until)), panel.noun));
            let title = format!(
                "{} to {}: {}",
                time::minute(start),
                time::minute(until),
                told.collect::<Vec<_>>().join(", ")
            );
            let (left, right) = (x(start as f64), x(until as f64));
            svg.rect("hit", (left, TOP), (right - left, end - TOP), Some(&title));
        }
        for stretch in &stretches {
            let (class, thick) = match stretch.state {
                State::Live => ("live", 4.0),
                State::Gap => ("gap", BAND),
                State::Idle => ("idle", 2.0),
            };
            let top = band_top + (BAND - thick) / 2.0;
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
fn axis(
    svg: &mut Svg,
    (from, to): (usize, usize),
    size: Size,
    (bottom, height): (f64, f64),
    x: impl Fn(f64) -> f64,
) {
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
        svg.line((at, TOP), (at, bottom));
        let anchor = if minute == to { Anchor::End } else { Anchor::Middle };
        svg.text((at, height - 5.0), anchor, &time::minute(minute));
    }
    svg.text((0.0, height - 5.0), Anchor::Start, "KST");
}

/// A panel's curve: a filled line by minute, with its own axis.
fn curve(
    svg: &mut Svg,
    panel: &Panel<'_>,
    (from, to): (usize, usize),
    size: Size,
    top: f64,
    x: impl Fn(f64) -> f64,
) {
    let height = panel.height;
    let minutes = panel.minutes.get(from..to).unwrap_or_default();
    let most = nice(minutes.iter().copied().max().unwrap_or(0).max(10) as f64);
    let base = top + height;
    let y = |value: f64| base - value / most * height;
    for level in [most, most / 2.0, 0.0] {
        svg.line((LEFT, y(level)), (size.width() - RIGHT, y(level)));
        svg.text((LEFT - 6.0, y(level) + 4.0), Anchor::End, &short(level));
    }
    svg.text((LEFT, top - 7.0), Anchor::Start, &panel.unit);
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

    fn panel<'a>(noun: &'static str, minutes: &'a [u64]) -> Panel<'a> {
        Panel {
            unit: format!("{noun}s a minute"),
            noun,
            column: noun,
            minutes,
            height: 50.0,
            together: Together::Sum,
        }
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
            name: "Records and messages of KOSPI".to_owned(),
            midnight: Moment(0),
            panels: vec![panel("record", &records), panel("message", &messages)],
            ledger: &ledger,
            regular: None,
        };
        assert_eq!(
            timeline.span(),
            (8 * 60, 12 * 60),
            "from the gap on; idle time is not shown"
        );
        let wide = timeline.draw(Size::Wide);
        assert!(wide.contains("aria-label=\"Records and messages of KOSPI; records a minute: at most 120, at 09:05. 1 gap. Tables follow.\""), "{wide}");
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
                panels: Vec::new(),
                ledger: &[],
                ..timeline
            }
            .span(),
            (480, 1200)
        );
    }

    #[test]
    fn what_there_was_is_told_by_its_most() {
        let (records, active) = (
            minutes(&[(545, 120)]),
            minutes(&[(545, 9), (546, 7), (547, 9), (548, 9), (549, 9)]),
        );
        let timeline = Timeline {
            name: "Records of ISSUES".to_owned(),
            midnight: Moment(0),
            panels: vec![
                panel("record", &records),
                Panel {
                    together: Together::Most,
                    ..panel("active pair", &active)
                },
            ],
            ledger: &[],
            regular: None,
        };
        let wide = timeline.draw(Size::Wide);
        assert!(
            wide.contains("<title>09:05 to 09:10: 120 records, 9 active pairs</title>"),
            "{wide}"
        );
        // Two panels of 50, each with its unit above it, the ledger and the hours.
        assert!(wide.contains("viewBox=\"0 0 920 188\""), "{wide}");
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
            name: "Records of KOSPI".to_owned(),
            midnight: Moment(0),
            panels: vec![panel("record", &[])],
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
