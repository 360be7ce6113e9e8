//! `krx-recorder sql`: DuckDB views over a data directory that know about its gaps.
//!
//! The only source is `deploy/krx.sql`, whose paths are relative. Here they are made absolute.

use std::io::Write;
use std::path::Path;

use crate::process::exit::Failure;
use crate::process::out;

const VIEWS: &str = include_str!("../../../../deploy/krx.sql");

/// How each path in the source begins, inside an SQL literal, with the datasets' patterns.
const PATHS: [&str; 3] = ["'trades/**", "'coverage/**", "'[cq][ou][av][er]*/**"];

/// Prints the views over the data directory at `data_dir`.
///
/// # Errors
/// [`Failure`], if there is no such directory, DuckDB cannot name it, or standard output cannot be written.
pub(super) fn print(data_dir: &Path) -> Result<(), Failure> {
    let failed = |doing: String| |source| Failure::System { doing, source };
    let absolute = data_dir.canonicalize().map_err(failed(format!(
        "looking for the data directory {}; is it the right --data-dir?",
        data_dir.display()
    )))?;
    let views = absolute.to_str().and_then(views).ok_or_else(|| {
        Failure::Usage(format!(
            "DuckDB cannot name {}: it contains a backslash or is not UTF-8; load krx.sql from inside the \
             directory instead",
            absolute.display()
        ))
    })?;
    out::print("printing the views", |out| out.write_all(views.as_bytes()))
}

/// The views with paths below `data_dir`; `None` if DuckDB's patterns cannot express it.
fn views(data_dir: &str) -> Option<String> {
    if data_dir.contains('\\') {
        return None;
    }
    let mut quoted = String::with_capacity(data_dir.len());
    for character in data_dir.trim_end_matches('/').chars() {
        match character {
            '\'' => quoted.push_str("''"),
            // A class of one character is that character.
            '[' | '*' | '?' => quoted.extend(['[', character, ']']),
            _ => quoted.push(character),
        }
    }
    let absolute = |views: String, path: &str| {
        let (quote, pattern) = path.split_at(1);
        views.replace(path, &format!("{quote}{quoted}/{pattern}"))
    };
    Some(PATHS.into_iter().fold(VIEWS.to_owned(), absolute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_replaced_and_quoted() {
        let views = views("/data/it's [here]*").unwrap();
        for (call, calls) in [("read_parquet('", PATHS.len()), ("glob('", 1)] {
            let absolute = format!("{call}/data/it''s [[]here][*]/");
            let found = [call, &absolute].map(|text| views.matches(text).count());
            assert_eq!(found, [calls, calls], "{call}");
            assert_eq!(VIEWS.matches(call).count(), calls, "{call}");
        }
        assert_eq!(super::views("/data\\here"), None);
        assert!(super::views("/").unwrap().contains("read_parquet('/trades/**"));
    }
}
