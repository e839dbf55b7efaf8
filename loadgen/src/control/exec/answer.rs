//! What the command says of its units.

use std::collections::BTreeSet;

use engine::remote::one_line;
use engine::units::{Role, Split};
use serde::Deserialize;

use crate::control::plane::{Member, MemberState, Topology, Trouble};

/// Most units of an answer.
const UNITS: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    units: Vec<Unit>,
    #[serde(default)]
    wanted: Option<String>,
    #[serde(default)]
    generation: Option<u64>,
    #[serde(default)]
    rival: Option<String>,
    #[serde(default)]
    trouble: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    name: String,
    role: Named,
    state: State,
    #[serde(default)]
    gpus: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Prefill,
    Decode,
    Aggregated,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Starting,
    Serving,
    Stopping,
}

/// Reads an answer.
///
/// # Errors
/// One line: what is not as agreed.
pub(super) fn read(said: &[u8]) -> Result<Topology, String> {
    let Answer { units, wanted, generation, rival, trouble } =
        serde_json::from_slice(said).map_err(|error| one_line(&error.to_string()))?;
    if units.len() > UNITS {
        return Err(format!("it has {} units, {UNITS} at most", units.len()));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = units.iter().find(|unit| !names.insert(&unit.name)) {
        return Err(format!("two units are called {}", one_line(&twice.name)));
    }
    let wanted: Option<Split> = wanted.map(|text| text.parse().map_err(|why| format!("wanted: {why}"))).transpose()?;
    let member = |unit: Unit| Member {
        name: one_line(&unit.name),
        role: match unit.role {
            Named::Prefill => Role::Prefill,
            Named::Decode => Role::Decode,
            Named::Aggregated => Role::Aggregated,
        },
        state: match unit.state {
            State::Starting => MemberState::Starting,
            State::Serving => MemberState::Serving,
            State::Stopping => MemberState::Stopping,
        },
        gpus: unit.gpus,
    };
    let rival = rival.map(|text| one_line(&text));
    // It is one sentence, and says of nobody alone.
    let troubles = trouble.iter().map(|text| Trouble::of_all(one_line(text))).collect();
    let members = units.into_iter().map(member).collect();
    Ok(Topology { members, wanted, generation, rival, troubles, ..Topology::default() })
}
