//! The years after the table: what the holiday law and KRX's customs say, as they stood in 2026.
//!
//! By law (관공서의 공휴일에 관한 규정) a holiday that falls on a Saturday, a Sunday or another holiday is also given on the next
//! free weekday; but not Seollal and Chuseok for a Saturday, and New Year's Day and Memorial Day never. Two independent
//! implementations gave the dates below. They do not include elections and temporary holidays, which are announced, or
//! laws yet to be made.

use chrono::{Datelike, NaiveDate, Weekday};

use crate::holiday::Closing;
use crate::holiday::Holiday::{self, Buddha, Chuseok, Seollal};

/// The holidays of the solar calendar, as `MMDD`. Constitution Day and Labour Day have been public holidays since 2026.
const FIXED: [(u32, Holiday); 10] = [
    (101, Holiday::NewYear),
    (301, Holiday::MarchFirst),
    (501, Holiday::Labour),
    (505, Holiday::Children),
    (606, Holiday::Memorial),
    (717, Holiday::Constitution),
    (815, Holiday::Liberation),
    (1003, Holiday::Foundation),
    (1009, Holiday::Hangul),
    (1225, Holiday::Christmas),
];

/// Seollal, Buddha's Birthday and Chuseok, as `MMDD`: the middle day of three for the first and the last. Two tables of
/// the Korean lunar calendar and a calculation of the new moons agree on each. The years before 2028 are for the tests,
/// which compare the rules with the table.
const LUNAR: [(i32, u32, u32, u32); 25] = [
    (2026, 217, 524, 925),
    (2027, 207, 513, 915),
    (2028, 127, 502, 1003),
    (2029, 213, 520, 922),
    (2030, 203, 509, 912),
    (2031, 123, 528, 1001),
    (2032, 211, 516, 919),
    (2033, 131, 506, 908),
    (2034, 219, 525, 927),
    (2035, 208, 515, 916),
    (2036, 128, 503, 1004),
    (2037, 215, 522, 924),
    (2038, 204, 511, 913),
    (2039, 124, 430, 1002),
    (2040, 212, 518, 921),
    (2041, 201, 507, 910),
    (2042, 122, 526, 928),
    (2043, 210, 516, 917),
    (2044, 130, 505, 1005),
    (2045, 217, 524, 925),
    (2046, 206, 513, 915),
    (2047, 126, 502, 1004),
    (2048, 214, 520, 922),
    (2049, 202, 509, 911),
    (2050, 123, 528, 930),
];

/// Whether the rules know all holidays of the date's year. Later on, they know only those of the solar calendar.
pub(crate) fn know(date: NaiveDate) -> bool {
    lunar(date.year()).is_some()
}

/// Why KRX is closed on a weekday.
pub(crate) fn closing(date: NaiveDate) -> Option<Closing> {
    let holidays = holidays(date.year());
    if let Some((_, holiday)) = holidays.iter().find(|(on, _)| *on == date) {
        return Some(Closing::Day(*holiday));
    }
    if is_last_weekday_of_year(date) {
        return Some(Closing::Day(Holiday::YearEnd));
    }
    // Where the lunar holidays are not known, the next free weekday is not known either.
    if !know(date) {
        return None;
    }
    substitutes(&holidays)
        .into_iter()
        .find(|(on, _)| *on == date)
        .map(|(_, holiday)| Closing::Substitute(holiday))
}

/// The known holidays of a year by date, including those on weekends.
fn holidays(year: i32) -> Vec<(NaiveDate, Holiday)> {
    let on = |mmdd: u32| NaiveDate::from_ymd_opt(year, mmdd / 100, mmdd % 100);
    let mut holidays = Vec::new();
    // First, because a festival on a fixed holiday gives the date its name.
    if let Some((seollal, buddha, chuseok)) = lunar(year) {
        holidays.extend(on(buddha).map(|date| (date, Buddha)));
        for (middle, holiday) in [(on(seollal), Seollal), (on(chuseok), Chuseok)] {
            let days = middle.map(|middle| [middle.pred_opt(), Some(middle), middle.succ_opt()]);
            holidays.extend(days.into_iter().flatten().flatten().map(|date| (date, holiday)));
        }
    }
    holidays.extend(
        FIXED
            .into_iter()
            .filter_map(|(mmdd, holiday)| Some((on(mmdd)?, holiday))),
    );
    holidays.sort_by_key(|(date, _)| *date);
    holidays
}

