//! Which requests are answered, and how.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::health::Health;
use super::page::Page;
use super::snapshot::Snapshot;
use super::synced::SyncedJournals;
use super::tail::tail;
use super::usage::Usage;
use super::view::View;
use super::{host, metrics};

/// Serves `view` to those who may ask.
pub(super) fn router(view: Arc<View>) -> Router {
    let page = Arc::new(Page::new());
    Router::new()
        .route("/", get(async move || page.response()))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics_text))
        .route("/status.json", get(status_json))
        .route("/synced.json", get(synced_json))
        .route("/tail/{file}", get(tail))
        .fallback(nothing_here)
        .with_state(view)
        .layer(middleware::from_fn(guard))
}

async fn healthz(State(view): State<Arc<View>>) -> Response {
    let (code, line) = Health::of(&Snapshot::of(&view)).answer();
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, line).into_response()
}

async fn metrics_text(State(view): State<Arc<View>>) -> Response {
    let text = metrics::text(&Snapshot::of(&view), &Usage::now());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn status_json(State(view): State<Arc<View>>) -> Response {
    json(&Snapshot::of(&view))
}

async fn synced_json(State(view): State<Arc<View>>) -> Response {
    json(&SyncedJournals::of(&view))
}

fn json(of: &impl Serialize) -> Response {
    match serde_json::to_vec(of) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn nothing_here() -> Response {
    let words = "Nothing here. Try / /status.json /metrics /healthz /tail/trades.arrows\n";
    (StatusCode::NOT_FOUND, words).into_response()
}

/// Lets through requests that only read and that name this machine, and marks each answer with what a browser may do
/// with it.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// For every answer. The page has its own policy; nothing else contains anything that could run.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

fn refusal(request: &Request) -> Option<Response> {
    if !asks_for_us(request) {
        let words = "This status is for this machine only: ask for localhost, 127.0.0.1 or [::1].\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, words).into_response());
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let words = "This status is read-only: only GET and HEAD are answered.\n";
        let allow = [(header::ALLOW, "GET, HEAD")];
        return Some((StatusCode::METHOD_NOT_ALLOWED, allow, words).into_response());
    }
    None
}

/// Whether the request names at least one host, and every host it names is this machine.
fn asks_for_us(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter();
    let mut names = hosts
        .map(|host| host.to_str().unwrap_or_default())
        .chain(request.uri().authority().map(|authority| authority.as_str()))
        .peekable();
    names.peek().is_some() && names.all(host::is_ours)
}
