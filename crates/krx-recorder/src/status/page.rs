//! The page for people: one document that contains its style and scripts.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page.html");
/// The page's style.
pub(crate) const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");
const NEWEST: &str = include_str!("newest.js");

/// The page as it is sent.
pub(super) struct Page {
    html: String,
    /// Only the style and the scripts in the page itself are allowed, by their digests.
    policy: String,
}

impl Page {
    pub(super) fn new() -> Self {
        let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
        Self {
            html: HTML
                .replace("/*page.css*/", CSS)
                .replace("/*page.js*/", JS)
                .replace("/*newest.js*/", NEWEST),
            policy: format!(
                "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}' 'sha256-{}'; connect-src 'self'; \
                 img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                digest(CSS),
                digest(JS),
                digest(NEWEST)
            ),
        }
    }

    pub(super) fn response(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, &self.policy),
        ];
        (headers, self.html.clone()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_complete_in_itself() {
        let page = Page::new();
        assert!([CSS, JS, NEWEST].iter().all(|part| page.html.contains(part)));
        assert!(
            !page.html.contains("/*page.") && !page.html.contains("/*newest."),
            "a placeholder is left"
        );
        // A script must not be able to close its own element, nor load anything from elsewhere.
        for forbidden in [
            "</script",
            "</style",
            "innerHTML",
            "http://",
            "https://",
            "import(",
        ] {
            let script = format!("{JS}{NEWEST}").replace("http://www.w3.org/2000/svg", "");
            assert!(
                !script.contains(forbidden) && !CSS.contains(forbidden),
                "{forbidden}"
            );
        }
        for forbidden in ["src=", "<link rel=\"stylesheet", "style=\"", "onclick"] {
            assert!(!HTML.contains(forbidden), "{forbidden}");
        }
    }
}
