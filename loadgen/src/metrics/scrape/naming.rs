//! What a row of a page is called, and its role.

use std::collections::BTreeMap;

use engine::remote::one_line;
use engine::units::Role;

use super::scraper::Source;
use crate::metrics::page::{Key, Row};

/// What a row is called, and its role.
pub(super) fn named(
    source: &Source,
    row: &Row,
    deployments: &BTreeMap<String, String>,
    several: bool,
    has_prefill: bool,
) -> (String, Option<Role>) {
    let by_component = (row.backend && has_prefill).then_some(Role::Decode);
    let told = row.role.or(by_component);
    match &row.key {
        Key::Page => (source.name.clone(), source.role.or(told)),
        Key::Service => (source.name.clone(), None),
        Key::Unit(unit) if several => (format!("{} unit {unit}", source.name), told),
        Key::Unit(unit) => (format!("unit {unit}"), told),
        Key::Worker(worker) => {
            let name = worker.split_once("://").map_or(worker.as_str(), |(_, rest)| rest);
            (one_line(name.trim_end_matches('/')), told)
        }
        Key::Replica(replica) => match deployments.get(replica) {
            Some(deployment) => (one_line(&format!("{deployment}#{replica}")), told.or_else(|| side(deployment))),
            None => (one_line(replica), source.role.or(told)),
        },
    }
}

/// The side of a deployment that Ray's own builder has named.
fn side(deployment: &str) -> Option<Role> {
    match deployment.split(':').next() {
        Some("Prefill") => Some(Role::Prefill),
        Some("Decode") => Some(Role::Decode),
        _ => None,
    }
}
