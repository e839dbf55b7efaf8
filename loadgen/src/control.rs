//! Control of engines outside the program: how their units are seen and shifted.
//!
//! A control is opened beside a target, whatever that speaks, and tells its events to the same reader. All instants that it tells
//! are on the run's clock.

pub mod at;
mod conduct;
pub mod conductor;
pub mod dynamo;
pub mod exec;
pub mod gateway;
pub mod grpc;
pub mod half_way;
#[cfg(feature = "kube")]
pub mod kube;
mod legs;
pub mod listener;
pub mod plane;
mod prepare;
pub mod ray;
pub(crate) mod read_only;
mod rest;
pub mod server_clock;
mod trade;
