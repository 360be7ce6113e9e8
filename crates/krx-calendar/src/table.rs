//! The dates of 2015 to 2027, as facts.
//!
//! The sources:
//!
//! * **2015-01-01 to 2026-03-20**: which dates traded is checked against actual trading data, the days on which KRX's
//!   indices have a value. That says nothing about hours: those of special days are as KRX announced them.
//! * **2026-03-21 to 2026-12-31**: the public holidays in force; 2026-06-03 and 2026-07-17 by KRX's notice of
//!   2026-05-20. The date of the CSAT (수능, 2026-11-19) is the education ministry's and its hours are from a KRX
//!   notice; what the after-market does on it is not known.
//! * **2027**: derived from the law. KRX had announced nothing when this was written. The date of its CSAT is the
//!   expected one; nobody has confirmed it.

use chrono::{Datelike, NaiveDate};

use crate::holiday::Closing::{self, Day, Substitute};
use crate::holiday::Holiday::{
    ArmedForces, AssemblyElection, Buddha, Children, Christmas, Chuseok, Constitution, Foundation, Hangul,
    Labour, Liberation, LocalElections, MarchFirst, Memorial, NewYear, PresidentialElection, Seollal,
    Temporary, YearEnd,
};
use crate::hours::{Hours, at};

/// The first date of the built-in table.
pub const TABLE_FIRST: NaiveDate = NaiveDate::from_ymd_opt(2015, 1, 1).expect("a date");
/// The last date of the built-in table; rules say what comes after.
pub const TABLE_LAST: NaiveDate = NaiveDate::from_ymd_opt(2027, 12, 31).expect("a date");
/// The last date covered by published law and KRX's notices when the table was written; what the table says about later
/// ones is derived.
pub const ANNOUNCED_LAST: NaiveDate = NaiveDate::from_ymd_opt(2026, 12, 31).expect("a date");