fn lunar(year: i32) -> Option<(u32, u32, u32)> {
    LUNAR
        .iter()
        .find(|(of, ..)| *of == year)
        .map(|(_, seollal, buddha, chuseok)| (*seollal, *buddha, *chuseok))
}

/// The weekdays given for holidays lost to a weekend or to another holiday: one for each date lost.
fn substitutes(holidays: &[(NaiveDate, Holiday)]) -> Vec<(NaiveDate, Holiday)> {
    let mut given: Vec<(NaiveDate, Holiday)> = Vec::new();
    for same_date in holidays.chunk_by(|(a, _), (b, _)| a == b) {
        let overlaps = same_date.len() > 1;
        let Some((lost, holiday)) = same_date
            .iter()
            .find(|(date, holiday)| earns_substitute(*holiday, date.weekday(), overlaps))
        else {
            continue;
        };
        let free = lost.iter_days().skip(1).find(|date| {
            let taken = |(on, _): &(NaiveDate, Holiday)| on == date;
            !is_weekend(*date) && !holidays.iter().any(taken) && !given.iter().any(taken)
        });
        given.extend(free.map(|date| (date, *holiday)));
    }
    given
}

fn earns_substitute(holiday: Holiday, weekday: Weekday, overlaps: bool) -> bool {
    match holiday {
        Holiday::NewYear | Holiday::Memorial => false,
        Seollal | Chuseok => overlaps || weekday == Weekday::Sun,
        _ => overlaps || matches!(weekday, Weekday::Sat | Weekday::Sun),
    }
}

