//! Kubernetes as a control plane: `kube://[CONTEXT/]NAMESPACE/…`, by way of its API server and as whom the kubeconfig says.
//!
//! | object | where the number of units is changed |
//! |---|---|
//! | Deployment, StatefulSet, LeaderWorkerSet (one for each role) | `…/scale` |
//! | DynamoGraphDeployment | `…/dynamographdeploymentscalingadapters/GRAPH-COMPONENT/scale`; without such an adapter in `spec.components` |
//! | RoleBasedGroup | `…/rolebasedgroupscalingadapters/NAME/scale` of the role's adapter; without one in `spec.roles` |
//! | LLMInferenceService | `spec.replicas` (decode) and `spec.prefill.replicas` |
//! | StormService | `spec.template.spec.roles` |
//! | pods with `llm-d.ai/role` | the label itself: a unit changes its role where it is |
//!
//! Units are pods, or the pods of several nodes that belong together, as their conditions tell: ready, terminating, or on their
//! way. A change is made of the object as it was read just before (its `resourceVersion`, or a `test` of what a list holds), so that
//! what somebody else has changed meanwhile is not changed back. Who else changes it (an autoscaler, a planner, the owner of
//! the object) is looked for before, and named.

mod address;
mod api;
mod failure;
mod find;
mod kind;
mod label;
mod lever;
mod object;
mod place;
mod propose;
mod rivals;
mod side;
mod units;
mod waits;

use std::fmt;
use std::path::PathBuf;

use engine::cluster::How;
use engine::units::Split;
use serde_json::Value;

use super::plane::{Adapter, CallError, Plan, Topology, Trouble, Unseen};
use crate::clock::RunClock;
use crate::http::HttpOptions;
use crate::target::{Abilities, Ways};
use crate::time::Micros;
pub use address::KubeAddress;
use address::Objects;
use api::{Api, MANAGER};
use failure::Failure;
use find::Versions;
use label::{Flip, Labels};
use lever::Lever;
use object::{List, Pod};
use place::Place;
use rivals::Rivals;
use side::Side;
use units::Unit;
use waits::Waits;

/// How often others are looked for.
const RIVALS: Micros = Micros(10_000_000);
/// How often a change is tried that somebody else's came before: controllers write the state of an object many times a second.
const ATTEMPTS: u32 = 5;

/// What Kubernetes can be told.
#[derive(Clone, Debug)]
pub struct KubeCall(Call);

#[derive(Clone, Debug)]
enum Call {
    /// How many units there shall be of a role, and how many there shall be so far.
    Scale { lever: Lever, from: u32, to: u32 },
    /// Which role a pod has.
    Flip(Flip),
}

/// Units on Kubernetes.
pub struct Kube {
    address: KubeAddress,
    kubeconfig: Option<PathBuf>,
    /// How it is reached.
    http: HttpOptions,
    clock: RunClock,
    /// Once it was reached.
    api: Option<Api>,
    seen: Seen,
}

/// What is known of the units, by what they are.
#[derive(Debug)]
enum Seen {
    /// Objects that have so many.
    Scaled(Box<Scaled>),
    /// Pods with labels.
    Labelled(Labels),
}

#[derive(Debug, Default)]
struct Scaled {
    versions: Versions,
    sides: Option<[Side; 2]>,
    rivals: Rivals,
    /// When they were looked for.
    looked: Option<Micros>,
    /// Who has changed the number of units since we first looked.
    meddler: Option<String>,
    waits: Waits,
}

impl fmt::Debug for Kube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kube").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Kube {
    /// The units of `address`, by the cluster of a kubeconfig: that of `kubeconfig`, else of `KUBECONFIG`, else the user's, else the
    /// service account's. What the user trusts, and the proxy, stand beside what that file says. Nothing is asked yet.
    pub fn new(address: KubeAddress, kubeconfig: Option<PathBuf>, http: HttpOptions) -> Self {
        let seen = match &address.objects {
            Objects::Pods { selector } => Seen::Labelled(Labels::new(selector)),
            Objects::One(_) | Objects::Pair { .. } => Seen::Scaled(Box::default()),
        };
        Self { address, kubeconfig, http, clock: RunClock::start(), api: None, seen }
    }

    /// Makes a call, or asks whether it would be taken.
    async fn make(&mut self, call: &KubeCall, rehearsed: bool) -> Result<(), CallError> {
        let api = self.api.as_ref().ok_or_else(|| CallError::Refused("the cluster was not seen yet".to_owned()))?;
        match (&call.0, &mut self.seen) {
            (Call::Scale { lever, from, to }, _) => scale(api, lever, (*from, *to), rehearsed).await,
            (Call::Flip(flip), Seen::Labelled(labels)) => labels.apply(api, flip, rehearsed).await,
            (Call::Flip(_), Seen::Scaled(_)) => Err(CallError::Refused("it has no labels that tell roles".to_owned())),
        }
    }
}

impl Adapter for Kube {
    type Call = KubeCall;