/// Every weekday of the table's years on which KRX is closed, as `YYYYMMDD`, by reason. Holidays on a weekend are not
/// included.
const CLOSED: &[(Closing, &[u32])] = &[
    (
        Day(NewYear),
        &[
            20150101, 20160101, 20180101, 20190101, 20200101, 20210101, 20240101, 20250101, 20260101,
            20270101,
        ],
    ),
    (
        Day(Seollal),
        &[
            20150218, 20150219, 20150220, 20160208, 20160209, 20170127, 20180215, 20180216, 20190204,
            20190205, 20190206, 20200124, 20210211, 20210212, 20220131, 20220201, 20220202, 20230123,
            20240209, 20250128, 20250129, 20250130, 20260216, 20260217, 20260218, 20270208,
        ],
    ),
    (
        Day(MarchFirst),
        &[
            20160301, 20170301, 20180301, 20190301, 20210301, 20220301, 20230301, 20240301, 20270301,
        ],
    ),
    (
        Day(Labour),
        &[
            20150501, 20170501, 20180501, 20190501, 20200501, 20230501, 20240501, 20250501, 20260501,
        ],
    ),
    (
        Day(Children),
        &[
            20150505, 20160505, 20170505, 20200505, 20210505, 20220505, 20230505, 20250505, 20260505,
            20270505,
        ],
    ),
    (
        Day(Buddha),
        &[
            20150525, 20170503, 20180522, 20200430, 20210519, 20240515, 20270513,
        ],
    ),
    (
        Day(Memorial),
        &[
            20160606, 20170606, 20180606, 20190606, 20220606, 20230606, 20240606, 20250606,
        ],
    ),
    (Day(Constitution), &[20260717]),
    (
        Day(Liberation),
        &[
            20160815, 20170815, 20180815, 20190815, 20220815, 20230815, 20240815, 20250815,
        ],
    ),
    (
        Day(Chuseok),
        &[
            20150928, 20160914, 20160915, 20160916, 20171004, 20171005, 20180924, 20180925, 20190912,
            20190913, 20200930, 20201001, 20201002, 20210920, 20210921, 20210922, 20220909, 20230928,
            20230929, 20240916, 20240917, 20240918, 20251006, 20251007, 20260924, 20260925, 20270914,
            20270915, 20270916,
        ],
    ),
    (
        Day(Foundation),
        &[
            20161003, 20171003, 20181003, 20191003, 20221003, 20231003, 20241003, 20251003,
        ],
    ),
    (
        Day(Hangul),
        &[
            20151009, 20171009, 20181009, 20191009, 20201009, 20231009, 20241009, 20251009, 20261009,
        ],
    ),
    (
        Day(Christmas),
        &[
            20151225, 20171225, 20181225, 20191225, 20201225, 20231225, 20241225, 20251225, 20261225,
        ],
    ),
    (
        Day(YearEnd),
        &[
            20151231, 20161230, 20171229, 20181231, 20191231, 20201231, 20211231, 20221230, 20231229,
            20241231, 20251231, 20261231, 20271231,
        ],
    ),
    (Day(AssemblyElection), &[20160413, 20200415, 20240410]),
    (Day(PresidentialElection), &[20170509, 20220309, 20250603]),
    (Day(LocalElections), &[20180613, 20220601, 20260603]),
    (Day(ArmedForces), &[20241001]),
    (
        Day(Temporary),
        &[20150814, 20160506, 20171002, 20200817, 20231002, 20250127],
    ),
    (
        Substitute(Seollal),
        &[20160210, 20170130, 20200127, 20230124, 20240212, 20270209],
    ),
    (Substitute(MarchFirst), &[20250303, 20260302]),
    (Substitute(Labour), &[20270503]),
    (Substitute(Children), &[20180507, 20190506, 20240506, 20250506]),
    (Substitute(Buddha), &[20230529, 20260525]),
    (Substitute(Constitution), &[20270719]),
    (Substitute(Liberation), &[20210816, 20260817, 20270816]),
    (
        Substitute(Chuseok),
        &[20150929, 20171006, 20180926, 20220912, 20251008],
    ),
    (Substitute(Foundation), &[20211004, 20261005, 20271004]),
    (Substitute(Hangul), &[20211011, 20221010, 20271011]),
    (Substitute(Christmas), &[20271227]),
];

/// The days of the university entrance exam, on which traffic must be light: KRX opens and closes an hour late. In 2017
/// an earthquake delayed it by a week after the later hours had been announced for the first date; they were kept.
const CSAT: &[u32] = &[
    20151112, 20161117, 20171116, 20171123, 20181115, 20191114, 20201203, 20211118, 20221117, 20231116,
    20241114, 20251113, 20261119, 20271118,
];

pub(crate) fn contains(date: NaiveDate) -> bool {
    (TABLE_FIRST..=TABLE_LAST).contains(&date)
}

/// Why KRX is closed on a weekday of the table.
pub(crate) fn closing(date: NaiveDate) -> Option<Closing> {
    let wanted = digits(date);
    CLOSED
        .iter()
        .find(|(_, dates)| dates.contains(&wanted))
        .map(|(closing, _)| *closing)
}

/// The hours of a special day, and what it is. The first session of a year is not included: it is a rule.
pub(crate) fn special_hours(date: NaiveDate) -> Option<(Hours, &'static str)> {
    if !CSAT.contains(&digits(date)) {
        return None;
    }
    let close = if date.year() == 2015 {
        at(16, 0)
    } else {
        at(16, 30)
    };
    let note = if date > ANNOUNCED_LAST {
        "University entrance exam (CSAT), date not confirmed"
    } else {
        "University entrance exam (CSAT)"
    };
    Some((
        Hours {
            open: at(10, 0),
            close,
        },
        note,
    ))
}

/// `YYYYMMDD`; 0 for a year that does not have four digits.
fn digits(date: NaiveDate) -> u32 {
    u32::try_from(date.year()).map_or(0, |year| year * 10_000 + date.month() * 100 + date.day())
}
