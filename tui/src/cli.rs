//! The command line: what may be typed, and what it means.
//!
//! ```text
//!   words ─► clap (Cli) ─► Cli::command ─► Command: a whole load and target, nothing left to look up
//!                 └──────────── one line on stderr, exit code 2 ◄────────────┘
//! ```
//!
//! Everything that can be told from the words and the profiles alone is refused here, before a model is loaded.

mod calibrate;
mod control;
mod gateway;
mod key;
mod load;
mod metrics;
mod openai;
mod plan;
mod predict;
mod reach;
mod ready;
mod refusal;
mod replay;
mod screen;
mod search;
mod serve;
mod shift;
mod target;
mod watched;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use loadgen::profile::{Cluster, Kind, Library, Loaded};
use loadgen::schedule::{LoadSpec, ShiftScript};
use loadgen::text::Malformed;

use calibrate::CalibrateArgs;
pub use calibrate::CalibrateOptions;
use load::LoadArgs;
use plan::PlanArgs;
pub use plan::PlanOptions;
use predict::PredictArgs;
pub use ready::Ready;
pub use refusal::Refusal;
use replay::ReplayArgs;
pub use replay::{ReplayLoad, ReplayOptions, ReplayRun, Shown};
pub use screen::{AppearanceArgs, ScreenArgs, ShotOptions, Size, SymbolsArg, ThemeArg};
use search::SearchArgs;
pub use search::SearchOptions;
use serve::ServeArgs;
pub use serve::ServeOptions;
use shift::ShiftArgs;
pub use shift::{ShiftOptions, Shifted};
pub use target::{EngineSpec, Served, TargetSpec};
use watched::WatchedArgs;
pub use watched::WatchedTarget;

/// Load tester and live tuner for LLM serving with prefill-decode disaggregation.
///
/// Without a command, the live screen opens: an open-loop load on the embedded engine, a real transformer on this machine's
/// CPU. No GPU, no download, nothing to configure.
#[derive(Debug, Parser)]
#[command(
    name = "pdtune",
    version,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Sub>,
    #[command(flatten)]
    live: LiveArgs,
}

const EXAMPLES: &str = "\
Examples:
  pdtune                                       chat-like load on the embedded engine
  pdtune --split 1P3D --workload long-answer   another split, another workload
  pdtune --split 2P2D --isl 600 --osl 16       prompts of 600 tokens, answers of 16
  pdtune record --duration 60s --json          the same without a screen, figures as JSON
  pdtune view run.jsonl.zst                    a recording on the screen
  pdtune record --target http://gpu:8000 --requests 200       a load on a server
  pdtune replay run.jsonl.zst --split 1P3D     what arrived then, arriving at another split
  pdtune search --slo ttft=1s,tpot=50ms        the highest rate that meets it
  pdtune report run.jsonl.zst                  the figures of a recording
  pdtune serve --split 2P2D                    the embedded engine behind OpenAI's HTTP protocol
  pdtune shift --target grpc://127.0.0.1:50051 --to 3P1D      move a unit of it to prefill";

