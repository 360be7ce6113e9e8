//! `[schedule]`, and `[feed.schedule]`, which overrides it: a feed's hours.

use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveTime;
use krx_calendar::Calendar;
use toml::Spanned;

use super::file::{FeedSchedule, ScheduleTable};
use super::problem::{ConfigError, Problems};
use crate::hours::schedule::{Daily, Schedule};

/// A feed's hours.
pub(super) fn check_schedule(
    table: &ScheduleTable,
    own: &FeedSchedule,
    calendar: &Arc<Calendar>,
    problems: &mut Problems,
) -> Option<Schedule> {
    let mode = Setting::of("mode", own.mode.as_ref(), &table.mode);
    let opening = Setting::of("open", own.open.as_ref(), &table.open);
    let closing = Setting::of("close", own.close.as_ref(), &table.close);
    let (open, close) = (opening.time(problems), closing.time(problems));
    match mode.text {
        "always" => open.and(close).map(|_| Schedule::Always),
        "calendar" => {
            let (open, close) = (open?, close?);
            if open < close {
                return Some(Schedule::Calendar(Daily {
                    open,
                    close,
                    calendar: Arc::clone(calendar),
                }));
            }
            // Reported at the line that belongs to the feed itself.
            let (wrong, words) = match (&opening.place, &closing.place) {
                (Some(_), None) => (
                    &opening,
                    format!("must be earlier than {} ({})", closing.key, closing.text),
                ),
                _ => (&closing, format!("must be later than {}", opening.key)),
            };
            wrong.take(Err(words), problems)
        }
        other => mode.take(
            Err(format!("{other:?} must be \"calendar\" or \"always\"")),
            problems,
        ),
    }
}

/// A value from `[feed.schedule]`, or else from `[schedule]`.
struct Setting<'a> {
    key: String,
    text: &'a str,
    /// Where the feed's own value stands in the file.
    place: Option<Range<usize>>,
}

impl<'a> Setting<'a> {
    fn of(key: &str, own: Option<&'a Spanned<String>>, common: &'a str) -> Self {
        match own {
            Some(own) => Self {
                key: format!("feed.schedule.{key}"),
                text: own.get_ref(),
                place: Some(own.span()),
            },
            None => Self {
                key: format!("schedule.{key}"),
                text: common,
                place: None,
            },
        }
    }

    fn take<T>(&self, checked: Result<T, String>, problems: &mut Problems) -> Option<T> {
        let checked = checked.map_err(|problem| ConfigError::invalid(&self.key, problem));
        problems.take_at(self.place.as_ref(), checked)
    }

    fn time(&self, problems: &mut Problems) -> Option<NaiveTime> {
        let time = NaiveTime::parse_from_str(self.text, "%H:%M");
        let time = time.map_err(|_| format!("{:?} is not a time of day such as \"08:20\" (KST)", self.text));
        self.take(time, problems)
    }
}
