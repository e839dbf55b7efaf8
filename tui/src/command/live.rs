//! `pdtune live`: a run with the screen.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use loadgen::live::{Command, Phase};
use loadgen::run::{self, RunConfig};
use loadgen::whatif::{self, Ground, Worker};

use super::hang_up::HangUp;
use super::signals::Signals;
use super::{Ending, print, ready, record, tell};
use crate::cli::LiveOptions;
use crate::model::Offers;
use crate::shell::{self, Cast, Exit, LiveSource};

/// Runs the load under the live screen, then prints its summary.
///
/// # Errors
/// When the input is wrong, the target cannot be opened, or the terminal cannot be used.
pub fn run(options: LiveOptions) -> anyhow::Result<Ending> {
    let LiveOptions { watched, load, out, asciicast, screen, predict_with, load_is_given } = options;
    anyhow::ensure!(
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        "the live screen needs a terminal; `pdtune record` runs without one"
    );
    // Before anything is loaded: the terminal's answer must not come while the screen reads keys.
    let theme = shell::theme(screen.appearance.theme.into(), screen.appearance.symbols.set());
    let ground = predict_with.map(Ground::Profile).or_else(|| watched.target.ground());
    let connection = ready::open_watched(watched)?;
    let connection = if screen.read_only { connection.read_only() } else { connection };
    let units_are_told = connection.control.is_some() || connection.info.split.is_some();
    anyhow::ensure!(
        units_are_told || !matches!(ground, Some(Ground::Profile(_))),
        "--predict-with: nobody tells how many units {} has\nhint: --control, or --split",
        connection.info.name
    );
    let ground = ground.unwrap_or_else(|| Ground::of(&connection));
    let shift_refused =
        connection.control.is_none().then(|| "the target has no control, --control gives it one".to_owned());
    let offers = Offers { shift_refused, rate_refused: load_is_given, read_only: screen.read_only };
    // Nothing has been sent yet, so that a name that is taken costs nothing.
    let cast = asciicast.as_deref().map(Cast::create).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // First, so that no signal finds a run without somebody to end it.
    let mut signals = runtime.block_on(async { Signals::install() }).context("cannot listen for signals")?;
    let handle = match run::start(RunConfig { load, connection, record_to: out }) {
        Ok(handle) => handle,
        Err(error) => {
            if let Some(cast) = cast {
                cast.discard();
            }
            return Err(error.into());
        }
    };
    let _hang_up =
        HangUp::listen(handle.snapshots.clone(), handle.commands.clone()).context("cannot listen for signals")?;
    for remark in &handle.remarks {
        // Stands above the summary once the screen is gone; on the screen it is an event.
        tell(&format!("warning: {remark}"));
    }
    let predicted = whatif::Source {
        snapshots: handle.snapshots.clone(),
        traffic: handle.traffic.clone(),
        ground,
        meters: handle.meters.clone(),
    };
    let outlook = match Worker::start(predicted) {
        Ok(outlook) => outlook,
        Err(error) => {
            tell(&format!("warning: nothing is predicted: {error}"));
            tokio::sync::watch::channel(Arc::default()).1
        }
    };
    let source = LiveSource {
        snapshots: handle.snapshots.clone(),
        outlook,
        commands: handle.commands.clone(),
        offers,
        meters: handle.meters.clone(),
    };
    let exit = runtime.block_on(async {
        let exit = shell::run(source, &theme, cast, &mut signals).await;
        if exit.is_err() {
            signals.terminal_is_gone();
        }
        exit
    });
    if !matches!(exit, Ok(Exit::Done)) && handle.snapshots.borrow().phase != Phase::Done {
        // Full only when nobody takes commands any more, and then the run is over.
        let _ = handle.commands.try_send(Command::Abort);
    }
    // The recording gets its end even when the screen was lost.
    let result = runtime.block_on(record::watch(handle, signals, true))?;
    exit?;
    print(&result.summary.text(None))?;
    record::ending(&result)
}