#[derive(Debug, Subcommand)]
enum Sub {
    /// Open the live screen: graphs of TTFT, TPOT and goodput, change the rate, move units between prefill and decode.
    #[command(args_override_self = true)]
    Live(LiveArgs),
    /// Run a load without a screen and record it: progress on stderr, a summary on stdout.
    ///
    /// The run ends at --duration or --requests, whichever comes first, or with the --phases or the --trace, and then waits
    /// for what is in flight. Ctrl-C ends it early, properly; a second one leaves at once.
    ///
    /// Exit codes: 0 fine (failed requests are data), 1 the SLO was missed (only with --fail-on-slo), 2 bad input or the run
    /// could not happen, 3 it ran, but no request completed, a shift did not converge, or --abort-on ended it.
    #[command(args_override_self = true)]
    Record(RecordArgs),
    /// Open a recording on the screen: scrub through it, play it, see every figure as it was.
    ///
    /// The panels are those of the live screen. It opens on the whole run, whose figures are those of `pdtune report`; the
    /// arrows move through time, space plays.
    #[command(args_override_self = true)]
    View(ViewOptions),
    /// Drive the arrivals of a recording or a trace at a target: the same times, lengths and shared prefixes.
    ///
    /// Requests that were shed were offered, and are offered again. A recording that stops before its end is replayed as far
    /// as it goes. The load, its SLO, seed and warm-up are those of the recorded run unless said otherwise; its shifts are not
    /// repeated. Without --live it runs as `pdtune record`, with its exit codes.
    #[command(args_override_self = true)]
    Replay(ReplayArgs),
    /// Print the figures of a recording.
    #[command(args_override_self = true)]
    Report(ReportOptions),
    /// Serve the embedded engine, or a simulated cluster, over HTTP, as OpenAI's clients expect it.
    ///
    /// Paths: /v1/completions, /v1/chat/completions, /v1/models, /tokenize, /health, and /metrics for Prometheus. The built-in
    /// model understands no language: a byte of a prompt is a token, a token of an answer is a byte or a number such as
    /// <7000>, and chats are written one message after another.
    ///
    /// A simulated cluster answers when the model of its GPUs says, and its answers mean nothing; its model's name begins with
    /// SIMULATED. With --time-scale, /metrics are in simulated time.
    ///
    /// Beside it, at --control-listen, a gRPC API generates from token ids, shows the units, and shifts them: `pdtune shift`
    /// and programs of your own use it, its words are in engine/proto.
    ///
    /// Once it answers, it says so on stderr: `control on grpc://127.0.0.1:50051`, `listening on http://127.0.0.1:8080`. Ctrl-C,
    /// or a TERM signal, lets what is in flight finish and takes nothing new (503, UNAVAILABLE); a second one leaves at once.
    ///
    /// Exit codes: 0 stopped as asked, 2 bad input or the server could not start.
    #[command(args_override_self = true)]
    Serve(ServeArgs),
    /// Move the units of a running engine to another split, and wait until they serve in it.
    ///
    /// Progress goes to stderr, the outcome to stdout. An engine loses nothing in flight; a control plane may cut what takes longer
    /// than it waits, which --dry-run says. A shift asked for while another is under way
    /// waits its turn. Ctrl-C, and --timeout, end the waiting; the shift goes on.
    ///
    /// Exit codes: 0 the engine says that every unit serves in the split asked for, 2 bad input, or the engine could not be
    /// reached or refused, 3 the shift was given up or dropped, a control plane's refusal of a call of it included, or has not
    /// ended in time.
    #[command(args_override_self = true)]
    Shift(ShiftArgs),
    /// Simulate every split of a cluster under a load: goodput, latencies, cost, each with an interval, and what follows.
    ///
    /// The embedded engine's own scheduler runs in virtual time, with step times from a model of the GPUs. Without --rate each
    /// split is taken to the highest rate that meets the SLO. Intervals are 90 %: they hold as far as the spreads of the
    /// profile's constants are honest and the model is right.
    #[command(args_override_self = true)]
    Plan(PlanArgs),
    /// Find the highest rate at which a target meets an SLO: one run after another, each long enough to be judged.
    ///
    /// The load is open-loop, its rate is what is looked for; --rate is where it starts, --requests how many are judged in a step
    /// at most. Of each run the first fifth and the last tenth are not judged; where more requests arrive than are served, the
    /// rate is too high whatever the SLO says; what the client is to blame for is not taken for the server's limit. Simulated
    /// clusters are searched in virtual time.
    ///
    /// Progress goes to stderr, the answer and its steps to stdout. Ctrl-C ends it with what is known by then; a second one
    /// leaves at once.
    ///
    /// Exit codes: 0 found, or met at every rate that was tried, 2 bad input or no run could happen, 3 met at no rate that was
    /// tried, or no request completed.
    #[command(args_override_self = true)]
    Search(SearchArgs),
    /// Fit a cluster profile to a target: probe it, one instance at a time, and find the constants that explain what it takes.
    ///
    /// The target should be idle: the embedded engine, a simulated cluster, or a server. Probes are decodes of several batches
    /// and contexts, prompts of several lengths, seen before or not, hand-offs, and steps that mix prompts and decodes; some are
    /// kept from the fit, and how well it predicts them is said. A constant of which the probes tell little is called not
    /// identified. The profile carries what is known of all constants together, so that the intervals of `pdtune plan` narrow.
    ///
    /// Exit codes: 0 written, 2 bad input, or the target could not be probed: then nothing is written.
    #[command(args_override_self = true)]
    Calibrate(CalibrateArgs),
    /// List, show or check profiles of workloads, SLOs, GPUs, models, clusters and scenarios.
    ///
    /// A profile is a TOML file. Your own go into ./profiles/workload, ./profiles/slo, ./profiles/gpu, ./profiles/model,
    /// ./profiles/cluster and ./profiles/scenario, or the same folders under pdtune/profiles in the configuration folder (`$XDG_CONFIG_HOME`, else
    /// ~/.config), and go before shipped ones of the same name.
    #[command(subcommand, arg_required_else_help = false)]
    Profiles(ProfilesOptions),
    /// Draw a screen of an invented run as an SVG picture, the same on every machine.
    #[command(args_override_self = true)]
    Shot(ShotOptions),
}

