//! Where a control tells what it sees.

use crate::target::TargetEvent;
use crate::time::Micros;

/// Where events about units and shifts go.
pub trait Listener: Send + Sync + 'static {
    /// Takes all of `events`, in their order. Where there is no room it waits, and whoever tells waits with it.
    fn tell(&self, events: &mut Vec<TargetEvent>) -> impl Future<Output = ()> + Send;

    /// The run's clock now.
    fn now(&self) -> Micros;
}
