//! What happens to units and shifts, for whoever wants to follow it.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::drive::wall::EngineEvent;

/// Something about units or shifts.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A notice, a dropped shift or a lost unit; never a token or the end of a request.
    Event(EngineEvent),
    /// The reader was too slow for this many; the state as it is now is in [`super::Hub::observe`].
    Missed(u64),
}

/// Follows the news, in order.
#[derive(Debug)]
pub struct NewsReader(pub(super) broadcast::Receiver<EngineEvent>);

impl NewsReader {
    /// The next of them; `None` once the engine has stopped.
    pub async fn next(&mut self) -> Option<News> {
        match self.0.recv().await {
            Ok(event) => Some(News::Event(event)),
            Err(RecvError::Lagged(missed)) => Some(News::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
