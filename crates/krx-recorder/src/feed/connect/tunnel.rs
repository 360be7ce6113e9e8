//! A tunnel through an HTTP proxy (RFC 9110, 9.3.6).

use http_body_util::Empty;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{Method, Request, StatusCode};

use super::failure::ConnectFailure;
use super::http::{self, Answer};
use super::upgrade::page_words;
use crate::config::proxy::{Proxy, authority};
use crate::feed::backoff::Asked;

/// Asks a proxy for a connection to a service.
pub(super) async fn open(
    stream: TcpStream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<TcpStream, ConnectFailure> {
    let target = authority(host, port);
    let failed =
        |words: String| ConnectFailure::unreachable(format!("the proxy {proxy}: {}", proxy.plain(&words)));
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&target)
        .header(HOST, &target)
        .header(USER_AGENT, http::USER_AGENT);
    if let Some(authorization) = proxy.authorization() {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(error.to_string()))?;
    match http::ask(stream, request).await {
        Ok(Answer::Switched { stream, read, .. }) if read.is_empty() => Ok(stream),
        Ok(Answer::Switched { .. }) => Err(failed("it sent data before we had asked for anything".into())),
        Ok(Answer::Page(page)) => {
            let refused = page.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
                || page.status() == StatusCode::UNAUTHORIZED;
            let advice = match page.status() {
                _ if refused && proxy.authorization().is_some() => format!(
                    "it rejects this user and password, see {}: ",
                    proxy.place_of_credentials()
                ),
                _ if refused => {
                    "write user:password to a file, and name it in connection.proxy_credentials_file: ".into()
                }
                StatusCode::FORBIDDEN => "ask its operator to allow CONNECT to this host and port: ".into(),
                _ => String::new(),
            };
            // Too many failed logins could lock the account.
            let asked = if refused {
                Asked::Patience(None)
            } else {
                Asked::Nothing
            };
            // The advice comes first: what a proxy says may be long.
            Err(ConnectFailure {
                asked,
                ..failed(format!("{advice}CONNECT {target}: {}", page_words(&page)))
            })
        }
        Err(error) => Err(failed(http::failed(&error, true).detail)),
    }
}
