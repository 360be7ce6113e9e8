//! When a feed's trades of an issue were recorded, from its coverage, and for a per-issue feed its registrations. Pure.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Preset, RegistrationState};

use crate::coverage::{Interval, State};
use crate::moment::Moment;
use crate::registrations::Stretch;

/// From and to.
type Span = (Moment, Moment);

/// When a feed's trades were recorded.
#[derive(Clone, Debug)]
pub(super) enum Recorded {
    /// All issues alike, while the feed was live.
    Market(Vec<Span>),
    /// Each issue in stretches of its own, for `tick` and for `tick10`.
    Issues(BTreeMap<String, [Vec<Span>; 2]>),
    /// Not known: the file that would say is missing or damaged.
    Unknown,
}

impl Recorded {
    /// For a full-market feed.
    pub(super) fn of_market(coverage: Option<&[Interval]>) -> Self {
        coverage.map_or(Self::Unknown, |coverage| Self::Market(live(coverage)))
    }

    /// For a per-issue feed: while the pair was active and the feed live, as in the view `active` of `krx.sql`.
    pub(super) fn of_issues(coverage: Option<&[Interval]>, registrations: Option<&[Stretch]>) -> Self {
        let Some((coverage, registrations)) = coverage.zip(registrations) else {
            return Self::Unknown;
        };
        let live = live(coverage);
        let mut issues: BTreeMap<String, [Vec<Span>; 2]> = BTreeMap::new();
        for stretch in registrations {
            let place = match stretch.pair.preset {
                Preset::Tick => 0,
                Preset::Tick10 => 1,
                _ => continue,
            };
            if stretch.state != RegistrationState::Active || stretch.session.is_none() {
                continue;
            }
            let spans = issues.entry(stretch.pair.code.clone()).or_default();
            spans[place].extend(within(&live, (stretch.from, stretch.to)));
        }
        Self::Issues(issues)
    }

    /// The share of a span in which an issue was recorded, from 0 to 1; `None` if that is not known.
    pub(super) fn share(&self, code: &str, span: Span) -> Option<f64> {
        let recorded = match self {
            Self::Market(live) => overlap_us(live, span),
            Self::Issues(issues) => issues.get(code).map_or(0, |presets| {
                let mut all: Vec<Span> = presets.iter().flatten().copied().collect();
                all.sort_unstable();
                overlap_us(&merged(&all), span)
            }),
            Self::Unknown => return None,
        };
        Some(recorded as f64 / (span.1.0 - span.0.0) as f64)
    }

    /// Whether an issue was recorded throughout a span.
    pub(super) fn has_all(&self, code: &str, span: Span) -> bool {
        let has = |spans: &[Span]| overlap_us(spans, span) >= span.1.0 - span.0.0;
        match self {
            Self::Market(live) => has(live),
            Self::Issues(issues) => issues
                .get(code)
                .is_some_and(|presets| presets.iter().any(|spans| has(spans))),
            Self::Unknown => false,
        }
    }
}

/// The stretches in which a feed was live.
fn live(coverage: &[Interval]) -> Vec<Span> {
    let live = coverage.iter().filter(|interval| interval.state == State::Live);
    live.map(|interval| (interval.from, interval.to)).collect()
}

/// The parts of some spans within another, in order.
fn within(spans: &[Span], (from, to): Span) -> impl Iterator<Item = Span> {
    let first = spans.partition_point(|span| span.1 <= from);
    let parts = spans[first..].iter().take_while(move |span| span.0 < to);
    parts.map(move |span| (span.0.max(from), span.1.min(to)))
}

/// How much of a span is covered by others, which are in order and do not overlap each other, µs.
fn overlap_us(spans: &[Span], span: Span) -> i64 {
    within(spans, span).map(|(from, to)| to.0 - from.0).sum()
}

/// Spans, ordered by their beginning, with those that overlap or adjoin joined into one.
fn merged(spans: &[Span]) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for span in spans {
        match found.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => found.push(*span),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::Pair;

    use super::*;
    use crate::coverage::Reason;

    fn interval(from: i64, to: i64, state: State) -> Interval {
        Interval {
            from: Moment(from),
            to: Moment(to),
            state,
            reason: Reason::Connected,
            session: Some(1),
            frames: 0,
            rows: 0,
            detail: None,
        }
    }

    fn stretch(preset: Preset, from: i64, to: i64, state: RegistrationState) -> Stretch {
        Stretch {
            pair: Pair {
                preset,
                code: "005930".to_owned(),
            },
            from: Moment(from),
            to: Moment(to),
            state,
            session: Some(1),
            detail: None,
        }
    }

    fn span(from: i64, to: i64) -> Span {
        (Moment(from), Moment(to))
    }

    #[test]
    fn a_market_is_recorded_while_it_is_live() {
        let ledger = [
            interval(0, 10, State::Live),
            interval(10, 20, State::Gap),
            interval(20, 25, State::Live),
            interval(25, 40, State::Live),
        ];
        let recorded = Recorded::of_market(Some(&ledger));
        assert_eq!(recorded.share("", span(0, 40)), Some(0.75));
        assert_eq!(recorded.share("", span(40, 50)), Some(0.0));
        assert!(recorded.has_all("", span(0, 10)) && recorded.has_all("", span(20, 40)));
        assert!(!recorded.has_all("", span(9, 11)) && !recorded.has_all("", span(39, 41)));
        let unknown = Recorded::of_market(None);
        assert_eq!(unknown.share("", span(0, 40)), None);
        assert!(!unknown.has_all("", span(0, 40)));
    }

    #[test]
    fn an_issue_is_recorded_while_tick_or_tick10_is_active_and_the_feed_live() {
        use RegistrationState::{Active, Requested};
        let ledger = [
            interval(0, 50, State::Live),
            interval(50, 60, State::Gap),
            interval(60, 100, State::Live),
        ];
        let registrations = [
            stretch(Preset::Tick10, 0, 10, Requested),
            stretch(Preset::Tick10, 10, 40, Active),
            stretch(Preset::Tick10, 40, 55, Active),
            stretch(Preset::Tick, 30, 80, Active),
            stretch(Preset::Quote, 80, 100, Active),
        ];
        let recorded = Recorded::of_issues(Some(&ledger), Some(&registrations));
        assert_eq!(recorded.share("005930", span(0, 100)), Some(0.6));
        assert_eq!(recorded.share("000660", span(0, 100)), Some(0.0));
        assert!(recorded.has_all("005930", span(10, 50)), "stretches that meet");
        assert!(recorded.has_all("005930", span(60, 80)));
        assert!(!recorded.has_all("005930", span(49, 61)), "a gap");
        let unknown = Recorded::of_issues(Some(&ledger), None);
        assert_eq!(unknown.share("005930", span(0, 100)), None);
    }
}
