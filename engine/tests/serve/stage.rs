//! What every server stands on: an engine, its hub, a runtime, and the way to stop it all.

use std::time::Duration;

use engine::clock::WallClock;
use engine::cluster::UnitState;
use engine::drive::wall::EngineHandle;
use engine::serve::Drained;
use engine::serve::hub::{Hub, HubConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::HANG;
use crate::world::{Gate, engine_of};

/// How long a look that was in vain is followed by none. Whoever waits must not keep from working what it waits for: units run
/// when nobody else wants to.
const PAUSE: Duration = Duration::from_millis(1);

/// A server that runs, without its address.
pub(crate) struct Stage {
    pub(crate) hub: Hub,
    /// The engine behind the hub's back.
    pub(crate) engine: EngineHandle,
    pub(crate) gate: Gate,
    pub(crate) runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<Drained>>,
}

impl Stage {
    /// Starts an engine, and what `serve` makes of its hub: where it listens, and the server that ends when it is told to.
    pub(crate) fn start<A, S: Future<Output = Drained> + Send + 'static>(
        config: HubConfig,
        serve: impl FnOnce(Hub, oneshot::Receiver<()>) -> (A, S),
    ) -> (Self, A) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let gate = Gate::default();
        let (engine, reader) = engine_of("2P2D", &gate, config.context_tokens);
        let handle = engine.handle();
        let hub = Hub::start(engine, reader, config).expect("a hub");
        let (stop, stopped) = oneshot::channel();
        let (address, serving) = {
            let _within = runtime.enter();
            serve(hub.clone(), stopped)
        };
        let served = Some(runtime.spawn(serving));
        (Self { hub, engine: handle, gate, runtime, stop: Some(stop), served }, address)
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().expect("it has not been asked").send(()).expect("it is running");
    }

    /// Waits until the server has stopped.
    pub(crate) fn stopped(&mut self) -> Drained {
        self.runtime.block_on(self.served.take().expect("it was not waited for")).expect("it ended well")
    }

    /// Waits until nothing is in flight in the engine.
    pub(crate) fn idle(&self) {
        self.run(self.hub.idle());
    }

    /// Waits until all units serve, then checks that no request has left anything anywhere.
    pub(crate) fn assert_at_rest(&self) {
        self.idle();
        eventually("the units have settled", || {
            let now = self.hub.observe();
            let serving = now.units.iter().all(|unit| unit.figures.state == UnitState::Serving);
            now.shift.is_none() && now.waiting_shifts.is_empty() && serving
        });
        // A step or a copy that is being made keeps its blocks to its end.
        eventually("nothing is held by anyone", || {
            let now = self.hub.observe();
            let holds = now.units.iter().map(|unit| unit.figures);
            let holds = holds.map(|now| now.queue + now.running + now.handing_off + now.incoming + now.held);
            (now.in_flight, holds.sum()) == (0, 0)
        });
        // Each block of each pool is on the free list or in the prefix cache, never in both and never in neither.
        assert_eq!(self.engine.check(), Ok(()));
        // Whoever has left is noticed in its own time.
        eventually("every request was counted once", || {
            let counts = self.hub.counts();
            let ended = counts.stopped + counts.full_length + counts.abandoned + counts.overrun + counts.failed;
            assert!(ended <= counts.admitted, "{counts:?}");
            ended == counts.admitted
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A unit that waits at the gate would be waited for.
        self.gate.open();
    }
}

/// Looks until `condition` holds; for what other threads are about to do, without telling anyone.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let clock = WallClock::start();
    while !condition() {
        assert!(Duration::from_nanos(clock.now().0) < HANG, "never: {what}");
        std::thread::park_timeout(PAUSE);
    }
}
