//! `[[feed]]`, and what `[koscom]` and `[schedule]` say for all feeds: each feed's server, name and hours.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use krx_calendar::Calendar;
use krx_store::FeedName;
use krx_store::service::FULL_MARKET;
use tokio_tungstenite::tungstenite::http::Uri;
use toml::Spanned;

use super::feed_hours::check_schedule;
use super::file::{Feed, FeedSchedule, Koscom, ScheduleTable};
use super::overrides::{Overrides, chosen};
use super::problem::{ConfigError, Problems};
use super::proxy::has_odd_port;
use crate::hours::schedule::Schedule;

/// One configured connection.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedConfig {
    /// Its name.
    pub name: FeedName,
    /// The service's URL.
    pub url: Uri,
    /// The name that `init` carries.
    pub member_name: String,
    /// The file of its own key, if it has one.
    pub api_key_file: Option<PathBuf>,
    /// When to be connected.
    pub schedule: Schedule,
}

/// The configured feeds, or by default Koscom's two full-market feeds.
pub(super) fn feeds_of(configured: Vec<Spanned<Feed>>) -> Vec<Spanned<Feed>> {
    if !configured.is_empty() {
        return configured;
    }
    let default = |text: &str| Some(Spanned::new(0..0, text.to_owned()));
    let feed = |market, path| {
        let feed = Feed {
            market: default(market),
            path: default(path),
            ..Feed::default()
        };
        Spanned::new(0..0, feed)
    };
    vec![feed("KOSPI", "/ws_ksp"), feed("KOSDAQ", "/ws_kdq")]
}

/// What feeds share, and the command line's values that override it.
pub(super) struct Common<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) koscom: &'a Koscom,
    pub(super) schedule: &'a ScheduleTable,
    pub(super) calendar: &'a Arc<Calendar>,
}

impl Common<'_> {
    /// The feeds, if all are good.
    pub(super) fn check_feeds(
        &self,
        feeds: Vec<Spanned<Feed>>,
        problems: &mut Problems,
    ) -> Option<Vec<FeedConfig>> {
        let (mut checked, wanted) = (Vec::new(), feeds.len());
        let mut seen = Vec::new();
        for table in &feeds {
            let feed = table.get_ref();
            let name = check_name(&table.span(), feed, problems);
            let is_double = name.as_ref().is_some_and(|name| seen.contains(name));
            if let Some(market) = feed.market.as_ref().filter(|_| is_double) {
                let words = format!("feed.market: {} is listed twice", market.get_ref());
                problems.note(&market.span(), words);
            }
            seen.extend(name.clone());
            checked.extend(self.check_feed(name, table, problems).filter(|_| !is_double));
        }
        self.check_unused(&feeds, problems);
        (checked.len() == wanted).then_some(checked)
    }

    fn check_feed(
        &self,
        name: Option<FeedName>,
        table: &Spanned<Feed>,
        problems: &mut Problems,
    ) -> Option<FeedConfig> {
        let (span, feed) = (table.span(), table.get_ref());
        let base_url = self.base_url(feed, problems);
        let member_name = self.member_name(feed, problems);
        let api_key_file = problems.path_at("feed.api_key_file", feed.api_key_file.as_ref());
        let schedule = if self.overrides.always {
            Some(Schedule::Always)
        } else {
            check_schedule(self.schedule, &feed.schedule, self.calendar, problems)
        };
        let path = problems.needed(&span, "feed", "path", feed.path.as_ref());
        // If the server is missing or wrong, the path is still checked.
        let url = path.and_then(|path| {
            let base_url = base_url.as_deref().unwrap_or("wss://localhost");
            problems.take_at(Some(&path.span()), check_path_of_url(base_url, path.get_ref()))
        });
        base_url?;
        Some(FeedConfig {
            name: name?,
            url: url?,
            member_name: member_name?,
            api_key_file: api_key_file?,
            schedule: schedule?,
        })
    }

    fn base_url(&self, feed: &Feed, problems: &mut Problems) -> Option<String> {
        let allow_plaintext = feed.allow_plaintext.unwrap_or(self.koscom.allow_plaintext);
        let check = |key: &str, text: &str| check_base_url(key, text, allow_plaintext);
        match (&self.overrides.base_url, &feed.base_url) {
            (None, Some(own)) => problems.take_at(Some(&own.span()), check("feed.base_url", own.get_ref())),
            (given, _) => {
                let given = ("--base-url", given.as_deref());
                let written = ("koscom.base_url", self.koscom.base_url.as_deref());
                problems.take(chosen(given, written).and_then(|(key, text)| check(key, text)))
            }
        }
    }

    fn member_name(&self, feed: &Feed, problems: &mut Problems) -> Option<String> {
        match (&self.overrides.member_name, &feed.member_name) {
            (None, Some(own)) => {
                let checked = check_member_name("feed.member_name", own.get_ref());
                problems.take_at(Some(&own.span()), checked)
            }
            (given, _) => {
                let given = ("--member-name", given.as_deref());
                let written = ("koscom.member_name", self.koscom.member_name.as_deref());
                problems.take(chosen(given, written).and_then(|(key, name)| check_member_name(key, name)))
            }
        }
    }

    /// A shared value that every feed overrides is still checked.
    fn check_unused(&self, feeds: &[Spanned<Feed>], problems: &mut Problems) {
        let (given, koscom) = (self.overrides, self.koscom);
        let by_all = |has: fn(&Feed) -> bool| feeds.iter().all(|feed| has(feed.get_ref()));
        if let Some(text) = &koscom.base_url
            && (given.base_url.is_none() && by_all(|feed| feed.base_url.is_some()))
        {
            problems.take(check_base_url("koscom.base_url", text, koscom.allow_plaintext));
        }
        if let Some(name) = &koscom.member_name
            && (given.member_name.is_none() && by_all(|feed| feed.member_name.is_some()))
        {
            problems.take(check_member_name("koscom.member_name", name));
        }
        let has_hours: fn(&Feed) -> bool = |feed| {
            let FeedSchedule { mode, open, close } = &feed.schedule;
            mode.is_some() || (open.is_some() && close.is_some())
        };
        if !given.always && by_all(has_hours) {
            check_schedule(self.schedule, &FeedSchedule::default(), self.calendar, problems);
        }
    }
}

