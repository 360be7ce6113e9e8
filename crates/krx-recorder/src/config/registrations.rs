//! `[[feed.register]]`, `register_file` and `registrations_max`: what a per-issue feed registers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use krx_protocol::per_issue::{Instruments, Preset, Wish, WishGroup, WishList};
use toml::Spanned;

use super::codes::{Listed, check_code};
use super::file::{Feed, Register, Texts};
use super::lists::{Lists, Registrations};
use super::problem::{ConfigError, Problems};
use super::words::{check_item, instruments_of, preset_of, presets};
use crate::sanitize::{clean, shorten};

/// Koscom allows so many in a session.
const REGISTRATIONS_MAX: usize = 200;

/// What a feed of the per-issue service registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerIssueConfig {
    /// The most registrations that the server allows in a session, 1 to 200. `wishes` has no more.
    pub registrations_max: usize,
    /// What to register: at least one pair of a preset and a code, each once.
    pub wishes: WishList,
}

/// Codes that are listed together, and where they are in the configuration.
struct Group {
    wish: WishGroup,
    /// The place of each code: its own, or that of the file's name.
    places: Vec<Range<usize>>,
    whence: Whence,
}

/// Where codes are listed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whence {
    /// `[[feed.register]]` on this line.
    Table(usize),
    /// `register_file`.
    File(PathBuf),
}

impl fmt::Display for Whence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(line) => write!(f, "in the group on line {line}"),
            Self::File(file) => write!(f, "in {}", file.display()),
        }
    }
}

