//! One request over a fresh connection, and the answer to it. hyper reads the answer, including any interim ones (100,
//! 103).

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use krx_store::journal::GapReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::http::{Method, Request, Response, StatusCode};

use super::failure::ConnectFailure;

/// The longest accepted head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How much is read of a page that arrives instead of a connection: its first line says what matters.
const PAGE_BYTES_MAX: usize = 4 << 10;

/// How long to wait for the rest of such a page.
const PAGE_WAIT: Duration = Duration::from_millis(500);

/// The name we give ourselves.
pub(super) const USER_AGENT: &str = concat!("krx-recorder/", env!("CARGO_PKG_VERSION"));

/// How a request ended.
pub(super) enum Answer<S> {
    /// The connection is ours from here on; `read` arrived right after the answer's head.
    Switched {
        head: Response<()>,
        stream: S,
        read: Bytes,
    },
    /// An ordinary answer, with the beginning of its page.
    Page(Response<Vec<u8>>),
}

/// Sends a request that asks for the connection itself: an upgrade, or CONNECT.
pub(super) async fn ask<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Answer<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    let is_connect = request.method() == Method::CONNECT;
    let asking = async {
        let mut response = sender.send_request(request).await?;
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || (is_connect && status.is_success()) {
            let upgraded = hyper::upgrade::on(&mut response).await?;
            let parts = upgraded
                .downcast::<TokioIo<S>>()
                .expect("it is the stream that was given");
            return Ok(Answer::Switched {
                head: response.map(|_| ()),
                stream: parts.io.into_inner(),
                read: parts.read_buf,
            });
        }
        let (head, body) = response.into_parts();
        Ok(Answer::Page(Response::from_parts(head, beginning(body).await)))
    };
    let (mut asking, mut connection) = (pin!(asking), pin!(connection.with_upgrades()));
    tokio::select! {
        answer = &mut asking => answer,
        // The request ends with whatever ended the connection.
        _ = &mut connection => asking.await,
    }
}

/// As much of a page as arrives promptly.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut page = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            page.extend(frame.into_data().unwrap_or_default());
            if page.len() >= PAGE_BYTES_MAX {
                break;
            }
        }
    };
    let _ = timeout(PAGE_WAIT, reading).await;
    page.truncate(PAGE_BYTES_MAX);
    page
}

/// Why there was no answer.
pub(super) fn failed(error: &hyper::Error, is_secure: bool) -> ConnectFailure {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    if error.is_parse_too_large() {
        return ConnectFailure::new(
            GapReason::Protocol,
            format!(
                "the head of the answer is longer than {} KiB",
                HEAD_BYTES_MAX >> 10
            ),
        );
    }
    if error.is_parse() {
        let advice = if is_secure {
            "check the address"
        } else {
            "check the address; for a TLS port, write wss:// instead of ws://"
        };
        return ConnectFailure::new(
            GapReason::Protocol,
            format!("the answer is not HTTP ({error}{cause}); {advice}"),
        );
    }
    // A gateway with nothing behind it closes the connection without an answer.
    ConnectFailure::unreachable(format!(
        "the connection ended before an answer came: {error}{cause}"
    ))
}
