//! Following a remote engine.

use tonic::Streaming;

use super::{RemoteAddress, RemoteError, Topology};
use crate::drive::wall::EngineEvent;
use crate::wire::v1::watch_event::What;
use crate::wire::{self, v1};

/// What a watch yields.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// The whole state: first, and once.
    State(Topology),
    /// A notice about a unit or a shift, a dropped shift or a lost unit, on the server's clock.
    Event(EngineEvent),
}

/// Everything that happens to the units and shifts of a remote engine, in order.
#[derive(Debug)]
pub struct RemoteWatch {
    address: RemoteAddress,
    stream: Streaming<v1::WatchEvent>,
    begun: bool,
    over: bool,
}

impl RemoteWatch {
    pub(super) fn new(address: RemoteAddress, stream: Streaming<v1::WatchEvent>) -> Self {
        Self { address, stream, begun: false, over: false }
    }

    /// The next event; `None` after an error. A watch has no end of its own: it ends with an error, which has the code
    /// [`Aborted`](super::StatusCode::Aborted) when events were missed, and then one may watch again. May be given up at any
    /// moment without losing anything.
    ///
    /// # Errors
    /// When the server ended it, the connection broke, or what came makes no sense.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, RemoteError>> {
        if self.over {
            return None;
        }
        let event = self.read().await;
        self.over = event.is_err();
        Some(event)
    }

    async fn read(&mut self) -> Result<WatchEvent, RemoteError> {
        let address = &self.address;
        loop {
            let message = self.stream.message().await.map_err(|status| RemoteError::of_status(address, &status))?;
            let Some(v1::WatchEvent { at_ns, what }) = message else {
                let why = "the watch ended without saying why".to_owned();
                return Err(RemoteError::Broken { address: address.clone(), why });
            };
            let malformed = |wrong| RemoteError::of_malformed(address, wrong);
            match (self.begun, what) {
                (false, Some(What::Topology(topology))) => {
                    self.begun = true;
                    return wire::read_topology(topology).map(WatchEvent::State).map_err(malformed);
                }
                (false, _) => return Err(malformed(wire::Malformed("a watch without a first state".to_owned()))),
                (true, what) => {
                    if let Some(event) = wire::read_change(at_ns, what).map_err(malformed)? {
                        return Ok(WatchEvent::Event(event));
                    }
                }
            }
        }
    }
}
