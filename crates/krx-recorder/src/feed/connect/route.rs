//! The route to a service: direct, or through a proxy (HTTP CONNECT). If a proxy is set but not used, the log names it.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use tokio_tungstenite::tungstenite::http::{Uri, uri};

use crate::config::problem::ConfigError;
use crate::config::proxy::{Credentials, Proxy, ProxySetting, check_scheme, not_a_proxy};

/// The environment variables that name proxies, in order of precedence.
#[derive(Clone, Default)]
pub struct ProxyVariables {
    /// Name and value of those that are set and not empty.
    pub set: Vec<(&'static str, String)>,
}

/// Upper case before lower case, as curl reads them.
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl ProxyVariables {
    /// This process's variables.
    #[must_use]
    pub fn of_process() -> Self {
        let names = [HTTPS, HTTP, ALL, NO].concat();
        let set = names
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)));
        Self {
            set: set.filter(|(_, value)| !value.is_empty()).collect(),
        }
    }

    fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| {
            let (name, value) = self.set.iter().find(|(set, _)| set == name)?;
            Some((*name, value.as_str()))
        })
    }
}

/// The route to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A direct connection.
    Direct {
        /// For the log: a proxy that is set but not used, and why not.
        passed_over: Option<String>,
    },
    /// Through a proxy.
    Through(Proxy),
}

impl Route {
    /// The route to `service` (`ws://` or `wss://`). `credentials` come from a file.
    ///
    /// # Errors
    /// [`ConfigError`], if a proxy is set that cannot be used.
    pub(super) fn to(
        service: &Uri,
        setting: &ProxySetting,
        credentials: Option<&Credentials>,
        variables: &ProxyVariables,
    ) -> Result<Self, ConfigError> {
        match setting {
            ProxySetting::None => Ok(Self::Direct { passed_over: None }),
            ProxySetting::Url(url) => {
                Proxy::of(url, credentials.cloned(), "connection.proxy").map(Self::Through)
            }
            ProxySetting::Environment => Self::by_environment(service, credentials, variables),
        }
    }

    fn by_environment(
        service: &Uri,
        credentials: Option<&Credentials>,
        variables: &ProxyVariables,
    ) -> Result<Self, ConfigError> {
        let is_secure = service.scheme_str() == Some("wss");
        let names = if is_secure {
            [HTTPS, ALL].concat()
        } else {
            [HTTP, ALL].concat()
        };
        let Some((name, value)) = variables.first(&names) else {
            // The other scheme's variable does not apply, but is still named.
            let other = variables.first(if is_secure { &HTTP } else { &HTTPS });
            return Ok(Self::Direct {
                passed_over: other.map(|(name, _)| {
                    let scheme = if is_secure { "wss" } else { "ws" };
                    format!("${name} is set, but does not apply to {scheme}://")
                }),
            });
        };
        let host = service.host().unwrap_or_default();
        if is_loopback(host) {
            return Ok(Self::Direct {
                passed_over: Some(format!("${name} is set, but {host} is this machine")),
            });
        }
        let source = format!("${name}");
        let asked = uri::Builder::new()
            .scheme("https")
            .authority(service.authority().map_or(host, |authority| authority.as_str()))
            .path_and_query("/")
            .build()
            .map_err(|_| not_a_proxy(&source))?;
        let (no_name, no) = variables.first(&NO).unwrap_or_default();
        let found = Matcher::builder().https(value).build().intercept(&asked);
        let Some(intercept) = found else {
            return Err(not_a_proxy(&source));
        };
        if Matcher::builder()
            .https(value)
            .no(no)
            .build()
            .intercept(&asked)
            .is_none()
        {
            return Ok(Self::Direct {
                passed_over: Some(format!("{source} is set, but ${no_name} excludes {host}")),
            });
        }
        let url = intercept.uri();
        check_scheme(&source, url)?;
        let credentials = match (credentials, intercept.basic_auth()) {
            (Some(credentials), _) => Some(credentials.clone()),
            (None, Some(authorization)) => Some(Credentials::of_header(authorization)),
            (None, None) => None,
        };
        Proxy::of(url, credentials, &source).map(Self::Through)
    }
}

/// For the log.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { .. } => f.write_str("direct"),
            Self::Through(proxy) => write!(f, "through the proxy {proxy}"),
        }
    }
}

