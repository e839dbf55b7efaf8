//! The client.

use std::sync::Arc;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::channels::Channels;
use super::key::Present;
use super::peer::Service;
use super::watch::opened;
use super::{Load, RemoteAddress, RemoteAnswer, RemoteConfig, RemoteError, RemoteWatch, Topology};
use crate::cluster::{How, ShiftId};
use crate::serve::hub::Generation;
use crate::units::Split;
use crate::wire::v1::control_client::ControlClient;
use crate::wire::v1::generation_client::GenerationClient;
use crate::wire::{self, v1};

/// A remote engine; cheap to clone, and used from any number of tasks.
#[derive(Clone, Debug)]
pub struct RemoteEngine(Arc<Channels>);

type Carrier = InterceptedService<Channel, Present>;

impl RemoteEngine {
    /// Makes all connections and asks for the topology once, so that what is there is known to be an engine that lets us in.
    /// Has to be called within a tokio runtime, which then carries the connections.
    ///
    /// # Errors
    /// When a connection cannot be made, the key is not the right one, or what answers is no engine.
    pub async fn connect(address: RemoteAddress, config: RemoteConfig) -> Result<Self, RemoteError> {
        let engine = Self(Arc::new(Channels::connect(address, config, Service::Ours).await?));
        match engine.topology().await {
            Ok(_) => Ok(engine),
            // It took the connection and then did not speak the protocol.
            Err(RemoteError::Broken { why, .. }) => Err(engine.0.peer.unreachable(&why)),
            Err(error) => Err(error),
        }
    }

    /// Where it is.
    pub fn address(&self) -> &RemoteAddress {
        &self.0.peer.address
    }

    /// The engine as it is now.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn topology(&self) -> Result<Topology, RemoteError> {
        let mut client = self.control();
        let topology = self.0.call(client.get_topology(v1::GetTopologyRequest {})).await?;
        self.0.peer.topology(topology)
    }

    /// What it has done and is doing.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn load(&self) -> Result<Load, RemoteError> {
        let mut client = self.control();
        Ok(wire::read_load(&self.0.call(client.get_load(v1::GetLoadRequest {})).await?))
    }

    /// Asks for a shift and returns its number; a [watch](Self::watch) tells what becomes of it, and only a
    /// [topology](Self::topology) tells that it is done. With `expected`, only if the topology still has that generation.
    ///
    /// # Errors
    /// When the server refuses it, and when the call fails: then it may or may not have been taken.
    pub async fn shift(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, RemoteError> {
        let mut client = self.control();
        let request =
            v1::ShiftRequest { to: Some(wire::split(to)), how: wire::how(how), expected_generation: expected };
        Ok(ShiftId(self.0.call(client.shift(request)).await?.ticket))
    }

    /// Follows the units and shifts from the state on that comes with it.
    ///
    /// # Errors
    /// When the call fails or gives no state in its time, or as many as allowed are watching.
    pub async fn watch(&self) -> Result<(RemoteWatch, Topology), RemoteError> {
        let mut client = self.control();
        let opened = self.0.call(opened(client.watch_units(v1::WatchUnitsRequest {}))).await?;
        RemoteWatch::new(Arc::clone(&self.0.peer), opened)
    }

    /// Asks for an answer. Returns when the server has accepted it.
    ///
    /// # Errors
    /// When the server refuses it ([`ResourceExhausted`](super::StatusCode::ResourceExhausted) when it has no room), or the
    /// call fails.
    pub async fn generate(&self, generation: &Generation) -> Result<RemoteAnswer, RemoteError> {
        let mut client = GenerationClient::with_interceptor(self.0.next(), self.0.presented());
        let stream = self.0.call(client.generate(wire::request(generation))).await?;
        Ok(RemoteAnswer::new(Arc::clone(&self.0.peer), stream))
    }

    fn control(&self) -> ControlClient<Carrier> {
        ControlClient::with_interceptor(self.0.next(), self.0.presented())
    }
}
