//! Services: the conversation with the server decides which datasets a feed has.
//!
//! A [`Service`] names its datasets and makes their decoder. To add a dataset, write its [`DatasetSpec`], give it to its
//! service, and have the decoder fill it.
//!
//! [`DatasetSpec`]: crate::dataset::DatasetSpec

mod full_market;
mod per_issue;
mod spec;

pub use full_market::{FULL_MARKET, TRADES, TradeColumns};
pub(crate) use per_issue::dataset_of;
pub use per_issue::{
    BOOKS, CHANGES, DERIVATIVE_BOOKS, DERIVATIVE_QUOTES, DERIVATIVE_TICKS, INDICES, PER_ISSUE, QUOTES, TICKS,
};
pub use spec::{FrameDecoder, FrameFacts, FrameRows, Rejects, Service};

/// All services.
pub static SERVICES: [&Service; 2] = [&FULL_MARKET, &PER_ISSUE];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dataset::{COMMON, ColumnType, Dataset, Encoding, Rows};

    fn all() -> Vec<Dataset> {
        let services = SERVICES.iter().flat_map(|service| service.datasets);
        services.copied().chain(COMMON).collect()
    }

    #[test]
    fn each_dataset_of_frames_has_the_columns_that_say_where_a_row_is_from() {
        for dataset in all().into_iter().filter(|dataset| dataset.rows == Rows::OfFrames) {
            for (name, column_type, may_be_null) in [
                ("recv_ts", ColumnType::Micros, false),
                ("frame", ColumnType::Int64, false),
                // A piece that is not a record has no place.
                ("item", ColumnType::Int16, dataset.sealed_by.is_none()),
                ("session", ColumnType::Int32, false),
            ] {
                let place = dataset.index_of(name);
                let column = dataset.columns[place.unwrap_or_else(|| panic!("{dataset} has no {name}"))];
                assert_eq!(column.column_type, column_type, "{dataset}.{name}");
                assert!(may_be_null || !column.nullable, "{dataset}.{name} may be null");
            }
        }
    }

    #[test]
    fn each_dataset_that_is_sealed_can_be() {
        for dataset in all() {
            let Some(name) = dataset.sealed_by else { continue };
            let place = dataset.index_of(name);
            let column = dataset.columns[place.unwrap_or_else(|| panic!("{dataset} has no {name}"))];
            assert_eq!(
                (column.column_type, column.nullable),
                (ColumnType::Code, false),
                "{dataset}.{name}"
            );
            let is_fixed = |column: &crate::dataset::Column| {
                matches!(column.column_type, ColumnType::Bytes | ColumnType::Bool)
            };
            assert!(
                !dataset.columns.iter().any(is_fixed),
                "{dataset} has a column that cannot be reordered"
            );
        }
    }

    #[test]
    fn differences_are_for_integers_and_each_column_is_there_once() {
        for dataset in all() {
            let mut names = BTreeMap::new();
            for column in dataset.columns {
                let is_number = !matches!(
                    column.column_type,
                    ColumnType::Text
                        | ColumnType::Code
                        | ColumnType::Word
                        | ColumnType::Bytes
                        | ColumnType::Float64
                        | ColumnType::Bool
                );
                assert!(
                    column.encoding != Encoding::Delta || is_number,
                    "{dataset}.{}",
                    column.name
                );
                assert_eq!(
                    names.insert(column.name, ()),
                    None,
                    "{dataset}.{} is there twice",
                    column.name
                );
            }
        }
    }

    #[test]
    fn no_dataset_is_primary_for_one_service_and_not_for_another() {
        for service in SERVICES {
            for other in SERVICES
                .iter()
                .filter(|other| other.datasets.contains(&service.primary()))
            {
                assert_eq!(other.primary(), service.primary());
            }
        }
    }
}
