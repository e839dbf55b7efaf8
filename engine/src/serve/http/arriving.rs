//! The body of a request on its way in, and what becomes of the part that nobody reads.
//!
//! An answer may be ready before the request has come whole: wrong key, wrong path, too large. A client that is still
//! sending when its connection closes may never see that answer, so the rest is read on for a while and thrown away, beside
//! the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::connections::Seat;

/// How long the rest of a body is read on.
const LINGER: Duration = Duration::from_secs(5);

/// A request body that tells its connection's seat when it is there.
#[derive(Debug)]
pub(super) struct Arriving {
    /// Taken out in the end.
    incoming: Option<Incoming>,
    arrived: bool,
    seat: Arc<Seat>,
    rest: Rest,
}

/// What was left of a body; at most one, clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest(Arc<Mutex<Option<Unread>>>);

#[derive(Debug)]
struct Unread {
    incoming: Incoming,
    until: Pin<Box<Sleep>>,
}

impl Arriving {
    /// `awaited` when the client does not send before it is told to: then nobody tells it to send what nobody reads.
    pub(super) fn new(incoming: Incoming, awaited: bool, seat: Arc<Seat>, rest: &Rest) -> Self {
        let rest = if awaited { Rest::default() } else { rest.clone() };
        let mut arriving = Self { incoming: Some(incoming), arrived: false, seat, rest };
        if arriving.is_end_stream() {
            arriving.arrive();
        }
        arriving
    }

    fn arrive(&mut self) {
        if !std::mem::replace(&mut self.arrived, true) {
            self.seat.arrived();
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = Pin::new(incoming).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.is_end_stream() {
            self.arrive();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take().filter(|_| !self.arrived) {
            let unread = Unread { incoming, until: Box::pin(sleep(LINGER)) };
            *self.rest.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(unread);
        }
    }
}

impl Rest {
    /// Reads on, and lets go of the body when it has ended or has taken too long.
    pub(super) fn poll(&self, context: &mut Context<'_>) {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unread) = &mut *rest else { return };
        let over = unread.until.as_mut().poll(context).is_ready();
        loop {
            match Pin::new(&mut unread.incoming).poll_frame(context) {
                Poll::Pending if !over => return,
                Poll::Ready(Some(Ok(_))) if !over => {}
                Poll::Pending | Poll::Ready(_) => break,
            }
        }
        *rest = None;
    }
}
