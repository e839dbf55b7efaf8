//! The load by HTTP, from a process of its own: one connection for each stream, kept open.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;

use engine::clock::WallClock;
use engine::units::Nanos;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::load::{ANSWER, REQUESTS, STREAMS, pause, prompt};

/// The variable that makes this program the client of that address.
pub(crate) const ADDRESS: &str = "PDTUNE_BENCH_SERVE_CLIENT";

/// Does the load and prints what it came to, a number a line: all tokens, then every TTFT in nanoseconds.
pub(crate) fn run(address: SocketAddr) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = WallClock::start();
    let (mut text, mut tokens) = (String::new(), 0);
    runtime.block_on(async {
        let mut streams = JoinSet::new();
        for stream in 0..STREAMS {
            streams.spawn(one(address, stream, clock));
        }
        while let Some(done) = streams.join_next().await {
            let (ttft, count) = done.expect("a stream").expect("a connection");
            tokens += count;
            for one in ttft {
                let _ = writeln!(text, "{}", one.0);
            }
        }
    });
    print!("{tokens}\n{text}");
}

async fn one(address: SocketAddr, stream: usize, clock: WallClock) -> io::Result<(Vec<Nanos>, u64)> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (mut ttft, mut tokens) = (Vec::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    for request in 0..REQUESTS {
        tokio::time::sleep(pause(stream, request)).await;
        let body = format!(
            r#"{{"model":"free","prompt":{:?},"max_tokens":{ANSWER},"temperature":0,"ignore_eos":true,"stream":true}}"#,
            prompt(stream, request)
        );
        let head =
            "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length";
        let bytes = format!("{head}: {}\r\n\r\n{body}", body.len());
        let sent = clock.now();
        assert_eq!(socket.try_write(bytes.as_bytes())?, bytes.len(), "a request fits the buffer");
        let (mut first, mut tail) = (true, Vec::new());
        while !tail.ends_with(b"0\r\n\r\n") {
            socket.readable().await?;
            let read = match socket.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            let events = read.windows(7).filter(|part| part == b"data: {").count() as u64;
            if events > 0 && std::mem::replace(&mut first, false) {
                ttft.push(clock.now().since(sent));
            }
            tokens += events;
            tail.extend_from_slice(&read[read.len().saturating_sub(8)..]);
            tail.drain(..tail.len().saturating_sub(8));
        }
    }
    Ok((ttft, tokens))
}
