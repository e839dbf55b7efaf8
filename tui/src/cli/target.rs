//! TARGET: where the load goes. ENGINE: what is served to others.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use engine::model::ModelSource;
use engine::remote::vllm::VllmAddress;
use engine::remote::{RemoteAddress, RemoteKey};
use engine::units::Split;
use loadgen::control::at::ControlAt;
use loadgen::http::HttpOptions;
use loadgen::profile::{Cluster, Library, Loaded, Scenario};
use loadgen::target::Connection;
use loadgen::target::cpu::{self, CpuTarget, Started};
use loadgen::target::grpc::{self, GrpcTarget};
use loadgen::target::http::{self, ApiKey, HttpAddress, HttpTarget};
use loadgen::target::sim::{self, SimTarget};
use loadgen::target::vllm::{self, VllmTarget};
use loadgen::text::Malformed;
use loadgen::time::Micros;
use loadgen::whatif::Ground;

use super::control::{ControlArg, PlaneArgs};
use super::key::KeyEnv;
use super::load::parse_positive_duration;
use super::openai::OpenAiArgs;
use super::reach::ReachArgs;

#[derive(Args, Debug)]
#[command(next_help_heading = "Engine")]
pub(super) struct EngineArgs {
    /// What computes: `cpu`, the embedded engine on this machine; sim:CLUSTER, a simulated cluster of GPUs whose answers mean
    /// nothing (`pdtune profiles list` shows them; a file works, too)
    #[arg(long, value_name = "ENGINE", default_value = "cpu", value_parser = parse_engine)]
    target: Place,
    /// Roles of the units at the start: 2P2D is two prefill and two decode units, 4A is four that do both [default: half of
    /// the units prefill; the embedded engine has as many units as cores, at least four]
    #[arg(long, value_name = "xPyD|nA")]
    split: Option<Split>,
    /// Simulated clusters only, and only without --control-listen: so many seconds in a second of wall time [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = parse_scale)]
    time_scale: Option<f64>,
    /// The model: a Hugging Face folder with safetensors (Qwen3 and Llama families) or a GGUF file [default: a built-in
    /// transformer of about 30M parameters, made at start]
    #[arg(long, value_name = "DIR|FILE.gguf")]
    model: Option<PathBuf>,
}

