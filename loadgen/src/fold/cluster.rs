//! The units as they were last observed, and the split that their roles make.

use std::sync::Arc;

use engine::cluster::UnitState;
use engine::units::{Split, UnitId};

use crate::live::UnitView;
use crate::recording::UnitRecord;
use crate::time::Micros;

/// What is known of the cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    split: Split,
    /// The split was told before the units were seen.
    told: bool,
    /// In order of their ids, shared with what was published.
    units: Arc<Vec<UnitView>>,
    /// Since when each has been in its state, in the same order.
    since: Vec<Micros>,
}

impl Cluster {
    pub(crate) fn new(split: Option<Split>) -> Self {
        Self {
            split: split.unwrap_or(Split { prefill: 0, decode: 0, aggregated: 0 }),
            told: split.is_some(),
            units: Arc::default(),
            since: Vec::new(),
        }
    }

    pub(crate) fn split(&self) -> Split {
        self.split
    }

    pub(crate) fn units(&self) -> &[UnitView] {
        &self.units
    }

    pub(super) fn shared(&self) -> Arc<Vec<UnitView>> {
        Arc::clone(&self.units)
    }

    /// A unit was observed or told of a change; a change that people want to read of is a sentence.
    pub(crate) fn apply(&mut self, record: &UnitRecord) -> Option<String> {
        let id = UnitId(record.unit);
        let place = self.units.binary_search_by_key(&id, |unit| unit.unit);
        let known = place.ok().and_then(|at| self.units.get(at)).map(|unit| (unit.role, unit.state));
        let view = record.view();
        let same_state = known.is_some_and(|(_, state)| is_same(state, view.state));
        let units = Arc::make_mut(&mut self.units);
        match place {
            Ok(at) => {
                if let Some((unit, since)) = units.get_mut(at).zip(self.since.get_mut(at)) {
                    if !same_state {
                        *since = record.at;
                    }
                    *unit = UnitView { in_state: record.at.since(*since), ..view };
                }
            }
            Err(at) => {
                units.insert(at, view);
                self.since.insert(at, record.at);
            }
        }
        let changed = known.is_some_and(|(role, _)| role != view.role || !same_state);
        if changed || !self.told {
            self.split = Split::of(units.iter().filter(|unit| unit.state != UnitState::Failed).map(|unit| unit.role));
        }
        (changed && !same_state).then(|| sentence(&view)).flatten()
    }
}

/// Draining counts down and stays draining.
fn is_same(a: UnitState, b: UnitState) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

fn sentence(unit: &UnitView) -> Option<String> {
    let UnitView { unit: id, role, state, .. } = unit;
    match state {
        UnitState::Draining { .. } if !unit.measured => Some(format!("{id} ({role}) drains")),
        UnitState::Draining { left } => Some(format!("{id} ({role}) drains, {left} in flight")),
        UnitState::Serving => Some(format!("{id} serves as {role}")),
        UnitState::Switching | UnitState::Warming | UnitState::Failed => None,
    }
}

#[cfg(test)]
mod tests {
    use engine::units::Role;

    use super::*;

    fn record(at: u64, unit: u16, role: Role, state: UnitState) -> UnitRecord {
        let view = UnitView {
            unit: UnitId(unit),
            role,
            state,
            in_state: Micros::ZERO,
            measured: true,
            busy: 0.5,
            queue: 1,
            running: 2,
            handing_off: 0,
            kv_used: 0.25,
            kv_cached: 0.0,
            input_tps: 10.0,
            output_tps: 20.0,
        };
        UnitRecord::new(Micros(at), &view)
    }

    #[test]
    fn a_unit_on_its_way_to_another_role_is_told_in_sentences_and_changes_the_split() {
        let mut cluster = Cluster::new("1P1D".parse().ok());
        for (unit, role) in [(1, Role::Decode), (0, Role::Prefill), (2, Role::Decode)] {
            assert_eq!(cluster.apply(&record(0, unit, role, UnitState::Serving)), None, "seen for the first time");
        }
        assert_eq!(cluster.units().iter().map(|unit| unit.unit.0).collect::<Vec<_>>(), [0, 1, 2]);
        let told: Vec<Option<String>> = [
            (10, Role::Decode, UnitState::Draining { left: 4 }),
            (20, Role::Decode, UnitState::Draining { left: 1 }),
            (30, Role::Decode, UnitState::Switching),
            (40, Role::Prefill, UnitState::Warming),
            (60, Role::Prefill, UnitState::Warming),
        ]
        .into_iter()
        .map(|(at, role, state)| cluster.apply(&record(at, 2, role, state)))
        .collect();
        assert_eq!(told, [Some("unit 2 (decode) drains, 4 in flight".to_owned()), None, None, None, None]);
        assert_eq!(cluster.units()[2].in_state, Micros(20));
        let told = cluster.apply(&record(70, 2, Role::Prefill, UnitState::Serving));
        assert_eq!(told.as_deref(), Some("unit 2 serves as prefill"));
        assert_eq!(cluster.split().to_string(), "2P1D");
        cluster.apply(&record(80, 1, Role::Decode, UnitState::Failed));
        assert_eq!(cluster.split().to_string(), "2P0D");
    }

    #[test]
    fn a_split_that_nobody_told_is_that_of_the_units() {
        let mut cluster = Cluster::new(None);
        for unit in 0..3 {
            cluster.apply(&record(0, unit, Role::Aggregated, UnitState::Serving));
        }
        assert_eq!(cluster.split().to_string(), "3A");
    }
}
