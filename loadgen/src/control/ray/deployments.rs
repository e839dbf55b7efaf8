//! The two deployments of a prefill–decode application, found among all that there is.

use std::collections::BTreeMap;

use engine::remote::one_line;
use engine::units::{Role, Split};

use super::RayNames;
use super::instance::{Application, Bounds, Deployment, Instance};
use super::words::words;
use crate::control::plane::{Member, MemberState, Topology, Trouble};

/// What the names of the deployments that Ray's own builder makes begin with.
const PREFILL: &str = "Prefill:";
const DECODE: &str = "Decode:";
/// The status of what could not be deployed.
const FAILED: &str = "DEPLOY_FAILED";

/// The deployments of an application.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) application: String,
    pub(super) prefill: Side,
    pub(super) decode: Side,
    rival: Option<String>,
    troubles: Vec<Trouble>,
    /// Why it could not be deployed as it was last asked for, where it tells no deployments since.
    pub(super) failed: Option<String>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) target: u32,
    pub(super) lever: Lever,
    /// How long a replica that stops has, in seconds.
    pub(super) grace_s: Option<f64>,
    pub(super) resources: BTreeMap<String, f64>,
    members: Vec<Member>,
}

/// How the number of its replicas is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lever {
    /// By stating everything anew, with another number.
    Replicas,
    /// By stating everything anew, with other bounds of its autoscaler.
    Bounds(Bounds),
    /// By the call for external scalers.
    Scale,
    /// Not at all: a program has deployed it, and states nothing.
    None,
}

impl Pair {
    /// Finds them. Where an application tells nothing of its deployments for now, as while it is built, they are as `before`.
    ///
    /// # Errors
    /// When there are none, or several; what there is instead.
    pub(super) fn find(instance: &Instance, names: &RayNames, before: Option<Self>) -> Result<Self, String> {
        if let Some(before) = before
            && let Some(application) = instance.applications.get(&before.application)
            && application.deployments.is_empty()
        {
            let trouble = trouble_of(application);
            let failed = trouble.as_ref().map(|trouble| trouble.why.clone());
            return Ok(Self { troubles: trouble.into_iter().collect(), failed, ..before });
        }
        let found: Vec<_> = instance.applications.iter().flat_map(|(name, app)| pairs(name, app, names)).collect();
        let [(name, application, (prefill, decode))] = &found[..] else {
            return Err(not_one(instance, names, &found));
        };
        let imperative = instance.applications.values().any(|application| application.deployed_app_config.is_none());
        let side =
            |role, (name, deployment): &(&str, &Deployment)| Side::new(role, name, deployment, application, imperative);
        let (prefill, decode) = (side(Role::Prefill, prefill), side(Role::Decode, decode));
        let of_side = |side: &Side| {
            let why = deployment_trouble(&side.name, application.deployments.get(&side.name)?)?;
            Some(Trouble::of_role(side.role, why))
        };
        let sides = [of_side(&prefill), of_side(&decode)];
        let troubles = trouble_of(application).into_iter().chain(sides.into_iter().flatten()).collect();
        let rival = rival_of(application, &[&prefill, &decode]);
        Ok(Self { application: (*name).to_owned(), prefill, decode, rival, troubles, failed: None })
    }

    pub(super) fn side(&self, role: Role) -> &Side {
        if role == Role::Prefill { &self.prefill } else { &self.decode }
    }

    /// What Ray works towards.
    pub(super) fn wanted(&self) -> Split {
        let units = |side: &Side| u16::try_from(side.target).unwrap_or(u16::MAX);
        Split { prefill: units(&self.prefill), decode: units(&self.decode), aggregated: 0 }
    }

    pub(super) fn topology(&self) -> Topology {
        Topology {
            members: self.prefill.members.iter().chain(&self.decode.members).cloned().collect(),
            wanted: Some(self.wanted()),
            generation: None,
            rival: self.rival.clone(),
            troubles: self.troubles.clone(),
            ..Topology::default()
        }
    }
}

