//! Reads as much of a TOML file as it can: it notes each problem and still reads the rest.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::problem::Problems;

/// The tables and keys that a file may have. The file itself is the table without a name.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The keys of each table; a nested table has both names, as in `feed.schedule`.
    pub(super) keys: Vec<(&'static str, Vec<&'static str>)>,
    /// The arrays of tables, such as `[[feed]]`, each with its plural for messages.
    pub(super) arrays: &'static [(&'static str, &'static str)],
}

impl Shape {
    fn keys_of(&self, table: &str) -> Option<&[&'static str]> {
        let found = self.keys.iter().find(|(name, _)| *name == table);
        found.map(|(_, keys)| keys.as_slice())
    }

    /// The key that an unknown one was probably meant to be. It may also be in the wrong table, so all tables are
    /// searched.
    fn nearest(&self, table: &str, unknown: &str) -> Option<String> {
        let neighbours = self
            .keys
            .iter()
            .flat_map(|(table, keys)| keys.iter().map(move |key| (*table, *key)));
        let likeness = |(of, key): &(&str, &str)| {
            let elsewhere = if *of == table { 0.0 } else { 0.1 };
            strsim::jaro_winkler(unknown, key) - elsewhere
        };
        // Words less alike than this have nothing in common.
        const LIKENESS_MIN: f64 = 0.7;
        let nearest = neighbours
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .filter(|nearest| likeness(nearest) >= LIKENESS_MIN);
        nearest.map(|(table, key)| path(table, key))
    }
}

fn path(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

/// Reads as much of `text` as it can, and notes what it had to leave out.
pub(super) fn read<T: DeserializeOwned + Default>(shape: &Shape, text: &str) -> (T, Problems) {
    let mut problems = Problems::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        problems.note(&error.span().unwrap_or(0..0), error.message());
    }
    // Whatever follows a line that is not TOML would be blamed for it.
    if errors
        .iter()
        .any(|error| !error.message().starts_with("duplicate key"))
    {
        problems.break_off();
        return (T::default(), problems);
    }
    let span = root.span();
    let mut root = DeValue::Table(root.into_inner());
    if let DeValue::Table(table) = &mut root {
        mend_shapes(shape, "", table, &mut problems);
        drop_unknown(shape, "", table, &mut problems);
    }
    loop {
        let DeValue::Table(table) = root.clone() else {
            return (T::default(), problems);
        };
        let error = match T::deserialize(Deserializer::from(Spanned::new(span.clone(), table))) {
            Ok(value) => return (value, problems),
            Err(error) => error,
        };
        let at = error.span().unwrap_or(0..0);
        let place = remove_at(&mut root, &at, "");
        let words = plain(error.message());
        let Some(key) = place else {
            problems.note(&at, words);
            return (T::default(), problems);
        };
        let missing = error
            .message()
            .strip_prefix("missing field `")
            .map(|field| path(key.trim_matches(['[', ']']), field.trim_end_matches('`')));
        // A mistyped key is reported already, and explains the missing one.
        if !missing.is_some_and(|missing| problems.is_excused(&missing)) {
            problems.note(&at, format!("{key}: {words}"));
        }
        problems.excuse(key);
    }
}

