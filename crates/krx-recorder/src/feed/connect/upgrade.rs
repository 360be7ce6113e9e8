//! The WebSocket handshake (RFC 6455, section 4.1), and answers that open no session.

use chrono::Utc;
use http_body_util::Empty;
use krx_store::journal::GapReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, HOST, HeaderMap, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use tokio_tungstenite::tungstenite::http::{HeaderName, Request, Response, StatusCode, Uri};

use super::failure::ConnectFailure;
use super::http::{self, Answer};
use crate::feed::backoff::{Asked, retry_after};

/// Asks for a WebSocket. Returns the stream, and what was read from it after the answer.
pub(super) async fn open<S>(stream: S, url: &Uri) -> Result<(S, Bytes), ConnectFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let key = generate_key();
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .uri(path)
        .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(USER_AGENT, http::USER_AGENT)
        .body(Empty::new())
        .map_err(|error| ConnectFailure::new(GapReason::Protocol, error.to_string()))?;
    let is_secure = url.scheme_str() == Some("wss");
    let answer = http::ask(stream, request)
        .await
        .map_err(|error| http::failed(&error, is_secure))?;
    match answer {
        Answer::Page(page) => Err(from_page(&page)),
        Answer::Switched { head, stream, read } => match objection(head.headers(), &key) {
            Some(words) => Err(ConnectFailure::new(GapReason::Protocol, words)),
            None => Ok((stream, read)),
        },
    }
}

/// What is wrong with the head of a 101 answer, if anything.
fn objection(headers: &HeaderMap, key: &str) -> Option<String> {
    let accept = derive_accept_key(key.as_bytes());
    if !has_token(headers, &UPGRADE, "websocket") {
        return Some("the answer does not upgrade to a WebSocket: no \"Upgrade: websocket\"".into());
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Some("the answer does not upgrade the connection: no \"Connection: Upgrade\"".into());
    }
    let accepted = headers
        .get(SEC_WEBSOCKET_ACCEPT)
        .map(|value| value.as_bytes().trim_ascii());
    if accepted != Some(accept.as_bytes()) {
        return Some("the answer does not belong to this request: its Sec-WebSocket-Accept is wrong".into());
    }
    // We ask for neither, and could not read data that uses them.
    for (name, what) in [
        (SEC_WEBSOCKET_EXTENSIONS, "an extension"),
        (SEC_WEBSOCKET_PROTOCOL, "a subprotocol"),
    ] {
        if let Some(value) = text(headers, &name) {
            return Some(format!("the server uses {what} that we did not ask for: {value}"));
        }
    }
    None
}

/// Whether a list header, on one line or several, contains a token. A proxy may add tokens of its own: `Connection:
/// keep-alive, Upgrade`.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tokens = values.flat_map(|value| value.split(','));
    tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The failure behind an answer that is not an upgrade.
fn from_page(page: &Response<Vec<u8>>) -> ConnectFailure {
    let status = page.status();
    let asked_wait = || retry_after(&text(page.headers(), &RETRY_AFTER)?, Utc::now());
    let (reason, asked) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (GapReason::Refused, Asked::OtherKey),
        StatusCode::TOO_MANY_REQUESTS => (GapReason::Throttled, Asked::Patience(asked_wait())),
        StatusCode::SERVICE_UNAVAILABLE => (GapReason::Unavailable, Asked::Patience(asked_wait())),
        status if status.is_client_error() || status.is_server_error() => {
            (GapReason::Unreachable, Asked::Nothing)
        }
        // A page or a redirection: in any case not a WebSocket. We send the key only to the configured address.
        _ => (GapReason::Protocol, Asked::Nothing),
    };
    ConnectFailure {
        reason,
        detail: page_words(page),
        asked,
    }
}

