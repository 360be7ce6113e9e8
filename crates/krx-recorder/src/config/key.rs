//! The API keys: read once, sent in `init`, never shown.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use krx_store::FeedName;

use super::problem::ConfigError;
use crate::sanitize::{clean, shorten};

mod mask;

pub(crate) use mask::mask;

/// Long enough for any token a gateway issues.
const KEY_BYTES_MAX: usize = 4096;

/// A secret; its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// Where a key may come from, in order of precedence.
#[derive(Clone, Default)]
pub struct KeySources {
    /// The feed whose own key this is; `None` for the common key, which feeds without their own use.
    pub feed: Option<FeedName>,
    /// `koscom.api_key_file`, or `feed.api_key_file`.
    pub file: Option<PathBuf>,
    /// `$KRX_API_KEY`, or `$KRX_API_KEY_NAME`.
    pub environment: Option<String>,
    /// `$CREDENTIALS_DIRECTORY`, which systemd sets for `LoadCredential=`. The credential is `api-key` or
    /// `api-key-NAME`.
    pub credentials: Option<PathBuf>,
}

impl fmt::Debug for KeySources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySources({}…)", self.named("api-key", '-'))
    }
}

impl KeySources {
    /// This process's sources of the common key.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self::with(None, file)
    }

    /// This process's sources of a feed's own key.
    #[must_use]
    pub fn of_feed(feed: &FeedName, file: Option<PathBuf>) -> Self {
        Self::with(Some(feed.clone()), file)
    }

    fn with(feed: Option<FeedName>, file: Option<PathBuf>) -> Self {
        let sources = Self {
            feed,
            file,
            environment: None,
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        };
        let environment = std::env::var(sources.named("KRX_API_KEY", '_')).ok();
        Self {
            environment,
            ..sources
        }
    }

    /// The name of a source, followed by the feed's if there is one.
    fn named(&self, name: &str, joint: char) -> String {
        match &self.feed {
            Some(feed) => format!("{name}{joint}{feed}"),
            None => name.to_owned(),
        }
    }

    /// The credential, if there is one.
    fn credential(&self) -> Option<PathBuf> {
        let file = self.credentials.as_ref()?.join(self.named("api-key", '-'));
        file.exists().then_some(file)
    }

    /// Whether any source is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.file.is_some() || self.environment.is_some() || self.credential().is_some()
    }
}

/// A warning if every user can read a file that holds a secret.
#[must_use]
pub(crate) fn exposed(secret: &Path) -> Option<String> {
    let mode = fs::metadata(secret).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        format!(
            "every user of this machine can read {} (mode {:03o}): chmod it to 640 or 600",
            secret.display(),
            mode & 0o777
        )
    })
}

impl ApiKey {
    /// Reads the key from the first source that is set.
    ///
    /// # Errors
    /// [`ConfigError`], if no source is set, or the first that is set has no valid key.
    pub fn read(sources: &KeySources) -> Result<Self, ConfigError> {
        if let Some(file) = &sources.file {
            let key = match &sources.feed {
                Some(feed) => &format!("feed.api_key_file of {feed}"),
                None => "koscom.api_key_file",
            };
            return Self::from_file(file, key);
        }
        if let Some(text) = &sources.environment {
            return Self::parse(text, &format!("${}", sources.named("KRX_API_KEY", '_')));
        }
        match sources.credential() {
            Some(file) => {
                let name = sources.named("api-key", '-');
                Self::from_file(&file, &format!("the systemd credential {name}"))
            }
            None => Err(ConfigError::invalid(
                "koscom.api_key_file",
                "no API key: name a file in koscom.api_key_file, set $KRX_API_KEY, or load the systemd \
                 credential api-key",
            )),
        }
    }

