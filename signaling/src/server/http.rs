//! The routes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures_util::StreamExt;
use tokio::time::timeout;
use tracing::debug;

use super::accept::Connection;
use super::problem::Problem;
use super::{Mode, Shared, socket};
use crate::description::{Answer, Description};
use crate::page;
use crate::protocol::MAX_MESSAGE_BYTES;

/// Bytes of a body that is too long which are still read and thrown away, so that the client, which writes first and
/// reads afterwards, gets to see the answer.
const DRAINED_BYTES: usize = 4 * 1024 * 1024;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/ws", get(websocket))
        .route("/offer", post(offer))
        .route("/health", get(health));
    for file in &page::FILES {
        router = router.route(file.path, get(move || async move { serve_file(file) }));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::map_response(add_headers))
        .with_state(shared)
}

fn serve_file(file: &'static page::File) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(file.mime)),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(page::CONTENT_SECURITY_POLICY),
        ),
    ];
    (headers, file.text).into_response()
}

async fn add_headers(mut response: Response) -> Response {
    let fixed: [(HeaderName, &str); 3] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let (peers, rooms) = match shared.mode {
        Mode::Relay => shared.relay.counts(),
        Mode::Host(_) => {
            let peers = shared.limits.peers - shared.host_peers.available_permits();
            (peers, peers)
        }
    };
    Json(serde_json::json!({
        "status": "ok",
        "mode": shared.mode.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "connections": shared.gate.open(),
        "peers": peers,
        "rooms": rooms,
    }))
    .into_response()
}

async fn websocket(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    shared.origins.check(&headers)?;
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(
            // A plain GET is answered 426 by the book (RFC 9110 section 15.5.22), whatever is missing.
            StatusCode::UPGRADE_REQUIRED,
            format!("this is a WebSocket: {}", rejection.body_text()),
            "connect with ws://, for example new WebSocket(\"ws://HOST/ws\")",
        )
    })?;
    Ok(upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .max_write_buffer_size(4 * MAX_MESSAGE_BYTES)
        .on_failed_upgrade(|error| debug!(%error, "a WebSocket upgrade failed"))
        .on_upgrade(move |socket| socket::serve(socket, shared, connection)))
}

async fn offer(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<Answer>, Problem> {
    shared.origins.check(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = match timeout(shared.limits.body, read(&parts.headers, body)).await {
        Ok(body) => body?,
        Err(_) => {
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
                "send the offer in one go",
            ));
        }
    };
    let Mode::Host(host) = &shared.mode else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "this server only relays between two peers of a room, it answers no offer itself",
            "join a room by the WebSocket /ws, or post the offer to a server that runs a graph (levada run)",
        ));
    };
    let offer: Description = serde_json::from_slice(&body).map_err(|error| {
        let (status, what) = match error.classify() {
            serde_json::error::Category::Data => {
                (StatusCode::UNPROCESSABLE_ENTITY, "is not a description")
            }
            _ => (StatusCode::BAD_REQUEST, "is not JSON"),
        };
        // The reason may quote the body, which a stranger chose: a bounded part of it is enough.
        let reason: String = error.to_string().chars().take(160).collect();
        Problem::new(
            status,
            format!("the body {what}: {reason}"),
            "post {\"type\": \"offer\", \"sdp\": \"v=0...\"}",
        )
    })?;
    offer.check_offer().map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.to_string(),
            "post the description that createOffer() made: {\"type\": \"offer\", \"sdp\": \"v=0...\"}",
        )
    })?;
    match timeout(shared.limits.offer, host.offer(offer)).await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(refusal)) => Err(refusal.into()),
        Err(_) => Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "no answer was ready in time",
            "try again; if it persists, look at the server's log",
        )),
    }
}

/// Reads a body of at most [`MAX_MESSAGE_BYTES`].
async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or_default();
    // Not reserved by what is announced: a promise must not cost memory.
    let mut kept = Vec::new();
    let mut length = 0usize;
    if announced <= DRAINED_BYTES {
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(|error| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    format!("the body broke off: {error}"),
                    "send it whole",
                )
            })?;
            length += chunk.len();
            if length <= MAX_MESSAGE_BYTES {
                kept.extend_from_slice(&chunk);
            } else if length > DRAINED_BYTES {
                break;
            }
        }
    }
    if length.max(announced) > MAX_MESSAGE_BYTES {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {MAX_MESSAGE_BYTES} bytes"),
            "post one description with fewer codecs or candidates",
        ));
    }
    Ok(kept)
}

async fn not_found(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(80).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {path}"),
        "use GET / (the page), GET /ws (a WebSocket), POST /offer or GET /health",
    )
}

async fn method_not_allowed(uri: Uri) -> Response {
    let allowed = if uri.path() == "/offer" {
        "POST"
    } else {
        "GET, HEAD"
    };
    let path = uri.path();
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} does not take this method"),
        format!("use {allowed}"),
    );
    ([(ALLOW, allowed)], problem).into_response()
}
