//! Times and lengths as people read them, and as in JSON. Pure.

use chrono::SecondsFormat;
use krx_store::Moment;
use serde::{Serialize, Serializer};

/// RFC 3339 in Korean time, to the microsecond.
#[must_use]
pub fn rfc3339(moment: Moment) -> String {
    moment.korean().to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// RFC 3339 in Korean time, or null.
pub(crate) fn as_rfc3339<S: Serializer>(moment: &Option<Moment>, serializer: S) -> Result<S::Ok, S::Error> {
    moment.map(rfc3339).serialize(serializer)
}

/// The minute of a date that begins at `midnight`, from 0 to 1,439, in which something was received.
pub(crate) fn minute_of(midnight_us: i64, moment: Moment) -> usize {
    const MINUTE_US: i64 = 60_000_000;
    let minute = moment.0.saturating_sub(midnight_us).div_euclid(MINUTE_US);
    usize::try_from(minute).map_or(0, |minute| minute.min(1439))
}

/// A time of the day: `09:00:01.25`, to hundredths of a second.
pub(crate) fn clock(moment: Moment) -> String {
    let text = moment.korean().format("%H:%M:%S%.6f").to_string();
    text.get(..11).unwrap_or_default().to_owned()
}

/// A time of the day to the second.
pub(crate) fn second(moment: Moment) -> String {
    moment.korean().format("%H:%M:%S").to_string()
}

/// A minute of the day: `09:05`; the end of the day is 24:00.
pub(crate) fn minute(minute: usize) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `412 ms`, `7.5 s`, `2 min 5 s`, `1 h 3 min`, as on the status page.
pub(crate) fn length(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "−" } else { "" };
    let seconds = seconds.abs();
    if seconds < 0.9995 {
        return format!("{sign}{:.0} ms", seconds * 1000.0);
    }
    if seconds < 59.5 {
        let digits = usize::from(seconds < 9.95);
        return format!("{sign}{seconds:.digits$} s");
    }
    let minutes = (seconds.round() / 60.0).floor();
    if minutes < 60.0 {
        return format!("{sign}{minutes:.0} min {:.0} s", seconds.round() - minutes * 60.0);
    }
    let hours = (minutes / 60.0).floor();
    format!("{sign}{hours:.0} h {:.0} min", minutes - hours * 60.0)
}

/// A number with thousands separators.
pub(crate) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// A number with its noun.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{} {noun}{many}", count(number))
}

/// A share in percent: never 100 % unless it is all, nor 0 % unless it is nothing.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        "0 %".to_owned()
    } else if percent >= 100.0 {
        "100 %".to_owned()
    } else if percent < 0.01 {
        "< 0.01 %".to_owned()
    } else if percent > 99.99 {
        "> 99.99 %".to_owned()
    } else if !(1.0..=99.0).contains(&percent) {
        // Truncated rather than rounded where rounding would make it 100 %.
        format!("{:.2} %", (percent * 100.0).floor() / 100.0)
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_and_true() {
        for (seconds, expected) in [
            (0.0, "0 ms"),
            (0.4123, "412 ms"),
            (0.9996, "1.0 s"),
            (7.46, "7.5 s"),
            (59.4, "59 s"),
            (59.9, "1 min 0 s"),
            (3599.6, "1 h 0 min"),
            (125.0, "2 min 5 s"),
            (3780.0, "1 h 3 min"),
            (-0.03, "−30 ms"),
        ] {
            assert_eq!(length(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_share_of_almost_all_is_not_shown_as_all() {
        for (share, expected) in [
            (0.0, "0 %"),
            (0.000_001, "< 0.01 %"),
            (0.0051, "0.51 %"),
            (0.5, "50.0 %"),
            (0.998_59, "99.85 %"),
            (0.999_999, "> 99.99 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), expected, "{share}");
        }
        assert_eq!(
            (count(1_234_567), plural(1, "gap"), plural(0, "gap")),
            ("1,234,567".into(), "1 gap".into(), "0 gaps".into())
        );
    }

    #[test]
    fn times_are_those_of_korea() {
        let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let nine = Moment(Moment::midnight(date).0 + 9 * 3_600_000_000 + 1_259_999);
        assert_eq!(rfc3339(nine), "2026-11-20T09:00:01.259999+09:00");
        assert_eq!(
            (clock(nine), second(nine), minute(545)),
            ("09:00:01.25".into(), "09:00:01".into(), "09:05".into())
        );
    }
}
