//! What a request wants.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::NaiveDate;
use krx_store::DataDir;
use krx_store::dataset::{Dataset, QUARANTINE};
use krx_store::service::SERVICES;
use krx_store::tail::FrameOfDate;

use super::refusal::Refusal;
use crate::pipeline::feed_view::FeedView;
use crate::sanitize::clean;

/// What a request wants.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) dataset: Dataset,
    pub(super) format: Format,
    /// The feed's position among those of the recorder.
    pub(super) feed: usize,
    pub(super) after: After,
    /// These issues only; empty: all.
    pub(super) codes: Vec<String>,
    /// Whether it goes on as records become durable.
    pub(super) follow: bool,
}

/// After which frames it begins; where nothing is said, after those in files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct After {
    /// Of the newest date in the journal.
    pub(super) newest: Option<u64>,
    /// Of these dates.
    pub(super) dates: BTreeMap<NaiveDate, u64>,
}

/// How rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// An Arrow IPC stream.
    Arrow,
    /// A JSON object on each line.
    Ndjson,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// What a request may say.
const PARAMETERS: &str = "feed=FEED, after=FRAME or after=DATE:FRAME, code=CODE,… and follow=true";

impl Wanted {
    /// Reads the name of the file that is asked for, such as `trades.arrows`, and the query.
    pub(super) fn parse(file: &str, query: Option<&str>, feeds: &[FeedView]) -> Result<Self, Refusal> {
        let (name, format) = file
            .strip_suffix(".arrows")
            .map(|name| (name, Format::Arrow))
            .or_else(|| file.strip_suffix(".ndjson").map(|name| (name, Format::Ndjson)))
            .ok_or_else(|| not_found(&format!("Ask for /tail/DATASET.arrows or .ndjson, not {file}.")))?;
        let (dataset, having) = dataset(name, feeds)?;
        let mut wanted = Self {
            dataset,
            format,
            feed: 0,
            after: After::default(),
            codes: Vec::new(),
            follow: false,
        };
        let mut named = None;
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "feed" => named = Some(value.into_owned()),
                "after" => wanted.after.add(&value)?,
                "code" => wanted.add_codes(&value)?,
                "follow" if value.is_empty() || value == "true" => wanted.follow = true,
                "follow" if value == "false" => wanted.follow = false,
                _ => {
                    return Err(bad(&format!(
                        "{key}={value} is not understood; a request may say {PARAMETERS}."
                    )));
                }
            }
        }
        if dataset == &QUARANTINE && !wanted.codes.is_empty() {
            return Err(bad("quarantine has no issue codes: leave out code."));
        }
        wanted.feed = feed(named.as_deref(), dataset, feeds, &having)?;
        Ok(wanted)
    }

    /// An empty list would stand for all issues: more likely it is a variable that was not set.
    fn add_codes(&mut self, value: &str) -> Result<(), Refusal> {
        let before = self.codes.len();
        let codes = value.split(',').filter(|code| !code.is_empty());
        self.codes.extend(codes.map(str::to_owned));
        if self.codes.len() > before {
            return Ok(());
        }
        Err(bad(
            "code= names no issue: write code=005930, or leave it out for all of them.",
        ))
    }
}

impl After {
    fn add(&mut self, text: &str) -> Result<(), Refusal> {
        let wrong = || {
            bad(&format!(
                "after={text} is not understood: write a frame, or a date and a frame such as 2026-11-20:4711."
            ))
        };
        if text.contains(':') {
            let FrameOfDate { date, frame } = text.parse().map_err(|_| wrong())?;
            self.dates.insert(date, frame);
        } else {
            self.newest = Some(FrameOfDate::parse_frame(text).ok_or_else(wrong)?);
        }
        Ok(())
    }
}

/// The dataset of this name, and the positions of the feeds that have it.
fn dataset(name: &str, feeds: &[FeedView]) -> Result<(Dataset, Vec<usize>), Refusal> {
    let dataset = DataDir::new("").dataset(name);
    let has = |dataset: Dataset, feed: &FeedView| {
        let mut services = SERVICES.iter();
        let service = services.find(|service| service.name == feed.service);
        service.is_some_and(|service| service.fills(dataset))
    };
    let having = dataset.map(|dataset| {
        let feeds = feeds.iter().enumerate().filter(|(_, feed)| has(dataset, feed));
        (dataset, feeds.map(|(place, _)| place).collect::<Vec<_>>())
    });
    having.filter(|(_, having)| !having.is_empty()).ok_or_else(|| {
        let all = DataDir::new("").datasets();
        let here = all
            .into_iter()
            .filter(|of| feeds.iter().any(|feed| has(of, feed)));
        let names: Vec<_> = here.map(|of| of.name).collect();
        not_found(&format!(
            "No feed here has the dataset {name}; there are {}.",
            names.join(", ")
        ))
    })
}

/// The position of the feed that is named; or of the only one that has the dataset.
fn feed(
    named: Option<&str>,
    dataset: Dataset,
    feeds: &[FeedView],
    having: &[usize],
) -> Result<usize, Refusal> {
    let names = || {
        let names: Vec<_> = having.iter().map(|place| feeds[*place].feed.as_str()).collect();
        names.join(", ")
    };
    match (named, having) {
        (None, [only]) => Ok(*only),
        (None, _) => Err(bad(&format!(
            "Say which feed of {dataset} with feed=…: {}.",
            names()
        ))),
        (Some(name), _) => {
            let found = having.iter().find(|place| feeds[**place].feed.as_str() == name);
            found.copied().ok_or_else(|| {
                not_found(&format!(
                    "No feed {name} has {dataset} here; there are {}.",
                    names()
                ))
            })
        }
    }
}

/// What was asked for comes back to a terminal.
fn bad(words: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, clean(words))
}

fn not_found(words: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, clean(words))
}
