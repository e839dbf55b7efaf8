//! A target is opened, and waited for until it is ready.

use std::time::Duration;

use loadgen::clock::RunClock;
use loadgen::ready::wait;
use loadgen::target::{Connection, grpc, http};

use super::tell;
use crate::cli::{Ready, TargetSpec};

/// Between two attempts to open a target that is not there yet.
const AGAIN: Duration = Duration::from_secs(1);

/// Opens the target and waits until it is ready. What is waited for is told on stderr.
///
/// # Errors
/// When it cannot be opened, or does not get ready in time.
pub(super) fn open(target: TargetSpec, ready: Ready) -> anyhow::Result<Connection> {
    let Some(patience) = ready.patience else { return target.open() };
    let clock = RunClock::start();
    let mut said = String::new();
    let mut connection = loop {
        match target.clone().open() {
            Ok(connection) => break connection,
            Err(error) if ready.from_nothing && may_pass(&error) && clock.now() < patience => {
                let line = format!("waiting: {}", error.to_string().lines().next().unwrap_or_default());
                if line != said {
                    tell(&line);
                    said = line;
                }
                std::thread::sleep(AGAIN);
            }
            Err(error) => return Err(error),
        }
    };
    wait(&mut connection, patience.since(clock.now()), tell)?;
    Ok(connection)
}

/// Whether a target that could not be opened may be there a little later.
fn may_pass(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<http::OpenError>() {
        Some(error) => error.may_pass(),
        None => error.downcast_ref::<grpc::OpenError>().is_some(),
    }
}
