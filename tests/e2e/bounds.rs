//! The table of bounds in docs/ARCHITECTURE.md against the constants and configuration keys that it names.
#![allow(clippy::unwrap_used)]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use krx_harness::tree::files_under;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What a bound is, in the document as in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Number(u128),
    Time(Duration),
}

impl fmt::Display for Figure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(to, "{number}"),
            Self::Time(time) => write!(to, "{time:?}"),
        }
    }
}

/// The figure with which a cell of the table begins, as in "64 KiB, and one read more".
fn written(cell: &str) -> Result<Figure, String> {
    let digits = cell
        .find(|c: char| !c.is_ascii_digit() && c != ',')
        .unwrap_or(cell.len());
    // "3, 300 ms apart": a comma that no digit follows belongs to the sentence.
    let number = cell[..digits].trim_end_matches(',').replace(',', "");
    let number: u64 = number
        .parse()
        .map_err(|_| "no figure at the beginning".to_owned())?;
    let unit = cell[digits..].split_whitespace().next().unwrap_or_default();
    let unit = unit.trim_end_matches([',', ';']);
    Ok(match unit {
        "KiB" => Figure::Number(u128::from(number) << 10),
        "MiB" => Figure::Number(u128::from(number) << 20),
        "ms" => Figure::Time(Duration::from_millis(number)),
        "s" => Figure::Time(Duration::from_secs(number)),
        "min" => Figure::Time(Duration::from_secs(number * 60)),
        "h" => Figure::Time(Duration::from_secs(number * 3600)),
        _ => Figure::Number(number.into()),
    })
}

/// A constant's expression, as far as bounds are written: integers, the largest of a type, `<<`, `*` and `+` between
/// them, and a `Duration` of one.
fn evaluated(expression: &str) -> Result<Figure, String> {
    let expression = expression.trim();
    for (unit, one) in [
        ("secs", Duration::from_secs(1)),
        ("millis", Duration::from_millis(1)),
        ("micros", Duration::from_micros(1)),
    ] {
        let inner = expression.strip_prefix(&format!("Duration::from_{unit}(") as &str);
        if let Some(inner) = inner.and_then(|inner| inner.strip_suffix(')')) {
            let count = u32::try_from(integer(inner)?).map_err(|_| format!("{inner} is too large"))?;
            return Ok(Figure::Time(one * count));
        }
    }
    integer(expression).map(Figure::Number)
}

/// Rust's order: `<<` binds less than `+`, and that less than `*`.
fn integer(expression: &str) -> Result<u128, String> {
    type Operation = fn(u128, u128) -> Option<u128>;
    let operations: [(&str, Operation); 3] = [
        (" << ", |left, right| left.checked_shl(right.try_into().ok()?)),
        (" + ", u128::checked_add),
        (" * ", u128::checked_mul),
    ];
    for (sign, operation) in operations {
        if let Some((left, right)) = expression.rsplit_once(sign) {
            return operation(integer(left)?, integer(right)?)
                .ok_or_else(|| format!("{expression} overflows"));
        }
    }
    let term = expression.split(" as ").next().unwrap_or_default().trim();
    let known = [
        ("i16::MAX", i16::MAX.unsigned_abs().into()),
        ("u16::MAX", u16::MAX.into()),
        ("u32::MAX", u32::MAX.into()),
    ];
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == term) {
        return Ok(*value);
    }
    term.replace('_', "")
        .parse()
        .map_err(|_| format!("{expression:?} is more than this test can evaluate"))
}

/// A constant or a field with a number, somewhere in a crate.
#[derive(Debug)]
struct Found {
    file: PathBuf,
    expression: String,
}

/// Where a crate defines a constant, or gives a field of that name a number.
fn definitions(sources: &[(PathBuf, String)], name: &str) -> Vec<Found> {
    let is_constant = name
        .chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let begins = if is_constant {
        format!("const {name}: ")
    } else {
        format!("{name}: ")
    };
    let mut found = Vec::new();
    for (file, text) in sources {
        for (at, _) in text.match_indices(&begins) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &text[at + begins.len()..];
            let expression = if is_constant {
                let definition = rest.split(';').next().unwrap_or_default();
                definition.split_once('=').map(|(_, expression)| expression)
            } else {
                let value = rest.split([',', '\n']).next();
                value.filter(|value| value.starts_with(|c: char| c.is_ascii_digit()))
            };
            found.extend(expression.map(|expression| Found {
                file: file.clone(),
                expression: expression.split_whitespace().collect::<Vec<_>>().join(" "),
            }));
        }
    }
    found
}

/// The program text of a crate, by its path below `src`.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    let folder = root().join("crates").join(krate).join("src");
    let files = files_under(&folder).unwrap();
    let rust = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "rs"));
    rust.map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        (file.strip_prefix(&folder).unwrap().to_owned(), text)
    })
    .collect()
}

/// Whether a file is the module of that name or lies in its folder.
fn is_in(file: &Path, module: &str) -> bool {
    file.with_extension("").iter().any(|part| part == module)
}