fn parse_engine(text: &str) -> Result<Place, Malformed> {
    let place = text.parse().ok().filter(|place| matches!(place, Place::Cpu | Place::Sim(_)));
    let malformed =
        || Malformed { what: "an engine", found: text.to_owned(), allowed: "cpu or sim:CLUSTER".to_owned() };
    place.ok_or_else(malformed)
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArgs {
    /// What serves the requests: `cpu`, the embedded engine on this machine; sim:CLUSTER, a simulated cluster of GPUs (`pdtune
    /// profiles list` shows them; a file works, too); http://HOST:PORT, a server that speaks OpenAI's
    /// protocol, such as vLLM, SGLang or `pdtune serve`, or https://HOST:PORT, or several of them with commas between, which requests
    /// go to by turns; vllm+grpc://HOST:PORT, an engine of vLLM's over gRPC (`vllm serve --grpc`); grpc://HOST:PORT, `pdtune serve`
    /// with the times of every stage [default: cpu]
    #[arg(long, value_name = "TARGET")]
    target: Option<Place>,
    /// Roles of the engine's units at the start: 2P2D is two prefill and two decode units, 4A is four that do both [default:
    /// half of the units prefill; the embedded engine has as many units as cores, at least four]. Of a server over HTTP without a
    /// --control: the units that it has, for predictions. With --control dynamo+file:DIR: the workers that are started, and ended
    /// with the run
    #[arg(long, value_name = "xPyD|nA")]
    split: Option<Split>,
    /// Simulated targets only: so many seconds in a second of wall time [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = parse_scale)]
    time_scale: Option<f64>,
    /// The model. Of the embedded engine: a Hugging Face folder with safetensors (Qwen3 and Llama families) or a GGUF file
    /// [default: a built-in transformer of about 30M parameters, made at start]. Of a server: its name there, needed where it
    /// has several
    #[arg(long, value_name = "DIR|FILE.gguf|NAME")]
    model: Option<PathBuf>,
    /// What watches and shifts the units: `none`; grpc://HOST:PORT, the control of `pdtune serve`; ray+http://HOST:PORT, the
    /// dashboard of a Ray cluster, for a prefill-decode application of Ray Serve; smg+http://HOST:PORT and
    /// sglang+http://HOST:PORT, a gateway of SGLang's; kube://[CONTEXT/]NAMESPACE/KIND/PREFILL,KIND/DECODE, objects on Kubernetes,
    /// in builds with the feature `kube`; dynamo+file:DIR, workers of NVIDIA Dynamo that register in a folder;
    /// dynamo+etcd://HOST:PORT/NAMESPACE, those that register in etcd, by the keys of its planner; exec:COMMAND, a command of
    /// yours. Over TLS they are ray+https, smg+https, sglang+https and dynamo+etcds (the README has the kinds and the contract) [default: that of a grpc:// target; none for http://]
    #[arg(long, value_name = "CONTROL")]
    control: Option<ControlArg>,
    #[command(flatten)]
    plane: PlaneArgs,
    /// Environment variable with the key that the server wants as `Authorization: Bearer KEY`; never shown or recorded
    #[arg(long, value_name = "VAR")]
    api_key_env: Option<String>,
    /// The same for the key that the control wants [default: that of --api-key-env where the control is of the target's host, and
    /// not in the clear where the target is https://; else none]. Of etcd it is USER:PASSWORD
    #[arg(long, value_name = "VAR")]
    control_key_env: Option<String>,
    /// How long a request to a server may take before it is given up and counts as failed [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    request_timeout: Option<Micros>,
    #[command(flatten)]
    reach: ReachArgs,
    /// Speak HTTP/2 to an HTTP target, over https:// and http:// alike. One connection then carries all requests, and a server
    /// bounds how many at a time: what waits for that shows as lag [default: HTTP/1.1]
    #[arg(long)]
    http2: bool,
    #[command(flatten)]
    openai: OpenAiArgs,
}

/// Addresses that requests can go to by turns.
const MOST_ADDRESSES: usize = 1024;

/// A target as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Cpu,
    Sim(String),
    Http(Vec<HttpAddress>),
    Vllm(VllmAddress),
    Grpc(RemoteAddress),
}

impl FromStr for Place {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "cpu" => Ok(Self::Cpu),
            _ if let Some(cluster) = text.strip_prefix(sim::PREFIX).filter(|name| !name.is_empty()) => {
                Ok(Self::Sim(cluster.to_owned()))
            }
            _ if text.starts_with("grpc://") => text.parse().map(Self::Grpc).map_err(|_| Malformed {
                what: "the address of an engine",
                found: text.to_owned(),
                allowed: "write grpc://HOST:PORT, such as grpc://127.0.0.1:50051".to_owned(),
            }),
            _ if text.starts_with(VllmAddress::SCHEME) => text.parse().map(Self::Vllm).map_err(|_| Malformed {
                what: "the address of an engine",
                found: text.to_owned(),
                allowed: "write vllm+grpc://HOST:PORT, such as vllm+grpc://127.0.0.1:50051".to_owned(),
            }),
            _ if text.contains("://") => text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self::Http),
            _ => Err(Malformed {
                what: "a target",
                found: text.to_owned(),
                allowed: "cpu, sim:CLUSTER, http://HOST:PORT, https://HOST, vllm+grpc://HOST:PORT or grpc://HOST:PORT"
                    .to_owned(),
            }),
        }
    }
}

/// Beyond it a simulation has nothing to do with time that passes.
const MOST_SCALE: f64 = 1000.0;

fn parse_scale(text: &str) -> Result<f64, Malformed> {
    let scale = text.parse().ok().filter(|scale: &f64| (0.01..=MOST_SCALE).contains(scale));
    let allowed = || format!("a number from 0.01 to {MOST_SCALE}");
    scale.ok_or_else(|| Malformed { what: "a time scale", found: text.to_owned(), allowed: allowed() })
}

/// What serves the requests.
#[derive(Clone, Debug)]
pub enum TargetSpec {
    /// The engine inside the program.
    Embedded(EngineSpec),
    /// A simulated cluster.
    Sim(Box<SimTarget>),
    /// A server.
    Http(Box<HttpTarget>),
    /// An engine of vLLM's over gRPC.
    Vllm(VllmTarget),
    /// Another pdtune.
    Grpc(GrpcTarget),
}

