//! What is wrong with a configuration: all of it at once, each with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::Spanned;

/// Checks that a path is neither empty nor relative to a home directory.
pub(super) fn check_path(key: &str, path: &Path) -> Result<PathBuf, ConfigError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::invalid(
            key,
            "is empty: write a path, or remove the line",
        ));
    }
    if path.as_os_str().as_encoded_bytes().starts_with(b"~") {
        let problem = format!(
            "{path:?}: only a shell expands `~` to a home directory; write the whole path, such as /home/NAME/…"
        );
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(path.to_owned())
}

/// What is wrong with the configuration, where, and what to write instead.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A value is invalid.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key's path, or the source of the value.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Everything that is wrong with the configuration and with the calendar file it names.
    #[error("{}", text_of(.0))]
    Wrong(Vec<WrongFile>),
}

impl ConfigError {
    pub(crate) fn invalid(key: &str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.to_owned(),
            problem: problem.into(),
        }
    }

    /// The message on one line, for a log.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        let text = self.to_string();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        lines.join(" | ")
    }
}

/// One file, and what is wrong with it.
#[derive(Debug)]
pub struct WrongFile {
    /// What to call the file in messages; `None` if there are only values from the command line.
    pub name: Option<String>,
    /// In order of their lines; problems without a line come last.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line it is on, from 1; `None` for missing keys and for values from the command line.
    pub line: Option<usize>,
    /// The key, what is wrong, and what to write.
    pub words: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl fmt::Display for WrongFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.problems.as_slice()) {
            (None, [problem]) => write!(f, "{problem}"),
            (Some(name), [problem]) => match problem.line {
                Some(_) => write!(f, "{name}, {problem}"),
                None => write!(f, "{name}: {problem}"),
            },
            (name, problems) => {
                match name {
                    Some(name) => write!(f, "{name} has {} errors:", problems.len())?,
                    None => write!(f, "{} errors:", problems.len())?,
                }
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

fn text_of(files: &[WrongFile]) -> String {
    let files: Vec<_> = files.iter().map(ToString::to_string).collect();
    files.join("\n")
}

/// Collects what is wrong with one file. Knows the line of each key.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Where each line after the first begins.
    line_starts: Vec<usize>,
    lines: BTreeMap<String, usize>,
    found: Vec<Problem>,
    /// What is wrong with other files.
    others: Vec<WrongFile>,
    name: Option<String>,
    /// The file's folder, against which its relative paths are resolved.
    folder: PathBuf,
    /// Keys that are missing because of a problem already noted.
    excused: Vec<String>,
    /// Whether the text is not TOML, so that a missing key means nothing.
    broken: bool,
}

impl Problems {
    /// No problems yet, in a file with this text.
    pub(super) fn of(text: &str) -> Self {
        Self {
            line_starts: text.match_indices('\n').map(|(at, _)| at + 1).collect(),
            ..Self::default()
        }
    }

    /// Names the configuration at `path` as the file these problems are in.
    pub(super) fn of_configuration(mut self, path: &Path) -> Self {
        self.name = Some(format!("the configuration {}", path.display()));
        self.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        self
    }

    /// Sets what to call the file in messages.
    pub(super) fn named(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// The path given for this key, if any, resolved against the file's own folder. Returns `None` and notes the
    /// problem if the path is invalid.
    pub(super) fn path(&mut self, key: &str, written: Option<&Path>) -> Option<Option<PathBuf>> {
        let checked = written.map(|path| check_path(key, path)).transpose();
        let path = self.take(checked)?;
        Some(path.map(|path| self.folder.join(path)))
    }

    /// Like [`path`](Self::path), for a key that may appear in several tables: problems are noted at its place.
    pub(super) fn path_at(
        &mut self,
        key: &str,
        written: Option<&Spanned<PathBuf>>,
    ) -> Option<Option<PathBuf>> {
        let Some(written) = written else {
            return Some(None);
        };
        let path = self.take_at(Some(&written.span()), check_path(key, written.get_ref()))?;
        Some(Some(self.folder.join(path)))
    }

    /// Whether the file has this key.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// The line of a place in the text; `None` for a value that does not come from the file.
    pub(super) fn line(&self, span: &Range<usize>) -> Option<usize> {
        let is_default = *span == (0..0);
        (!is_default).then(|| 1 + self.line_starts.partition_point(|start| *start <= span.start))
    }

    /// A value that each of several tables must have. If it is missing, notes that at the table.
    pub(super) fn needed<T>(
        &mut self,
        table: &Range<usize>,
        name: &str,
        key: &str,
        value: Option<T>,
    ) -> Option<T> {
        if value.is_none() && !self.is_excused(&format!("{name}.{key}")) {
            self.note(table, format!("[[{name}]]: `{key}` is missing"));
        }
        value
    }

    /// Problems with this key are reported at this place from now on.
    pub(super) fn locate(&mut self, key: String, span: &Range<usize>) {
        if let Some(line) = self.line(span) {
            self.lines.insert(key, line);
        }
    }

    /// Notes a problem at a place.
    pub(super) fn note(&mut self, span: &Range<usize>, words: impl Into<String>) {
        self.push(self.line(span), words.into());
    }

    fn push(&mut self, line: Option<usize>, words: String) {
        if !self.broken {
            self.found.push(Problem { line, words });
        }
    }

    /// If this key, or a key in this table, is missing, a problem already noted explains it.
    pub(super) fn excuse(&mut self, key: String) {
        self.excused.push(key);
    }

    /// Notes nothing more from now on.
    pub(super) fn break_off(&mut self) {
        self.broken = true;
    }

    /// Whether a problem already noted explains why this key is missing.
    pub(super) fn is_excused(&self, key: &str) -> bool {
        self.excused.iter().any(|excused| {
            let rest = key.strip_prefix(excused.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The value; or `None`, with a note of the problem at the line of its key.
    pub(super) fn take<T>(&mut self, checked: Result<T, ConfigError>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(ConfigError::Invalid { key, problem }) => {
                let line = self.lines.get(&key).copied();
                if line.is_some() || !self.is_excused(&key) {
                    self.push(line, format!("{key}: {problem}"));
                }
                None
            }
            Err(ConfigError::Wrong(files)) => {
                self.others.extend(files);
                None
            }
            Err(other) => {
                self.push(None, other.to_string());
                None
            }
        }
    }

    /// Like [`take`](Self::take), but notes the problem at `place`, for a key that may appear in several tables.
    pub(super) fn take_at<T>(
        &mut self,
        place: Option<&Range<usize>>,
        checked: Result<T, ConfigError>,
    ) -> Option<T> {
        match (checked, place) {
            (Err(ConfigError::Invalid { key, problem }), Some(place)) => {
                self.note(place, format!("{key}: {problem}"));
                None
            }
            (checked, _) => self.take(checked),
        }
    }

    /// The value if nothing was wrong; otherwise all problems.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, ConfigError> {
        if let Some(value) = value.filter(|_| self.found.is_empty() && self.others.is_empty()) {
            return Ok(value);
        }
        self.found
            .sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        // A wrong value that several feeds take from one table is reported once.
        let mut seen = Vec::new();
        self.found.retain(|problem| {
            let is_new = !seen.contains(problem);
            seen.extend(is_new.then(|| problem.clone()));
            is_new
        });
        let mut files = Vec::new();
        if !self.found.is_empty() {
            files.push(WrongFile {
                name: self.name,
                problems: self.found,
            });
        }
        files.append(&mut self.others);
        Err(ConfigError::Wrong(files))
    }
}
