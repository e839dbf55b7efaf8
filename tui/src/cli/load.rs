//! LOAD: what is sent, how fast, for how long, and what counts as good.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use loadgen::arrival::{Arrival, RatePlan};
use loadgen::guard::AbortOn;
use loadgen::profile::{Library, Loaded, Scenario};
use loadgen::schedule::spec::DEFAULT_SEED;
use loadgen::schedule::{LoadSpec, MOST_TURNS, ShiftScript, Traffic, Turns};
use loadgen::slo::Slo;
use loadgen::text::{DurationText, Malformed, parse_duration};
use loadgen::time::Micros;
use loadgen::trace::TraceFormat;
use loadgen::workload::{Lengths, PrefixHit};

/// The workload of a command line that names neither one nor a trace.
const DEFAULT_WORKLOAD: &str = "chat";

/// Options that say where requests come from when no trace does.
const SYNTHETIC: [&str; 8] = ["workload", "rate", "phases", "arrival", "isl", "osl", "prefix_hit", "turns"];

/// From an answer to the next turn, unless told otherwise: long enough to be waited for, and short enough for a test.
const THINK: Micros = Micros(1_000_000);

#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// Scenario profile: a cluster (simulated, the target unless another is named), a load and an SLO under one name; `pdtune
    /// profiles list` shows them. Every other option goes before what it says
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// Workload profile: arrivals, lengths and their SLO under one name; `pdtune profiles list` shows them. The options below
    /// go before what it says [default: chat]
    #[arg(long, value_name = "NAME|FILE")]
    workload: Option<String>,
    /// Requests per second [default: the workload's]
    #[arg(long, value_name = "RATE", value_parser = RatePlan::parse_rate, conflicts_with = "phases")]
    rate: Option<RatePlan>,
    /// Rates one after another, constant or linear: "4/s 60s, 4..12/s 2m, 12/s 60s". The run ends with the last one, or holds
    /// its rate until a later --duration
    #[arg(long, value_name = "PHASES", value_parser = RatePlan::parse_phases)]
    phases: Option<RatePlan>,
    /// Gaps between arrivals: `constant` (equal) or `poisson` (independent users) [default: the workload's]
    #[arg(long, value_name = "PROCESS")]
    arrival: Option<Arrival>,
    /// Tokens of a prompt: 1000 | uniform:A..B | normal:M,S | lognormal:MEDIAN,SIGMA. Random lengths are drawn again where the
    /// model cannot serve them [default: the workload's]
    #[arg(long, value_name = "DIST")]
    isl: Option<Lengths>,
    /// Tokens of an answer, written the same way [default: the workload's]
    #[arg(long, value_name = "DIST")]
    osl: Option<Lengths>,
    /// Share of every prompt, from its start, that is the same in all of them, so that caches hit it by whole KV blocks: 0 to
    /// 0.99; with --turns, of every first prompt [default: the workload's, 0 where it has none]
    #[arg(long, value_name = "SHARE")]
    prefix_hit: Option<PrefixHit>,
    /// Sessions of so many turns instead of single requests, up to 200. The prompt of a turn is all that was said before, prompts and
    /// the answers that really came, and --isl new tokens: that of turn k has k x isl + (k-1) x osl, and all turns together have to fit
    /// the context. --rate and --requests count turns; sessions arrive at rate/N, whatever the server does, and begin with their first
    /// turn, so that the load grows to its rate while the first ones go on (--warmup leaves that out). A later turn is due --think
    /// after the answer before it was over, and its TTFT counts from there. One whose predecessor did not complete is counted as shed
    #[arg(long, value_name = "N", value_parser = parse_turns)]
    turns: Option<u32>,
    /// With --turns: from the end of an answer to when the next turn is due [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "turns")]
    think: Option<Micros>,
    /// Replay a trace instead of a workload: its times, lengths and shared prefixes, and of a recording its sessions
    #[arg(long, value_name = "FILE", conflicts_with_all = SYNTHETIC)]
    trace: Option<PathBuf>,
    /// How the trace is written: `azure` (CSV), `mooncake` (JSON lines), `pdtune` (a recording), `auto` (told from how it
    /// begins) [default: auto]
    #[arg(long, value_name = "FORMAT")]
    trace_format: Option<TraceFormat>,
    /// Replay the trace so many times as fast [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = parse_speed)]
    speed: Option<f64>,
    /// Replay only so many requests from the start of the trace
    #[arg(long, value_name = "N", value_parser = parse_count)]
    limit: Option<u64>,
    /// Cut fixed lengths and trace rows that the model cannot serve instead of refusing them; they are counted as clamped
    #[arg(long)]
    clamp: bool,
    /// What makes a request good: bounds on ttft, tpot, itl.p99, itl.mean, e2e, such as ttft=400ms,tpot=25ms, or an SLO
    /// profile, or `none`. Without an SLO there is no goodput [default: that of --workload; in the live screen without --trace, chat's]
    #[arg(long, value_name = "BOUNDS|NAME|none")]
    slo: Option<String>,
    /// End the schedule after this time (250ms, 30s, 2m, 1h), then wait for what is in flight
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    duration: Option<Micros>,
    /// End the schedule after so many requests; with --duration, whichever comes first
    #[arg(long, value_name = "N", value_parser = parse_count)]
    requests: Option<u64>,
    /// Leave requests due before this time out of the figures [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Micros>,
    /// Decides arrivals, lengths and contents: the same seed, the same load
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Shift to other splits during the run: "30s=1P3D,60s=2P2D:migrate". `drain` (the default) lets a unit finish what it
    /// holds, `migrate` moves it to peers, `restart` starts the unit anew once it has finished (not with the embedded engine)
    #[arg(long, value_name = "SCRIPT")]
    shift: Option<ShiftScript>,
    #[command(flatten)]
    guard: GuardArgs,
}

