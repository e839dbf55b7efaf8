//! `pdtune record`: a run without a screen.

use std::path::PathBuf;

use anyhow::Context;
use loadgen::clock::unix_micros;
use loadgen::live::{Command, Phase, Snapshot};
use loadgen::recording::default_name;
use loadgen::run::{self, RunConfig, RunHandle, RunResult};

use super::progress::Progress;
use super::signals::Signals;
use super::{Ending, leave_at_once, print, ready, tell};
use crate::cli::RecordOptions;

/// Runs the load and prints its summary.
///
/// # Errors
/// When the input is wrong, the target cannot be opened or the recording cannot be written.
pub fn run(options: RecordOptions) -> anyhow::Result<Ending> {
    let RecordOptions { watched, load, out, json, fail_on_slo, read_only } = options;
    let path = out.unwrap_or_else(|| PathBuf::from(default_name(unix_micros() / 1_000_000, &load.name)));
    let has_slo = load.slo.is_some();
    let connection = ready::open_watched(watched)?;
    let connection = if read_only { connection.read_only() } else { connection };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = RunConfig { load, connection, record_to: Some(path.clone()) };
    let result = runtime.block_on(async {
        // First, so that no signal finds a run without somebody to end it.
        let signals = Signals::install().context("cannot listen for signals")?;
        let handle = run::start(config)?;
        for remark in &handle.remarks {
            tell(&format!("warning: {remark}"));
        }
        watch(handle, signals, false).await
    })?;
    let ending = report(&result, &path, json)?;
    let missed = fail_on_slo && has_slo && result.summary.attainment.is_none_or(|attainment| attainment < 1.0);
    Ok(if ending == Ending::Fine && missed { Ending::SloMissed } else { ending })
}

/// Shows progress until the run is over; the first signal ends the schedule, the second the process. A run that is
/// `stopping` has had its first.
///
/// # Errors
/// When a thread of the run panicked.
pub(super) async fn watch(handle: RunHandle, mut signals: Signals, mut stopping: bool) -> anyhow::Result<RunResult> {
    let mut snapshots = handle.snapshots.clone();
    let mut progress = Progress::new();
    loop {
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    break;
                }
                let snapshot = snapshots.borrow_and_update().clone();
                handle.meters.screen();
                progress.show(&snapshot);
                if snapshot.phase == Phase::Done {
                    break;
                }
            }
            () = signals.next() => {
                progress.clear();
                if stopping {
                    // The recording is readable up to its last frame and keeps the name that says it is incomplete.
                    leave_at_once();
                }
                stopping = true;
                tell("stopping: waiting for what is in flight; again to leave at once");
                // The queue of commands is empty in a headless run.
                let _ = handle.commands.try_send(Command::Finish);
            }
        }
    }
    progress.clear();
    // Whoever reads the counts wants to know why.
    failures(&snapshots.borrow());
    Ok(handle.wait()?)
}

/// Says why requests failed: those since the last one that completed, and all of them where there are others.
fn failures(last: &Snapshot) {
    let in_a_row = last.outage.as_ref().map_or(0, |outage| outage.failed);
    if last.failures.total() > in_a_row {
        let (failed, sent) = (last.failures.total(), last.counts.sent);
        tell(&format!("warning: {failed} of {sent} requests failed: {}", last.failures.with(&last.reasons)));
    }
    if let Some(outage) = &last.outage {
        tell(&format!("warning: the last {} requests failed: {}", outage.failed, outage.error));
    }
}

fn report(result: &RunResult, path: &std::path::Path, json: bool) -> anyhow::Result<Ending> {
    let summary = &result.summary;
    if json {
        print(&format!("{}\n", serde_json::to_string(summary)?))?;
    } else {
        let bytes = std::fs::metadata(path).ok().map(|file| file.len());
        print(&summary.text(bytes))?;
    }
    ending(result)
}

/// How a run that could start has ended.
///
/// # Errors
/// When something ended the run before its time.
pub(super) fn ending(result: &RunResult) -> anyhow::Result<Ending> {
    for warning in result.lost_units.iter().chain(&result.failed_shifts) {
        tell(&format!("warning: {warning}"));
    }
    if let Some(error) = &result.error {
        anyhow::bail!("{error}");
    }
    if let Some(tripped) = &result.tripped {
        tell(&format!("warning: --abort-on ended the load: {tripped}"));
    }
    let unsuccessful =
        result.summary.requests.completed == 0 || !result.failed_shifts.is_empty() || result.tripped.is_some();
    Ok(if unsuccessful { Ending::Unsuccessful } else { Ending::Fine })
}