pub(crate) fn is_weekend(date: NaiveDate) -> bool {
    matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

fn is_last_weekday_of_year(date: NaiveDate) -> bool {
    !is_weekend(date)
        && date
            .iter_days()
            .skip(1)
            .take_while(|next| next.year() == date.year())
            .all(is_weekend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    fn weekdays(year: i32) -> impl Iterator<Item = NaiveDate> {
        NaiveDate::from_ymd_opt(year, 1, 1)
            .unwrap()
            .iter_days()
            .take_while(move |date| date.year() == year)
            .filter(|date| !is_weekend(*date))
    }

    fn mmdd(date: NaiveDate) -> u32 {
        date.month() * 100 + date.day()
    }

    #[test]
    fn the_rules_give_what_the_table_has_for_the_years_of_the_same_law() {
        for year in [2026, 2027] {
            for date in weekdays(year) {
                let expected = table::closing(date);
                // Elections are announced.
                let expected = expected.filter(|closing| *closing != Closing::Day(Holiday::LocalElections));
                assert_eq!(closing(date), expected, "{date}");
            }
        }
    }

    #[test]
    fn a_year_by_rule_spelled_out() {
        let closed: Vec<_> = weekdays(2028)
            .filter_map(|date| Some((mmdd(date), closing(date)?.note())))
            .collect();
        let closed: Vec<_> = closed.iter().map(|(date, note)| (*date, &**note)).collect();
        assert_eq!(
            closed,
            [
                (126, "Seollal (Lunar New Year)"),
                (127, "Seollal (Lunar New Year)"),
                (128, "Seollal (Lunar New Year)"),
                (301, "Independence Movement Day"),
                (501, "Labour Day"),
                (502, "Buddha's Birthday"),
                (505, "Children's Day"),
                (606, "Memorial Day"),
                (717, "Constitution Day"),
                (815, "Liberation Day"),
                (1002, "Chuseok"),
                (1003, "Chuseok"),
                (1004, "Chuseok"),
                (1005, "Substitute holiday for Chuseok"),
                (1009, "Hangul Day"),
                (1225, "Christmas Day"),
                (1229, "Year-end closing"),
            ]
        );
    }

    /// Trading days and substitute holidays of each year, according to a second implementation of the same law (without
    /// elections).
    const SECOND_OPINION: &[(i32, usize, &[u32])] = &[
        (2028, 243, &[1005]),
        (2029, 244, &[507, 521, 924]),
        (2030, 244, &[205, 506]),
        (2031, 243, &[303]),
        (2032, 246, &[503, 517, 719, 816, 921, 1004, 1011, 1227]),
        (2033, 243, &[202, 502, 718, 1010, 1226]),
        (2034, 244, &[221]),
        (2035, 244, &[507, 918]),
        (2036, 245, &[130, 303, 506, 1006, 1007]),
        (2037, 245, &[217, 302, 817, 1005]),
        (2038, 244, &[503, 719, 816, 915, 1004, 1011, 1227]),
        (2039, 244, &[126, 502, 503, 718, 1004, 1005, 1010, 1226]),
        (2040, 246, &[214, 507]),
        (2041, 244, &[506]),
        (2042, 244, &[303, 930]),
        (2043, 244, &[302, 518, 817, 1005]),
        (2044, 244, &[201, 502, 506, 718, 1010, 1226]),
        (2045, 244, &[927]),
        (2046, 244, &[507, 514, 917]),
        (2047, 245, &[128, 506, 1007]),
        (2048, 246, &[302, 817, 1005]),
        (2049, 245, &[503, 510, 719, 816, 913, 1004, 1011, 1227]),
        (2050, 245, &[125, 502, 530, 718, 1010, 1226]),
    ];

    #[test]
    fn substitutes_are_where_a_second_implementation_has_them() {
        for (year, trading, substitutes) in SECOND_OPINION {
            let found: Vec<_> = weekdays(*year)
                .filter(|date| matches!(closing(*date), Some(Closing::Substitute(_))))
                .map(mmdd)
                .collect();
            assert_eq!(found, *substitutes, "{year}");
            let open = weekdays(*year).filter(|date| closing(*date).is_none()).count();
            assert_eq!(open, *trading, "{year}");
        }
    }

    #[test]
    fn past_the_lunar_table_only_fixed_dates_are_closed() {
        let closed: Vec<_> = weekdays(2051)
            .filter(|date| closing(*date).is_some())
            .map(mmdd)
            .collect();
        assert_eq!(closed, [301, 501, 505, 606, 717, 815, 1003, 1009, 1225, 1229]);
        let given = (2051..2061)
            .flat_map(weekdays)
            .find(|date| matches!(closing(*date), Some(Closing::Substitute(_))));
        assert_eq!(given, None, "the next free weekday is not known");
    }

    #[test]
    fn lunar_dates_are_whole_lunar_months_apart() {
        // A month has 29.53 days on average, and half a year's worth is off by up to two; a leap month may lie between
        // any two dates.
        let months_apart = |from: NaiveDate, to: NaiveDate, days: i64, months: &[i64]| {
            let apart = ((to - from).num_days() - days) as f64;
            months
                .iter()
                .any(|months| (apart - *months as f64 * 29.53).abs() < 2.0)
        };
        for pair in LUNAR.windows(2) {
            let on =
                |(year, mmdd): (i32, u32)| NaiveDate::from_ymd_opt(year, mmdd / 100, mmdd % 100).unwrap();
            let (year, seollal, buddha, chuseok) = pair[0];
            let (next_year, next_seollal, ..) = pair[1];
            let [seollal, buddha, chuseok] = [seollal, buddha, chuseok].map(|mmdd| on((year, mmdd)));
            let next = on((next_year, next_seollal));
            assert_eq!(next_year, year + 1);
            assert!(months_apart(seollal, buddha, 7, &[3, 4]), "{year}");
            assert!(months_apart(seollal, chuseok, 14, &[7, 8]), "{year}");
            assert!(months_apart(seollal, next, 0, &[12, 13]), "{year}");
        }
    }
}
