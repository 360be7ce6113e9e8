//! `[[feed.register]]` and `registrations_max`: what a per-issue feed registers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use krx_protocol::per_issue::{Instruments, Preset, WishGroup, WishList};
use toml::Spanned;

use super::codes::{Listed, check_code};
use super::codes_file;
use super::file::{Feed, Register, Texts};
use super::problem::{ConfigError, Problems};
use crate::sanitize::{clean, shorten};

/// Koscom allows so many in a session.
const REGISTRATIONS_MAX: usize = 200;

/// The longest name of a field in Koscom's guide has 21 characters.
const ITEM_CHARS_MAX: usize = 64;

/// What a feed of the per-issue service registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerIssueConfig {
    /// The most registrations that the server allows in a session, 1 to 200. `wishes` has no more.
    pub registrations_max: usize,
    /// What to register: at least one pair of a preset and a code, each once.
    pub wishes: WishList,
}

/// The codes in each file that a group names; `None` if the file is not good. By the path as written.
#[derive(Debug, Default)]
pub(super) struct CodesFiles(BTreeMap<PathBuf, Option<Vec<String>>>);

impl CodesFiles {
    /// Reads the files of these feeds, each once.
    pub(super) fn read<'a>(feeds: impl Iterator<Item = &'a Feed>, problems: &mut Problems) -> Self {
        const KEY: &str = "feed.register.codes_file";
        let mut files = BTreeMap::new();
        let groups = feeds.flat_map(|feed| &feed.register);
        for written in groups.filter_map(|group| group.get_ref().codes_file.as_ref()) {
            if files.contains_key(written.get_ref()) {
                continue;
            }
            let path = problems.path_at(KEY, Some(written)).flatten();
            let read = path.map(|path| codes_file::read(KEY, &path));
            let codes = read.and_then(|read| problems.take_at(Some(&written.span()), read));
            files.insert(written.get_ref().clone(), codes);
        }
        Self(files)
    }
}

/// A group, and where it and its codes are in the file.
struct Group {
    wish: WishGroup,
    /// The place of each code: its own, or that of `codes_file`.
    places: Vec<Range<usize>>,
    line: usize,
}

/// What the feed registers, if all of it is good.
pub(super) fn check_registrations(
    table: &Range<usize>,
    feed: &Feed,
    files: &CodesFiles,
    problems: &mut Problems,
) -> Option<PerIssueConfig> {
    let registrations_max = check_max(feed.registrations_max.as_ref(), problems);
    if feed.register.is_empty() {
        if !problems.is_excused("feed.register") {
            let words = "[[feed]]: nothing is registered: write [[feed.register]] below it, with `presets` and `codes`";
            problems.note(table, words);
        }
        return None;
    }
    let groups = feed.register.iter();
    let groups: Vec<_> = groups.map(|group| check_group(group, files, problems)).collect();
    let is_clear = check_kinds(groups.iter().flatten(), problems);
    let groups: Vec<Group> = groups.into_iter().collect::<Option<_>>()?;
    if !is_clear {
        return None;
    }
    let wishes = WishList::of(groups.iter().map(|group| &group.wish));
    let wishes = wishes.map_err(|error| ConfigError::invalid("feed.register", error.to_string()));
    let wishes = problems.take_at(Some(table), wishes)?;
    let registrations_max = registrations_max?;
    if wishes.len() > registrations_max {
        let name = feed.name.as_ref().map_or("this feed", |name| name.get_ref());
        let name = shorten(&clean(name));
        let words = format!("{name}: {}", too_many(&groups, wishes.len(), registrations_max));
        let place = feed
            .registrations_max
            .as_ref()
            .map_or(table.clone(), Spanned::span);
        problems.note(&place, words);
        return None;
    }
    Some(PerIssueConfig {
        registrations_max,
        wishes,
    })
}

fn check_max(written: Option<&Spanned<u64>>, problems: &mut Problems) -> Option<usize> {
    let Some(written) = written else {
        return Some(REGISTRATIONS_MAX);
    };
    let max = usize::try_from(*written.get_ref()).ok();
    let fits = max.filter(|max| (1..=REGISTRATIONS_MAX).contains(max));
    if fits.is_none() {
        let words = format!(
            "feed.registrations_max: {} must lie between 1 and {REGISTRATIONS_MAX}: Koscom allows no more in a session, \
             and 20 in the sandbox",
            written.get_ref()
        );
        problems.note(&written.span(), words);
    }
    fits
}

