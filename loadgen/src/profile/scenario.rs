//! A question under one name: a cluster, a load, an SLO, and the splits to compare.
//!
//! Cluster, workload and SLO are profiles of their own, found by name, or said in place: what stands in `[load]` goes before
//! what the workload says, and an SLO can be its bounds.

use engine::units::Split;
use serde::{Deserialize, Serialize};

use super::library::{Library, Loaded, read};
use super::locate::line_of;
use super::{Cluster, Kind, ProfileError, WorkloadProfile};
use crate::arrival::{Arrival, RatePlan};
use crate::plan::{Procedure, candidates};
use crate::schedule::{LoadSpec, Schedule, Traffic};
use crate::slo::Slo;
use crate::workload::{Lengths, PrefixHit};

/// Every split of all units of the cluster.
const ALL: &str = "all";

/// What a scenario profile says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioProfile {
    /// One line for lists.
    pub description: String,
    /// The cluster profile.
    pub cluster: String,
    /// The workload profile; without one, `[load]` says it all.
    pub workload: Option<String>,
    /// Bounds or an SLO profile; without it, that of the workload.
    pub slo: Option<String>,
    /// The load, where it is not the workload's.
    #[serde(default)]
    pub load: LoadTable,
    /// What is asked of it.
    #[serde(default)]
    pub plan: PlanTable,
}

/// A load, as far as it is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// How gaps are distributed.
    pub arrival: Option<Arrival>,
    /// How fast requests arrive in runs.
    pub rate: Option<RatePlan>,
    /// Lengths of prompts.
    pub isl: Option<Lengths>,
    /// Lengths of answers.
    pub osl: Option<Lengths>,
    /// How much of every prompt is the same in all of them.
    pub prefix_hit: Option<PrefixHit>,
}

/// What a plan is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanTable {
    /// Splits, or `all` for those of all units; without it, all.
    pub splits: Option<Vec<String>>,
    /// How it is measured.
    pub procedure: Option<Procedure>,
    /// The share of requests that has to be good.
    pub attainment: Option<f64>,
    /// Requests per second at which splits are compared; without it, each at its highest.
    pub rate: Option<f64>,
}

/// A scenario with what it names, checked to go together.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// One line for lists.
    pub description: String,
    /// The cluster.
    pub cluster: Loaded<Cluster>,
    /// The load.
    pub workload: WorkloadProfile,
    /// What makes a request good.
    pub slo: Slo,
    /// The splits to compare, each once.
    pub splits: Vec<Split>,
    /// How a plan measures, where that is said.
    pub procedure: Option<Procedure>,
    /// The share of requests that has to be good, where that is said.
    pub attainment: Option<f64>,
    /// Requests per second that a plan looks at, where that is said.
    pub rate: Option<f64>,
}

/// The key that is wrong, and why.
type Wrong = (&'static str, String);

impl ScenarioProfile {
    /// Checks what can be told from the text alone.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let LoadTable { rate, isl, osl, .. } = &self.load;
        for (key, is_there) in [("rate", rate.is_some()), ("isl", isl.is_some()), ("osl", osl.is_some())] {
            if !is_there && self.workload.is_none() {
                return Err(("load", format!("without a `workload`, `load.{key}` has to be there")));
            }
        }
        let in_range = |key, value: Option<f64>, most: f64| match value {
            Some(value) if !(value > 0.0 && value <= most) => {
                Err((key, format!("`{key}` is {value}, which is not above 0 and at most {most}")))
            }
            _ => Ok(()),
        };
        in_range("plan.attainment", self.plan.attainment, 1.0)?;
        in_range("plan.rate", self.plan.rate, crate::arrival::phases::MAX_RATE)?;
        self.bounds()?;
        self.splits(None).map(|_| ())
    }

    /// The SLO, where its bounds are said in place.
    fn bounds(&self) -> Result<Option<Slo>, Wrong> {
        let Some(text) = self.slo.as_ref().filter(|text| text.contains('=')) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| ("slo", format!("`slo`: {error}")))
    }

    /// The splits, each once, those of `cluster` for `all` and checked against its units where there is one.
    fn splits(&self, cluster: Option<&Loaded<Cluster>>) -> Result<Vec<Split>, Wrong> {
        let wrong = |why: String| ("plan.splits", format!("`plan.splits`: {why}"));
        let every = || cluster.map_or_else(Vec::new, |cluster| candidates(cluster.profile.units));
        let Some(texts) = &self.plan.splits else { return Ok(every()) };
        if texts.is_empty() {
            return Err(wrong(format!("none; name some, or write [\"{ALL}\"]")));
        }
        let mut splits: Vec<Split> = Vec::new();
        for text in texts {
            let named = if text == ALL {
                every()
            } else {
                let split: Split = text.parse().map_err(|error| wrong(format!("{error}, or `{ALL}`")))?;
                if let Some(cluster) = cluster.filter(|cluster| cluster.check_units(split).is_err()) {
                    let (units, name, has) = (split.units(), &cluster.name, cluster.profile.units);
                    return Err(wrong(format!("{split} has {units} units, cluster {name} has {has}")));
                }
                vec![split]
            };
            splits.extend(named.into_iter().filter(|split| !splits.contains(split)).collect::<Vec<_>>());
        }
        Ok(splits)
    }

    /// The load: what is said in place before what the workload says.
    fn workload(&self, named: Option<WorkloadProfile>) -> Result<WorkloadProfile, Wrong> {
        let LoadTable { arrival, rate, isl, osl, prefix_hit } = self.load.clone();
        let missing = || ("load", "`load` says too little".to_owned());
        let base = |of: fn(&WorkloadProfile) -> Lengths| named.as_ref().map(of);
        Ok(WorkloadProfile {
            description: self.description.clone(),
            arrival: arrival.or(named.as_ref().map(|named| named.arrival)).unwrap_or_default(),
            rate: rate.or_else(|| named.as_ref().map(|named| named.rate.clone())).ok_or_else(missing)?,
            isl: isl.or(base(|named| named.isl)).ok_or_else(missing)?,
            osl: osl.or(base(|named| named.osl)).ok_or_else(missing)?,
            prefix_hit: prefix_hit.or(named.as_ref().map(|named| named.prefix_hit)).unwrap_or_default(),
            slo: named.and_then(|named| named.slo),
        })
    }
}

