//! CONTROL: what watches and shifts the units.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use engine::remote::{RemoteAddress, RemoteKey};
use engine::units::Split;
#[cfg(feature = "kube")]
use loadgen::control::at::KubeControlAt;
use loadgen::control::at::{ControlAt, GatewayControlAt, GrpcControlAt, PATIENCE, RayControlAt};
use loadgen::control::dynamo::{self, DynamoEtcd, DynamoFolder, DynamoWorkers, EtcdLogin, WorkerCommand};
use loadgen::control::exec::{self, ExecCommand};
use loadgen::control::gateway::GatewayAddress;
#[cfg(feature = "kube")]
use loadgen::control::kube::KubeAddress;
use loadgen::control::ray::{RayAddress, RayNames};
use loadgen::http::{ApiKey, HttpAddress, HttpOptions, without_secret};
use loadgen::text::Malformed;
use loadgen::time::Micros;

use super::gateway::GatewayArgs;
use super::key::KeyEnv;
use super::load::parse_positive_duration;

/// A control as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ControlArg {
    None,
    Grpc(RemoteAddress),
    Ray(RayAddress),
    Gateway(GatewayAddress),
    #[cfg(feature = "kube")]
    Kube(KubeAddress),
    Dynamo(DynamoFolder),
    DynamoEtcd(DynamoEtcd),
    Exec(ExecCommand),
}

impl ControlArg {
    /// # Errors
    /// When it takes no key, and `option` names one for it.
    pub(super) fn check_key(&self, option: &str) -> anyhow::Result<()> {
        let why = match self {
            Self::Grpc(_) | Self::Ray(_) | Self::Gateway(_) | Self::DynamoEtcd(_) => return Ok(()),
            Self::None => "there is no control",
            #[cfg(feature = "kube")]
            Self::Kube(_) => "who asks is the kubeconfig's to say",
            Self::Dynamo(_) => "a folder is read without a key",
            Self::Exec(_) => "a command finds its own keys",
        };
        bail!("{option}: {why}")
    }

    /// Whether the key of a target at these addresses may be shown to it unasked: it is of the same host, which has the key
    /// already, and the key does not go in the clear where it has not done so before.
    pub(super) fn may_have_key_of(&self, targets: &[HttpAddress]) -> bool {
        let (host, is_secret) = match self {
            Self::Grpc(address) => (Some(address.host().to_owned()), false),
            Self::Ray(address) => (address.http().host(), address.http().is_secret()),
            Self::Gateway(address) => (address.http().host(), address.http().is_secret()),
            _ => return false,
        };
        let Some(host) = host else { return false };
        let is_there = |target: &HttpAddress| target.host().is_some_and(|there| there.eq_ignore_ascii_case(&host));
        targets.iter().any(|target| is_there(target) && (is_secret || !target.is_secret()))
    }
}

impl Display for ControlArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Grpc(address) => address.fmt(f),
            Self::Ray(address) => address.fmt(f),
            Self::Gateway(address) => address.fmt(f),
            #[cfg(feature = "kube")]
            Self::Kube(address) => address.fmt(f),
            Self::Dynamo(folder) => folder.fmt(f),
            Self::DynamoEtcd(at) => at.fmt(f),
            Self::Exec(command) => command.fmt(f),
        }
    }
}

/// What the key of etcd is, in the words of a refusal.
const LOGIN: &str = "is not USER:PASSWORD, as etcd wants it";

/// What the control of objects on Kubernetes begins with, whether this build has it or not.
const KUBE: &str = "kube://";

impl FromStr for ControlArg {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            _ if text.starts_with("grpc://") => Ok(Self::Grpc(text.parse()?)),
            _ if text.starts_with("ray+") => Ok(Self::Ray(text.parse()?)),
            _ if GatewayAddress::is_meant(text) => Ok(Self::Gateway(text.parse()?)),
            #[cfg(feature = "kube")]
            _ if text.starts_with(KUBE) => Ok(Self::Kube(text.parse()?)),
            #[cfg(not(feature = "kube"))]
            _ if text.starts_with(KUBE) => {
                Err("this build has no Kubernetes: build it with `cargo build --release --features kube`".into())
            }
            _ if text.starts_with(dynamo::PREFIX) => Ok(Self::Dynamo(text.parse()?)),
            _ if DynamoEtcd::is_meant(text) => Ok(Self::DynamoEtcd(text.parse()?)),
            _ if text.starts_with(exec::PREFIX) => Ok(Self::Exec(text.parse()?)),
            _ => Err(Box::new(Malformed {
                what: "a control",
                found: without_secret(text),
                allowed:
                    "none, grpc://HOST:PORT, ray+http://HOST:PORT, smg+http://HOST:PORT, sglang+http://HOST:PORT, \
                          kube://NAMESPACE/…, dynamo+file:DIR, dynamo+etcd://HOST:PORT/NAMESPACE or exec:COMMAND"
                        .to_owned(),
            })),
        }
    }
}

