//! Dynamo's workers by way of etcd, in the place of its planner: `dynamo+etcd://HOST:PORT/NAMESPACE`, and `dynamo+etcds://…` where
//! etcd speaks TLS.
//!
//! Dynamo's planner, where it runs without Kubernetes, writes how many workers there shall be to etcd, and something of the
//! operator's that starts and ends them reads it there and writes back what it has done. Here, pdtune writes in the planner's
//! place, by the planner's rules: a decision has a number, the next one is not made before the last was acknowledged, and all of
//! it hangs on a lease that is kept alive and goes with the run. One alone is made before: that which takes back our own last one,
//! or keys that nobody acts upon would want for ever what was given up. Workers are seen where they register, and that alone tells
//! whether a shift is done.
//!
//! Two that decide would undo each other's decisions. So nothing is written while the keys hang on the lease of somebody else,
//! and nothing that was written since they were read is overwritten.

mod base64;
mod decision;
mod gateway;
mod login;
mod session;

use std::fmt;
use std::str::FromStr;

use engine::cluster::How;
use engine::units::{Role, Split};

use super::instances::of_key;
use super::{NAMESPACE, abilities, check};
use crate::control::plane::{Action, Adapter, CallError, Goal, Member, MemberState, Plan, Step, Topology, Unseen};
use crate::http::{HttpAddress, HttpOptions, without_secret};
use crate::target::Abilities;
use crate::text::Malformed;
use decision::Decision;
use gateway::Etcd;
pub use login::EtcdLogin;

/// What the address begins with, without TLS and with it.
const PREFIX: &str = "dynamo+etcd://";
const PREFIX_TLS: &str = "dynamo+etcds://";
/// Seconds that our decisions outlive us.
const LEASE: u32 = 30;
/// Most workers that are looked at.
const MOST: usize = 4096;

/// An etcd and a namespace of Dynamo's, as `dynamo+etcd://HOST:PORT/NAMESPACE` or `dynamo+etcds://HOST:PORT/NAMESPACE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoEtcd {
    address: HttpAddress,
    namespace: String,
}

impl DynamoEtcd {
    /// Whether an address is meant to be one, whatever is wrong with it.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("dynamo+etcd")
    }
}

impl FromStr for DynamoEtcd {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const WHAT: &str = "the address of Dynamo's etcd";
        if text.contains('@') {
            let allowed = "it would be shown and recorded with its secret; put USER:PASSWORD into a variable and name that with \
                           --control-key-env, or of `pdtune shift` with --api-key-env";
            return Err(Malformed::new(WHAT, &without_secret(text), allowed));
        }
        let allowed = "write dynamo+etcd://HOST:PORT/NAMESPACE, such as dynamo+etcd://127.0.0.1:2379/dynamo, or dynamo+etcds://… where \
                       etcd speaks TLS";
        let malformed = || Malformed::new(WHAT, text, allowed);
        let plain = text.strip_prefix(PREFIX).map(|rest| ("http", rest));
        let (scheme, rest) = plain.or_else(|| Some(("https", text.strip_prefix(PREFIX_TLS)?))).ok_or_else(malformed)?;
        let (authority, namespace) = rest.split_once('/').unwrap_or((rest, NAMESPACE));
        let namespace = if namespace.is_empty() { NAMESPACE } else { namespace };
        if authority.is_empty() || namespace.contains('/') {
            return Err(malformed());
        }
        let address = format!("{scheme}://{authority}").parse().map_err(|_| malformed())?;
        Ok(Self { address, namespace: namespace.to_owned() })
    }
}

impl fmt::Display for DynamoEtcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.address.is_secret() { PREFIX_TLS } else { PREFIX };
        let address = self.address.to_string();
        let authority = address.split_once("://").map_or(address.as_str(), |(_, authority)| authority);
        write!(f, "{prefix}{authority}/{}", self.namespace)
    }
}

/// So many workers shall there be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decide {
    to: Split,
    /// Whether it undoes what was decided before: then that need not have been done.
    undoes: bool,
}

/// The keys and workers of one namespace.
#[derive(Debug)]
pub struct DynamoPlanner {
    etcd: Etcd,
    namespace: String,
    /// Ours, once we have decided something.
    lease: Option<i64>,
    /// As last seen.
    seen: Option<(Topology, Decision)>,
}

impl DynamoPlanner {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// One line: why there is no HTTP client.
    pub fn new(at: &DynamoEtcd, login: Option<EtcdLogin>, http: &HttpOptions) -> Result<Self, String> {
        let DynamoEtcd { address, namespace } = at;
        Ok(Self { etcd: Etcd::new(address, login, http)?, namespace: namespace.clone(), lease: None, seen: None })
    }

    /// What the names of all keys of a decision begin with.
    fn prefix(&self) -> String {
        format!("v1/{}/planner/", self.namespace)
    }

    async fn decision(&mut self) -> Result<Decision, Unseen> {
        let prefix = self.prefix();
        Ok(Decision::of(&self.etcd.below(&prefix).await?, &prefix))
    }