/// The status, where it points, and the first line of its page, since a gateway's page may be long.
pub(super) fn page_words(page: &Response<Vec<u8>>) -> String {
    let mut words = format!("HTTP {}", page.status());
    for name in [LOCATION, RETRY_AFTER] {
        if let Some(value) = text(page.headers(), &name) {
            words.push_str(&format!(", {name}: {value}"));
        }
    }
    let body = String::from_utf8_lossy(page.body());
    let is_wordless = |line: &str| {
        let line = line.trim_start().to_ascii_lowercase();
        line.is_empty() || line.starts_with("<?xml") || line.starts_with("<!doctype")
    };
    if let Some(line) = body.lines().find(|line| !is_wordless(line)) {
        words.push_str(": ");
        words.push_str(line);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn page(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Vec<u8>> {
        let mut page = Response::new(body.as_bytes().to_vec());
        *page.status_mut() = StatusCode::from_u16(status).unwrap();
        *page.headers_mut() = map(headers);
        page
    }

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn an_answer_is_accepted_in_every_legal_spelling() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        // The example of RFC 6455, 1.3.
        let accept = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let upgrade = ("upgrade", "websocket");
        for connection in [
            &[("connection", "Upgrade")][..],
            &[("connection", "upgrade")],
            &[("connection", "keep-alive, Upgrade")],
            &[("connection", "Upgrade,Keep-Alive")],
            &[("connection", "keep-alive"), ("connection", "Upgrade")],
        ] {
            let headers = map(&[connection, &[upgrade, accept]].concat());
            assert_eq!(objection(&headers, key), None, "{connection:?}");
        }
        let connection = ("connection", "Upgrade");
        for (headers, expected) in [
            (vec![connection, ("upgrade", "h2c, WebSocket"), accept], None),
            (vec![connection, accept], Some("Upgrade: websocket")),
            (vec![upgrade, accept], Some("Connection: Upgrade")),
            (
                vec![upgrade, accept, ("connection", "keep-alive, upgraded")],
                Some("Connection: Upgrade"),
            ),
            (vec![upgrade, connection], Some("Sec-WebSocket-Accept is wrong")),
            (
                vec![
                    upgrade,
                    connection,
                    ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO="),
                ],
                Some("is wrong"),
            ),
            (
                vec![
                    upgrade,
                    connection,
                    accept,
                    ("sec-websocket-extensions", "permessage-deflate"),
                ],
                Some("deflate"),
            ),
            (
                vec![upgrade, connection, accept, ("sec-websocket-protocol", "chat")],
                Some("a subprotocol"),
            ),
        ] {
            let found = objection(&map(&headers), key);
            let fits = match expected {
                Some(words) => found.as_ref().is_some_and(|found| found.contains(words)),
                None => found.is_none(),
            };
            assert!(fits, "{headers:?}: {found:?}");
        }
    }

    #[test]
    fn each_answer_has_its_reason_and_what_it_asks_for() {
        let patience = |seconds: Option<u64>| Asked::Patience(seconds.map(Duration::from_secs));
        let cases = [
            (200, GapReason::Protocol, Asked::Nothing),
            (301, GapReason::Protocol, Asked::Nothing),
            (400, GapReason::Unreachable, Asked::Nothing),
            (401, GapReason::Refused, Asked::OtherKey),
            (403, GapReason::Refused, Asked::OtherKey),
            (404, GapReason::Unreachable, Asked::Nothing),
            (429, GapReason::Throttled, patience(Some(7))),
            (500, GapReason::Unreachable, Asked::Nothing),
            (502, GapReason::Unreachable, Asked::Nothing),
            (503, GapReason::Unavailable, patience(Some(7))),
            (504, GapReason::Unreachable, Asked::Nothing),
            (999, GapReason::Protocol, Asked::Nothing),
        ];
        for (status, reason, asked) in cases {
            let failure = from_page(&page(status, &[("retry-after", "7")], ""));
            assert_eq!((failure.reason, failure.asked), (reason, asked), "{status}");
        }
        for value in ["", "soon"] {
            let failure = from_page(&page(503, &[("retry-after", value)], ""));
            assert_eq!(failure.asked, patience(None), "{value:?}");
        }
        assert_eq!(from_page(&page(429, &[], "")).asked, patience(None));
    }

    #[test]
    fn the_detail_has_what_a_person_wants_to_know() {
        let moved = from_page(&page(301, &[("location", "wss://elsewhere/")], "\n<html>\nmore"));
        assert_eq!(
            moved.detail,
            "HTTP 301 Moved Permanently, location: wss://elsewhere/: <html>"
        );
    }
}