impl Side {
    fn new(role: Role, name: &str, deployment: &Deployment, application: &Application, imperative: bool) -> Self {
        let bounds = deployment.config.autoscaling_config;
        let lever = match bounds {
            _ if application.external_scaler_enabled == Some(true) => Lever::Scale,
            _ if imperative => Lever::None,
            Some(bounds) => Lever::Bounds(bounds),
            None => Lever::Replicas,
        };
        let resources = deployment.required_resources.clone().unwrap_or_default();
        let gpus = resources.get_key_value("GPU").and_then(|(what, amount)| whole_gpus(what, *amount));
        let member = |replica: &super::instance::Replica| {
            let state = match replica.state.as_str() {
                "RUNNING" => MemberState::Serving,
                "STOPPING" => MemberState::Stopping,
                // STARTING, UPDATING, RECOVERING and what is to come.
                _ => MemberState::Starting,
            };
            Member::new(format!("{name}#{}", replica.replica_id), role, state).spanning(gpus)
        };
        Self {
            name: name.to_owned(),
            role,
            target: deployment.target_num_replicas,
            lever,
            grace_s: deployment.config.graceful_shutdown_timeout_s,
            resources,
            members: deployment.replicas.iter().map(member).collect(),
        }
    }
}

/// How many GPUs a resource is, where it is a whole number of them: several replicas may share one.
pub(super) fn whole_gpus(what: &str, amount: f64) -> Option<u32> {
    (what == "GPU" && amount >= 1.0 && amount.fract() <= 0.0).then_some(amount as u32)
}

/// Who decides on the number of replicas beside whoever states it.
fn rival_of(application: &Application, sides: &[&Side]) -> Option<String> {
    let free = |side: &&&Side| match side.lever {
        Lever::Bounds(bounds) => bounds.min != bounds.max,
        _ => false,
    };
    let scaled: Vec<_> = sides.iter().filter(free).map(|side| side.name.as_str()).collect();
    let autoscaler = (!scaled.is_empty()).then(|| format!("Ray's autoscaler of {}", scaled.join(" and ")));
    let external = application.external_scaler_enabled == Some(true);
    autoscaler.or_else(|| external.then(|| "an external scaler, which the application has enabled,".to_owned()))
}

type Named<'a> = (&'a str, &'a Deployment);

/// Every pair of an application that may be meant.
fn pairs<'a>(
    name: &'a str,
    application: &'a Application,
    names: &RayNames,
) -> Vec<(&'a str, &'a Application, (Named<'a>, Named<'a>))> {
    let all = || application.deployments.iter().map(|(name, deployment)| (name.as_str(), deployment));
    let is_prefill = |(name, _): &Named<'_>| match &names.prefill {
        Some(asked) => name == asked,
        None => name.starts_with(PREFILL),
    };
    // Of the same model, where the names tell models.
    let is_decode = |(name, _): &Named<'_>, prefill: &str| match (&names.decode, prefill.strip_prefix(PREFILL)) {
        (Some(asked), _) => name == asked,
        (None, Some(model)) => name.strip_prefix(DECODE) == Some(model),
        (None, None) => name.starts_with(DECODE),
    };
    let prefills = all().filter(is_prefill);
    let both = prefills.flat_map(|prefill| {
        all().filter(move |decode| is_decode(decode, prefill.0)).map(move |decode| (prefill, decode))
    });
    both.map(|pair| (name, application, pair)).collect()
}