/// The one definition that a row means.
fn the_definition(krate: &str, constant: &str) -> Result<Found, String> {
    let (module, name) = match constant.split_once("::") {
        Some((module, name)) => (Some(module), name),
        None => (None, constant),
    };
    let mut found = definitions(&sources(krate), name);
    found.retain(|found| module.is_none_or(|module| is_in(&found.file, module)));
    if found.len() == 1 {
        return Ok(found.remove(0));
    }
    let files: Vec<_> = found
        .iter()
        .map(|found| found.file.display().to_string())
        .collect();
    Err(if found.is_empty() {
        format!("{krate} has no {constant}, but {:?} have", crates_with(name))
    } else {
        format!(
            "{constant} is in {}: write its module before it",
            files.join(", ")
        )
    })
}

/// The crates that have a constant: where to look for one that was moved.
fn crates_with(name: &str) -> Vec<String> {
    let folders = fs::read_dir(root().join("crates")).unwrap();
    let crates = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = crates
        .filter(|krate| !definitions(&sources(krate), name).is_empty())
        .collect();
    found.sort();
    found
}

/// Whether the configuration has a key, by the list of keys in its code.
fn is_key(recorder: &[(PathBuf, String)], key: &str) -> bool {
    let Some((section, name)) = key.split_once('.') else {
        return false;
    };
    let config = recorder.iter().filter(|(file, _)| is_in(file, "config"));
    config.into_iter().any(|(_, text)| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        text.match_indices(&format!("(\"{section}\",&[")).any(|(at, _)| {
            text[at..]
                .split(']')
                .next()
                .is_some_and(|keys| keys.contains(&format!("\"{name}\"")))
        })
    })
}

/// What is wrong with a row.
fn check(recorder: &[(PathBuf, String)], bound: &str, krate: &str, constant: &str) -> Result<(), String> {
    let quoted: Vec<&str> = bound.split('`').skip(1).step_by(2).collect();
    if let Some(unknown) = quoted.iter().find(|key| !is_key(recorder, key)) {
        return Err(format!("{unknown} is no key of the configuration"));
    }
    if constant == "key" {
        let begins = bound.starts_with('`');
        return begins
            .then_some(())
            .ok_or_else(|| "no key at the beginning of the bound".to_owned());
    }
    let constant = constant.trim_matches('`');
    let found = the_definition(krate, constant)?;
    let (written, mut evaluated) = (written(bound)?, evaluated(&found.expression)?);
    if let (true, Figure::Number(number)) = (constant.ends_with("_US"), evaluated) {
        evaluated = Figure::Time(Duration::from_micros(u64::try_from(number).unwrap()));
    }
    if written == evaluated {
        return Ok(());
    }
    let (file, expression) = (found.file.display(), &found.expression);
    Err(format!(
        "the table says {written}, and {file} {evaluated} ({expression})"
    ))
}

#[test]
fn every_bound_is_what_the_code_has() {
    let document = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let section = document.split("\n## Bounds\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let recorder = sources("krx-recorder");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [what, bound, krate, constant] = cells[..] else {
            panic!("{} columns instead of 4: {row}", cells.len());
        };
        // A heading within the table.
        if what.starts_with("**") {
            continue;
        }
        checked += 1;
        if let Err(why) = check(&recorder, bound, krate, constant) {
            wrong.push(format!("{what} ({constant}): {why}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "in docs/ARCHITECTURE.md, \"Bounds\":\n{}",
        wrong.join("\n")
    );
    assert!(checked > 50, "{checked} rows: is it still the table of bounds?");
}

#[test]
fn figures_and_expressions_are_read_as_they_are_written() {
    let seconds = |seconds| Ok(Figure::Time(Duration::from_secs(seconds)));
    assert_eq!(
        written("64 MiB per feed; then the socket is not read"),
        Ok(Figure::Number(64 << 20))
    );
    assert_eq!(written("32,767; the rest goes on"), Ok(Figure::Number(32_767)));
    assert_eq!(written("32, one request each"), Ok(Figure::Number(32)));
    assert_eq!(written("1 h; less when"), seconds(3600));
    assert_eq!(written("5 min"), seconds(300));
    assert!(written("about a minute").is_err());

    assert_eq!(evaluated("64 << 20"), Ok(Figure::Number(64 << 20)));
    assert_eq!(evaluated("1 << 10 + 2 * 3"), Ok(Figure::Number(1 << 16)));
    assert_eq!(evaluated("i16::MAX as usize"), Ok(Figure::Number(32_767)));
    assert_eq!(evaluated("60_000_000"), Ok(Figure::Number(60_000_000)));
    assert_eq!(evaluated("Duration::from_secs(5 * 60)"), seconds(300));
    assert!(evaluated("Self::of(3)").is_err());
}

#[test]
fn a_row_that_is_wrong_is_found() {
    let recorder = sources("krx-recorder");
    let said = |bound, krate, constant| check(&recorder, bound, krate, constant).unwrap_err();
    assert!(said("33", "krx-recorder", "`ADDRESSES_MAX`").contains("says 33, and"));
    assert!(said("1 s", "krx-recorder", "`NO_SUCH_BOUND`").contains("has no NO_SUCH_BOUND"));
    assert!(said("8,192", "krx-store", "`BATCH_ROWS`").contains("write its module before it"));
    assert!(said("`rotate.rows`", "krx-recorder", "key").contains("is no key"));
}
