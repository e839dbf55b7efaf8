//! `pdtune shift`: asks for one shift of a remote engine, or makes one by a control plane, and waits until it is so.
//!
//! Of an engine: a ticket only says that the shift was taken. What ends the waiting is what the watch tells of that ticket, and what makes it
//! a success is a topology that was asked for afterwards.

mod follow;
mod outcome;
mod plane;
mod progress;

use std::time::Duration;

use anyhow::{Context, ensure};
use engine::cluster::How;
use engine::remote::{
    RemoteAddress, RemoteConfig, RemoteEngine, RemoteError, RemoteKey, StatusCode, Topology, is_serving,
};
use engine::units::Split;
use tokio::time::timeout;

use super::signals::Signals;
use super::{Ending, print, tell};
use crate::cli::{ShiftOptions, Shifted};
use follow::{Asked, follow};
use outcome::{Outcome, Report};

/// How long the engine may take to be reached and to take the shift, whatever the time to wait.
const CALL: Duration = Duration::from_secs(10);

/// Shifts, waits and prints the outcome.
///
/// # Errors
/// When the engine cannot be reached, or refuses the shift; of one that is only tried, when it would be refused.
pub fn run(options: ShiftOptions) -> anyhow::Result<Ending> {
    let ShiftOptions { shifted, to, how, json } = options;
    let report = match shifted {
        Shifted::Engine { target, timeout, key } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(shift(Engine { target, patience: timeout, key }, to, how))?
        }
        Shifted::Plane { control, dry_run: true, .. } => {
            let (text, taken) = plane::preview(control, to, how)?;
            print(&text)?;
            ensure!(taken, "it would not be taken");
            return Ok(Ending::Fine);
        }
        Shifted::Plane { control, name, dry_run: false } => plane::shift(control, &name, to, how)?,
    };
    let text = if json { format!("{}\n", report.json()) } else { report.text() };
    print(&text)?;
    Ok(report.ending())
}

/// An engine, and how long its units are waited for.
struct Engine {
    target: RemoteAddress,
    patience: Duration,
    key: Option<RemoteKey>,
}

async fn shift(Engine { target, patience, key }: Engine, to: Split, how: How) -> anyhow::Result<Report> {
    let config = RemoteConfig { connect_timeout: CALL, call_timeout: CALL, key, ..RemoteConfig::default() };
    let engine = RemoteEngine::connect(target, config).await.map_err(explained)?;
    // Before the shift, so that nothing of it goes unseen.
    let (watch, Topology { observed: before, .. }) = engine.watch().await.map_err(explained)?;
    let report = |ticket, outcome| Report { ticket, from: before.split, to, how, outcome };
    if is_serving(&before, to) && before.shift.is_none() && before.waiting_shifts.is_empty() {
        return Ok(report(None, Outcome::Already));
    }
    let ticket = engine.shift(to, how, None).await.map_err(explained)?;
    let mut signals = Signals::install().context("cannot listen for signals")?;
    tell(&format!("shift {} from {} to {to} by {how}: accepted", ticket.0, before.split));
    let outcome = tokio::select! {
        followed = timeout(patience, follow(&engine, watch, Asked { ticket, to })) => {
            followed.unwrap_or(Outcome::TimedOut { after: patience })
        }
        () = signals.next() => Outcome::LeftAlone { why: "not waited for; the shift goes on".to_owned() },
    };
    Ok(report(Some(ticket), outcome))
}

/// The error with what to try next.
fn explained(error: RemoteError) -> anyhow::Error {
    let hint = match &error {
        RemoteError::Connect { .. } => "`pdtune serve` says where its control is: `control on grpc://HOST:PORT`",
        RemoteError::Malformed { .. } => "is it the control address of a `pdtune serve`, and not its HTTP one?",
        RemoteError::Status { code: StatusCode::Unauthenticated, .. } => {
            "put the server's key into a variable and name that by --api-key-env"
        }
        RemoteError::Status { .. } | RemoteError::Timeout { .. } | RemoteError::Broken { .. } => return error.into(),
    };
    anyhow::anyhow!("{error}\nhint: {hint}")
}