/// An embedded engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSpec {
    /// Its model.
    pub model: ModelSource,
    /// The roles of its units at the start; `None` leaves them to the number of cores.
    pub split: Option<Split>,
}

/// The seed of the built-in model: always the same model, whatever the seed of the load.
const BUILT_IN: ModelSource = ModelSource::Builtin { seed: 1 };

impl EngineSpec {
    fn new(model: Option<PathBuf>, split: Option<Split>) -> Self {
        let model = match model {
            None => BUILT_IN,
            Some(path) if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) => {
                ModelSource::Gguf(path)
            }
            Some(path) => ModelSource::Folder(path),
        };
        Self { model, split }
    }

    /// What clients of a server call the model.
    fn served_name(&self) -> String {
        let name = match &self.model {
            ModelSource::Builtin { .. } => None,
            // `.` and `..` have no name of their own.
            ModelSource::Folder(path) => path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned())),
            ModelSource::Gguf(path) => path.file_stem().map(ToOwned::to_owned),
        };
        name.map_or_else(|| "built-in".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn cpu(self) -> CpuTarget {
        CpuTarget { model: self.model, split: self.split.unwrap_or_else(cpu::default_split) }
    }
}

/// What is served to others.
#[derive(Clone, Debug, PartialEq)]
pub enum Served {
    /// The engine inside the program.
    Cpu(EngineSpec),
    /// A simulated cluster.
    Sim(Box<SimTarget>),
}

impl Served {
    /// Starts the engine.
    ///
    /// # Errors
    /// When the model cannot be loaded, its shape or the split cannot be served, or the cluster cannot be simulated.
    pub fn start(self) -> anyhow::Result<Started> {
        match self {
            Self::Cpu(engine) => Ok(cpu::start(&engine.cpu())?),
            Self::Sim(target) => Ok(sim::start(&target)?),
        }
    }

    /// What clients call the model, where `asked` is what it was to be called. Nobody shall take a simulation for a model.
    pub fn served_name(&self, asked: Option<String>) -> String {
        match self {
            Self::Cpu(engine) => asked.unwrap_or_else(|| engine.served_name()),
            Self::Sim(target) => format!("SIMULATED-{}", asked.unwrap_or_else(|| target.cluster.name.clone())),
        }
    }

    /// Whether its time goes as fast as that of its clients.
    pub(super) fn is_in_step(&self) -> bool {
        !matches!(self, Self::Sim(target) if target.time_scale.to_bits() != 1.0_f64.to_bits())
    }
}

impl EngineArgs {
    /// # Errors
    /// When an option has no meaning for this engine, or the profile of its cluster is missing or wrong.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<Served> {
        let Self { target, split, time_scale, model } = self;
        let Place::Sim(cluster) = target else {
            ensure!(time_scale.is_none(), "--time-scale is for simulated clusters\nhint: --target sim:CLUSTER");
            return Ok(Served::Cpu(EngineSpec::new(model, split)));
        };
        ensure!(model.is_none(), "--model is for the embedded engine, a cluster profile names its own");
        let (cluster, time_scale) = (library.cluster(&cluster)?, time_scale.unwrap_or(1.0));
        if let Some(split) = split {
            cluster.check_units(split)?;
        }
        Ok(Served::Sim(Box::new(SimTarget { cluster, split, time_scale })))
    }
}

