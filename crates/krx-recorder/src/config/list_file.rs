//! A file that people edit and that has one entry on each line: UTF-8, `#` begins a comment, blank lines do not count.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::problem::Problem;

/// Room for far more entries than a feed can register. A file that is longer is some other file.
const LIST_FILE_BYTES_MAX: u64 = 1 << 20;

/// Wrong lines of a file that are reported.
const WRONG_LINES_MAX: usize = 20;

/// The file's content. A pipe or a device, which could keep the reader waiting, is refused.
pub(super) fn contents(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LIST_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    bounded(bytes)
}

/// The content, unless it is too long for such a list.
pub(super) fn bounded(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if bytes.len() as u64 > LIST_FILE_BYTES_MAX {
        return Err(io::Error::other(
            "it is longer than 1 MiB, so it cannot be such a list",
        ));
    }
    Ok(bytes)
}

/// What `entry` makes of each line that has an entry, with the line's number; or what is wrong with which lines.
pub(super) fn parse<T>(
    bytes: &[u8],
    mut entry: impl FnMut(&str) -> Result<T, String>,
) -> Result<Vec<(usize, T)>, Vec<Problem>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        vec![Problem {
            line: Some(line),
            words: "this is not UTF-8: save the file as UTF-8".to_owned(),
        }]
    })?;
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let Some(content) = content(line) else {
            continue;
        };
        match entry(content) {
            Ok(entry) => entries.push((index + 1, entry)),
            Err(words) => problems.push(Problem {
                line: Some(index + 1),
                words,
            }),
        }
    }
    if problems.is_empty() {
        return Ok(entries);
    }
    let more = problems.len().saturating_sub(WRONG_LINES_MAX);
    problems.truncate(WRONG_LINES_MAX);
    if more > 0 {
        let words = format!("{more} more lines are wrong");
        problems.push(Problem { line: None, words });
    }
    Err(problems)
}

/// The entry on a line, if it has one.
pub(super) fn content(line: &str) -> Option<&str> {
    // Some editors begin a file with a byte order mark.
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let content = line.split('#').next().unwrap_or_default().trim();
    (!content.is_empty()).then_some(content)
}
