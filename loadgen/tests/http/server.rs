//! A server that does as it is told: sends these bytes, holds on, or goes away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request for an answer.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The number that ends its id.
    pub(crate) index: u64,
    /// Its head, in lower case.
    pub(crate) head: String,
    pub(crate) body: serde_json::Value,
}

/// What is done about a request, one act after another.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Writes them over and over until the client goes away.
    Repeat(Vec<u8>),
    /// Waits until the client goes away.
    Hold,
    /// The same, and says so then.
    HoldAndTell(Sender<()>),
    /// Closes the connection.
    Close,
}

type Script = dyn Fn(&Asked) -> Vec<Act> + Send + Sync;

/// A server on a port of its own. Dropped, it goes away with all of its connections.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    models: String,
    /// Whether the script answers the request before the load, too; its index is `u64::MAX` then.
    answers_probes: bool,
    tls: Option<Arc<ServerConfig>>,
    gone: AtomicBool,
    connections: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// One model with room for 4,096 tokens.
pub(crate) const MODELS: &str = r#"{"object": "list", "data": [{"id": "m", "max_model_len": 4096}]}"#;

impl Server {
    pub(crate) fn new(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with_models(&ok("application/json", MODELS), script)
    }

    /// With a whole HTTP answer to the question for its models.
    pub(crate) fn with_models(models: &str, script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::build(State::new(models, script))
    }

    /// Whose script answers the request before the load as well.
    pub(crate) fn with_probes(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let state = State::new(&ok("application/json", MODELS), script);
        Self::build(State { answers_probes: true, ..state })
    }

    /// That speaks TLS.
    pub(crate) fn with_tls(config: ServerConfig, script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::build(State { tls: Some(Arc::new(config)), ..State::new(&ok("application/json", MODELS), script) })
    }

    fn build(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(state);
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if accepting.gone.load(Ordering::Acquire) {
                    return;
                }
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                accepting.open.lock().expect("the list").push(stream.try_clone().expect("a handle"));
                let state = Arc::clone(&accepting);
                std::thread::spawn(move || match &state.tls {
                    Some(config) => {
                        let tls = ServerConnection::new(Arc::clone(config)).expect("a connection");
                        let socket = stream.try_clone().expect("a handle");
                        state.talk(StreamOwned::new(tls, stream), &socket)
                    }
                    None => state.talk(stream.try_clone().expect("a handle"), &stream),
                });
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Connections made so far.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::Release);
        // The listener wakes, sees that, and closes.
        let _ = TcpStream::connect(self.address);
        for stream in self.state.open.lock().expect("the list").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn new(models: &str, script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            models: models.to_owned(),
            answers_probes: false,
            tls: None,
            gone: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }

    /// Answers one request after another. A client that goes away ends it.
    fn talk(&self, stream: impl Read + Write, socket: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            let head = head.to_lowercase();
            if head.starts_with("get /v1/models ") {
                reader.get_mut().write_all(self.models.as_bytes()).ok()?;
                continue;
            }
            let length = field(&head, "content-length").map_or(Some(0), |length| length.parse().ok())?;
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            // Whatever is no request of a load is asked in vain.
            let Some(id) = field(&head, "x-request-id").filter(|_| !head.starts_with("get ")) else {
                reader.get_mut().write_all(status(404, "text/plain", "no such thing").as_bytes()).ok()?;
                continue;
            };
            let number = id.rsplit('-').next()?;
            let is_probe = number == "probe";
            let index = if is_probe { u64::MAX } else { number.parse().ok()? };
            let asked = Asked { index, head, body: serde_json::from_slice(&body).ok()? };
            let acts = if is_probe && !self.answers_probes { full(&asked) } else { (self.script)(&asked) };
            for act in acts {
                match act {
                    Act::Send(bytes) => reader.get_mut().write_all(&bytes).ok()?,
                    Act::Repeat(bytes) => loop {
                        reader.get_mut().write_all(&bytes).ok()?;
                    },
                    Act::Hold => {
                        // Nothing comes but the end.
                        let _ = reader.read(&mut [0]);
                        return None;
                    }
                    Act::HoldAndTell(gone) => {
                        let _ = reader.read(&mut [0]);
                        return gone.send(()).ok();
                    }
                    Act::Close => {
                        let _ = socket.shutdown(Shutdown::Both);
                        return None;
                    }
                }
            }
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A whole answer of status 200.
pub(crate) fn ok(kind: &str, body: &str) -> String {
    status(200, kind, body)
}

/// A whole answer.
pub(crate) fn status(status: u16, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The head of an event stream in chunks.
pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// A chunk of a body.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// An event in a chunk of its own.
pub(crate) fn event(json: &str) -> String {
    chunk(&format!("data: {json}\n\n"))
}

/// What ends a body.
pub(crate) const END: &str = "0\r\n\r\n";

/// A piece of an answer with these tokens.
pub(crate) fn piece(ids: &[u32], finish: Option<&str>) -> String {
    let choice = serde_json::json!({ "index": 0, "text": "x", "token_ids": ids, "finish_reason": finish });
    serde_json::json!({ "id": "c", "object": "text_completion", "choices": [choice] }).to_string()
}

/// Everything at once: as many tokens as asked for, one in a piece, numbered from 0.
pub(crate) fn full(asked: &Asked) -> Vec<Act> {
    let count = asked.body["max_tokens"].as_u64().unwrap_or(1) as u32;
    let mut text = EVENTS.to_owned();
    for token in 0..count {
        text += &event(&piece(&[token], (token + 1 == count).then_some("length")));
    }
    text += &event("[DONE]");
    text += END;
    vec![Act::Send(text.into_bytes())]
}
