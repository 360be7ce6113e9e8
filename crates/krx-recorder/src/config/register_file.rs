//! A feed's own list of registrations, which `krx-recorder register` edits: one on each line, beside what its groups
//! list.
//!
//! ```text
//! # PRESET:CODE, then the kind of instruments unless it is a stock, then the items of preset change
//! tick10:005930
//! tick10:101N6000 derivatives
//! index:001
//! change:005930 trdPrc, accTrdvol
//! ```

use std::io;
use std::path::{Path, PathBuf};

use krx_protocol::per_issue::{Instruments, Pair, Preset, Wish};

use super::codes::check_code;
use super::list_file::{bounded, content, contents, parse};
use super::problem::{ConfigError, WrongFile};
use super::words::{check_item, instruments_of, preset_of};
use crate::sanitize::shorten;

/// A new text for such a file, to be checked before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The file.
    pub path: PathBuf,
    /// What it is to contain.
    pub text: String,
}

/// What is registered by the file, with the line of each; perhaps nothing. Of a file with a draft, the draft is read.
///
/// # Errors
/// [`ConfigError::Invalid`] if the file cannot be read, and [`ConfigError::Wrong`] with all lines that are wrong.
pub(super) fn read(key: &str, path: &Path, draft: Option<&Draft>) -> Result<Vec<(usize, Wish)>, ConfigError> {
    let bytes = match draft.filter(|draft| draft.path == path) {
        Some(draft) => bounded(draft.text.clone().into_bytes()),
        None => contents(path),
    };
    let bytes = bytes.map_err(|error| {
        let words = format!(
            "{}: {error}; create it (it may be empty; `krx-recorder register` creates it too), or remove \
             `register_file`",
            path.display()
        );
        ConfigError::invalid(key, words)
    })?;
    parse(&bytes, parse_line).map_err(|problems| {
        let name = Some(format!("the file of registrations {}", path.display()));
        ConfigError::Wrong(vec![WrongFile { name, problems }])
    })
}

/// The text of such a file, to be edited.
///
/// # Errors
/// As for any file, and for one that cannot be such a list.
pub(crate) fn list_text(path: &Path) -> io::Result<String> {
    String::from_utf8(contents(path)?).map_err(|_| io::Error::other("it is not UTF-8: save it as UTF-8"))
}

/// A preset and an issue code, as `tick10:005930`.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_pair(text: &str) -> Result<Pair, String> {
    let Some((preset, code)) = text.split_once(':') else {
        let text = shorten(text);
        return Err(format!(
            "{text:?} is not a preset and a code, such as \"tick10:005930\""
        ));
    };
    let preset = preset_of(preset)?;
    check_code(code)?;
    Ok(Pair {
        preset,
        code: code.to_owned(),
    })
}

fn parse_line(line: &str) -> Result<Wish, String> {
    let mut words = line
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .peekable();
    let pair = parse_pair(words.next().unwrap_or_default())?;
    let kind = words.next_if(|word| instruments_of(word).is_ok());
    let kind = kind.and_then(|word| instruments_of(word).ok());
    let items: Vec<_> = words.map(str::to_owned).collect();
    wish(pair, kind, items)
}

/// The wish for a pair, if the kind of instruments and the items fit its preset.
///
/// # Errors
/// What does not fit.
pub(crate) fn wish(pair: Pair, kind: Option<Instruments>, items: Vec<String>) -> Result<Wish, String> {
    let preset = pair.preset;
    let instruments = match (preset, kind) {
        (Preset::Index, None | Some(Instruments::Indices)) => Instruments::Indices,
        (Preset::Index, Some(other)) => {
            let other = other.as_str();
            return Err(format!(
                "{pair}: preset \"index\" is for indices, not for {other}"
            ));
        }
        (_, Some(Instruments::Indices)) => {
            return Err(format!("{pair}: indices have preset \"index\" only"));
        }
        (_, kind) => kind.unwrap_or_default(),
    };
    for item in &items {
        check_item(item).map_err(|words| format!("{pair}: {words}"))?;
    }
    match (preset, items.is_empty()) {
        (Preset::Change, true) => Err(format!(
            "{pair}: \"change\" needs items: the fields to be sent, such as trdPrc"
        )),
        (Preset::Change, false) | (_, true) => Ok(Wish {
            pair,
            instruments,
            items,
        }),
        (_, false) => {
            let items = items.join(", ");
            Err(format!(
                "{pair}: only preset \"change\" has items, so {items:?} has no meaning here"
            ))
        }
    }
}

