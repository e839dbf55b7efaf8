//! TARGET: where the load goes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use engine::model::ModelSource;
use engine::units::Split;
use loadgen::target::Connection;
use loadgen::target::cpu::{self, CpuTarget, OpenError, Started};

#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArgs {
    /// What serves the requests. `cpu` is the embedded engine on this machine
    #[arg(long, value_name = "TARGET", value_enum, default_value_t = Kind::Cpu)]
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

/// What serves the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// The model of the embedded engine.
    pub model: ModelSource,
    /// The roles of its units at the start; `None` leaves them to the number of cores.
    pub split: Option<Split>,
}

/// The seed of the built-in model: always the same model, whatever the seed of the load.
const BUILT_IN: ModelSource = ModelSource::Builtin { seed: 1 };

impl From<TargetArgs> for TargetSpec {
    fn from(TargetArgs { target: Kind::Cpu, split, model }: TargetArgs) -> Self {
        let model = match model {
            None => BUILT_IN,
            Some(path) if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) => {
                ModelSource::Gguf(path)
            }
            Some(path) => ModelSource::Folder(path),
        };
        Self { model, split }
    }
}

impl TargetSpec {
    /// Loads the model and starts the engine.
    ///
    /// # Errors
    /// When the model cannot be loaded, or its shape or the split cannot be served.
    pub fn open(self) -> Result<Connection, OpenError> {
        cpu::open(&self.cpu())
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