/// What the feed registers, if all of it is good.
pub(super) fn check_registrations(
    table: &Range<usize>,
    feed: &Feed,
    files: &Lists,
    problems: &mut Problems,
) -> Option<PerIssueConfig> {
    let registrations_max = check_max(feed.registrations_max.as_ref(), problems);
    let written = feed.register_file.as_ref();
    let of_file = written.map(|written| (written, files.registrations(written.get_ref())));
    let (file, is_file_good) = match of_file {
        Some((written, of_file)) => (of_file.map(|of_file| (written, of_file)), of_file.is_some()),
        None => (None, true),
    };
    let lists_something = file.is_some_and(|(_, of_file)| !of_file.wishes.is_empty());
    if feed.register.is_empty() && is_file_good && !lists_something {
        if !problems.is_excused("feed.register") && !problems.is_excused("feed.register_file") {
            problems.note(table, nothing_listed(file.map(|(_, of_file)| of_file)));
        }
        return None;
    }
    let groups = feed.register.iter();
    let groups: Vec<_> = groups.map(|group| check_group(group, files, problems)).collect();
    let of_file = file.map_or_else(Vec::new, kinds_of_file);
    let is_clear = check_kinds(groups.iter().flatten().chain(&of_file), problems);
    let groups: Vec<Group> = groups.into_iter().collect::<Option<_>>()?;
    if !is_clear || !is_file_good {
        return None;
    }
    let mut all: Vec<_> = groups.iter().map(|group| group.wish.clone()).collect();
    all.extend(file.into_iter().flat_map(|(_, of_file)| groups_of_file(of_file)));
    let wishes = WishList::of(&all);
    let wishes = wishes.map_err(|error| ConfigError::invalid("feed.register", error.to_string()));
    let wishes = problems.take_at(Some(table), wishes)?;
    let registrations_max = registrations_max?;
    if wishes.len() > registrations_max {
        let name = feed.name.as_ref().map_or("this feed", |name| name.get_ref());
        let name = shorten(&clean(name));
        let words = format!(
            "{name}: {}",
            too_many(&groups, file, wishes.len(), registrations_max)
        );
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

/// What is to be said of a feed that registers nothing.
fn nothing_listed(file: Option<&Registrations>) -> String {
    let remedy = "write [[feed.register]] below it, with `presets` and `codes`";
    match file {
        None => format!("[[feed]]: nothing is registered: {remedy}"),
        Some(file) => {
            let file = file.path.display();
            format!("[[feed]]: nothing is registered: {file} is empty; list something there, or {remedy}")
        }
    }
}

/// Each line of a file as a group.
fn groups_of_file(of_file: &Registrations) -> impl Iterator<Item = WishGroup> {
    let group = |(_, wish): &(usize, Wish)| WishGroup {
        presets: vec![wish.pair.preset],
        codes: vec![wish.pair.code.clone()],
        instruments: wish.instruments,
        items: wish.items.clone(),
    };
    of_file.wishes.iter().map(group)
}

/// The codes of a file, a group for each kind.
fn kinds_of_file((written, of_file): (&Spanned<PathBuf>, &Registrations)) -> Vec<Group> {
    let mut kinds: BTreeMap<Instruments, WishGroup> = BTreeMap::new();
    for (_, wish) in &of_file.wishes {
        let group = kinds.entry(wish.instruments).or_default();
        group.instruments = wish.instruments;
        group.codes.push(wish.pair.code.clone());
    }
    let group = |wish: WishGroup| Group {
        places: vec![written.span(); wish.codes.len()],
        wish,
        whence: Whence::File(written.get_ref().clone()),
    };
    kinds.into_values().map(group).collect()
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

fn check_group(table: &Spanned<Register>, files: &Lists, problems: &mut Problems) -> Option<Group> {
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
    let whence = Whence::Table(problems.line(&span).unwrap_or_default());
    Some(Group { wish, places, whence })
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
        match preset_of(text.get_ref()) {
            Ok(preset) => checked.push((preset, text.span())),
            Err(words) => problems.note(&text.span(), format!("feed.register.presets: {words}")),
        }
    }
    (checked.len() == written.get_ref().len()).then_some(checked)
}

fn check_instruments(written: &Spanned<String>, problems: &mut Problems) -> Option<Instruments> {
    let found = instruments_of(written.get_ref());
    found
        .map_err(|words| problems.note(&written.span(), format!("feed.register.instruments: {words}")))
        .ok()
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
    files: &Lists,
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
        let of_file = files.codes(file.get_ref());
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
        if let Err(words) = check_item(text) {
            problems.note(&item.span(), format!("feed.register.items: {words}"));
            good = false;
        }
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
    for Group { wish, places, whence } in groups {
        let here = wish.instruments;
        // What each earlier group disagrees about, and where in this one.
        let mut conflicts: BTreeMap<&Whence, (Instruments, &Range<usize>, Vec<&str>)> = BTreeMap::new();
        for (code, place) in wish.codes.iter().zip(places) {
            let (first, at) = *kinds.entry(code.as_str()).or_insert((here, whence));
            if first != here {
                let (_, _, codes) = conflicts.entry(at).or_insert((first, place, Vec::new()));
                codes.push(code);
            }
        }
        good &= conflicts.is_empty();
        let this = match whence {
            Whence::Table(_) => "here".to_owned(),
            Whence::File(_) => whence.to_string(),
        };
        for (at, (first, place, codes)) in conflicts {
            let is = if codes.len() == 1 { "is" } else { "are" };
            let words = format!(
                "feed.register: {} {is} listed with {} {this} and with {} {at}: write one or the other",
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
fn too_many(
    groups: &[Group],
    file: Option<(&Spanned<PathBuf>, &Registrations)>,
    count: usize,
    max: usize,
) -> String {
    let (mut listed, mut made) = (0, Vec::new());
    for Group { wish, whence, .. } in groups {
        let (presets, codes) = (wish.presets.len(), wish.codes.len());
        let product = presets * codes;
        let Whence::Table(line) = whence else {
            continue;
        };
        let makes = if made.is_empty() {
            format!("[[feed.register]] on line {line} makes {product}")
        } else {
            format!("on line {line} {product}")
        };
        let (presets, codes) = (counted(presets, "preset"), counted(codes, "code"));
        made.push(format!("{makes} ({presets} × {codes})"));
        listed += product;
    }
    if let Some((written, of_file)) = file {
        let lines = of_file.wishes.len();
        made.push(format!("{} lists {lines}", written.get_ref().display()));
        listed += lines;
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