/// Reads `[feed]` for `[[feed]]`, or the other way round, as what was meant.
fn mend_shapes(shape: &Shape, table: &str, root: &mut DeTable<'_>, problems: &mut Problems) {
    for (name, value) in root.iter_mut() {
        let (at, name) = (name.span(), path(table, name.get_ref()));
        let several = shape.arrays.iter().find(|(array, _)| *array == name);
        let is_table = shape.keys_of(&name).is_some();
        let span = value.span();
        match (value.get_mut(), several) {
            (table @ DeValue::Table(_), Some((_, what))) => {
                problems.note(
                    &at,
                    format!("[{name}]: write [[{name}]], in double brackets: there can be several {what}"),
                );
                let mut array = DeArray::new();
                array.push(Spanned::new(span, table.clone()));
                *table = DeValue::Array(array);
            }
            (array @ DeValue::Array(_), None) if is_table => {
                problems.note(
                    &at,
                    format!("[[{name}]]: write [{name}], in single brackets, and only once"),
                );
                let first = array.as_array().and_then(|array| array.first());
                *array = first
                    .map(|first| first.get_ref().clone())
                    .filter(DeValue::is_table)
                    .unwrap_or_else(|| DeValue::Table(DeTable::new()));
            }
            (DeValue::Array(_) | DeValue::Table(_), _) => {}
            (scalar, several) if is_table => {
                let brackets = match several {
                    Some(_) => format!("[[{name}]]"),
                    None => format!("[{name}]"),
                };
                problems.note(
                    &at,
                    format!("{name}: this is a table: write {brackets}, and its keys on the lines below"),
                );
                *scalar = match several {
                    Some(_) => DeValue::Array(DeArray::new()),
                    None => DeValue::Table(DeTable::new()),
                };
            }
            _ => {}
        }
        for table in tables_in(value.get_mut()) {
            mend_shapes(shape, &name, table, problems);
        }
    }
}

/// The table itself, or the tables of an array.
fn tables_in<'a, 'i>(value: &'a mut DeValue<'i>) -> Vec<&'a mut DeTable<'i>> {
    match value {
        DeValue::Table(table) => vec![table],
        DeValue::Array(array) => {
            let tables = array.iter_mut().filter_map(|item| match item.get_mut() {
                DeValue::Table(table) => Some(table),
                _ => None,
            });
            tables.collect()
        }
        _ => Vec::new(),
    }
}

/// Notes and removes unknown keys, and records where the known ones are.
fn drop_unknown(shape: &Shape, name: &str, table: &mut DeTable<'_>, problems: &mut Problems) {
    keep_known(shape, name, table, problems);
    for (key, value) in table.iter_mut() {
        let name = path(name, key.get_ref());
        for table in tables_in(value.get_mut()) {
            drop_unknown(shape, &name, table, problems);
        }
    }
}

fn keep_known(shape: &Shape, name: &str, table: &mut DeTable<'_>, problems: &mut Problems) {
    let Some(known) = shape.keys_of(name) else {
        return;
    };
    for (key, value) in std::mem::take(table) {
        if known.contains(&key.get_ref().as_ref()) {
            problems.locate(path(name, key.get_ref()), &key.span());
            table.insert(key, value);
        } else {
            let nearest = shape.nearest(name, key.get_ref());
            let hint = match &nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "no known key resembles it".to_owned(),
            };
            let words = format!("unknown key `{}`; {hint}", path(name, key.get_ref()));
            problems.note(&key.span(), words);
            nearest.into_iter().for_each(|nearest| problems.excuse(nearest));
        }
    }
}

/// Removes the innermost value at this place and returns its path.
fn remove_at(value: &mut DeValue<'_>, at: &Range<usize>, name: &str) -> Option<String> {
    let holds = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    match value {
        DeValue::Table(table) => {
            for (key, value) in table.iter_mut() {
                let inner = path(name, key.get_ref());
                if let Some(found) = remove_at(value.get_mut(), at, &inner) {
                    return Some(found);
                }
            }
            let mut found = None;
            for (key, value) in std::mem::take(table) {
                if found.is_none() && holds(value.span()) {
                    found = Some(path(name, key.get_ref()));
                } else {
                    table.insert(key, value);
                }
            }
            found
        }
        DeValue::Array(array) => {
            for value in array.iter_mut() {
                if let Some(found) = remove_at(value.get_mut(), at, name) {
                    return Some(found);
                }
            }
            let wrong = array.iter().position(|value| holds(value.span()))?;
            let mut rest = DeArray::new();
            for (index, value) in std::mem::replace(array, DeArray::new()).into_iter().enumerate() {
                if index != wrong {
                    rest.push(value);
                }
            }
            *array = rest;
            Some(format!("[[{name}]]"))
        }
        _ => None,
    }
}

/// What serde says, for somebody who knows TOML but not Rust.
fn plain(message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    [
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a string in quotes"),
        ("expected path string", "expected a path in quotes"),
    ]
    .into_iter()
    .fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}
