//! Request bodies, bounded each and together.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::HttpConfig;
use crate::serve::openai::ApiError;

/// A body in memory, and its share of what all bodies may take.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    /// Given back when this is dropped.
    share: Option<OwnedSemaphorePermit>,
}

/// Reads a body whole. What is left of one that is refused is for its connection to read.
///
/// # Errors
/// When it is too large, takes too long, breaks off, or there is no room for it now.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    config: &HttpConfig,
    room: &Arc<Semaphore>,
) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > config.body_limit as u64) {
        return Err(ApiError::too_large(config.body_limit));
    }
    let read = timeout(config.body_timeout, collect(&mut body, config.body_limit, room)).await;
    read.unwrap_or_else(|_| Err(ApiError::timeout()))
}

async fn collect(body: &mut Body, limit: usize, room: &Arc<Semaphore>) -> Result<Bytes, ApiError> {
    let mut read = Bytes { bytes: Vec::new(), share: None };
    while let Some(data) = next(body).await {
        let data = data.map_err(|()| ApiError::invalid("the request body broke off"))?;
        if read.bytes.len() + data.len() > limit {
            return Err(ApiError::too_large(limit));
        }
        let more = u32::try_from(data.len()).ok().and_then(|more| Arc::clone(room).try_acquire_many_owned(more).ok());
        let more = more.ok_or_else(|| ApiError::busy("too many large requests at once"))?;
        match &mut read.share {
            Some(all) => all.merge(more),
            None => read.share = Some(more),
        }
        read.bytes.extend_from_slice(&data);
    }
    Ok(read)
}

/// The next piece of data; trailers are of no interest.
async fn next(body: &mut Body) -> Option<Result<bytes::Bytes, ()>> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            Ok(Err(_)) => {}
            Err(_) => return Some(Err(())),
        }
    }
}
