//! TARGET: where the load goes. ENGINE: what is served to others.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use engine::model::ModelSource;
use engine::units::Split;
use loadgen::target::Connection;
use loadgen::target::cpu::{self, CpuTarget, OpenError, Started};
use loadgen::target::http::{self, ApiKey, HttpAddress, HttpTarget};
use loadgen::text::{Malformed, parse_duration};
use loadgen::time::Micros;

use super::key;

#[derive(Args, Debug)]
#[command(next_help_heading = "Engine")]
pub(super) struct EngineArgs {
    /// What computes. `cpu` is the embedded engine on this machine
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = Kind::Cpu)]
    target: Kind,
    /// Roles of the units at the start: 2P2D is two prefill and two decode units, 4A is four that do both [default: as many
    /// units as cores, at least four, half of them prefill]
    #[arg(long, value_name = "xPyD|nA")]
    split: Option<Split>,
    /// The model: a Hugging Face folder with safetensors (Qwen3 and Llama families) or a GGUF file [default: a built-in
    /// transformer of about 30M parameters, made at start]
    #[arg(long, value_name = "DIR|FILE.gguf")]
    model: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Cpu,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArgs {
    /// What serves the requests: `cpu`, the embedded engine on this machine, or http://HOST:PORT, a server that speaks OpenAI's
    /// protocol, such as vLLM, SGLang or `pdtune serve`
    #[arg(long, value_name = "TARGET", default_value = "cpu")]
    target: Place,
    /// Roles of the embedded engine's units at the start: 2P2D is two prefill and two decode units, 4A is four that do both
    /// [default: as many units as cores, at least four, half of them prefill]
    #[arg(long, value_name = "xPyD|nA")]
    split: Option<Split>,
    /// The model. Of the embedded engine: a Hugging Face folder with safetensors (Qwen3 and Llama families) or a GGUF file
    /// [default: a built-in transformer of about 30M parameters, made at start]. Of a server: its name there, needed where it
    /// has several
    #[arg(long, value_name = "DIR|FILE.gguf|NAME")]
    model: Option<PathBuf>,
    /// Environment variable with the key that the server wants as `Authorization: Bearer KEY`; never shown or recorded
    #[arg(long, value_name = "VAR")]
    api_key_env: Option<String>,
    /// How long a request to a server may take before it is given up and counts as failed [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    request_timeout: Option<Micros>,
}

/// How long a request to a server may take when nobody says: an overloaded server keeps some waiting for minutes.
const REQUEST_TIMEOUT: Micros = Micros(600_000_000);

/// A target as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Cpu,
    Http(HttpAddress),
}

impl FromStr for Place {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "cpu" => Ok(Self::Cpu),
            _ if text.contains("://") => Ok(Self::Http(text.parse()?)),
            _ => Err(Malformed {
                what: "a target",
                found: text.to_owned(),
                allowed: "cpu, or http://HOST:PORT".to_owned(),
            }),
        }
    }
}

fn parse_timeout(text: &str) -> Result<Micros, Malformed> {
    let malformed = || Malformed { what: "a timeout", found: text.to_owned(), allowed: "above zero".to_owned() };
    parse_duration(text).and_then(|time| if time == Micros::ZERO { Err(malformed()) } else { Ok(time) })
}

/// What serves the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetSpec {
    /// The engine inside the program.
    Embedded(EngineSpec),
    /// A server.
    Http(HttpTarget),
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

    /// Loads the model and starts the engine, to be served to others.
    ///
    /// # Errors
    /// When the model cannot be loaded, or its shape or the split cannot be served.
    pub fn start(self) -> Result<Started, OpenError> {
        cpu::start(&self.cpu())
    }

    /// What clients of a server call the model.
    pub fn served_name(&self) -> String {
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

impl From<EngineArgs> for EngineSpec {
    fn from(EngineArgs { target: Kind::Cpu, split, model }: EngineArgs) -> Self {
        Self::new(model, split)
    }
}

impl TargetArgs {
    /// # Errors
    /// When an option has no meaning for this target, or the key is not there.
    pub(super) fn resolve(self) -> anyhow::Result<TargetSpec> {
        let Self { target, split, model, api_key_env, request_timeout } = self;
        match target {
            Place::Cpu => {
                let remote =
                    [("--api-key-env", api_key_env.is_some()), ("--request-timeout", request_timeout.is_some())];
                if let Some((option, _)) = remote.iter().find(|(_, given)| *given) {
                    bail!("{option} is for servers, and --target cpu is none");
                }
                Ok(TargetSpec::Embedded(EngineSpec::new(model, split)))
            }
            Place::Http(address) => {
                ensure!(split.is_none(), "--split is for the embedded engine, {address} has its own");
                let model = model.map(|name| name.to_string_lossy().into_owned());
                let key = api_key_env.map(|name| key::read(&name, ApiKey::new)).transpose()?;
                let timeout = Duration::from_micros(request_timeout.unwrap_or(REQUEST_TIMEOUT).0);
                Ok(TargetSpec::Http(HttpTarget { address, model, key, timeout }))
            }
        }
    }
}

impl TargetSpec {
    /// Opens the target: loads the model and starts the engine, or asks the server about itself.
    ///
    /// # Errors
    /// When the model cannot be loaded, its shape or the split cannot be served, or the server does not answer.
    pub fn open(self) -> anyhow::Result<Connection> {
        match self {
            Self::Embedded(engine) => Ok(cpu::open(&engine.cpu())?),
            Self::Http(target) => Ok(http::open(target)?),
        }
    }
}