/// What a control plane is told beside its address.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct PlaneArgs {
    /// The deployment on Ray Serve that computes prompts [default: the one called Prefill:MODEL]
    #[arg(long, value_name = "NAME")]
    prefill_deployment: Option<String>,
    /// The deployment on Ray Serve that continues them [default: the one called Decode:MODEL]
    #[arg(long, value_name = "NAME")]
    decode_deployment: Option<String>,
    /// The kubeconfig of a kube:// control [default: that of KUBECONFIG, else ~/.kube/config, else the service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What starts a worker of Dynamo, without a shell: `python -m dynamo.vllm --model M --disaggregation-mode {role}`; {role}
    /// becomes prefill or decode, {port} a free port
    #[arg(long, value_name = "COMMAND")]
    worker_command: Option<WorkerCommand>,
    /// The namespace of Dynamo's workers [default: dynamo]
    #[arg(long, value_name = "NAME")]
    dynamo_namespace: Option<String>,
    /// How long a control plane may take for each step of a shift, such as a new replica, before it is rolled back [default:
    /// 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    shift_timeout: Option<Micros>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl PlaneArgs {
    /// # Errors
    /// When an option was given that only control planes know; `named` is what there is instead.
    pub(super) fn check_none(&self, named: &str) -> anyhow::Result<()> {
        let given = [
            ("--prefill-deployment", self.prefill_deployment.is_some()),
            ("--decode-deployment", self.decode_deployment.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--worker-command", self.worker_command.is_some()),
            ("--dynamo-namespace", self.dynamo_namespace.is_some()),
            ("--shift-timeout", self.shift_timeout.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                bail!("{option} is for control planes, such as ray+http://HOST:PORT, and {named} is none")
            }
            None => self.gateway.check_none(named),
        }
    }

    /// # Errors
    /// When an option was given that is for another control plane than `named`, which is called so.
    pub(super) fn check(&self, control: &ControlArg, named: &str) -> anyhow::Result<()> {
        let deployments = self.prefill_deployment.is_some() || self.decode_deployment.is_some();
        ensure!(
            !deployments || matches!(control, ControlArg::Ray(_)),
            "--prefill-deployment and --decode-deployment are for Ray Serve, and not for {named}"
        );
        let dynamo = self.worker_command.is_some() || self.dynamo_namespace.is_some();
        ensure!(
            !dynamo || matches!(control, ControlArg::None | ControlArg::Grpc(_) | ControlArg::Dynamo(_)),
            "--worker-command and --dynamo-namespace are for workers of Dynamo, and not for {named}"
        );
        let kubeconfig = self.kubeconfig.is_some();
        match control {
            ControlArg::None | ControlArg::Grpc(_) => return self.check_none(named),
            #[cfg(feature = "kube")]
            ControlArg::Kube(_) => {}
            _ => ensure!(!kubeconfig, "--kubeconfig is for kube:// controls, and not for {named}"),
        }
        match control {
            ControlArg::Gateway(_) => Ok(()),
            _ => self.gateway.check_none(named),
        }
    }

    /// The control as it is to be opened, with the key in `key` where it takes one; `split` are the units that it is to start.
    ///
    /// # Errors
    /// When a key is not there, or workers shall be started and nothing says how.
    pub(super) fn at(
        &self,
        control: &ControlArg,
        key: Option<KeyEnv<'_>>,
        http: HttpOptions,
        split: Option<Split>,
    ) -> anyhow::Result<Option<ControlAt>> {
        let patience = self.patience();
        let api_key = || key.map(|key| key.read(ApiKey::new)).transpose();
        Ok(Some(match control.clone() {
            ControlArg::None => return Ok(None),
            ControlArg::Grpc(address) => {
                let key = key.map(|key| key.read(|key| RemoteKey::new(&key))).transpose()?;
                ControlAt::Grpc(GrpcControlAt { address, key })
            }
            ControlArg::Ray(address) => {
                let names =
                    RayNames { prefill: self.prefill_deployment.clone(), decode: self.decode_deployment.clone() };
                ControlAt::Ray(RayControlAt { address, names, key: api_key()?, http, patience })
            }
            ControlArg::Gateway(address) => {
                let options = self.gateway.resolve()?;
                ControlAt::Gateway(GatewayControlAt { address, options, key: api_key()?, http, patience })
            }
            #[cfg(feature = "kube")]
            ControlArg::Kube(address) => {
                ControlAt::Kube(KubeControlAt { address, kubeconfig: self.kubeconfig.clone(), http, patience })
            }
            ControlArg::Dynamo(folder) => ControlAt::Dynamo(self.dynamo(folder, split)?),
            ControlArg::DynamoEtcd(at) => {
                let login = key.map(|key| key.read_as(LOGIN, |text| EtcdLogin::new(&text))).transpose()?;
                ControlAt::DynamoEtcd { at, login, http, patience }
            }
            ControlArg::Exec(command) => ControlAt::Exec { command, patience },
        }))
    }

    fn dynamo(&self, folder: DynamoFolder, split: Option<Split>) -> anyhow::Result<DynamoWorkers> {
        if let Some(split) = split.filter(|_| self.worker_command.is_none()) {
            bail!(
                "--split {split} with {folder}: nothing says how to start a worker\nhint: --worker-command \"python -m dynamo.vllm \
                 --model M --disaggregation-mode {{role}}\""
            );
        }
        Ok(DynamoWorkers {
            folder,
            namespace: self.dynamo_namespace.clone().unwrap_or_else(|| dynamo::NAMESPACE.to_owned()),
            command: self.worker_command.clone(),
            split,
            patience: self.patience(),
        })
    }

    fn patience(&self) -> Duration {
        self.shift_timeout.map_or(PATIENCE, |time| Duration::from_micros(time.0))
    }
}