    fn from_file(path: &Path, source: &str) -> Result<Self, ConfigError> {
        let unreadable =
            |error: String| ConfigError::invalid(source, format!("reading {}: {error}", path.display()));
        let metadata = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
        // Reading a pipe could block, and a device may never end.
        if !metadata.is_file() {
            return Err(unreadable("it is not a regular file".to_owned()));
        }
        let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            unreadable(format!("byte {} is not valid UTF-8; write the key again", at + 1))
        })?;
        Self::parse(&text, source)
    }

    /// A key is one word of visible ASCII characters. White space around it and a byte order mark before it are
    /// ignored.
    fn parse(text: &str, source: &str) -> Result<Self, ConfigError> {
        const BYTE_ORDER_MARK: char = '\u{feff}';
        let invalid = |problem: String| ConfigError::invalid(source, problem);
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let key = unmarked.trim();
        if key.is_empty() {
            return Err(invalid("the API key is empty".to_owned()));
        }
        // Count positions as an editor showing the whole text does.
        let before = text.chars().count() - unmarked.trim_start().chars().count();
        if let Some((at, odd)) = key.chars().enumerate().find(|(_, c)| !c.is_ascii_graphic()) {
            let what = if odd.is_ascii() {
                format!("{odd:?}")
            } else {
                format!("U+{:04X}", u32::from(odd))
            };
            return Err(invalid(format!(
                "character {} of the API key is {what}, but a key is one word of visible ASCII characters",
                before + at + 1
            )));
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(invalid(format!(
                "the API key has {} characters; at most {KEY_BYTES_MAX} are allowed",
                key.len()
            )));
        }
        Ok(Self(key.to_owned()))
    }

    /// The `init` request with this key, when it is the only one. As secret as the key.
    #[must_use]
    pub fn init_request(&self, member_name: &str) -> InitRequest {
        Keys::of([self.clone()]).init_request(self, member_name)
    }
}

/// All keys in use. Whatever a server says is masked against every one of them, since a server of several feeds may
/// name another feed's key.
#[derive(Clone, Debug)]
pub struct Keys(Arc<[ApiKey]>);