/// What ends a run for the sake of whoever else uses the target.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct GuardArgs {
    /// Send nothing more once a rule is broken, wait for what is in flight, and exit with 3: "errors>5%,ttft.p99>10s". A rule is
    /// errors (failed and cut, those that a full server turned away with 429 among them), cut or shed (not sent by this client, or
    /// turned away so) with a number or a share, or ttft, tpot or e2e with .p50, .p90, .p95 or .p99. It looks at the last 10 s, or at
    /// a window of its own (errors>20@30s); shares and percentiles are of at least 20 requests
    #[arg(long, value_name = "RULES", help_heading = "Load")]
    abort_on: Option<AbortOn>,
}

impl GuardArgs {
    pub(super) fn abort_on(self) -> AbortOn {
        self.abort_on.unwrap_or_default()
    }
}

fn malformed(what: &'static str, found: &str, allowed: &str) -> Malformed {
    Malformed { what, found: found.to_owned(), allowed: allowed.to_owned() }
}

pub(super) fn parse_count(text: &str) -> Result<u64, Malformed> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| malformed("a number of requests", text, "a whole number of at least 1"))
}

/// A session of one turn is a request.
fn parse_turns(text: &str) -> Result<u32, Malformed> {
    let turns = text.parse().ok().filter(|turns| (1..=MOST_TURNS).contains(turns));
    turns.ok_or_else(|| malformed("a number of turns", text, "a whole number from 1 to 200"))
}

pub(super) fn parse_speed(text: &str) -> Result<f64, Malformed> {
    let speed = text.parse().ok().filter(|speed: &f64| (1e-3..=1e6).contains(speed));
    speed.ok_or_else(|| malformed("a speed", text, "a number from 0.001 to 1000000"))
}

pub(super) fn parse_positive_duration(text: &str) -> Result<Micros, Malformed> {
    match parse_duration(text)? {
        Micros::ZERO => Err(malformed("a duration above zero", text, "write one such as 250ms, 30s, 2m or 1h")),
        duration => Ok(duration),
    }
}

impl LoadArgs {
    /// The one rate that was asked about, for commands that look at steady states.
    ///
    /// # Errors
    /// When an option describes how a run goes on.
    pub(super) fn steady_rate(&self) -> anyhow::Result<Option<f64>> {
        ensure!(
            self.turns.is_none_or(|turns| turns == 1),
            "--turns is for runs: when a later turn is due depends on the answer before it, and this looks at one steady rate\nhint: \
             `record --turns` drives sessions; here --prefix-hit can stand for what caches find of them"
        );
        let of_runs = [
            ("--phases", self.phases.is_some()),
            ("--duration", self.duration.is_some()),
            ("--warmup", self.warmup.is_some()),
            ("--shift", self.shift.is_some()),
            ("--speed", self.speed.is_some()),
        ];
        if let Some((option, _)) = of_runs.iter().find(|(_, given)| *given) {
            bail!("{option} is for runs, and this looks at one steady rate\nhint: --rate, or none for the highest");
        }
        Ok(match &self.rate {
            Some(RatePlan::Constant(rate)) => Some(*rate),
            _ => None,
        })
    }

    /// # Errors
    /// When something was to be guarded, and nothing is there that could be harmed.
    pub(super) fn check_unguarded(&self) -> anyhow::Result<()> {
        ensure!(self.guard.abort_on.is_none(), "--abort-on is for runs, and this is simulated in virtual time");
        Ok(())
    }

    /// The scenario that was named.
    ///
    /// # Errors
    /// When it, or what it names, is missing or wrong.
    pub(super) fn scenario(&self, library: &Library) -> anyhow::Result<Option<Loaded<Scenario>>> {
        Ok(self.scenario.as_ref().map(|name| library.scenario(name)).transpose()?)
    }

