//! A column of a dataset: its name, its type, how it is stored and what it means.

use arrow_schema::{DataType, Field, TimeUnit};

/// The zone of all time stamps.
pub(crate) const ZONE: &str = "Asia/Seoul";

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
    /// How its values are stored.
    pub encoding: Encoding,
    /// What it means, with its unit: a sentence for readers.
    pub meaning: &'static str,
}

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// An issue code: text for readers.
    Code,
    /// A word of a small set, which readers see as a dictionary.
    Word,
    /// Bytes.
    Bytes,
    /// 16-bit integers.
    Int16,
    /// 32-bit integers.
    Int32,
    /// 64-bit integers.
    Int64,
    /// 64-bit floating-point numbers.
    Float64,
    /// True or false.
    Bool,
    /// Instants in milliseconds.
    Millis,
    /// Instants in microseconds.
    Micros,
}

/// How a column's values are stored (docs/adr/0034).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Each distinct value once.
    Dictionary,
    /// As they are: smaller than a dictionary if values seldom repeat.
    Plain,
    /// As differences, for values that rise in order of arrival. fastparquet silently misreads them if two of them in a
    /// page are 2^28 or more apart: use this only for columns where that never happens.
    Delta,
}

impl Column {
    /// A column without nulls.
    #[must_use]
    pub const fn new(
        name: &'static str,
        column_type: ColumnType,
        encoding: Encoding,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            column_type,
            nullable: false,
            encoding,
            meaning,
        }
    }

    /// The same column with nulls.
    #[must_use]
    pub const fn or_null(self) -> Self {
        Self {
            nullable: true,
            ..self
        }
    }

    pub(super) fn field(&self) -> Field {
        Field::new(self.name, self.column_type.arrow(), self.nullable)
    }
}

impl ColumnType {
    fn arrow(self) -> DataType {
        let zoned = |unit| DataType::Timestamp(unit, Some(ZONE.into()));
        match self {
            Self::Text | Self::Code => DataType::Utf8,
            Self::Word => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Bytes => DataType::Binary,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Millis => zoned(TimeUnit::Millisecond),
            Self::Micros => zoned(TimeUnit::Microsecond),
        }
    }

    /// The type in plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Text | Self::Code => "text",
            Self::Word => "text, dictionary",
            Self::Bytes => "binary",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Bool => "boolean",
            Self::Millis => "timestamp, ms, Asia/Seoul",
            Self::Micros => "timestamp, µs, Asia/Seoul",
        }
    }

    /// The type's name in Arrow.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text | Self::Code => "utf8",
            Self::Word => "dictionary[int32, utf8]",
            Self::Bytes => "binary",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Bool => "bool",
            Self::Millis => "timestamp[ms, Asia/Seoul]",
            Self::Micros => "timestamp[us, Asia/Seoul]",
        }
    }
}
