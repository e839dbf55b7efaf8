//! As little of HTTP/1.1 as peers in tests need: requests with bodies of a stated length, answers as JSON or as event streams.

use std::future::Future;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The longest head, and the longest body, that is read.
const HEAD: usize = 64 << 10;
const BODY: usize = 8 << 20;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Null where it has none, or one that is no JSON.
    pub(crate) body: Value,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A status and a JSON body.
    Whole(u16, Value),
    /// The connection is closed without a word.
    Nothing,
    /// An event stream; each text is one event, and the stream ends when nobody sends any more.
    Events(mpsc::Receiver<String>),
}

/// Answers every request on `listener` by `handle`, until it is dropped.
pub(crate) async fn serve<H, F>(listener: TcpListener, handle: H)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let handle = handle.clone();
                    connections.spawn(async move { talk(stream, handle).await });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request after another, until the client has gone.
async fn talk<H, F>(stream: TcpStream, handle: H) -> Option<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Reply>,
{
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let request = read(&mut stream).await?;
        match handle(request).await {
            Reply::Nothing => return None,
            Reply::Whole(status, body) => {
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).await.ok()?;
            }
            Reply::Events(mut events) => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await.ok()?;
                while let Some(event) = events.recv().await {
                    let event = format!("data: {event}\n\n");
                    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()?;
                }
                stream.write_all(b"0\r\n\r\n").await.ok()?;
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD {
            return None;
        }
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.lines().next()?.split(' ');
    // Gateways try HTTP/2 first, whose preface is no request of ours.
    let (method, path) = (words.next()?.to_owned(), words.next().filter(|path| path.starts_with('/'))?.to_owned());
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.filter(|length| *length <= BODY).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, body: serde_json::from_slice(&body).unwrap_or_default() })
}
