//! Whether a per-issue feed's registrations are on record, each pair in one state at a time (I11).

use super::finding::{Fault, Kind};
use super::listed::Listed;
use super::look::{Day, Looker};
use crate::dataset::REGISTRATIONS;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath};
use crate::registrations;

impl Looker<'_> {
    /// Looks at a feed's registrations. A file that cannot be read is reported elsewhere.
    pub(super) fn registrations(&self, feed: &FeedName, listed: &Listed, day: &mut Day) {
        let service = listed.service_of(self.data, feed);
        if !service.has_registrations || self.is_expired(service.primary()) || self.is_expired(&REGISTRATIONS)
        {
            return;
        }
        let path = CommittedPath {
            date: self.date,
            feed: feed.clone(),
            name: CommittedName::of_the_date(&REGISTRATIONS, self.date),
        };
        let path = path.to_string();
        if day.findings.iter().any(|finding| finding.path == path) {
            return;
        }
        let has_files = listed.files_of(feed, service.primary()).next().is_some();
        let fault = match registrations::load(self.data, feed, self.date) {
            Ok(None) if has_files => Fault::new(
                Kind::Missing,
                "it does not exist, although there are files of its feed and date; `rebuild` makes it from the archive"
                    .to_owned(),
            ),
            Ok(Some(log)) => match registrations::overlap(&log.stretches()) {
                Some(stretch) => Fault::new(
                    Kind::Coverage,
                    format!(
                        "{} is in two states at once from {} on; `rebuild` makes it again from the archive",
                        stretch.pair, stretch.from
                    ),
                ),
                None => return,
            },
            Ok(None) | Err(_) => return,
        };
        day.find(&path, self.date, fault);
    }
}
