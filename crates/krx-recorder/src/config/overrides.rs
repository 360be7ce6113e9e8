//! Values from the command line, which override the file's.

use std::path::PathBuf;

use super::problem::ConfigError;

/// Values from the command line, which override the file's.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--base-url`: for every feed.
    pub base_url: Option<String>,
    /// `--member-name`: for every feed.
    pub member_name: Option<String>,
    /// `--always`: every feed.
    pub always: bool,
}

/// The command line's value, or else the file's, with the name of its source.
pub(super) fn chosen<'a, T: ?Sized>(
    (flag, given): (&'a str, Option<&'a T>),
    (key, written): (&'a str, Option<&'a T>),
) -> Result<(&'a str, &'a T), ConfigError> {
    match (given, written) {
        (Some(given), _) => Ok((flag, given)),
        (None, Some(written)) => Ok((key, written)),
        (None, None) => Err(ConfigError::invalid(
            key,
            format!("is missing: write it into the configuration, or give {flag}"),
        )),
    }
}
