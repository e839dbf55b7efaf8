//! A server of pages for Prometheus, each as it is told.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::server::{ok, status};

/// No machine is so slow.
const LONG: Duration = Duration::from_mins(2);

/// What is done about a request for a page.
pub(crate) enum Page {
    /// It is this.
    Text(String),
    /// There is none.
    Status(u16),
    /// The connection is closed.
    Close,
    /// It comes without an end.
    Endless,
}

/// A server on a port of its own, until it is dropped.
pub(crate) struct Pages {
    address: SocketAddr,
    gone: Arc<AtomicBool>,
    heads: Arc<Heads>,
}

/// The heads of requests, in lower case, and whoever waits for more of them.
#[derive(Default)]
struct Heads {
    all: Mutex<Vec<String>>,
    more: Condvar,
}

impl Pages {
    /// `page` is told how many requests there were before.
    pub(crate) fn new(page: impl Fn(usize) -> Page + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (gone, heads) = (Arc::new(AtomicBool::new(false)), Arc::new(Heads::default()));
        let (ended, seen) = (Arc::clone(&gone), Arc::clone(&heads));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                // One client asks for one page at a time: it is answered here.
                serve(stream, &seen, &page);
            }
        });
        Self { address, gone, heads }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The heads of all requests, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.all.lock().expect("the list").clone()
    }

    /// Waits until one more page than this is asked for: who asks one after another has read so many by then.
    pub(crate) fn wait_read(&self, count: usize) {
        let Heads { all, more } = &*self.heads;
        let waited = more.wait_timeout_while(all.lock().expect("the list"), LONG, |all| all.len() <= count);
        assert!(!waited.expect("the list").1.timed_out(), "{count} pages have not been read");
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request and closes the connection.
fn serve(mut stream: TcpStream, heads: &Heads, page: &impl Fn(usize) -> Page) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let before = {
        let mut all = heads.all.lock().expect("the list");
        all.push(head.to_lowercase());
        heads.more.notify_all();
        all.len() - 1
    };
    let closed = |answer: String| answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    match page(before) {
        Page::Text(text) => stream.write_all(closed(ok("text/plain; version=0.0.4", &text)).as_bytes()).ok(),
        Page::Status(code) => stream.write_all(closed(status(code, "text/plain", "no")).as_bytes()).ok(),
        Page::Close => Some(()),
        Page::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n").ok()?;
            let line = "vllm:generation_tokens_total 1\n".repeat(1 << 12);
            while stream.write_all(line.as_bytes()).is_ok() {}
            None
        }
    }
}