impl TargetArgs {
    /// # Errors
    /// When an option has no meaning for this target, or the key is not there.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<TargetSpec> {
        self.resolve_beside(None, library)
    }

    /// The target, by default the cluster of `scenario`.
    ///
    /// # Errors
    /// When an option has no meaning for this target, or the key is not there.
    pub(super) fn resolve_beside(
        self,
        scenario: Option<Loaded<Scenario>>,
        library: &Library,
    ) -> anyhow::Result<TargetSpec> {
        let cluster = match (&self.target, scenario) {
            (Some(Place::Sim(name)), _) => Some(library.cluster(name)?),
            (Some(_), _) | (None, None) => None,
            (None, Some(scenario)) => Some(scenario.profile.cluster),
        };
        let simulated = cluster.is_some();
        ensure!(
            simulated || self.time_scale.is_none(),
            "--time-scale is for simulated targets\nhint: --target sim:CLUSTER"
        );
        if let Some(cluster) = cluster {
            return self.sim(cluster);
        }
        match self.target.clone() {
            Some(Place::Cpu | Place::Sim(_)) | None => self.embedded(),
            Some(Place::Http(addresses)) => self.http(addresses),
            Some(Place::Vllm(address)) => self.vllm(address),
            Some(Place::Grpc(address)) => self.grpc(address),
        }
    }

    /// Whether it was said how fast simulated time goes.
    pub(super) fn is_scaled(&self) -> bool {
        self.time_scale.is_some()
    }

    /// # Errors
    /// When an option was given that only servers know.
    fn check_no_server(&self, name: &str) -> anyhow::Result<()> {
        let of_servers = [
            ("--control", self.control.is_some()),
            ("--api-key-env", self.api_key_env.is_some()),
            ("--control-key-env", self.control_key_env.is_some()),
            ("--request-timeout", self.request_timeout.is_some()),
            ("--http2", self.http2),
        ];
        if let Some((option, _)) = of_servers.iter().find(|(_, given)| *given) {
            bail!("{option} is for servers, and --target {name} is none");
        }
        self.openai.check_none(&format!("--target {name}"))?;
        self.reach.check_none(&format!("--target {name}"))?;
        self.plane.check_none(&format!("--target {name}"))
    }

    fn sim(self, cluster: Loaded<Cluster>) -> anyhow::Result<TargetSpec> {
        self.check_no_server(&format!("{}{}", sim::PREFIX, cluster.name))?;
        ensure!(
            self.model.is_none(),
            "--model is for the embedded engine and HTTP servers, a cluster profile names its own"
        );
        let time_scale = self.time_scale.unwrap_or(1.0);
        Ok(TargetSpec::Sim(Box::new(SimTarget { cluster, split: self.split, time_scale })))
    }

    fn embedded(self) -> anyhow::Result<TargetSpec> {
        self.check_no_server("cpu")?;
        Ok(TargetSpec::Embedded(EngineSpec::new(self.model, self.split)))
    }

    fn http(self, addresses: Vec<HttpAddress>) -> anyhow::Result<TargetSpec> {
        let [address, others @ ..] = &addresses[..] else { bail!("--target has no address") };
        ensure!(
            others.len() < MOST_ADDRESSES,
            "--target has {} addresses, more than {MOST_ADDRESSES}",
            addresses.len()
        );
        if !matches!(self.control, Some(ControlArg::None | ControlArg::Dynamo(_)) | None) {
            self.check_no_split(address)?;
        }
        let split = self.split;
        if let Some(split) = split {
            split.check()?;
        }
        let timeout = self.timeout();
        let key_env = KeyEnv::of("--api-key-env", self.api_key_env.as_ref());
        let key = key_env.map(|key| key.read(ApiKey::new)).transpose()?;
        let reach = self.reach.resolve()?;
        let named = self.control.as_ref().unwrap_or(&ControlArg::None);
        let control_key = KeyEnv::of("--control-key-env", self.control_key_env.as_ref());
        if let Some(KeyEnv { option, .. }) = control_key {
            named.check_key(option)?;
        }
        let control_key = control_key.or(key_env.filter(|_| named.may_have_key_of(&addresses)));
        let control = self.plane.at(named, control_key, reach.clone(), split)?;
        self.plane.check(named, "the control")?;
        let model = self.model.as_ref().map(|name| name.to_string_lossy().into_owned());
        let http = HttpOptions { http2: self.http2, ..reach };
        let target = HttpTarget { model, key, http, timeout, control, split, ..HttpTarget::new(address.clone()) };
        let target = self.openai.apply(HttpTarget { addresses, ..target })?;
        Ok(TargetSpec::Http(Box::new(target)))
    }

    fn grpc(self, address: RemoteAddress) -> anyhow::Result<TargetSpec> {
        self.check_no_split(&address)?;
        ensure!(self.model.is_none(), "--model is for the embedded engine and HTTP servers, {address} has one model");
        self.openai.check_none(&format!("--target {address}"))?;
        ensure!(!self.http2, "--http2 is for HTTP servers, and gRPC always speaks it");
        self.reach.check_none(&format!("--target {address}"))?;
        self.plane.check_none(&format!("--target {address}"))?;
        let controlled = match &self.control {
            None => true,
            Some(ControlArg::None) => false,
            Some(ControlArg::Grpc(other)) if *other == address => true,
            Some(_) => bail!("--control: a grpc:// target is its own control"),
        };
        ensure!(self.control_key_env.is_none(), "--control-key-env: a grpc:// target is its own control");
        Ok(TargetSpec::Grpc(GrpcTarget {
            key: self.grpc_key()?,
            timeout: self.timeout(),
            opening: http::OPENING,
            address,
            controlled,
        }))
    }

    fn vllm(self, address: VllmAddress) -> anyhow::Result<TargetSpec> {
        ensure!(self.split.is_none(), "--split is for the embedded engine, {address} tells how many replicas it has");
        ensure!(self.model.is_none(), "--model is for the embedded engine and HTTP servers, {address} has one model");
        self.openai.check_tokens_alone(&format!("--target {address}"))?;
        ensure!(!self.http2, "--http2 is for HTTP servers, and gRPC always speaks it");
        self.reach.check_none(&format!("--target {address}"))?;
        self.plane.check_none(&format!("--target {address}"))?;
        let of_controls = [
            ("--control", !matches!(self.control, Some(ControlArg::None) | None)),
            ("--control-key-env", self.control_key_env.is_some()),
        ];
        if let Some((option, _)) = of_controls.iter().find(|(_, given)| *given) {
            bail!("{option}: {address} is one engine, and nothing shifts its units");
        }
        let (key, timeout, patience) = (self.grpc_key()?, self.timeout(), self.openai.patience());
        Ok(TargetSpec::Vllm(VllmTarget { address, key, timeout, opening: http::OPENING, patience }))
    }

    fn grpc_key(&self) -> anyhow::Result<Option<RemoteKey>> {
        let key = KeyEnv::of("--api-key-env", self.api_key_env.as_ref());
        key.map(|key| key.read(|key| RemoteKey::new(&key))).transpose()
    }

    fn check_no_split(&self, address: &impl Display) -> anyhow::Result<()> {
        let hint = "hint: change it with --shift, where the target has a control";
        ensure!(self.split.is_none(), "--split is for the embedded engine, {address} has its own\n{hint}");
        Ok(())
    }

    fn timeout(&self) -> Duration {
        self.request_timeout.map_or(http::REQUEST_TIMEOUT, |time| Duration::from_micros(time.0))
    }
}

