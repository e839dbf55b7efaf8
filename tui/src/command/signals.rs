//! The signals that end a run or its screen. Of a headless run the first lets what is in flight finish, the second leaves at
//! once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

/// Hang-ups within this time are one: a terminal that goes tells its foreground processes, and the first of its session once more.
const TOGETHER: Duration = Duration::from_secs(1);

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The operator pressed ctrl-c.
    Interrupt,
    /// The process is to go, or its terminal has gone.
    Terminate,
}

/// The signals that end a run.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where the process was started to outlive its terminal.
    hang_up: Option<Signal>,
    /// Until when another hang-up is the same as the last.
    hung_up: Option<Instant>,
}

impl Signals {
    /// From now on these signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system does not let us listen.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: (!kernels::signals::ignores_hang_up()).then(|| signal(SignalKind::hangup())).transpose()?,
            hung_up: None,
        })
    }

    /// Waits for one of them.
    pub async fn next(&mut self) {
        self.which().await;
    }

    /// The terminal is found to have gone: a hang-up that comes now tells nothing new. For async code.
    pub fn terminal_is_gone(&mut self) {
        self.hung_up = Some(sleep(TOGETHER).deadline());
    }

    /// Waits for one of them and says which it was.
    pub async fn which(&mut self) -> Told {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Told::Interrupt,
                _ = self.terminate.recv() => return Told::Terminate,
                () = hung_up(self.hang_up.as_mut()) => {}
            }
            let until = sleep(TOGETHER).deadline();
            let now = until - TOGETHER;
            if self.hung_up.is_none_or(|last| last <= now) {
                self.hung_up = Some(until);
                return Told::Terminate;
            }
        }
    }
}

/// Waits for the terminal to go; for ever where that is nothing to us.
async fn hung_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
