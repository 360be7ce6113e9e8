//! The page: one document with its style inside and no scripts. Pure.
//!
//! A chart never stands alone: its figures are in the table beside it.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::svg::Escaped;
use super::{days, findings, measures, registered, shares, spreads};
use crate::figures::day::DayFacts;
use crate::time;

/// The report's own style, in addition to the recorder's.
const CSS: &str = include_str!("page.css");

/// The whole document. `style` comes before the report's own, so that it looks like the recorder's other pages.
#[must_use]
pub fn page(day: &DayFacts, style: &str) -> String {
    let style = format!("{style}{CSS}");
    let verdict = &day.verdict;
    let title = format!("{} KRX {}: {}", verdict.level.mark(), day.date, verdict.words);
    let mut html = String::with_capacity(1 << 19);
    // Nothing may be fetched and nothing may run, whatever got into a text.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'",
        STANDARD.encode(Sha256::digest(&style))
    );
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        Escaped(&title)
    );
    header(&mut html, day);
    html.push_str("<main>\n");
    for section in [
        days::glance,
        days::timelines,
        registered::registrations,
        spreads::spreads,
        shares::shares,
        measures::lags,
        measures::volume,
        findings::quarantine,
        findings::top_issues,
        findings::oddities,
    ] {
        html.push_str(&section(day));
    }
    html.push_str("</main>\n");
    footer(&mut html, day);
    html.push_str("</body>\n</html>\n");
    html
}

fn header(html: &mut String, day: &DayFacts) {
    let verdict = &day.verdict;
    let _ = write!(
        html,
        "<header>\n<p class=\"brand\"><span>krx-recorder: daily report</span> <span id=\"date\">{}</span></p>\n\
         <h1 id=\"verdict\" data-level=\"{}\">{} {}</h1>\n",
        day.date.format("%a %-d %b %Y"),
        verdict.level.as_str(),
        verdict.level.mark(),
        Escaped(&verdict.words)
    );
    if !verdict.worries.is_empty() {
        html.push_str("<ul id=\"worries\">\n");
        for worry in &verdict.worries {
            let _ = writeln!(
                html,
                "<li data-level=\"{}\">{}</li>",
                worry.level.as_str(),
                Escaped(&worry.words)
            );
        }
        html.push_str("</ul>\n");
    }
    let hours = day.exchange.regular().map_or_else(
        || "KRX had no session on this date".to_owned(),
        |(from, to)| format!("KRX's regular session: {} to {} in Korea", hour(from), hour(to)),
    );
    let note = day
        .exchange
        .note
        .as_deref()
        .map_or_else(String::new, |note| format!(" ({note})"));
    let _ = writeln!(
        html,
        "<p class=\"say\">{}{}. All times are in Korean time.</p>\n</header>",
        Escaped(&hours),
        Escaped(&note)
    );
}

fn hour(moment: krx_store::Moment) -> String {
    moment.korean().format("%H:%M").to_string()
}

fn footer(html: &mut String, day: &DayFacts) {
    let date = day.date;
    let made = day
        .made_at
        .map_or_else(String::new, |at| format!("{} {}", at.date(), time::second(at)));
    let _ = write!(
        html,
        "<footer>\n<h2>About this page</h2>\n<p class=\"say\">Made {} KST by krx-recorder {} from <code>{}</code>. It is \
         self-contained and loads nothing. The same figures as JSON: <code>krx-recorder report {date} \
         --json</code>. Every interval of the day: <code>krx-recorder coverage {date}</code>. Whether the files are still as they \
         were: <code>krx-recorder verify {date}</code>.</p>\n\
         <p class=\"say\">Queries are for DuckDB, from the data directory. Start with <code>SET TimeZone = \
         'Asia/Seoul';</code>. A message is a frame of the feed; <code>frame</code> and <code>item</code> locate a record \
         and give the order of arrival.</p>\n</footer>\n",
        Escaped(&made),
        Escaped(day.version),
        Escaped(&day.data_dir.display().to_string()),
    );
}
