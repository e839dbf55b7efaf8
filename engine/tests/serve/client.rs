//! A client that says exactly what it is told, and understands what comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::world::MODEL;

/// Longer than anything takes: a test that would hang fails instead.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// An answer, its body put together.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Whether the body was as long as its headers said.
    pub(crate) whole: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The events of a stream as JSON, and whether it ended with `[DONE]`.
    pub(crate) fn events(&self) -> (Vec<Value>, bool) {
        let mut events: Vec<&str> = self.body.split_terminator("\n\n").collect();
        let done = events.pop_if(|last| *last == "data: [DONE]").is_some();
        let json = |event: &&str| {
            serde_json::from_str(event.strip_prefix("data: ").expect("an event has data")).expect("data is JSON")
        };
        (events.iter().map(json).collect(), done)
    }

    /// Checks that it is an error in OpenAI's shape, and returns it.
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json()["error"].clone();
        assert!(error["message"].is_string() && error["type"].is_string(), "{self:?}");
        assert!(error.get("param").is_some() && error.get("code").is_some(), "{self:?}");
        error
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(HANG)).expect("a timeout");
    stream.set_write_timeout(Some(HANG)).expect("a timeout");
    stream
}

/// The bytes of a request with a body.
pub(crate) fn posted(path: &str, body: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &Value) -> Response {
    ask(address, &posted(path, &body.to_string()))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
}

pub(crate) fn ask(address: SocketAddr, request: &str) -> Response {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("sent");
    answer(&mut stream)
}

/// A completion of `tokens` tokens, streamed or not.
pub(crate) fn completion(tokens: u32, stream: bool) -> String {
    let body = serde_json::json!({
        "model": MODEL, "prompt": "hello", "max_tokens": tokens, "temperature": 0, "ignore_eos": true, "stream": stream
    });
    posted("/v1/completions", &body.to_string())
}

/// Whether the server still answers.
pub(crate) fn is_served(address: SocketAddr) -> bool {
    let response = ask(address, &completion(3, false));
    response.status == 200 && response.json()["choices"][0]["text"] == "abc"
}

/// Reads until the connection ends, and whether it ended rather than being silent.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Reads the head of an answer: its status and headers.
pub(crate) fn head(stream: &mut TcpStream) -> (u16, Vec<(String, String)>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).expect("a head"), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    (status, lines.filter_map(header).collect())
}

/// Reads one answer.
pub(crate) fn answer(stream: &mut TcpStream) -> Response {
    let (mut status, mut headers) = head(stream);
    while status == 100 {
        (status, headers) = head(stream);
    }
    let mut response = Response { status, headers, body: String::new(), whole: false };
    let mut body = Vec::new();
    if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().expect("a length");
        stream.take(length as u64).read_to_end(&mut body).expect("a body");
        response.whole = body.len() == length;
    } else if response.header("transfer-encoding") == Some("chunked") {
        response.whole = chunks(stream, &mut body);
    }
    response.body = String::from_utf8(body).expect("text");
    response
}

/// Reads a chunked body; `false` when it breaks off.
fn chunks(stream: &mut TcpStream, body: &mut Vec<u8>) -> bool {
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            if !stream.read(&mut byte).is_ok_and(|read| read == 1) {
                return false;
            }
            line.push(byte[0]);
        }
        let length = std::str::from_utf8(&line).expect("text").trim();
        let length = usize::from_str_radix(length, 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        if stream.read_exact(&mut chunk).is_err() {
            return false;
        }
        if length == 0 {
            return true;
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
