//! Answers as HTTP has them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::serve::openai::ApiError;

pub(super) const JSON: &str = "application/json";
/// The text format of Prometheus.
pub(super) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(super) const EVENTS: &str = "text/event-stream";

/// Bytes that are handed over at a time: as many again are copied on their way to the socket.
const PIECE: usize = 64 * 1024;

/// The body of an answer that is there but may be long.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) bytes: Bytes,
    /// Its part of what all such answers may have, given back when the last piece has been handed over.
    pub(super) _share: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.bytes.len().min(PIECE);
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(self.bytes.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// An answer of one piece.
pub(super) fn with(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An error in OpenAI's shape.
pub(super) fn error(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with(status, JSON, error.body());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
