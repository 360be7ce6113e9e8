//! `[[feed]]`, and what `[koscom]` and `[schedule]` say for all feeds: each feed's service, server, name and hours.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use krx_calendar::Calendar;
use krx_store::FeedName;
use krx_store::service::{self, FULL_MARKET, Service};
use tokio_tungstenite::tungstenite::http::Uri;
use toml::Spanned;

use super::feed_hours::check_schedule;
use super::file::{Feed, FeedSchedule, Koscom, ScheduleTable};
use super::lists::Lists;
use super::overrides::{Overrides, chosen};
use super::problem::{ConfigError, Problems};
use super::proxy::has_odd_port;
use super::registrations::{PerIssueConfig, check_registrations};
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
    /// What it records.
    pub service: FeedService,
}

/// A service, and what the configuration says about its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedService {
    /// All trades of a market; the feed has the market's name.
    FullMarket,
    /// What is registered.
    PerIssue(PerIssueConfig),
}

impl FeedService {
    /// The service as the store knows it.
    #[must_use]
    pub fn of_store(&self) -> &'static Service {
        match self {
            Self::FullMarket => &FULL_MARKET,
            Self::PerIssue(_) => &service::PER_ISSUE,
        }
    }
}

/// The configuration's word for the per-issue service.
const PER_ISSUE: &str = "per_issue";

/// Names that no per-issue feed may have: Koscom's full-market feeds.
const MARKETS: [&str; 2] = ["KOSPI", "KOSDAQ"];

/// Whether the feed is for the per-issue service.
pub(super) fn is_per_issue(feed: &Feed) -> bool {
    let service = feed.service.as_ref();
    service.is_some_and(|service| service.get_ref() == PER_ISSUE)
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
    pub(super) lists: &'a Lists,
}

impl Common<'_> {
    /// The feeds, if all are good.
    pub(super) fn check_feeds(
        &self,
        feeds: Vec<Spanned<Feed>>,
        problems: &mut Problems,
    ) -> Option<Vec<FeedConfig>> {
        let wanted = feeds.len();
        let names = feeds.iter().map(|table| {
            let feed = table.get_ref();
            let name = check_name(&table.span(), feed, problems);
            (name, is_per_issue(feed))
        });
        let names: Vec<_> = names.collect();
        let mut checked = Vec::new();
        for (place, table) in feeds.iter().enumerate() {
            let is_own = is_own_name(&names, place, table.get_ref(), problems);
            let feed = self.check_feed(names[place].0.clone(), table, problems);
            checked.extend(feed.filter(|_| is_own));
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
        let service = self.check_service(&span, feed, problems);
        base_url?;
        Some(FeedConfig {
            name: name?,
            url: url?,
            member_name: member_name?,
            api_key_file: api_key_file?,
            schedule: schedule?,
            service: service?,
        })
    }

    fn check_service(
        &self,
        table: &Range<usize>,
        feed: &Feed,
        problems: &mut Problems,
    ) -> Option<FeedService> {
        if is_per_issue(feed) {
            let registrations = check_registrations(table, feed, self.lists, problems);
            return registrations.map(FeedService::PerIssue);
        }
        // What it is for is not known if the service is not.
        let is_known =
            feed.service.as_ref().is_none_or(is_full_market) && !problems.is_excused("feed.service");
        let max = feed.registrations_max.as_ref();
        let first = feed.register.first().map(Spanned::span);
        let first = first.or(feed.register_file.as_ref().map(Spanned::span));
        if let Some(place) = first.or(max.map(Spanned::span)).filter(|_| is_known) {
            let words = format!(
                "[[feed.register]], register_file and registrations_max are for the per-issue service: remove them, or \
                 write service = \"{PER_ISSUE}\" and a `name`"
            );
            problems.note(&place, words);
        }
        Some(FeedService::FullMarket)
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

fn is_full_market(service: &Spanned<String>) -> bool {
    service.get_ref() == FULL_MARKET.name
}

/// The feed's name: its market's, or that of a per-issue feed. An unknown service is noted.
pub(super) fn check_name(table: &Range<usize>, feed: &Feed, problems: &mut Problems) -> Option<FeedName> {
    match &feed.service {
        _ if is_per_issue(feed) => per_issue_name(table, feed, problems),
        Some(service) if !is_full_market(service) => {
            let words = format!(
                "feed.service: {:?} must be {:?} or {PER_ISSUE:?}",
                service.get_ref(),
                FULL_MARKET.name
            );
            problems.note(&service.span(), words);
            None
        }
        // A feed without a market that registers issues is reported for that, or for a mistyped `service`.
        None if feed.market.is_none()
            && (!feed.register.is_empty()
                || feed.register_file.is_some()
                || problems.is_excused("feed.service")) =>
        {
            None
        }
        _ => market_name(table, feed, problems),
    }
}

fn market_name(table: &Range<usize>, feed: &Feed, problems: &mut Problems) -> Option<FeedName> {
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

fn per_issue_name(table: &Range<usize>, feed: &Feed, problems: &mut Problems) -> Option<FeedName> {
    if let Some(market) = &feed.market {
        let words = match feed.name {
            Some(_) => "feed.market: a per-issue feed has no market: remove the line",
            None => {
                "feed.market: a per-issue feed has no market: write a name instead, such as name = \"ISSUES\""
            }
        };
        problems.note(&market.span(), words);
        // The name is checked too, if there is one.
        feed.name.as_ref()?;
    }
    let own = problems.needed(table, "feed", "name", feed.name.as_ref())?;
    let parsed: Result<FeedName, _> = own.get_ref().parse();
    let name = parsed.map_err(|error| ConfigError::invalid("feed.name", error.to_string()));
    let name = problems.take_at(Some(&own.span()), name)?;
    if MARKETS.contains(&name.as_str()) {
        let words = format!(
            "feed.name: {name} is reserved for the feed of that whole market: readers join trades and coverage by it; \
             write another name, such as \"ISSUES\""
        );
        problems.note(&own.span(), words);
        return None;
    }
    Some(name)
}

/// Whether no other feed has this feed's name. `names` has each feed's, and whether it is a per-issue feed's.
fn is_own_name(
    names: &[(Option<FeedName>, bool)],
    place: usize,
    feed: &Feed,
    problems: &mut Problems,
) -> bool {
    let (Some(name), is_per_issue) = &names[place] else {
        return true;
    };
    let has_name = |other: &(Option<FeedName>, bool), of_issues: bool| {
        other.0.as_ref() == Some(name) && other.1 == of_issues
    };
    let is_listed_before = names[..place].iter().any(|other| has_name(other, *is_per_issue));
    let (key, written) = if *is_per_issue {
        ("feed.name", &feed.name)
    } else {
        ("feed.market", &feed.market)
    };
    let words = if is_listed_before {
        format!("{key}: {name} is listed twice")
    } else if *is_per_issue && names.iter().any(|other| has_name(other, false)) {
        format!(
            "{key}: {name} is the name of a full-market feed too, and both would have one journal and one coverage; write \
             another name, such as \"ISSUES\""
        )
    } else {
        return true;
    };
    let place = written.as_ref().map(Spanned::span).unwrap_or_default();
    problems.note(&place, words);
    false
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
