//! HTTP/2, over plain connections and over TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use loadgen::http::HttpOptions;
use loadgen::sample::Outcome;
use loadgen::target::http::HttpTarget;
use tokio::runtime::Runtime;

use crate::client::{Client, refused, target};
use crate::server::{MODELS, Server, full, piece};

async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    let body = if request.uri().path() == "/v1/models" {
        return Ok(Response::new(MODELS.to_owned()));
    } else {
        format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", piece(&[1], None), piece(&[2], Some("length")))
    };
    Ok(Response::builder().header("content-type", "text/event-stream").body(body).expect("a response"))
}

/// A server on a port of its own, and how many connections it has had.
fn server(runtime: &Runtime) -> (String, Arc<AtomicUsize>) {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let serving =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(serving);
        }
    });
    (url, connections)
}

fn over_http2(url: &str) -> HttpTarget {
    HttpTarget { http: HttpOptions { http2: true, ..HttpOptions::default() }, ..target(url) }
}

#[test]
fn one_connection_of_http2_carries_all_requests() {
    let runtime = Runtime::new().expect("a runtime");
    let (url, connections) = server(&runtime);
    let mut client = Client::new(over_http2(&url));
    for index in 0..20 {
        client.submit(index, 2);
    }
    for index in 0..20 {
        let answered = client.answered(index);
        assert_eq!((answered.outcome, answered.sent), (Outcome::Completed, true));
        assert_eq!(answered.tokens, [Some(1), Some(2)]);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_server_that_does_not_speak_http2_is_refused_when_it_is_asked_to() {
    let server = Server::new(full);
    let error = refused(over_http2(&server.url())).to_string();
    assert!(error.starts_with(&format!("{} does not answer in HTTP: ", server.url())), "{error}");
    assert!(error.ends_with("without --http2"), "{error}");
}
