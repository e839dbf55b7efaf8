//! An engine somewhere else, over gRPC: `grpc://HOST:PORT`. One of vLLM's is in [`vllm`].
//!
//! ```text
//!   RemoteEngine ─┬─ generate ──► RemoteAnswer: tokens as they come; dropped, it cancels
//!   (cheap clone) ├─ topology, load: how it is now
//!                 ├─ shift ──► the number of the shift
//!                 └─ watch ──► the whole state, and RemoteWatch: every change from there on
//! ```
//!
//! The words are those of the embedded engine: a [`Topology`] holds an [`Observation`](crate::drive::wall::Observation), a
//! watch yields [`EngineEvent`](crate::drive::wall::EngineEvent)s, an answer ends with a
//! [`Finished`](crate::cluster::Finished). All their instants are on the *server's* clock; `observed.at` of a topology says
//! what that reads, somewhere between the call and its return.
//!
//! Nothing here outlives what the caller holds: no retry, no task that goes on by itself. A connection that broke is made anew
//! by the next call.

mod address;
mod answer;
mod channels;
mod engine;
mod error;
mod key;
mod load;
mod peer;
mod stamp;
mod standing;
mod topology;
pub mod vllm;
mod watch;

pub use address::{RemoteAddress, RemoteAddressError};
pub use answer::{AnswerEvent, RemoteAnswer};
pub use channels::RemoteConfig;
pub use engine::RemoteEngine;
pub use error::{RemoteError, StatusCode};
pub use key::RemoteKey;
pub use load::{Load, Rates};
pub use peer::one_line;
pub use standing::{Standing, is_serving};
pub use topology::{Limits, Topology};
pub use watch::RemoteWatch;

#[cfg(test)]
mod tests;
