//! A server of vLLM's gRPC service that does as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::proto::{Message, Value, fields, unpacked};

/// A request for an answer.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) prompt: Vec<u32>,
    /// The fields of its sampling parameters.
    pub(crate) sampling: Vec<(u64, Value)>,
    pub(crate) streamed: bool,
}

impl Asked {
    /// The number that ends its id; none before the load.
    pub(crate) fn index(&self) -> Option<u64> {
        self.id.rsplit('-').next()?.parse().ok()
    }

    /// How many tokens its answer shall have.
    pub(crate) fn output_tokens(&self) -> u32 {
        let most = self.sampling.iter().find(|(field, _)| *field == 8);
        match most {
            Some((_, Value::Number(most))) => *most as u32,
            other => panic!("{other:?}"),
        }
    }
}

/// What is done about a request, one act after another; at the end the call ends well.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A message.
    Send(Message),
    /// These bytes, whatever they are.
    Bytes(Vec<u8>),
    /// The call ends with this status.
    Status(u16, &'static str),
    /// It ends without any.
    NoStatus,
    /// Its stream is reset.
    Reset,
    /// Its connection is closed.
    Close,
    /// Nothing more happens; the client's going away is told.
    Hold(Option<Sender<()>>),
}

/// Tokens, to a prompt of nine of which the cache had four.
pub(crate) fn chunk(tokens: &[u32]) -> Act {
    let chunk = Message::default().packed(1, tokens).number(2, 9).number(3, tokens.len() as u64).number(4, 4);
    Act::Send(Message::default().message(1, &chunk))
}

/// The end of an answer.
pub(crate) fn complete(tokens: &[u32], reason: &str) -> Act {
    let complete = Message::default().packed(1, tokens).bytes(2, reason.as_bytes()).number(3, 9);
    let complete = complete.number(4, tokens.len() as u64).number(5, 4);
    Act::Send(Message::default().message(2, &complete))
}

/// A whole answer as vLLM sends it: a chunk for each token, and at the end the last of them once more.
pub(crate) fn full(asked: &Asked) -> Vec<Act> {
    let tokens: Vec<u32> = (1..=asked.output_tokens()).collect();
    let last = tokens.last().copied().into_iter().collect::<Vec<_>>();
    tokens.iter().map(|token| chunk(&[*token])).chain([complete(&last, "length")]).collect()
}

type Script = dyn Fn(&Asked) -> Vec<Act> + Send + Sync;

/// What it says of itself.
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, whatever the others are")]
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) healthy: bool,
    pub(crate) generates: bool,
    /// Whether the service is there at all.
    pub(crate) serves: bool,
    /// Whether the script answers the request before the load, too.
    pub(crate) answers_probes: bool,
    /// Whether it tells how it runs.
    pub(crate) tells: bool,
}

pub(crate) const WELL: Says = Says { healthy: true, generates: true, serves: true, answers_probes: false, tells: true };

struct State {
    says: Says,
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
}

/// A server on a port of its own. Dropped, it goes away with all of its connections.
pub(crate) struct Server {
    address: String,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn new(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::saying(WELL, script)
    }

