//! When a request is taken for the wire.

use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Context, Pin, Poll, Service, http};

/// A way to a server, whose one request says when its connection takes the first of its bytes: a connection asks for them when it
/// is there and has room for another call, just before it writes.
#[derive(Debug)]
pub(super) struct Telling<S, F> {
    inner: S,
    sent: Option<F>,
}

impl<S, F> Telling<S, F> {
    pub(super) fn new(inner: S, sent: F) -> Self {
        Self { inner, sent: Some(sent) }
    }
}

impl<S, F> Service<http::Request<Body>> for Telling<S, F>
where
    S: Service<http::Request<Body>>,
    F: FnOnce() + Send + Unpin + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let sent = self.sent.take();
        self.inner.call(request.map(|body| Body::new(Stamped { body, sent })))
    }
}

/// A body that says when it is asked for its bytes.
struct Stamped<F> {
    body: Body,
    sent: Option<F>,
}

impl<F: FnOnce() + Unpin> http_body::Body for Stamped<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(sent) = self.sent.take() {
            sent();
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
