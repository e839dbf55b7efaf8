//! `pdtune replay`: the arrivals of a trace or a recording, at any target.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use loadgen::guard::AbortOn;
use loadgen::profile::{Cluster, Library, Loaded};
use loadgen::recording::Reader;
use loadgen::schedule::{LoadSpec, ShiftScript, Traffic};
use loadgen::slo::Slo;
use loadgen::text::parse_duration;
use loadgen::time::Micros;
use loadgen::trace::{TraceFormat, is_recording};

use super::load::{
    GuardArgs, check_shifts_end, check_warmup, parse_count, parse_positive_duration, parse_speed, read_slo, stem,
};
use super::predict::PredictArgs;
use super::watched::{WatchedArgs, WatchedTarget};
use super::{LiveOptions, RecordOptions, ScreenArgs, SymbolsArg, ThemeArg, check_shifts_none};

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(super) struct ReplayArgs {
    /// A recording, finished or not, or a trace
    file: PathBuf,
    #[command(flatten)]
    watched: WatchedArgs,
    /// So many times as fast [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = parse_speed, default_value_t = 1.0, hide_default_value = true, help_heading = "Load")]
    speed: f64,
    /// Only so many requests from the start
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Load")]
    limit: Option<u64>,
    /// How the file is written: `pdtune` (a recording), `azure` (CSV), `mooncake` (JSON lines), `auto` (told from its beginning)
    #[arg(long, value_name = "FORMAT", default_value_t = TraceFormat::Auto, hide_default_value = true, help_heading = "Load")]
    trace_format: TraceFormat,
    /// Cut requests that the target cannot serve instead of refusing the file; they are counted as clamped
    #[arg(long, help_heading = "Load")]
    clamp: bool,
    /// What makes a request good: bounds, an SLO profile, or `none` [default: that of the recorded run]
    #[arg(long, value_name = "BOUNDS|NAME|none", help_heading = "Load")]
    slo: Option<String>,
    /// Send nothing due at or after this time, then wait for what is in flight
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration, help_heading = "Load")]
    duration: Option<Micros>,
    /// Leave requests due before this time out of the figures [default: as long as in the recorded run, at its speed, unless
    /// that would leave nothing]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Load")]
    warmup: Option<Micros>,
    /// Decides the tokens of prompts [default: as in the recorded run; of a trace 7]
    #[arg(long, value_name = "N", help_heading = "Load")]
    seed: Option<u64>,
    /// Shift to other splits during the run: "30s=1P3D,60s=2P2D:migrate". Shifts of the recorded run are not repeated
    #[arg(long, value_name = "SCRIPT", help_heading = "Load")]
    shift: Option<ShiftScript>,
    #[command(flatten)]
    guard: GuardArgs,
    /// The recording of this run, usually NAME.jsonl.zst [default: UTC-TIME-NAME.jsonl.zst in this folder; with --live none]
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    out: Option<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long, conflicts_with = "live", help_heading = "Recording")]
    json: bool,
    /// Exit with 1 unless every request meets the SLO
    #[arg(long, conflicts_with = "live", help_heading = "Recording")]
    fail_on_slo: bool,
    /// Show the live screen. What arrives is in the file: the rate and the shape of the load cannot be changed there
    #[arg(long, help_heading = "Screen")]
    live: bool,
    /// Record the screen in this file, as an asciicast (version 2): everything drawn, with its time
    #[arg(long, value_name = "FILE", requires = "live", help_heading = "Screen")]
    asciicast: Option<PathBuf>,
    #[command(flatten)]
    screen: ScreenArgs,
    #[command(flatten)]
    predict: PredictArgs,
}

/// What is replayed, where, and how it is shown.
#[derive(Debug)]
pub struct ReplayOptions {
    /// Where the load goes.
    pub watched: WatchedTarget,
    /// The load, but for what the file itself says.
    pub load: ReplayLoad,
    /// Where the run is recorded.
    pub out: Option<PathBuf>,
    /// Whether it is shown.
    pub shown: Shown,
}

/// How a replay is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// On the live screen.
    Live {
        /// How it looks.
        screen: ScreenArgs,
        /// Where it is recorded, if it is.
        asciicast: Option<PathBuf>,
        /// What predictions rest on; by default what is known of the target.
        predict_with: Option<Box<Loaded<Cluster>>>,
    },
    /// By its summary.
    Summary {
        /// As JSON.
        json: bool,
        /// And by the exit code.
        fail_on_slo: bool,
        /// Whether nothing is ever shifted.
        read_only: bool,
    },
}

/// A load as the command line describes it: what it leaves open is told by the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayLoad {
    /// The trace or recording.
    pub file: PathBuf,
    /// How it is written.
    pub format: TraceFormat,
    /// So many times as fast.
    pub speed: f64,
    /// Only so many requests.
    pub limit: Option<u64>,
    /// Whether lengths may be cut.
    pub clamp: bool,
    /// The SLO, or none, where that was said.
    pub slo: Option<Option<Slo>>,
    /// The end in time.
    pub duration: Option<Micros>,
    /// The warm-up, where it was said.
    pub warmup: Option<Micros>,
    /// The seed, where it was said.
    pub seed: Option<u64>,
    /// Shifts of this run.
    pub shifts: ShiftScript,
    /// What ends it before its time.
    pub abort_on: AbortOn,
}

