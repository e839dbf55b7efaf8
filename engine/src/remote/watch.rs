//! Following a remote engine.

use std::sync::Arc;

use tonic::{Response, Status, Streaming};

use super::peer::Peer;
use super::{RemoteError, Topology};
use crate::drive::wall::EngineEvent;
use crate::wire::v1::watch_event::What;
use crate::wire::{Malformed, v1};

/// Everything that happens to the units and shifts of a remote engine, in order.
#[derive(Debug)]
pub struct RemoteWatch {
    peer: Arc<Peer>,
    stream: Streaming<v1::WatchEvent>,
    over: bool,
}

/// The messages of a watch, and the first of them.
pub(super) type Opened = (Streaming<v1::WatchEvent>, Option<v1::WatchEvent>);

/// Waits for the first message of a watch: without a state to begin with it is none.
pub(super) async fn opened(
    asked: impl Future<Output = Result<Response<Streaming<v1::WatchEvent>>, Status>>,
) -> Result<Response<Opened>, Status> {
    let mut stream = asked.await?.into_inner();
    let first = stream.message().await?;
    Ok(Response::new((stream, first)))
}

impl RemoteWatch {
    pub(super) fn new(peer: Arc<Peer>, (stream, first): Opened) -> Result<(Self, Topology), RemoteError> {
        let Some(v1::WatchEvent { what: Some(What::Topology(state)), .. }) = first else {
            return Err(peer.malformed(&Malformed("a watch without a first state".to_owned())));
        };
        let state = peer.topology(state)?;
        Ok((Self { peer, stream, over: false }, state))
    }

    /// The next event: a notice about a unit or a shift, a dropped shift or a lost unit, on the server's clock. `None` after an
    /// error. A watch has no end of its own: it ends with an error, which has the code
    /// [`Aborted`](super::StatusCode::Aborted) when events were missed, and then one may watch again. May be given up at any
    /// moment without losing anything.
    ///
    /// # Errors
    /// When the server ended it, the connection broke, or what came makes no sense.
    pub async fn next(&mut self) -> Option<Result<EngineEvent, RemoteError>> {
        if self.over {
            return None;
        }
        let event = self.read().await;
        self.over = event.is_err();
        Some(event)
    }

    async fn read(&mut self) -> Result<EngineEvent, RemoteError> {
        let peer = &self.peer;
        loop {
            let message = self.stream.message().await.map_err(|status| peer.status(&status))?;
            let message = message.ok_or_else(|| peer.broken("the watch ended without saying why"))?;
            if let Some(event) = peer.change(message)? {
                return Ok(event);
            }
        }
    }
}
