//! What HTTP costs: the same load on the in-process handle and through the server, in turns, by a client in another process.
//!
//! `cargo bench --workspace --bench serve` (Linux). 64 streams that ask one request after the other; prefill costs nothing, a
//! decode step takes 10 ms, so that every stream gets a token every 10 ms. Printed: TTFT p50 and p99 as each client sees it,
//! the CPU time of the serving process a token, and the differences.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

#[path = "serve/client.rs"]
mod client;
#[path = "serve/handle.rs"]
mod handle;
#[path = "serve/load.rs"]
mod load;
#[path = "serve/world.rs"]
mod world;

use load::{Outcome, STREAMS};

/// Turns of each; the first warms up and does not count.
const ROUNDS: usize = 4;

fn main() {
    if let Ok(address) = std::env::var(client::ADDRESS) {
        client::run(address.parse().expect("an address"));
        return;
    }
    let (mut handle, mut http) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (one, other) = (handle::run(), world::run());
        if round > 0 {
            println!("round {round}: handle {one}; http {other}");
            handle.push(one);
            http.push(other);
        }
    }
    let (handle, http) = (Outcome::all(handle), Outcome::all(http));
    println!("{STREAMS} streams, {} requests each way", handle.ttft.len());
    println!("handle: {handle}");
    println!("http:   {http}");
    println!(
        "http adds {:.3} ms to TTFT p50, {:.3} ms to p99, and {:.1} us of CPU to a token",
        http.ttft_ms(0.5) - handle.ttft_ms(0.5),
        http.ttft_ms(0.99) - handle.ttft_ms(0.99),
        http.cpu_us() - handle.cpu_us(),
    );
}