#[derive(Args, Debug)]
struct LiveArgs {
    #[command(flatten)]
    watched: WatchedArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// Record the run in this file as well
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    out: Option<PathBuf>,
    /// Record the screen in this file, as an asciicast (version 2): everything drawn, with its time
    #[arg(long, value_name = "FILE.cast", help_heading = "Recording")]
    asciicast: Option<PathBuf>,
    #[command(flatten)]
    screen: ScreenArgs,
    #[command(flatten)]
    predict: PredictArgs,
}

#[derive(Args, Debug)]
struct RecordArgs {
    #[command(flatten)]
    watched: WatchedArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// The recording, usually NAME.jsonl.zst [default: UTC-TIME-WORKLOAD.jsonl.zst in this folder]
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    out: Option<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long, help_heading = "Recording")]
    json: bool,
    /// Exit with 1 unless every request meets the SLO
    #[arg(long, help_heading = "Recording")]
    fail_on_slo: bool,
    /// Look at the units of the target, and shift none: no call that would change anything is made
    #[arg(long, help_heading = "Target")]
    read_only: bool,
}

/// What `pdtune view` is asked.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ViewOptions {
    /// The recording; one that was never finished (FILE.partial) is shown as far as it goes
    pub file: PathBuf,
    /// How it looks.
    #[command(flatten)]
    pub appearance: AppearanceArgs,
}

/// What `pdtune report` is asked.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ReportOptions {
    /// The recording; one that was never finished (FILE.partial) is read as far as it goes
    pub file: PathBuf,
    /// Print one JSON object, the same that `record --json` printed
    #[arg(long)]
    pub json: bool,
}

/// What `pdtune profiles` is asked.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ProfilesOptions {
    /// List all profiles with where they come from.
    List,
    /// Print a profile as it stands, ready to be copied and changed.
    Show {
        /// What it is of: workload, slo, gpu, model, cluster or scenario
        #[arg(value_parser = parse_kind, value_name = "KIND")]
        kind: Kind,
        /// Its name or file
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
    /// Check profiles and say what is wrong with them; all that can be found, or one.
    Check {
        /// What it is of: workload, slo, gpu, model, cluster or scenario
        #[arg(value_parser = parse_kind, value_name = "KIND", requires = "name")]
        kind: Option<Kind>,
        /// Its name or file
        #[arg(value_name = "NAME|FILE")]
        name: Option<String>,
    },
}

fn parse_kind(text: &str) -> Result<Kind, Malformed> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.to_string() == text);
    kind.ok_or_else(|| Malformed {
        what: "a kind of profile",
        found: text.to_owned(),
        allowed: Kind::ALL.map(|kind| kind.to_string()).join(", "),
    })
}

/// What the program is to do.
#[derive(Debug)]
pub enum Command {
    /// `pdtune live`.
    Live(LiveOptions),
    /// `pdtune record`.
    Record(RecordOptions),
    /// `pdtune view`.
    View(ViewOptions),
    /// `pdtune replay`.
    Replay(ReplayOptions),
    /// `pdtune report`.
    Report(ReportOptions),
    /// `pdtune serve`.
    Serve(ServeOptions),
    /// `pdtune plan`.
    Plan(Box<PlanOptions>),
    /// `pdtune search`.
    Search(Box<SearchOptions>),
    /// `pdtune calibrate`.
    Calibrate(Box<CalibrateOptions>),
    /// `pdtune shift`.
    Shift(ShiftOptions),
    /// `pdtune profiles`.
    Profiles(ProfilesOptions),
    /// `pdtune shot`.
    Shot(ShotOptions),
}

