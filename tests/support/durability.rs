//! Whether a recorder's system calls keep the order on which durability rests, relying on nothing from the filesystem
//! beyond what POSIX promises.
//!
//! | rule | says |
//! |---|---|
//! | D1 | before a journal segment is removed, the directory of every file that was renamed into a dataset is synced after the renaming |
//! | D2 | what is renamed into a dataset is synced after it was last written |
//! | D3 | after a sync of an open file failed, that open file is not synced again |
//! | D4 | before a journal segment is removed, the parent of every directory that was made is synced after the making |
//! | D5 | a journal segment is not synced a second time before the directory that it was renamed in |
//! | D6 | before a file is renamed into a dataset, the parent of every directory above it that was made is synced after the making |
//!
//! D1, D4 and D6 consider all runs together: a run that finds a file or a directory in place does not know whether its
//! name is on disk. D1 and D4 leave out the datasets with rows of all feeds: no segment holds what is in them, and other
//! threads write them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::strace::{Call, Log, Outcome, Step};

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// `D1` to `D6`.
    pub rule: &'static str,
    /// In words.
    pub what: String,
}

/// An open file: the descriptor, and how often it was assigned before.
type Open = (i64, u64);

#[derive(Default)]
struct State {
    /// New names, by the directory that must be synced, with the rule and the reason.
    unsynced: BTreeMap<String, Vec<(&'static str, String)>>,
    /// What a directory sync that has begun will make durable.
    syncing: BTreeMap<usize, Vec<(&'static str, String)>>,
    /// Staged files written to since they were last synced.
    dirty: BTreeSet<String>,
    opened: BTreeMap<i64, u64>,
    failed: BTreeSet<Open>,
    /// Segments whose names are not known to be on disk, and how often each was synced since.
    named: BTreeMap<String, u32>,
    broken: Vec<Broken>,
}

/// The datasets with rows of all feeds.
const OF_ALL_FEEDS: [&str; 4] = ["clock", "daily", "daily_derivatives", "bars_1m"];

/// Checks the logs of one data directory's runs, in order.
#[must_use]
pub fn check(logs: &[Log]) -> Vec<Broken> {
    let mut state = State::default();
    for log in logs {
        state.opened.clear();
        state.failed.clear();
        state.syncing.clear();
        state.named.clear();
        for step in &log.steps {
            match step {
                Step::Enter(index) => state.enter(*index, &log.calls[*index]),
                Step::Leave(index) => state.leave(*index, &log.calls[*index]),
            }
        }
    }
    state.broken
}

fn parent(path: &str) -> String {
    Path::new(path)
        .parent()
        .map(|dir| dir.display().to_string())
        .unwrap_or_default()
}

fn is_segment(path: &str) -> bool {
    path.contains("/.krx/journal/") && path.ends_with(".journal")
}

fn is_dataset(path: &str) -> bool {
    path.contains("/date=") && !path.contains("/.krx/")
}

/// Whether a path is, or is in, the directory of a dataset with rows of all feeds.
fn is_of_all_feeds(path: &str) -> bool {
    let mut names = Path::new(path).iter();
    names.any(|name| OF_ALL_FEEDS.iter().any(|dataset| name == *dataset))
}

fn making_of(path: &str) -> (&'static str, String) {
    ("D4", format!("the making of {path}"))
}

impl State {
    fn broke(&mut self, rule: &'static str, what: String) {
        self.broken.push(Broken { rule, what });
    }

    fn enter(&mut self, index: usize, call: &Call) {
        match call.call.as_str() {
            "unlink" | "unlinkat" => {
                let Some(path) = call.strings().last().copied().filter(|path| is_segment(path)) else {
                    return;
                };
                let market = Path::new(path).parent().and_then(Path::file_name);
                let market = market.unwrap_or_default().to_string_lossy();
                // What another market's thread is about to do does not concern this market's files.
                let partitions =
                    ["market", "feed"].map(|key| (format!("/{key}="), format!("/{key}={market}")));
                let ours = |text: &str| {
                    partitions
                        .iter()
                        .all(|(any, own)| !text.contains(any) || text.contains(own))
                };
                let left: Vec<_> = self
                    .unsynced
                    .iter()
                    .flat_map(|(dir, names)| names.iter().map(move |name| (name.clone(), dir.clone())))
                    .filter(|((_, name), dir)| ours(name) && ours(dir))
                    .filter(|((_, name), _)| !name.split(' ').any(is_of_all_feeds))
                    .collect();
                for ((rule, name), dir) in left {
                    self.broke(
                        rule,
                        format!("{path} is removed, and {dir} was not synced since {name}"),
                    );
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(names) = call.file().and_then(|file| self.unsynced.get(file)) {
                    self.syncing.insert(index, names.clone());
                }
                if let Some(file) = call.file()
                    && let Some(syncs) = self.named.get_mut(file)
                {
                    *syncs += 1;
                    if *syncs == 2 {
                        self.broke(
                            "D5",
                            format!("{file} is synced again before the directory that it was renamed in"),
                        );
                    }
                }
                let open = self.open(call);
                if let Some(open) = open
                    && self.failed.contains(&open)
                {
                    let file = call.file().unwrap_or_default();
                    self.broke("D3", format!("{file} is synced again, after a sync of it failed"));
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = names(call);
                if is_dataset(to) && self.dirty.contains(from) {
                    self.broke("D2", format!("{from} is renamed to {to} before it is synced"));
                }
                if is_dataset(to) {
                    for dir in Path::new(to)
                        .ancestors()
                        .skip(1)
                        .map(|dir| dir.display().to_string())
                    {
                        let names = self.unsynced.get(&parent(&dir));
                        if names.is_some_and(|names| names.contains(&making_of(&dir))) {
                            self.broke(
                                "D6",
                                format!(
                                    "{to} is named, and {} was not synced since the making of {dir}",
                                    parent(&dir)
                                ),
                            );
                        }
                    }
                }
            }
            "write" | "pwrite64" | "ftruncate" => {
                if let Some(file) = call.file().filter(|file| file.ends_with(".partial")) {
                    self.dirty.insert(file.to_owned());
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self, index: usize, call: &Call) {
        let done = matches!(call.outcome, Outcome::Done(value) if value >= 0);
        match call.call.as_str() {
            "open" | "openat" | "creat" => {
                if let Outcome::Done(descriptor) = call.outcome {
                    *self.opened.entry(descriptor).or_default() += 1;
                }
            }
            "fsync" | "fdatasync" => {
                let synced = self.syncing.remove(&index).unwrap_or_default();
                let Some(file) = call.file() else { return };
                if done {
                    self.dirty.remove(file);
                    if let Some(names) = self.unsynced.get_mut(file) {
                        names.retain(|name| !synced.contains(name));
                    }
                    self.unsynced.retain(|_, names| !names.is_empty());
                    self.named.retain(|segment, _| parent(segment) != file);
                } else if matches!(call.outcome, Outcome::Failed(_))
                    && let Some(open) = self.open(call)
                {
                    self.failed.insert(open);
                }
            }
            // A kill during the call leaves open whether the name exists; the next run will tell.
            "rename" | "renameat" | "renameat2" if done => {
                let (from, to) = names(call);
                self.dirty.remove(from);
                if is_segment(to) {
                    self.named.insert(to.to_owned(), 0);
                }
                if is_dataset(to) {
                    let what = ("D1", format!("the renaming to {to}"));
                    self.unsynced.entry(parent(to)).or_default().push(what);
                }
            }
            "mkdir" | "mkdirat" if done => {
                if let Some(path) = call.strings().last() {
                    self.unsynced
                        .entry(parent(path))
                        .or_default()
                        .push(making_of(path));
                }
            }
            _ => {}
        }
    }

    fn open(&self, call: &Call) -> Option<Open> {
        let descriptor = call.descriptor()?;
        Some((descriptor, self.opened.get(&descriptor).copied().unwrap_or(0)))
    }
}

fn names(call: &Call) -> (&str, &str) {
    let strings = call.strings();
    (
        strings.first().copied().unwrap_or(""),
        strings.last().copied().unwrap_or(""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/d/trades/date=2026-11-20/market=KOSPI";

    fn rules(lines: &[&str]) -> Vec<&'static str> {
        let text: String = lines
            .iter()
            .map(|line| format!("9<export-KOSPI> {line}\n"))
            .collect();
        check(&[Log::parse(&text)])
            .iter()
            .map(|broken| broken.rule)
            .collect()
    }

    #[test]
    fn each_rule_is_kept_or_broken() {
        let rename = format!("rename(\"/d/.krx/staging/t.partial\", \"{DIR}/trades-a.parquet\") = 0");
        let sync = format!("fsync(15<{DIR}>) = 0");
        let sync_fails = format!("fsync(15<{DIR}>) = -1 EIO (Input/output error)");
        let unlink = "unlink(\"/d/.krx/journal/KOSPI/00000001-20261120-000000000001.journal\") = 0";
        assert!(rules(&[&rename, &sync, unlink]).is_empty());
        assert_eq!(rules(&[&rename, unlink]), ["D1"]);
        assert_eq!(rules(&[&rename, &sync_fails, unlink]), ["D1"]);
        assert_eq!(rules(&[&sync, &rename, unlink]), ["D1"]);
        let other = unlink.replace("KOSPI", "KOSDAQ");
        assert!(
            rules(&[&rename, &other]).is_empty(),
            "another market's segment says nothing of this one's files"
        );
        assert!(rules(&[&rename, "unlink(\"/d/.krx/journal/KOSPI/spare-1\") = 0"]).is_empty());

        let write = "write(14</d/.krx/staging/t.partial>, \"\"..., 9) = 9";
        assert_eq!(rules(&[write, &rename, &sync]), ["D2"]);
        assert!(rules(&[write, "fsync(14</d/.krx/staging/t.partial>) = 0", &rename]).is_empty());

        let open = "openat(AT_FDCWD</>, \"/d/a.journal\", O_RDWR) = 13</d/a.journal>";
        let fails = "fdatasync(13</d/a.journal>) = -1 EIO (Input/output error) (INJECTED)";
        assert_eq!(rules(&[open, fails, "fdatasync(13</d/a.journal>) = 0"]), ["D3"]);
        assert!(
            rules(&[open, fails, open, "fdatasync(13</d/a.journal>) = 0"]).is_empty(),
            "it was opened anew"
        );

        let mkdir = "mkdir(\"/d/trades\", 0777) = 0";
        assert_eq!(rules(&[mkdir, unlink]), ["D4"]);
        assert!(rules(&[mkdir, "fsync(15</d>) = 0", unlink]).is_empty());
        assert_eq!(rules(&[mkdir, &rename, &sync]), ["D6"]);
        assert!(rules(&[mkdir, "fsync(15</d>) = 0", &rename, &sync]).is_empty());
    }

    #[test]
    fn a_segment_does_not_wait_for_datasets_that_it_holds_nothing_of() {
        let unlink = "unlink(\"/d/.krx/journal/KOSPI/00000001-20261120-000000000001.journal\") = 0";
        let mkdir = "mkdir(\"/d/clock/date=2026-11-20\", 0777) = 0";
        let rename =
            "rename(\"/d/.krx/staging/c.partial\", \"/d/clock/date=2026-11-20/clock-a.parquet\") = 0";
        assert!(rules(&[mkdir, unlink]).is_empty());
        assert!(rules(&[mkdir, "fsync(15</d/clock>) = 0", rename, unlink]).is_empty());
        assert_eq!(rules(&[mkdir, rename]), ["D6"]);
    }

    #[test]
    fn the_datasets_with_rows_of_all_feeds_are_those_of_the_store() {
        let names = krx_store::dataset::WHOLE_DATE.map(|dataset| dataset.name);
        assert_eq!(names, OF_ALL_FEEDS);
    }

    #[test]
    fn a_segment_counts_as_synced_only_with_its_directory() {
        let rename = "rename(\"/d/.krx/journal/KOSPI/spare-1\", \"/d/.krx/journal/KOSPI/a.journal\") = 0";
        let sync = "fdatasync(13</d/.krx/journal/KOSPI/a.journal>) = 0";
        assert!(rules(&[rename, sync, "fsync(15</d/.krx/journal/KOSPI>) = 0", sync, sync]).is_empty());
        assert_eq!(rules(&[rename, sync, sync, sync]), ["D5"]);
    }

    #[test]
    fn a_sync_counts_for_what_was_renamed_before_it_began() {
        let text = format!(
            "9<export-KOSPI> fsync(15<{DIR}> <unfinished ...>\n\
             8<export-KOSPI> rename(\"/d/.krx/staging/t.partial\", \"{DIR}/trades-a.parquet\") = 0\n\
             9<export-KOSPI> <... fsync resumed>) = 0\n\
             9<export-KOSPI> unlink(\"/d/.krx/journal/KOSPI/00000001-20261120-000000000001.journal\") = 0\n"
        );
        assert_eq!(check(&[Log::parse(&text)]).len(), 1);
    }
}
