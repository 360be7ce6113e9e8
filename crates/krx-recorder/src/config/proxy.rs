//! The configured proxy, with its user and password.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::http::header::HeaderValue;
use tokio_tungstenite::tungstenite::http::{Uri, uri};

use super::key::mask;
use super::problem::ConfigError;

/// What `[connection]` says about a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// Nothing: the environment decides.
    #[default]
    Environment,
    /// `proxy = "none"`: always connect directly.
    None,
    /// `proxy = "http://…"`.
    Url(Uri),
}

impl ProxySetting {
    /// Reads `connection.proxy`.
    ///
    /// # Errors
    /// [`ConfigError`], if it is not the URL of a proxy.
    pub fn parse(text: Option<&str>) -> Result<Self, ConfigError> {
        const KEY: &str = "connection.proxy";
        match text {
            None => Ok(Self::Environment),
            Some("none") => Ok(Self::None),
            Some(text) => {
                if text.contains('@') {
                    return Err(ConfigError::invalid(
                        KEY,
                        "must not contain a user and password: write user:password to a file, and name that in \
                         connection.proxy_credentials_file",
                    ));
                }
                let url: Uri = text.parse().map_err(|_| not_a_proxy(KEY))?;
                check_scheme(KEY, &url)?;
                Proxy::of(&url, None, KEY)?;
                Ok(Self::Url(url))
            }
        }
    }
}

/// The error that `key` does not name a proxy.
pub(crate) fn not_a_proxy(key: &str) -> ConfigError {
    ConfigError::invalid(
        key,
        "is not the URL of a proxy, such as \"http://proxy.example.com:3128\"",
    )
}

/// Checks that this kind of proxy is supported.
pub(crate) fn check_scheme(key: &str, url: &Uri) -> Result<(), ConfigError> {
    match url.scheme_str() {
        None | Some("http") => Ok(()),
        Some(scheme) => {
            let advice = if key.starts_with('$') {
                "; or set connection.proxy = \"none\" to connect without one"
            } else {
                ""
            };
            Err(ConfigError::invalid(
                key,
                format!(
                    "names a {scheme}:// proxy, but only http:// is supported (CONNECT, through which TLS to the \
                     service runs end to end){advice}"
                ),
            ))
        }
    }
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    credentials: Option<Credentials>,
    /// The key or variable that names it.
    source: String,
}

/// A user and password for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The `Proxy-Authorization` header.
    authorization: HeaderValue,
    /// In plain text, `user:password` and the password alone: a proxy may repeat either.
    secrets: [String; 2],
}

impl Proxy {
    /// The proxy at `url`; `source` is the key or variable that names it.
    pub(crate) fn of(url: &Uri, credentials: Option<Credentials>, source: &str) -> Result<Self, ConfigError> {
        let host = url.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| not_a_proxy(source))?;
        // The parser silently drops an invalid port.
        if url
            .authority()
            .is_some_and(|of| of.port().is_some_and(|port| port.as_u16() == 0) || has_odd_port(of))
        {
            return Err(ConfigError::invalid(
                source,
                "has an invalid port: write 1 to 65535",
            ));
        }
        if url.path().len() > 1 || url.query().is_some() {
            return Err(not_a_proxy(source));
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            // curl's own default is 1080, which nobody expects; this is the scheme's default.
            port: url.port_u16().unwrap_or(80),
            credentials,
            source: source.to_owned(),
        })
    }

    /// The `Proxy-Authorization` header.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.credentials.as_ref().map(|of| &of.authorization)
    }

    /// Where a person should look for its user and password.
    pub(crate) fn place_of_credentials(&self) -> &str {
        let is_file = !self.source.starts_with('$');
        if is_file { CREDENTIALS_KEY } else { &self.source }
    }

    /// What a proxy says, without any password that it repeats.
    pub(crate) fn plain(&self, words: &str) -> String {
        let secrets = self.credentials.iter().flat_map(|of| &of.secrets);
        // A shorter one would match ordinary words.
        let secrets = secrets.filter(|secret| secret.len() >= SECRET_CHARS_MIN);
        secrets.fold(words.to_owned(), |words, secret| {
            mask(&words, [secret.as_str()], "(the password)")
        })
    }
}

/// Where it is and what names it; never its password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{} ({})", authority(&self.host, self.port), self.source)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

const SECRET_CHARS_MIN: usize = 4;

/// The configuration key that names the file with a proxy's user and password.
pub(crate) const CREDENTIALS_KEY: &str = "connection.proxy_credentials_file";

/// Checks that a file holds a proxy's user and password; the error says what is wrong.
pub(crate) fn check_credentials_file(path: &Path) -> Result<(), String> {
    read_credentials(path).map(drop)
}

/// Reads a proxy's user and password from a file; the error says what is wrong.
pub(crate) fn read_credentials(path: &Path) -> Result<Credentials, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Credentials::parse(&text)
        .ok_or_else(|| format!("{}: it must contain one line, user:password", path.display()))
}

impl Credentials {
    /// Parses the `user:password` (RFC 7617) of a file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        let password = text.split_once(':').map(|(_, password)| password);
        match password {
            Some(password) if !text.contains(char::is_control) => Some(Self {
                secrets: [text.to_owned(), password.to_owned()],
                authorization: sensitive(&format!("Basic {}", STANDARD.encode(text))),
            }),
            _ => None,
        }
    }

    /// The credentials from an environment variable.
    pub(crate) fn of_header(authorization: &HeaderValue) -> Self {
        let encoded = authorization
            .to_str()
            .unwrap_or_default()
            .trim_start_matches("Basic ");
        let text = STANDARD.decode(encoded).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let password = text
            .split_once(':')
            .map_or("", |(_, password)| password)
            .to_owned();
        Self {
            secrets: [text, password],
            authorization: sensitive(authorization.to_str().unwrap_or_default()),
        }
    }
}

fn sensitive(value: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(value).expect("Base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// Whether the host is followed by something other than a port.
pub(crate) fn has_odd_port(authority: &uri::Authority) -> bool {
    let text = authority.as_str();
    let behind_host = text.rsplit_once(']').map_or(text, |(_, rest)| rest);
    behind_host.contains(':') && authority.port_u16().is_none()
}

/// A host and port as written in a URL.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
