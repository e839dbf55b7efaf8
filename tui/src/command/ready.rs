//! A target is opened, and waited for until it is ready.

use std::time::Duration;

use anyhow::Context;
use loadgen::clock::RunClock;
use loadgen::metrics::Metrics;
use loadgen::ready::wait;
use loadgen::target::{Connection, grpc, http, vllm};
use loadgen::time::Micros;
use tokio::sync::oneshot;

use super::signals::Signals;
use super::{leave_at_once, tell};
use crate::cli::{Ready, TargetSpec, WatchedTarget};

/// Between two attempts to open a target that is not there yet.
const AGAIN: Duration = Duration::from_secs(1);

/// Opens the target and waits until it is ready. What is waited for is told on stderr.
///
/// # Errors
/// When it cannot be opened, or does not get ready in time.
pub(super) fn open(target: TargetSpec, ready: Ready) -> anyhow::Result<Connection> {
    let starts = target.starts_workers();
    let _guard = Guard::of(&target)?;
    let Some(patience) = ready.patience else { return target.open() };
    let clock = RunClock::start();
    let mut said = String::new();
    let mut connection = loop {
        match target.clone().within(left(patience, clock.now())).open() {
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
    // Workers have had a time of their own to come up in.
    let spent = if starts { Micros::ZERO } else { clock.now() };
    wait(&mut connection, patience, spent, tell)?;
    Ok(connection)
}

/// What an answer may take of an attempt that begins `now`, in whole seconds: at least one, however late it is.
fn left(patience: Micros, now: Micros) -> Duration {
    Duration::from_secs(patience.since(now).0.div_ceil(1_000_000).max(1))
}

/// The same, together with what its servers tell of themselves.
///
/// # Errors
/// As those of [`open`], and when the system has no thread for its metrics.
pub(super) fn open_watched(watched: WatchedTarget) -> anyhow::Result<Connection> {
    let WatchedTarget { target, ready, metrics } = watched;
    let mut connection = open(target, ready)?;
    if let Some(at) = metrics {
        connection.metrics = Metrics::open(at).map_err(anyhow::Error::msg)?;
    }
    Ok(connection)
}

/// While it is there a signal ends the workers that were started, and then the process: they would outlive it.
pub(super) struct Guard {
    /// Dropped with the guard, which ends its thread.
    _held: oneshot::Sender<()>,
}

impl Guard {
    /// One for `target`, if opening it starts workers.
    ///
    /// # Errors
    /// When the system does not let us listen.
    pub(super) fn of(target: &TargetSpec) -> anyhow::Result<Option<Self>> {
        target.starts_workers().then(Self::new).transpose()
    }

    fn new() -> anyhow::Result<Self> {
        let (held, released) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = runtime.block_on(async { Signals::install() }).context("cannot listen for signals")?;
        let watch = async move {
            tokio::select! {
                _ = released => {}
                () = signals.next() => {
                    tell("stopped: the workers that were started are told to end");
                    leave_at_once();
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(watch))?;
        Ok(Self { _held: held })
    }
}

/// Whether a target that could not be opened may be there a little later.
fn may_pass(error: &anyhow::Error) -> bool {
    if let Some(error) = error.downcast_ref::<http::OpenError>() {
        return error.may_pass();
    }
    if let Some(error) = error.downcast_ref::<vllm::OpenError>() {
        return error.may_pass();
    }
    error.downcast_ref::<grpc::OpenError>().is_some_and(grpc::OpenError::may_pass)
}
