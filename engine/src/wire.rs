//! The gRPC API as code: what `proto/pdtune/v1` says, and what it means in the engine's own words. Beside it that of vLLM's engine,
//! [`vllm`], in whose words its client speaks.
//!
//! [`v1`] and [`vllm`] are generated and committed; `tests/wire_is_fresh.rs` compares them with the proto files, so that no build needs
//! protoc. Everything else here is pure and goes both ways: the server writes what the client reads, with the same file in
//! between. What came from outside is checked where it is read; whoever sent it learns by [`Malformed`] what is wrong.

mod answer;
mod load;
mod news;
mod shift;
mod topology;

pub(crate) mod v1 {
    //! Generated from `proto/pdtune/v1`.
    #![expect(clippy::allow_attributes, clippy::pedantic, unreachable_pub, reason = "generated code")]
    include!("wire/pdtune.v1.rs");
}

pub(crate) mod vllm {
    //! Generated from `proto/vllm`.
    #![expect(unreachable_pub, reason = "generated code")]
    include!("wire/vllm.grpc.engine.rs");
}

pub(crate) use answer::{asked, event, read_event, request};
pub(crate) use load::{load, read_load};
pub(crate) use news::{change, read_change};
pub(crate) use shift::{how, read_how, read_split, split};
pub(crate) use topology::{read_topology, topology};

/// A message that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

/// A field that has to be there.
fn needed<T>(field: Option<T>, name: &str) -> Result<T, Malformed> {
    field.ok_or_else(|| Malformed(format!("`{name}` is missing")))
}

/// A number that has to fit.
fn narrow(field: u32, name: &str) -> Result<u16, Malformed> {
    u16::try_from(field).map_err(|_| Malformed(format!("`{name}` is {field}, at most {} is possible", u16::MAX)))
}
