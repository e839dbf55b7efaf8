//! The control of units by way of a control plane: a thread that looks, and takes shifts through their steps.
//!
//! ```text
//!   observing thread ── observe ──► last view ◄── looks ──┐
//!                    ── shift ────► orders (bounded) ──► control thread ◄──► adapter ◄──► control plane
//!   reader of events ◄───────────── units, shifts ◄───────┘     └ decides by `conduct`, which is pure
//! ```

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::cluster::How;
use engine::units::{Split, UnitId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::conduct::{Conduct, ORDERS, Turn, UnitNames};
use super::half_way::HalfWay;
use super::listener::Listener;
use super::plane::{Adapter, Topology, Unseen};
use super::prepare::prepared;
use crate::target::{Abilities, ClusterView, Control, TargetEvent};
use crate::time::Micros;

/// Between two looks while nothing is under way, and while a shift is.
const IDLE_LOOK: Duration = Duration::from_secs(2);
const SHIFT_LOOK: Duration = Duration::from_millis(500);

/// Why a control plane cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not tell of units.
    #[error("{0}")]
    Unseen(Unseen),
    /// What it was to start has not come up.
    #[error("{0}")]
    NotUp(String),
    /// The system has no room for a thread.
    #[error("cannot start the control thread: {0}")]
    Thread(#[from] io::Error),
}

// What is told of it is in the message: as a source it would be told twice.
impl From<Unseen> for OpenError {
    fn from(unseen: Unseen) -> Self {
        Self::Unseen(unseen)
    }
}

impl OpenError {
    /// Whether it may be otherwise a little later, when the control plane or its units have started.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unseen(unseen) => unseen.may_pass(),
            // What was started and died would only be started again.
            Self::NotUp(_) | Self::Thread(_) => false,
        }
    }
}

/// What was last seen, for whoever asks.
#[derive(Debug)]
struct View {
    cluster: ClusterView,
    names: UnitNames,
    vacated: Vec<UnitId>,
    account: String,
}

impl View {
    fn of<C: Clone>(conduct: &Conduct<C>, now: Micros) -> Self {
        Self {
            cluster: conduct.view(now),
            names: conduct.names(),
            vacated: conduct.vacated(),
            account: conduct.topology().account(),
        }
    }
}

/// A control plane under control. Dropped, it is left as it is, but for what was started for the run alone.
pub struct PlaneControl {
    view: Arc<Mutex<View>>,
    orders: mpsc::Sender<(Split, How)>,
    abilities: Abilities,
    /// Where something was started for the run alone.
    ending: Option<Ending>,
}

