//! The files that per-issue feeds name: of codes, and of registrations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use krx_protocol::per_issue::Wish;

use super::codes_file;
use super::file::Feed;
use super::problem::Problems;
use super::register_file::{self, Draft};

/// What the files contain, by their paths as written; `None` if a file is not good.
#[derive(Debug, Default)]
pub(super) struct Lists {
    codes: BTreeMap<PathBuf, Option<Vec<String>>>,
    registrations: BTreeMap<PathBuf, Option<Registrations>>,
}

/// A file of registrations.
#[derive(Debug)]
pub(super) struct Registrations {
    /// The file, resolved against the configuration's folder.
    pub(super) path: PathBuf,
    /// What it lists, with the line of each.
    pub(super) wishes: Vec<(usize, Wish)>,
}

impl Lists {
    /// Reads the files of these feeds, each once. Of a file with a draft, the draft is read.
    pub(super) fn read<'a>(
        feeds: impl Iterator<Item = &'a Feed>,
        draft: Option<&Draft>,
        problems: &mut Problems,
    ) -> Self {
        let mut lists = Self::default();
        for feed in feeds {
            lists.read_codes(feed, problems);
            lists.read_registrations(feed, draft, problems);
        }
        lists
    }

    fn read_codes(&mut self, feed: &Feed, problems: &mut Problems) {
        const KEY: &str = "feed.register.codes_file";
        let groups = feed.register.iter();
        for written in groups.filter_map(|group| group.get_ref().codes_file.as_ref()) {
            if self.codes.contains_key(written.get_ref()) {
                continue;
            }
            let path = problems.path_at(KEY, Some(written)).flatten();
            let read = path.map(|path| codes_file::read(KEY, &path));
            let codes = read.and_then(|read| problems.take_at(Some(&written.span()), read));
            self.codes.insert(written.get_ref().clone(), codes);
        }
    }

    fn read_registrations(&mut self, feed: &Feed, draft: Option<&Draft>, problems: &mut Problems) {
        const KEY: &str = "feed.register_file";
        let Some(written) = &feed.register_file else {
            return;
        };
        if self.registrations.contains_key(written.get_ref()) {
            let words = format!(
                "{KEY}: {} is another feed's too: give each feed its own, because `krx-recorder register` changes it for \
                 one feed",
                written.get_ref().display()
            );
            problems.note(&written.span(), words);
            return;
        }
        let path = problems.path_at(KEY, Some(written)).flatten();
        let read = path.and_then(|path| {
            let read = register_file::read(KEY, &path, draft);
            let wishes = problems.take_at(Some(&written.span()), read)?;
            Some(Registrations { path, wishes })
        });
        self.registrations.insert(written.get_ref().clone(), read);
    }

    /// The codes in a file.
    pub(super) fn codes(&self, written: &Path) -> Option<&Vec<String>> {
        self.codes.get(written)?.as_ref()
    }

    /// The registrations in a file.
    pub(super) fn registrations(&self, written: &Path) -> Option<&Registrations> {
        self.registrations.get(written)?.as_ref()
    }
}
