//! A dataset's description, for people and programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::column::Column;
use super::spec::DatasetSpec;

/// A dataset, for `krx-recorder schema --json`.
#[derive(Debug, Serialize)]
pub struct Document {
    /// Its name.
    pub dataset: &'static str,
    /// The version of its columns.
    pub schema_version: u32,
    /// What a row is.
    pub summary: &'static str,
    /// What the directories below `date=` are named after; `None` if a date is not divided.
    pub partition_key: Option<&'static str>,
    /// The column whose values divide a sealed day.
    pub sealed_by: Option<&'static str>,
    /// Its columns, in their order.
    pub columns: Vec<DocumentColumn>,
}

/// A column of a [`Document`].
#[derive(Debug, Serialize)]
pub struct DocumentColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type, by its Arrow name.
    #[serde(rename = "type")]
    pub column_type: &'static str,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means.
    pub meaning: &'static str,
}

impl DatasetSpec {
    /// Everything that readers need to know about it.
    #[must_use]
    pub fn document(&self) -> Document {
        let column = |column: &Column| DocumentColumn {
            name: column.name,
            column_type: column.column_type.as_str(),
            nullable: column.nullable,
            meaning: column.meaning,
        };
        Document {
            dataset: self.name,
            schema_version: self.schema_version,
            summary: self.summary,
            partition_key: self.partition_key,
            sealed_by: self.sealed_by,
            columns: self.columns.iter().map(column).collect(),
        }
    }

    /// Its columns as a Markdown table, as in docs/reading-the-data.md.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut table = "| column | type | meaning |\n|---|---|---|\n".to_owned();
        for column in self.columns {
            let null = if column.nullable { "; may be null" } else { "" };
            let (name, words) = (column.name, column.column_type.words());
            let _ = writeln!(table, "| `{name}` | {words}{null} | {} |", column.meaning);
        }
        table
    }
}
