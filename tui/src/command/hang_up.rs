//! The end of a run whose terminal has gone, where the screen cannot see to it.
//!
//! Reading from a terminal that was closed gives nothing, at once and for ever, and what reads it may never come back from
//! that. A run must not go on loading a server for nobody, so a thread of its own hears of the hang-up, too.

use std::sync::Arc;
use std::time::Duration;

use loadgen::live::{Command, Phase, Snapshot};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::leave_at_once;

/// How long the screen has to end by itself.
const ITS_OWN: Duration = Duration::from_secs(3);
/// How long what is cancelled may take to be over, and the recording to be closed.
const CLOSING: Duration = Duration::from_secs(20);

/// How long the screen has to give the terminal back after that.
const LEAVING: Duration = Duration::from_secs(5);

/// As long as it is there, a terminal that goes ends the run.
pub(super) struct HangUp {
    /// Dropped with it, which ends the thread.
    _held: oneshot::Sender<()>,
}

impl HangUp {
    /// Listens from now on; `None` where the process was started to outlive its terminal.
    ///
    /// # Errors
    /// When the system does not let us listen.
    pub(super) fn listen(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        commands: mpsc::Sender<Command>,
    ) -> std::io::Result<Option<Self>> {
        if kernels::signals::ignores_hang_up() {
            return Ok(None);
        }
        let (held, mut released) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut hang_up = runtime.block_on(async { signal(SignalKind::hangup()) })?;
        let watching = async move {
            tokio::select! {
                _ = &mut released => return,
                _ = hang_up.recv() => {}
            }
            if timeout(ITS_OWN, &mut released).await.is_err() {
                end(snapshots, &commands, released).await;
            }
        };
        std::thread::Builder::new().name("hang-up".to_owned()).spawn(move || runtime.block_on(watching))?;
        Ok(Some(Self { _held: held }))
    }
}

/// Ends the run, and, once its recording has its end, the process, unless the screen does: a hang-up is no proof that the terminal
/// has gone.
async fn end(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    commands: &mpsc::Sender<Command>,
    released: oneshot::Receiver<()>,
) {
    // Nobody takes commands any more only when the run is over.
    let _ = commands.send(Command::Abort).await;
    let over = snapshots.wait_for(|snapshot| snapshot.phase == Phase::Done);
    // What is not over by then keeps a recording that says so.
    let _ = timeout(CLOSING, over).await;
    if timeout(LEAVING, released).await.is_err() {
        leave_at_once();
    }
}
