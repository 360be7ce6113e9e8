//! Where clients connect: each address is one service's, and the full-market service has one for each market.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::market::Market;

/// The paths of the per-issue service: the guide's sandbox page has the first, a variant of it the second.
const PER_ISSUE_PATHS: [&str; 2] = ["/ws/", "/ws"];

/// What a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// The full-market service of a market.
    FullMarket(Market),
    /// The per-issue service, for all issues of all markets.
    PerIssue,
}

impl Endpoint {
    /// The endpoint at `path`.
    #[must_use]
    pub fn at_path(path: &str) -> Option<Endpoint> {
        if PER_ISSUE_PATHS.contains(&path) {
            return Some(Endpoint::PerIssue);
        }
        Market::at_path(path).map(Endpoint::FullMarket)
    }

    /// Its path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::FullMarket(market) => market.path(),
            Endpoint::PerIssue => PER_ISSUE_PATHS[0],
        }
    }

    /// The member that names it in JSON: `"market":"KOSPI"`, or `"service":"per_issue"`.
    #[must_use]
    pub fn member(self) -> (&'static str, &'static str) {
        match self {
            Endpoint::FullMarket(market) => ("market", market.name()),
            Endpoint::PerIssue => ("service", "per_issue"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.member().1)
    }
}

/// As an object of the one [`member`](Endpoint::member), to be flattened into another.
impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, value) = self.member();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, value)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_is_found_at_its_path() {
        for endpoint in Market::ALL
            .map(Endpoint::FullMarket)
            .into_iter()
            .chain([Endpoint::PerIssue])
        {
            assert_eq!(Endpoint::at_path(endpoint.path()), Some(endpoint));
        }
        assert_eq!(Endpoint::at_path("/ws"), Some(Endpoint::PerIssue));
        assert_eq!(Endpoint::at_path("/"), None);
        assert_eq!(Endpoint::at_path("/ws_ksp/"), None);
    }
}
