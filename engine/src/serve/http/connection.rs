//! The life of a connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::time::timeout;

use super::arriving::{Arriving, Rest};
use super::connections::{Answering, Seat};
use super::socket::{Ahead, Socket};

/// Bytes of the head of a request at most; hyper answers 431 beyond.
const HEAD: usize = 64 * 1024;
/// How long a connection that was asked to go may take, unless it is answering something.
pub(super) const PARTING: Duration = Duration::from_secs(1);

/// Serves one connection until either side has had enough.
pub(super) async fn run(
    socket: Socket,
    seat: Arc<Seat>,
    router: Router,
    head_timeout: Duration,
    mut parted: watch::Receiver<bool>,
) {
    let rest = Rest::default();
    let routes = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        seat.begun();
        let awaited = request.headers().contains_key(header::EXPECT);
        let request = request.map(|body| Arriving::new(body, awaited, Arc::clone(&seat), &rest));
        let answering = seat.answering();
        let answer = routes.call(request);
        async move { answer.await.map(|response| response.map(|body| Answer { body, _answering: answering })) }
    });
    let mut builder = http1::Builder::new();
    // A token is so small that it costs less to copy it behind its chunk's head than to write three pieces.
    builder.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD).writev(false);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket.clone()), service));
    // An error is the client's: it went away, stopped reading, took too long or sent what is not HTTP.
    let mut served = |context: &mut Context<'_>, parting: bool| loop {
        if parting {
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        rest.poll(context);
        // While it answers, hyper does not read as long as it has something that was sent ahead.
        if !seat.is_busy() {
            return Poll::Pending;
        }
        match socket.poll_ahead(context) {
            Poll::Ready(Ahead::Gone) => return Poll::Ready(()),
            Poll::Ready(Ahead::More) => {}
            Poll::Pending => return Poll::Pending,
        }
    };
    let evicted = tokio::select! {
        biased;
        () = poll_fn(|context| served(context, false)) => return,
        () = seat.bell.notified() => true,
        _ = parted.wait_for(|parted| *parted) => false,
    };
    // Who has to make room and is not waiting for an answer goes at once, in the middle of a request or not. One that has
    // come whole is still answered.
    let mut parting = poll_fn(|context| match served(context, true) {
        Poll::Pending if evicted && !seat.is_busy() => Poll::Ready(()),
        polled => polled,
    });
    while timeout(PARTING, &mut parting).await.is_err() && seat.is_busy() {}
}

/// The body of an answer, which is being given as long as there is something of it left.
struct Answer {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
