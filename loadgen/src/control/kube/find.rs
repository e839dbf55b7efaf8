//! The two roles of an address, found in the cluster.

mod dynamo;
mod kserve;
mod parts;
mod rbg;
mod storm;
mod workload;

use std::collections::BTreeMap;

use engine::units::Role;
use serde::Deserialize;
use serde_json::Value;

use super::address::{ObjectName, Objects};
use super::api::Api;
use super::failure::Failure;
use super::kind::Kind;
use super::place::Place;
use super::side::Side;
use crate::control::plane::Unseen;

/// Which version of each kind the cluster has.
pub(super) type Versions = BTreeMap<&'static str, &'static str>;

/// Why the roles are not found.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The cluster does not say.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// It is not as it should be.
    #[error("{0}")]
    Wrong(String),
}

impl From<Lost> for Unseen {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Failed(failure) => failure.into(),
            Lost::Wrong(why) => Self::NotYet(why),
        }
    }
}

/// Reads prefill and decode, without their pods.
pub(super) async fn find(api: &Api, objects: &Objects, versions: &mut Versions) -> Result<[Side; 2], Lost> {
    match objects {
        Objects::One(one) => {
            let object = read(api, one, versions).await?;
            let prefill = side(api, Role::Prefill, one, &object, versions).await?;
            Ok([prefill, side(api, Role::Decode, one, &object, versions).await?])
        }
        Objects::Pair { prefill, decode } => {
            let object = read(api, prefill, versions).await?;
            let first = side(api, Role::Prefill, prefill, &object, versions).await?;
            let object = read(api, decode, versions).await?;
            Ok([first, side(api, Role::Decode, decode, &object, versions).await?])
        }
        Objects::Pods { .. } => Err(Lost::Wrong("pods have no object that scales them".to_owned())),
    }
}

async fn read(api: &Api, name: &ObjectName, versions: &mut Versions) -> Result<Value, Lost> {
    let version = version(api, name.kind, versions).await?;
    Ok(api.get(&Place::of_kind(name.kind, version, &name.name)).await?)
}

async fn side(api: &Api, role: Role, name: &ObjectName, object: &Value, versions: &Versions) -> Result<Side, Lost> {
    let version = versions.get(name.kind.facts().group).copied().unwrap_or_default();
    let place = Place::of_kind(name.kind, version, &name.name);
    match name.kind {
        Kind::Deployment | Kind::StatefulSet | Kind::LeaderWorkerSet => Ok(workload::side(role, name, place, object)),
        Kind::DynamoGraphDeployment => dynamo::side(api, role, name, place, object).await,
        Kind::RoleBasedGroup => rbg::side(api, role, name, place, object).await,
        Kind::LlmInferenceService => kserve::side(api, role, name, place, object).await,
        Kind::StormService => storm::side(role, name, place, object).map_err(Lost::Wrong),
    }
}

/// A group of the API, with the versions that it has.
#[derive(Deserialize)]
struct Group {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// The version in which a kind is asked for: the first that we understand and the cluster has.
async fn version(api: &Api, kind: Kind, versions: &mut Versions) -> Result<&'static str, Lost> {
    let facts = kind.facts();
    if let Some(version) = versions.get(facts.group) {
        return Ok(version);
    }
    let preferred = facts.versions.first().copied().unwrap_or_default();
    let found = match api.group::<Group>(facts.group).await {
        Ok(group) => {
            let has = |version: &&&str| group.versions.iter().any(|served| served.version == ***version);
            facts.versions.iter().find(has).copied().ok_or_else(|| {
                let served: Vec<_> = group.versions.iter().map(|served| served.version.as_str()).collect();
                let (group, spoken) = (facts.group, facts.versions.join(" or "));
                Lost::Wrong(format!(
                    "the cluster has {group} in {}, and a {} is understood in {spoken}",
                    served.join(", "),
                    facts.name
                ))
            })?
        }
        Err(Failure::Absent(_)) => {
            return Err(Lost::Wrong(format!(
                "the cluster has no {}: {} is not installed there",
                facts.name, facts.group
            )));
        }
        // Who may not look around may still know what is there.
        Err(Failure::Forbidden(_)) => preferred,
        Err(failure) => return Err(failure.into()),
    };
    versions.insert(facts.group, found);
    Ok(found)
}
