//! What `GET /api/serve/applications/` tells, as far as it is of interest here.

use std::collections::BTreeMap;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Bounds {
    #[serde(default)]
    pub(super) min_replicas: Option<u32>,
    #[serde(default)]
    pub(super) max_replicas: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Replica {
    pub(super) replica_id: String,
    pub(super) state: String,
}
