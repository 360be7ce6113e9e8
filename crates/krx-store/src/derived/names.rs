//! The columns that every derived row has: which feed, market and issue it is of.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::StringBuilder;

use super::fold::Part;

/// The columns `feed`, `market` and `code`.
#[derive(Default)]
pub(super) struct Names {
    feed: StringBuilder,
    market: StringBuilder,
    code: StringBuilder,
}

impl Names {
    /// Adds a row.
    pub(super) fn push(&mut self, part: &Part, code: &str) {
        self.feed.append_value(part.source.feed.as_str());
        self.market.append_option(part.market());
        self.code.append_value(code);
    }

    /// The columns by name.
    pub(super) fn finish(mut self) -> [(&'static str, ArrayRef); 3] {
        [
            ("feed", Arc::new(self.feed.finish())),
            ("market", Arc::new(self.market.finish())),
            ("code", Arc::new(self.code.finish())),
        ]
    }
}
