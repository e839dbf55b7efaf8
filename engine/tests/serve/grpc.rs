//! Control and generation over gRPC, through the client that others use.

mod answers;
mod bad_input;
mod bounds;
mod drops;
mod shifts;
mod stopping;
mod watching;
mod world;
