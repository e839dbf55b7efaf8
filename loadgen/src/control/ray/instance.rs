//! What `GET /api/serve/applications/` tells, as far as it is of interest here.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Everything that Ray Serve runs, with what it was asked to be.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Instance {
    #[serde(default)]
    pub(super) applications: BTreeMap<String, Application>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Application {
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: String,
    /// As it was last PUT; null for one that a program deployed.
    #[serde(default)]
    pub(super) deployed_app_config: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) external_scaler_enabled: Option<bool>,
    /// Empty while it is built, and after a deployment that failed, whatever still runs.
    #[serde(default)]
    pub(super) deployments: BTreeMap<String, Deployment>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Deployment {
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default, rename = "deployment_config")]
    pub(super) config: DeploymentConfig,
    #[serde(default)]
    pub(super) target_num_replicas: u32,
    /// What each replica takes, such as `{"GPU": 1, "CPU": 2}`.
    #[serde(default)]
    pub(super) required_resources: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    pub(super) replicas: Vec<Replica>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct DeploymentConfig {
    #[serde(default)]
    pub(super) autoscaling_config: Option<Bounds>,
    #[serde(default)]
    pub(super) graceful_shutdown_timeout_s: Option<f64>,
}

/// Between how many replicas an autoscaler may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Bounds {
    /// At least so many.
    #[serde(default, rename = "min_replicas")]
    pub min: Option<u32>,
    /// At most so many.
    #[serde(default, rename = "max_replicas")]
    pub max: Option<u32>,
    /// So many at its start. Ray refuses it outside of the bounds, whenever they change.
    #[serde(default, rename = "initial_replicas")]
    pub initial: Option<u32>,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |bound: Option<u32>| bound.map_or_else(|| "its default".to_owned(), |bound| bound.to_string());
        write!(f, "between {} and {} replicas", told(self.min), told(self.max))?;
        self.initial.map_or(Ok(()), |initial| write!(f, ", {initial} at first"))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Replica {
    pub(super) replica_id: String,
    pub(super) state: String,
}