/// A run with the screen.
#[derive(Debug)]
pub struct LiveOptions {
    /// Where the load goes.
    pub watched: WatchedTarget,
    /// The load.
    pub load: LoadSpec,
    /// Where it is recorded, if it is.
    pub out: Option<PathBuf>,
    /// Where the screen is recorded, if it is.
    pub asciicast: Option<PathBuf>,
    /// How the screen looks and what it may do.
    pub screen: ScreenArgs,
    /// What predictions rest on; by default what is known of the target.
    pub predict_with: Option<Box<Loaded<Cluster>>>,
    /// Why neither the rate nor the shape of the load may be changed on the screen; `None` where both may.
    pub load_is_given: Option<String>,
}

/// A run without a screen.
#[derive(Debug)]
pub struct RecordOptions {
    /// Where the load goes.
    pub watched: WatchedTarget,
    /// The load.
    pub load: LoadSpec,
    /// Where it is recorded; by default a name made of the time and the workload.
    pub out: Option<PathBuf>,
    /// Whether the summary is printed as JSON.
    pub json: bool,
    /// Whether a missed SLO is an exit code.
    pub fail_on_slo: bool,
    /// Whether nothing is ever shifted.
    pub read_only: bool,
}

impl Cli {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// When help or the version was asked for, or the words are wrong.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, Refusal> {
        Self::try_parse_from(words).map_err(Refusal)
    }

    /// What it asks for, with profiles looked up in `library`.
    ///
    /// # Errors
    /// When options contradict each other, a profile is missing or wrong, or the run would have no end.
    pub fn command(self, library: &Library) -> anyhow::Result<Command> {
        Ok(match self.command.unwrap_or(Sub::Live(self.live)) {
            Sub::Live(LiveArgs { watched, load, out, asciicast, screen, predict }) => {
                let watched = watched.resolve(load.scenario(library)?, library)?;
                let predict_with = predict.resolve(&watched.target, library)?;
                let load = load.resolve(library, true)?;
                check_shifts_none(screen.read_only, &load.shifts)?;
                let load_is_given = None;
                Command::Live(LiveOptions { watched, load, out, asciicast, screen, predict_with, load_is_given })
            }
            Sub::Record(RecordArgs { watched, load, out, json, fail_on_slo, read_only }) => {
                let scenario = load.scenario(library)?;
                let load = load.resolve(library, false)?;
                load::check_has_end(&load)?;
                anyhow::ensure!(!fail_on_slo || load.slo.is_some(), "--fail-on-slo needs --slo");
                check_shifts_none(read_only, &load.shifts)?;
                let watched = watched.resolve(scenario, library)?;
                Command::Record(RecordOptions { watched, load, out, json, fail_on_slo, read_only })
            }
            Sub::View(options) => Command::View(options),
            Sub::Replay(args) => Command::Replay(args.resolve(library)?),
            Sub::Report(options) => Command::Report(options),
            Sub::Serve(args) => Command::Serve(args.resolve(library)?),
            Sub::Plan(args) => Command::Plan(Box::new(args.resolve(library)?)),
            Sub::Search(args) => Command::Search(Box::new(args.resolve(library)?)),
            Sub::Calibrate(args) => Command::Calibrate(Box::new(args.resolve(library)?)),
            Sub::Shift(args) => Command::Shift(args.resolve()?),
            Sub::Profiles(options) => Command::Profiles(options),
            Sub::Shot(options) => Command::Shot(options),
        })
    }
}

/// # Errors
/// When shifts are planned of what shall only be looked at.
fn check_shifts_none(read_only: bool, shifts: &ShiftScript) -> anyhow::Result<()> {
    anyhow::ensure!(!read_only || shifts.is_empty(), "--shift shifts units, and --read-only forbids it");
    Ok(())
}

/// Where a user's own profiles are looked for.
pub fn library() -> Library {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let own = config.map(|config| config.join("pdtune").join("profiles"));
    Library::new(std::iter::once(PathBuf::from("profiles")).chain(own).collect())
}