    pub(crate) fn saying(says: Says, script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = format!("vllm+grpc://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(State { says, script: Box::new(script), asked: Mutex::default() });
        let serving = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, close) = (Arc::clone(&serving), Arc::new(Notify::new()));
                tokio::spawn(async move {
                    let closing = Arc::clone(&close);
                    let service = service_fn(move |request| {
                        let (state, close) = (Arc::clone(&state), Arc::clone(&close));
                        async move { Ok::<_, Infallible>(answer(&state, close, request).await) }
                    });
                    let served =
                        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = served => {}
                        () = closing.notified() => {}
                    }
                });
            }
        });
        Self { address, state, runtime: Some(runtime) }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The requests for answers so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().expect("a lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(state: &State, close: Arc<Notify>, request: Request<Incoming>) -> Response<Acts> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(_)) => {}
            // The client has given it up already.
            Err(_) => return response(Vec::new(), close),
        }
    }
    let call = head.uri.path().strip_prefix("/vllm.grpc.engine.VllmEngine/");
    let says = &state.says;
    let one = |message: Message| vec![Act::Send(message)];
    let acts = match call.filter(|_| says.serves) {
        Some("HealthCheck") => one(Message::default().number(1, says.healthy.into()).bytes(2, b"of\r\nsorts")),
        Some("GetModelInfo") => {
            let model = Message::default().bytes(1, b"/models/m").number(2, says.generates.into());
            one(model.number(3, 4096).number(4, 32_000).bytes(6, b"m"))
        }
        Some("GetServerInfo") if says.tells => {
            one(Message::default().bytes(7, b"kv_both").number(9, 2).number(12, 128))
        }
        Some("GetLoads") if says.tells => one(Message::default().bytes(2, b"0.32.0")),
        Some("Generate") => {
            let asked = read(head.headers, &bytes);
            let is_probe = asked.index().is_none();
            let acts = if is_probe && !says.answers_probes { full(&asked) } else { (state.script)(&asked) };
            state.asked.lock().expect("a lock").push(asked);
            acts
        }
        _ => vec![Act::Status(12, "Method not found!")],
    };
    response(acts, close)
}

fn response(acts: Vec<Act>, close: Arc<Notify>) -> Response<Acts> {
    let gone = acts.iter().find_map(|act| match act {
        Act::Hold(gone) => gone.clone(),
        _ => None,
    });
    let body = Acts { left: acts.into(), close, ended: false, gone };
    Response::builder().header("content-type", "application/grpc").body(body).expect("a response")
}

/// A request out of the one message of its call.
fn read(headers: HeaderMap, bytes: &[u8]) -> Asked {
    let mut asked = Asked { id: String::new(), headers, prompt: Vec::new(), sampling: Vec::new(), streamed: false };
    for field in fields(&bytes[5..]) {
        match field {
            (1, Value::Bytes(id)) => asked.id = String::from_utf8(id).expect("a text"),
            (2, Value::Bytes(tokenized)) => match &fields(&tokenized)[..] {
                [(2, Value::Bytes(ids))] => asked.prompt = unpacked(ids),
                other => panic!("{other:?}"),
            },
            (4, Value::Bytes(sampling)) => asked.sampling = fields(&sampling),
            (5, Value::Number(streamed)) => asked.streamed = streamed == 1,
            other => panic!("{other:?}"),
        }
    }
    asked
}

/// The acts as the body of an answer.
struct Acts {
    left: VecDeque<Act>,
    close: Arc<Notify>,
    ended: bool,
    gone: Option<Sender<()>>,
}

impl Drop for Acts {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            // Whoever listened may have gone first.
            let _ = gone.send(());
        }
    }
}

fn status(code: u16, message: &'static str) -> HeaderMap {
    let headers = [("grpc-status", HeaderValue::from(code)), ("grpc-message", HeaderValue::from_static(message))];
    headers.into_iter().map(|(name, value)| (name.parse().expect("a name"), value)).collect()
}

impl Body for Acts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match self.left.pop_front() {
            Some(Act::Send(message)) => Frame::data(message.framed().into()),
            Some(Act::Bytes(bytes)) => Frame::data(bytes.into()),
            Some(Act::Reset) => return Poll::Ready(Some(Err(io::Error::other("as told")))),
            Some(Act::Close) => {
                self.close.notify_one();
                self.left.push_front(Act::Hold(None));
                return Poll::Pending;
            }
            // Whoever polls again waits again.
            Some(Act::Hold(_)) => {
                self.left.push_front(Act::Hold(None));
                return Poll::Pending;
            }
            Some(Act::NoStatus) => {
                self.ended = true;
                return Poll::Ready(None);
            }
            Some(Act::Status(code, message)) => {
                self.ended = true;
                Frame::trailers(status(code, message))
            }
            None => {
                self.ended = true;
                Frame::trailers(status(0, ""))
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}
