//! Whether the derived rows of a date are what its trades give.

use super::finding::{Fault, Kind, finding, foreign_finding};
use super::look::{Day, Looker};
use crate::catalog;
use crate::date_file;
use crate::derived::{Checked, Derived, check};
use crate::error::StoreError;
use crate::layout::CommittedName;

impl Looker<'_> {
    /// Makes the derived rows of the date again, and compares. A date without them may have been sealed by an older version.
    pub(super) fn derived(&self, day: &mut Day) -> Result<(), StoreError> {
        for derived in Derived::ALL {
            let dataset = derived.dataset();
            let ours = CommittedName::of_the_date(dataset, self.date).to_string();
            for (name, is_dir) in catalog::entries(&self.data.date_dir(dataset, self.date))? {
                if is_dir || name != ours {
                    let path = format!("{dataset}/date={}/{name}", self.date);
                    day.findings.push(foreign_finding(path, Some(self.date)));
                }
            }
            let path = date_file::path(self.data, dataset, self.date);
            let path = self.data.relative(&path);
            let fault = match check(self.data, derived, self.date) {
                Ok(Checked::Nothing | Checked::NotSealed | Checked::Sound) => continue,
                Ok(Checked::NotComparable(why)) => {
                    let known = Fault::new(Kind::Derived, why);
                    day.known.push(finding(&path, self.date, known));
                    continue;
                }
                Ok(Checked::Wrong(what)) => Fault::new(Kind::Derived, what),
                Err(StoreError::NewerSchema { version, ours, .. }) => Fault::new(
                    Kind::Newer,
                    format!("its columns have version {version}, and this krx-recorder reads version {ours}"),
                ),
                // A damaged file of trades is reported where it is examined itself.
                Err(StoreError::Unsound { path: of, .. }) if !of.ends_with(&path) => continue,
                Err(StoreError::Unsound { what, .. }) => Fault::new(Kind::Derived, what),
                Err(error) => Fault::new(Kind::Unreadable, error.to_string()),
            };
            day.find(&path, self.date, fault);
        }
        Ok(())
    }
}