/// What whoever drops the control does: says so, whatever the thread is about, and waits until everything has ended.
struct Ending {
    held: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Drop for PlaneControl {
    fn drop(&mut self) {
        if let Some(Ending { held, thread }) = self.ending.take() {
            drop(held);
            // A thread that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for PlaneControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaneControl").finish_non_exhaustive()
    }
}

/// Starts to look and to listen. Each step of a shift may take up to `patience` to come true. Blocks until the control plane has
/// answered once, so it is not for async code.
///
/// # Errors
/// When it cannot be reached, or has no units.
pub fn open<A: Adapter>(
    mut adapter: A,
    patience: Duration,
    listener: impl Listener,
) -> Result<(PlaneControl, Topology), OpenError> {
    // The thread beside it resolves names.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).thread_name("resolve").build()?;
    let first = runtime.block_on(async {
        adapter.ready().await.map_err(OpenError::NotUp)?;
        adapter.observe().await.map_err(OpenError::Unseen)
    });
    let first = match first {
        Ok(first) => first,
        Err(why) => {
            runtime.block_on(adapter.close());
            return Err(why);
        }
    };
    let now = listener.now();
    let conduct = Conduct::new(first.clone(), patience, now);
    let view = Arc::new(Mutex::new(View::of(&conduct, now)));
    let (orders, asked) = mpsc::channel(ORDERS);
    let abilities = adapter.abilities();
    let conductor = Conductor { adapter, conduct, listener, view: Arc::clone(&view), half_way: HalfWay::new() };
    let thread = std::thread::Builder::new().name("control".to_owned());
    let is_of_the_run = conductor.adapter.is_of_the_run();
    let (held, released) = oneshot::channel();
    let released = is_of_the_run.then_some(released);
    let thread = thread.spawn(move || runtime.block_on(conductor.run(asked, released)))?;
    let ending = is_of_the_run.then_some(Ending { held, thread });
    Ok((PlaneControl { view, orders, abilities, ending }, first))
}

fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control for PlaneControl {
    fn observe(&self) -> ClusterView {
        lock(&self.view).cluster.clone()
    }

    fn shift(&self, to: Split, how: How) -> Result<(), String> {
        self.orders.try_send((to, how)).map_err(|error| match error {
            TrySendError::Full(_) => format!("{ORDERS} shifts wait to be taken up already"),
            TrySendError::Closed(_) => "the control of the target has stopped".to_owned(),
        })
    }

    fn unit_called(&self, name: &str) -> Option<UnitId> {
        lock(&self.view).names.find(name)
    }

    fn vacated(&self) -> Vec<UnitId> {
        lock(&self.view).vacated.clone()
    }

    fn account(&self) -> Option<String> {
        Some(lock(&self.view).account.clone())
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }
}

struct Conductor<A: Adapter, L> {
    adapter: A,
    conduct: Conduct<A::Call>,
    listener: L,
    view: Arc<Mutex<View>>,
    half_way: HalfWay,
}

impl<A: Adapter, L: Listener> Conductor<A, L> {
    /// Goes on until nobody can give an order any more, and ends what is of the run; `released` says that at once.
    async fn run(mut self, orders: mpsc::Receiver<(Split, How)>, released: Option<oneshot::Receiver<()>>) {
        let released = async {
            match released {
                Some(released) => _ = released.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.take_orders(orders) => {}
            () = released => {}
        }
        self.adapter.close().await;
    }

    async fn take_orders(&mut self, mut orders: mpsc::Receiver<(Split, How)>) {
        loop {
            let pause = if self.conduct.is_shifting() { SHIFT_LOOK } else { IDLE_LOOK };
            match timeout(pause, orders.recv()).await {
                Ok(Some((to, how))) => {
                    let accepted = self.conduct.accept(to, how, self.listener.now());
                    self.tell(vec![accepted]).await;
                    if self.conduct.is_shifting() {
                        self.publish();
                        continue;
                    }
                }
                // Orders outlive whoever gave them; nobody wants to know any more.
                Ok(None) => return,
                Err(_) => {}
            }
            self.look().await;
            self.publish();
        }
    }

    /// Looks, does what comes next, and takes up the next shift where none is under way.
    async fn look(&mut self) {
        let seen = self.adapter.observe().await;
        let now = self.listener.now();
        match seen {
            Ok(topology) => {
                let turn = self.conduct.saw(topology, now);
                self.follow(turn).await;
                self.take_up().await;
            }
            Err(unseen) => {
                // A hint behind it is for those who have just written its address.
                let why = unseen.to_string().lines().next().unwrap_or_default().to_owned();
                let turn = self.conduct.unseen(&why, now);
                self.follow(turn).await;
                // One look that fails is soon made again; whoever waits is not kept waiting for somebody who has gone.
                while self.conduct.is_lost(now)
                    && let Some(order) = self.conduct.take_next()
                {
                    let dropped = order.dropped(why.clone(), self.listener.now());
                    self.tell(vec![dropped]).await;
                }
            }
        }
    }

    async fn take_up(&mut self) {
        while let Some(order) = self.conduct.take_next() {
            match prepared(&self.adapter, self.conduct.topology(), order.to, order.how) {
                Ok(plan) => {
                    let turn = self.conduct.begin(order, plan, self.listener.now());
                    self.follow(turn).await;
                }
                Err(why) => {
                    let dropped = order.dropped(why, self.listener.now());
                    self.tell(vec![dropped]).await;
                }
            }
        }
    }

    /// Tells what there is to tell and makes the calls that follow.
    async fn follow(&mut self, mut turn: Turn<A::Call>) {
        loop {
            self.tell(turn.events).await;
            let Some(action) = turn.call else { return };
            self.publish();
            let answer = self.adapter.apply(&action.call).await;
            turn = self.conduct.answered(answer, self.listener.now());
        }
    }

    async fn tell(&self, mut events: Vec<TargetEvent>) {
        if !events.is_empty() {
            self.listener.tell(&mut events).await;
        }
    }

    fn publish(&self) {
        self.half_way.set(self.conduct.half_way());
        *lock(&self.view) = View::of(&self.conduct, self.listener.now());
    }
}

#[cfg(test)]
mod tests;