fn check_group(table: &Spanned<Register>, files: &CodesFiles, problems: &mut Problems) -> Option<Group> {
    let (span, group) = (table.span(), table.get_ref());
    let presets = check_presets(&span, group, problems);
    let known = group.instruments.as_ref();
    let known = known.map(|written| check_instruments(written, problems));
    let codes = check_codes(&span, group, files, problems);
    let items = group.items.as_ref().map(|items| check_items(items, problems));
    let presets = presets?;
    let has_items = check_need_of_items(&presets, group, problems);
    let instruments = match known {
        Some(None) => None,
        known => check_fit(&presets, known.flatten(), group, problems),
    };
    let (codes, places) = codes?.into_iter().unzip();
    has_items.then_some(())?;
    let wish = WishGroup {
        presets: presets.into_iter().map(|(preset, _)| preset).collect(),
        codes,
        instruments: instruments?,
        items: items.unwrap_or_else(|| Some(Vec::new()))?,
    };
    let line = problems.line(&span).unwrap_or_default();
    Some(Group { wish, places, line })
}

/// A preset and its place.
type Placed<T> = (T, Range<usize>);

fn check_presets(
    table: &Range<usize>,
    group: &Register,
    problems: &mut Problems,
) -> Option<Vec<Placed<Preset>>> {
    let written = problems.needed(table, "feed.register", "presets", group.presets.as_ref())?;
    if written.get_ref().is_empty() {
        if !problems.is_excused("feed.register.presets") {
            let words = format!(
                "feed.register.presets: is empty: write at least one of {}",
                presets()
            );
            problems.note(&written.span(), words);
        }
        return None;
    }
    let mut checked = Vec::new();
    for text in written.get_ref() {
        match text.get_ref().parse() {
            Ok(preset) => checked.push((preset, text.span())),
            Err(()) => {
                let words = format!(
                    "feed.register.presets: {:?} must be one of {}",
                    shorten(text.get_ref()),
                    presets()
                );
                problems.note(&text.span(), words);
            }
        }
    }
    (checked.len() == written.get_ref().len()).then_some(checked)
}

/// All presets, for a message.
fn presets() -> String {
    let words = Preset::ALL.map(|preset| format!("\"{preset}\""));
    words.join(", ")
}

fn check_instruments(written: &Spanned<String>, problems: &mut Problems) -> Option<Instruments> {
    let all = [
        Instruments::Stocks,
        Instruments::Derivatives,
        Instruments::Indices,
    ];
    let found = all.into_iter().find(|kind| kind.as_str() == written.get_ref());
    if found.is_none() {
        let words = format!(
            "feed.register.instruments: {:?} must be \"stocks\", \"derivatives\" or \"indices\"",
            shorten(written.get_ref())
        );
        problems.note(&written.span(), words);
    }
    found
}

/// Indices have the preset `index` and no other, and it is for nothing else.
fn check_fit(
    presets: &[Placed<Preset>],
    instruments: Option<Instruments>,
    group: &Register,
    problems: &mut Problems,
) -> Option<Instruments> {
    let index = presets.iter().find(|(preset, _)| *preset == Preset::Index);
    let other = presets.iter().find(|(preset, _)| *preset != Preset::Index);
    match (index, other, instruments) {
        (None, _, None | Some(Instruments::Stocks | Instruments::Derivatives)) => {
            Some(instruments.unwrap_or_default())
        }
        (Some(_), None, None | Some(Instruments::Indices)) => Some(Instruments::Indices),
        (_, Some((preset, place)), Some(Instruments::Indices)) => {
            let words =
                format!("feed.register.presets: indices have preset \"index\" only, not \"{preset}\"");
            problems.note(place, words);
            None
        }
        (Some((_, place)), Some(_), _) => {
            let words = "feed.register.presets: \"index\" is for indices, and the other presets are not: write a \
                         [[feed.register]] of its own for it";
            problems.note(place, words);
            None
        }
        _ => {
            let place = group.instruments.as_ref().map(Spanned::span);
            let words = "feed.register.instruments: preset \"index\" is for indices: write \"indices\", or remove the \
                         line";
            problems.note(&place.unwrap_or_default(), words);
            None
        }
    }
}

/// Each code with its place.
fn check_codes(
    table: &Range<usize>,
    group: &Register,
    files: &CodesFiles,
    problems: &mut Problems,
) -> Option<Vec<Placed<String>>> {
    let mut good = true;
    let mut codes = Vec::new();
    for text in group.codes.iter().flat_map(|codes| codes.get_ref()) {
        match check_code(text.get_ref()) {
            Ok(()) => codes.push((text.get_ref().clone(), text.span())),
            Err(problem) => {
                problems.note(&text.span(), format!("feed.register.codes: {problem}"));
                good = false;
            }
        }
    }
    if let Some(file) = &group.codes_file {
        let of_file = files.0.get(file.get_ref()).and_then(Option::as_ref);
        good &= of_file.is_some();
        let of_file = of_file.into_iter().flatten();
        codes.extend(of_file.map(|code| (code.clone(), file.span())));
    }
    let excused = ["feed.register.codes", "feed.register.codes_file"]
        .iter()
        .any(|key| problems.is_excused(key));
    if good && codes.is_empty() {
        if !excused {
            let (place, lack) = match &group.codes {
                Some(empty) => (empty.span(), "feed.register.codes: is empty"),
                None => (table.clone(), "[[feed.register]]: `codes` is missing"),
            };
            let words =
                format!("{lack}: write codes, such as [\"005930\"], or name a file of them as `codes_file`");
            problems.note(&place, words);
        }
        good = false;
    }
    good.then_some(codes)
}

