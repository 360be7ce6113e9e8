//! The layout of a sealed day; the figures behind each choice are in docs/adr/0025, 0034 and 0043.

use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;

use crate::dataset::{Dataset, GroupOrder};

/// The layout of a sealed day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many rows, in order of arrival, are divided among row groups together; a run ends with the frame that
    /// reaches this number. Longer runs put one issue's rows closer together; shorter runs do that for the rows of one
    /// minute.
    pub run_rows: usize,
    /// The most rows in a row group. It holds a narrow range of issue codes within one run.
    pub row_group_rows: usize,
    /// Rows of a page.
    pub page_rows: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            run_rows: 1_000_000,
            row_group_rows: 73_728,
            page_rows: 20_000,
        }
    }
}

impl Layout {
    pub(super) fn properties(&self, dataset: Dataset) -> WriterProperties {
        // The columns by which each row group is sorted.
        let key = match dataset.group_order {
            GroupOrder::Arrival => None,
            GroupOrder::Sorted => dataset.sealed_by,
        };
        let sorted_by = key.into_iter().chain(["frame", "item"]);
        let places = sorted_by.map(|name| dataset.index_of(name).unwrap_or_default());
        let sorting = places.map(|place| SortingColumn {
            column_idx: i32::try_from(place).unwrap_or_default(),
            descending: false,
            nulls_first: false,
        });
        dataset
            .properties_builder(self.row_group_rows as u64)
            .set_max_row_group_row_count(Some(self.row_group_rows.max(1)))
            .set_data_page_row_count_limit(self.page_rows.max(1))
            .set_sorting_columns(Some(sorting.collect()))
            .build()
    }
}
