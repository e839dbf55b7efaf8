//! A control as it is named, and its opening.

use std::sync::Arc;
use std::time::Duration;

use engine::cluster::How;
use engine::remote::{RemoteAddress, RemoteConfig, RemoteKey, StatusCode};
use engine::units::Split;

use super::conductor;
use super::dynamo::{DynamoEtcd, DynamoFile, DynamoPlanner, DynamoWorkers, EtcdLogin};
use super::exec::{Exec, ExecCommand};
use super::gateway::{Gateway, GatewayAddress, GatewayOptions};
use super::grpc::{self, GrpcControl};
#[cfg(feature = "kube")]
use super::kube::{Kube, KubeAddress};
use super::listener::Listener;
use super::plane::{Adapter, Plan, Unseen};
use super::prepare::prepared;
use super::ray::{Ray, RayAddress, RayNames};
use super::rest::KEY_HINT;
use crate::http::{ApiKey, HttpOptions};
use crate::target::Control;

/// How long a step of a shift may take to come true when nobody says: a real engine takes minutes to load its weights.
pub const PATIENCE: Duration = Duration::from_mins(15);

/// The control of an engine that requests reach by another way.
#[derive(Clone, Debug)]
pub enum ControlAt {
    /// Another pdtune's.
    Grpc(GrpcControlAt),
    /// That of Ray Serve.
    Ray(RayControlAt),
    /// That of a gateway of SGLang's.
    Gateway(GatewayControlAt),
    /// Objects on Kubernetes.
    #[cfg(feature = "kube")]
    Kube(KubeControlAt),
    /// Workers of Dynamo that register in a folder.
    Dynamo(DynamoWorkers),
    /// Workers of Dynamo that register in etcd, by the keys of its planner.
    DynamoEtcd {
        /// Where.
        at: DynamoEtcd,
        /// Who we are to it, where it has users.
        login: Option<EtcdLogin>,
        /// How etcd is reached.
        http: HttpOptions,
        /// How long a shift may take to come true.
        patience: Duration,
    },
    /// A command of the user's.
    Exec {
        /// The command.
        command: ExecCommand,
        /// How long a shift may take to come true.
        patience: Duration,
    },
}

/// The control of a pdtune.
#[derive(Clone, Debug)]
pub struct GrpcControlAt {
    /// Where it is.
    pub address: RemoteAddress,
    /// The key that it wants.
    pub key: Option<RemoteKey>,
}

/// The dashboard of a Ray cluster.
#[derive(Clone, Debug)]
pub struct RayControlAt {
    /// Where it is.
    pub address: RayAddress,
    /// Which deployments are meant.
    pub names: RayNames,
    /// The key that it wants.
    pub key: Option<ApiKey>,
    /// How it is reached.
    pub http: HttpOptions,
    /// How long a step of a shift may take to come true.
    pub patience: Duration,
}

/// A gateway of SGLang's.
#[derive(Clone, Debug)]
pub struct GatewayControlAt {
    /// Where it is.
    pub address: GatewayAddress,
    /// What is to be known of its workers.
    pub options: GatewayOptions,
    /// The key that it wants.
    pub key: Option<ApiKey>,
    /// How it and its workers are reached.
    pub http: HttpOptions,
    /// How long a step of a shift may take to come true.
    pub patience: Duration,
}

/// Objects on Kubernetes that hold units.
#[cfg(feature = "kube")]
#[derive(Clone, Debug)]
pub struct KubeControlAt {
    /// Which.
    pub address: KubeAddress,
    /// The file that says where clusters are; `None` for the usual ones.
    pub kubeconfig: Option<std::path::PathBuf>,
    /// How it is reached, beside what that says.
    pub http: HttpOptions,
    /// How long a step of a shift may take to come true.
    pub patience: Duration,
}

/// Why there is no control.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no pdtune.
    #[error("{0}{hint}", hint = key_hint(.0))]
    Grpc(grpc::OpenError),
    /// There is no control plane.
    #[error(transparent)]
    Plane(#[from] conductor::OpenError),
}

impl OpenError {
    /// Whether it may be otherwise a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Grpc(error) => error.may_pass(),
            Self::Plane(error) => error.may_pass(),
        }
    }
}

// What is told of it is in the message: as a source it would be told twice.
impl From<grpc::OpenError> for OpenError {
    fn from(error: grpc::OpenError) -> Self {
        Self::Grpc(error)
    }
}

fn key_hint(error: &grpc::OpenError) -> &'static str {
    match error {
        grpc::OpenError::Remote(error) if error.code() == Some(StatusCode::Unauthenticated) => KEY_HINT,
        _ => "",
    }
}

