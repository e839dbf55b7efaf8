//! `pdtune calibrate`: a target, what is believed of it, and where the profile goes.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use engine::model::ModelSource;
use engine::units::Split;
use loadgen::calibrate::Start;
use loadgen::profile::Library;
use loadgen::target::cpu;
use loadgen::time::Micros;

use super::load::parse_positive_duration;
use super::ready::{Ready, ReadyArgs};
use super::target::{TargetArgs, TargetSpec};

/// The profile that the embedded engine with its built-in model is calibrated from.
const BUILT_IN: &str = "cpu-built-in";

#[derive(Args, Debug)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    ready: ReadyArgs,
    /// The cluster profile to start from: GPU, model, and how sure its constants are [default: that of a simulated cluster;
    /// cpu-built-in for the embedded engine with its built-in model]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Calibration")]
    cluster: Option<String>,
    /// Begin no probe that would not be over after this time; what is left out is said. Simulated clusters are probed in virtual
    /// time and need none
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_positive_duration, help_heading = "Calibration")]
    budget: Micros,
    /// The cluster profile to write, usually NAME.toml; it must not exist
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: PathBuf,
    /// Print one JSON object instead of tables
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What to calibrate, and how to tell.
#[derive(Clone, Debug)]
pub struct CalibrateOptions {
    /// What is probed.
    pub target: TargetSpec,
    /// How long it is waited for.
    pub ready: Ready,
    /// The splits in which it is, one after the other; none of a server, which has its own.
    pub splits: Vec<Split>,
    /// What is believed of it.
    pub start: Start,
    /// Its time for all probes.
    pub budget: Micros,
    /// Where the profile goes.
    pub out: PathBuf,
    /// Whether the report is JSON.
    pub json: bool,
}

impl CalibrateArgs {
    /// # Errors
    /// When a profile is missing or wrong, the file exists, or an option has no meaning for the target.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<CalibrateOptions> {
        check_is_new(&self.out)?;
        ensure!(!self.target.is_scaled(), "--time-scale is for wall time, and calibrate simulates in virtual time");
        let target = self.target.resolve(library)?;
        let name = match (self.cluster, &target) {
            (Some(name), _) => name,
            (None, TargetSpec::Sim(target)) => match &target.cluster.origin {
                loadgen::profile::Origin::Shipped => target.cluster.name.clone(),
                loadgen::profile::Origin::File(path) => path.to_string_lossy().into_owned(),
            },
            (None, TargetSpec::Embedded(engine)) if matches!(engine.model, ModelSource::Builtin { .. }) => {
                BUILT_IN.to_owned()
            }
            _ => bail!(
                "calibrate needs --cluster for this target: what is served, on what\nhint: `pdtune profiles list` shows cluster \
                 profiles; copy one and change it"
            ),
        };
        let mut start = Start { profile: library.cluster_profile(&name)?.profile, cluster: library.cluster(&name)? };
        let splits = match &target {
            TargetSpec::Embedded(engine) => {
                let split = engine.split.unwrap_or_else(cpu::default_split);
                // Units share the cores: how fast one is depends on how many there are.
                start.profile = start.profile.with_units(split.units());
                both(split)
            }
            TargetSpec::Sim(target) => {
                let small = match target.cluster.profile.units {
                    1 => Split { prefill: 0, decode: 0, aggregated: 1 },
                    _ => Split { prefill: 1, decode: 1, aggregated: 0 },
                };
                let split = target.split.unwrap_or(small);
                target.cluster.check_units(split)?;
                both(split)
            }
            TargetSpec::Http(_) | TargetSpec::Vllm(_) | TargetSpec::Grpc(_) => Vec::new(),
        };
        let ready = self.ready.resolve(&target)?;
        Ok(CalibrateOptions { target, ready, splits, start, budget: self.budget, out: self.out, json: self.json })
    }
}

/// Hand-offs need units of both roles; steps that mix prompts and decodes need as many units that do both.
fn both(split: Split) -> Vec<Split> {
    let mixing = Split { prefill: 0, decode: 0, aggregated: split.units() };
    if split.aggregated > 0 { vec![split] } else { vec![split, mixing] }
}

/// Refuses a file that exists, or that cannot be made where it should be.
fn check_is_new(out: &std::path::Path) -> anyhow::Result<()> {
    let name = out.display();
    ensure!(!out.exists(), "--out {name} exists already\nhint: another name, or remove it first");
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
    let kind = std::fs::metadata(folder).with_context(|| format!("--out {name}: no folder {}", folder.display()))?;
    ensure!(kind.is_dir(), "--out {name}: {} is no folder", folder.display());
    ensure!(out.file_name().is_some(), "--out {name} is no file name");
    Ok(())
}
