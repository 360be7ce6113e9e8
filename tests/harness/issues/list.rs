//! What a test registers, as the recorder's configuration has it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Each preset of each code.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The presets.
    pub presets: Vec<&'static str>,
    /// The issues.
    pub codes: Vec<String>,
    /// `instruments`, unless they are stocks or indices.
    pub derivatives: bool,
    /// The items of preset `change`.
    pub items: Vec<&'static str>,
}

/// A per-issue feed.
#[derive(Clone, Debug)]
pub struct IssueList {
    /// The feed's name.
    pub feed: &'static str,
    /// Further keys of its `[[feed]]`, as lines of TOML.
    pub more: String,
    /// What it registers.
    pub groups: Vec<Group>,
}

impl Group {
    /// Each of these presets of each of these stocks, or indices.
    #[must_use]
    pub fn of(presets: &[&'static str], codes: &[&str]) -> Self {
        Self {
            presets: presets.to_vec(),
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// The same of futures and options.
    #[must_use]
    pub fn of_derivatives(presets: &[&'static str], codes: &[&str]) -> Self {
        Self {
            derivatives: true,
            ..Self::of(presets, codes)
        }
    }

    /// With these items.
    #[must_use]
    pub fn with_items(self, items: &[&'static str]) -> Self {
        Self {
            items: items.to_vec(),
            ..self
        }
    }
}

impl IssueList {
    /// A feed called `ISSUES`.
    #[must_use]
    pub fn of(groups: Vec<Group>) -> Self {
        Self {
            feed: "ISSUES",
            more: String::new(),
            groups,
        }
    }

    /// Its tables in the configuration.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut toml = format!(
            "[[feed]]\nname = \"{}\"\nservice = \"per_issue\"\npath = \"/ws/\"\n{}\n",
            self.feed, self.more
        );
        for group in &self.groups {
            let Group {
                presets,
                codes,
                items,
                ..
            } = group;
            let _ = writeln!(
                toml,
                "[[feed.register]]\npresets = {presets:?}\ncodes = {codes:?}"
            );
            if group.derivatives {
                toml.push_str("instruments = \"derivatives\"\n");
            }
            if !items.is_empty() {
                let _ = writeln!(toml, "items = {items:?}");
            }
            toml.push('\n');
        }
        toml
    }

    /// How many pairs of a preset and a code it has, if it repeats none.
    #[must_use]
    pub fn len(&self) -> usize {
        let pairs = |group: &Group| group.presets.len() * group.codes.len();
        self.groups.iter().map(pairs).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes of futures and options.
    pub(super) fn derivatives(&self) -> BTreeSet<&str> {
        let groups = self.groups.iter().filter(|group| group.derivatives);
        groups
            .flat_map(|group| group.codes.iter().map(String::as_str))
            .collect()
    }
}
