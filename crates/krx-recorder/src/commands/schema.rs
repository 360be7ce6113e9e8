//! `krx-recorder schema`: the datasets and their columns, as the store describes them.

use std::io::{self, Write};

use krx_store::DataDir;
use krx_store::dataset::{Dataset, Document};

use crate::process::exit::Failure;
use crate::process::out;

/// Prints one dataset, or all of them.
///
/// # Errors
/// [`Failure`], if there is no such dataset, or standard output cannot be written.
pub(super) fn print(name: Option<&str>, json: bool) -> Result<(), Failure> {
    // The datasets are the same for any data directory.
    let datasets = DataDir::new("").all_datasets();
    let chosen = match name {
        Some(name) => vec![named(&datasets, name)?],
        None => datasets,
    };
    let documents: Vec<_> = chosen.iter().map(|dataset| dataset.document()).collect();
    out::print("printing the schema", |out| match (json, documents.as_slice()) {
        (true, [only]) if name.is_some() => write_json(out, only),
        (true, all) => write_json(out, &all),
        (false, all) => all.iter().enumerate().try_for_each(|(index, document)| {
            if index > 0 {
                writeln!(out)?;
            }
            write_text(out, document)
        }),
    })
}

fn named(datasets: &[Dataset], name: &str) -> Result<Dataset, Failure> {
    let found = datasets.iter().copied().find(|dataset| dataset.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = datasets.iter().map(|dataset| dataset.name).collect();
        Failure::Usage(format!(
            "there is no dataset {name:?}; choose one of {}",
            names.join(", ")
        ))
    })
}

fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

fn write_text(out: &mut dyn Write, document: &Document) -> io::Result<()> {
    let Document {
        dataset,
        schema_version,
        summary,
        partition_key,
        ..
    } = document;
    writeln!(out, "{dataset}, schema version {schema_version}")?;
    writeln!(out, "{summary}")?;
    let partition = partition_key.map_or_else(String::new, |key| format!("{key}=…/"));
    writeln!(out, "{dataset}/date=…/{partition}{dataset}-….parquet")?;
    if let Some(column) = document.sealed_by {
        writeln!(out, "A finished day is one file, grouped by {column}.")?;
    }
    let types: Vec<_> = document
        .columns
        .iter()
        .map(|column| {
            let null = if column.nullable { " or null" } else { "" };
            format!("{}{null}", column.column_type)
        })
        .collect();
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let name_width = widest(&mut document.columns.iter().map(|column| column.name.len()));
    let type_width = widest(&mut types.iter().map(String::len));
    for (column, words) in document.columns.iter().zip(&types) {
        let (name, meaning) = (column.name, column.meaning);
        writeln!(out, "  {name:name_width$}  {words:type_width$}  {meaning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_is_described_for_people_and_programs() {
        let datasets = DataDir::new("").datasets();
        let trades = named(&datasets, "trades").unwrap().document();
        let mut text = Vec::new();
        write_text(&mut text, &trades).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("trades, schema version 1\n"), "{text}");
        assert!(text.contains("trades/date=…/market=…/"), "{text}");
        assert!(text.contains("\n  price       int64"), "{text}");
        let mut json = Vec::new();
        write_json(&mut json, &trades).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["columns"][1]["name"], "trade_ts");
        assert_eq!(json["columns"][1]["type"], "timestamp[ms, Asia/Seoul]");
        assert_eq!(json["columns"][1]["nullable"], true);
        let unknown = named(&datasets, "trade").unwrap_err().to_string();
        assert!(
            unknown.contains("choose one of trades, ")
                && unknown.contains(", quarantine, registrations, coverage"),
            "{unknown}"
        );
    }
}
