//! The accept loop, and the life of a connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Drained;
use super::connections::{Busy, Connections, Seat};
use super::routes::{Served, router};
use super::stall::Unstalled;
use crate::serve::openai::ApiError;

/// Bytes of the head of a request at most; hyper answers 431 beyond.
const HEAD: usize = 64 * 1024;
/// How long a connection that was asked to go may take, unless it is answering something.
const PARTING: Duration = Duration::from_secs(1);
/// After an error of the listener, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Serves until `stop`, then drains.
pub(super) async fn run(
    listener: TcpListener,
    served: Arc<Served>,
    connections: Arc<Connections>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let (parting, parted) = watch::channel(false);
    let router = router(&served);
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    let mut stopping = false;
    let mut drained = pin!(async {
        served.hub.idle().await;
        connections.quiet().await;
    });
    let mut patience = pin!(sleep(Duration::ZERO));
    let cancelled = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(stream, &connections, &served, &router, &parted, &mut tasks),
                Err(_) => sleep(ACCEPT_AGAIN).await,
            },
            Some(_) = tasks.join_next() => {}
            () = &mut stop, if !stopping => {
                stopping = true;
                served.stopping.store(true, Ordering::Relaxed);
                served.hub.close();
                patience.set(sleep(served.config.drain_timeout));
            }
            () = &mut drained, if stopping => break 0,
            () = &mut patience, if stopping => break served.hub.in_flight(),
        }
    };
    drop(listener);
    // Nobody listens for the value, only for the change.
    let _ = parting.send(true);
    let rest = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(PARTING, rest).await;
    tasks.shutdown().await;
    Drained { cancelled }
}

/// Gives a connection its seat and its task, or turns it away.
fn admit(
    stream: TcpStream,
    connections: &Arc<Connections>,
    served: &Arc<Served>,
    router: &Router,
    parted: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    let Some(seat) = connections.seat() else {
        // It fits into the empty buffer of a new connection; where it does not, closing says enough.
        let _ = stream.try_write(no_room().as_bytes());
        return;
    };
    // Tokens are small and each counts.
    let _ = stream.set_nodelay(true);
    let io = Unstalled::new(stream, served.config.write_timeout, Arc::clone(connections));
    tasks.spawn(connection(io, seat, router.clone(), served.config.head_timeout, parted.clone()));
}

/// What a connection is told for which there is no room.
fn no_room() -> String {
    let body = ApiError::no_room().body();
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn connection(
    io: Unstalled,
    seat: Arc<Seat>,
    router: Router,
    head_timeout: Duration,
    mut parted: watch::Receiver<bool>,
) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        let busy = seat.busy();
        let answer = routes.call(request);
        async move { answer.await.map(|response| while_busy(response, busy)) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    // An error is the client's: it went away, stopped reading, took too long or sent what is not HTTP.
    tokio::select! {
        _ = &mut connection => return,
        () = seat.bell.notified() => {}
        _ = parted.wait_for(|parted| *parted) => {}
    }
    connection.as_mut().graceful_shutdown();
    loop {
        match timeout(PARTING, &mut connection).await {
            Ok(_) => return,
            Err(_) if seat.is_idle() => return,
            Err(_) => {}
        }
    }
}

/// The body of an answer, whose connection is busy as long as there is something of it left.
struct WhileBusy {
    body: Body,
    _busy: Busy,
}

fn while_busy(response: Response<Body>, busy: Busy) -> Response<WhileBusy> {
    response.map(|body| WhileBusy { body, _busy: busy })
}

impl http_body::Body for WhileBusy {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
