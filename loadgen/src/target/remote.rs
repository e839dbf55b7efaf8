//! What all targets behind a socket have in common, whatever they speak.
//!
//! ```text
//!   pacing thread ── submit, never waits ──► queue ──► remote thread: a task for each request ◄──► sockets
//!   observing thread ◄── drain ── inbox (bounded) ◄── stamped, then parsed ──┘
//! ```
//!
//! One thread carries all requests. It spends some microseconds on an arrival, so it is good for tens of thousands of tokens a
//! second; its stamps are in one order; and on a machine that the server shares it leaves the other cores alone. What it costs
//! is charged to the client, and when it falls behind, the lag and the client's verdict say so.
//!
//! # Bounds, and what happens at each
//! - Requests in flight, queued ones included: one more than the protocol's limit is shed. Where each needs a socket, as many as
//!   there may be, at most [`IN_FLIGHT`].
//! - Events that wait to be read: [`INBOX`]. Then tasks wait with what they have, nothing more is read from their sockets, and
//!   that is counted: latencies measured then are the client's own.

mod call;
mod clock;
mod files;
mod inbox;
mod most;
mod report;
mod run_id;
mod thread;
mod together;
mod wait;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

pub(super) use call::of_call;
pub(super) use clock::SharedClock;
pub(super) use inbox::Inbox;
pub(super) use most::{most_of_prompt, most_tokens};
pub(super) use report::{End, Protocol, Report, failed};
pub(super) use run_id::RunId;
pub(super) use together::Arrivals;
pub use wait::Patience;
pub(super) use wait::Wait;

use super::{Dispatch, Shed, Target, TargetEvent, TargetEvents};
use crate::clock::RunClock;
use crate::control::listener::Listener;
use crate::time::Micros;
use thread::{Cancels, Thread};

/// Requests in flight at most.
const IN_FLIGHT: usize = 8_192;
/// Events that may wait to be read.
const INBOX: usize = 65_536;
/// Connections over gRPC that requests take in turn, and requests in flight on each: a server lets more of them wait without a word.
pub(super) const GRPC_CONNECTIONS: usize = 8;
const ON_EACH: usize = 512;
/// How long a request may take when nobody says: an overloaded server keeps some waiting for minutes.
pub const REQUEST_TIMEOUT: Duration = Duration::from_mins(10);
/// How long each answer before the load may take when nobody says.
pub const OPENING: Duration = Duration::from_secs(30);
/// What the answer of one token is given at least: of an engine that has just started it comes late, and what it refuses would be
/// missed.
pub(super) const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// What the way to a remote target costs the client.
#[derive(Debug, Default)]
pub struct ClientSide {
    cpu_us: AtomicU64,
    held_up: AtomicU64,
}

impl ClientSide {
    /// CPU time of the thread that talks to the target.
    pub fn cpu(&self) -> Micros {
        Micros(self.cpu_us.load(Ordering::Relaxed))
    }

    /// How often reading from a socket had to wait, because what had come before was not taken yet.
    pub fn held_up(&self) -> u64 {
        self.held_up.load(Ordering::Relaxed)
    }

    /// Called by the thread that talks to the target.
    fn charge(&self) {
        // Where the system does not tell, nothing is counted.
        self.cpu_us.store(kernels::thread::cpu_time_ns().unwrap_or(0) / 1000, Ordering::Relaxed);
    }
}

/// The parts of a connection to a remote target.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) target: Arc<dyn Target>,
    pub(super) events: Box<dyn TargetEvents>,
    pub(super) client: Arc<ClientSide>,
}

/// How much may be under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Requests in flight.
    pub(super) in_flight: usize,
    /// How long a request may take.
    pub(super) timeout: Duration,
}

impl Limits {
    /// As many requests as connections over gRPC carry, however few sockets there may be: they are open already.
    pub(super) fn of_grpc(timeout: Duration) -> Self {
        Self { in_flight: GRPC_CONNECTIONS * ON_EACH, timeout }
    }

    /// As many requests as there may be sockets, and what is to be said where these are too few.
    pub(super) fn of_sockets(timeout: Duration) -> (Self, Option<String>) {
        let files::Sockets { most, too_few } = files::sockets(IN_FLIGHT);
        (Self { in_flight: most, timeout }, too_few)
    }
}

/// What there is of a target to be: it can be asked about itself on this runtime, and whoever else has something to tell of it
/// can be given a [`Link`].
#[derive(Debug)]
pub(super) struct Ground {
    runtime: Runtime,
    link: Link,
    client: Arc<ClientSide>,
}

/// Tells events that are of no request, on the run's clock.
#[derive(Clone, Debug)]
pub(super) struct Link {
    inbox: Arc<Inbox>,
    clock: SharedClock,
}

impl Listener for Link {
    async fn tell(&self, events: &mut Vec<TargetEvent>) {
        self.inbox.push(events).await;
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }
}

impl Ground {
    /// # Errors
    /// When the system has no room for a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Self::with_inbox(INBOX)
    }

    fn with_inbox(events: usize) -> io::Result<Self> {
        // The thread beside it resolves names.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(1).thread_name("resolve").build()?;
        let client = Arc::new(ClientSide::default());
        let inbox = Arc::new(Inbox::new(events, Arc::clone(&client)));
        Ok(Self { runtime, link: Link { inbox, clock: SharedClock::new() }, client })
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A way for others to what will read the target's events.
    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Moves the runtime into a thread of its own, where `protocol` serves every request. The thread ends with the target.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn connect<P: Protocol>(self, protocol: P, limits: Limits) -> io::Result<Parts> {
        let Self { runtime, link: Link { inbox, clock }, client } = self;
        let in_flight = Arc::new(AtomicUsize::new(0));
        let cancels = Arc::new(Cancels::default());
        let (sender, queue) = mpsc::channel(limits.in_flight);
        let thread = Thread {
            protocol: Arc::new(protocol),
            queue,
            timeout: limits.timeout,
            cancels: Arc::clone(&cancels),
            inbox: Arc::clone(&inbox),
            in_flight: Arc::clone(&in_flight),
            clock: clock.clone(),
            client: Arc::clone(&client),
        };
        std::thread::Builder::new().name("remote".to_owned()).spawn(move || thread.run(runtime))?;
        Ok(Parts {
            target: Arc::new(Remote { queue: sender, in_flight, limit: limits.in_flight, cancels }),
            events: Box::new(RemoteEvents { inbox, clock }),
            client,
        })
    }
}

#[derive(Debug)]
struct Remote {
    queue: mpsc::Sender<Dispatch>,
    in_flight: Arc<AtomicUsize>,
    limit: usize,
    cancels: Arc<Cancels>,
}

impl Target for Remote {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        // The pacing thread alone counts up, so the limit is exact.
        if self.in_flight.load(Ordering::Relaxed) >= self.limit {
            return Err(Shed::TooMany);
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(dispatch).map_err(|error| {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => Shed::InboxFull,
                mpsc::error::TrySendError::Closed(_) => Shed::Stopped,
            }
        })
    }

    fn cancel(&self, index: u64) {
        self.cancels.ask(index);
    }
}

struct RemoteEvents {
    inbox: Arc<Inbox>,
    clock: SharedClock,
}

impl fmt::Debug for RemoteEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEvents").finish_non_exhaustive()
    }
}

impl TargetEvents for RemoteEvents {
    fn align(&mut self, clock: RunClock) {
        self.clock.align(clock);
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool {
        self.inbox.drain(into, wait)
    }
}

#[cfg(test)]
mod tests;
