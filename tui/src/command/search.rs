//! `pdtune search`: the highest rate that meets an SLO.

mod table;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use loadgen::plan;
use loadgen::search::{Goal, Question, Report, Step, Stopped, WallSearch, simulated};
use loadgen::target::sim::{self, SimTarget};

use super::progress::Progress;
use super::signals::Signals;
use super::{Ending, leave_at_once, print, ready, tell};
use crate::cli::{Ready, SearchOptions, TargetSpec};

/// Searches and tells.
///
/// # Errors
/// When the input is wrong, the target cannot be opened, or stdout is closed.
pub fn run(options: SearchOptions) -> anyhow::Result<Ending> {
    let json = options.json;
    let report = match &options.target {
        TargetSpec::Sim(target) => simulate(target, &options)?,
        _ => measure(options)?,
    };
    if json {
        print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        print(&table::text(&report))?;
    }
    Ok(if report.is_met() { Ending::Fine } else { Ending::Unsuccessful })
}

/// In virtual time.
fn simulate(target: &SimTarget, options: &SearchOptions) -> anyhow::Result<Report> {
    let split = target.split()?;
    let SearchOptions { load, goal, requests, draws, .. } = options;
    let question = plan::Question {
        cluster: target.cluster.clone(),
        load: load.clone(),
        slo: goal.slo,
        attainment: goal.attainment,
        procedure: goal.procedure,
        rate: None,
        splits: vec![split],
        requests: *requests,
        draws: *draws,
    };
    let stop = listen()?;
    let progress = super::plan::progress("draws");
    let number = Cell::new(0);
    let stepped = |step: &Step| {
        number.set(number.get() + 1);
        tell(&format!("step {}: {}", number.get(), table::line(step)));
    };
    let (search, found, stopped) = simulated(&question, split, *goal, &stop, stepped, |done, all| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    })?;
    progress.finish_and_clear();
    let name = format!("{}{}", sim::PREFIX, target.cluster.name);
    Ok(Report::new((name, Some(split.to_string()), load.seed), goal, &search, found, stopped))
}

/// In wall time: one run after another.
fn measure(options: SearchOptions) -> anyhow::Result<Report> {
    let SearchOptions { target, mut ready, load, goal, requests, budget, .. } = options;
    let seed = load.seed;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = listen()?;
    let mut search = WallSearch::new(Question { load, goal, requests, budget });
    let mut known = None;
    while let Some(ask) = search.ask() {
        let connection = match ready::open(target.clone(), ready) {
            Ok(connection) => connection,
            Err(error) if known.is_none() => return Err(error),
            Err(error) => {
                tell(&format!("warning: {error:#}"));
                search.stop(Stopped::Target);
                break;
            }
        };
        // It has answered; whether it still does is seen in the next step.
        ready = Ready::default();
        let info = &connection.info;
        known.get_or_insert_with(|| (info.name.clone(), info.split.map(|split| split.to_string()), seed));
        let mut progress = Progress::new();
        let ran = runtime.block_on(search.step(ask, connection, &stop, |snapshot| progress.show(snapshot)));
        progress.clear();
        ran?;
        if let Some(step) = search.last() {
            tell(&format!("step {}: {}", ask.number, table::line(step)));
        }
        if stop.load(Ordering::Relaxed) {
            search.stop(Stopped::Interrupted);
        }
    }
    let (search, stopped) = search.finish();
    let known = known.unwrap_or_else(|| (String::new(), None, seed));
    Ok(report(known, &goal, &search, stopped))
}

fn report(
    known: (String, Option<String>, u64),
    goal: &Goal,
    search: &loadgen::search::Search,
    stopped: Stopped,
) -> Report {
    Report::new(known, goal, search, search.found(), stopped)
}

/// What is set by the first signal, from a thread of its own: a simulation leaves no other time to listen.
fn listen() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async { Signals::install() }).context("cannot listen for signals")?;
    let obeying = obey(signals, Arc::clone(&stop));
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(obeying))?;
    Ok(stop)
}

/// The first signal ends the search with what is known, the second the process.
async fn obey(mut signals: Signals, stop: Arc<AtomicBool>) {
    signals.next().await;
    stop.store(true, Ordering::Relaxed);
    tell("stopping: what is in flight is given up; again to leave at once");
    signals.next().await;
    leave_at_once();
}
