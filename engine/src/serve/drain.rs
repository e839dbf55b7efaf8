//! Stopping a server: nothing new is taken, and what is in flight may finish.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::hub::Hub;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still in flight when the time to drain was over, and answers that were not read to their end.
    pub cancelled: usize,
}

/// Lasts until `stop` is done and, after that, nothing is in flight and `quiet` is done, or `patience` is over. `open` says how
/// many clients have not got to the end of their answers. From `stop` on `stopping` is set and the hub is closed.
pub(super) async fn drained(
    stop: impl Future<Output = ()>,
    (hub, stopping): (&Hub, &AtomicBool),
    patience: Duration,
    quiet: impl Future<Output = ()>,
    open: impl Fn() -> usize,
) -> Drained {
    stop.await;
    stopping.store(true, Ordering::Relaxed);
    hub.close();
    let over = async {
        hub.idle().await;
        quiet.await;
    };
    let cancelled = match timeout(patience, over).await {
        Ok(()) => 0,
        Err(_) => hub.in_flight().max(open()),
    };
    Drained { cancelled }
}