fn not_one(instance: &Instance, names: &RayNames, found: &[(&str, &Application, (Named<'_>, Named<'_>))]) -> String {
    let deployments = |(name, application): (&String, &Application)| {
        let names: Vec<_> = application.deployments.keys().map(|name| one_line(name)).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let status = match application.status.as_str() {
            "" | "RUNNING" => String::new(),
            FAILED => format!(" ({FAILED}: {})", one_line(&words(&application.message))),
            status => format!(" ({status})"),
        };
        format!("{}{status} has {names}", one_line(name))
    };
    let there: Vec<_> = instance.applications.iter().map(deployments).collect();
    let there = if there.is_empty() { "there is no application".to_owned() } else { there.join("; ") };
    if found.is_empty() {
        let wanted = |asked: &Option<String>, prefix| asked.clone().unwrap_or_else(|| format!("{prefix}MODEL"));
        let (prefill, decode) = (wanted(&names.prefill, PREFILL), wanted(&names.decode, DECODE));
        let is_told = instance.applications.values().any(|application| !application.deployments.is_empty());
        let has_failed = instance.applications.values().any(|application| application.status == FAILED);
        let hint = if has_failed && !is_told {
            "hint: of an application that could not be deployed Ray tells no deployments, though those before may run on; deploy it anew"
        } else {
            "hint: name the deployments with --prefill-deployment and --decode-deployment"
        };
        return format!("Ray Serve has no deployments {prefill} and {decode}: {there}\n{hint}");
    }
    let pairs: Vec<_> =
        found.iter().map(|(name, _, (prefill, decode))| format!("{} and {} of {name}", prefill.0, decode.0)).collect();
    format!(
        "Ray Serve has several prefill-decode pairs: {}\nhint: pick one with --prefill-deployment and --decode-deployment",
        pairs.join("; ")
    )
}

/// What is wrong with an application for good.
fn trouble_of(application: &Application) -> Option<Trouble> {
    (application.status == FAILED)
        .then(|| Trouble::of_all(format!("Ray says {FAILED}: {}", one_line(&words(&application.message)))))
}

/// What is wrong with a deployment for good.
fn deployment_trouble(name: &str, deployment: &Deployment) -> Option<String> {
    if matches!(deployment.status.as_str(), "UNHEALTHY" | FAILED) {
        return Some(format!(
            "Ray says that {name} is {}: {}",
            deployment.status,
            one_line(&words(&deployment.message))
        ));
    }
    unschedulable(name, &deployment.message)
}

/// Ray tells of a replica that finds no place in words, with what it takes and what all nodes together have free: what is free
/// nowhere will not come, unless the cluster grows.
fn unschedulable(name: &str, message: &str) -> Option<String> {
    let object = |after: &str| -> Option<BTreeMap<String, f64>> {
        let rest = &message[message.find(after)? + after.len()..];
        let end = rest.find('}')?;
        serde_json::from_str(&rest[..=end]).ok()
    };
    let takes = object("Resources required for each replica: ")?;
    let free = object("total resources available: ")?;
    let short = |(what, amount): (&String, &f64)| {
        let there = free.get(what).copied().unwrap_or(0.0);
        (there < *amount).then(|| format!("{what} {amount}, of which {there} is free"))
    };
    let short: Vec<_> = takes.iter().filter_map(short).collect();
    (!short.is_empty()).then(|| format!("Ray cannot place a replica of {name}: it takes {}", short.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_finds_no_place_is_told_from_one_that_is_slow() {
        let message = |free: &str| {
            format!(
                "Deployment 'Decode:tiny' in application 'pd' has 1 replicas that have taken more than 30s to be scheduled. This may be due to waiting for the cluster to auto-scale or for a runtime environment to be installed. Resources required for each replica: {{\"unit\": 1, \"CPU\": 0.1}}, total resources available: {free}. Use `ray status` for more details."
            )
        };
        assert_eq!(
            unschedulable("Decode:tiny", &message(r#"{"CPU": 15.0}"#)).as_deref(),
            Some("Ray cannot place a replica of Decode:tiny: it takes unit 1, of which 0 is free")
        );
        assert_eq!(unschedulable("Decode:tiny", &message(r#"{"CPU": 15.0, "unit": 1.0}"#)), None, "it is slow");
        assert_eq!(unschedulable("Decode:tiny", "Upscaling from 2 to 3 replicas."), None);
        assert_eq!(unschedulable("Decode:tiny", "Resources required for each replica: {x"), None);
    }
}
