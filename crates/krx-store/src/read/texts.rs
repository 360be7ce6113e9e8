//! The texts of a column.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;

/// Texts of a column, plain or in a dictionary.
pub(crate) enum Texts<'a> {
    Plain(&'a StringArray),
    Keyed(&'a [i32], &'a StringArray),
}

impl<'a> Texts<'a> {
    /// Those of a column, which [`super::open`] has checked.
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Dictionary(..) => {
                let column = column.as_dictionary::<Int32Type>();
                Self::Keyed(column.keys().values(), column.values().as_string())
            }
            _ => Self::Plain(column.as_string()),
        }
    }

    /// The text of a row, which must not be null.
    pub(crate) fn value(&self, row: usize) -> &'a str {
        match self {
            Self::Plain(texts) => texts.value(row),
            Self::Keyed(keys, texts) => texts.value(usize::try_from(keys[row]).unwrap_or(usize::MAX)),
        }
    }
}
