//! The API key: read once, sent in `init`, and never shown.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::words;

/// A secret; its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// Where a key may come from, in this order.
#[derive(Clone, Debug, Default)]
pub struct KeySources {
    /// `koscom.api_key_file`.
    pub file: Option<PathBuf>,
    /// `$KRX_API_KEY`.
    pub environment: Option<String>,
    /// `$CREDENTIALS_DIRECTORY`, which systemd sets for `LoadCredential=`.
    pub credentials: Option<PathBuf>,
}

impl KeySources {
    /// The sources of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            environment: std::env::var("KRX_API_KEY").ok(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }
}

impl ApiKey {
    /// Reads the key from the first source that is set.
    ///
    /// # Errors
    /// [`ConfigError`], when no source is set, or the one that is has no key.
    pub fn read(sources: &KeySources) -> Result<Self, ConfigError> {
        if let Some(file) = &sources.file {
            return Self::from_file(file, "koscom.api_key_file");
        }
        if let Some(text) = &sources.environment {
            return Self::parse(text, "$KRX_API_KEY");
        }
        match sources.credentials.as_ref().map(|dir| dir.join("api-key")) {
            Some(file) if file.exists() => Self::from_file(&file, "the systemd credential api-key"),
            _ => Err(ConfigError::invalid(
                "koscom.api_key_file",
                "no API key: name a file in koscom.api_key_file, set $KRX_API_KEY, or load the systemd credential api-key",
            )),
        }
    }

    fn from_file(path: &Path, source: &str) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::invalid(source, format!("reading {}: {error}", path.display())))?;
        Self::parse(&text, source)
    }

    fn parse(text: &str, source: &str) -> Result<Self, ConfigError> {
        let key = text.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(ConfigError::invalid(
                source,
                "the API key must be one word; it is empty or has white space in it",
            ));
        }
        Ok(Self(key.to_owned()))
    }

    /// The `init` request with this key in it: as secret as the key.
    #[must_use]
    pub fn init_request(&self, member_name: &str) -> InitRequest {
        InitRequest {
            text: krx_protocol::init(&self.0, member_name),
            key: self.clone(),
        }
    }
}

/// The text of an `init` request; its `Debug` says nothing.
#[derive(Clone)]
pub struct InitRequest {
    text: String,
    key: ApiKey,
}

impl InitRequest {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What a server says, made fit for logs, ledger and status: short, on one line, and without the key, which a
    /// server may well repeat when it refuses it (I7).
    #[must_use]
    pub fn plain(&self, words: &str) -> String {
        words::shorten(&words::clean(words).replace(&self.key.0, "(the key)"))
    }
}

impl fmt::Debug for InitRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitRequest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_source_that_is_set_counts_and_i7_nothing_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api-key");
        fs::write(&file, "from-file\n").unwrap();
        let mut sources = KeySources {
            file: Some(file),
            environment: Some("from-environment".into()),
            credentials: Some(dir.path().into()),
        };
        assert_eq!(ApiKey::read(&sources).unwrap(), ApiKey("from-file".into()));
        sources.file = None;
        let key = ApiKey::read(&sources).unwrap();
        assert_eq!(key, ApiKey("from-environment".into()));
        assert!(!format!("{key:?} {:?}", key.init_request("x")).contains("from"));
        sources.environment = None;
        assert_eq!(ApiKey::read(&sources).unwrap(), ApiKey("from-file".into()));
        sources.credentials = None;
        assert!(
            ApiKey::read(&sources)
                .unwrap_err()
                .to_string()
                .contains("no API key")
        );
        sources.environment = Some("two words".into());
        assert!(
            !ApiKey::read(&sources)
                .unwrap_err()
                .to_string()
                .contains("two words")
        );
    }
}
