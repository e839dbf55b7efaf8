//! A control that only looks, whatever is behind it: `--read-only`.

use std::sync::Arc;

use engine::cluster::How;
use engine::units::{Split, UnitId};

use crate::target::{Abilities, ClusterView, Control, Ways};

/// Why nothing is shifted.
const REFUSED: &str = "--read-only: nothing is shifted";

/// Hands on what is seen, and nothing that is asked for.
#[derive(Debug)]
pub(crate) struct ReadOnly(pub(crate) Arc<dyn Control>);

impl Control for ReadOnly {
    fn observe(&self) -> ClusterView {
        self.0.observe()
    }

    fn shift(&self, _to: Split, _how: How) -> Result<(), String> {
        Err(REFUSED.to_owned())
    }

    fn unit_called(&self, name: &str) -> Option<UnitId> {
        self.0.unit_called(name)
    }

    fn vacated(&self) -> Vec<UnitId> {
        self.0.vacated()
    }

    fn account(&self) -> Option<String> {
        self.0.account()
    }

    fn abilities(&self) -> Abilities {
        Abilities { ways: Ways::of(&[]), ..self.0.abilities() }
    }
}