impl Keys {
    /// These keys without duplicates.
    #[must_use]
    pub fn of(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let mut distinct = Vec::new();
        for key in keys {
            if !distinct.contains(&key) {
                distinct.push(key);
            }
        }
        Self(distinct.into())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The index of a key among them.
    #[must_use]
    pub fn position(&self, key: &ApiKey) -> Option<usize> {
        self.0.iter().position(|known| known == key)
    }

    /// The `init` request with one of them. As secret as the key.
    #[must_use]
    pub fn init_request(&self, key: &ApiKey, member_name: &str) -> InitRequest {
        InitRequest {
            text: krx_protocol::init(&key.0, member_name),
            keys: self.clone(),
        }
    }
}

/// The text of an `init` request; its `Debug` says nothing.
#[derive(Clone)]
pub struct InitRequest {
    text: String,
    keys: Keys,
}

impl InitRequest {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Makes what a server says fit for logs, ledger and status: short, on one line, and without any key, since a
    /// server may well repeat the key it refuses (I7).
    #[must_use]
    pub fn plain(&self, words: &str) -> String {
        let keys = self.keys.0.iter().map(|key| key.0.as_str());
        shorten(&mask(&clean(words), keys, "(the key)"))
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
    fn the_first_source_set_is_used_and_i7_nothing_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api-key");
        fs::write(&file, "from-file\n").unwrap();
        let mut sources = KeySources {
            feed: None,
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

    #[test]
    fn a_feeds_own_sources_override_the_common_ones() {
        let dir = tempfile::tempdir().unwrap();
        let sources = |feed: Option<&str>| KeySources {
            feed: feed.map(|feed| feed.parse().unwrap()),
            credentials: Some(dir.path().into()),
            ..KeySources::default()
        };
        fs::write(dir.path().join("api-key"), "common").unwrap();
        assert!(sources(None).is_set() && !sources(Some("KOSPI")).is_set());
        fs::write(dir.path().join("api-key-KOSPI"), "own").unwrap();
        let mut own = sources(Some("KOSPI"));
        assert!(own.is_set() && !sources(Some("KOSDAQ")).is_set());
        assert_eq!(ApiKey::read(&own).unwrap(), ApiKey("own".into()));
        own.environment = Some("two words".into());
        let error = ApiKey::read(&own).unwrap_err().to_string();
        assert!(error.starts_with("$KRX_API_KEY_KOSPI: "), "{error}");
        own.file = Some(dir.path().join("none"));
        let error = ApiKey::read(&own).unwrap_err().to_string();
        assert!(
            error.starts_with("feed.api_key_file of KOSPI: reading "),
            "{error}"
        );
        assert!(!format!("{own:?}").contains("two words"));
    }

    #[test]
    fn i7_every_key_is_masked_whichever_feed_received_it() {
        let key = |text: &str| ApiKey(text.into());
        let keys = Keys::of([key("qzx-1"), key("qzx-12-abc"), key("qzx-1"), key("7391-kkw")]);
        assert_eq!((keys.count(), keys.position(&key("7391-kkw"))), (3, Some(2)));
        let init = keys.init_request(&key("qzx-1"), "x");
        assert_eq!(
            init.plain("bad keys: qzx-1, QZX-12-ABC and 7391%2Dkkw!"),
            "bad keys: (the key), (the key) and (the key)!"
        );
        // A key that begins where another ends.
        assert_eq!(init.plain("qzx-12-abc7391-kkw"), "(the key)(the key)");
        assert!(!format!("{keys:?} {init:?}").contains("qzx"));
    }

    #[test]
    fn i7_an_invalid_character_is_named_by_its_position() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api-key");
        let sources = KeySources {
            file: Some(file.clone()),
            ..KeySources::default()
        };
        let read = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            ApiKey::read(&sources).map_err(|error| error.to_string())
        };
        for good in ["k3y", "\u{feff}k3y\n", "\u{feff} k3y \r\n\n", "\tk3y"] {
            assert_eq!(read(good.as_bytes()), Ok(ApiKey("k3y".into())), "{good:?}");
        }
        for (bad, expected) in [
            ("k3y\u{200b}\n", "character 4 of the API key is U+200B"),
            ("\u{feff}k\u{a0}3y", "character 3 of the API key is U+00A0"),
            ("\u{feff}\u{feff}k3y", "character 2 of the API key is U+FEFF"),
            (" k3y\0", "character 5 of the API key is '\\0'"),
            ("k3 y", "character 3 of the API key is ' '"),
            ("k3\ny", "character 3 of the API key is '\\n'"),
            ("k3\u{ff59}", "character 3 of the API key is U+FF59"),
            ("\u{feff}\n", "the API key is empty"),
            ("", "the API key is empty"),
            (&"k".repeat(5000), "has 5000 characters"),
        ] {
            let error = read(bad.as_bytes()).unwrap_err();
            assert!(
                error.contains(expected) && !error.contains("k3"),
                "{bad:?}: {error}"
            );
        }
        let pipe = KeySources {
            file: Some("/dev/zero".into()),
            ..KeySources::default()
        };
        assert!(
            ApiKey::read(&pipe)
                .unwrap_err()
                .to_string()
                .contains("it is not a regular file")
        );
        let error = read(b"k3y\xff").unwrap_err();
        assert!(error.contains("byte 4 is not valid UTF-8"), "{error}");
        // As editors on Windows may write it.
        let utf16: Vec<u8> = "\u{feff}k3y".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(read(&utf16).is_err());
    }

    #[test]
    fn i7_a_world_readable_file_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api-key");
        fs::write(&file, "k3y").unwrap();
        for (mode, is_exposed) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(exposed(&file).is_some(), is_exposed, "{mode:o}");
        }
        assert_eq!(exposed(&dir.path().join("none")), None);
    }
}