impl ReplayArgs {
    /// # Errors
    /// When options contradict each other, or a profile is missing or wrong.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<ReplayOptions> {
        let appearance = self.screen.appearance;
        let of_the_screen = [
            ("--theme", appearance.theme != ThemeArg::Auto),
            ("--symbols", appearance.symbols != SymbolsArg::Auto),
            ("--predict-with", self.predict.is_given()),
        ];
        if let Some((option, _)) = of_the_screen.iter().find(|(_, given)| *given && !self.live) {
            bail!("{option} needs --live");
        }
        let watched = self.watched.resolve(None, library)?;
        let read_only = self.screen.read_only;
        let shown = if self.live {
            let predict_with = self.predict.resolve(&watched.target, library)?;
            Shown::Live { screen: self.screen, asciicast: self.asciicast, predict_with }
        } else {
            Shown::Summary { json: self.json, fail_on_slo: self.fail_on_slo, read_only }
        };
        let load = ReplayLoad {
            file: self.file,
            format: self.trace_format,
            speed: self.speed,
            limit: self.limit,
            clamp: self.clamp,
            slo: self.slo.map(|text| read_slo(&text, library)).transpose()?,
            duration: self.duration,
            warmup: self.warmup,
            seed: self.seed,
            shifts: self.shift.unwrap_or_default(),
            abort_on: self.guard.abort_on(),
        };
        check_shifts_none(read_only, &load.shifts)?;
        Ok(ReplayOptions { watched, load, out: self.out, shown })
    }
}

impl ReplayLoad {
    /// The whole load. Reads the beginning of a recording: its name, seed, SLO and warm-up stand where nothing else was said.
    ///
    /// # Errors
    /// When the file cannot be read, or the warm-up that was said is as long as the run.
    pub fn load(self) -> anyhow::Result<LoadSpec> {
        let recorded = match self.format {
            TraceFormat::Auto => {
                is_recording(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?
            }
            format => format == TraceFormat::Pdtune,
        };
        let recorded = if recorded { Some(Reader::open(&self.file)?.run().clone()) } else { None };
        let name = recorded.as_ref().map_or_else(|| stem(&self.file), |run| run.name.clone());
        let traffic = Traffic::Trace { path: self.file, format: self.format, speed: self.speed, limit: self.limit };
        let base = LoadSpec::new(name, traffic);
        let warmup = recorded.as_ref().map(|run| Micros::from_secs_f64(run.warmup.as_secs_f64() / self.speed));
        let load = LoadSpec {
            clamp: self.clamp,
            seed: self.seed.or(recorded.as_ref().map(|run| run.seed)).unwrap_or(base.seed),
            duration: self.duration,
            warmup: self.warmup.or(warmup).unwrap_or_default(),
            warmup_is_inherited: self.warmup.is_none(),
            slo: self.slo.unwrap_or(recorded.and_then(|run| run.slo)),
            shifts: self.shifts,
            abort_on: self.abort_on,
            ..base
        };
        check_shifts_end(&load)?;
        if self.warmup.is_some() {
            check_warmup(&load)?;
        }
        Ok(load)
    }
}

impl ReplayOptions {
    /// The same as a run with or without a screen.
    ///
    /// # Errors
    /// When the file cannot be read, or there is no SLO to be missed.
    pub fn run(self) -> anyhow::Result<ReplayRun> {
        let Self { watched, load, out, shown } = self;
        let load = load.load()?;
        Ok(match shown {
            Shown::Live { screen, asciicast, predict_with } => {
                let why = "the arrivals are those of a trace or a recording".to_owned();
                let load_is_given = Some(why);
                ReplayRun::Live(LiveOptions { watched, load, out, asciicast, screen, predict_with, load_is_given })
            }
            Shown::Summary { json, fail_on_slo, read_only } => {
                ensure!(!fail_on_slo || load.slo.is_some(), "--fail-on-slo needs --slo, the file has none");
                ReplayRun::Record(RecordOptions { watched, load, out, json, fail_on_slo, read_only })
            }
        })
    }
}

/// What a replay comes to.
#[derive(Debug)]
pub enum ReplayRun {
    /// A run with the screen.
    Live(LiveOptions),
    /// A run without.
    Record(RecordOptions),
}

#[cfg(test)]
mod tests {
    use loadgen::live::Counts;
    use loadgen::recording::{ClientUse, EndRecord, Recorder, RunRecord};

    use super::*;

    #[test]
    fn only_a_warm_up_that_was_said_is_held_against_the_end_that_was_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl.zst");
        let run = RunRecord { warmup: Micros(30_000_000), ..RunRecord::named("chat", "cpu") };
        let (at, client) = (Micros(60_000_000), ClientUse::default());
        let recorder = Recorder::create(&path, &run, || Micros::ZERO).expect("created");
        recorder
            .finish(&EndRecord { at, schedule_end: at, requests: Counts::default(), client, aborted: None })
            .expect("finished");
        let replayed = |speed, warmup| ReplayLoad {
            file: path.clone(),
            format: TraceFormat::Auto,
            speed,
            limit: None,
            clamp: false,
            slo: None,
            duration: Some(Micros(5_000_000)),
            warmup,
            seed: None,
            shifts: ShiftScript::default(),
            abort_on: AbortOn::default(),
        };
        let inherited = replayed(2.0, None).load().expect("whether it leaves anything is seen in the schedule");
        assert_eq!((inherited.warmup, inherited.warmup_is_inherited), (Micros(15_000_000), true));
        let said = replayed(2.0, Some(Micros(4_000_000))).load().expect("shorter than the run");
        assert_eq!((said.warmup, said.warmup_is_inherited), (Micros(4_000_000), false));
        let refused = replayed(2.0, Some(Micros(5_000_000))).load().expect_err("as long as the run");
        assert!(refused.to_string().starts_with("--warmup 5s is not shorter than the run of 5s"), "{refused}");
    }
}