impl TargetSpec {
    /// Whether it is a server, and not inside the program.
    pub(super) fn is_server(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Vllm(_) | Self::Grpc(_))
    }

    /// Whether opening it starts the workers that serve it.
    pub fn starts_workers(&self) -> bool {
        matches!(self, Self::Http(target) if target.control.as_ref().is_some_and(ControlAt::starts_workers))
    }

    /// The same, where no answer before the load may take longer than so.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        match &mut self {
            Self::Embedded(_) | Self::Sim(_) => {}
            Self::Http(target) => target.opening = target.opening.min(time),
            Self::Vllm(target) => target.opening = target.opening.min(time),
            Self::Grpc(target) => target.opening = target.opening.min(time),
        }
        self
    }

    /// What predictions of other splits rest on before anything was seen of the target.
    pub fn ground(&self) -> Option<Ground> {
        match self {
            Self::Sim(target) => Some(Ground::Profile(Box::new(target.cluster.clone()))),
            Self::Embedded(_) | Self::Http(_) | Self::Vllm(_) | Self::Grpc(_) => None,
        }
    }

    /// Opens the target: loads the model and starts the engine, or asks the server about itself.
    ///
    /// # Errors
    /// When the model cannot be loaded, its shape or the split cannot be served, or the server does not answer.
    pub fn open(self) -> anyhow::Result<Connection> {
        match self {
            Self::Embedded(engine) => Ok(cpu::open(&engine.cpu())?),
            Self::Sim(target) => Ok(sim::open(&target)?),
            Self::Http(target) => Ok(http::open(*target)?),
            Self::Vllm(target) => Ok(vllm::open(target)?),
            Self::Grpc(target) => Ok(grpc::open(target)?),
        }
    }
}