impl GrpcControlAt {
    /// # Errors
    /// When the engine cannot be reached or does not let us in.
    pub(crate) fn open(
        self,
        listener: impl Listener,
    ) -> Result<(GrpcControl, engine::remote::Topology), grpc::OpenError> {
        let config = RemoteConfig { key: self.key, ..RemoteConfig::default() };
        GrpcControl::open(self.address, config, listener)
    }
}

/// What a shift would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The split now.
    pub from: Split,
    /// Every call, as people read it.
    pub calls: Vec<String>,
    /// Whether the first of them would be taken, where that could be asked.
    pub rehearsed: Option<Result<(), String>>,
    /// What an operator should know before.
    pub remarks: Vec<String>,
}

impl ControlAt {
    /// Whether opening it starts what serves the target.
    pub fn starts_workers(&self) -> bool {
        matches!(self, Self::Dynamo(workers) if workers.split.is_some())
    }

    /// What a shift would do; only looks. Blocks, so it is not for async code.
    ///
    /// # Errors
    /// One line: why nothing can be seen, or why it would be refused.
    pub fn preview(self, to: Split, how: How) -> Result<Preview, String> {
        let looking = match self {
            Self::Dynamo(workers) => Self::Dynamo(DynamoWorkers { split: None, ..workers }),
            other => other,
        };
        looking.adapted(Preparing { to, how })?
    }

    /// Opens it: what it sees is told to `listener`. With it comes the split that serves.
    ///
    /// # Errors
    /// When it cannot be reached, does not let us in, or has no units.
    pub fn open(self, listener: impl Listener) -> Result<(Arc<dyn Control>, Split), OpenError> {
        if let Self::Grpc(at) = self {
            let (control, topology) = at.open(listener)?;
            return Ok((Arc::new(control), topology.observed.split));
        }
        // Without a client nobody is ever asked.
        let opened = self.adapted(Opening(listener)).map_err(|why| conductor::OpenError::from(Unseen::Never(why)))?;
        Ok(opened?)
    }

    /// Does something with the adapter that it is.
    ///
    /// # Errors
    /// One line: why there is none.
    fn adapted<D: Deed>(self, deed: D) -> Result<D::Done, String> {
        Ok(match self {
            Self::Grpc(_) => return Err("an engine takes a shift as one call".to_owned()),
            Self::Ray(at) => deed.with(Ray::new(&at.address, at.names, at.key, &at.http)?, at.patience),
            Self::Gateway(at) => deed.with(Gateway::new(&at.address, at.options, at.key, &at.http)?, at.patience),
            #[cfg(feature = "kube")]
            Self::Kube(at) => deed.with(Kube::new(at.address, at.kubeconfig, at.http), at.patience),
            Self::Dynamo(workers) => {
                let patience = workers.patience;
                deed.with(DynamoFile::new(workers), patience)
            }
            Self::DynamoEtcd { at, login, http, patience } => {
                deed.with(DynamoPlanner::new(&at, login, &http)?, patience)
            }
            Self::Exec { command, patience } => deed.with(Exec::new(command), patience),
        })
    }
}

/// What is done with an adapter, whichever it is.
trait Deed {
    type Done;

    fn with(self, adapter: impl Adapter, patience: Duration) -> Self::Done;
}

/// It is opened, with whoever listens.
struct Opening<L>(L);

impl<L: Listener> Deed for Opening<L> {
    type Done = Result<(Arc<dyn Control>, Split), conductor::OpenError>;

    fn with(self, adapter: impl Adapter, patience: Duration) -> Self::Done {
        let (control, topology) = conductor::open(adapter, patience, self.0)?;
        Ok((Arc::new(control), topology.serving()))
    }
}

/// A shift is prepared, and not done.
struct Preparing {
    to: Split,
    how: How,
}

impl Deed for Preparing {
    type Done = Result<Preview, String>;

    fn with(self, mut adapter: impl Adapter, _: Duration) -> Self::Done {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            let seen = adapter.observe().await.map_err(|unseen| unseen.to_string())?;
            let Plan { from, steps, remarks, .. } = prepared(&adapter, &seen, self.to, self.how)?;
            let rehearsed = match steps.first() {
                Some(first) if adapter.abilities().dry_run => adapter.rehearse(&first.forth.call).await,
                _ => None,
            };
            let calls = steps.into_iter().map(|step| step.forth.says).collect();
            Ok(Preview { from, calls, rehearsed, remarks })
        })
    }
}