/// The feed's name, which is its market's. A service that cannot be recorded is noted.
pub(super) fn check_name(table: &Range<usize>, feed: &Feed, problems: &mut Problems) -> Option<FeedName> {
    if let Some(service) = feed
        .service
        .as_ref()
        .filter(|service| service.get_ref() != FULL_MARKET.name)
    {
        let words = match service.get_ref().as_str() {
            "per_issue" => {
                "this version does not record the service \"per_issue\" yet: remove this table".to_owned()
            }
            other => format!("{other:?} must be {:?}", FULL_MARKET.name),
        };
        problems.note(&service.span(), format!("feed.service: {words}"));
        return None;
    }
    let market = problems.needed(table, "feed", "market", feed.market.as_ref())?;
    let parsed: Result<FeedName, _> = market.get_ref().parse();
    let name = parsed.map_err(|error| ConfigError::invalid("feed.market", error.to_string()));
    let name = problems.take_at(Some(&market.span()), name)?;
    match feed.name.as_ref().filter(|own| own.get_ref() != name.as_str()) {
        None => Some(name),
        Some(own) => {
            let words = format!(
                "feed.name: {:?} is not allowed: the feed of a whole market has the market's name; write \"{name}\", or \
                 leave the line out",
                own.get_ref()
            );
            problems.note(&own.span(), words);
            None
        }
    }
}

fn check_member_name(key: &str, name: &str) -> Result<String, ConfigError> {
    if name.trim().is_empty() {
        let problem = "is empty: write your company's name as it is registered with Koscom";
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(name.to_owned())
}

/// The server's URL without a slash at its end.
fn check_base_url(key: &str, base_url: &str, allow_plaintext: bool) -> Result<String, ConfigError> {
    if base_url.trim().is_empty() {
        let problem = "is empty: write the server's address, such as \"wss://…\"";
        return Err(ConfigError::invalid(key, problem));
    }
    // First of all: later messages show the URL.
    if base_url.contains('@') {
        let problem = "must not contain a user or a password: Koscom needs only the API key";
        return Err(ConfigError::invalid(key, problem));
    }
    let base: Uri = base_url
        .parse()
        .map_err(|error| ConfigError::invalid(key, format!("{base_url:?}: {error}")))?;
    let host = base
        .host()
        .ok_or_else(|| ConfigError::invalid(key, format!("{base_url:?} has no host")))?;
    if base.authority().is_some_and(has_odd_port) {
        let problem = format!("{base_url:?} has an invalid port: write 1 to 65535");
        return Err(ConfigError::invalid(key, problem));
    }
    if base_url.contains(['?', '#']) {
        let problem =
            format!("{base_url:?} must end with the host, its port or a path: feed.path is appended to it");
        return Err(ConfigError::invalid(key, problem));
    }
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match base.scheme_str() {
        Some("wss") => {}
        Some("ws") if loopback || allow_plaintext => {}
        Some("ws") => {
            return Err(ConfigError::invalid(
                key,
                "ws:// would send the API key in the clear: use wss://, or set allow_plaintext = true",
            ));
        }
        _ => {
            return Err(ConfigError::invalid(
                key,
                format!("{base_url:?} must begin with wss:// or ws://"),
            ));
        }
    }
    Ok(base_url.trim_end_matches('/').to_owned())
}

fn check_path_of_url(base_url: &str, path: &str) -> Result<Uri, ConfigError> {
    let invalid = |problem: String| ConfigError::invalid("feed.path", problem);
    if !path.starts_with('/') {
        return Err(invalid(format!("{path:?} must begin with a slash")));
    }
    let url = format!("{base_url}{path}");
    url.parse().map_err(|error| invalid(format!("{url:?}: {error}")))
}