/// A changed text of the file, and what was changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The new text.
    pub text: String,
    /// What has a line now.
    pub added: Vec<Pair>,
    /// What has none any more.
    pub removed: Vec<Pair>,
    /// What was to be added and was there, or to be removed and was not.
    pub unchanged: Vec<Pair>,
}

/// Removes the lines of pairs, and then adds a line for each wish that the text does not have. Other lines stay as they
/// are, with their comments.
pub(crate) fn edit(text: &str, add: &[Wish], remove: &[Pair]) -> Edit {
    let mut edit = Edit {
        text: String::with_capacity(text.len()),
        added: Vec::new(),
        removed: Vec::new(),
        unchanged: Vec::new(),
    };
    let mut listed = Vec::new();
    for line in text.split_inclusive('\n') {
        match pair_of(line).filter(|pair| remove.contains(pair)) {
            Some(pair) => note(&mut edit.removed, pair),
            None => {
                listed.extend(content(line).and_then(|entry| parse_line(entry).ok()));
                edit.text.push_str(line);
            }
        }
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    for wish in add {
        let is_same = |other: &&Wish| other.pair == wish.pair && other.instruments == wish.instruments;
        let same: Vec<&Wish> = listed.iter().filter(is_same).collect();
        let has_item = |item: &String| same.iter().any(|other| other.items.contains(item));
        if !same.is_empty() && wish.items.iter().all(has_item) {
            if !edit.added.contains(&wish.pair) {
                note(&mut edit.unchanged, wish.pair.clone());
            }
            continue;
        }
        if !edit.text.is_empty() && !edit.text.ends_with('\n') {
            edit.text.push_str(end);
        }
        edit.text.push_str(&line_of(wish));
        edit.text.push_str(end);
        listed.push(wish.clone());
        note(&mut edit.added, wish.pair.clone());
    }
    for pair in remove {
        if !edit.removed.contains(pair) && !edit.added.contains(pair) {
            note(&mut edit.unchanged, pair.clone());
        }
    }
    edit
}

fn note(pairs: &mut Vec<Pair>, pair: Pair) {
    if !pairs.contains(&pair) {
        pairs.push(pair);
    }
}

/// The pair on a line, even if the rest of the line is wrong.
fn pair_of(line: &str) -> Option<Pair> {
    let first = content(line)?
        .split(|c: char| c.is_whitespace() || c == ',')
        .next()?;
    parse_pair(first).ok()
}

fn line_of(wish: &Wish) -> String {
    let kind = match (wish.pair.preset, wish.instruments) {
        (_, Instruments::Stocks) | (Preset::Index, _) => None,
        (_, kind) => Some(kind.as_str()),
    };
    let pair = wish.pair.to_string();
    let words = [pair.as_str()].into_iter().chain(kind);
    let words = words.chain(wish.items.iter().map(String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(lines: &[&str]) -> Vec<Wish> {
        lines.iter().map(|line| parse_line(line).unwrap()).collect()
    }

    fn pairs(texts: &[&str]) -> Vec<Pair> {
        texts.iter().map(|text| parse_pair(text).unwrap()).collect()
    }

    fn names(pairs: &[Pair]) -> Vec<String> {
        pairs.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_line_is_read_as_it_is_written() {
        for line in [
            "tick10:005930",
            "quote10:101N6000 derivatives",
            "index:001",
            "change:005930 trdPrc accTrdvol",
            "change:201N6220*006 derivatives trdPrc",
        ] {
            assert_eq!(line_of(&parse_line(line).unwrap()), line);
        }
        for (line, same) in [
            ("tick10:005930 stocks", "tick10:005930"),
            ("index:001\tindices", "index:001"),
            (
                "change:005930  trdPrc,accTrdvol, trdTm",
                "change:005930 trdPrc accTrdvol trdTm",
            ),
        ] {
            assert_eq!(line_of(&parse_line(line).unwrap()), same);
        }
    }

    #[test]
    fn each_wrong_line_says_what_to_write() {
        for (line, expected) in [
            (
                "005930",
                "\"005930\" is not a preset and a code, such as \"tick10:005930\"",
            ),
            ("tick11:005930", "\"tick11\" must be one of \"tick\", \"quote\","),
            ("tick10:삼성전자", "\"삼성전자\" is not an issue code"),
            ("tick10: 005930", "\"\" is not an issue code"),
            (
                "index:001 stocks",
                "index:001: preset \"index\" is for indices, not for stocks",
            ),
            ("tick:001 indices", "tick:001: indices have preset \"index\" only"),
            ("change:005930", "change:005930: \"change\" needs items"),
            (
                "change:005930 trd-prc",
                "change:005930: \"trd-prc\" is not the name of a field",
            ),
            (
                "tick:005930 000660",
                "tick:005930: only preset \"change\" has items, so \"000660\"",
            ),
        ] {
            let words = parse_line(line).unwrap_err();
            assert!(words.starts_with(expected), "{line}: {words}");
        }
    }

    #[test]
    fn lines_are_removed_and_added_and_the_others_stay_as_they_are() {
        let text = "# mine\r\ntick10:005930  # Samsung\r\nthis is wrong\r\nquote10:000660\r\ntick10:005930\r\n\r\nindex:001";
        let found = edit(
            text,
            &wishes(&["tick10:035420", "index:001", "tick10:035420"]),
            &pairs(&["tick10:005930", "tick:005930"]),
        );
        assert_eq!(
            found.text,
            "# mine\r\nthis is wrong\r\nquote10:000660\r\n\r\nindex:001\r\ntick10:035420\r\n"
        );
        assert_eq!(names(&found.added), ["tick10:035420"]);
        assert_eq!(names(&found.removed), ["tick10:005930"]);
        assert_eq!(names(&found.unchanged), ["index:001", "tick:005930"]);
        // Again: nothing more changes.
        let again = edit(
            &found.text,
            &wishes(&["tick10:035420"]),
            &pairs(&["tick10:005930"]),
        );
        assert_eq!(again.text, found.text);
        assert_eq!(
            (again.added.len(), again.removed.len(), again.unchanged.len()),
            (0, 0, 2)
        );
        let first = edit("", &wishes(&["tick10:005930"]), &[]);
        assert_eq!(first.text, "tick10:005930\n");
        assert_eq!(edit(&first.text, &[], &pairs(&["tick10:005930"])).text, "");
    }

    #[test]
    fn a_wish_is_there_if_its_kind_and_all_its_items_are() {
        let text = "change:005930 trdPrc\nchange:005930 trdTm\ntick:101N6000\ntick10:000660 nonsense!\n";
        let added = |line: &str| names(&edit(text, &wishes(&[line]), &[]).added);
        assert_eq!(added("change:005930 trdTm trdPrc"), Vec::<String>::new());
        assert_eq!(added("change:005930 trdTm accTrdvol"), ["change:005930"]);
        assert_eq!(added("tick:101N6000 derivatives"), ["tick:101N6000"]);
        // What is wrong is replaced by being removed and added.
        let [wish] = &wishes(&["tick10:000660"])[..] else {
            panic!("one")
        };
        let found = edit(text, std::slice::from_ref(wish), std::slice::from_ref(&wish.pair));
        assert!(
            found.text.ends_with("tick:101N6000\ntick10:000660\n"),
            "{}",
            found.text
        );
        assert_eq!(
            (names(&found.added), names(&found.removed)),
            (vec!["tick10:000660".to_owned()], vec!["tick10:000660".to_owned()])
        );
    }
}
