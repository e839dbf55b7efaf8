//! `pdtune shift`: one shift of a remote engine, or of a cluster by its control plane.

use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use engine::cluster::How;
use engine::remote::{RemoteAddress, RemoteKey};
use engine::units::Split;
use loadgen::control::at::ControlAt;
use loadgen::time::Micros;

use super::control::{ControlArg, PlaneArgs};
use super::key::KeyEnv;
use super::load::parse_positive_duration;
use super::reach::ReachArgs;

#[derive(Args, Debug)]
pub(super) struct ShiftArgs {
    /// What is shifted: grpc://HOST:PORT, an engine, as `pdtune serve` prints it; ray+http://HOST:PORT, the dashboard of a Ray
    /// cluster with a prefill-decode application of Ray Serve; smg+http://HOST:PORT and sglang+http://HOST:PORT, a gateway of
    /// SGLang's; kube://[CONTEXT/]NAMESPACE/KIND/PREFILL,KIND/DECODE, objects on Kubernetes, in builds with the feature `kube`;
    /// dynamo+etcd://HOST:PORT/NAMESPACE, workers of NVIDIA Dynamo by the keys of its planner; exec:COMMAND, whatever a command of
    /// yours shifts
    #[arg(long, value_name = "CONTROL")]
    target: ControlArg,
    #[command(flatten)]
    plane: PlaneArgs,
    /// Show every call that a control plane would get, and make none
    #[arg(long)]
    dry_run: bool,
    /// Only with --dry-run: make sure that nothing is shifted
    #[arg(long)]
    read_only: bool,
    /// The split to shift to: 3P1D is three prefill units and one decode unit, 4A is four that do both
    #[arg(long, value_name = "xPyD|nA")]
    to: Split,
    /// How units get to their new role: `drain` finishes what they hold, `migrate` moves it to peers, `restart` finishes it,
    /// ends their process and starts another one, which loads the weights
    #[arg(long, value_name = "HOW", value_enum, default_value_t = HowArg::Drain)]
    how: HowArg,
    /// How long to wait for the units of an engine to arrive (10s, 2m); the shift itself has no such limit [default: 2m; to
    /// restart, 30m]. Of a control plane see --shift-timeout
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    timeout: Option<Micros>,
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
    /// Environment variable with the key that the server wants; of etcd it is USER:PASSWORD
    #[arg(long, value_name = "VAR")]
    api_key_env: Option<String>,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HowArg {
    Drain,
    Migrate,
    Restart,
}

/// What is shifted.
#[derive(Debug)]
pub enum Shifted {
    /// An engine.
    Engine {
        /// Where it is.
        target: RemoteAddress,
        /// How long its units are waited for.
        timeout: Duration,
        /// The key, where the server wants one.
        key: Option<RemoteKey>,
    },
    /// A cluster, by its control plane.
    Plane {
        /// Where that is.
        control: ControlAt,
        /// As it was named.
        name: String,
        /// Whether nothing is done.
        dry_run: bool,
    },
}

/// One shift, where and how.
#[derive(Debug)]
pub struct ShiftOptions {
    /// What is shifted.
    pub shifted: Shifted,
    /// Where it leads.
    pub to: Split,
    /// How.
    pub how: How,
    /// Whether the outcome is printed as JSON.
    pub json: bool,
}

impl ShiftArgs {
    /// # Errors
    /// When the key is not there, or an option has no meaning for what is shifted.
    pub(super) fn resolve(self) -> anyhow::Result<ShiftOptions> {
        ensure!(
            !self.read_only || self.dry_run,
            "--read-only: nothing is shifted\nhint: --dry-run shows every call and makes none"
        );
        let how = match self.how {
            HowArg::Drain => How::Drain,
            HowArg::Migrate => How::Migrate,
            HowArg::Restart => How::Restart,
        };
        let shifted = self.shifted(how)?;
        Ok(ShiftOptions { shifted, to: self.to, how, json: self.json })
    }

    fn shifted(&self, how: How) -> anyhow::Result<Shifted> {
        let key = KeyEnv::of("--api-key-env", self.api_key_env.as_ref());
        match &self.target {
            ControlArg::Grpc(target) => {
                ensure!(!self.dry_run, "--dry-run is for control planes: an engine takes one call");
                self.reach.check_none(&format!("--target {target}"))?;
                self.plane.check_none(&format!("--target {target}"))?;
                let key = key.map(|key| key.read(|key| RemoteKey::new(&key))).transpose()?;
                let timeout = self.timeout.map_or_else(|| patience(how), |timeout| Duration::from_micros(timeout.0));
                Ok(Shifted::Engine { target: target.clone(), timeout, key })
            }
            ControlArg::Dynamo(folder) => bail!(
                "--target {folder}: workers belong to the run that has started them\nhint: shift them there, with --shift or in the \
                 live screen"
            ),
            control => {
                if let Some(KeyEnv { option, .. }) = key {
                    control.check_key(option)?;
                }
                if let ControlArg::Exec(_) = control {
                    self.reach.check_none("a command")?;
                }
                let name = control.to_string();
                self.plane.check(control, &name)?;
                let hint = "a control plane has --shift-timeout for each step";
                ensure!(self.timeout.is_none(), "--timeout is for engines; {hint}");
                let Some(control) = self.plane.at(control, key, self.reach.resolve()?, None)? else {
                    bail!("--target none: there is nothing to shift")
                };
                Ok(Shifted::Plane { name, control, dry_run: self.dry_run })
            }
        }
    }
}

/// How long units are waited for when nobody says: a process that loads large weights from a network takes many minutes.
fn patience(how: How) -> Duration {
    match how {
        How::Drain | How::Migrate => Duration::from_mins(2),
        How::Restart => Duration::from_mins(30),
    }
}