impl WorkloadProfile {
    /// The load as requests are drawn from it.
    pub fn traffic(&self) -> Traffic {
        Traffic::Synthetic { arrival: self.arrival, rate: self.rate.clone(), isl: self.isl, osl: self.osl }
    }
}

impl Library {
    /// The scenario of that name, or in that file, with the cluster, the workload and the SLO that it names.
    ///
    /// # Errors
    /// When one of them is missing or wrong, or they do not go together.
    pub fn scenario(&self, name_or_file: &str) -> Result<Loaded<Scenario>, ProfileError> {
        let Loaded { name, origin, profile: text } = self.text(Kind::Scenario, name_or_file)?;
        let invalid = |line, why| {
            let (name, origin) = (name.clone(), origin.clone());
            ProfileError::Invalid { kind: Kind::Scenario, name, origin, line, why }
        };
        let wrong = |(key, why): Wrong| invalid(line_of(&text, key), why);
        // A profile that is not there is this file's mistake; one that is wrong is its own file's.
        let named = |key, error: ProfileError| match error {
            ProfileError::Unknown { .. } => wrong((key, format!("`{key}`: {error}"))),
            other => other,
        };
        let profile: ScenarioProfile = read(&text).map_err(|(line, why)| invalid(line, why))?;
        profile.check().map_err(wrong)?;
        let cluster = self.cluster(&profile.cluster).map_err(|error| named("cluster", error))?;
        let workload = profile.workload.as_ref().map(|name| self.workload(name)).transpose();
        let workload = workload.map_err(|error| named("workload", error))?.map(|loaded| loaded.profile);
        let workload = profile.workload(workload).map_err(wrong)?;
        let slo = match (profile.bounds().map_err(wrong)?, &profile.slo) {
            (Some(bounds), _) => Some(bounds),
            (None, Some(name)) => Some(self.slo(name).map_err(|error| named("slo", error))?.profile.slo),
            (None, None) => workload.slo,
        };
        let slo =
            slo.ok_or_else(|| wrong(("slo", "`slo` has to be there, or a `workload` that has one".to_owned())))?;
        let load = LoadSpec { requests: Some(1), ..LoadSpec::new(name.as_str(), workload.traffic()) };
        if let Err(error) = Schedule::new(&load, cluster.profile.limits()) {
            let key = if profile.load.isl.is_some() { "load.isl" } else { "workload" };
            return Err(wrong((key, format!("cluster {}: {error}", cluster.name))));
        }
        let splits = profile.splits(Some(&cluster)).map_err(wrong)?;
        let PlanTable { procedure, attainment, rate, .. } = profile.plan;
        let description = profile.description;
        let profile = Scenario { description, cluster, workload, slo, splits, procedure, attainment, rate };
        Ok(Loaded { name, origin, profile })
    }
}