/// Whether this is our own machine, which no proxy leads to.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::proxy::check_credentials_file;

    const WSS: &str = "wss://feed.example.com/ws_ksp";

    fn route(
        service: &str,
        setting: Option<&str>,
        credentials: Option<&str>,
        set: &[(&'static str, &str)],
    ) -> Result<Route, String> {
        let set = set
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let setting = ProxySetting::parse(setting).map_err(|error| error.to_string())?;
        let service = service.parse().unwrap();
        let credentials = credentials.map(|text| Credentials::parse(text).unwrap());
        Route::to(&service, &setting, credentials.as_ref(), &ProxyVariables { set })
            .map_err(|error| error.to_string())
    }

    fn words(route: Result<Route, String>) -> String {
        match route {
            Ok(Route::Direct {
                passed_over: Some(why),
            }) => format!("direct: {why}"),
            Ok(route) => route.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn the_setting_overrides_the_environment() {
        let set = [("HTTPS_PROXY", "http://other:1")];
        assert_eq!(words(route(WSS, Some("none"), None, &set)), "direct");
        assert_eq!(
            words(route(WSS, Some("http://proxy.example.com:3128"), None, &set)),
            "through the proxy http://proxy.example.com:3128 (connection.proxy)"
        );
        assert_eq!(
            words(route(WSS, Some("http://[2001:db8::1]"), None, &[])),
            "through the proxy http://[2001:db8::1]:80 (connection.proxy)"
        );
    }

    #[test]
    fn the_usual_variables_work_as_in_curl() {
        let through = |name: &str| format!("through the proxy http://proxy:3128 ({name})");
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let found = words(route(WSS, None, None, &[(name, "http://proxy:3128")]));
            assert_eq!(found, through(&format!("${name}")));
        }
        let both = [("ALL_PROXY", "http://all:1"), ("https_proxy", "proxy:3128")];
        assert_eq!(words(route(WSS, None, None, &both)), through("$https_proxy"));
        let plain = "ws://feed.example.com:9887/";
        assert_eq!(
            words(route(plain, None, None, &[("http_proxy", "http://proxy:3128")])),
            through("$http_proxy")
        );
        assert_eq!(words(route(WSS, None, None, &[])), "direct");
    }

    #[test]
    fn a_proxy_that_is_set_but_not_used_is_named() {
        let proxy = ("HTTPS_PROXY", "http://proxy:3128");
        for no in ["example.com", ".example.com", "*", "10.0.0.0/8, feed.example.com"] {
            assert_eq!(
                words(route(WSS, None, None, &[proxy, ("NO_PROXY", no)])),
                "direct: $HTTPS_PROXY is set, but $NO_PROXY excludes feed.example.com"
            );
        }
        assert!(matches!(
            route(WSS, None, None, &[proxy, ("no_proxy", "ample.com")]),
            Ok(Route::Through(_))
        ));
        assert_eq!(
            words(route(WSS, None, None, &[("http_proxy", "http://proxy:3128")])),
            "direct: $http_proxy is set, but does not apply to wss://"
        );
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let found = words(route(&format!("wss://{host}:9/"), None, None, &[proxy]));
            assert!(found.ends_with("is this machine"), "{found}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        for (name, value, expected) in [
            (
                "HTTPS_PROXY",
                "socks5://proxy:1080",
                "$HTTPS_PROXY: names a socks5:// proxy",
            ),
            ("HTTPS_PROXY", "https://proxy:1080", "connection.proxy = \"none\""),
            ("all_proxy", "http://", "$all_proxy: is not the URL of a proxy"),
        ] {
            let found = words(route(WSS, None, None, &[(name, value)]));
            assert!(
                found.starts_with("error: ") && found.contains(expected),
                "{found}"
            );
        }
        for (value, expected) in [
            ("", "is not the URL"),
            ("http://", "is not the URL"),
            ("http://proxy:99999", "an invalid port"),
            ("http://proxy:", "an invalid port"),
            ("http://proxy:0", "an invalid port"),
            ("http://proxy:3128/a", "is not the URL"),
            ("http://us:secret#w@proxy", "connection.proxy_credentials_file"),
            ("socks5://proxy", "only http:// is supported"),
            (
                "http://user:secret@proxy:3128",
                "connection.proxy_credentials_file",
            ),
        ] {
            let found = words(route(WSS, Some(value), None, &[]));
            assert!(
                found.contains(expected) && !found.contains("secret"),
                "{value:?}: {found}"
            );
        }
    }

    #[test]
    fn i7_credentials_are_sent_and_never_shown() {
        let authorization = |route: Result<Route, String>| match route {
            Ok(Route::Through(proxy)) => {
                let shown = format!("{proxy:?} {proxy} {:?}", proxy.authorization());
                assert!(!shown.contains("open") && !shown.contains("QWxh"), "{shown}");
                proxy
                    .authorization()
                    .map(|value| value.to_str().unwrap().to_owned())
            }
            other => panic!("{other:?}"),
        };
        let expected = Some("Basic QWxhZGRpbjpvcGVuc2VzYW1l".to_owned());
        let url = Some("http://proxy:3128");
        assert_eq!(
            authorization(route(WSS, url, Some("Aladdin:opensesame\n"), &[])),
            expected
        );
        assert_eq!(authorization(route(WSS, url, None, &[])), None);
        let set = [("HTTPS_PROXY", "http://Aladdin:open%73esame@proxy:3128")];
        assert_eq!(authorization(route(WSS, None, None, &set)), expected);
        let other = authorization(route(WSS, None, Some("a:b"), &set));
        assert_eq!(other, Some("Basic YTpi".to_owned()));
        let file = tempfile::NamedTempFile::new().unwrap();
        for wrong in ["", "secret", "a:b\nc:d"] {
            std::fs::write(file.path(), wrong).unwrap();
            let found = check_credentials_file(file.path()).unwrap_err();
            assert!(
                found.contains("one line, user:password") && !found.contains("secret"),
                "{found}"
            );
        }
        std::fs::write(file.path(), "\u{feff}Aladdin:opensesame\r\n").unwrap();
        assert_eq!(check_credentials_file(file.path()), Ok(()));
    }
}
