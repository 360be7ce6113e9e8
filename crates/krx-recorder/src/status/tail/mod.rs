//! `/tail/DATASET.arrows` and `.ndjson`: the newest records, which are in no file yet.
//!
//! ```text
//!   request ──▶ Wanted ──▶ thread `tail`: Begin ──▶ Head, then journal ──▶ TailReader ──▶ pieces ──▶ response
//!                        └ waits for the client; the recorder waits for neither
//! ```

mod begin;
mod head;
mod refusal;
mod request;
mod source;
mod stream;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::{mpsc, oneshot};

use self::head::Head;
use self::refusal::Refusal;
use self::request::Wanted;
use self::source::Source;
use super::connection::Connection;
use super::view::View;

/// Pieces of an answer that wait until the client has taken those before them.
const CHUNKS_AHEAD: usize = 1;

/// Answers with the records that are wanted.
pub(super) async fn tail(
    State(view): State<Arc<View>>,
    Extension(connection): Extension<Connection>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match begin(&view, connection, &file, query.as_deref()).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn begin(
    view: &Arc<View>,
    connection: Connection,
    file: &str,
    query: Option<&str>,
) -> Result<Response, Refusal> {
    let wanted = Wanted::parse(file, query, &view.feeds)?;
    let format = wanted.format;
    let place = view.tails.take(&connection).ok_or_else(|| {
        Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "There are as many tails as there may be at a time: ask again when one has ended.".to_owned(),
        )
    })?;
    let (head, begun) = oneshot::channel();
    let (chunks, rows) = mpsc::channel(CHUNKS_AHEAD);
    let source = Source {
        data: view.data.clone(),
        feed: view.feeds[wanted.feed].clone(),
        connection,
        chunks,
    };
    let sending = view
        .tails
        .spawn(place, move || stream::run(&source, &wanted, head));
    sending.map_err(|error| {
        let words = format!("No thread can be started for this tail: {error}.");
        Refusal(StatusCode::SERVICE_UNAVAILABLE, words)
    })?;
    let head = begun.await.unwrap_or_else(|_| {
        Err(Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The tail has failed; the recorder's log says why.".to_owned(),
        ))
    })?;
    let mut response = Body::from_stream(unfold(rows, async |mut rows: mpsc::Receiver<_>| {
        let next: Option<std::io::Result<Bytes>> = rows.recv().await;
        next.map(|next| (next, rows))
    }))
    .into_response();
    say(response.headers_mut(), format.content_type(), &head);
    Ok(response)
}

/// What the metadata says, as headers, too: `krx-first-frame` and so on.
fn say(headers: &mut HeaderMap, content_type: &'static str, head: &Head) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (key, value) in head.says() {
        let name = HeaderName::try_from(format!("krx-{}", key.replace('_', "-")));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
}
