//! A way to an engine that can be cut, and lead to another engine afterwards.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub(crate) struct Relay {
    /// Where it listens, for clients.
    pub(crate) address: String,
    at: SocketAddr,
    ways: Arc<Mutex<Ways>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Ways {
    to: Option<String>,
    open: Vec<TcpStream>,
    over: bool,
}

impl Relay {
    /// Leads to the engine at `grpc://…`.
    pub(crate) fn new(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("its address");
        let ways = Arc::new(Mutex::new(Ways::default()));
        let accepting = {
            let ways = Arc::clone(&ways);
            std::thread::spawn(move || accept(&listener, &ways))
        };
        let relay = Self { address: format!("grpc://{at}"), at, ways, accepting: Some(accepting) };
        relay.lead_to(address);
        relay
    }

    /// New connections go there.
    pub(crate) fn lead_to(&self, address: &str) {
        self.ways.lock().unwrap().to = Some(address.trim_start_matches("grpc://").to_owned());
    }

    /// Breaks every connection; new ones are hung up on.
    pub(crate) fn cut(&self) {
        let mut ways = self.ways.lock().unwrap();
        ways.to = None;
        for stream in ways.open.drain(..) {
            // It may be broken already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.ways.lock().unwrap().over = true;
        // It waits for a connection.
        drop(TcpStream::connect(self.at));
        self.accepting.take().expect("it accepts").join().expect("no panic");
    }
}

fn accept(listener: &TcpListener, ways: &Mutex<Ways>) {
    for client in listener.incoming() {
        let mut ways = ways.lock().unwrap();
        if ways.over {
            return;
        }
        let Some(to) = &ways.to else { continue };
        let Ok(server) = TcpStream::connect(to) else { continue };
        let client = client.expect("a connection");
        for (from, into) in [(&client, &server), (&server, &client)] {
            let (mut from, mut into) = (from.try_clone().expect("a handle"), into.try_clone().expect("a handle"));
            std::thread::spawn(move || {
                let _ = io::copy(&mut from, &mut into);
                let _ = into.shutdown(Shutdown::Both);
            });
        }
        ways.open.extend([client, server]);
    }
}
