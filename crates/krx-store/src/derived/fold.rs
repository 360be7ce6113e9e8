//! A feed's trades of a date, folded into what rows are made of: by issue, and by minute.

use std::collections::BTreeMap;

use super::candle::{Candle, Order};
use super::once::each_once;
use super::price::Price;
use super::recorded::Recorded;
use super::session::Session;
use super::source::{Halt, Source, What};
use crate::day::Watch;
use crate::error::StoreError;

/// The most issue codes of a feed and date that are made into rows: a server that sends codes without end must not fill the
/// memory. KRX lists some ten thousand securities.
const CODES_MAX: usize = 1 << 16;

/// A feed's trades, and when they were recorded.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) source: Source,
    pub(super) recorded: Recorded,
}

impl Part {
    /// The market; `None` for a per-issue feed.
    pub(super) fn market(&self) -> Option<&str> {
        let is_per_issue = self.source.is_per_issue();
        (!is_per_issue).then_some(self.source.feed.as_str())
    }
}

/// An issue on a date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issue<P: Price> {
    /// Its trades in the regular session.
    pub(super) candle: Option<Candle<P>>,
    /// The price of the last signal that closed the session.
    official: Option<(Order, P)>,
    /// Whether it traded at all, in the session or outside it.
    pub(super) traded: bool,
}

impl<P: Price> Default for Issue<P> {
    fn default() -> Self {
        Self {
            candle: None,
            official: None,
            traded: false,
        }
    }
}

impl<P: Price> Issue<P> {
    pub(super) fn official_close(&self) -> Option<P> {
        self.official.map(|(_, price)| price)
    }
}

/// Folds the trades of each issue that has a row of any kind.
pub(super) fn issues<P: Price>(
    part: &Part,
    session: Option<&Session>,
    watch: Watch<'_>,
) -> Result<BTreeMap<String, Issue<P>>, Halt> {
    let (mut codes, mut issues): (BTreeMap<String, usize>, Vec<Issue<P>>) = Default::default();
    let index = &mut |code: &str| {
        if let Some(place) = codes.get(code) {
            return Some(*place);
        }
        let place = codes.len();
        // One more than the limit, to know that there were too many.
        (place <= CODES_MAX).then(|| *codes.entry(code.to_owned()).or_insert(place))
    };
    each_once::<P>(&part.source, watch, index, &mut |place, row| {
        if issues.len() <= place {
            issues.resize(place + 1, Issue::default());
        }
        let issue = &mut issues[place];
        if let (What::RegularClose, Some((price, _))) = (row.what, row.deal)
            && issue.official.is_none_or(|(order, _)| order < row.order)
        {
            issue.official = Some((row.order, price));
        }
        if let Some((ts, price, volume)) = row.trade() {
            issue.traded = true;
            if session.is_some_and(|session| session.has(ts)) {
                Candle::add(&mut issue.candle, row.order, ts, price, volume);
            }
        }
    })?;
    if codes.len() > CODES_MAX {
        return Err(Halt::Failed(StoreError::Unsound {
            path: part.source.paths.first().cloned().unwrap_or_default(),
            what: format!("its feed sent more than {CODES_MAX} issue codes on this date"),
        }));
    }
    let issue = |place: usize| issues.get(place).copied().unwrap_or_default();
    Ok(codes
        .into_iter()
        .map(|(code, place)| (code, issue(place)))
        .collect())
}

/// Folds the trades of some issues, by their places, for each minute of the session.
pub(super) fn minutes<P: Price>(
    part: &Part,
    codes: &BTreeMap<&str, usize>,
    session: &Session,
    watch: Watch<'_>,
) -> Result<Vec<Option<Candle<P>>>, Halt> {
    let minutes = session.minutes().len();
    let mut cells: Vec<Option<Candle<P>>> = vec![None; codes.len() * minutes];
    let index = &mut |code: &str| codes.get(code).copied();
    each_once::<P>(&part.source, watch, index, &mut |place, row| {
        if let Some((ts, price, volume)) = row.trade()
            && session.has(ts)
        {
            let cell = place * minutes + session.minute(ts);
            Candle::add(&mut cells[cell], row.order, ts, price, volume);
        }
    })?;
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::Preset::Tick;

    use super::*;
    use crate::derived::made_up::ticks;

    #[test]
    fn codes_without_end_are_refused() {
        let codes: Vec<String> = (0..=CODES_MAX).map(|number| format!("{number:06}")).collect();
        let trades: Vec<_> = codes.iter().map(|code| (code.as_str(), Tick, 1)).collect();
        let dir = tempfile::tempdir().unwrap();
        let found = |trades| {
            let part = Part {
                source: ticks(dir.path(), trades),
                recorded: Recorded::Unknown,
            };
            issues::<i64>(&part, None, Watch::nobody()).map(|issues| issues.len())
        };
        assert!(matches!(found(&trades[1..]), Ok(CODES_MAX)));
        assert!(matches!(
            found(&trades),
            Err(Halt::Failed(StoreError::Unsound { .. }))
        ));
    }
}