    /// The load, with what was not said taken from the scenario or the workload profile. The SLO of a workload is taken only
    /// where the workload was chosen for what it is: by name, or as the live screen's own.
    pub(super) fn resolve(mut self, library: &Library, live: bool) -> anyhow::Result<LoadSpec> {
        let scenario = self.scenario(library)?;
        let slo_of_scenario = scenario.as_ref().map(|scenario| scenario.profile.slo);
        let (base, own_slo) = if let Some(path) = self.trace.take() {
            (LoadSpec::new(stem(&path), self.replay(path)), None)
        } else {
            let named = self.workload.is_some();
            let (base, slo) = self.synthetic(library, scenario)?;
            (base, slo.filter(|_| live || named))
        };
        let own_slo = slo_of_scenario.or(own_slo);
        let slo = match &self.slo {
            None => own_slo,
            Some(text) => read_slo(text, library)?,
        };
        let load = LoadSpec {
            clamp: self.clamp,
            seed: self.seed,
            duration: self.duration,
            requests: self.requests,
            warmup: self.warmup.unwrap_or_default(),
            slo,
            shifts: self.shift.unwrap_or_default(),
            abort_on: self.guard.abort_on(),
            ..base
        };
        check_warmup(&load)?;
        check_shifts_end(&load)?;
        Ok(load)
    }

    fn replay(&self, path: PathBuf) -> Traffic {
        let format = self.trace_format.unwrap_or_default();
        Traffic::Trace { path, format, speed: self.speed.unwrap_or(1.0), limit: self.limit }
    }

    /// The load and the SLO of the workload, or else of the scenario, with what was said on the command line put over it.
    fn synthetic(
        &mut self,
        library: &Library,
        scenario: Option<Loaded<Scenario>>,
    ) -> anyhow::Result<(LoadSpec, Option<Slo>)> {
        let only_traces = [
            ("--trace-format", self.trace_format.is_some()),
            ("--speed", self.speed.is_some()),
            ("--limit", self.limit.is_some()),
        ];
        if let Some((option, _)) = only_traces.iter().find(|(_, given)| *given) {
            bail!("{option} needs --trace");
        }
        let changed = self.isl.is_some() || self.osl.is_some() || self.prefix_hit.is_some();
        let named = self.workload.is_some() || scenario.is_some();
        let (name, profile) = match (&self.workload, scenario) {
            (None, Some(scenario)) => (scenario.name, scenario.profile.workload),
            (name, _) => {
                let loaded = library.workload(name.as_deref().unwrap_or(DEFAULT_WORKLOAD))?;
                (loaded.name, loaded.profile)
            }
        };
        let name = if changed && !named { "custom".to_owned() } else { name };
        let traffic = Traffic::Synthetic {
            arrival: self.arrival.unwrap_or(profile.arrival),
            rate: self.rate.take().or(self.phases.take()).unwrap_or(profile.rate),
            isl: self.isl.unwrap_or(profile.isl),
            osl: self.osl.unwrap_or(profile.osl),
        };
        let prefix_hit = self.prefix_hit.unwrap_or(profile.prefix_hit);
        let sessions = self.turns.filter(|turns| *turns > 1);
        ensure!(
            sessions.is_none() || !self.clamp,
            "--clamp cuts single requests, and --turns has sessions, whose turns repeat each other\nhint: use fewer turns or shorter lengths"
        );
        let sessions = sessions.map(|turns| Turns { turns, think: self.think.unwrap_or(THINK) });
        Ok((LoadSpec { prefix_hit, sessions, ..LoadSpec::new(name, traffic) }, profile.slo))
    }
}

/// Bounds have a `=`, names have none.
pub(super) fn read_slo(text: &str, library: &Library) -> anyhow::Result<Option<Slo>> {
    if text == "none" {
        return Ok(None);
    }
    if text.contains('=') {
        return Ok(Some(text.parse().context("--slo")?));
    }
    let loaded = library.slo(text).context("--slo is neither bounds such as ttft=400ms,tpot=25ms nor a profile")?;
    Ok(Some(loaded.profile.slo))
}

pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "trace".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The end of the load in time, as far as the command line tells it.
fn end_in_time(load: &LoadSpec) -> Option<Micros> {
    let own = match &load.traffic {
        Traffic::Synthetic { rate, .. } => rate.length(),
        Traffic::Trace { .. } => None,
    };
    load.duration.or(own)
}

pub(super) fn check_warmup(load: &LoadSpec) -> anyhow::Result<()> {
    let Some(end) = end_in_time(load) else { return Ok(()) };
    let (warmup, end_text) = (DurationText(load.warmup), DurationText(end));
    ensure!(
        load.warmup < end,
        "--warmup {warmup} is not shorter than the run of {end_text}: nothing would be measured"
    );
    Ok(())
}

pub(super) fn check_shifts_end(load: &LoadSpec) -> anyhow::Result<()> {
    let (Some(end), Some(last)) = (end_in_time(load), load.shifts.shifts().last()) else { return Ok(()) };
    ensure!(
        last.at <= end,
        "--shift {last} is due after the load of {}: nothing would be measured of it",
        DurationText(end)
    );
    Ok(())
}

/// A run without a screen has nobody to end it.
pub(super) fn check_has_end(load: &LoadSpec) -> anyhow::Result<()> {
    let traced = matches!(load.traffic, Traffic::Trace { .. });
    if traced || load.requests.is_some() || end_in_time(load).is_some() {
        return Ok(());
    }
    bail!("the run has no end\nhint: say --duration 60s or --requests 200, or give --phases or --trace")
}