    fn abilities(&self) -> Abilities {
        // Pods end and others start, by draining and restarting alike: one way is enough to choose from.
        let in_place = matches!(self.seen, Seen::Labelled(_));
        let ways = Ways::of(&[How::Drain]);
        Abilities { ways, aggregated: in_place, in_place, counts: !in_place, drain_visible: true, dry_run: true }
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        let now = self.clock.now();
        let api = if let Some(api) = &self.api {
            api
        } else {
            let KubeAddress { context, namespace, .. } = &self.address;
            // A file that is no kubeconfig will be none the next time.
            let api = Api::connect(self.kubeconfig.as_ref(), context.as_ref(), namespace, &self.http).await;
            self.api.insert(api.map_err(Unseen::Never)?)
        };
        match &mut self.seen {
            Seen::Scaled(scaled) => scaled.observe(api, &self.address.objects, now).await,
            Seen::Labelled(labels) => labels.observe(api, now).await,
        }
    }

    fn propose(&self, to: Split, how: How) -> Result<Plan<KubeCall>, String> {
        let namespace = &self.address.namespace;
        match &self.seen {
            Seen::Scaled(scaled) => {
                let sides = scaled.sides.as_ref().ok_or("the units have not been seen yet")?;
                propose::propose(namespace, sides, &scaled.rivals.remarks, to, how)
            }
            Seen::Labelled(labels) => labels.propose(namespace, to, how),
        }
    }

    async fn rehearse(&mut self, call: &KubeCall) -> Option<Result<(), String>> {
        Some(self.make(call, true).await.map_err(|error| error.to_string()))
    }

    async fn apply(&mut self, call: &KubeCall) -> Result<(), CallError> {
        match &mut self.seen {
            Seen::Scaled(scaled) => scaled.waits.restart(),
            Seen::Labelled(labels) => labels.restart(),
        }
        self.make(call, false).await
    }
}

impl Scaled {
    async fn observe(&mut self, api: &Api, objects: &Objects, now: Micros) -> Result<Topology, Unseen> {
        let mut sides = find::find(api, objects, &mut self.versions).await?;
        for side in &mut sides {
            let Some(selector) = &side.selector else { continue };
            side.units = match api.get::<List<Pod>>(&Place::pods(selector)).await {
                Ok(pods) => Some(units::units(&pods.items)),
                // The object's own numbers are what is left.
                Err(Failure::Forbidden(_)) => None,
                Err(failure) => return Err(failure.into()),
            };
        }
        if self.looked.is_none_or(|looked| now.since(looked) >= RIVALS) {
            self.rivals = rivals::find(api, &sides, &self.rivals).await;
            self.looked = Some(now);
        }
        self.watch(&sides);
        let topology = Topology {
            members: sides.iter().flat_map(Side::members).collect(),
            wanted: Some(propose::wanted(&sides)),
            generation: Some(sides.iter().map(|side| side.generation.0).sum()),
            rival: self.rival(),
            troubles: self.troubles(&sides, now),
            ..Topology::default()
        };
        self.sides = Some(sides);
        Ok(topology)
    }

    /// Notices who has changed a number since the last look.
    fn watch(&mut self, sides: &[Side; 2]) {
        for (before, now) in self.sides.iter().flatten().zip(sides) {
            if before.manager != now.manager && now.manager.as_deref() != Some(MANAGER) {
                self.meddler.clone_from(&now.manager);
            }
        }
    }

    fn rival(&self) -> Option<String> {
        let meddler = self.meddler.as_ref().map(|manager| format!("{manager}, as the object says,"));
        let names: Vec<_> = meddler.into_iter().chain(self.rivals.names.iter().cloned()).collect();
        (!names.is_empty()).then(|| names.join(" and "))
    }

    fn troubles(&mut self, sides: &[Side; 2], now: Micros) -> Vec<Trouble> {
        let objects = sides.iter().filter_map(|side| Some(Trouble::of_role(side.role, side.trouble.as_deref()?)));
        let units = sides.iter().flat_map(|side| side.units.iter().flatten()).filter_map(Unit::told);
        let wrong: Vec<_> = objects.chain(units).collect();
        self.waits.see(&wrong, now)
    }
}

/// Changes a number from what it is thought to be.
async fn scale(api: &Api, lever: &Lever, (from, to): (u32, u32), rehearsed: bool) -> Result<(), CallError> {
    let mut conflict = String::new();
    for _ in 0..ATTEMPTS {
        let object: Value = api.get(&lever.place).await.map_err(Failure::before_call)?;
        let now = lever.read(&object);
        if now == Some(to) {
            return Ok(());
        }
        if now.is_some_and(|now| now != from) && !rehearsed {
            let now = now.unwrap_or_default();
            let who = lever.manager(&object).map(|who| format!(", {who},")).unwrap_or_default();
            return Err(CallError::Overtaken(format!(
                "somebody else{who} has set the units of {} to {now} meanwhile, which were to be {from}",
                lever.place
            )));
        }
        let (place, how, body) = lever.change(&object, to);
        match api.patch(&place, how, &body, rehearsed).await {
            Ok(()) => return Ok(()),
            Err(Failure::Conflict(why)) => conflict = why,
            Err(failure) => return Err(failure.into_call_error()),
        }
    }
    Err(CallError::NotYet(format!("{conflict} ({ATTEMPTS} times)")))
}

#[cfg(test)]
mod tests;
