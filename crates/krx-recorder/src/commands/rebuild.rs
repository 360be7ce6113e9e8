//! `krx-recorder rebuild`: exports a date again from its archived journal.

use std::io::{self, Write};

use chrono::NaiveDate;
use krx_store::rebuild::{Access, Rebuilt, Remade, feeds, rebuild as make_again, rebuild_derived};
use krx_store::{DataDir, FeedName};
use serde::Serialize;

use crate::config::DataConfig;
use crate::hours::regular::regular_sessions;
use crate::process::exit::Failure;
use crate::process::out;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    date: NaiveDate,
    dry_run: bool,
    feeds: Vec<Rebuilt>,
    /// What was done to the rows derived from the sealed files of all feeds.
    derived: Remade,
}

/// Rebuilds a date for one feed or all of them, and prints what was done.
///
/// # Errors
/// [`Failure::Data`] if something could not be restored, [`Failure::Store`] if the data directory is locked or the disk
/// refuses.
pub(super) fn rebuild(
    config: &DataConfig,
    date: NaiveDate,
    feed: Option<FeedName>,
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    let data = DataDir::new(&config.data_dir);
    // Before taking the lock, which would create a mistyped directory.
    std::fs::read_dir(data.path()).map_err(|source| Failure::System {
        doing: format!("reading the data directory {}", data.path().display()),
        source,
    })?;
    let access = Access::take(&data, date)?;
    let wanted: Vec<_> = match feed {
        Some(feed) => vec![feed],
        None => feeds(&data, date)?.into_iter().collect(),
    };
    let mut report = Report {
        ok: true,
        date,
        dry_run,
        feeds: Vec::new(),
        derived: Remade::default(),
    };
    for feed in &wanted {
        let rebuilt = make_again(&data, feed, date, config.export, &access, dry_run)?;
        report.ok &= rebuilt.lost.is_empty();
        report.feeds.push(rebuilt);
    }
    let sessions = regular_sessions(&config.calendar, date);
    report.derived = rebuild_derived(&data, date, &access, &sessions, config.bars, dry_run)?;
    report.ok &= report.derived.lost.is_empty();
    out::print("printing what was rebuilt", |out| {
        if !json {
            return print(out, &report);
        }
        let text = serde_json::to_string(&report).map_err(io::Error::other)?;
        writeln!(out, "{text}")
    })?;
    let lost = report.feeds.iter().map(|feed| feed.lost.len()).sum::<usize>();
    match lost + report.derived.lost.len() {
        0 => Ok(()),
        count => Err(Failure::Data(format!(
            "{count} files of {date} could not be restored; restore them from a backup"
        ))),
    }
}

fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let done = if report.dry_run {
        "to be restored"
    } else {
        "restored"
    };
    if report.feeds.is_empty() {
        writeln!(out, "{}: nothing is recorded", report.date)?;
    }
    for feed in &report.feeds {
        let Rebuilt {
            identical,
            restored,
            differing,
            ..
        } = feed;
        writeln!(
            out,
            "{} {}: {identical} files byte-identical, {} {done}, {} differ but are sound{}",
            report.date,
            feed.feed,
            restored.len(),
            differing.len(),
            if differing.is_empty() {
                ""
            } else {
                " (written by another version of the recorder, or with other settings)"
            },
        )?;
        if feed.unchecked > 0 {
            writeln!(out, "  {} sound files are older than the archive", feed.unchecked)?;
        }
        if feed.lines > 0 {
            writeln!(out, "  {} lines of the checksum list corrected", feed.lines)?;
        }
        for (first, last) in &feed.lacking {
            if feed.segments == 0 {
                writeln!(out, "  the archive has nothing for this date")?;
            } else if *first == 1 {
                writeln!(out, "  the archive begins at frame {}", last + 1)?;
            } else {
                writeln!(out, "  the archive lacks frames {first} to {last}")?;
            }
        }
        for path in restored {
            writeln!(out, "  {done}: {path}")?;
        }
        for lost in &feed.lost {
            writeln!(out, "  NOT RESTORED: {}: {}", lost.path, lost.detail)?;
        }
    }
    print_derived(out, &report.derived, done)
}

/// Prints what was done to derived rows.
fn print_derived(out: &mut impl Write, remade: &Remade, done: &str) -> io::Result<()> {
    for path in &remade.restored {
        writeln!(out, "  {done}: {path}, made of the sealed day")?;
    }
    if remade.unchecked > 0 {
        let count = remade.unchecked;
        writeln!(
            out,
            "  {count} derived files cannot be checked: files they are made of are gone, or not sealed"
        )?;
    }
    for lost in &remade.lost {
        writeln!(out, "  NOT RESTORED: {}: {}", lost.path, lost.detail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use krx_store::rebuild::Lost;

    use super::*;

    #[test]
    fn it_prints_what_is_lost_and_why() {
        let report = Report {
            ok: false,
            date: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
            dry_run: false,
            feeds: vec![Rebuilt {
                feed: "KOSPI".parse().unwrap(),
                segments: 7,
                identical: 3,
                restored: vec!["trades/a".into()],
                differing: Vec::new(),
                unchecked: 1,
                lost: vec![Lost {
                    path: "trades/b".into(),
                    detail: "gone".into(),
                }],
                lacking: vec![(1, 4711), (5000, 5001)],
                lines: 0,
            }],
            derived: Remade {
                restored: vec!["daily/c".into()],
                unchecked: 1,
                lost: vec![Lost {
                    path: "daily/d".into(),
                    detail: "damaged trades".into(),
                }],
                ..Remade::default()
            },
        };
        let mut out = Vec::new();
        print(&mut out, &report).unwrap();
        let out = String::from_utf8(out).unwrap();
        for words in [
            "2026-11-20 KOSPI: 3 files byte-identical, 1 restored, 0 differ but are sound\n",
            "begins at frame 4712\n",
            "lacks frames 5000 to 5001\n",
            "restored: trades/a\n",
            "NOT RESTORED: trades/b: gone\n",
            "restored: daily/c, made of the sealed day\n",
            "1 derived files cannot be checked",
            "NOT RESTORED: daily/d: damaged trades\n",
        ] {
            assert!(out.contains(words), "{words:?} in\n{out}");
        }
    }
}
