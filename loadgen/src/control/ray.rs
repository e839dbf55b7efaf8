//! Ray Serve as a control plane: `ray+http://HOST:8265`, the REST API of its dashboard (Ray 2.60).
//!
//! Its prefill–decode application has a deployment `Prefill:MODEL` and a deployment `Decode:MODEL`; a shift lowers the number of
//! replicas of one and raises that of the other, in this order, so that GPUs are free before they are asked for. Which replica
//! goes is Ray's choice. What is wanted is told in one of three ways, by what the deployment is:
//!
//! | deployment | call | what changes |
//! |---|---|---|
//! | with a number of replicas | `PUT /api/serve/applications/` | its `num_replicas` alone |
//! | with `autoscaling_config`, which excludes a number | the same | its `min_replicas` and `max_replicas`, both to the number |
//! | of an application with `external_scaler_enabled` | `POST …/deployments/NAME/scale` | its target |
//!
//! The PUT states all that shall be: every application is sent back as it was last deployed, for those left out would end, and a
//! change of `args` would restart every replica. An answer of 200 says nothing: a deployment that is named wrongly fails after
//! it, and a field that is written wrongly is ignored. Only what is seen afterwards counts.

mod call;
mod deployments;
mod desired;
mod instance;
mod propose;
mod words;

use std::str::FromStr;

use engine::cluster::How;
use engine::units::Split;

use super::plane::{Adapter, CallError, Plan, Topology, Unseen};
use crate::http::{ApiKey, HttpAddress, HttpOptions};
use crate::target::{Abilities, Ways};
use crate::text::Malformed;
use call::Api;
use deployments::Pair;
use instance::Instance;
use propose::Change;
pub use propose::RayCall;

/// What the address of a dashboard begins with.
const SCHEME: &str = "ray+";

/// The dashboard of a Ray cluster, as `ray+http://HOST:8265`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RayAddress(HttpAddress);

impl RayAddress {
    /// Where that is.
    pub fn http(&self) -> &HttpAddress {
        &self.0
    }
}

impl FromStr for RayAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || {
            Malformed::new(
                "the address of a Ray dashboard",
                text,
                "write ray+http://HOST:PORT, such as ray+http://127.0.0.1:8265",
            )
        };
        text.strip_prefix(SCHEME).ok_or_else(malformed)?.parse().map(Self)
    }
}

impl std::fmt::Display for RayAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

/// Which deployments are meant, where their names do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RayNames {
    /// The deployment that computes prompts.
    pub prefill: Option<String>,
    /// The deployment that continues them.
    pub decode: Option<String>,
}

/// A prefill–decode application on Ray Serve.
#[derive(Debug)]
pub struct Ray {
    api: Api,
    names: RayNames,
    /// As last seen.
    pair: Option<Pair>,
}

impl Ray {
    /// The application of `names` at `address`. Nothing is asked yet.
    ///
    /// # Errors
    /// One line: why there is no HTTP client.
    pub fn new(address: &RayAddress, names: RayNames, key: Option<ApiKey>, http: &HttpOptions) -> Result<Self, String> {
        Ok(Self { api: Api::new(&address.0, key, http)?, names, pair: None })
    }
}

impl Adapter for Ray {
    type Call = RayCall;

    fn abilities(&self) -> Abilities {
        // To restart is what draining comes to here: one way is enough to choose from.
        Abilities {
            ways: Ways::of(&[How::Drain]),
            aggregated: false,
            in_place: false,
            dry_run: false,
            ..Abilities::ALL
        }
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        let answer = self.api.instance().await?;
        let instance: Instance = answer.read().map_err(Unseen::Never)?;
        let pair = Pair::find(&instance, &self.names, self.pair.take())?;
        let topology = pair.topology();
        self.pair = Some(pair);
        Ok(topology)
    }

    fn propose(&self, to: Split, how: How) -> Result<Plan<RayCall>, String> {
        let pair = self.pair.as_ref().ok_or("the deployments have not been seen yet")?;
        propose::propose(pair, to, how)
    }

    async fn apply(&mut self, call: &RayCall) -> Result<(), CallError> {
        // What is changed, and sent back, is what is deployed now, and not what was when the shift was planned.
        // Nothing was sent yet: a look that fails is made again.
        let answer = self.api.instance().await.map_err(CallError::not_yet)?;
        let all = answer.read().map_err(CallError::Refused)?;
        match call {
            RayCall::Scale { application, deployment, was, target } => {
                let change = Change::Replicas { deployment: deployment.clone(), was: *was, replicas: *target };
                desired::unchanged(&all, application, &change).map_err(CallError::Overtaken)?;
                self.api.scale(application, deployment, *target).await
            }
            RayCall::Put { application, change } => {
                desired::unchanged(&all, application, change).map_err(CallError::Overtaken)?;
                let body = desired::desired(&all, application, change).map_err(CallError::Refused)?;
                self.api.put(&body).await
            }
        }
    }
}

#[cfg(test)]
mod tests;
