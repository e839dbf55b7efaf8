//! Who gets in, and how much all of them may send at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::{self, Next};
use axum::{Error, Router};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::Served;

pub(super) fn guarded(router: Router, served: &Arc<Served>) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::clone(served), guard))
}

/// Lets nobody without the key in; what those who are in send is counted.
async fn guard(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response<Body> {
    if served.config.key.as_ref().is_some_and(|key| !key.opens(request.headers())) {
        return Status::unauthenticated("a valid key is needed: `authorization: Bearer KEY`").into_http();
    }
    let room = Arc::clone(&served.messages);
    next.run(request.map(|body| Body::new(Counted { body, room, share: None }))).await
}

/// A body that takes its share of what all bodies together may have, until it is dropped: then its message has been read.
struct Counted {
    body: Body,
    room: Arc<Semaphore>,
    share: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            let more = u32::try_from(data.len()).ok();
            let more = more.and_then(|more| Arc::clone(&self.room).try_acquire_many_owned(more).ok());
            let Some(more) = more else {
                let full = Status::resource_exhausted("too many large requests at once");
                return Poll::Ready(Some(Err(Error::new(full))));
            };
            match &mut self.share {
                Some(all) => all.merge(more),
                None => self.share = Some(more),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