fn check_items(written: &Texts, problems: &mut Problems) -> Option<Vec<String>> {
    let items = written.get_ref();
    if items.is_empty() && !problems.is_excused("feed.register.items") {
        let words =
            "feed.register.items: is empty: write the fields to be sent, such as [\"trdPrc\", \"accTrdvol\"]";
        problems.note(&written.span(), words);
    }
    let mut good = !items.is_empty();
    for item in items {
        let text = item.get_ref();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if (1..=ITEM_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_name) {
            continue;
        }
        let words = format!(
            "feed.register.items: {:?} is not the name of a field, such as \"trdPrc\"",
            shorten(text)
        );
        problems.note(&item.span(), words);
        good = false;
    }
    good.then(|| items.iter().map(|item| item.get_ref().clone()).collect())
}

/// Whether there are items if and only if preset `change` is there, which needs them.
fn check_need_of_items(presets: &[Placed<Preset>], group: &Register, problems: &mut Problems) -> bool {
    let change = presets.iter().find(|(preset, _)| *preset == Preset::Change);
    match (change, &group.items) {
        (Some((_, place)), None) => {
            if !problems.is_excused("feed.register.items") {
                let words = "feed.register.presets: \"change\" needs `items`: the fields to be sent, such as items = \
                             [\"trdPrc\", \"accTrdvol\"]";
                problems.note(place, words);
            }
            false
        }
        (None, Some(items)) => {
            let words = "feed.register.items: only preset \"change\" has items: remove the line, or add \"change\" to \
                         `presets`";
            problems.note(&items.span(), words);
            false
        }
        _ => true,
    }
}

/// Whether each code is of one kind, in all groups. A push does not say of which kind its issue is.
fn check_kinds<'a>(groups: impl Iterator<Item = &'a Group>, problems: &mut Problems) -> bool {
    let mut kinds = BTreeMap::new();
    let mut good = true;
    for Group { wish, places, line } in groups {
        let here = wish.instruments;
        // What each earlier group disagrees about, and where in this one.
        let mut conflicts: BTreeMap<usize, (Instruments, &Range<usize>, Vec<&str>)> = BTreeMap::new();
        for (code, place) in wish.codes.iter().zip(places) {
            let (first, at) = *kinds.entry(code.as_str()).or_insert((here, *line));
            if first != here {
                let (_, _, codes) = conflicts.entry(at).or_insert((first, place, Vec::new()));
                codes.push(code);
            }
        }
        good &= conflicts.is_empty();
        for (at, (first, place, codes)) in conflicts {
            let is = if codes.len() == 1 { "is" } else { "are" };
            let words = format!(
                "feed.register: {} {is} listed with {} here and with {} in the group on line {at}: write one \
                 or the other",
                Listed(&codes),
                here.as_str(),
                first.as_str(),
            );
            problems.note(place, words);
        }
    }
    good
}

/// How so many came about, and what to do.
fn too_many(groups: &[Group], count: usize, max: usize) -> String {
    let (mut listed, mut made) = (0, Vec::new());
    for Group { wish, line, .. } in groups {
        let (presets, codes) = (wish.presets.len(), wish.codes.len());
        let product = presets * codes;
        let makes = if made.is_empty() {
            format!("[[feed.register]] on line {line} makes {product}")
        } else {
            format!("on line {line} {product}")
        };
        let (presets, codes) = (counted(presets, "preset"), counted(codes, "code"));
        made.push(format!("{makes} ({presets} × {codes})"));
        listed += product;
    }
    let repeats = match listed - count {
        0 => String::new(),
        1 => "; 1 repeats another and does not count".to_owned(),
        more => format!("; {more} repeat others and do not count"),
    };
    let surplus = count - max;
    let remedy = if count <= REGISTRATIONS_MAX {
        "or write a larger registrations_max if Koscom allows you more"
    } else {
        "or give some to another feed with its own key"
    };
    format!(
        "{count} registrations, and registrations_max is {max}: {}{repeats}. Remove {surplus}, {remedy}",
        made.join(", ")
    )
}

/// A count with its noun.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