    async fn workers(&mut self) -> Result<Vec<Member>, Unseen> {
        const INSTANCES: &str = "v1/instances/";
        let pairs = self.etcd.below(&format!("{INSTANCES}{}/", self.namespace)).await?;
        let instances: Vec<_> = pairs
            .iter()
            .filter_map(|pair| of_key(pair.key.strip_prefix(INSTANCES)?, &self.namespace))
            .take(MOST)
            .collect();
        let member = |instance: super::instances::Instance| {
            Member::new(instance.id.to_string(), instance.role, MemberState::Serving)
        };
        Ok(instances.into_iter().map(member).collect())
    }

    /// # Errors
    /// When somebody else decides.
    fn check_alone(&self, decision: &Decision) -> Result<(), String> {
        let ours = decision.lease == 0 || Some(decision.lease) == self.lease;
        if ours { Ok(()) } else { Err(self.rival(decision)) }
    }

    fn rival(&self, decision: &Decision) -> String {
        let wants = decision.wanted.map(|split| format!(" and wants {split}")).unwrap_or_default();
        format!(
            "a planner of Dynamo is alive in namespace {} (lease {:x} on its keys){wants}: it would undo the shift; stop it first",
            self.namespace, decision.lease
        )
    }

    /// The keys, where the next decision can be made.
    async fn free(&mut self, undoes: bool) -> Result<Decision, CallError> {
        let decision = self.decision().await.map_err(CallError::not_yet)?;
        self.check_alone(&decision).map_err(CallError::Overtaken)?;
        let is_ours = self.lease.is_some_and(|lease| decision.lease == lease);
        match decision.pending() {
            Some(id) if !(undoes && is_ours) => Err(CallError::NotYet(format!(
                "decision {id} has not been acknowledged: nothing scales by the keys {}*, or it has not done so yet",
                self.prefix()
            ))),
            _ => Ok(decision),
        }
    }
}

impl Adapter for DynamoPlanner {
    type Call = Decide;

    fn abilities(&self) -> Abilities {
        // Whoever ends the processes sees what they still hold.
        Abilities { drain_visible: false, ..abilities() }
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        if let Some(lease) = self.lease
            && !self.etcd.keep(lease).await?
        {
            // It has expired, and what we decided with it.
            self.lease = None;
        }
        let decision = self.decision().await?;
        let members = self.workers().await?;
        let rival = self.check_alone(&decision).is_err().then(|| "a planner of Dynamo".to_owned());
        let topology = Topology { members, wanted: decision.wanted, rival, ..Topology::default() };
        self.seen = Some((topology.clone(), decision));
        Ok(topology)
    }

    fn propose(&self, to: Split, how: How) -> Result<Plan<Decide>, String> {
        let (topology, decision) = self.seen.as_ref().ok_or("the workers have not been seen yet")?;
        check(to, how)?;
        self.check_alone(decision)?;
        let from = topology.serving();
        let action = |from: Split, to: Split, id: u64, undoes: bool| {
            let count = |role: Role| format!("num_{role}_workers {} -> {}", from.count(role), to.count(role));
            let (prefill, decode) = (count(Role::Prefill), count(Role::Decode));
            let says = format!("put {}{{{prefill}, {decode}, decision_id {id}}}", self.prefix());
            Action { call: Decide { to, undoes }, says, goal: Goal::All(to), wants: Some(to) }
        };
        let next = decision.next();
        let back = action(to, from, next.saturating_add(1), true);
        let step = Step { forth: action(from, to, next, false), back: Some(back) };
        let remark =
            "what starts and ends workers by these keys is not part of pdtune; without it the shift is rolled back";
        let steps = if from == to { Vec::new() } else { vec![step] };
        Ok(Plan { from, steps, moves: None, remarks: vec![remark.to_owned()] })
    }

    async fn apply(&mut self, call: &Decide) -> Result<(), CallError> {
        let Decide { to, undoes } = *call;
        let decision = self.free(undoes).await?;
        let lease = match self.lease {
            Some(lease) => lease,
            None => *self.lease.insert(self.etcd.grant(LEASE).await.map_err(undecided)?),
        };
        let prefix = self.prefix();
        let pair = |name: &str, value: String| (format!("{prefix}{name}"), value);
        let id = pair("decision_id", decision.next().to_string());
        let key = id.0.clone();
        let counts =
            [Role::Prefill, Role::Decode].map(|role| pair(&format!("num_{role}_workers"), to.count(role).to_string()));
        let [prefill, decode] = counts;
        if self.etcd.put_if((&key, decision.revision), &[prefill, decode, id], lease).await? {
            return Ok(());
        }
        // Nothing was written.
        let now = self.decision().await.map_err(CallError::not_yet)?;
        Err(CallError::Overtaken(self.rival(&now)))
    }

    fn is_of_the_run(&self) -> bool {
        true
    }

    async fn close(&mut self) {
        if let Some(lease) = self.lease.take() {
            // It ends by itself in half a minute, where etcd does not hear.
            let _ = self.etcd.revoke(lease).await;
        }
    }
}

/// A lease that may or may not have been granted has decided nothing, and goes by itself.
fn undecided(error: CallError) -> CallError {
    match error {
        CallError::Unclear(why) => CallError::NotYet(why),
        other => other,
    }
}

#[cfg(test)]
mod tests;
